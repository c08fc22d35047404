//! The section `alerts.authenticity.unverified` of the configuration: the treatment of mail without
//! proof of its sender.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The limits on unproven mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The treatment of an unproven trigger, or of an unproven alert that cannot be read. The
    /// default is `mark`.
    pub trigger: ForTrigger,
    /// The treatment of an unproven resolve. The default is `quarantine`: if it is `accept`,
    /// anybody who can send you mail can end your incidents.
    pub resolve: ForResolve,
    /// How many unproven triggers of each ingress may page in any hour, including those that could
    /// not be checked yet. Those beyond it are quarantined. The default is 20.
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

/// What happens to an unproven trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ForTrigger {
    /// It pages, marked UNVERIFIED.
    Mark,
    /// It is held for a person.
    Quarantine,
    /// It is treated as genuine mail.
    Accept,
}

/// The treatment of an unproven resolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ForResolve {
    /// It is held for a person.
    Quarantine,
    /// It is treated as genuine mail.
    Accept,
}
