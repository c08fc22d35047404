//! 3. Message → what it holds. Home of mail-parser, `lol_html` and scraper.
//!
//! [`Extractor`] finds the JSON that is hidden in Atlassian's own mail. [`Contents`] has everything
//! that other senders' mail is made of: text, pairs, attachments.
//!
//! Anybody can send mail, so everything here is bounded and linear in the mail's size: the header
//! block is judged on its raw bytes before any parser sees it ([`sender::read`]), multiparts are
//! split by a walk of limited depth ([`body`]), and the one HTML element that matters is found by a
//! streaming pass before a DOM parser reads just that element ([`element`]).
//!
//! Nothing ends silently by being odd. A mail is read as mail programs read it; where they would
//! differ it is [`Extracted::Unreadable`], and [`Extracted::NoAlert`] is only what certainly is
//! another's or holds no alert.
//!
//! What makes a mail an alert is named here and nowhere else: who sends it (`alerts.from`), where
//! the payload lies ([`ELEMENT_ID`], [`ELEMENT_TYPE`]), what it is written in (JSON).

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

/// The element's `type`, whatever parameters follow it.
pub const ELEMENT_TYPE: &str = "application/json";

/// The largest payload read, in bytes; the published example has 330.
pub const MAX_PAYLOAD: usize = 256 << 10;

/// The longest Subject kept for people, in characters.
const MAX_SUBJECT: usize = 250;

/// How much of an unreadable alert its key is made from, in bytes.
const MAX_EVIDENCE: usize = 1 << 20;

/// What a mail holds, and what its header says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Extraction {
    pub found: Extracted,
    /// The mail's Date; none where it is missing, unreadable or given twice.
    pub date: Option<Timestamp>,
    /// The Subject, decoded, on one line and at most 250 characters long.
    pub subject: Option<String>,
}

/// What a mail holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Extracted {
    /// The alert's JSON, not yet checked against the schema.
    Json(Value),
    /// An alert that cannot be read: `reason` says why, `key` is made from the payload's hash, so
    /// that copies page once; and from the mail's own Date and Message-ID where no payload is left,
    /// so that another alert pages again.
    Unreadable { reason: String, key: String },
    /// Mail that is no alert: another sender, or no script element.
    NoAlert(NoAlert),
}

/// Why a mail is no alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAlert {
    /// Not from a configured sender. The sentence says what is odd.
    OtherSender(String),
    /// From the sender, and without the element.
    NoPayload(String),
}

/// Finds the alert in a mail.
#[derive(Debug, Clone)]
pub struct Extractor {
    from: Vec<String>,
}

impl Extractor {
    /// `from` are the addresses alerts come from (`alerts.from`), compared without regard to case.
    pub fn new(from: &[String]) -> Self {
        Self {
            from: from.to_vec(),
        }
    }

    /// Reads one mail: never fails, and takes time linear in its size.
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

    /// Whether a header, perhaps without its mail, certainly names another sender.
    pub fn is_anothers(&self, raw: &[u8]) -> bool {
        matches!(
            sender::read(Mended::of(raw).header(), &self.from),
            Sender::Other(_)
        )
    }
}

/// Why an alert cannot be read, and the bytes that tell it from others.
pub(crate) struct Obstacle<'a> {
    reason: String,
    evidence: &'a [u8],
}

/// A mail that may be the sender's and may be somebody else's: its alert is told, and not believed.
fn doubtful(odd: &str, raw: &[u8], header: &[u8], body: &[u8]) -> Extracted {
    let reason = format!(
        "programs would not agree whether this mail is from a sender of alerts.from: {odd}"
    );
    Extracted::Unreadable {
        reason,
        key: key_of(&[left_of(raw, header, body)], raw, (header, body)),
    }
}

/// What tells a mail from others that cannot be read either: its body. Where all of it looks like a
/// header, that is what names the sender, and the whole mail if nothing else of it can be told.
pub(crate) fn left_of<'a>(raw: &'a [u8], header: &'a [u8], body: &'a [u8]) -> &'a [u8] {
    if !body.trim_ascii().is_empty() {
        body
    } else if identity::is_there(header, raw) {
        header::first(header, b"From").unwrap_or_default()
    } else {
        raw
    }
}

/// Looks through the HTML of a mail of the right sender.
fn payload(raw: &[u8], header: &[u8], body: &[u8]) -> Extracted {
    let read = body::read(header, body);
    if read.found.is_empty() {
        return match read.obstacle {
            Some(Obstacle { reason, evidence }) => Extracted::Unreadable {
                reason,
                key: key_of(&[evidence], raw, (header, body)),
            },
            // A mail that says what its body is had one.
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

/// The JSON all the elements agree on. A mail may say the same twice, in two HTML parts; it may not
/// contradict itself.
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

/// The key of an alert of which `evidence` is left: what it holds of the payload, and where that
/// names no incident, the mail itself too.
fn key_of(evidence: &[&[u8]], raw: &[u8], (header, body): (&[u8], &[u8])) -> String {
    // The hash stops at a limit, and the payload may stand beyond it.
    let is_hashed = evidence.iter().map(|text| text.len()).sum::<usize>() <= MAX_EVIDENCE;
    let is_named = is_hashed
        && evidence
            .iter()
            .any(|text| identity::names_an_incident(text));
    let identity = if is_named {
        Vec::new()
    } else {
        // The body counts only where there is no other evidence.
        let is_blank = evidence.iter().all(|text| text.trim_ascii().is_empty());
        identity::of(header, raw, if is_blank { body } else { b"" })
    };

    key(std::iter::once(identity.as_slice()).chain(evidence.iter().copied()))
}

/// What copies of a mail share, and no other mail of its sender has: for a key where what the mail
/// says is no key.
pub fn identity(raw: &[u8]) -> Vec<u8> {
    identity::of(Mended::of(raw).header(), raw, b"")
}

/// A key that copies of an alert share, whichever way they came: white space, which mail systems
/// rewrap, is left out.
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

/// A Subject, or another text of the header, as a person reads it.
fn subject(value: &[u8]) -> Option<String> {
    Some(contents::decoded(value, MAX_SUBJECT)).filter(|text| !text.is_empty())
}

/// A space that breaks no line is a space to whoever reads it, and to whoever writes an expression.
fn spaced(c: char) -> char {
    match c {
        '\u{a0}' | '\u{2007}' | '\u{202f}' => ' ',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use base64::{Engine as _, prelude::BASE64_STANDARD};

    use super::*;

    fn extract(mail: &str) -> Extraction {
        Extractor::new(&["no-reply@am.atlassian.com".into()]).extract(mail.as_bytes())
    }

    #[test]
    fn date_and_subject_are_read_whoever_sent_the_mail() {
        let read = extract(
            "From: x@example.com\r\nDate: Thu, 24 Mar 2022 16:40:00 +0100 (CET)\r\n\
             Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=\r\n from the =?UTF-8?B?4piD?=\r\n\r\n",
        );
        assert_eq!(read.date, Some("2022-03-24T15:40:00Z".parse().unwrap()));
        assert_eq!(read.subject.as_deref(), Some("Grüße from the ☃"));
    }

    #[test]
    fn a_date_given_twice_is_no_date() {
        let read = extract(
            "Date: Thu, 24 Mar 2022 15:40:00 +0000\nDate: Thu, 24 Mar 2032 15:40:00 +0000\n\n",
        );
        assert_eq!(read.date, None);
        assert_eq!(extract("Date: yesterday\n\n").date, None);
    }

    #[test]
    fn a_subject_is_one_short_line() {
        let read = extract(&format!("Subject: a\u{7}b{}\n\n", "x".repeat(100_000)));
        assert_eq!(read.subject.unwrap().chars().count(), 250);
        assert_eq!(extract("Subject: \r\n\r\n").subject, None);
    }

    #[test]
    fn copies_that_differ_in_white_space_share_a_key() {
        assert_eq!(key([&b"{ \"a\":\r\n1"[..]]), key([&b"{\"a\":1"[..]]));
        assert_ne!(key([&b"{\"a\":2"[..]]), key([&b"{\"a\":1"[..]]));
    }
    /// Every way in which the payload is lost, of the alert with this number.
    fn lost(number: u32) -> Vec<String> {
        let header = |from: &str, kind: &str| {
            format!(
                "Received: by mx.example\r\nFrom: {from}\r\nSubject: Alert {number}\r\n\
                 Date: Mon, 02 Mar 2026 12:00:{number:02} +0000\r\nMessage-ID: \
                 <{number}@x>\r\nContent-Type: {kind}\r\n"
            )
        };
        let sender = "Atlassian <no-reply@am.atlassian.com>";
        let element = |text: &str| {
            format!(
                "<html><script type=\"application/json\" id=\"incident-data\">{text}</script>\
                 <p>Alert</p></html>"
            )
        };
        let html = header(sender, "text/html");
        let doubtful = header("x@y.example, no-reply@am.atlassian.com", "text/html");
        let parts = header(sender, "multipart/mixed; boundary=b");
        vec![
            format!("{html}\r\n{}", element("")),
            format!("{html}\r\n{}", element("/* blocked */")),
            format!(
                "{html}\r\n{}",
                element("{\"appKey\":\"a\",\"incidentId\":\"inc-").replace("</s", "")
            ),
            format!("{html}\r\n<html><head><scri"),
            format!("{html}\r\n<html><script type=\"application/json\" id=\"incident-data\""),
            format!("{html}\r\n"),
            format!("{html}Content-Transfer-Encoding: x-uuencode\r\n\r\nM\r\n"),
            format!("{doubtful}\r\n"),
            format!("{doubtful}\r\n<p>Removed by policy.</p>"),
            format!("{parts}\r\n--b\r\nContent-Type: text/html\r\n\r\n"),
            format!("{parts}\r\n--b\r\nContent-Type: x/\r\n\r\nincident-data\r\n--b--\r\n"),
            format!(
                "{parts}\r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\n\r\n--b--\r\n"
            ),
        ]
    }

    fn key_in(mail: &str) -> String {
        match extract(mail).found {
            Extracted::Unreadable { key, .. } => key,
            other => panic!("{other:?}\n{mail}"),
        }
    }

    #[test]
    fn each_alert_whose_payload_is_lost_has_a_key_of_its_own_and_its_copies_share_it() {
        let mut keys = vec![BTreeSet::new(); lost(0).len()];
        for number in 0..40 {
            for (keys, mail) in keys.iter_mut().zip(lost(number)) {
                let key = key_in(&mail);
                for copy in [
                    format!("Received: by other.example\r\n{mail}"),
                    mail.replace("mx.example", "mx2.example"),
                    mail.replace("Subject: ", "Subject: [EXTERNAL] "),
                ] {
                    assert_eq!(key, key_in(&copy), "{copy}");
                }
                keys.insert(key);
            }
        }
        assert!(keys.iter().all(|keys| keys.len() == 40), "{keys:?}");
    }

    #[test]
    fn each_alert_whose_header_cannot_be_seen_has_a_key_of_its_own() {
        const ID: &str = "<script id=\"incident-data\">{\"incidentId\":\"a\"";
        let mail = |number: u32| lost(number).swap_remove(3).replace("<scri", ID);
        let each_line = |mail: &str, before: &str| {
            let lines = mail.lines().map(|line| format!("{before}{line}\r\n"));
            lines.collect::<String>()
        };
        let shapes: [&dyn Fn(&str) -> String; 6] = [
            &|mail| each_line(mail, "    "),
            &|mail| each_line(mail, "> "),
            &|mail| each_line(mail, "Mar  2 12:00:00 host mail[1]: "),
            &|mail| BASE64_STANDARD.encode(mail),
            &|mail| Value::from(mail).to_string(),
            &|mail| mail.chars().map(|c| format!("\0{c}")).collect(),
        ];
        for shape in shapes {
            let keys = (0..40).map(|number| key_in(&shape(&mail(number))));
            assert_eq!(
                keys.collect::<BTreeSet<_>>().len(),
                40,
                "{}",
                shape(&mail(1))
            );
        }
    }

    #[test]
    fn what_a_filter_left_of_the_alert_is_told() {
        let payload = "{\"incidentId\":\"a\",\"incidentStatus\":\"OK\"}";
        let whole = |html: &str| {
            format!(
                "From: no-reply@am.atlassian.com\r\nContent-Type: text/html\r\n\r\n<html><body>\
                 {html}</body></html>"
            )
        };
        let element =
            format!("<script type=\"application/json\" id=\"incident-data\">{payload}</script>");
        let escaped = element.replace('<', "&lt;").replace('"', "&quot;");
        for html in [
            element.replace("script", "MailScannerScript12"),
            element.replace("<script", "< script"),
            element.replace("script", "DEFANGED_script"),
            element.replace("<script", "\u{2039}script"),
            element.replace("id=\"inc", "id=\"x_inc"),
            element.replace(" id=", " data-id="),
            element.replace("id=\"incident-data\"", "id=\u{201c}incident-data\u{201d}"),
            element.replace("incident-", "incident\u{200b}-"),
            element.replace("incident-", "inci\u{ad}dent-"),
            format!("<p>{}</p>", payload.replace('"', "&quot;")),
            escaped,
            format!("<!-- {element}"),
            format!("<title>{element}"),
        ] {
            let found = extract(&whole(&html)).found;
            assert!(
                matches!(found, Extracted::Unreadable { .. }),
                "{found:?}: {html}"
            );
        }
        for html in [
            format!("<!-- {element} -->"),
            format!("<title>{element}</title>"),
            format!("<style>{element}</style >"),
            format!("<plaintext>{element}"),
            element.replace("incident-data", "other"),
            element.replace("incident-data", "Incident-Data"),
            "<p>Your incident is over.</p>".to_owned(),
            "<p>incidentId</p>".to_owned(),
        ] {
            let found = extract(&whole(&html)).found;
            assert!(matches!(found, Extracted::NoAlert(_)), "{found:?}: {html}");
        }
    }

    #[test]
    fn base64_that_something_stands_before_is_read_or_told() {
        let html = "<html><script type=\"application/json\" id=\"incident-data\">{\"incidentId\":\"a\"}\
                    </script><p>Größer als erwartet, and so on.</p></html>";
        let encoded = BASE64_STANDARD.encode(html);
        let lines: Vec<&str> = encoded
            .as_bytes()
            .chunks(76)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let encoded = lines.join("\r\n");
        let mail = |body: &str| {
            extract(&format!(
                "From: no-reply@am.atlassian.com\r\nContent-Type: text/html; charset=utf-8\r\n\
                 Content-Transfer-Encoding: base64\r\n\r\n{body}\r\n"
            ))
            .found
        };
        assert!(matches!(mail(&encoded), Extracted::Json(_)));
        for word in [
            "EXTERNAL",
            "EXTERNAL EMAIL",
            "CAUTION",
            "A B",
            "Warning",
            "Extern",
        ] {
            let found = mail(&format!("{word}\r\n{encoded}"));
            assert!(!matches!(found, Extracted::NoAlert(_)), "{word}: {found:?}");
        }
        for lost in 1..=3 {
            let found = mail(&encoded[lost..]);
            assert!(!matches!(found, Extracted::NoAlert(_)), "{lost}: {found:?}");
        }
    }

    #[test]
    fn an_alert_within_a_mail_that_is_encoded_itself_is_told() {
        let html = "<script type=\"application/json\" id=\"incident-data\">{}</script>";
        let inner = format!(
            "From: no-reply@am.atlassian.com\r\nContent-Type: text/html\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            BASE64_STANDARD.encode(html)
        );
        for kind in ["message/rfc822", "application/octet-stream; name=a.eml"] {
            let found = extract(&format!(
                "From: no-reply@am.atlassian.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
                 --b\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
                BASE64_STANDARD.encode(&inner)
            ));
            assert!(
                matches!(found.found, Extracted::Unreadable { .. }),
                "{kind}: {found:?}"
            );
        }
        for kind in ["text/plain", "text/html"] {
            let empty =
                format!("From: no-reply@am.atlassian.com\r\nContent-Type: {kind}\r\n\r\n\r\n");
            assert!(
                matches!(extract(&empty).found, Extracted::Unreadable { .. }),
                "{kind}"
            );
        }
    }

    #[test]
    fn a_payload_that_cannot_be_read_and_names_its_incident_is_the_key_alone() {
        for text in [
            "{\"incidentId\":\"a\",",
            "{\"incidentId\": \"a\", \"incidentId\": \"b\"}",
        ] {
            let mail = |date: &str| {
                format!(
                    "From: no-reply@am.atlassian.com\r\nDate: {date}\r\nContent-Type: \
                     text/html\r\n\r\n<script type=\"application/json\" \
                     id=\"incident-data\">{text}</script>"
                )
            };
            assert_eq!(key_in(&mail("today")), key_in(&mail("tomorrow")), "{text}");
        }
    }
}
