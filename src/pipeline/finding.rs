//! One thing that was found in a mail. Pure.

use serde_json::Value;

use crate::{delivery::sha256_hex, incident::Incident};

#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    Incident {
        incident: Box<Incident>,
        /// JSON pointers the schema does not know.
        unknown: Vec<String>,
    },
    /// An alert that cannot be read, under a key made from its payload; with the JSON where it is
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
    /// What in it the schema does not know.
    pub fn drift(&self) -> &[String] {
        match self {
            Self::Incident { unknown, .. } => unknown,
            _ => &[],
        }
    }
}

/// The key of an alert that has no id of its own.
pub(super) fn unparsed_key(payload: &[u8]) -> String {
    format!("unparsed-{}", &sha256_hex(payload)[..32])
}
