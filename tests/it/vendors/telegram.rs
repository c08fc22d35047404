//! Telegram's Bot API: `sendMessage`. <https://core.telegram.org/bots/api#sendmessage>
//! Parameters come by the query and by JSON; a text has 1 to 4,096 characters. What is too much (20
//! messages a minute in a group) is 429 with `parameters.retry_after`.
//! <https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this>

use serde_json::{Value, json};

use super::{Answer, Call, Fake, Memory, Page, Vendor, required};

const A_MINUTE: usize = 20;

pub struct Telegram {
    token: String,
    /// Every message's text; its id is its place, from 1.
    messages: Vec<String>,
    /// The ids of those that nothing has answered.
    open: Vec<usize>,
    /// Messages since the last pause.
    in_a_row: usize,
}

impl Telegram {
    pub async fn start() -> Fake<Self> {
        let token = "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11";
        Fake::serve(Self::new(token), token).await
    }

    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            messages: Vec::new(),
            open: Vec::new(),
            in_a_row: 0,
        }
    }

    fn checked(&self, call: &Call) -> Result<(String, Option<usize>), (u16, String)> {
        let path = format!("/bot{}/sendMessage?chat_id=-1001234567890", self.token);
        if call.target != path {
            return Err((404, "Not Found".into()));
        }
        let wrong = |what| (400, what);
        let body = call.json().map_err(wrong)?;
        let text = required(&body, "text", 4096).map_err(wrong)?;
        if !body["parse_mode"].is_null() {
            return Err((400, "the text is parsed".into()));
        }
        if !matches!(body["link_preview_options"], Value::Null | Value::Object(_)) {
            return Err((400, "link_preview_options is no object".into()));
        }
        let answered = match &body["reply_parameters"] {
            Value::Null => None,
            reply => {
                let id = reply["message_id"]
                    .as_u64()
                    .ok_or_else(|| (400, "reply_parameters.message_id is no integer".to_owned()))?;
                let id = usize::try_from(id).unwrap_or(usize::MAX);
                if id == 0 || id > self.messages.len() {
                    return Err((400, "message to be replied not found".into()));
                }
                Some(id)
            }
        };
        Ok((text.to_owned(), answered))
    }
}

impl Vendor for Telegram {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        if self.in_a_row >= A_MINUTE {
            let said = json!({ "ok": false, "error_code": 429, "description": "Too Many Requests: \
                retry after 1",
                "parameters": { "retry_after": 1 } });
            self.in_a_row = 0;
            return Answer::json(429, &said);
        }
        let (text, answered) = match self.checked(call) {
            Ok(message) => message,
            Err((status, what)) => {
                memory.violations.push(what.clone());
                let said = json!({ "ok": false, "error_code": status, "description": format!("Bad \
                    Request: {what}") });
                return Answer::json(status, &said);
            }
        };

        self.in_a_row += 1;
        self.messages.push(text.clone());
        let id = self.messages.len();
        match answered {
            Some(answered) => self.open.retain(|open| *open != answered),
            None => self.open.push(id),
        }
        memory.pages.push(Page {
            action: if answered.is_some() {
                "resolve"
            } else {
                "trigger"
            }
            .to_owned(),
            key: answered.unwrap_or(id).to_string(),
            title: text.lines().next().unwrap_or_default().to_owned(),
        });
        let said = json!({ "ok": true, "result": { "message_id": id, "text": text } });
        Answer::json(200, &said)
    }

    fn open(&self) -> Vec<String> {
        self.open.iter().map(ToString::to_string).collect()
    }
}

impl Fake<Telegram> {
    pub fn url(&self) -> String {
        format!(
            "{}/bot{}/sendMessage?chat_id=-1001234567890",
            self.origin(),
            self.key()
        )
    }
}
