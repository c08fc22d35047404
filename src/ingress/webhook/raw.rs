//! `raw`: a program that has the mail posts it unchanged, as `message/rfc822`, with a bearer token.

use async_trait::async_trait;
use axum::http::{HeaderMap, header::ORIGIN};

use super::{
    answer::{Fault, Refusal},
    credential::{Credential, Proof},
    form::{MULTIPART, URLENCODED},
    protocol::{Kind, Opened, Posted, Protocol},
};
use crate::ingress::bearer;

/// The entry in the table of providers.
pub(super) const KIND: Kind = Kind {
    proofs: &[Proof::Token],
    may_be_open: true,
    covers_mail: true,
    protocol: |credential, _| Ok(Box::new(Raw::new(credential))),
};

/// The protocol in which the body is the mail.
struct Raw {
    credential: Credential,
}

impl Raw {
    fn new(credential: Credential) -> Self {
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
            Some(token) => {
                if bearer::holds(token, headers)? {
                    Ok(())
                } else {
                    Err(Refusal::Unauthorized.into())
                }
            }
            // Without a token, every program on this machine is trusted, but a browser runs
            // anybody's pages. It names the page in Origin for every POST, even to its own origin,
            // so a rebound DNS name does not help an attacker.
            None if headers.contains_key(ORIGIN) => Err(Refusal::CrossSite.into()),
            None => Ok(()),
        }
    }

    /// Returns whether the type is `message/rfc822` (RFC 2046, 5.2.1).
    fn posts(&self, content_type: &str) -> bool {
        content_type == "message/rfc822"
    }

    fn posts_instead(&self, content_type: &str) -> &'static str {
        match content_type {
            URLENCODED => {
                "A form is not a mail, and `curl -d` strips its line breaks: post the mail as it \
                 is, by `curl --data-binary @file -H 'Content-Type: message/rfc822'`."
            }
            MULTIPART => {
                "A form is not a mail: post the mail alone and as it is, by `curl --data-binary \
                 @file -H 'Content-Type: message/rfc822'`."
            }
            _ => {
                "The content type must be message/rfc822: post the mail as it is, by \
                 `curl --data-binary @file -H 'Content-Type: message/rfc822'`."
            }
        }
    }

    fn copies(&self) -> bool {
        false
    }

    /// Accepts anything else that is not empty. If it does not look like a mail, the stages judge
    /// it, so that it has an outcome and is visible, instead of being lost to a sender that never
    /// reads its answers.
    async fn open(&self, posted: Posted<'_>) -> Result<Opened, Fault> {
        if posted.body.is_empty() {
            return Err(Refusal::Empty.into());
        }

        if is_stripped(&posted.body) {
            return Err(Refusal::WrongType(
                "The mail has lost its line breaks, as `curl -d` strips them: post it as it is, by \
                 `curl --data-binary @file -H 'Content-Type: message/rfc822'`.",
            )
            .into());
        }

        if posted.body.starts_with(&GZIP) {
            return Err(Refusal::WrongType(
                "The mail is compressed with gzip: post it as it is, by `curl --data-binary @file \
                 -H 'Content-Type: message/rfc822'`.",
            )
            .into());
        }

        Ok(Opened::Mail(posted.body, None))
    }
}

/// The first bytes of gzip (RFC 1952, 2.3.1). No mail begins with them.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Returns whether the body is a mail whose lines were joined: it begins with a header field,
/// another follows, and no line ends.
fn is_stripped(body: &[u8]) -> bool {
    let is_name = |name: &[u8]| {
        !name.is_empty()
            && name
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };

    let mut fields = body.splitn(3, |byte| *byte == b':');
    memchr::memchr2(b'\r', b'\n', body).is_none()
        && fields.next().is_some_and(is_name)
        && fields
            .next()
            .is_some_and(|value| value.iter().any(u8::is_ascii_alphanumeric))
        && fields.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_without_its_line_breaks_is_told_from_what_is_merely_odd() {
        for (body, stripped) in [
            ("From: a@b.testTo: c@d.testSubject: a<html>", true),
            ("Delivered-To: a@b.testReceived: by x; 12:00", true),
            ("From: a@b.test\r\nTo: c@d.test\r\n\r\n", false),
            ("From: a@b.test\nTo: c@d.test\n\n", false),
            ("From: a@b.test\rTo: c@d.test\r\r", false),
            ("xxxxxxxx", false),
            ("Subject: a", false),
            ("{\"a\": 1, \"b\": 2}", false),
            ("", false),
        ] {
            assert_eq!(is_stripped(body.as_bytes()), stripped, "{body:?}");
        }
    }
}
