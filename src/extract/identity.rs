//! The identity of a mail whose content does not distinguish it from others.
//!
//! An alert that cannot be read is known by its payload. If the payload is what is missing, the
//! remaining bytes are the same in every such mail (nothing at all, or a gateway's note), and a key
//! made of them alone would stand for every alert there will ever be. The mail itself is then
//! distinguished by what all its copies share: its own Date and Message-ID.

use super::{contents::decoded, quoted_printable, subject::untagged};
use crate::message::header::{self, Field, fields, first};

/// The range in which a field is searched for outside of a readable header, in bytes.
const MAX_LOOSE: usize = 64 << 10;

/// The member of the payload that distinguishes one alert from the next.
const ID: &[u8] = b"incidentId";

/// Returns what copies of a mail share, whichever way they came, and other mails do not have.
///
/// A gateway may tag the Subject, so the Subject counts only if there is no Message-ID, and without
/// its tags. A mail with neither Date nor Message-ID, as no genuine one is sent, is known by its
/// Subject and by `body`.
pub(super) fn of(header: &[u8], raw: &[u8], body: &[u8]) -> Vec<u8> {
    let date = match header::date(header) {
        Some(date) => Some(date.as_second().to_string()),
        None => field(header, raw, b"Date"),
    };
    let id = field(header, raw, b"Message-ID");
    let body = if date.is_none() && id.is_none() {
        body
    } else {
        b""
    };
    let other = id.or_else(|| {
        let subject = first(header, b"Subject")?;
        Some(untagged(&decoded(subject, super::MAX_SUBJECT)).to_owned())
    });

    let parts = [date, other];
    let said: Vec<String> = parts.into_iter().map(Option::unwrap_or_default).collect();
    [format!("{}\0", said.join("\0")).as_bytes(), body].concat()
}

/// Whether a mail has a Date or a Message-ID that can be found.
pub(super) fn is_there(header: &[u8], raw: &[u8]) -> bool {
    [&b"Date"[..], b"Message-ID"]
        .iter()
        .any(|name| field(header, raw, name).is_some())
}

/// Returns the value of a field. If the header lacks the field, it is the value of the first line
/// that looks like it.
fn field(header: &[u8], raw: &[u8], name: &[u8]) -> Option<String> {
    let value = first(header, name)
        .or_else(|| loose(raw, name))?
        .trim_ascii();
    (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned())
}

fn loose<'a>(raw: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let is_it = |field: &Field<'_>| field.is(name);
    fields(&raw[..raw.len().min(MAX_LOOSE)])
        .flatten()
        .find(is_it)
        .map(|field| field.value)
}

/// Whether bytes contain an alert's id with its whole value.
pub(super) fn names_an_incident(bytes: &[u8]) -> bool {
    has_id(bytes) || has_id(&quoted_printable::decode(bytes).0)
}

fn has_id(bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, ID).any(|at| {
        let value = bytes[at + ID.len()..]
            .strip_prefix(b"\"")
            .and_then(|after| after.trim_ascii_start().strip_prefix(b":"))
            .and_then(|after| after.trim_ascii_start().strip_prefix(b"\""));
        value.is_some_and(|value| memchr::memchr(b'"', value).is_some_and(|length| length > 0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(mail: &str) -> Vec<u8> {
        let (header, body) = header::split(mail.as_bytes());
        of(header, mail.as_bytes(), body)
    }

    #[test]
    fn copies_of_a_mail_share_what_they_are_known_by_and_other_mails_do_not() {
        let mail = "Date: Mon, 02 Mar 2026 12:00:00 +0000\r\nMessage-ID: <a@b>\r\nSubject: x\r\n\
                    \r\nbody";
        let without_id = mail.replace("Message-ID: <a@b>\r\n", "");
        for mail in [mail, &without_id] {
            for copy in [
                format!("Received: by mx.example\r\n{mail}"),
                mail.replace("Subject: x", "Subject: [EXTERNAL] x"),
                mail.replace("12:00:00 +0000", "13:00:00 +0100"),
                mail.replace("\r\n", "\n"),
            ] {
                assert_eq!(identity(mail), identity(&copy), "{copy}");
            }
            assert_ne!(
                identity(mail),
                identity(&mail.replace("12:00:00", "12:00:01"))
            );
        }
        assert_ne!(identity(mail), identity(&mail.replace("<a@b>", "<c@b>")));
        assert_ne!(
            identity(&without_id),
            identity(&without_id.replace(": x", ": y"))
        );

        let bare = "Subject: x\r\n\r\nbody";
        assert_ne!(identity(bare), identity(&bare.replace("body", "other")));
        let copy = format!("Received: by mx.example\r\n{bare}");
        assert_eq!(identity(bare), identity(&copy));
        assert_ne!(identity(bare), identity(&bare.replace(": x", ": y")));
        // Fields that stand behind the place where the header broke off still belong to the mail.
        let broken = |date| format!("X: y\r\n\r\nDate: {date}\r\n\r\nbody");
        assert_ne!(identity(&broken("yesterday")), identity(&broken("today")));
    }

    #[test]
    fn an_id_names_an_incident_once_its_value_is_whole() {
        for text in [
            "{\"incidentId\":\"a\"",
            "\"incidentId\" : \r\n \"a\"",
            "\"incidentId=\r\n\":=20\"a=\r\nb\"",
        ] {
            let spaced = text.replace(":=20", ": ");
            assert!(names_an_incident(spaced.as_bytes()), "{text}");
        }
        for text in [
            "",
            "incidentId",
            "\"incidentId\"",
            "\"incidentId\":",
            "\"incidentId\":\"inc-",
            "\"incidentId\":\"\"",
            "\"incidentId\":null,\"a\":\"b\"",
        ] {
            assert!(!names_an_incident(text.as_bytes()), "{text}");
        }
    }
}
