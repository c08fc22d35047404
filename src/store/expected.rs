//! Mail that a profile expects, and when it last arrived.

use std::sync::Arc;

use jiff::Timestamp;

/// Mail that a profile expects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpectedMail {
    pub profile: Arc<str>,
    pub key: String,
    /// When the mail last arrived, or the time from which it is expected.
    pub heard_at: Timestamp,
    /// Whether it is reported missing.
    pub missing: bool,
}

impl ExpectedMail {
    /// Returns the profiles whose mail is missing.
    pub(super) fn missing(all: Vec<Self>) -> Vec<Arc<str>> {
        let missing = all.into_iter().filter(|mail| mail.missing);
        missing.map(|mail| mail.profile).collect()
    }
}

/// The arrival of a mail that its profile expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    pub profile: Arc<str>,
    pub key: String,
    pub at: Timestamp,
}
