//! The vocabulary of the configuration: durations, sizes, secrets, and a problem with its fix.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod as_text;
pub mod bounds;
mod byte_size;
pub mod cause;
mod duration;
pub mod expression;
pub mod host;
mod nearest;
pub mod network;
pub mod networks;
pub mod oidc;
pub mod placeholder;
mod secret;
pub mod users;

use as_text::as_text;
pub use byte_size::ByteSize;
pub use duration::Duration;
pub use nearest::nearest;
pub use secret::{Secret, SecretError, SecretText};

/// A switch that is on unless the configuration turns it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct DefaultOn(bool);

impl DefaultOn {
    pub const fn is_on(self) -> bool {
        self.0
    }
}

impl Default for DefaultOn {
    fn default() -> Self {
        Self(true)
    }
}

/// A problem of the configuration, and how to fix it. It never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path of the key: `route.routes[1].matchers[0]`.
    pub key: String,
    /// What is wrong, as a sentence without its full stop.
    pub what: String,
    /// How to fix it.
    pub mend: String,
}

/// Writes the problem on one line, for warnings.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.key, self.what, self.mend)
    }
}

impl Problem {
    pub fn new(key: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            what: what.into(),
            mend: mend.into(),
        }
    }
}
