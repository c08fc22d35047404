//! The parts of a mail that a profile reads: whoever could write one could turn the mail into
//! another alert.
//!
//! They determine its match, key, status, time and severity, the labels that routes use, and the
//! changes that are told.

use crate::message::header::Field;

/// One part that is read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read {
    /// A field, with `-` or `_` in its name: matchers write one for the other.
    Field(String),
    /// Fields whose names a template produces, in this field of the profile.
    Made(String),
    /// The body, which unsigned fields must not give another reading: see [`super::reading`].
    Body,
}

impl Read {
    /// Returns what a list of signed fields leaves open of this part. The fields of `known` are
    /// vouched for otherwise.
    pub(super) fn uncovered(
        &self,
        fields: &[Field<'_>],
        signed: &[String],
        known: &[&str],
    ) -> Option<String> {
        let name = match self {
            Self::Field(name) => name,
            Self::Body => return None,
            Self::Made(field) => {
                return Some(format!(
                    "the profile's field `{field}` looks up fields of the header by names that it \
                     makes, and none is known to be signed: write them out, `header['x-name']`"
                ));
            }
        };
        if known.iter().any(|known| is_alike(known.as_bytes(), name)) {
            return None;
        }

        if !signed
            .iter()
            .any(|signed| is_alike(signed.as_bytes(), name))
        {
            return Some(format!(
                "it does not cover {name}, which the profile reads and anybody could have written: \
                 let the sender sign it, or leave it out of the profile"
            ));
        }

        let there: Vec<&Field<'_>> = fields
            .iter()
            .filter(|field| is_alike(field.name.trim_ascii_end(), name))
            .collect();
        let is_added = |field: &&Field<'_>| {
            let same = |other: &&&Field<'_>| other.is_plainly(field.name);
            there.iter().filter(same).count() > times(signed, field.name)
        };

        there
            .iter()
            .any(is_added)
            .then(|| format!("a {name}, which the profile reads, was added beside what is signed"))
    }
}

/// Returns how often a list of signed fields names a field.
pub(super) fn times(signed: &[String], name: &[u8]) -> usize {
    signed
        .iter()
        .filter(|signed| signed.as_bytes().eq_ignore_ascii_case(name))
        .count()
}

fn is_alike(name: &[u8], other: &str) -> bool {
    let plain = |byte: u8| match byte {
        b'_' => b'-',
        byte => byte.to_ascii_lowercase(),
    };
    let (name, other) = (name.iter().copied(), other.bytes());
    name.map(plain).eq(other.map(plain))
}
