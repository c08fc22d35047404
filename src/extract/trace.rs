//! Whether bytes that cannot be read with certainty hold the element all the same, in whatever
//! transport made of it.

use memchr::memmem;

use super::{ELEMENT_ID, quoted_printable};

/// [`ELEMENT_ID`] in base64: the characters that are the same whatever stands around it, at each of
/// three places.
const IN_BASE64: [&str; 3] = ["aW5jaWRlbnQtZGF0Y", "luY2lkZW50LWRhdG", "pbmNpZGVudC1kYXRh"];

/// Whether the element's id is in there as it is.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    memmem::find(bytes, ELEMENT_ID.as_bytes()).is_some()
}

/// Whether the element's id is in there, perhaps encoded, perhaps cut by line ends.
pub(super) fn is_there(bytes: &[u8]) -> bool {
    if is_plain(bytes) {
        return true;
    }

    let solid = |bytes: &[u8]| -> Vec<u8> {
        bytes
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace() && *byte != 0)
            .collect()
    };

    let as_sent = solid(bytes);
    is_plain(&as_sent)
        || IN_BASE64
            .iter()
            .any(|encoded| memmem::find(&as_sent, encoded.as_bytes()).is_some())
        || is_plain(&solid(&quoted_printable::decode(bytes).0))
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
}
