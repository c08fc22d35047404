//! Mailgun Routes: `forward("https://…/mime")`, whose URL ends in `mime` so that the raw mail is
//! posted.
//!
//! The field `body-mime` is the mail. `signature` is the hex HMAC-SHA256 of `timestamp` and `token`
//! under the account's webhook signing key. It does not cover the mail, so each token counts once
//! (while this process runs, see [`super::once`]), and no host's word in the mail is trusted here.
//! Mailgun takes 200 for success and 406 for a final refusal; after anything else it tries again
//! for 8 hours.
//! <https://documentation.mailgun.com/docs/mailgun/user-manual/receive-forward-store/receive-http>

use async_trait::async_trait;
use aws_lc_rs::hmac;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;

use super::{
    answer::{Fault, Refusal},
    credential::{Credential, Proof},
    form::{self, MULTIPART, URLENCODED},
    once::Once,
    protocol::{Kind, Opened, Posted, Protocol},
};

/// The age from which a signature is refused: Mailgun retries with the first signature for 8 hours.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(9);

/// The entry in the table of providers.
pub(super) const KIND: Kind = Kind {
    proofs: &[Proof::SigningKey],
    may_be_open: false,
    covers_mail: false,
    protocol: |credential, _| Ok(Box::new(Mailgun::new(credential))),
};

struct Mailgun {
    credential: Credential,
    once: Once,
}

impl Mailgun {
    fn new(credential: Credential) -> Self {
        Self {
            credential,
            once: Once::new(MAX_AGE),
        }
    }
}

#[async_trait]
impl Protocol for Mailgun {
    fn credential(&self) -> &Credential {
        &self.credential
    }

    fn posts(&self, content_type: &str) -> bool {
        content_type == MULTIPART || content_type == URLENCODED
    }

    async fn open(&self, posted: Posted<'_>) -> Result<Opened, Fault> {
        let key = self.credential.secret().ok_or(Refusal::NoSecret)?.read()?;
        let fields = form::fields(
            posted.headers,
            posted.body,
            ["timestamp", "token", "signature", "body-mime"],
        )
        .await?;

        let [Some(timestamp), Some(token), Some(signature), mail] = fields else {
            return Err(Refusal::Forged.into());
        };
        let signature = hex(&signature).ok_or(Refusal::Forged)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret().as_bytes());

        // The signatures are compared in constant time.
        hmac::verify(&key, &[&timestamp[..], &token].concat(), &signature)
            .map_err(|_| Refusal::Forged)?;

        let seconds = std::str::from_utf8(&timestamp)
            .ok()
            .and_then(|text| text.parse().ok());
        let signed_at = seconds
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .ok_or(Refusal::Forged)?;

        // Only by convention do the timestamp's digits end where the token begins, so the two form
        // one mark.
        let claim =
            self.once
                .claim(&[&[&timestamp[..], &token].concat()], signed_at, posted.now)?;
        let mend =
            "There is no field body-mime: let the URL of the route's forward action end in `mime`.";
        let mail = form::present(mail, mend)?;

        Ok(Opened::Mail(mail, Some(claim)))
    }

    fn stored(&self) -> StatusCode {
        StatusCode::OK
    }

    fn refused(&self, refusal: Refusal) -> StatusCode {
        match refusal {
            // The mail is already stored.
            Refusal::Replayed => StatusCode::NOT_ACCEPTABLE,
            other => other.status(),
        }
    }
}

/// Returns the bytes of a SHA-256 that is written in hexadecimal.
fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };

    if text.len() != 64 {
        return None;
    }

    text.chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}
