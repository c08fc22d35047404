//! One DKIM-Signature (RFC 6376, 3.5) that could speak for the domain.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mail_auth::{
    common::crypto::{Algorithm, HashAlgorithm},
    dkim,
};

use super::{
    domain::{aligned, is_below, is_name},
    freshness::Freshness,
    mail::Mail,
    tags::Tags,
};
use crate::message::header::Field;

pub struct Signature<'a> {
    pub field: Field<'a>,
    pub tags: dkim::Signature,
    partial: bool,
    /// What in it no signer writes.
    odd: Option<String>,
}

/// It is none that anybody could verify.
pub struct Unreadable;

impl<'a> Signature<'a> {
    /// None where it is of another domain; the error is one that cannot be read.
    pub fn parse(field: Field<'a>, domain: &str) -> Result<Option<Self>, Unreadable> {
        let tags = dkim::Signature::parse(field.value).map_err(|_| Unreadable)?;
        let list = Tags::read(field.value);
        let partial = list.as_ref().is_ok_and(|list| list.value("l").is_some());
        let odd = list.and_then(|list| check(&list)).err();
        // A name that claims to be of the domain and is none is no other domain's: it is refuted.
        let claimed = tags.d.trim_matches('.');
        let ours = aligned(claimed, domain) || is_below(claimed, domain);
        Ok(ours.then_some(Self {
            field,
            tags,
            partial,
            odd,
        }))
    }

    /// Whose it is, for a sentence.
    pub fn name(&self) -> String {
        format!(
            "the signature of {} (selector {})",
            self.tags.d, self.tags.s
        )
    }

    /// Why it would prove nothing even if it verified. The mail may have been verified elsewhere,
    /// less strictly.
    pub fn fault(&self, mail: &Mail<'_>, freshness: &Freshness) -> Option<String> {
        let tags = &self.tags;
        let arrived = mail.message.arrived_at;
        if let Some(odd) = &self.odd {
            return Some(format!("it breaks RFC 6376: {odd}"));
        }
        if !is_name(&key_name(tags)) {
            return Some("DNS cannot be asked for such a name".to_owned());
        }
        let identity = self.identity_domain();
        if !identity.eq_ignore_ascii_case(&tags.d) && !is_below(identity, &tags.d) {
            return Some(format!("it is for {}, which is not of its domain", tags.i));
        }
        if tags.a == Algorithm::RsaSha1 {
            return Some("it uses rsa-sha1, which can be forged (RFC 8301)".to_owned());
        }
        if let Some(gap) = mail.uncovered(&tags.h) {
            return Some(gap);
        }
        let expired = |at: i64| arrived.as_second() > at;
        if tags.x > 0 && (tags.x <= tags.t || i64::try_from(tags.x).is_ok_and(expired)) {
            return Some(format!(
                "it had expired when the mail arrived (x={})",
                tags.x
            ));
        }
        if tags.t > 0 {
            return freshness.of_seconds("the time it was made", tags.t, arrived);
        }
        (!self.covers("Date") && !freshness.is_unlimited()).then(|| {
            "it neither says when it was made nor covers the Date: it could be a replay".to_owned()
        })
    }

    /// Whether it says how much of the body it covers (`l=`), so that others may add to it.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Whether it was made of a mail with this body (`bh=`): all of it, whatever `l=` says.
    pub fn fits_body(&self, mail: &Mail<'_>) -> bool {
        mail.body_hash(self.tags.cb, HashAlgorithm::from(self.tags.a)) == self.tags.bh.as_slice()
    }

    /// Whether it covers the field, or that there is none.
    pub fn covers(&self, field: &str) -> bool {
        self.tags
            .h
            .iter()
            .any(|covered| covered.eq_ignore_ascii_case(field))
    }

    /// `b=`, as Authentication-Results quotes it.
    pub fn base64(&self) -> String {
        BASE64_STANDARD.encode(&self.tags.b)
    }

    /// The domain of `i=`, which is `d=` where it is not given.
    pub fn identity_domain(&self) -> &str {
        self.tags
            .i
            .rsplit_once('@')
            .map_or(self.tags.d.as_str(), |(_, domain)| domain)
    }
}

/// Where its key is in DNS.
pub fn key_name(tags: &dkim::Signature) -> String {
    format!("{}._domainkey.{}", tags.s, tags.d)
}

/// What mail-auth takes for granted, or for zero.
fn check(list: &Tags<'_>) -> Result<(), String> {
    if list.value("v") != Some(b"1") {
        return Err("its version is not 1 (v=)".to_owned());
    }
    if list.value("a").is_none_or(<[u8]>::is_empty) {
        return Err("it names no algorithm (a=)".to_owned());
    }
    if list.lists("q", &["dns/txt"]) == Some(false) {
        return Err("its key is not in DNS (q=)".to_owned());
    }
    for name in ["t", "x", "l"] {
        if list
            .value(name)
            .is_some_and(|value| value.is_empty() || !value.iter().all(u8::is_ascii_digit))
        {
            return Err(format!("a number in it is none ({name}=)"));
        }
    }
    Ok(())
}
