//! Splunk On-Call's REST endpoint: `message_type` alone is required, and `entity_id` is what the
//! messages of an incident share.
//! “Incident fields glossary” at
//! <https://help.splunk.com/en/splunk-observability-cloud/splunk-on-call/alerts>
//! It answers 200 and says in the body whether it took the message.

use serde_json::json;

use super::{Answer, Call, Fake, Memory, Vendor, keyed::Keyed, optional, required};

pub struct Splunk {
    key: String,
    incidents: Keyed,
}

impl Splunk {
    pub async fn start() -> Fake<Self> {
        let key = "36437f2c-9e1b-4c7a-8a1d-0123456789ab";
        Fake::serve(Self::new(key), key).await
    }

    pub fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            incidents: Keyed::default(),
        }
    }

    fn checked(&self, call: &Call) -> Result<(String, String, String), (u16, String)> {
        let path = format!("/integrations/generic/20131114/alert/{}/database", self.key);
        if call.method != "POST" || call.target != path {
            return Err((404, format!("{} {}", call.method, call.target)));
        }
        let body = call.json().map_err(|what| (200, what))?;
        let wrong = |what| (200, what);
        let action = match required(&body, "message_type", 16).map_err(wrong)? {
            "CRITICAL" => "trigger",
            "RECOVERY" => "resolve",
            // These wake nobody, or only where the organisation says so.
            other => return Err((200, format!("the type {other}"))),
        };
        let key = required(&body, "entity_id", 512).map_err(wrong)?;
        let title = required(&body, "entity_display_name", 512).map_err(wrong)?;
        optional(&body, "state_message", 20_480).map_err(wrong)?;
        Ok((action.to_owned(), key.to_owned(), title.to_owned()))
    }
}

impl Vendor for Splunk {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        match self.checked(call) {
            Ok((action, key, title)) => {
                self.incidents.take(&action, &key, &title, memory);
                Answer::json(200, &json!({ "result": "success", "entity_id": key }))
            }
            Err((status, what)) => {
                memory.violations.push(what.clone());
                Answer::json(status, &json!({ "result": "failure", "message": what }))
            }
        }
    }

    fn open(&self) -> Vec<String> {
        self.incidents.open()
    }
}

impl Fake<Splunk> {
    pub fn url(&self) -> String {
        format!(
            "{}/integrations/generic/20131114/alert/{}/database",
            self.origin(),
            self.key()
        )
    }
}
