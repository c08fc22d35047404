//! Composes each module's own settings.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{delivery, incident, ingress, label::SeverityRule, receiver, route, settings::Duration};

/// The whole configuration file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub global: Global,
    pub store: Store,
    pub admin: Admin,
    pub ingress: ingress::Settings,
    pub alerts: Alerts,
    pub templates: Vec<PathBuf>,
    pub time_intervals: Vec<route::interval::Settings>,
    pub route: route::Settings,
    pub receivers: Vec<receiver::Settings>,
    pub delivery: delivery::Settings,
    // Comes later: refused by name until then.
    pub canary: Option<serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Global {
    /// Where people reach the admin listener; pages link there.
    pub external_url: Option<String>,
    /// A trigger whose Date is older pages nobody. 0s: no limit.
    pub max_age: Duration,
}

impl Default for Global {
    fn default() -> Self {
        Self { external_url: None, max_age: Duration::from_secs(24 * 3600) }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `sqlite:FILE`.
    pub url: Option<String>,
    /// A file that holds the URL.
    pub url_file: Option<PathBuf>,
    /// Older mail is deleted, unless it is quarantined, undecided, of an open incident or still owed. 0s: kept for ever.
    pub mail_retention: Duration,
}

impl Default for Store {
    fn default() -> Self {
        Self { url: None, url_file: None, mail_retention: Duration::from_secs(90 * 86_400) }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    pub listen: String,
    /// The bearer token; may be left out on loopback only.
    pub token: Option<String>,
    pub token_file: Option<PathBuf>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8026".into(), token: None, token_file: None }
    }
}

/// What mail is an alert.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// The senders, compared exactly.
    pub from: Vec<String>,
    /// The apps expected; empty: any.
    pub app_keys: Vec<String>,
    pub on_missing_payload: OnMissingPayload,
    /// Replaces the schema that is built in.
    pub schema_file: Option<PathBuf>,
    pub authenticity: Authenticity,
    pub status: incident::Statuses,
    pub severity: Vec<SeverityRule>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            from: vec!["no-reply@am.atlassian.com".into()],
            app_keys: Vec::new(),
            on_missing_payload: OnMissingPayload::Ignore,
            schema_file: None,
            authenticity: Authenticity::default(),
            status: incident::Statuses::default(),
            severity: vec![
                SeverityRule { matchers: vec!["sli_gap>=20".into()], severity: "critical".into() },
                SeverityRule { matchers: Vec::new(), severity: "warning".into() },
            ],
        }
    }
}

/// What becomes of mail from the sender that has no script element.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnMissingPayload {
    #[default]
    Ignore,
    Notify,
}

/// `alerts.authenticity`: comes later; until then `require` may only be empty, which is what it means.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Authenticity {
    pub require: Vec<String>,
    pub domain: Option<String>,
    pub dns: Vec<String>,
    pub trusted_arc_sealers: Vec<String>,
    pub freshness: Option<Duration>,
    pub unverified: Option<serde_json::Value>,
}
