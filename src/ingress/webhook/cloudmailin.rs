//! CloudMailin in its raw format: a multipart form whose field `message` is the mail.
//!
//! There is no signature: the user name and password are in the URL of the target. After a 4xx the
//! mail bounces to its sender, who may then never write again; after a 5xx the sending server is
//! told to try again later. <https://docs.cloudmailin.com/receiving_email/http_status_codes/>

use async_trait::async_trait;
use axum::http::StatusCode;

use super::{
    answer::{Fault, Refusal},
    credential::{Credential, Proof},
    form::{self, MULTIPART},
    protocol::{Kind, Opened, Posted, Protocol},
};

/// The entry in the table of providers.
pub(super) const KIND: Kind = Kind {
    proofs: &[Proof::BasicAuth],
    may_be_open: false,
    covers_mail: true,
    protocol: |credential, _| Ok(Box::new(Cloudmailin::new(credential))),
};

struct Cloudmailin {
    credential: Credential,
}

impl Cloudmailin {
    fn new(credential: Credential) -> Self {
        Self { credential }
    }
}

#[async_trait]
impl Protocol for Cloudmailin {
    fn credential(&self) -> &Credential {
        &self.credential
    }

    fn posts(&self, content_type: &str) -> bool {
        content_type == MULTIPART
    }

    async fn open(&self, posted: Posted<'_>) -> Result<Opened, Fault> {
        let mend = "There is no field message: choose the format “Raw” for the target.";
        Ok(Opened::Mail(
            form::mail(posted, "message", mend).await?,
            None,
        ))
    }

    fn refused(&self, refusal: Refusal) -> StatusCode {
        refusal.status_where_mail_would_bounce()
    }
}
