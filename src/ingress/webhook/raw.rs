//! `raw`: whoever has the mail posts it as it is, as `message/rfc822`, with a bearer token.

use async_trait::async_trait;
use axum::http::{HeaderMap, header::ORIGIN};

use super::{
    answer::Refusal,
    credential::Credential,
    protocol::{Fault, Opened, Posted, Protocol},
    token,
};

/// The mail as the body.
pub(super) struct Raw {
    credential: Credential,
}

impl Raw {
    pub(super) fn new(credential: Credential) -> Self {
        Self { credential }
    }
}

#[async_trait]
impl Protocol for Raw {
    fn credential(&self) -> &Credential {
        &self.credential
    }

    fn admit(&self, headers: &HeaderMap) -> Result<(), Fault> {
        match self.credential.secret() {
            Some(token) => token::check(token, headers)?.map_err(Fault::from),
            // Without a token whatever runs on this machine is trusted, but a browser runs everybody's pages. It names
            // the page in Origin at every POST, to its own origin too, so a rebound DNS name does not help.
            None if headers.contains_key(ORIGIN) => Err(Refusal::CrossSite.into()),
            None => Ok(()),
        }
    }

    /// RFC 2046, 5.2.1.
    fn posts(&self, content_type: &str) -> bool {
        content_type == "message/rfc822"
    }

    /// Anything that is not empty is taken: what looks like no mail is for the stages to judge, where it has an outcome
    /// and can be seen, and not lost to a sender that never looks at its answers.
    async fn open(&self, posted: Posted<'_>) -> Result<Opened, Fault> {
        if posted.body.is_empty() {
            return Err(Refusal::Empty.into());
        }
        Ok(Opened::Mail(posted.body, None))
    }
}
