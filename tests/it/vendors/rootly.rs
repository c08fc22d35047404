//! Rootly's alerts (`new_alert`, `resolve_alert` in its OpenAPI): JSON:API, whose media type is
//! required; a summary and a source of the list; resolved by the id of the reply alone.
//! <https://docs.rootly.com/api-reference/alerts/creates-an-alert>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Answer, Call, Fake, Memory, Vendor, keyed::Keyed, optional, required};

const MEDIA_TYPE: &str = "application/vnd.api+json";

/// Of the sources those that say nothing of a vendor.
const SOURCES: [&str; 5] = ["api", "rootly", "manual", "web", "generic_webhook"];

pub struct Rootly {
    token: String,
    /// By id: the deduplication key, under which open alerts are one.
    alerts: BTreeMap<String, String>,
    keyed: Keyed,
}

impl Rootly {
    pub async fn start() -> Fake<Self> {
        let token = "rootly_0123456789abcdef";
        Fake::serve(Self::new(token), token).await
    }

    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            alerts: BTreeMap::new(),
            keyed: Keyed::default(),
        }
    }

    fn attributes(&self, call: &Call) -> Result<Value, (u16, String)> {
        if call.method != "POST" {
            return Err((404, format!("{} {}", call.method, call.target)));
        }
        if call.header("authorization") != format!("Bearer {}", self.token) {
            return Err((401, "a wrong token".into()));
        }
        if call.header("content-type") != MEDIA_TYPE {
            return Err((415, format!("the type {}", call.header("content-type"))));
        }
        let body = call.json().map_err(|what| (400, what))?;
        if body["data"]["type"] != "alerts" {
            return Err((422, "data.type is not alerts".into()));
        }
        Ok(body["data"]["attributes"].clone())
    }

    fn created(&mut self, call: &Call, memory: &mut Memory) -> Result<Answer, (u16, String)> {
        let wrong = |what| (422, what);
        let attributes = self.attributes(call)?;
        let summary = required(&attributes, "summary", 255).map_err(wrong)?;
        let source = required(&attributes, "source", 64).map_err(wrong)?;
        if !SOURCES.contains(&source) {
            return Err((422, format!("the source {source}")));
        }
        for field in ["description", "external_id", "external_url"] {
            optional(&attributes, field, 16_384).map_err(wrong)?;
        }
        if let Some(started_at) = attributes["started_at"].as_str() {
            let time = started_at.parse::<jiff::Timestamp>();
            time.map_err(|error| (422, format!("started_at: {error}")))?;
        }
        let key = required(&attributes, "deduplication_key", 512).map_err(wrong)?;

        let known = self
            .alerts
            .iter()
            .find(|(_, known)| *known == key && self.keyed.is_open(key))
            .map(|(id, _)| id.clone());
        let id = known
            .unwrap_or_else(|| format!("584db460-8c5d-4f34-9364-{:012}", self.alerts.len() + 1));
        self.alerts.insert(id.clone(), key.to_owned());
        self.keyed.take("trigger", key, summary, memory);
        let said =
            json!({ "data": { "id": id, "type": "alerts", "attributes": { "status": "open" } } });
        Ok(Answer::json(201, &said))
    }

    fn resolved(
        &mut self,
        id: &str,
        call: &Call,
        memory: &mut Memory,
    ) -> Result<Answer, (u16, String)> {
        let attributes = self.attributes(call)?;
        let fields = attributes.as_object().into_iter().flatten();
        let unknown = fields
            .map(|(name, _)| name.as_str())
            .find(|name| !["resolution_message", "resolve_related_incidents"].contains(name));
        if let Some(name) = unknown {
            return Err((422, format!("{name} is no attribute")));
        }
        let Some(key) = self.alerts.get(id).cloned() else {
            return Err((404, format!("there is no alert {id}")));
        };
        let message = attributes["resolution_message"].as_str();
        self.keyed
            .take("resolve", &key, message.unwrap_or_default(), memory);
        Ok(Answer::json(
            200,
            &json!({ "data": { "id": id, "type": "alerts" } }),
        ))
    }
}

impl Vendor for Rootly {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        let target = call.target.clone();
        let id = target
            .strip_prefix("/v1/alerts/")
            .and_then(|rest| rest.strip_suffix("/resolve"));
        let answer = match id {
            _ if target == "/v1/alerts" => self.created(call, memory),
            Some(id) => self.resolved(id, call, memory),
            None => Err((404, format!("{} {target}", call.method))),
        };
        answer.unwrap_or_else(|(status, what)| {
            memory.violations.push(what.clone());
            let said = json!({ "errors": [{ "title": what, "status": status.to_string() }] });
            Answer::json(status, &said)
        })
    }

    fn open(&self) -> Vec<String> {
        self.keyed.open()
    }
}

impl Fake<Rootly> {
    pub fn url(&self) -> String {
        format!("{}/v1/alerts", self.origin())
    }
}
