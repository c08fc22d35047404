//! One thing that was found in a mail. Pure.

use serde_json::Value;

use crate::{delivery::sha256_hex, incident::Incident};

#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    Incident {
        incident: Box<Incident>,
        /// JSON pointers to members that the schema does not know.
        unknown: Vec<String>,
    },
    /// An alert that cannot be read, under a key made from its payload, with its JSON if it is
    /// JSON.
    Unreadable {
        key: String,
        reason: String,
        json: Value,
    },
    Quarantined {
        reason: String,
    },
    Ignored {
        reason: String,
    },
}

impl Finding {
    /// Returns the JSON pointers to what the schema does not know.
    pub fn drift(&self) -> &[String] {
        match self {
            Self::Incident { unknown, .. } => unknown,
            _ => &[],
        }
    }
}

/// Returns the key of an alert that has no id of its own.
pub(super) fn unparsed_key(payload: &[u8]) -> String {
    format!("unparsed-{}", &sha256_hex(payload)[..32])
}
