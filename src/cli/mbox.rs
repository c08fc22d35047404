//! Mails in an mbox file (RFC 4155): only their positions are kept, so an archive of any size needs
//! little memory.
//!
//! A line that begins with `From ` counts as text until it proves to be an envelope: it contains a
//! name and a full date, or it follows an empty line and contains a name alone; and a header
//! follows it. Within a valid Content-Length (mboxcl2), no line is an envelope.

use std::{
    io::{self, BufRead, Read as _},
    mem,
    ops::Range,
};

use crate::message::header;

/// The most bytes of a line that are read at a time.
const LONGEST_PIECE: u64 = 64 << 10;
/// The most bytes of a mail's header that are searched for its Date.
const LONGEST_HEADER: usize = 256 << 10;
/// The most bytes between the end declared by a Content-Length and the next envelope: an empty line
/// or two.
const GAP: u64 = 4;

/// One mail of the file.
#[derive(Debug, PartialEq)]
pub struct Place {
    /// The position of the mail in the file, without the `From ` line.
    pub bytes: Range<u64>,
    /// The beginning of its header.
    pub header: Vec<u8>,
}

/// Decides whether a file with this beginning is an mbox. `From : a@b` is not: it is a field of a
/// mail, with the white space before the colon that was once allowed.
pub fn begins(start: &[u8]) -> bool {
    start
        .strip_prefix(b"From ")
        .is_some_and(|rest| !rest.trim_ascii_start().starts_with(b":"))
}

/// Finds the mails, and passes each to `found` in the file's order.
pub fn split(mut reader: impl BufRead, found: impl FnMut(Place)) -> io::Result<()> {
    let mut mails = Mails {
        found,
        begun: Vec::new(),
        length_end: None,
    };

    let mut candidate: Option<Range<u64>> = None;
    let (mut at, mut new_line, mut after_blank) = (0, true, true);
    let mut piece = Vec::new();

    loop {
        piece.clear();
        let length = reader
            .by_ref()
            .take(LONGEST_PIECE)
            .read_until(b'\n', &mut piece)?;
        let end = at + u64::try_from(length).unwrap_or_default();
        if let Some(envelope) = candidate.take() {
            // An envelope on the first line needs no header after it.
            if envelope.start == 0 || is_field(&piece) {
                mails.begin(envelope);
            }
        }
        if length == 0 {
            mails.end(at);
            return Ok(());
        }
        if new_line && (at == 0 || is_envelope(&piece, after_blank)) {
            candidate = Some(at..end);
        } else {
            mails.line(&piece, new_line, end);
        }
        after_blank = new_line && is_blank(&piece);
        (at, new_line) = (end, piece.ends_with(b"\n"));
    }
}

/// The mails that were found but not passed on yet: the last certain one, and those within its
/// declared length.
struct Mails<F> {
    found: F,
    begun: Vec<Begun>,
    /// The end of the first mail, according to its Content-Length.
    length_end: Option<u64>,
}

struct Begun {
    /// The position of the `From ` line.
    envelope: Range<u64>,
    header: Vec<u8>,
    in_header: bool,
}

impl<F: FnMut(Place)> Mails<F> {
    /// Begins a mail with this envelope. The mail is uncertain while it lies within another one.
    fn begin(&mut self, envelope: Range<u64>) {
        if self.length_end.is_none_or(|end| end <= envelope.start) {
            self.end(envelope.start);
        }
        self.begun.push(Begun {
            envelope,
            header: Vec::new(),
            in_header: true,
        });
    }

    /// Ends the last certain mail. If its declared length is valid, it is the only mail; otherwise,
    /// those within it are mails as well.
    fn end(&mut self, at: u64) {
        let fits = self
            .length_end
            .take()
            .is_some_and(|end| (end..=end + GAP).contains(&at));

        let mut begun = mem::take(&mut self.begun)
            .into_iter()
            .take(if fits { 1 } else { usize::MAX })
            .peekable();

        while let Some(Begun {
            envelope, header, ..
        }) = begun.next()
        {
            let end = begun.peek().map_or(at, |next| next.envelope.start);
            (self.found)(Place {
                bytes: envelope.end..end,
                header,
            });
        }
    }

    /// Takes a line, or a piece of one, that is not an envelope.
    fn line(&mut self, piece: &[u8], new_line: bool, end: u64) {
        let first = self.begun.len() == 1;
        let Some(mail) = self.begun.last_mut().filter(|mail| mail.in_header) else {
            return;
        };
        let blank = new_line && is_blank(piece);

        // Empty lines before a header are skipped, as in any mail.
        if blank && mail.header.is_empty() {
            return;
        }

        if blank && first {
            self.length_end = content_length(&mail.header).map(|length| end + length);
        }

        mail.in_header = !blank && mail.header.len() < LONGEST_HEADER;

        if mail.in_header {
            mail.header.extend_from_slice(piece);
        }
    }
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

fn is_field(line: &[u8]) -> bool {
    header::fields(line)
        .next()
        .is_some_and(|field| field.is_ok())
        || line.starts_with(b">From ")
}

fn content_length(header: &[u8]) -> Option<u64> {
    std::str::from_utf8(header::only(header, b"Content-Length")?)
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Decides whether a `From ` line is an envelope. It must contain a name and a full date; after an
/// empty line, the name alone (an address or `-`) is enough, because some writers leave out the
/// time.
fn is_envelope(line: &[u8], after_blank: bool) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else {
        return false;
    };
    let text = String::from_utf8_lossy(rest);
    let mut words = text.split_ascii_whitespace();
    let sender = words.next().unwrap_or_default();
    let dated: Vec<&str> = words.collect();
    let clock = dated.iter().any(|word| is_clock(word));
    let year = dated
        .iter()
        .any(|word| word.len() == 4 && word.parse().is_ok_and(|year| (1970..2200).contains(&year)));

    (clock && year) || (after_blank && dated.is_empty() && (sender == "-" || sender.contains('@')))
}

/// Decides whether a word is a time, such as `06:00` or `06:00:00`.
fn is_clock(word: &str) -> bool {
    let parts: Vec<&str> = word.split(':').collect();
    matches!(parts.len(), 2 | 3)
        && parts
            .iter()
            .all(|part| part.len() <= 2 && part.parse::<u8>().is_ok())
}

/// Restores a mail to its form before it was put into the file: removes one `>` from each quoted
/// `From ` line (mboxrd).
pub fn unquote(quoted: &[u8]) -> Vec<u8> {
    let mut mail = Vec::with_capacity(quoted.len());
    for line in quoted.split_inclusive(|byte| *byte == b'\n') {
        let marks = line.iter().take_while(|byte| **byte == b'>').count();
        mail.extend_from_slice(if marks > 0 && begins(&line[marks..]) {
            &line[1..]
        } else {
            line
        });
    }

    mail
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: &str = "From a@b Sat Nov 21 06:00:00 2026\n";

    fn mails(mbox: &str) -> Vec<String> {
        let mut mails = Vec::new();
        split(mbox.as_bytes(), |place| {
            let bytes = usize::try_from(place.bytes.start).unwrap()
                ..usize::try_from(place.bytes.end).unwrap();
            mails.push(String::from_utf8(unquote(&mbox.as_bytes()[bytes])).unwrap());
        })
        .unwrap();
        mails
    }

    #[test]
    fn each_mail_begins_after_its_from_line_and_quoted_ones_are_restored() {
        let mbox = format!(
            "{ENVELOPE}Subject: 1\n\n>From here\n>>From there\n\nFrom -\nSubject: 2\n\nx\n"
        );
        assert_eq!(
            mails(&mbox),
            [
                "Subject: 1\n\nFrom here\n>From there\n\n",
                "Subject: 2\n\nx\n"
            ]
        );
    }

    #[test]
    fn envelopes_of_many_writers_begin_mails() {
        for envelope in [
            "From a@b Sat Nov 21 06:00:00 2026",
            "From a@b  Sat Nov  1 06:00 2026 +0000",
            "From MAILER-DAEMON Sat Nov 21 06:00:00 2026\r",
            "From - Sat Nov 21 06:00:00 2026",
            "From 1234567890@xxx Sat Nov 21 06:00:00 +0000 2026",
            "From ???@??? Sat Nov 21 06:00:00 2026",
            "From a@b",
            "From -",
        ] {
            let mbox = format!("{ENVELOPE}A: 1\n\nx\n\n{envelope}\nB: 2\n\ny\n");
            assert_eq!(mails(&mbox), ["A: 1\n\nx\n\n", "B: 2\n\ny\n"], "{envelope}");
        }
    }

    #[test]
    fn from_in_a_body_begins_no_mail() {
        for line in [
            "From now on\nNote: this",
            "From 10:30 onwards\nNote: this",
            "From here on: all is well\nNote: this",
            "From a@b Sat Nov 21 06:00:00 2026\nand so on",
            "From a@b Sat Nov 21 06:00:00 2026\n\nNote: this",
            "From 2026 to 2030\nNote: this",
            "From",
            "From \nNote: this",
        ] {
            let mail = format!("A: 1\n\nI said:\n\n{line}\n\nx\n");
            assert_eq!(mails(&format!("{ENVELOPE}{mail}")), [mail], "{line:?}");
        }
    }

    #[test]
    fn a_missing_empty_line_hides_no_mail() {
        let mbox = format!("{ENVELOPE}A: 1\n\nI said:\nFrom now on\n{ENVELOPE}B: 2\n\ny");
        assert_eq!(
            mails(&mbox),
            ["A: 1\n\nI said:\nFrom now on\n", "B: 2\n\ny"]
        );
    }

    #[test]
    fn a_content_length_that_fits_is_believed_and_no_other() {
        let quoted = format!("{ENVELOPE}C: 3\n\nquoted\n\n");
        let body = format!("see:\n\n{quoted}{quoted}end\n");
        let mbox = |length: usize| {
            format!("{ENVELOPE}Content-Length: {length}\n\n{body}\n{ENVELOPE}B: 2\n\ny\n")
        };
        assert_eq!(
            mails(&mbox(body.len())),
            [
                format!("Content-Length: {}\n\n{body}\n", body.len()),
                "B: 2\n\ny\n".into()
            ]
        );
        for lie in [0, 3, body.len() - 9, body.len() + 20, 1_000_000] {
            let bodies: Vec<String> = mails(&mbox(lie))
                .iter()
                .map(|mail| mail.lines().next().unwrap().to_owned())
                .collect();
            assert_eq!(
                bodies,
                [
                    format!("Content-Length: {lie}"),
                    "C: 3".into(),
                    "C: 3".into(),
                    "B: 2".into()
                ],
                "{lie}"
            );
        }
        let alone = format!("{ENVELOPE}Content-Length: {}\n\n{body}", body.len());
        assert_eq!(mails(&alone).len(), 1);
    }

    #[test]
    fn a_line_longer_than_a_piece_is_still_one_line() {
        let long = format!(
            "{ENVELOPE}A: 1\n\n{}From b\n\n{ENVELOPE}B: 2\n\nz",
            "x".repeat(100_000)
        );
        assert_eq!(mails(&long).len(), 2);
    }

    #[test]
    fn a_field_with_white_space_before_its_colon_begins_no_mbox() {
        assert!(begins(b"From a@b Sat Nov 21 06:00:00 2026\n") && begins(b"From "));
        for start in ["From : a@b\n", "From \t : a@b", "From: a@b", "from a@b", ""] {
            assert!(!begins(start.as_bytes()), "{start:?}");
        }
    }

    #[test]
    fn a_file_of_one_line_is_one_mail() {
        assert_eq!(mails("From a@b\n"), [""]);
        assert_eq!(mails(""), Vec::<String>::new());
        assert_eq!(mails(&format!("{ENVELOPE}\nx\n")), ["\nx\n"]);
    }
}
