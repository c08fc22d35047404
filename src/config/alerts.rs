//! The section `alerts` of the configuration.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    authenticate, incident,
    label::SeverityRule,
    settings::{Problem, host::is_address},
};

/// Which mail is an alert of Atlassian's, how it proves its sender, and what it means.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// The addresses from which alerts are sent, each in full; case makes no difference. The
    /// default is Atlassian's, `no-reply@am.atlassian.com`.
    pub from: Vec<String>,
    /// The keys of the apps from which alerts are expected, such as `com.example.app`. Genuine mail
    /// about any other app is held for a person. If empty, every app is expected.
    pub app_keys: Vec<String>,
    /// What happens to mail from these senders that contains no alert. The default is `ignore`.
    pub on_missing_payload: OnMissingPayload,
    /// A JSON Schema file that an alert's JSON must fit. It replaces the built-in schema, which
    /// `alertbridge schema incident` prints.
    pub schema_file: Option<PathBuf>,
    /// How mail must prove that it is Atlassian's.
    pub authenticity: authenticate::Settings,
    /// Which statuses open an incident, and which end it.
    pub status: incident::Statuses,
    /// The rules that derive the label `severity`. The first rule whose matchers all match applies;
    /// if none does, the severity is `warning`. By default `sli_gap>=20` is `critical`, and
    /// everything else is `warning`.
    pub severity: Vec<SeverityRule>,
    /// The labels whose changes are announced while the incident is open. The default is
    /// `[severity]`; if empty, no change is announced.
    pub notify_on_change: Vec<String>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            from: vec!["no-reply@am.atlassian.com".into()],
            app_keys: Vec::new(),
            on_missing_payload: OnMissingPayload::Ignore,
            schema_file: None,
            authenticity: authenticate::Settings::default(),
            status: incident::Statuses::default(),
            severity: vec![
                SeverityRule {
                    matchers: vec!["sli_gap>=20".into()],
                    severity: "critical".into(),
                },
                SeverityRule {
                    matchers: Vec::new(),
                    severity: "warning".into(),
                },
            ],
            notify_on_change: vec!["severity".into()],
        }
    }
}

impl Alerts {
    /// Returns the problems of the settings; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        if self.from.is_empty() {
            found.push(Problem::new(
                format!("{key}.from"),
                "without a sender no mail is an alert",
                "add the sender: `from: [no-reply@am.atlassian.com]`",
            ));
        }

        for (index, from) in self.from.iter().enumerate() {
            // A star is a legal character of addresses, and it is no wildcard here.
            if !is_address(from) || from.contains('*') {
                found.push(Problem::new(
                    format!("{key}.from[{index}]"),
                    format!("`{from}` is not a valid mail address"),
                    "write the bare address: `no-reply@am.atlassian.com`",
                ));
            }
        }

        for (index, app) in self.app_keys.iter().enumerate() {
            if app.is_empty() || app.contains(char::is_whitespace) {
                found.push(Problem::new(
                    format!("{key}.app_keys[{index}]"),
                    format!("`{app}` is not a valid app key, and every alert would be held"),
                    "write the key of the app: `com.example.app`",
                ));
            }
        }

        found.extend(self.authenticity.check(&format!("{key}.authenticity")));
        found.extend(self.status.check(&format!("{key}.status")));

        found
    }
}

/// What happens to mail from the sender that has no script element with an alert.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnMissingPayload {
    /// The mail is ignored.
    #[default]
    Ignore,
    /// The mail pages as an alert that cannot be read (`unparsed`).
    Notify,
}
