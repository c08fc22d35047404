//! What was found in a mail, for whoever writes a profile.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;

use crate::extract::{contents::Attachment, pairs::Pairs};

/// Why a profile does not take a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Miss {
    pub profile: String,
    pub reason: String,
}

/// Everything that a profile's templates may speak of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// Label and value of each, in the mail's order.
    pub pairs: Pairs,
    /// The named groups of `regex` that matched.
    pub groups: IndexMap<String, String>,
    /// The JSON found; null where there is none.
    pub json: Value,
    /// What is wrong with the JSON, or kept a part from being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
    /// What `each` found: the groups, or the JSON, of every item.
    pub items: Vec<Value>,
    pub attachments: Vec<Attachment>,
    /// The beginning of the text.
    pub text: String,
}
