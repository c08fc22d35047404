//! Zenduty's Generic Integration: the table of parameters in
//! <https://zenduty.com/docs/generic-integration/>.

use serde_json::{Value, json};

use super::{Answer, Call, Fake, Memory, Vendor, keyed::Keyed, required};

const TYPES: [&str; 6] = [
    "critical",
    "acknowledged",
    "resolved",
    "error",
    "warning",
    "info",
];

pub struct Zenduty {
    key: String,
    alerts: Keyed,
}

impl Zenduty {
    pub async fn start() -> Fake<Self> {
        let key = "9d0b1f0e-3f3c-4b5d-8f4e-2c4b6e8a0c1d";
        Fake::serve(Self::new(key), key).await
    }

    pub fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            alerts: Keyed::default(),
        }
    }

    fn checked(&self, call: &Call) -> Result<(String, String, String), (u16, String)> {
        let path = format!("/integration/abc12/generic/{}/", self.key);
        if call.method != "POST" || call.target != path {
            return Err((404, format!("{} {}", call.method, call.target)));
        }
        let wrong = |what| (400, what);
        let body = call.json().map_err(wrong)?;
        let message = required(&body, "message", 255).map_err(wrong)?;
        required(&body, "summary", 16_384).map_err(wrong)?;
        let kind = required(&body, "alert_type", 16).map_err(wrong)?;
        if !TYPES.contains(&kind) {
            return Err((400, format!("the type {kind}")));
        }
        // Without one the API makes up another each time, and nothing resolves.
        let key = required(&body, "entity_id", 200).map_err(wrong)?;
        if !matches!(body["payload"], Value::Null | Value::Object(_)) {
            return Err((400, "payload is no object".into()));
        }
        for url in body["urls"].as_array().into_iter().flatten() {
            required(url, "link_url", 2048).map_err(wrong)?;
            required(url, "link_text", 255).map_err(wrong)?;
        }
        let action = if kind == "resolved" {
            "resolve"
        } else {
            "trigger"
        };
        Ok((action.to_owned(), key.to_owned(), message.to_owned()))
    }
}

impl Vendor for Zenduty {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        match self.checked(call) {
            Ok((action, key, message)) => {
                self.alerts.take(&action, &key, &message, memory);
                Answer::json(201, &json!({ "message": "success", "trace_id": "t" }))
            }
            Err((status, what)) => {
                memory.violations.push(what.clone());
                Answer::json(status, &json!({ "message": what }))
            }
        }
    }

    fn open(&self) -> Vec<String> {
        self.alerts.open()
    }
}

impl Fake<Zenduty> {
    pub fn url(&self) -> String {
        format!(
            "{}/integration/abc12/generic/{}/",
            self.origin(),
            self.key()
        )
    }
}
