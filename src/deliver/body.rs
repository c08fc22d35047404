//! The body of a reply as UTF-8 text, whatever its encoding. Pure.

use std::{collections::BTreeMap, io::Read as _};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use flate2::read::{MultiGzDecoder, ZlibDecoder};

/// The largest number of bytes of a reply that are read.
pub(super) const LONGEST_REPLY: usize = 1 << 20;

/// Returns the body of a reply with these headers, decompressed and decoded.
pub(super) fn read(headers: &BTreeMap<String, String>, body: Vec<u8>) -> Vec<u8> {
    let plain = headers
        .get("content-encoding")
        .and_then(|encoding| unpacked(encoding, &body))
        .unwrap_or(body);
    let media_type = headers.get("content-type").map(String::as_str);
    decoded(media_type.unwrap_or_default(), plain)
}

/// Decompresses a body that was compressed although no compression was asked for, as far as it can
/// be read. Returns `None` if nothing can be decompressed.
fn unpacked(encoding: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let most = u64::try_from(LONGEST_REPLY).unwrap_or(u64::MAX);
    // The end of the body may be missing, so an error is ignored.
    let _ = match encoding.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => MultiGzDecoder::new(body).take(most).read_to_end(&mut plain),
        "deflate" => ZlibDecoder::new(body).take(most).read_to_end(&mut plain),
        _ => return None,
    };
    (!plain.is_empty()).then_some(plain)
}

/// Decodes a body to UTF-8 by its byte order mark, by its zero bytes, or by the charset of its
/// header. A body that is UTF-8 already is returned as it is, whatever the header says.
fn decoded(media_type: &str, body: Vec<u8>) -> Vec<u8> {
    let labelled = || {
        let (_, charset) = media_type.split_once("charset=")?;
        let charset = charset.split(';').next()?.trim().trim_matches(['"', '\'']);
        Encoding::for_label(charset.as_bytes())
    };
    let encoding = match body[..] {
        _ if Encoding::for_bom(&body).is_some() => UTF_8,
        [0, second, ..] if second != 0 => UTF_16BE,
        [first, 0, ..] if first != 0 => UTF_16LE,
        _ if std::str::from_utf8(&body).is_ok() => return body,
        _ => match labelled() {
            Some(encoding) => encoding,
            None => return body,
        },
    };
    // In `decode`, a byte order mark takes precedence over the encoding.
    encoding.decode(&body).0.into_owned().into_bytes()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };

    use super::{LONGEST_REPLY, decoded, unpacked};

    /// Covers every charset that a reply may have, with a byte order mark, with a label, or with
    /// neither.
    #[test]
    fn a_reply_is_read_in_whatever_charset_it_comes() {
        let said = "{\"ok\":false,\"msg\":\"caf\u{e9}\"}";
        let json = "application/json";
        let wide = |order: fn(u16) -> [u8; 2]| said.encode_utf16().flat_map(order).collect();
        let (little, big): (Vec<u8>, Vec<u8>) = (wide(u16::to_le_bytes), wide(u16::to_be_bytes));
        let latin: Vec<u8> = said
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap())
            .collect();
        for (media_type, body) in [
            (json, said.as_bytes().to_vec()),
            ("text/plain; charset=iso-8859-1", said.as_bytes().to_vec()),
            (json, [b"\xEF\xBB\xBF", said.as_bytes()].concat()),
            (json, little.clone()),
            (json, big.clone()),
            (json, [b"\xFF\xFE", &little[..]].concat()),
            (json, [b"\xFE\xFF", &big[..]].concat()),
            ("text/plain; charset=utf-16; x=y", little),
            ("text/plain; charset=\"ISO-8859-1\"", latin.clone()),
        ] {
            let read = decoded(media_type, body);
            assert_eq!(String::from_utf8_lossy(&read), said, "{media_type}");
        }
        assert_eq!(
            decoded(json, latin.clone()),
            latin,
            "nobody says what it is"
        );
        for short in [&b""[..], b"1", b"\0", b"\0\0"] {
            assert_eq!(decoded(json, short.to_vec()), short);
        }
        // A truncated body may end in the middle of a character.
        let cut = decoded(
            "text/plain; charset=utf-8",
            said.as_bytes()[..said.len() - 3].to_vec(),
        );
        assert!(cut.starts_with(b"{\"ok\":false"));
    }

    #[test]
    fn a_reply_that_is_compressed_unasked_is_read_as_far_as_it_goes() {
        let refusal = b"{\"ok\":false}";
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(refusal).unwrap();
        let gzip = gzip.finish().unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(refusal).unwrap();
        let zlib = zlib.finish().unwrap();

        assert_eq!(unpacked("gzip", &gzip).as_deref(), Some(&refusal[..]));
        assert_eq!(unpacked(" X-GZip", &gzip).as_deref(), Some(&refusal[..]));
        assert_eq!(unpacked("deflate", &zlib).as_deref(), Some(&refusal[..]));
        // The checksum is missing.
        let cut = &gzip[..gzip.len() - 4];
        assert_eq!(unpacked("gzip", cut).as_deref(), Some(&refusal[..]));
        for (encoding, body) in [
            ("gzip", &refusal[..]),
            ("identity", refusal),
            ("br", refusal),
        ] {
            assert_eq!(unpacked(encoding, body), None);
        }

        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&vec![b'x'; 4 * LONGEST_REPLY]).unwrap();
        let bomb = unpacked("gzip", &bomb.finish().unwrap());
        assert_eq!(bomb.map(|plain| plain.len()), Some(LONGEST_REPLY));
    }
}
