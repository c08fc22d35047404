//! The part of a mail that a signature covers, and the part that it leaves open to forgers.

use mail_auth::common::crypto::{Algorithm, HashAlgorithm};

use super::{
    domain::{is_below, is_name},
    freshness::Freshness,
    mail::Mail,
    read::times,
    reading,
    signature::{Signature, key_name},
};

/// The fields that decide how the rest is read. If a signature covers one of them, a second one
/// beside it is forged.
const DECIDING: [&str; 6] = [
    "From",
    "Date",
    "Subject",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
];

impl Signature<'_> {
    /// Returns why the signature would prove nothing even if it verified. Another host may have
    /// verified it less strictly.
    ///
    /// The fields of `known` need not be signed.
    pub fn fault(&self, mail: &Mail<'_>, freshness: &Freshness, known: &[&str]) -> Option<String> {
        let tags = &self.tags;
        let arrived = mail.message.arrived_at;

        if let Some(odd) = &self.odd {
            return Some(format!("it breaks RFC 6376: {odd}"));
        }

        if !is_name(&key_name(tags)) {
            return Some("the name of its key is not a valid DNS name".to_owned());
        }

        let identity = self.identity_domain();
        if !identity.eq_ignore_ascii_case(&tags.d) && !is_below(identity, &tags.d) {
            return Some(format!("it is for {}, which is not in its domain", tags.i));
        }

        if tags.a == Algorithm::RsaSha1 {
            return Some("it uses rsa-sha1, which can be forged (RFC 8301)".to_owned());
        }

        if let Some(gap) = mail.uncovered(&tags.h, known) {
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

        if freshness.is_unlimited() {
            return None;
        }
        if !self.covers("Date") {
            return Some(
                "it neither says when it was made nor covers the Date: it could be a replay"
                    .to_owned(),
            );
        }

        mail.date.is_none().then(|| {
            "it does not say when it was made, and the Date that it covers cannot be read: it \
             could be a replay"
                .to_owned()
        })
    }

    /// Returns whether the signature was made for this body (`bh=`): the whole of it, whatever `l=`
    /// says.
    pub fn fits_body(&self, mail: &Mail<'_>) -> bool {
        mail.body_hash(self.tags.cb, HashAlgorithm::from(self.tags.a)) == self.tags.bh.as_slice()
    }
}

impl Mail<'_> {
    /// Returns what the list of signed fields (`h=`) leaves open to forgers.
    ///
    /// The fields in `known` need no cover, because something else vouches for them.
    pub fn uncovered(&self, signed: &[String], known: &[&str]) -> Option<String> {
        let covered = |name: &str| times(signed, name.as_bytes());

        if covered("From") == 0 {
            return Some("it does not cover From".to_owned());
        }

        for name in DECIDING {
            let there = || self.fields.iter().filter(|field| field.is(name.as_bytes()));
            // Verifiers skip such a field, and mail programs may not.
            if there().any(|field| !field.is_plainly(name.as_bytes())) {
                return Some(format!(
                    "a {name} of the mail has white space before its colon"
                ));
            }
            match (there().count(), covered(name)) {
                (there, 1..) if there > covered(name) => {
                    return Some(format!("a {name} was added beside the one that is signed"));
                }
                (2.., 0) => {
                    return Some(format!(
                        "the mail has more than one {name}, and none is signed"
                    ));
                }
                _ => {}
            }
        }

        self.reads
            .iter()
            .find_map(|read| read.uncovered(&self.fields, signed, known))
            .or_else(|| reading::fault(self, &|name| covered(name) > 0))
    }
}
