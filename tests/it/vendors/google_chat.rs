//! Google Chat's incoming webhooks: `spaces.messages.create`.
//! <https://developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages/create>
//! A message has at most 32,000 bytes, a thread's key 4,000 characters, and the thread counts only
//! with `messageReplyOption`. `<users/all>` mentions everybody. A space takes one request a second
//! from webhooks. <https://developers.google.com/workspace/chat/limits>

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Answer, Call, Fake, Memory, Page, Vendor, required};

pub struct GoogleChat {
    token: String,
    /// By thread: its messages.
    threads: Vec<(String, Vec<String>)>,
    /// When the last was taken; none where no clock is asked.
    last: Option<Instant>,
    limited: bool,
}

impl GoogleChat {
    pub async fn start() -> Fake<Self> {
        let token = "5OMXNy1234567890abcdefghijk";
        let chat = Self {
            limited: true,
            ..Self::new(token)
        };
        Fake::serve(chat, token).await
    }

    /// One without the limit on requests.
    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            threads: Vec::new(),
            last: None,
            limited: false,
        }
    }

    fn checked(&self, call: &Call) -> Result<(String, String), (u16, String)> {
        let path = format!(
            "/v1/spaces/AAAA/messages?key=AIza&token={}\
             &messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD",
            self.token
        );
        if call.method != "POST" || call.target != path {
            return Err((401, format!("{} {}", call.method, call.target)));
        }
        if call.body.len() > 32_000 {
            return Err((400, format!("the message has {} bytes", call.body.len())));
        }
        let wrong = |what| (400, what);
        let body = call.json().map_err(wrong)?;
        for field in body.as_object().into_iter().flatten().map(|(name, _)| name) {
            if !["text", "thread", "cardsV2"].contains(&field.as_str()) {
                return Err((400, format!("Unknown name \"{field}\"")));
            }
        }
        let text = required(&body, "text", 32_000).map_err(wrong)?;
        if text.contains('<') {
            return Err((400, "what an alert says may mention or link".into()));
        }
        let thread = required(&body["thread"], "threadKey", 4000).map_err(wrong)?;
        Ok((thread.to_owned(), text.to_owned()))
    }
}

impl Vendor for GoogleChat {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        let now = Instant::now();
        let too_soon = |last: Instant| now.duration_since(last) < Duration::from_secs(1);
        if self.limited && self.last.is_some_and(too_soon) {
            let said = json!({ "error": { "code": 429, "status": "RESOURCE_EXHAUSTED",
                "message": "Resource has been exhausted (e.g. check quota)." } });
            return Answer::json(429, &said);
        }
        self.last = Some(now);

        let (key, text) = match self.checked(call) {
            Ok(message) => message,
            Err((status, what)) => {
                memory.violations.push(what.clone());
                let said = json!({ "error": { "code": status, "message": what,
                                              "status": "INVALID_ARGUMENT" } });
                return Answer::json(status, &said);
            }
        };

        let title = text.lines().next().unwrap_or_default().to_owned();
        let over = title.contains("[RESOLVED]");
        match self.threads.iter_mut().find(|(known, _)| *known == key) {
            Some((_, messages)) => messages.push(title.clone()),
            None if over => memory
                .violations
                .push(format!("the thread {key} begins with its end")),
            None => self.threads.push((key.clone(), vec![title.clone()])),
        }
        memory.pages.push(Page {
            action: if over { "resolve" } else { "trigger" }.to_owned(),
            key,
            title,
        });
        let said: Value = json!({ "name": "spaces/AAAA/messages/B.B",
                                  "thread": { "name": "spaces/AAAA/threads/B" } });
        Answer::json(200, &said)
    }

    fn open(&self) -> Vec<String> {
        let still = |messages: &Vec<String>| {
            messages
                .last()
                .is_some_and(|title| !title.contains("[RESOLVED]"))
        };
        self.threads
            .iter()
            .filter(|(_, messages)| still(messages))
            .map(|(key, _)| key.clone())
            .collect()
    }
}

impl Fake<GoogleChat> {
    pub fn url(&self) -> String {
        format!(
            "{}/v1/spaces/AAAA/messages?key=AIza&token={}\
             &messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD",
            self.origin(),
            self.key()
        )
    }
}
