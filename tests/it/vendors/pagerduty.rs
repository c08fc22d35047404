//! PagerDuty's Events API v2.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Answer, Call, Fake, Memory, Page, Vendor, optional, required};

/// Alerts by dedup key: whether they are open.
pub struct PagerDuty {
    key: String,
    alerts: BTreeMap<String, bool>,
    severities: BTreeMap<String, String>,
}

impl PagerDuty {
    pub async fn start() -> Fake<Self> {
        let key = "0123456789abcdef0123456789abcdef";
        Fake::serve(
            Self {
                key: key.into(),
                alerts: BTreeMap::new(),
                severities: BTreeMap::new(),
            },
            key,
        )
        .await
    }
}

impl Vendor for PagerDuty {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        let event = match checked(call, &self.key) {
            Ok(event) => event,
            Err(why) => {
                memory.violations.push(why.clone());
                let said = json!({ "status": "invalid event", "message": "Event object is \
                    invalid", "errors": [why] });
                return Answer::json(400, &said);
            }
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (action, key) = (text(&event["event_action"]), text(&event["dedup_key"]));
        let page = Page {
            action: action.clone(),
            key: key.clone(),
            title: text(&event["payload"]["summary"]),
        };
        if action == "trigger" {
            self.severities
                .insert(key.clone(), text(&event["payload"]["severity"]));
        }
        match (action.as_str(), self.alerts.get(&key)) {
            ("trigger", Some(true)) => memory.repeats.push(format!("trigger {key}")),
            ("trigger", _) => {
                self.alerts.insert(key.clone(), true);
                memory.pages.push(page);
            }
            ("resolve", Some(true)) => {
                self.alerts.insert(key.clone(), false);
                memory.pages.push(page);
            }
            // The real one drops these without a word.
            ("resolve", Some(false)) => memory.repeats.push(format!("resolve {key}")),
            ("resolve", None) => memory
                .violations
                .push(format!("a resolve of {key}, which was never triggered")),
            _ => {}
        }
        Answer::json(
            202,
            &json!({ "status": "success", "message": "Event processed", "dedup_key": key }),
        )
    }

    fn open(&self) -> Vec<String> {
        self.alerts
            .iter()
            .filter(|(_, open)| **open)
            .map(|(key, _)| key.clone())
            .collect()
    }
}

impl Fake<PagerDuty> {
    /// The severity of an alert as last triggered.
    pub fn severity(&self, key: &str) -> Option<String> {
        self.lock().vendor.severities.get(key).cloned()
    }

    /// The whole address of the API.
    pub fn url(&self) -> String {
        format!("{}/v2/enqueue", self.origin())
    }
}

fn checked(call: &Call, key: &str) -> Result<Value, String> {
    if (call.method.as_str(), call.target.as_str()) != ("POST", "/v2/enqueue") {
        return Err(format!("{} {} is no operation", call.method, call.target));
    }
    if call.body.len() > 512_000 {
        return Err(format!("the event has {} bytes", call.body.len()));
    }
    let event = call.json()?;
    check_event(&event)?;
    if event["routing_key"] == key {
        Ok(event)
    } else {
        Err("a wrong routing key".into())
    }
}

/// What the API takes.
pub fn check_event(event: &Value) -> Result<(), String> {
    if event.to_string().len() > 512_000 {
        return Err("the event is over 512 000 bytes".into());
    }
    if required(event, "routing_key", 32)?.chars().count() != 32 {
        return Err("the routing key has not 32 characters".into());
    }
    required(event, "dedup_key", 255)?;
    optional(event, "client", 1024)?;
    optional(event, "client_url", 2048)?;
    let action = required(event, "event_action", 16)?;
    if !["trigger", "acknowledge", "resolve"].contains(&action) {
        return Err(format!("the action {action}"));
    }
    for link in event["links"].as_array().into_iter().flatten() {
        let href = required(link, "href", 2048)?;
        if !href.starts_with("http://") && !href.starts_with("https://") {
            return Err(format!("the link {href}"));
        }
        optional(link, "text", 1024)?;
    }
    let payload = &event["payload"];
    if payload.is_null() && action != "trigger" {
        return Ok(());
    }
    required(payload, "summary", 1024)?;
    required(payload, "source", 1024)?;
    let severity = required(payload, "severity", 16)?;
    if !["critical", "error", "warning", "info"].contains(&severity) {
        return Err(format!("the severity {severity}"));
    }
    if let Some(timestamp) = payload["timestamp"].as_str() {
        timestamp
            .parse::<jiff::Timestamp>()
            .map_err(|error| format!("the timestamp {timestamp}: {error}"))?;
    }
    for field in ["component", "group", "class"] {
        optional(payload, field, 1024)?;
    }
    match &payload["custom_details"] {
        Value::Null | Value::Object(_) => Ok(()),
        _ => Err("custom_details is no object".into()),
    }
}
