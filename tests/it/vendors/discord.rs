//! A Discord webhook: embeds within their limits, five requests in two seconds, and an answer when
//! the message is there.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Answer, Call, Fake, Memory, Page, Vendor, optional, units, within};

/// So many requests in this time.
const BUCKET: (usize, Duration) = (5, Duration::from_secs(2));

/// The messages of one channel.
pub struct Discord {
    token: String,
    messages: Vec<Value>,
    /// When the requests of the bucket came.
    bucket: VecDeque<Instant>,
}

impl Discord {
    pub async fn start() -> Fake<Self> {
        let token = "hQ2vT8nK4xR6pLsW0cYbZ1mJd7fGa3eUoIiN5tBqXyEwMrVkPzCjHuSgDlFoAy9T";
        Fake::serve(
            Self {
                token: token.into(),
                messages: Vec::new(),
                bucket: VecDeque::new(),
            },
            token,
        )
        .await
    }

    /// How long until there is room for another request.
    fn full(&mut self) -> Option<Duration> {
        let now = Instant::now();
        while self
            .bucket
            .front()
            .is_some_and(|came| now.duration_since(*came) >= BUCKET.1)
        {
            self.bucket.pop_front();
        }
        if self.bucket.len() < BUCKET.0 {
            self.bucket.push_back(now);
            return None;
        }
        self.bucket
            .front()
            .map(|came| BUCKET.1.saturating_sub(now.duration_since(*came)))
    }
}

impl Vendor for Discord {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        let (path, query) = call.target.split_once('?').unwrap_or((&call.target, ""));
        if (call.method.as_str(), path) != ("POST", &*self::path(&self.token)) {
            memory.violations.push("a wrong address".into());
            return Answer::json(
                401,
                &json!({ "message": "Invalid Webhook Token", "code": 50027 }),
            );
        }
        if let Some(wait) = self.full() {
            let said = json!({
                "message": "You are being rate limited.",
                "retry_after": wait.as_secs_f64(),
                "global": false,
            });
            let whole = wait.as_secs_f64().ceil().to_string();
            return Answer::json(429, &said).with("retry-after", &whole);
        }
        let checked = call
            .json()
            .and_then(|message| check_message(&message).map(|()| message));
        let message = match checked {
            Ok(message) => message,
            Err(why) => {
                memory.violations.push(why.clone());
                let errors = json!({ "embeds": why });
                let said =
                    json!({ "message": "Invalid Form Body", "code": 50035, "errors": errors });
                return Answer::json(400, &said);
            }
        };
        let title = plain(message["embeds"][0]["title"].as_str().unwrap_or_default());
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
        if query.split('&').any(|parameter| parameter == "wait=true") {
            return Answer::json(
                200,
                &json!({ "id": (1_310_000_000_000_000_000 + self.messages.len()).to_string() }),
            );
        }
        memory
            .violations
            .push("nobody waits for the message: one that is not saved is no error".into());
        Answer::new(204, "")
    }

    /// Nothing is open or closed in a channel.
    fn open(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Fake<Discord> {
    /// The webhook's address, a secret as a whole.
    pub fn url(&self) -> String {
        format!("{}{}", self.origin(), path(self.key()))
    }

    pub fn messages(&self) -> Vec<Value> {
        self.lock().vendor.messages.clone()
    }
}

fn path(token: &str) -> String {
    format!("/api/webhooks/1310000000000000000/{token}")
}

/// As it reads: a backslash before punctuation does not show.
fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut characters = markdown.chars().peekable();
    while let Some(c) = characters.next() {
        if c != '\\' || !characters.peek().is_some_and(char::is_ascii_punctuation) {
            text.push(c);
        } else {
            text.extend(characters.next());
        }
    }
    text
}

/// What a webhook takes, and that it mentions nobody.
pub fn check_message(message: &Value) -> Result<(), String> {
    optional(message, "content", 2000)?;
    if message["allowed_mentions"] != json!({ "parse": [] }) {
        return Err("somebody may be mentioned".into());
    }
    let embeds = message["embeds"].as_array().map_or(&[][..], Vec::as_slice);
    if embeds.len() > 10 || (embeds.is_empty() && message["content"].is_null()) {
        return Err(format!("{} embeds", embeds.len()));
    }
    let total = embeds
        .iter()
        .map(check_embed)
        .sum::<Result<usize, String>>()?;
    if total > 6000 {
        Err(format!("the embeds have {total} units together"))
    } else {
        Ok(())
    }
}

/// An embed within its limits; how much it adds to the total.
fn check_embed(embed: &Value) -> Result<usize, String> {
    let mut total = 0;
    for (pointer, max) in [
        ("/title", 256),
        ("/description", 4096),
        ("/footer/text", 2048),
        ("/author/name", 256),
    ] {
        let Some(text) = embed.pointer(pointer) else {
            continue;
        };
        let text = text
            .as_str()
            .ok_or_else(|| format!("{pointer} is not a string"))?;
        within(pointer, text, max)?;
        total += units(text);
    }
    let fields = embed["fields"].as_array().map_or(&[][..], Vec::as_slice);
    if fields.len() > 25 {
        return Err(format!("{} fields", fields.len()));
    }
    for field in fields {
        for (key, max) in [("name", 256), ("value", 1024)] {
            total += units(super::required(field, key, max)?);
        }
    }
    if total == 0 {
        return Err("an empty embed".into());
    }
    if let Some(timestamp) = embed["timestamp"].as_str() {
        timestamp
            .parse::<jiff::Timestamp>()
            .map_err(|error| format!("the timestamp {timestamp}: {error}"))?;
    }
    match &embed["color"] {
        Value::Null => Ok(total),
        color if color.as_u64().is_some_and(|color| color <= 0xFF_FF_FF) => Ok(total),
        color => Err(format!("the colour {color}")),
    }
}
