//! Everything that was found in a mail, for the author of a profile.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;

use crate::{
    extract::{Contents, contents::Attachment, pairs::Pairs},
    message::Mended,
};

/// The length of the text that is shown, in characters.
const SHOWN_TEXT: usize = 4_000;

/// Why a profile does not take a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Miss {
    pub profile: String,
    pub reason: String,
}

/// Everything that a profile's templates may use.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// The label and the value of each pair, in the mail's order.
    pub pairs: Pairs,
    /// The named groups of `regex` that matched.
    pub groups: IndexMap<String, String>,
    /// The JSON that was found; null if there is none.
    pub json: Value,
    /// What is wrong with the JSON, or what kept a part of the mail from being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
    /// What `each` found: the groups, or the JSON, of every item.
    pub items: Vec<Value>,
    pub attachments: Vec<Attachment>,
    /// The beginning of the text.
    pub text: String,
}

impl Trace {
    /// Returns what is found in a mail without a profile: no groups, JSON or items.
    pub fn of(raw: &[u8]) -> Self {
        let mail = Mended::of(raw);
        Self::of_contents(Contents::of(mail.header(), mail.body()))
    }

    pub(super) fn of_contents(contents: Contents) -> Self {
        Self {
            pairs: contents.pairs,
            groups: IndexMap::new(),
            json: Value::Null,
            obstacle: contents.obstacle,
            items: Vec::new(),
            attachments: contents.attachments,
            text: contents.text.chars().take(SHOWN_TEXT).collect(),
        }
    }
}
