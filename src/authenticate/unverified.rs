//! The section `alerts.authenticity.unverified` of the configuration: the treatment of mail without
//! proof of its sender.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What such mail may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// A trigger, or an alert that could not be read.
    pub trigger: ForTrigger,
    pub resolve: ForResolve,
    /// How many unverified triggers of an ingress may page in any hour, including those that could
    /// not be checked yet; those beyond it are quarantined.
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
    /// Pages, marked UNVERIFIED.
    Mark,
    /// Held for a person.
    Quarantine,
    /// Treated as genuine mail.
    Accept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ForResolve {
    /// Held for a person.
    Quarantine,
    /// Treated as genuine mail.
    Accept,
}
