//! 3. Message → what it holds. Home of mail-parser, `lol_html` and scraper.
//!
//! [`Extractor`] finds the JSON that is hidden in Atlassian's own mail. [`Contents`] has everything
//! that other senders' mail consists of: text, pairs, attachments.
//!
//! Anybody can send mail, so everything here is bounded and linear in the mail's size. The header
//! block is judged on its raw bytes before any parser sees it ([`sender::read`]). Multiparts are
//! split by a walk of limited depth ([`body`]). The one HTML element that matters is found by a
//! streaming pass before a DOM parser reads just that element ([`element`]).
//!
//! No mail is dropped silently because it is odd. A mail is read as mail programs read it. If they
//! would differ, it is [`Extracted::Unreadable`]; [`Extracted::NoAlert`] is only a mail that
//! certainly is from another sender or contains no alert.
//!
//! What makes a mail an alert is defined here and nowhere else: its sender (`alerts.from`), the
//! place of the payload ([`ELEMENT_ID`], [`ELEMENT_TYPE`]), and the payload's format (JSON).

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    delivery::sha256_hex,
    message::{
        Mended, header,
        sender::{self, Sender},
    },
};

mod body;
mod charset;
pub mod contents;
mod defanged;
mod element;
mod flowed;
mod identity;
mod json;
mod markup;
mod mime;
pub mod pairs;
mod parts;
mod pass;
mod quoted_printable;
mod rendered;
mod rewritten;
pub mod selected;
mod stand_in;
mod structured;
pub mod subject;
mod trace;
mod transfer;
mod words;

pub use contents::Contents;

/// The `id` of the script element that holds the alert.
pub const ELEMENT_ID: &str = "incident-data";

/// The `type` of that element, whatever parameters follow it.
pub const ELEMENT_TYPE: &str = "application/json";

/// The largest payload that is read, in bytes. The published example has 330.
pub const MAX_PAYLOAD: usize = 256 << 10;

/// The longest Subject that is kept for people, in characters.
const MAX_SUBJECT: usize = 250;

/// The largest part of an unreadable alert from which its key is made, in bytes.
const MAX_EVIDENCE: usize = 1 << 20;

/// What a mail contains, with its date and Subject from the header.
#[derive(Debug, Clone, PartialEq)]
pub struct Extraction {
    pub found: Extracted,
    /// The mail's Date; `None` if it is missing, unreadable or given twice.
    pub date: Option<Timestamp>,
    /// The Subject, decoded, on one line and at most 250 characters long.
    pub subject: Option<String>,
}

/// What a mail contains.
#[derive(Debug, Clone, PartialEq)]
pub enum Extracted {
    /// The JSON of the alert, not yet checked against the schema.
    Json(Value),
    /// An alert that cannot be read. `reason` says why.
    ///
    /// `key` is made from the hash of the payload, so that copies page once. If no payload is left,
    /// it is made from the mail's own Date and Message-ID, so that another alert pages again.
    Unreadable { reason: String, key: String },
    /// A mail that is no alert: it is from another sender, or has no script element.
    NoAlert(NoAlert),
}

/// The reason why a mail is no alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAlert {
    /// The mail is not from a configured sender. The sentence says what is odd.
    OtherSender(String),
    /// The mail is from the sender, but lacks the element.
    NoPayload(String),
}

/// Finds the alert in a mail.
#[derive(Debug, Clone)]
pub struct Extractor {
    from: Vec<String>,
}

impl Extractor {
    /// Creates an extractor. `from` are the addresses that alerts come from (`alerts.from`),
    /// compared without regard to case.
    pub fn new(from: &[String]) -> Self {
        Self {
            from: from.to_vec(),
        }
    }

    /// Reads one mail. It never fails, and takes time linear in the mail's size.
    pub fn extract(&self, raw: &[u8]) -> Extraction {
        let mail = Mended::of(raw);
        let (header, body) = (mail.header(), mail.body());
        let date = header::date(header);
        let subject = header::first(header, b"Subject").and_then(subject);
        let found = match sender::read(header, &self.from) {
            Sender::Configured => payload(raw, header, body),
            Sender::Doubtful(odd) => doubtful(&odd, raw, header, body),
            Sender::Other(_) | Sender::Unknown(_)
                if stand_in::is_one(header, subject.as_deref(), body, &self.from) =>
            {
                let reason = "the mail server returned this in place of a mail that it could not \
                              deliver, and that mail is from a sender of alerts.from: look into \
                              the mailbox";
                Extracted::Unreadable {
                    reason: reason.to_owned(),
                    key: key_of(&[body], raw, (header, body)),
                }
            }
            Sender::Unknown(odd) if trace::is_there(raw) => doubtful(&odd, raw, header, body),
            Sender::Other(odd) | Sender::Unknown(odd) => {
                Extracted::NoAlert(NoAlert::OtherSender(odd))
            }
        };

        Extraction {
            found,
            date,
            subject,
        }
    }

    /// Whether a header, even without the rest of its mail, certainly names another sender.
    pub fn is_anothers(&self, raw: &[u8]) -> bool {
        matches!(
            sender::read(Mended::of(raw).header(), &self.from),
            Sender::Other(_)
        )
    }
}

/// The reason why an alert cannot be read, and the bytes that distinguish it from others.
pub(crate) struct Obstacle<'a> {
    reason: String,
    evidence: &'a [u8],
}

/// Returns the finding for a mail that may be from the sender or from somebody else: its alert is
/// told, but not believed.
fn doubtful(odd: &str, raw: &[u8], header: &[u8], body: &[u8]) -> Extracted {
    let reason = format!(
        "programs would not agree whether this mail is from a sender of alerts.from: {odd}"
    );
    Extracted::Unreadable {
        reason,
        key: key_of(&[left_of(raw, header, body)], raw, (header, body)),
    }
}

/// Returns what distinguishes a mail from others that cannot be read either: its body. If the whole
/// mail looks like a header, that is the field that names the sender, and the whole mail if nothing
/// else in it identifies it.
pub(crate) fn left_of<'a>(raw: &'a [u8], header: &'a [u8], body: &'a [u8]) -> &'a [u8] {
    if !body.trim_ascii().is_empty() {
        body
    } else if identity::is_there(header, raw) {
        header::first(header, b"From").unwrap_or_default()
    } else {
        raw
    }
}

/// Searches the HTML of a mail from the right sender.
fn payload(raw: &[u8], header: &[u8], body: &[u8]) -> Extracted {
    let read = body::read(header, body);
    if read.found.is_empty() {
        return match read.obstacle {
            Some(Obstacle { reason, evidence }) => Extracted::Unreadable {
                reason,
                key: key_of(&[evidence], raw, (header, body)),
            },
            // A mail that declares the type of its body had a body.
            None if body.trim_ascii().is_empty() && has_type(header) => Extracted::Unreadable {
                reason: "the mail is empty".to_owned(),
                key: key_of(&[], raw, (header, body)),
            },
            None => Extracted::NoAlert(NoAlert::NoPayload(match read.html {
                0 => "the mail has no text/html part; attachments and attached messages are not \
                      looked at"
                    .to_owned(),
                _ => format!(
                    "the mail's HTML has no <script type=\"{ELEMENT_TYPE}\" \
                              id=\"{ELEMENT_ID}\">"
                ),
            })),
        };
    }

    match agree(&read.found) {
        Ok(json) => Extracted::Json(json),
        Err(reason) => {
            let texts: Vec<&[u8]> = read.found.iter().map(element::Found::text).collect();
            Extracted::Unreadable {
                reason,
                key: key_of(&texts, raw, (header, body)),
            }
        }
    }
}

fn has_type(header: &[u8]) -> bool {
    header::first(header, b"Content-Type").is_some()
}

/// Returns the JSON on which all elements agree. A mail may say the same twice, in two HTML parts,
/// but it must not contradict itself.
fn agree(payloads: &[element::Found]) -> Result<Value, String> {
    let mut agreed: Option<Value> = None;
    for found in payloads {
        let value = match found {
            element::Found::Json(text) => json::parse(text)?,
            element::Found::Other { reason, .. } => return Err(reason.clone()),
        };
        match &agreed {
            Some(first) if *first != value => {
                return Err(format!(
                    "the mail has {} elements with the id {ELEMENT_ID}, and they differ",
                    payloads.len()
                ));
            }
            Some(_) => {}
            None => agreed = Some(value),
        }
    }

    agreed.ok_or_else(|| "the mail has no payload".to_owned())
}

/// Returns the key of an alert of which `evidence` is left: made of what the evidence contains of
/// the payload and, if that names no incident, of the mail itself too.
fn key_of(evidence: &[&[u8]], raw: &[u8], (header, body): (&[u8], &[u8])) -> String {
    // The hash covers a limited number of bytes, and the payload may stand beyond them.
    let is_hashed = evidence.iter().map(|text| text.len()).sum::<usize>() <= MAX_EVIDENCE;
    let is_named = is_hashed
        && evidence
            .iter()
            .any(|text| identity::names_an_incident(text));
    let identity = if is_named {
        Vec::new()
    } else {
        // The body counts only if there is no other evidence.
        let is_blank = evidence.iter().all(|text| text.trim_ascii().is_empty());
        identity::of(header, raw, if is_blank { body } else { b"" })
    };

    key(std::iter::once(identity.as_slice()).chain(evidence.iter().copied()))
}

/// Returns what copies of a mail share and no other mail of its sender has. It serves for a key if
/// the content of the mail is no key.
pub fn identity(raw: &[u8]) -> Vec<u8> {
    identity::of(Mended::of(raw).header(), raw, b"")
}

/// Returns a key that copies of an alert share, whichever way they came. White space is left out,
/// because mail systems rewrap it.
pub fn key<'a>(evidence: impl IntoIterator<Item = &'a [u8]>) -> String {
    let solid: Vec<u8> = evidence
        .into_iter()
        .flatten()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .take(MAX_EVIDENCE)
        .collect();

    let hash = sha256_hex(&solid);
    format!("unparsed-{}", hash.get(..32).unwrap_or(&hash))
}

/// Returns a Subject, or another text of the header, as a person reads it.
fn subject(value: &[u8]) -> Option<String> {
    Some(contents::decoded(value, MAX_SUBJECT)).filter(|text| !text.is_empty())
}

/// Replaces a no-break space by a space, which it is to whoever reads it or writes an expression.
fn spaced(c: char) -> char {
    match c {
        '\u{a0}' | '\u{2007}' | '\u{202f}' => ' ',
        c => c,
    }
}

#[cfg(test)]
mod tests;
