//! incident.io's alert events of an HTTP source.
//! <https://docs.incident.io/api-reference/alert-events-v2/createhttp>: the status is `firing` or
//! `resolved`, title and status are required, and so is the key at sources that are new. 1,200
//! requests a minute are allowed.

use serde_json::{Value, json};

use super::{Answer, Call, Fake, Memory, Vendor, keyed::Keyed, optional, required};

const REQUESTS: usize = 1200;

pub struct IncidentIo {
    token: String,
    requests: usize,
    alerts: Keyed,
}

impl IncidentIo {
    pub async fn start() -> Fake<Self> {
        let token = "some-random-string";
        Fake::serve(Self::new(token), token).await
    }

    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            requests: 0,
            alerts: Keyed::default(),
        }
    }

    fn checked(&self, call: &Call) -> Result<(String, String, String), (u16, String)> {
        let path = "/v2/alert_events/http/01GW2G3V0S59R238FAHPDS1R66";
        if call.method != "POST" || call.target != path {
            return Err((404, format!("{} {}", call.method, call.target)));
        }
        if call.header("authorization") != format!("Bearer {}", self.token) {
            return Err((401, "a wrong token".into()));
        }
        let wrong = |what| (422, what);
        let body = call.json().map_err(wrong)?;
        let title = required(&body, "title", 1024).map_err(wrong)?;
        let key = required(&body, "deduplication_key", 512).map_err(wrong)?;
        optional(&body, "description", 16_384).map_err(wrong)?;
        optional(&body, "source_url", 2048).map_err(wrong)?;
        if !matches!(body["metadata"], Value::Null | Value::Object(_)) {
            return Err((422, "metadata is no object".into()));
        }
        let action = match body["status"].as_str() {
            Some("firing") => "trigger",
            Some("resolved") => "resolve",
            other => return Err((422, format!("the status {other:?}"))),
        };
        Ok((action.to_owned(), key.to_owned(), title.to_owned()))
    }
}

impl Vendor for IncidentIo {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        self.requests += 1;
        if self.requests > REQUESTS {
            return Answer::json(429, &json!({ "type": "too_many_requests", "status": 429 }));
        }
        match self.checked(call) {
            Ok((action, key, title)) => {
                self.alerts.take(&action, &key, &title, memory);
                let said = json!({ "deduplication_key": key, "message": "Event accepted for \
                    processing", "status": "success" });
                Answer::json(202, &said)
            }
            Err((status, what)) => {
                memory.violations.push(what.clone());
                let said = json!({ "type": "validation_error", "status": status,
                                   "errors": [{ "message": what }] });
                Answer::json(status, &said)
            }
        }
    }

    fn open(&self) -> Vec<String> {
        self.alerts.open()
    }
}

impl Fake<IncidentIo> {
    pub fn url(&self) -> String {
        format!(
            "{}/v2/alert_events/http/01GW2G3V0S59R238FAHPDS1R66",
            self.origin()
        )
    }
}
