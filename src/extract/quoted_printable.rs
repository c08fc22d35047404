//! Quoted-printable, decoded as RFC 2045, 6.7 advises robust programs to do: what is no escape is
//! taken literally, and white space at the end of a line, which transport added, is left out.
//!
//! mail-parser's decoder gives such a part up, and inspects every byte; this one searches for the
//! next `=`.

use memchr::{memchr, memchr2};

/// Returns the decoded bytes, and whether some of the text was no quoted-printable.
pub(super) fn decode(encoded: &[u8]) -> (Vec<u8>, bool) {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut damaged = false;
    // The text before `from` is decoded, and the text before `seen` was searched.
    let (mut from, mut seen) = (0, 0);

    while let Some(at) = mark(&encoded[seen..]).map(|at| seen + at) {
        let text = &encoded[from..at];
        if encoded[at] == b'\n' {
            seen = at + 1;
            let line = text.strip_suffix(b"\r").unwrap_or(text);
            let said = without_blanks(line);
            if said.len() < line.len() {
                decoded.extend_from_slice(said);
                from += line.len();
            }
            continue;
        }

        decoded.extend_from_slice(text);
        let rest = &encoded[at + 1..];
        let after = if let Some(byte) = escaped(rest) {
            decoded.push(byte);
            &rest[2..]
        } else if let Some(next) = soft_line_break(rest) {
            next
        } else {
            decoded.push(b'=');
            damaged = true;
            rest
        };
        from = encoded.len() - after.len();
        seen = from;
    }

    // The end of the text is the end of a line, too.
    decoded.extend_from_slice(without_blanks(&encoded[from..]));

    (decoded, damaged)
}

/// Returns the place of the next escape, or of the end of the line. Escapes often follow each
/// other, because a character of UTF-8 needs two or three.
fn mark(text: &[u8]) -> Option<usize> {
    if text.first() == Some(&b'=') {
        Some(0)
    } else {
        memchr2(b'=', b'\n', text)
    }
}

fn without_blanks(line: &[u8]) -> &[u8] {
    let kept = line
        .iter()
        .rposition(|byte| !matches!(byte, b' ' | b'\t'))
        .map_or(0, |last| last + 1);
    &line[..kept]
}

/// Returns the encoded text without the empty lines that follow soft line breaks, or `None` if
/// there are none. A gateway that writes every line end twice leaves such a text, in which words
/// are cut.
pub(super) fn without_empty_lines(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut kept: Vec<u8> = Vec::new();
    let mut rest = encoded;
    let mut from = 0;

    while let Some(at) = memchr(b'=', &encoded[from..]).map(|at| from + at) {
        from = at + 1;
        let Some(next) = soft_line_break(&encoded[from..]) else {
            continue;
        };
        let mut after = next;
        while let Some(line) = empty_line(after) {
            after = line;
        }
        if after.len() < next.len() {
            kept.extend_from_slice(&rest[..rest.len() - next.len()]);
            rest = after;
        }
        from = encoded.len() - after.len();
    }

    (rest.len() < encoded.len()).then(|| [kept.as_slice(), rest].concat())
}

/// Returns what follows an empty line.
fn empty_line(text: &[u8]) -> Option<&[u8]> {
    let blank = text
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
        .count();
    text.get(blank)
        .filter(|byte| **byte == b'\n')
        .map(|_| &text[blank + 1..])
}

/// Returns the byte that two hexadecimal digits encode, in either case.
fn escaped(rest: &[u8]) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let [high, low, ..] = *rest else { return None };
    Some(digit(high)? << 4 | digit(low)?)
}

/// Returns what follows a soft line break, before which transport may have left white space. A mail
/// may end in a soft line break.
fn soft_line_break(rest: &[u8]) -> Option<&[u8]> {
    let blank = rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();

    match &rest[blank..] {
        [b'\r', b'\n', next @ ..] | [b'\n', next @ ..] | [b'\r', b'\r', b'\n', next @ ..] => {
            Some(next)
        }
        b"" | b"\r" => Some(b""),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoded: &str) -> (String, bool) {
        let (bytes, damaged) = decode(encoded.as_bytes());
        (String::from_utf8(bytes).unwrap(), damaged)
    }

    #[test]
    fn escapes_and_soft_line_breaks_are_undone() {
        assert_eq!(
            decoded("Gr=C3=BC=c3=9fe=\r\n, id=3D\"x\"= \t\n.\r\n="),
            ("Grüße, id=\"x\".\r\n".into(), false)
        );
    }

    #[test]
    fn white_space_at_the_end_of_a_line_is_left_out_unless_it_is_encoded() {
        for blank in [" ", "\t", "   \t "] {
            for end in ["\r\n", "\n"] {
                let encoded = format!("a{blank}{end}{blank}{end}=20{blank}{end}b {blank}c{blank}");
                let expected = format!("a{end}{end} {end}b {blank}c");
                assert_eq!(decoded(&encoded), (expected, false), "{encoded:?}");
            }
        }
        assert_eq!(decoded("a =\r\nb =20\r\n").0, "a b  \r\n");
        assert_eq!(decoded("  ").0, "");
    }

    #[test]
    fn empty_lines_behind_soft_line_breaks_are_left_out_and_no_others() {
        let without = |encoded: &str| {
            without_empty_lines(encoded.as_bytes()).map(|text| String::from_utf8(text).unwrap())
        };
        assert_eq!(
            without("a=\r\n\r\nb\r\n\r\nc=\n \n\nd=3D="),
            Some("a=\r\nb\r\n\r\nc=\nd=3D=".into())
        );
        assert_eq!(without("a=\r\nb\r\n\r\nc==\r\n"), None);
        assert_eq!(decoded("a=\r\r\nb").0, "ab");
    }

    #[test]
    fn what_is_no_escape_is_kept_and_reported() {
        assert_eq!(decoded("a?b=c=4"), ("a?b=c=4".into(), true));
        assert_eq!(decoded("= x"), ("= x".into(), true));
    }
}
