//! A mail in the form that every kind of evidence needs: its fields, parsed once, and the
//! signatures that could speak for the domain.

use std::sync::OnceLock;

use jiff::Timestamp;
use mail_auth::{AuthenticatedMessage, common::crypto::HashAlgorithm, dkim::Canonicalization};
use memchr::memchr_iter;

use super::{body::Relaxed, read::Read, signature::Signature};
use crate::message::{
    Message,
    header::{self, Field},
};

/// The maximum number of signatures that are examined. Real mail has two or three, and each one
/// costs a look-up and a verification.
const SIGNATURES: usize = 8;

pub struct Mail<'a> {
    pub message: &'a Message,
    /// The fields, from top to bottom.
    pub fields: Vec<Field<'a>>,
    pub date: Option<Timestamp>,
    /// Whether the zone of the date has an unknown name, and so counts as UTC.
    pub zone_is_unknown: bool,
    /// The first few signatures whose `d=` is aligned with the domain.
    pub signatures: Vec<Signature<'a>>,
    /// Whether the mail has more such signatures, or unreadable ones.
    pub more_signatures: bool,
    /// The number of signatures of any domain, or of none.
    pub signed: usize,
    /// The number of unreadable signatures.
    pub unreadable: usize,
    pub body: &'a [u8],
    /// The hashes of the whole body, computed once for each of the four methods: see
    /// [`Mail::body_hash`].
    hashes: [OnceLock<Vec<u8>>; 4],
    /// The domain that must vouch for the mail.
    pub domain: &'a str,
    /// The parts of the mail that its profile reads.
    pub reads: Vec<Read>,
}

impl<'a> Mail<'a> {
    /// Parses a mail. The caller has checked `header` with [`crate::message::sender::check`], and
    /// its lines end with CRLF.
    pub fn new(
        message: &'a Message,
        header: &'a [u8],
        body: &'a [u8],
        domain: &'a str,
        reads: Vec<Read>,
    ) -> Self {
        let fields: Vec<Field<'a>> = header::fields(header).flatten().collect();
        let (mut signed, mut unreadable, mut signatures) = (0, 0, Vec::new());
        let mut more_signatures = false;

        for field in fields.iter().filter(|field| field.is(b"DKIM-Signature")) {
            signed += 1;
            match Signature::parse(*field, domain) {
                Ok(Some(signature)) if signatures.len() < SIGNATURES => signatures.push(signature),
                Ok(Some(_)) => more_signatures = true,
                Ok(None) => {}
                Err(odd) => {
                    unreadable += 1;
                    more_signatures |= odd.is_ours;
                }
            }
        }

        let hashes = std::array::from_fn(|_| OnceLock::new());

        Self {
            message,
            date: header::date(header),
            zone_is_unknown: header::has_unknown_zone(header),
            fields,
            signatures,
            more_signatures,
            signed,
            unreadable,
            body,
            hashes,
            domain,
            reads,
        }
    }

    /// Returns the fields with this name, from top to bottom.
    pub fn named(&self, name: &'static [u8]) -> impl Iterator<Item = Field<'a>> {
        self.fields.iter().filter(|field| field.is(name)).copied()
    }

    /// Returns whether a field begins a line of the header as it arrived, which is what hosts see,
    /// before any repair.
    pub fn came_so(&self, field: &Field<'_>) -> bool {
        let first_line = field
            .value
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();

        let written = [field.name, b":", first_line.trim_ascii_end()].concat();
        let lines = self
            .message
            .raw
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii_end);

        lines
            .skip_while(|line| line.is_empty())
            .take_while(|line| !line.is_empty())
            .any(|line| line == written)
    }

    /// Returns the value of the first field with this name, if there is one.
    pub fn value(&self, name: &'static [u8]) -> Option<&'a [u8]> {
        self.named(name).next().map(|field| field.value)
    }

    /// Returns whether a signature says when it was made.
    pub fn is_timed(&self) -> bool {
        self.signatures.iter().any(|signature| signature.tags.t > 0)
    }

    /// Returns why the body cannot be the signed one, whatever the signature says.
    pub fn body_fault(&self) -> Option<&'static str> {
        if self.message.cut_from.is_some() {
            return Some("only its header was fetched, as it is over the size limit");
        }

        if self.message.withheld.is_some() {
            return Some("the mail server did not return its body");
        }

        // Bare carriage returns are left out of what is hashed, so one could be inserted anywhere.
        let bare = |at: usize| self.body.get(at + 1) != Some(&b'\n');
        memchr_iter(b'\r', self.body)
            .any(bare)
            .then_some("its body holds a carriage return without a line feed")
    }

    /// Returns the message for mail-auth, without signatures and seals, which it is given one by
    /// one.
    pub fn to_verify(&self) -> AuthenticatedMessage<'a> {
        let headers = self
            .fields
            .iter()
            .map(|field| (field.name, field.value))
            .collect();

        AuthenticatedMessage {
            headers,
            ..AuthenticatedMessage::default()
        }
    }

    /// Returns the hash of the whole body by a signature's method. However many signatures there
    /// are, a large body is hashed only a few times.
    pub fn body_hash(&self, ways: Canonicalization, algorithm: HashAlgorithm) -> &[u8] {
        let place = match (ways, algorithm) {
            (Canonicalization::Relaxed, HashAlgorithm::Sha256) => 0,
            (Canonicalization::Simple, HashAlgorithm::Sha256) => 1,
            (Canonicalization::Relaxed, HashAlgorithm::Sha1) => 2,
            (Canonicalization::Simple, HashAlgorithm::Sha1) => 3,
        };

        self.hashes[place].get_or_init(|| {
            let hash = match ways {
                Canonicalization::Relaxed => algorithm.hash(Relaxed(self.body)),
                Canonicalization::Simple => algorithm.hash(ways.canonical_body(self.body, 0)),
            };
            hash.as_ref().to_vec()
        })
    }

    /// Returns the hash that mail-auth compares such a signature with.
    pub fn body_hashes(&self, ways: Canonicalization, algorithm: HashAlgorithm) -> BodyHash {
        (ways, algorithm, 0, self.body_hash(ways, algorithm).to_vec())
    }
}

/// A body hash in mail-auth's form: the method, the number of bytes (0: all), and the hash.
type BodyHash = (Canonicalization, HashAlgorithm, u64, Vec<u8>);
