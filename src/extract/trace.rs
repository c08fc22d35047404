//! Traces of the element: whether bytes that cannot be read with certainty contain the element all
//! the same, whatever transport made of it.

use memchr::memmem;

use super::{ELEMENT_ID, quoted_printable, transfer::base64_within};

/// [`ELEMENT_ID`] in base64, at each of three positions: the characters that are the same whatever
/// surrounds the id.
const IN_BASE64: [&str; 3] = ["aW5jaWRlbnQtZGF0Y", "luY2lkZW50LWRhdG", "pbmNpZGVudC1kYXRh"];

/// Whether the bytes contain the element's id as it is.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    memmem::find(bytes, ELEMENT_ID.as_bytes()).is_some()
}

/// Whether the bytes contain the element's id, even if it is encoded, cut by line ends, or in a
/// mail that is itself in base64.
pub(super) fn is_there(bytes: &[u8]) -> bool {
    is_at_hand(bytes) || is_at_hand(&base64_within(bytes).0)
}

fn is_at_hand(bytes: &[u8]) -> bool {
    is_plain(bytes)
        || is_plain(&solid(bytes))
        || is_encoded(bytes)
        || is_plain(&solid(&quoted_printable::decode(bytes).0))
        || is_plain(&uudecoded(bytes))
}

/// Whether the bytes contain the element's id in an encoding: in base64, in quoted-printable, or in
/// characters of several bytes.
pub(super) fn is_encoded(bytes: &[u8]) -> bool {
    let without_nul = || {
        bytes
            .iter()
            .copied()
            .filter(|byte| *byte != 0)
            .collect::<Vec<_>>()
    };
    let solid = solid(bytes);

    IN_BASE64
        .iter()
        .any(|encoded| memmem::find(&solid, encoded.as_bytes()).is_some())
        || is_plain(&without_nul())
        || is_plain(&quoted_printable::decode(bytes).0)
}

/// Decodes lines of uuencode. The first character of a line gives the number of bytes, and every
/// four others encode three of them. Other text around the lines decodes to something that does not
/// matter.
fn uudecoded(bytes: &[u8]) -> Vec<u8> {
    if !bytes.starts_with(b"begin ") && memmem::find(bytes, b"\nbegin ").is_none() {
        return Vec::new();
    }

    let value = |byte: u8| byte.wrapping_sub(b' ') & 0x3f;
    let mut decoded = Vec::with_capacity(bytes.len());
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((count, digits)) = line.trim_ascii_end().split_first() else {
            continue;
        };
        let start = decoded.len();
        for quantum in digits.chunks(4) {
            // Spaces at the end of a line, which stand for zeros, may have been lost.
            let digit = |at: usize| quantum.get(at).map_or(0, |byte| value(*byte));
            decoded.push(digit(0) << 2 | digit(1) >> 4);
            decoded.push(digit(1) << 4 | digit(2) >> 2);
            decoded.push(digit(2) << 6 | digit(3));
        }
        decoded.truncate(start + usize::from(value(*count)));
    }
    decoded
}

/// Removes what transport may put between any two bytes.
fn solid(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace() && *byte != 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    use super::*;

    #[test]
    fn the_element_leaves_a_trace_in_every_encoding() {
        for text in [
            "<script id=\"incident-data\">",
            "x<script id=\"incident-data\">",
            "xy<script id=\"incident-data\">",
        ] {
            assert!(is_there(text.as_bytes()));
            assert!(is_there(text.replace('-', "=2D").as_bytes()));
            assert!(is_there(text.replace("nt-", "nt=\r\n-").as_bytes()));
            assert!(is_there(text.replace("nt-", "nt\r\n-").as_bytes()));
            let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            assert!(is_there(&wide));
            let encoded = BASE64_STANDARD.encode(text);
            for width in 1..encoded.len() {
                let lines: Vec<&[u8]> = encoded.as_bytes().chunks(width).collect();
                assert!(
                    is_there(&lines.join(&b"\r\n"[..])),
                    "{encoded} in lines of {width}"
                );
            }
        }
        assert!(!is_there(b"incident data, incidentdata, incident_data"));
    }

    #[test]
    fn the_element_leaves_a_trace_in_uuencode() {
        let uuencoded = |text: &str| {
            let digit = |value: u8| {
                if value == 0 {
                    '`'
                } else {
                    char::from(value + b' ')
                }
            };
            let mut out = "begin 644 alert.html\r\n".to_owned();
            for line in text.as_bytes().chunks(45) {
                out.push(digit(u8::try_from(line.len()).unwrap()));
                for group in line.chunks(3) {
                    let byte = |at: usize| group.get(at).copied().unwrap_or_default();
                    out.push(digit(byte(0) >> 2));
                    out.push(digit((byte(0) & 3) << 4 | byte(1) >> 4));
                    out.push(digit((byte(1) & 15) << 2 | byte(2) >> 6));
                    out.push(digit(byte(2) & 63));
                }
                out += "\r\n";
            }
            out + "`\r\nend\r\n"
        };
        for before in 0..60 {
            let text = format!("{}<script id=\"incident-data\">{{}}", "x".repeat(before));
            let encoded = uuencoded(&text);
            assert!(is_there(encoded.as_bytes()), "{encoded}");
            assert!(is_there(format!("See:\r\n\r\n{encoded}").as_bytes()));
        }
        assert!(!is_there(
            uuencoded("<script id=\"other-data\">").as_bytes()
        ));
    }
}
