//! 2. Message → the JSON hidden in it. Home of mail-parser, lol_html and scraper.

use serde_json::Value;

/// What a mail holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Extracted {
    /// The alert's JSON, not yet checked against the schema.
    Json(Value),
    /// An alert that cannot be read: `reason` says why, `key` is made from the payload's hash, so that copies page once.
    Unreadable { reason: String, key: String },
    /// Mail that is no alert: another sender, or no script element.
    NoAlert(NoAlert),
}

/// Why a mail is no alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAlert {
    /// Not from a configured sender. The sentence says what is odd.
    OtherSender(String),
    /// From the sender, and without the element.
    NoPayload(String),
}
