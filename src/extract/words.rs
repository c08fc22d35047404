//! Encoded words in header fields (RFC 2047). Words that follow each other are one text: many
//! mailers cut it at a number of bytes, through the middle of a character. They are read in any
//! character set in which a body is, and handed to mail-parser in UTF-8.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mail_parser::decoders::base64::base64_decode;
use regex::bytes::{Captures, Regex};

use super::{charset, quoted_printable};

/// An encoded word: its character set and encoding, and the encoded text.
static WORD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?-u)(=\?[^?\s]{2,60}\?[BbQq]\?)([^?\r\n]*)\?=").ok());

/// Encoded words of one character set and one encoding with only white space between them.
struct Run<'a> {
    head: &'a [u8],
    texts: Vec<&'a [u8]>,
}

/// Returns the value of a field in which each run of encoded words has become one word, in UTF-8.
pub(super) fn joined(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut run: Option<Run<'_>> = None;
    let mut done = 0;

    let words = WORD.iter().flat_map(|word| word.captures_iter(value));
    for word in words.filter_map(|found| Word::of(&found)) {
        let gap = &value[done..word.start];
        done = word.end;
        match &mut run {
            Some(run)
                if run.head.eq_ignore_ascii_case(word.head) && gap.trim_ascii().is_empty() =>
            {
                run.texts.push(word.text);
            }
            _ => {
                if let Some(run) = run.take() {
                    run.write(&mut out);
                }
                out.extend_from_slice(gap);
                run = Some(Run {
                    head: word.head,
                    texts: vec![word.text],
                });
            }
        }
    }

    if let Some(run) = run {
        run.write(&mut out);
    }
    out.extend_from_slice(&value[done..]);
    out
}

struct Word<'a> {
    head: &'a [u8],
    text: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Word<'a> {
    fn of(found: &Captures<'a>) -> Option<Self> {
        let whole = found.get(0)?;
        Some(Self {
            head: found.get(1)?.as_bytes(),
            text: found.get(2)?.as_bytes(),
            start: whole.start(),
            end: whole.end(),
        })
    }
}

impl Run<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self.bytes() {
            Some(bytes) => {
                let head = String::from_utf8_lossy(self.head);
                let text = charset::decode_all(&bytes, head.split(['?', '*']).nth(1));
                out.extend_from_slice(format!("=?utf-8?B?{}?=", STANDARD.encode(text)).as_bytes());
            }
            None => out.extend([self.head, &self.texts.concat(), b"?="].concat()),
        }
    }

    /// Returns the bytes that the words encode, or `None` if they are not valid base64.
    fn bytes(&self) -> Option<Vec<u8>> {
        if self.head.ends_with(b"B?") || self.head.ends_with(b"b?") {
            // Each word of base64 may have padding of its own.
            let decoded: Option<Vec<_>> =
                self.texts.iter().map(|text| base64_decode(text)).collect();
            return Some(decoded?.concat());
        }
        let spaced = |byte: &u8| if *byte == b'_' { b' ' } else { *byte };
        let text: Vec<u8> = self.texts.iter().copied().flatten().map(spaced).collect();
        Some(quoted_printable::decode(&text).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_follow_each_other_are_one() {
        for (value, expected) in [
            ("no word at all", "no word at all"),
            ("=?utf-8?Q?one?= two", "=?utf-8?B?b25l?= two"),
            (
                "a =?utf-8?Q?=E9=9A?=\r\n =?UTF-8?q?=9C?= b",
                "a =?utf-8?B?6Zqc?= b",
            ),
            ("=?utf-8?B?6Q==?= =?utf-8?B?mpw=?=", "=?utf-8?B?6Zqc?="),
            (
                "=?utf-8?Q?a?= and =?utf-8?Q?b?=",
                "=?utf-8?B?YQ==?= and =?utf-8?B?Yg==?=",
            ),
            (
                "=?utf-8?Q?=C3=BC?= =?iso-8859-1?Q?=FC?=",
                "=?utf-8?B?w7w=?= =?utf-8?B?w7w=?=",
            ),
            ("=?utf-8?Q?a?= =?utf-8?Q?b", "=?utf-8?B?YQ==?= =?utf-8?Q?b"),
            ("=?x-none*de?Q?a_b c=FC?=", "=?utf-8?B?YSBiIGPDvA==?="),
            ("=?utf-8?B?!?=", "=?utf-8?B?!?="),
        ] {
            let joined = joined(value.as_bytes());
            assert_eq!(String::from_utf8(joined).unwrap(), expected, "{value}");
        }
    }
}
