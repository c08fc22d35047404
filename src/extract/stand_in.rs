//! Stand-ins that Exchange hands out for a mail that it cannot convert for IMAP or POP: a text that
//! names the mail.

use super::{parts, quoted_printable};
use crate::message::{header, sender};

/// The largest body of a stand-in, in bytes. A real one has three lines and a list.
const MAX_BODY: usize = 16 << 10;

/// Whether the mail stands in for a mail of a configured sender. Its language is that of the
/// mailbox, whereas the names in it are not translated.
pub(super) fn is_one(
    header: &[u8],
    subject: Option<&str>,
    body: &[u8],
    configured: &[String],
) -> bool {
    let from = header::first(header, b"From")
        .and_then(super::subject)
        .unwrap_or_default();
    let by_exchange = from.contains("Microsoft Exchange");
    let of_retrieval =
        subject.is_some_and(|subject| subject.contains("IMAP4") || subject.contains("POP3"));

    if !(by_exchange || of_retrieval) || body.len() > MAX_BODY {
        return false;
    }

    let names = |text: &[u8]| {
        text.split(|byte| *byte == b'\n')
            .any(|line| sender::names(line, configured))
    };

    names(&quoted_printable::decode(body).0)
        || parts::of(header, body)
            .all
            .iter()
            .any(|part| names(part.text().as_bytes()))
}
