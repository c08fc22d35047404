//! One DKIM-Signature (RFC 6376, 3.5) that could speak for the domain.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mail_auth::{
    common::crypto::{Algorithm, HashAlgorithm},
    dkim,
};

use super::{
    domain::{aligned, is_name},
    freshness::Freshness,
    mail::Mail,
};
use crate::message::header::Field;

pub struct Signature<'a> {
    pub field: Field<'a>,
    pub tags: dkim::Signature,
    partial: bool,
}

impl<'a> Signature<'a> {
    /// None where it cannot be read, or is of another domain.
    pub fn parse(field: Field<'a>, domain: &str) -> Option<Self> {
        let tags = dkim::Signature::parse(field.value).ok()?;
        let partial = has_tag(field.value, b"l");
        (aligned(&tags.d, domain) && is_name(&key_name(&tags))).then_some(Self { field, tags, partial })
    }

    /// Whose it is, for a sentence.
    pub fn name(&self) -> String {
        format!("the signature of {} (selector {})", self.tags.d, self.tags.s)
    }

    /// Why it would prove nothing even if it verified. The mail may have been verified elsewhere, less strictly.
    pub fn fault(&self, mail: &Mail<'_>, freshness: &Freshness) -> Option<String> {
        let tags = &self.tags;
        let arrived = mail.message.arrived_at;
        if tags.a == Algorithm::RsaSha1 {
            return Some("it uses rsa-sha1, which can be forged (RFC 8301)".to_owned());
        }
        if let Some(gap) = mail.uncovered(&tags.h) {
            return Some(gap);
        }
        let expired = |at: i64| arrived.as_second() > at;
        if tags.x > 0 && (tags.x <= tags.t || i64::try_from(tags.x).is_ok_and(expired)) {
            return Some(format!("it had expired when the mail arrived (x={})", tags.x));
        }
        if tags.t > 0 {
            return freshness.of_seconds("the time it was made", tags.t, arrived);
        }
        let dated = tags.h.iter().any(|covered| covered.eq_ignore_ascii_case("Date"));
        (!dated && !freshness.is_unlimited())
            .then(|| "it neither says when it was made nor covers the Date: it could be a replay".to_owned())
    }

    /// Whether it says how much of the body it covers (`l=`), so that others may add to it.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Why it does not prove the body, whoever verified it: something may have been added behind what it covers.
    pub fn partial_fault(&self, mail: &Mail<'_>) -> Option<String> {
        let tags = &self.tags;
        let hash = || mail.body_hash(tags.cb, HashAlgorithm::from(tags.a));
        (self.partial && hash() != tags.bh.as_slice())
            .then(|| "it covers only the beginning of the body (l=)".to_owned())
    }

    /// `b=`, as Authentication-Results quotes it.
    pub fn base64(&self) -> String {
        BASE64_STANDARD.encode(&self.tags.b)
    }

    /// The domain of `i=`, which is `d=` where it is not given.
    pub fn identity_domain(&self) -> &str {
        self.tags.i.rsplit_once('@').map_or(self.tags.d.as_str(), |(_, domain)| domain)
    }
}

/// Where its key is in DNS.
pub fn key_name(tags: &dkim::Signature) -> String {
    format!("{}._domainkey.{}", tags.s, tags.d)
}

/// Whether a list of tags (RFC 6376, 3.2) has one.
fn has_tag(list: &[u8], name: &[u8]) -> bool {
    list.split(|byte| *byte == b';').any(|tag| {
        let mut parts = tag.splitn(2, |byte| *byte == b'=');
        parts.next().is_some_and(|tag| tag.trim_ascii().eq_ignore_ascii_case(name))
    })
}
