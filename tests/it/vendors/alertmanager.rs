//! Alertmanager's API v2, as far as alerts are posted: what api/v2/api.go and types.Alert.Validate
//! refuse, and an alert known by its labels until its end passes. (The real one is asked too, see
//! `alertmanager.rs` beside this folder; this one counts, and knows what it was told.)

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{Answer, Call, Fake, Memory, Page, Vendor};

type Labels = BTreeMap<String, String>;

/// Returns the status with which a request with these aliases is refused, if it is.
type Refuses = fn(&[&str]) -> Option<u16>;

#[derive(Default)]
pub struct Alertmanager {
    /// By labels: when it ends.
    alerts: BTreeMap<Labels, Timestamp>,
    /// How a proxy before it refuses requests.
    refuses: Option<Refuses>,
}

impl Alertmanager {
    pub async fn start() -> Fake<Self> {
        Fake::serve(Self::default(), "").await
    }
}

impl Vendor for Alertmanager {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        let alerts = match checked(call) {
            Ok(alerts) => alerts,
            Err(why) => {
                memory.violations.push(why.clone());
                return Answer::json(400, &why.into());
            }
        };
        let aliases: Vec<_> = alerts
            .iter()
            .map(|(labels, ..)| &*labels["alias"])
            .collect();
        let refused = self.refuses.and_then(|refuses| refuses(&aliases));
        if let Some(status) = refused {
            return Answer::new(status, "refused");
        }
        let now = crate::delivery::now();
        for (labels, ends_at, title) in alerts {
            let was_open = self.alerts.get(&labels).is_some_and(|end| *end > now);
            let is_open = ends_at > now;
            let page = |action: &str| Page {
                action: action.to_owned(),
                key: labels.get("alias").cloned().unwrap_or_default(),
                title: title.clone(),
            };
            match (was_open, is_open) {
                (false, true) => memory.pages.push(page("trigger")),
                (true, false) => memory.pages.push(page("resolve")),
                (true, true) => memory.repeats.push(page("trigger").key),
                (false, false) => memory.repeats.push(page("resolve").key),
            }
            self.alerts.insert(labels, ends_at);
        }
        Answer::new(200, "")
    }

    fn open(&self) -> Vec<String> {
        let now = crate::delivery::now();
        self.alerts
            .iter()
            .filter(|(_, end)| **end > now)
            .map(|(labels, _)| labels["alias"].clone())
            .collect()
    }
}

impl Fake<Alertmanager> {
    /// From now on, requests are refused with the status that this says, given their aliases.
    pub fn refuse(&self, refuses: Refuses) {
        self.lock().vendor.refuses = Some(refuses);
    }
}

/// What was posted: labels, end and summary of each.
fn checked(call: &Call) -> Result<Vec<(Labels, Timestamp, String)>, String> {
    if (call.method.as_str(), call.target.as_str()) != ("POST", "/api/v2/alerts") {
        return Err(format!("{} {}", call.method, call.target));
    }
    if call.header("content-type") != "application/json" {
        return Err("unsupported media type".into());
    }
    let body = call.json()?;
    let alerts = body.as_array().ok_or("the body is no list")?;
    alerts.iter().map(alert).collect()
}

/// Whether these are alerts that it takes.
pub fn check(body: &Value) -> Result<(), String> {
    let alerts = body.as_array().ok_or("the body is no list")?;
    alerts.iter().try_for_each(|one| alert(one).map(drop))
}

fn alert(alert: &Value) -> Result<(Labels, Timestamp, String), String> {
    let labels = texts(&alert["labels"])?;
    let annotations = texts(&alert["annotations"])?;
    if labels.is_empty() || !labels.contains_key("alertname") {
        return Err("at least one label pair required".into());
    }
    for name in labels.keys().chain(annotations.keys()) {
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.starts_with(|c: char| c.is_ascii_digit());
        if !is_name {
            return Err(format!("invalid label name {name}"));
        }
    }
    let time = |field: &str| {
        let text = alert[field].as_str();
        let time = text.map(|text| text.parse::<Timestamp>().map_err(|error| error.to_string()));
        time.transpose()
    };
    let ends_at = time("endsAt")?.ok_or("no end: it would end by resolve_timeout")?;
    if time("startsAt")?.is_some_and(|starts_at| starts_at > ends_at) {
        return Err("start time must be before end time".into());
    }
    let summary = annotations.get("summary").cloned().unwrap_or_default();
    Ok((labels, ends_at, summary))
}

fn texts(map: &Value) -> Result<Labels, String> {
    serde_json::from_value(map.clone()).map_err(|error| error.to_string())
}
