//! Mails in an mbox file (RFC 4155): only where each lies is kept, so an archive of any size takes little memory.

use std::{
    io::{self, BufRead, Read as _},
    ops::Range,
};

/// Lines are read in pieces of at most so many bytes.
const LONGEST_PIECE: u64 = 64 << 10;
/// As much of a mail's header is looked at to find its Date.
const LONGEST_HEADER: usize = 256 << 10;

/// One mail of the file.
#[derive(Debug, PartialEq)]
pub struct Place {
    /// Its bytes in the file, without the `From ` line.
    pub bytes: Range<u64>,
    /// The beginning of its header.
    pub header: Vec<u8>,
}

/// Whether a file that begins so is an mbox.
pub fn begins(start: &[u8]) -> bool {
    start.starts_with(b"From ")
}

/// Finds the mails, and hands each to `found` in the file's order.
pub fn split(mut reader: impl BufRead, mut found: impl FnMut(Place)) -> io::Result<()> {
    let mut mail: Option<Place> = None;
    let (mut at, mut new_line, mut after_blank, mut in_header) = (0, true, true, false);
    let mut piece = Vec::new();
    loop {
        piece.clear();
        let length = reader.by_ref().take(LONGEST_PIECE).read_until(b'\n', &mut piece)?;
        let end = at + u64::try_from(length).unwrap_or_default();
        let blank = new_line && matches!(piece.as_slice(), b"\n" | b"\r\n");
        if length == 0 || (new_line && separates(&piece, after_blank)) {
            if let Some(mut mail) = mail.take() {
                mail.bytes.end = at;
                found(mail);
            }
            mail = Some(Place { bytes: end..end, header: Vec::new() });
            in_header = true;
        } else if let Some(mail) = &mut mail {
            in_header &= !blank && mail.header.len() < LONGEST_HEADER;
            if in_header {
                mail.header.extend_from_slice(&piece);
            }
        }
        if length == 0 {
            return Ok(());
        }
        (at, after_blank, new_line) = (end, blank, piece.ends_with(b"\n"));
    }
}

/// A `From ` line begins a mail after an empty line; where the writer left that out, if it tells a time of day. Other
/// lines that begin so are prose.
fn separates(line: &[u8], after_blank: bool) -> bool {
    let clock = |w: &[u8]| w[2] == b':' && [w[0], w[1], w[3], w[4]].iter().all(u8::is_ascii_digit);
    begins(line) && (after_blank || line.windows(5).any(clock))
}

/// The mail as it was before it was put into the file: one `>` taken from each quoted `From ` line (mboxrd).
pub fn unquote(quoted: &[u8]) -> Vec<u8> {
    let mut mail = Vec::with_capacity(quoted.len());
    for line in quoted.split_inclusive(|byte| *byte == b'\n') {
        let marks = line.iter().take_while(|byte| **byte == b'>').count();
        mail.extend_from_slice(if marks > 0 && begins(&line[marks..]) { &line[1..] } else { line });
    }
    mail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mails(mbox: &[u8]) -> Vec<String> {
        let mut mails = Vec::new();
        split(mbox, |place| {
            let bytes = usize::try_from(place.bytes.start).unwrap()..usize::try_from(place.bytes.end).unwrap();
            mails.push(String::from_utf8(unquote(&mbox[bytes])).unwrap());
        })
        .unwrap();
        mails
    }

    #[test]
    fn each_mail_begins_after_its_from_line_and_quoted_ones_are_restored() {
        let mbox =
            b"From a@b Sat Nov 21 06:00:00 2026\nSubject: 1\n\n>From here\n>>From there\n\nFrom -\nSubject: 2\n\nx\n";
        assert_eq!(mails(mbox), ["Subject: 1\n\nFrom here\n>From there\n\n", "Subject: 2\n\nx\n"]);
    }

    #[test]
    fn prose_that_begins_with_from_begins_no_mail_and_a_missing_empty_line_hides_none() {
        let mbox = b"From a@b Sat Nov 21 06:00:00 2026\n\nI said:\nFrom now on\nFrom a@b Sat Nov 21 06:00:00 2026\n\ny";
        assert_eq!(mails(mbox), ["\nI said:\nFrom now on\n", "\ny"]);
    }

    #[test]
    fn a_line_longer_than_a_piece_is_still_one_line() {
        let long = format!("From a@b 06:00\n\n{}From b\nFrom c 06:00\n\nz", "x".repeat(100_000));
        assert_eq!(mails(long.as_bytes()).len(), 2);
    }
}
