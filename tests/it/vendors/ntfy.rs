//! ntfy's publishing API: <https://docs.ntfy.sh/publish/>, its limits (`#limitations`), and the
//! parameters' values as the server checks them (server/server.go, server/errors.go).

use serde_json::json;

use super::{Answer, Call, Fake, Memory, Page, Vendor, within};

/// Requests of one visitor at once; the bucket fills by one in 5 s.
const BURST: usize = 60;

const PRIORITIES: [&str; 11] = [
    "1", "2", "3", "4", "5", "min", "low", "default", "high", "max", "urgent",
];

/// One topic with access control.
pub struct Ntfy {
    token: String,
    requests: usize,
    open: Vec<String>,
}

impl Ntfy {
    pub async fn start() -> Fake<Self> {
        let token = "tk_agqdq7mvbofd37zqvn29rhuhmngzi";
        let ntfy = Self::new(token);
        Fake::serve(ntfy, token).await
    }

    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            requests: 0,
            open: Vec::new(),
        }
    }

    fn checked(&self, call: &Call) -> Result<(), (u16, u32, String)> {
        let wrong = |code, what: String| (400, code, what);
        if !["POST", "PUT"].contains(&call.method.as_str()) {
            return Err((404, 40401, format!("{} is no publishing", call.method)));
        }
        // `^/[-_A-Za-z0-9]{1,64}$`.
        let topic = call.target.strip_prefix('/').unwrap_or_default();
        let is_topic = (1..=64).contains(&topic.len())
            && topic
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_topic {
            return Err((404, 40401, format!("{} is no topic", call.target)));
        }
        if call.header("authorization") != format!("Bearer {}", self.token) {
            return Err((403, 40301, "a wrong token".into()));
        }
        if !PRIORITIES.contains(&call.header("priority")) {
            return Err(wrong(
                40007,
                format!("the priority {}", call.header("priority")),
            ));
        }
        within("title", call.header("title"), 4096).map_err(|what| wrong(40000, what))?;
        // Else the message becomes an attachment, which nobody reads at night.
        if call.body.len() > 4096 {
            return Err(wrong(41301, format!("{} bytes", call.body.len())));
        }
        std::str::from_utf8(&call.body)
            .map(drop)
            .map_err(|error| wrong(40000, error.to_string()))
    }
}

impl Vendor for Ntfy {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        self.requests += 1;
        if self.requests > BURST {
            let said =
                json!({ "code": 42901, "http": 429, "error": "limit reached: too many requests" });
            return Answer::json(429, &said);
        }
        if let Err((status, code, what)) = self.checked(call) {
            memory.violations.push(what.clone());
            let said = json!({ "code": code, "http": status, "error": what });
            return Answer::json(status, &said);
        }

        // The tag is all by which a reader tells one from the other.
        let over = call.header("tags") == "white_check_mark";
        let title = call.header("title").to_owned();
        if over {
            self.open.pop();
        } else {
            self.open.push(title.clone());
        }
        memory.pages.push(Page {
            action: if over { "resolve" } else { "trigger" }.to_owned(),
            key: title.clone(),
            title,
        });
        Answer::json(200, &json!({ "id": "hwQ2YpKdmg", "event": "message" }))
    }

    fn open(&self) -> Vec<String> {
        self.open.clone()
    }
}

impl Fake<Ntfy> {
    pub fn url(&self) -> String {
        format!("{}/on-call_7", self.origin())
    }
}
