//! Labels, and the matchers that test them.

use std::{borrow::Cow, collections::BTreeMap};

/// One of `alerts.severity`: the first whose matchers all hold names the severity.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SeverityRule {
    pub matchers: Vec<String>,
    pub severity: String,
}

/// What routes and templates see of an alert. A label not set reads as empty, as in Alertmanager.
pub type Labels = BTreeMap<Cow<'static, str>, String>;
