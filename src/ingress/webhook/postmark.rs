//! Postmark's inbound webhook, with "Include raw email content in JSON payload" switched on.
//!
//! `RawEmail` of the JSON is the mail. There is no signature: the user name and password are in the
//! URL that Postmark posts to. Postmark takes 200 for success, stops for good at 403, and tries
//! again ten times in 10 hours after anything else.
//! <https://postmarkapp.com/developer/webhooks/inbound-webhook>
//! <https://postmarkapp.com/support/article/understanding-inbound-webhook-retries-in-postmark>

use async_trait::async_trait;
use axum::http::StatusCode;
use serde::Deserialize;

use super::{
    answer::{Fault, Refusal},
    credential::{Credential, Proof},
    protocol::{Kind, Opened, Posted, Protocol},
};

/// The entry in the table of providers.
pub(super) const KIND: Kind = Kind {
    proofs: &[Proof::BasicAuth],
    may_be_open: false,
    covers_mail: true,
    protocol: |credential, _| Ok(Box::new(Postmark::new(credential))),
};

struct Postmark {
    credential: Credential,
}

impl Postmark {
    fn new(credential: Credential) -> Self {
        Self { credential }
    }
}

/// The part of the JSON that is read.
#[derive(Deserialize)]
struct Inbound {
    #[serde(rename = "RawEmail", default)]
    raw_email: Option<String>,
}

#[async_trait]
impl Protocol for Postmark {
    fn credential(&self) -> &Credential {
        &self.credential
    }

    fn posts(&self, content_type: &str) -> bool {
        content_type == "application/json"
    }

    async fn open(&self, posted: Posted<'_>) -> Result<Opened, Fault> {
        let inbound: Inbound =
            serde_json::from_slice(&posted.body).map_err(|_| Refusal::Unreadable)?;
        let mail = inbound
            .raw_email
            .filter(|mail| !mail.is_empty())
            .ok_or(Refusal::NoMail(
                "There is no RawEmail: switch on “Include raw email content in JSON payload” \
                 of the inbound stream.",
            ))?;
        Ok(Opened::Mail(mail.into(), None))
    }

    fn stored(&self) -> StatusCode {
        StatusCode::OK
    }
}
