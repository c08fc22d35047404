//! How one provider posts mail: what proves that a request is the provider's, and where in it the
//! raw mail is.
//!
//! A provider vouches for the transport only: that it took this mail at its door. Who wrote the
//! mail is another stage's question.

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

/// What is known of a provider before its settings are.
pub(super) struct Kind {
    /// What its requests can prove themselves by, the best first.
    pub(super) proofs: &'static [Proof],
    /// Whether it may go without a proof where the listener is on loopback.
    pub(super) may_be_open: bool,
    /// Makes it ready to take requests.
    pub(super) protocol: Compile,
}

/// Credential → protocol. The settings that gave the credential are at the key.
type Compile = fn(Credential, key: &str) -> Result<Box<dyn Protocol>, Problem>;

/// How one provider posts mail.
#[async_trait]
pub(super) trait Protocol: Send + Sync {
    /// What its requests prove themselves by.
    fn credential(&self) -> &Credential;

    /// Lets a request in by its head, before its body is read, where the proof is in the head: the
    /// password, where there is one.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Fault> {
        password::check(self.credential(), headers)
    }

    /// Whether it posts bodies of this content type, given in lower case and without parameters.
    fn posts(&self, content_type: &str) -> bool;

    /// What to do about a body of another content type, in a sentence.
    fn posts_instead(&self, _content_type: &str) -> &'static str {
        "The content type is not the one of this webhook's provider."
    }

    /// Whether it takes the mail out of the body by copying it.
    fn copies(&self) -> bool {
        true
    }

    /// Checks the proof that covers the body, and takes the raw mail out of it to the byte.
    async fn open(&self, posted: Posted<'_>) -> Result<Opened, Fault>;

    /// What the provider is answered once the mail is stored.
    fn stored(&self) -> StatusCode {
        StatusCode::ACCEPTED
    }

    /// What the provider is answered so that it stops, or comes again, as the refusal means it.
    fn refused(&self, refusal: Refusal) -> StatusCode {
        refusal.status()
    }
}

/// A whole request.
pub(super) struct Posted<'a> {
    pub(super) headers: &'a HeaderMap,
    /// The bytes as they came: signatures are over them.
    pub(super) body: Bytes,
    pub(super) now: Timestamp,
    pub(super) fetch: &'a dyn Fetch,
}

/// What was in a request that is the provider's.
pub(super) enum Opened {
    /// A mail; the claim, where there is one, makes the same request count once.
    Mail(Bytes, Option<Claim>),
    /// The provider's own affair, which is settled.
    Settled,
}
