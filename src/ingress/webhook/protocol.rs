//! How a provider posts mail: what proves that a request is the provider's, and where in it the raw
//! mail is.
//!
//! A provider only vouches for the transport, that is, that it received this mail. Another stage
//! asks who wrote the mail.

use async_trait::async_trait;
use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode},
};
use jiff::Timestamp;

use super::{
    answer::{Fault, Refusal},
    credential::{Credential, Proof},
    fetch::Fetch,
    once::Claim,
    password,
};
use crate::settings::Problem;

/// What is known about a provider before its settings are read.
pub(super) struct Kind {
    /// The proofs that its requests can carry, the strongest first.
    pub(super) proofs: &'static [Proof],
    /// Whether it may have no proof if the listener is on loopback.
    pub(super) may_be_open: bool,
    /// Whether a proof cannot be reused for another mail by somebody who has seen it once. A proof
    /// that is not a signature counts as such: it is a secret, which anybody who sees it has
    /// anyway.
    pub(super) covers_mail: bool,
    /// Prepares the provider's protocol to accept requests.
    pub(super) protocol: Compile,
}

/// Makes a protocol from a credential. `key` is the path of the credential's settings.
type Compile = fn(Credential, key: &str) -> Result<Box<dyn Protocol>, Problem>;

/// How a provider posts mail.
#[async_trait]
pub(super) trait Protocol: Send + Sync {
    /// Returns the credential that the provider's requests must prove.
    fn credential(&self) -> &Credential;

    /// Admits a request by its head, before its body is read, if the proof is in the head, as a
    /// password is.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Fault> {
        password::check(self.credential(), headers)
    }

    /// Returns whether the provider posts bodies of this content type, given in lower case and
    /// without parameters.
    fn posts(&self, content_type: &str) -> bool;

    /// Returns what to do about a body of another content type, as a sentence.
    fn posts_instead(&self, _content_type: &str) -> &'static str {
        "The content type is not the one of this webhook's provider."
    }

    /// Returns whether extracting the mail from the body copies it.
    fn copies(&self) -> bool {
        true
    }

    /// Checks the proof that covers the body, and extracts the raw mail, byte for byte.
    async fn open(&self, posted: Posted<'_>) -> Result<Opened, Fault>;

    /// Returns the status that tells the provider that the mail is stored.
    fn stored(&self) -> StatusCode {
        StatusCode::ACCEPTED
    }

    /// Returns the status that makes the provider stop, or try again, as the refusal requires.
    fn refused(&self, refusal: Refusal) -> StatusCode {
        refusal.status()
    }
}

/// A whole request.
pub(super) struct Posted<'a> {
    pub(super) headers: &'a HeaderMap,
    /// The original bytes, which signatures cover.
    pub(super) body: Bytes,
    pub(super) now: Timestamp,
    pub(super) fetch: &'a dyn Fetch,
}

/// The content of a genuine request.
pub(super) enum Opened {
    /// A mail. The claim, if there is one, makes repetitions of the request count once.
    Mail(Bytes, Option<Claim>),
    /// A matter between the provider and this webhook, which is settled.
    Settled,
    /// The provider's word that it posts no more mail. The sentence says what to do about it.
    Ended(&'static str),
}
