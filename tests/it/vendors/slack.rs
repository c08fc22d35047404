//! A Slack incoming webhook. It has no keys: what was posted, was posted.

use serde_json::Value;

use super::{Answer, Call, Fake, Memory, Page, Vendor, required, within};

/// The messages of one channel.
pub struct Slack {
    secret: String,
    messages: Vec<Value>,
}

impl Slack {
    pub async fn start() -> Fake<Self> {
        let secret = "qJ8k2mXw0pZr4tVy6uB9sLdN";
        Fake::serve(
            Self {
                secret: secret.into(),
                messages: Vec::new(),
            },
            secret,
        )
        .await
    }
}

impl Vendor for Slack {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        if call.target != path(&self.secret) {
            memory.violations.push("a wrong address".into());
            return Answer::new(404, "no_service");
        }
        let checked = call.json().map_err(|why| (why, "invalid_payload"));
        match checked.and_then(|message| {
            check_message(&message)
                .map(|()| message)
                .map_err(|why| (why, "invalid_blocks"))
        }) {
            Err((why, word)) => {
                memory.violations.push(why);
                Answer::new(400, word)
            }
            Ok(message) => {
                let title = message["text"].as_str().unwrap_or_default().to_owned();
                let action = if title.contains("[RESOLVED]") {
                    "resolve"
                } else {
                    "trigger"
                };
                memory.pages.push(Page {
                    action: action.into(),
                    key: title.clone(),
                    title,
                });
                self.messages.push(message);
                Answer::new(200, "ok")
            }
        }
    }

    /// Nothing is open or closed in a channel.
    fn open(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Fake<Slack> {
    /// The webhook's address, a secret as a whole.
    pub fn url(&self) -> String {
        format!("{}{}", self.origin(), path(self.key()))
    }

    pub fn messages(&self) -> Vec<Value> {
        self.lock().vendor.messages.clone()
    }
}

fn path(secret: &str) -> String {
    format!("/services/T0000000/B0000000/{secret}")
}

/// What a webhook takes.
pub fn check_message(message: &Value) -> Result<(), String> {
    escaped("text", required(message, "text", 40_000)?)?;
    let blocks = message["blocks"].as_array().ok_or("no blocks")?;
    if blocks.is_empty() || blocks.len() > 50 {
        return Err(format!("{} blocks", blocks.len()));
    }
    blocks.iter().try_for_each(check_block)
}

fn check_block(block: &Value) -> Result<(), String> {
    let kind = block["type"].as_str().unwrap_or_default();
    match kind {
        "header" => {
            if block["text"]["type"] != "plain_text" {
                return Err("a header is plain text".into());
            }
            text_object(&block["text"], 150)
        }
        "section" => {
            let fields = block["fields"].as_array().map_or(&[][..], Vec::as_slice);
            if fields.len() > 10 {
                return Err("more than ten fields".into());
            }
            fields
                .iter()
                .try_for_each(|field| text_object(field, 2000))?;
            if block["text"].is_null() && !fields.is_empty() {
                Ok(())
            } else {
                text_object(&block["text"], 3000)
            }
        }
        "context" => match block["elements"].as_array() {
            Some(elements) if (1..=10).contains(&elements.len()) => elements
                .iter()
                .try_for_each(|element| text_object(element, 3000)),
            _ => Err("a context of none or too many elements".into()),
        },
        "divider" => Ok(()),
        _ => Err(format!("a block of type {kind:?}")),
    }
}

fn text_object(object: &Value, max: usize) -> Result<(), String> {
    if !["plain_text", "mrkdwn"].contains(&object["type"].as_str().unwrap_or_default()) {
        return Err("a text of no type".into());
    }
    let text = required(object, "text", max)?;
    within("text", text, max)?;
    escaped("text", text)
}

/// Every `&` begins one of Slack's entities, every `<` ends in `>`.
pub fn escaped(field: &str, text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('&') {
        if !["&amp;", "&lt;", "&gt;"]
            .iter()
            .any(|entity| text[at..].starts_with(entity))
        {
            return Err(format!("`{field}` holds an `&` that begins no entity"));
        }
    }
    for (at, _) in text.match_indices('<') {
        if !text[at..].contains('>') {
            return Err(format!("`{field}` holds a `<` that does not end"));
        }
    }
    Ok(())
}
