//! Mail that a profile expects, and when it last came.

use std::sync::Arc;

use jiff::Timestamp;

/// Mail that a profile expects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpectedMail {
    pub profile: Arc<str>,
    pub key: String,
    /// When it last came, or since when it is expected.
    pub heard_at: Timestamp,
    /// Whether it is told to be missing.
    pub missing: bool,
}

/// A mail came that its profile expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    pub profile: Arc<str>,
    pub key: String,
    pub at: Timestamp,
}
