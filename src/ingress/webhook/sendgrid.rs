//! SendGrid's Inbound Parse, with "POST the raw, full MIME message" switched on: a multipart form
//! whose field `email` is the mail.
//!
//! If a security policy is set, SendGrid signs: ECDSA on P-256 with SHA-256 over the timestamp's
//! header and the body's bytes. The signing key here is its public key, Base64 of DER. Without a
//! policy, a user name and password in the URL suffice. SendGrid tries again for three days after a
//! 5xx, and drops the mail after a 4xx.
//! <https://www.twilio.com/docs/sendgrid/for-developers/parsing-email/securing-your-parse-webhooks>

use async_trait::async_trait;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use axum::http::{HeaderValue, StatusCode};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;

use super::{
    answer::{Fault, Refusal},
    credential::{Credential, Proof},
    form::{self, MULTIPART},
    once::{Claim, Once},
    protocol::{Kind, Opened, Posted, Protocol},
};
use crate::settings::Problem;

const SIGNATURE: &str = "x-twilio-email-event-webhook-signature";
const TIMESTAMP: &str = "x-twilio-email-event-webhook-timestamp";

/// The age from which a signature is refused: SendGrid retries for three days, and does not say
/// that it signs anew.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(3 * 24 + 1);

/// The entry in the table of providers.
pub(super) const KIND: Kind = Kind {
    proofs: &[Proof::SigningKey, Proof::BasicAuth],
    may_be_open: false,
    covers_mail: true,
    protocol: |credential, key| Ok(Box::new(Sendgrid::new(credential, key)?)),
};

struct Sendgrid {
    credential: Credential,
    once: Once,
}

impl Sendgrid {
    /// Creates the protocol. An invalid key is a problem now, not only at the first mail.
    fn new(credential: Credential, key: &str) -> Result<Self, Problem> {
        if let Credential::SigningKey(secret) = &credential
            && let Ok(text) = secret.read()
            && public_key(text.expose_secret()).is_none()
        {
            return Err(Problem::new(
                format!("{key}.signing_key"),
                "it is not an ECDSA P-256 public key",
                "give the public key of SendGrid's security policy as it is shown: Base64, \
                 beginning with `MFkw`",
            ));
        }

        Ok(Self {
            credential,
            once: Once::new(MAX_AGE),
        })
    }

    /// Returns the claim on a signed request; `None` if the password has proved the request.
    fn verify(&self, posted: &Posted<'_>) -> Result<Option<Claim>, Fault> {
        let Credential::SigningKey(secret) = &self.credential else {
            return Ok(None);
        };
        let key = public_key(secret.read()?.expose_secret()).ok_or(Refusal::NoSecret)?;
        let header = |name| {
            posted
                .headers
                .get(name)
                .map(HeaderValue::as_bytes)
                .ok_or(Refusal::Forged)
        };

        let (signature, timestamp) = (header(SIGNATURE)?, header(TIMESTAMP)?);
        let signature = STANDARD.decode(signature).map_err(|_| Refusal::Forged)?;
        let signed = [timestamp, &posted.body].concat();
        key.verify_sig(&signed, &signature)
            .map_err(|_| Refusal::Forged)?;

        let seconds = std::str::from_utf8(timestamp)
            .ok()
            .and_then(|text| text.parse().ok());
        let signed_at = seconds
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .ok_or(Refusal::Forged)?;

        // The mark excludes the signature, because the holder of the key can make another one for
        // the same content.
        Ok(Some(self.once.claim(&[&signed], signed_at, posted.now)?))
    }
}

#[async_trait]
impl Protocol for Sendgrid {
    fn credential(&self) -> &Credential {
        &self.credential
    }

    fn posts(&self, content_type: &str) -> bool {
        content_type == MULTIPART
    }

    async fn open(&self, posted: Posted<'_>) -> Result<Opened, Fault> {
        let claim = self.verify(&posted)?;
        let mend = "There is no field email: switch on “POST the raw, full MIME message” of \
                    the parse setting.";
        Ok(Opened::Mail(
            form::mail(posted, "email", mend).await?,
            claim,
        ))
    }

    fn refused(&self, refusal: Refusal) -> StatusCode {
        refusal.status_where_mail_would_bounce()
    }
}

/// Parses the key as SendGrid shows it, with or without the first and last line of PEM.
fn public_key(text: &str) -> Option<ParsedPublicKey> {
    let base64: String = text
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .map(str::trim)
        .collect();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, STANDARD.decode(base64).ok()?).ok()
}
