//! A DKIM-Signature (RFC 6376, 3.5) that could speak for the domain.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mail_auth::dkim;

use super::{
    domain::{aligned, is_below},
    tags::Tags,
};
use crate::message::header::Field;

pub struct Signature<'a> {
    pub field: Field<'a>,
    pub tags: dkim::Signature,
    partial: bool,
    /// A deviation that no signer writes.
    pub(super) odd: Option<String>,
}

/// A signature that cannot be read.
///
/// It cannot be verified here, and another host may be less strict: in `b=`, say, which covers
/// everything but itself.
pub struct Unreadable {
    /// Whether it is of the domain.
    pub is_ours: bool,
}

impl<'a> Signature<'a> {
    /// Parses a signature; `None` if it is of another domain. The error is an unreadable signature.
    pub fn parse(field: Field<'a>, domain: &str) -> Result<Option<Self>, Unreadable> {
        let tags = dkim::Signature::parse(field.value).map_err(|_| Unreadable {
            is_ours: claimed(field.value).any(|claimed| is_of(&claimed, domain)),
        })?;
        let list = Tags::read(field.value);
        let partial = list.as_ref().is_ok_and(|list| list.value("l").is_some());
        let odd = list.and_then(|list| check(&list)).err();

        Ok(is_of(&tags.d, domain).then_some(Self {
            field,
            tags,
            partial,
            odd,
        }))
    }

    /// Names the signature by its signer, as part of a sentence.
    pub fn name(&self) -> String {
        format!(
            "the signature of {} (selector {})",
            self.tags.d, self.tags.s
        )
    }

    /// Returns whether the signature declares how much of the body it covers (`l=`), so that others
    /// may add to it.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Returns whether the signature covers the field, or its absence.
    pub fn covers(&self, field: &str) -> bool {
        self.tags
            .h
            .iter()
            .any(|covered| covered.eq_ignore_ascii_case(field))
    }

    /// Returns `b=`, as Authentication-Results quotes it.
    pub fn base64(&self) -> String {
        BASE64_STANDARD.encode(&self.tags.b)
    }

    /// Returns the domain of `i=`, or `d=` if `i=` is not given.
    pub fn identity_domain(&self) -> &str {
        self.tags
            .i
            .rsplit_once('@')
            .map_or(self.tags.d.as_str(), |(_, domain)| domain)
    }
}

/// Returns whether a signer is of the domain.
///
/// A malformed name that claims to be of the domain does not count as another domain's, so that it
/// is refuted.
fn is_of(signer: &str, domain: &str) -> bool {
    let signer = signer.trim_matches('.');
    aligned(signer, domain) || is_below(signer, domain)
}

/// Returns every `d=` of a list of tags, however it is written.
fn claimed(list: &[u8]) -> impl Iterator<Item = String> {
    list.split(|byte| *byte == b';').filter_map(|tag| {
        let mut solid = tag.to_vec();
        solid.retain(|byte| !byte.is_ascii_whitespace());
        let solid = String::from_utf8(solid).ok()?;
        let (name, signer) = solid.split_once('=')?;
        name.eq_ignore_ascii_case("d").then(|| signer.to_owned())
    })
}

/// Returns the DNS name of a signature's key.
pub fn key_name(tags: &dkim::Signature) -> String {
    format!("{}._domainkey.{}", tags.s, tags.d)
}

/// Checks what mail-auth takes for granted, or for zero.
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
            return Err(format!("a number in it is not valid ({name}=)"));
        }
    }

    Ok(())
}
