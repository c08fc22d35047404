//! Reads a From outside the small grammar in all the ways in which programs read it.

use std::borrow::Cow;

use mail_parser::parsers::MessageStream;

use super::{Sender, another, is_configured, printable};

/// Characters that programs without support for zero-width characters drop from an address.
const INVISIBLE: [char; 7] = [
    '\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{2060}', '\u{feff}',
];

/// Escapes of other languages that end up in a header.
const ESCAPES: [(&str, &str); 6] = [
    ("%40", "@"),
    ("=40", "@"),
    ("&#64;", "@"),
    ("&#x40;", "@"),
    ("&lt;", "<"),
    ("&gt;", ">"),
];

/// The maximum length of a From that is read, in bytes.
const MAX_FROM: usize = 64 << 10;

/// The maximum length of an encoded word that is a name, in bytes. RFC 2047, 2 allows 75.
const MAX_WORD: usize = 256;

/// Determines the sender from an unfolded From; `odd` is its deviation from the small grammar.
pub(super) fn read(value: &[u8], configured: &[String], odd: &str) -> Sender {
    let value = &value[..value.len().min(MAX_FROM)];
    let odd = format!("its From is odd: {odd}");

    // Some programs end a text at a NUL, and others drop the NUL.
    if let Some(nul) = memchr::memchr(0, value) {
        let whole: Vec<u8> = value.iter().copied().filter(|byte| *byte != 0).collect();
        let readings = [
            judge(&value[..nul], configured, &odd),
            judge(&whole, configured, &odd),
        ];
        return match readings {
            [one, other] if one == other => one,
            _ if names(&whole, configured) || names(&value[..nul], configured) => {
                Sender::Doubtful(odd)
            }
            [_, whole] => whole,
        };
    }

    judge(value, configured, &odd)
}

fn judge(value: &[u8], configured: &[String], odd: &str) -> Sender {
    let visible = without_quotes_and_comments(value).map_or(Cow::Borrowed(value), Cow::Owned);
    let found = addresses(&visible);
    let Some(first) = found.first() else {
        let sender = if names(value, configured) {
            Sender::Doubtful
        } else {
            Sender::Unknown
        };
        return sender(odd.to_owned());
    };

    if found
        .iter()
        .all(|address| is_configured(address, configured))
    {
        return Sender::Configured;
    }

    // Whatever comes before it, the address in brackets at the end is the one that is shown.
    let last = found.last().unwrap_or(first);
    let shown = visible
        .trim_ascii_end()
        .strip_suffix(b">")
        .is_some_and(|rest| rest.ends_with(last));

    let named = found
        .iter()
        .any(|address| is_configured(address, configured))
        || names(&visible, configured);

    if named && (!shown || names(last, configured) || has_brackets_before(&visible, last)) {
        return Sender::Doubtful(odd.to_owned());
    }

    another(
        last,
        format!(
            "{odd}; it is from {}, not from a sender of alerts.from",
            printable(last)
        ),
    )
}

/// Returns whether there is more than one pair of brackets.
fn has_brackets_before(visible: &[u8], last: &[u8]) -> bool {
    let before = visible.len().saturating_sub(last.len() + 2);
    memchr::memchr2(b'<', b'>', &visible[..before]).is_some()
}

/// Returns whether a text contains a configured sender: encoded, escaped, spaced or disguised.
pub fn names(text: &[u8], configured: &[String]) -> bool {
    let text = &text[..text.len().min(MAX_FROM)];
    let has = |text: &str| {
        configured
            .iter()
            .any(|address| holds(text, &address.to_ascii_lowercase()))
    };
    let said = String::from_utf8_lossy(text);
    // Programs may drop white space within an address, or take it for the end of a word.
    has(&said.to_ascii_lowercase())
        || has(&plain(&said))
        || decoded(text).is_some_and(|text| has(&plain(&text)))
}

/// Returns the text in lower case, without white space, invisible characters and escapes.
fn plain(text: &str) -> String {
    let mut plain: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control() && !INVISIBLE.contains(c))
        .map(|c| c.to_ascii_lowercase())
        .collect();

    for (escape, meant) in ESCAPES {
        if plain.contains(escape) {
            plain = plain.replace(escape, meant);
        }
    }

    plain
}

/// Returns the text with its encoded words (RFC 2047) decoded, wherever they are.
fn decoded(text: &[u8]) -> Option<String> {
    memchr::memmem::find(text, b"=?")?;
    let line = [text, b"\n"].concat();
    Some(
        MessageStream::new(&line)
            .parse_unstructured()
            .into_text()?
            .into_owned(),
    )
}

/// Returns whether a text contains an address that is not part of a longer one.
fn holds(text: &str, address: &str) -> bool {
    /// Characters that are written around an address, although they could be part of one.
    const AROUND: &str = "='_{}`|/*~^";

    text.match_indices(address).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let mut after = text[at + address.len()..].chars();
        let in_host = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        let longer = match after.next() {
            Some('.' | '_') => after.next().is_some_and(in_host),
            Some(c) => in_host(c),
            None => false,
        };
        let in_local = |c: char| match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() => in_atom(byte) && !AROUND.contains(c),
            _ => c.is_alphanumeric(),
        };
        let begun = address.starts_with('@') || !before.is_some_and(in_local);
        begun && !longer
    })
}

/// Returns the value without what is certainly a name: quoted strings other than a quoted local
/// part, comments, and encoded words before brackets.
///
/// Returns `None` if a quoted string or a comment does not end.
fn without_quotes_and_comments(value: &[u8]) -> Option<Vec<u8>> {
    let mut visible = Vec::with_capacity(value.len());
    let mut rest = value;
    let last_bracket = memchr::memrchr(b'<', value);
    let is_before_bracket =
        |rest: &&[u8]| last_bracket.is_some_and(|at| at >= value.len() - rest.len());

    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'=' if let Some(after) = encoded_word(rest).filter(is_before_bracket) => {
                visible.push(b' ');
                rest = after;
            }
            b'"' => {
                let (quoted, after) = quoted(rest)?;
                if after.trim_ascii_start().starts_with(b"@") {
                    visible.extend(quoted);
                } else {
                    visible.push(b' ');
                }
                rest = after;
            }
            b'(' => {
                rest = comment(rest)?;
                visible.push(b' ');
            }
            b')' => return None,
            byte => visible.push(*byte),
        }
    }

    Some(visible)
}

/// Returns the text after an encoded word (RFC 2047, 2), of which the `=` has been read.
fn encoded_word(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_prefix(b"?")?;
    let inner = &inner[..inner.len().min(MAX_WORD)];
    let word_end = inner.iter().position(u8::is_ascii_whitespace);
    let inner = &inner[..word_end.unwrap_or(inner.len())];
    let end = memchr::memmem::find(inner, b"?=")?;

    // The `?=` may be that of `?Q?=`, where the encoded text begins with an escape.
    let end = if memchr::memchr_iter(b'?', &inner[..end]).count() < 2 {
        end + 2 + memchr::memmem::find(&inner[end + 2..], b"?=")?
    } else {
        end
    };

    Some(&text[1 + end + 2..])
}

/// Returns the content of a quoted string, and the text after it.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut said = Vec::new();
    let mut bytes = text.iter().enumerate();

    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => said.push(*bytes.next()?.1),
            b'"' => return Some((said, &text[at + 1..])),
            byte => said.push(*byte),
        }
    }

    None
}

/// Returns the text after a comment, which may contain others.
fn comment(text: &[u8]) -> Option<&[u8]> {
    let mut depth = 1;
    let mut bytes = text.iter().enumerate();

    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()?),
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&text[at + 1..]);
        }
    }

    None
}

/// Returns everything with an `@` in it, in order: the atoms on both sides, without the white space
/// between them.
///
/// In a name before brackets, an `@` that stands alone is a word.
fn addresses(text: &[u8]) -> Vec<Vec<u8>> {
    let last_bracket = memchr::memrchr(b'<', text);
    let by_itself = |at: usize| {
        let beside = |byte: Option<&u8>| byte.is_some_and(|byte| in_address(*byte));
        let alone = !beside(at.checked_sub(1).and_then(|before| text.get(before)))
            || !beside(text.get(at + 1));
        alone && last_bracket.is_some_and(|bracket| bracket > at)
    };

    let around = |at: usize| {
        let before = text[..at].trim_ascii_end();
        let local = before
            .iter()
            .rposition(|byte| !in_address(*byte))
            .map_or(before, |end| &before[end + 1..]);
        let after = text[at + 1..].trim_ascii_start();
        let domain = after
            .iter()
            .position(|byte| !in_address(*byte))
            .map_or(after, |end| &after[..end]);
        let (local, domain) = match (local.strip_prefix(b"'"), domain.strip_suffix(b"'")) {
            (Some(local), Some(domain)) => (local, domain),
            _ => (local, domain),
        };
        [local, b"@", domain].concat()
    };

    memchr::memchr_iter(b'@', text)
        .filter(|at| !by_itself(*at))
        .map(around)
        .collect()
}

fn in_address(byte: u8) -> bool {
    byte == b'.' || in_atom(byte)
}

/// Returns whether a byte may be in an atom (RFC 5322, 3.2.3), including what is not ASCII (RFC
/// 6532).
fn in_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}
