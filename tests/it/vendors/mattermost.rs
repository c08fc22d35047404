//! Mattermost's incoming webhooks.
//! <https://developers.mattermost.com/integrate/webhooks/incoming/> and, of attachments,
//! <https://developers.mattermost.com/integrate/reference/message-attachments/>: `fallback` is
//! required, texts are Markdown in which `@channel` mentions everybody, and a message has at most
//! 16,383 characters.

use serde_json::{Value, json};

use super::{Answer, Call, Fake, Memory, Page, Vendor, optional, required};

const MESSAGE: usize = 16_383;

pub struct Mattermost {
    key: String,
    open: usize,
}

impl Mattermost {
    pub async fn start() -> Fake<Self> {
        let key = "xw3g7ub8kbgz9fd1kpzqtsa8ko";
        Fake::serve(Self::new(key), key).await
    }

    pub fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            open: 0,
        }
    }

    fn checked(&self, call: &Call) -> Result<(String, bool), (u16, String)> {
        if call.method != "POST" || call.target != format!("/hooks/{}", self.key) {
            return Err((404, "Invalid webhook.".into()));
        }
        if !call.header("content-type").starts_with("application/json") {
            return Err((400, "the body is no JSON by its type".into()));
        }
        let wrong = |what| (400, what);
        let body = call.json().map_err(wrong)?;
        optional(&body, "text", MESSAGE).map_err(wrong)?;
        let attachments = body["attachments"].as_array();
        let Some([attachment]) = attachments.map(Vec::as_slice) else {
            return Err((400, "there is not one attachment".into()));
        };
        required(attachment, "fallback", MESSAGE).map_err(wrong)?;
        let color = required(attachment, "color", 7).map_err(wrong)?;
        let text = required(attachment, "text", MESSAGE).map_err(wrong)?;
        let fallback = attachment["fallback"].as_str().unwrap_or_default();
        let mentions = ["@channel", "@all", "@here"];
        if mentions.iter().any(|mention| fallback.contains(mention)) {
            return Err((400, "somebody is mentioned".into()));
        }
        // Within a block of code nothing is Markdown; nothing in it ends it.
        let code = text
            .strip_prefix("```\n")
            .and_then(|text| text.strip_suffix("\n```"));
        match code {
            Some(code) if !code.contains('`') => {
                let title = code.lines().next().unwrap_or_default().to_owned();
                Ok((title, color == "#2EB67D"))
            }
            _ => Err((400, "what an alert says is Markdown".into())),
        }
    }
}

impl Vendor for Mattermost {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        match self.checked(call) {
            Ok((title, over)) => {
                self.open = if over {
                    self.open.saturating_sub(1)
                } else {
                    self.open + 1
                };
                memory.pages.push(Page {
                    action: if over { "resolve" } else { "trigger" }.to_owned(),
                    key: title.clone(),
                    title,
                });
                Answer::new(200, "ok")
            }
            Err((status, what)) => {
                memory.violations.push(what.clone());
                let said: Value = json!({ "id": "web.incoming_webhook.error", "message": what,
                                          "status_code": status });
                Answer::json(status, &said)
            }
        }
    }

    fn open(&self) -> Vec<String> {
        vec!["a message".to_owned(); self.open]
    }
}

impl Fake<Mattermost> {
    pub fn url(&self) -> String {
        format!("{}/hooks/{}", self.origin(), self.key())
    }
}
