//! The meaning of a server's answer. Pure.
//!
//! Only what was requested is parsed: an unrequested attribute, a flag with parentheses or a text
//! in another charset is skipped, and can neither end a connection nor hide the answer beside it. A
//! requested value that is missing, or invalid, is absent, and the caller requests it again.

use aws_lc_rs::digest::{SHA256, digest};

use super::{
    fetched::Fetched,
    framing::{Breach, Piece},
    notation::numbers,
};

/// One answer.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    /// The tagged answer that ends a command.
    Done {
        tag: String,
        said: Said,
    },
    /// A status that belongs to no command.
    Status(Said),
    /// The server waits for the rest of a command.
    Continue(String),
    /// The capabilities, in upper case.
    Capability(Vec<String>),
    Search(Vec<u32>),
    /// The number of mails in the folder, which may include new ones.
    Exists(u32),
    Recent(u32),
    /// A mail is no longer in the folder.
    Expunge,
    Fetch(Fetched),
    Other,
}

/// A status and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) status: Status,
    /// The text, including the response code in brackets if there is one (RFC 9051, 7.1).
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    No,
    Bad,
    Bye,
    Preauth,
}

impl Said {
    fn read(status: &str, text: &str) -> Option<Self> {
        let known = [
            ("OK", Status::Ok),
            ("NO", Status::No),
            ("BAD", Status::Bad),
            ("BYE", Status::Bye),
            ("PREAUTH", Status::Preauth),
        ];

        let (_, status) = known
            .into_iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(status))?;
        Some(Self {
            status,
            text: text.trim().to_owned(),
        })
    }

    /// Returns the response code: `UIDNEXT 4` of `[UIDNEXT 4] ok`.
    pub(super) fn code(&self) -> Option<&str> {
        self.text.strip_prefix('[')?.split(']').next()
    }

    /// Returns the number after a code's name.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        let (word, number) = self.code()?.split_once(' ')?;
        if word.eq_ignore_ascii_case(name) {
            number.trim().parse().ok()
        } else {
            None
        }
    }

    /// Returns the folder's UIDVALIDITY. Only its equality matters, so a value beyond 32 bits, as
    /// from a server that counts milliseconds, is replaced by the start of its hash.
    pub(super) fn uid_validity(&self) -> Option<u32> {
        let (word, value) = self.code()?.split_once(' ')?;
        let value = value.trim();
        if !word.eq_ignore_ascii_case("UIDVALIDITY") || value.is_empty() {
            return None;
        }

        let hashed = || {
            let hash = digest(&SHA256, value.as_bytes());
            hash.as_ref()
                .first_chunk()
                .map(|start| u32::from_be_bytes(*start))
        };
        value.parse().ok().or_else(hashed)
    }

    pub(super) fn has_code(&self, name: &str) -> bool {
        self.code().is_some_and(|code| {
            code.split(' ')
                .next()
                .is_some_and(|word| word.eq_ignore_ascii_case(name))
        })
    }

    /// Returns the capabilities in a greeting or in the answer to a login.
    pub(super) fn capabilities(&self) -> Option<Vec<String>> {
        let (word, rest) = self.code()?.split_once(' ')?;
        word.eq_ignore_ascii_case("CAPABILITY").then(|| words(rest))
    }
}

impl Reply {
    pub(super) fn read(pieces: &[Piece]) -> Result<Self, Breach> {
        let Some(first) = pieces.first() else {
            return Ok(Self::Other);
        };
        let line = String::from_utf8_lossy(&first.text);

        if line.trim().is_empty() {
            return Ok(Self::Other);
        }

        if let Some(rest) = line.strip_prefix('+') {
            return Ok(Self::Continue(rest.trim_start().to_owned()));
        }

        let (tag, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let rest = rest.trim_start();
        let (word, more) = rest.split_once(' ').unwrap_or((rest, ""));

        if tag != "*" {
            let is_tag = !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let said = Said::read(word, more)
                .filter(|_| is_tag)
                .ok_or(Breach::Foreign)?;
            return Ok(Self::Done {
                tag: tag.to_owned(),
                said,
            });
        }

        if let Some(said) = Said::read(word, more) {
            return Ok(Self::Status(said));
        }

        if let Ok(number) = word.parse() {
            let (what, _) = more.split_once(' ').unwrap_or((more, ""));
            return Ok(match what.to_ascii_uppercase().as_str() {
                "EXISTS" => Self::Exists(number),
                "RECENT" => Self::Recent(number),
                "EXPUNGE" => Self::Expunge,
                "FETCH" => Self::Fetch(Fetched::read(pieces)?),
                _ => Self::Other,
            });
        }

        Ok(match word.to_ascii_uppercase().as_str() {
            "CAPABILITY" => Self::Capability(words(more)),
            "SEARCH" => Self::Search(search(more)?),
            "ESEARCH" => Self::Search(extended_search(more)?),
            _ => Self::Other,
        })
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace()
        .map(str::to_ascii_uppercase)
        .collect()
}

/// Reads `2 5 (MODSEQ 917162500)`, with any white space, and also if the numbers are sets. An
/// answer that can be read only in part is an error, because it would hide the mails in the rest.
fn search(text: &str) -> Result<Vec<u32>, Breach> {
    let found: Option<Vec<Vec<u32>>> = text
        .split_ascii_whitespace()
        .take_while(|word| !word.starts_with('('))
        .map(numbers)
        .collect();
    Ok(found.ok_or(Breach::Foreign)?.concat())
}

/// Reads `(TAG "A5") UID ALL 1:3,7`, which servers of `IMAP4rev2` answer (RFC 9051, 7.3.4). If
/// nothing is found, there is no ALL.
fn extended_search(text: &str) -> Result<Vec<u32>, Breach> {
    let mut words = text.split_ascii_whitespace();
    match words
        .find(|word| word.eq_ignore_ascii_case("ALL"))
        .and_then(|_| words.next())
    {
        Some(set) => numbers(set).ok_or(Breach::Foreign),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn line(text: &str) -> Vec<Piece> {
        vec![Piece {
            text: Bytes::copy_from_slice(text.as_bytes()),
            literal: None,
        }]
    }

    #[test]
    fn statuses_keep_their_words_in_any_charset() {
        let no = Reply::read(&line("a1 NO [UNAVAILABLE]\u{fc}berlastet")).unwrap();
        let Reply::Done { tag, said } = no else {
            panic!("{no:?}")
        };
        assert_eq!(
            (tag.as_str(), said.status, said.code()),
            ("a1", Status::No, Some("UNAVAILABLE"))
        );
        assert_eq!(said.text, "[UNAVAILABLE]\u{fc}berlastet");
        let Ok(Reply::Status(said)) = Reply::read(&line("* OK [UIDNEXT 4] ok")) else {
            panic!()
        };
        assert_eq!(
            (said.number("uidnext"), said.number("UIDVALIDITY")),
            (Some(4), None)
        );
        let Ok(Reply::Status(said)) = Reply::read(&line("* OK [CAPABILITY imap4rev2 IDLE] hi"))
        else {
            panic!()
        };
        assert_eq!(
            said.capabilities(),
            Some(vec!["IMAP4REV2".into(), "IDLE".into()])
        );
    }

    #[test]
    fn a_uidvalidity_beyond_32_bits_is_told_from_others() {
        let read = |value: &str| {
            let line = line(&format!("* OK [UIDVALIDITY {value}] ok"));
            let Ok(Reply::Status(said)) = Reply::read(&line) else {
                panic!("{value}")
            };
            said.uid_validity()
        };
        for value in [0, 7, u32::MAX] {
            assert_eq!(read(&value.to_string()), Some(value));
        }
        let mut all = std::collections::BTreeSet::new();
        for value in [
            "4294967296",
            "1700000000000",
            "1700000000001",
            "18446744073709551616",
            "-1",
            "5f3759df",
        ] {
            assert_eq!(read(value), read(value));
            assert!(all.insert(read(value).unwrap()), "{value}");
        }
        assert_eq!(read("4294967296"), Some(0x6c1c_a400), "it is stored");
        assert_eq!(read(""), None);
    }

    #[test]
    fn both_kinds_of_search_are_read() {
        for (text, expected) in [
            ("* SEARCH 1 2 7", vec![1, 2, 7]),
            ("* SEARCH ", vec![]),
            ("* SEARCH", vec![]),
            ("* SEARCH 2 5 (MODSEQ 917162500)", vec![2, 5]),
            ("*  search  2   5\t7 ", vec![2, 5, 7]),
            ("* SEARCH 2,5 7:9", vec![2, 5, 7, 8, 9]),
            ("* ESEARCH (TAG \"A5\") UID ALL 1:3,7", vec![1, 2, 3, 7]),
            ("* ESEARCH (TAG \"A5\") UID", vec![]),
        ] {
            assert_eq!(
                Reply::read(&line(text)),
                Ok(Reply::Search(expected)),
                "{text}"
            );
        }
        for partly in [
            "* ESEARCH (TAG \"A5\") UID ALL 1:4294967295",
            "* SEARCH 1 two 3",
            "* SEARCH 1 2;3",
            "* SEARCH 1 99999999999",
        ] {
            assert_eq!(Reply::read(&line(partly)), Err(Breach::Foreign), "{partly}");
        }
    }

    #[test]
    fn the_numbers_of_a_folder_are_read() {
        for (text, expected) in [
            ("* 5 EXISTS", Reply::Exists(5)),
            ("* 1 recent", Reply::Recent(1)),
            ("* 5 Expunge", Reply::Expunge),
        ] {
            assert_eq!(Reply::read(&line(text)), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_at_all_is_told_from_what_is_merely_new() {
        for text in [
            "* VANISHED 1:9",
            "* FLAGS (\\Seen (a) :-))",
            "* LIST () \"/\" x",
            "* ID NIL",
            "",
            "*",
            "* ",
            "* 5 VANISHED",
        ] {
            assert_eq!(Reply::read(&line(text)), Ok(Reply::Other), "{text}");
        }
        for text in ["Subject: confidential", "<html>", "a1 MAYBE so", "nothing"] {
            assert_eq!(Reply::read(&line(text)), Err(Breach::Foreign), "{text}");
        }
    }
}
