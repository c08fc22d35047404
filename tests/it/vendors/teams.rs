//! A Microsoft Teams Workflow: it says 202 to any JSON, and posts the card afterwards, or fails
//! where nobody is told.

use serde_json::{Value, json};

use super::{Answer, Call, Fake, Memory, Page, Vendor, required, within};

/// The cards of one channel.
pub struct Teams {
    signature: String,
    cards: Vec<Value>,
}

impl Teams {
    pub async fn start() -> Fake<Self> {
        let signature = "Zk3pQ7w-1rT5yVbN0mXcE8sLdJhGfAq2uIoR6tYx9Kw";
        Fake::serve(
            Self {
                signature: signature.into(),
                cards: Vec::new(),
            },
            signature,
        )
        .await
    }
}

impl Vendor for Teams {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        let refused = |status, code: &str, message: &str| {
            Answer::json(
                status,
                &json!({ "error": { "code": code, "message": message } }),
            )
        };
        if (call.method.as_str(), call.target.as_str()) != ("POST", &*path(&self.signature)) {
            memory.violations.push("a wrong address".into());
            return refused(
                401,
                "DirectApiAuthorizationRequired",
                "The request must be authenticated.",
            );
        }
        let message = match call.json() {
            Ok(message) if call.header("content-type").starts_with("application/json") => message,
            _ => {
                memory.violations.push("no JSON".into());
                return refused(
                    400,
                    "InvalidRequestContent",
                    "The request content is not valid.",
                );
            }
        };
        match check_message(&message) {
            // The run fails later on, in the flow's history.
            Err(why) => memory.violations.push(why),
            Ok(title) => {
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
                self.cards.push(message);
            }
        }
        Answer::new(202, "")
    }

    /// Nothing is open or closed in a channel.
    fn open(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Fake<Teams> {
    /// The flow's address, a secret as a whole.
    pub fn url(&self) -> String {
        format!("{}{}", self.origin(), path(self.key()))
    }

    pub fn cards(&self) -> Vec<Value> {
        self.lock().vendor.cards.clone()
    }
}

fn path(signature: &str) -> String {
    format!(
        "/workflows/0f/triggers/manual/paths/invoke\
         ?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={signature}"
    )
}

/// What is posted as it stands; its headline.
pub fn check_message(message: &Value) -> Result<String, String> {
    let size = message.to_string().len();
    if size >= 20_000 {
        return Err(format!("the message has {size} bytes"));
    }
    let attachment = match message["attachments"].as_array().map(Vec::as_slice) {
        Some([attachment]) if message["type"] == "message" => attachment,
        _ => return Err("no message with one attachment".into()),
    };
    let card = &attachment["content"];
    if attachment["contentType"] != "application/vnd.microsoft.card.adaptive"
        || card["type"] != "AdaptiveCard"
    {
        return Err("no Adaptive Card".into());
    }
    if card["version"] != "1.4" {
        return Err(format!("the version {}", card["version"]));
    }
    let body = card["body"]
        .as_array()
        .filter(|body| !body.is_empty())
        .ok_or("an empty card")?;
    body.iter().try_for_each(check_block)?;
    required(&body[0]["inlines"][0], "text", 256).map(ToOwned::to_owned)
}

/// Text runs alone: everything else that holds text reads Markdown.
fn check_block(block: &Value) -> Result<(), String> {
    if block["type"] != "RichTextBlock" {
        return Err(format!("{} reads Markdown", block["type"]));
    }
    let runs = block["inlines"]
        .as_array()
        .filter(|runs| !runs.is_empty())
        .ok_or("a block without text")?;
    runs.iter().try_for_each(|run| {
        if run["type"] != "TextRun" {
            return Err(format!("a {} in a RichTextBlock", run["type"]));
        }
        let named =
            |key: &str, words: &[&str]| run[key].as_str().is_none_or(|word| words.contains(&word));
        if !named(
            "size",
            &["Small", "Default", "Medium", "Large", "ExtraLarge"],
        ) || !named("weight", &["Lighter", "Default", "Bolder"])
            || !named(
                "color",
                &[
                    "Default",
                    "Dark",
                    "Light",
                    "Accent",
                    "Good",
                    "Warning",
                    "Attention",
                ],
            )
        {
            return Err(format!("a word no card has: {run}"));
        }
        within("text", required(run, "text", 20_000)?, 20_000)
    })
}
