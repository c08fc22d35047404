//! Slack's Web API for a bot's token: a channel whose messages can be edited and answered. Errors
//! come with HTTP 200.

use serde_json::{Value, json};

use super::{Answer, Call, Fake, Memory, Page, Vendor, slack::check_message, units};

/// The channel's id; its name is `alerts`.
const CHANNEL: &str = "C0ALERTS99";

/// One message of the channel, as it reads now.
#[derive(Debug, Clone)]
pub struct Message {
    pub ts: String,
    /// The message it answers.
    pub thread: Option<String>,
    pub text: String,
    pub edits: u32,
}

/// The channel.
pub struct SlackBot {
    token: String,
    messages: Vec<Message>,
}

impl SlackBot {
    pub async fn start() -> Fake<Self> {
        let token = "xoxb-2718281828-31415926535-qJ8k2mXw0pZr4tVy6uB9sLdN";
        Fake::serve(
            Self {
                token: token.into(),
                messages: Vec::new(),
            },
            token,
        )
        .await
    }

    fn done(
        &mut self,
        method: &str,
        body: &Value,
        memory: &mut Memory,
    ) -> Result<Value, &'static str> {
        if method == "auth.test" {
            return Ok(json!({ "ok": true, "team": "Example", "user": "alertbridge" }));
        }
        let text = body["text"].as_str().unwrap_or_default().to_owned();
        if let Err(why) = check_message(body) {
            memory.violations.push(why);
            return Err("invalid_blocks");
        }
        let named = body["channel"].as_str().unwrap_or_default();
        let known = |ts: &Value| {
            self.messages
                .iter()
                .position(|message| *ts == message.ts.as_str())
        };
        match method {
            "chat.postMessage" => {
                if ![CHANNEL, "alerts", "#alerts"].contains(&named) {
                    return Err("channel_not_found");
                }
                let thread = &body["thread_ts"];
                if !thread.is_null() && known(thread).is_none() {
                    return Err("thread_not_found");
                }
                let ts = format!("1405894322.{:06}", self.messages.len() + 1);
                let thread = thread.as_str().map(ToOwned::to_owned);
                let action = if text.contains("[RESOLVED]") {
                    "resolve"
                } else {
                    "trigger"
                };
                memory.pages.push(Page {
                    action: action.into(),
                    key: text.clone(),
                    title: text.clone(),
                });
                self.messages.push(Message {
                    ts: ts.clone(),
                    thread,
                    text,
                    edits: 0,
                });
                Ok(json!({ "ok": true, "channel": CHANNEL, "ts": ts }))
            }
            "chat.update" => {
                // A name does not do here, and a longer text is not cut.
                if named != CHANNEL {
                    return Err("channel_not_found");
                }
                if units(&text) > 4000 {
                    return Err("msg_too_long");
                }
                if body["parse"] != "none" {
                    memory
                        .violations
                        .push("names in the message are looked up".into());
                }
                let place = known(&body["ts"]).ok_or("message_not_found")?;
                let message = &mut self.messages[place];
                (message.text, message.edits) = (text, message.edits + 1);
                Ok(json!({ "ok": true, "channel": CHANNEL, "ts": message.ts,
                            "text": message.text }))
            }
            _ => Err("unknown_method"),
        }
    }
}

impl Vendor for SlackBot {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        let error = |word: &str| Answer::json(200, &json!({ "ok": false, "error": word }));
        if call.header("authorization") != format!("Bearer {}", self.token) {
            memory.violations.push("a wrong token".into());
            return error("invalid_auth");
        }
        if call.header("content-type") != "application/json; charset=utf-8" {
            memory.violations.push("a body of another type".into());
            return error("invalid_post_type");
        }
        let Ok(body) = call.json() else {
            return error("invalid_json");
        };
        let method = call.target.strip_prefix("/api/").unwrap_or_default();
        match self.done(method, &body, memory) {
            Ok(done) => Answer::json(200, &done),
            Err(word) => error(word),
        }
    }

    /// Nothing is open or closed in a channel.
    fn open(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Fake<SlackBot> {
    /// `bot_api_url`.
    pub fn url(&self) -> String {
        format!("{}/api", self.origin())
    }

    pub fn messages(&self) -> Vec<Message> {
        self.lock().vendor.messages.clone()
    }

    /// Somebody deletes all there is.
    pub fn delete_all(&self) {
        self.lock().vendor.messages.clear();
    }
}
