//! `alerts.authenticity.unverified` of the configuration: what becomes of mail that is not proven
//! to be the sender's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What it may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// A trigger, or an alert that could not be read.
    pub trigger: ForTrigger,
    pub resolve: ForResolve,
    /// How many unverified triggers of an ingress are told in any hour, those included that could
    /// not be checked yet; those over it are quarantined.
    pub max_per_hour: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trigger: ForTrigger::Mark,
            resolve: ForResolve::Quarantine,
            max_per_hour: 20,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ForTrigger {
    /// Told, marked UNVERIFIED.
    Mark,
    /// Held for a person.
    Quarantine,
    /// As genuine mail.
    Accept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ForResolve {
    /// Held for a person.
    Quarantine,
    /// As genuine mail.
    Accept,
}
