//! Character sets in which ASCII is ASCII, by whatever name they go.
//!
//! Others hide markup until they are decoded (UTF-7, ISO-2022-*, UTF-16): alerts never come in
//! them, and what else could be in such a part is for a person to see.

use std::borrow::Cow;

use encoding_rs::{
    DecoderResult, Encoding, ISO_2022_JP, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252,
};
use mail_parser::decoders::charsets::map::charset_decoder;
use memchr::memmem;

/// What the names of character sets hold in which bytes below 128 are not ASCII.
const HIDING: [&str; 16] = [
    "utf7", "utf16", "utf32", "ucs2", "ucs4", "10646", "unicode", "2022", "hzgb", "ebcdic", "037",
    "1047", "cp500", "cp1026", "scsu", "bocu",
];

/// A decoded text.
pub(super) struct Text<'a> {
    pub text: Cow<'a, str>,
    /// The name of a character set that nobody knows: its ASCII was read.
    pub unknown: Option<String>,
}

/// Decodes a text. The error says why it is not read.
pub(super) fn decode<'a>(bytes: &'a [u8], label: Option<&str>) -> Result<Text<'a>, String> {
    let label = label.unwrap_or_default();
    let name: String = label
        .trim()
        .to_ascii_lowercase()
        .chars()
        .filter(|c| !c.is_control())
        .take(40)
        .collect();

    let (encoding, unknown) = match known(&name) {
        Known::Ascii(encoding) => (encoding, None),
        Known::Hiding => {
            return Err(format!(
                "an HTML part of the mail is in the character set {name:?}, which is not read"
            ));
        }
        Known::Unknown => (UTF_8, Some(name)),
    };

    Ok(Text {
        text: whole(bytes, encoding),
        unknown,
    })
}

/// Decodes a text and loses nothing of it: bytes that are not of its character set are read as
/// windows-1252, as mail programs read them, since two hosts whose names all become replacement
/// characters are one.
///
/// Mail programs read the whole text so. Here only those bytes are: a log that is cut within a
/// character must not cost the labels beside it, and text that is Latin-1 throughout comes out the
/// same. ASCII is what it was in any case, so that no markup appears.
fn whole<'a>(bytes: &'a [u8], encoding: &'static Encoding) -> Cow<'a, str> {
    // A byte order mark must not make it UTF-16.
    if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        return text;
    }

    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 2);
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let (result, read) = decoder.decode_to_string_without_replacement(rest, &mut text, true);
        at += read;
        match result {
            DecoderResult::InputEmpty => return text.into(),
            DecoderResult::OutputFull => text.reserve(rest.len() + 16),
            DecoderResult::Malformed(length, after) => {
                let end = at.saturating_sub(usize::from(after));
                let start = end.saturating_sub(usize::from(length));
                text += &WINDOWS_1252
                    .decode_without_bom_handling(&bytes[start..end])
                    .0;
            }
        }
    }
}

/// Decodes a text that nothing is looked for in which somebody could hide: in any character set, as
/// mail programs show it.
pub(super) fn decode_all(bytes: &[u8], label: Option<&str>) -> String {
    let name = label.unwrap_or_default().trim().to_ascii_lowercase();
    let hiding = match name.trim_matches(['"', '\'']) {
        "utf-16" | "utf16" | "utf_16" => Some(byte_order(bytes)),
        name => Encoding::for_label(name.as_bytes())
            .filter(|encoding| [UTF_16BE, UTF_16LE, ISO_2022_JP].contains(encoding)),
    };

    let text = match hiding {
        Some(encoding) if encoding == ISO_2022_JP => whole(bytes, encoding).into_owned(),
        Some(encoding) => encoding.decode_with_bom_removal(bytes).0.into_owned(),
        None => match decode(bytes, label) {
            Ok(read) => read.text.into_owned(),
            Err(_) => charset_decoder(name.as_bytes()).map_or_else(
                || whole(bytes, UTF_8).into_owned(),
                |decoder| decoder(bytes),
            ),
        },
    };

    match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_owned(),
        None => text,
    }
}

/// What a page says itself that it is written in, near its begin. In UTF-16 it could not say so.
pub(super) fn declared(html: &[u8]) -> Option<String> {
    let head = html.get(..1024).unwrap_or(html).to_ascii_lowercase();
    let meta = head.get(memmem::find(&head, b"<meta")?..)?;
    let behind = meta.get(memmem::find(meta, b"charset")? + "charset".len()..)?;
    let named = behind.trim_ascii_start().strip_prefix(b"=")?;
    let name: String = named
        .iter()
        .map(|byte| char::from(*byte))
        .skip_while(|c| matches!(c, ' ' | '\t' | '"' | '\''))
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
        .collect();
    (!name.is_empty() && !name.starts_with("utf-16")).then_some(name)
}

/// The byte order of a text that is called `utf-16` alone. Its mark says so; without one the zeros
/// do, which ASCII puts into the high bytes. RFC 2781, 4.3 takes a text without either for
/// big-endian.
fn byte_order(bytes: &[u8]) -> &'static Encoding {
    if let Some((marked, _)) = Encoding::for_bom(bytes) {
        return marked;
    }

    let zeros_from = |first| {
        bytes
            .iter()
            .skip(first)
            .step_by(2)
            .filter(|&&byte| byte == 0)
    };

    if zeros_from(1).count() > zeros_from(0).count() {
        UTF_16LE
    } else {
        UTF_16BE
    }
}

enum Known {
    Ascii(&'static Encoding),
    /// It hides ASCII.
    Hiding,
    Unknown,
}

/// Finds a character set by a name as it is sent: quoted, with a semicolon or a comment, with other
/// punctuation.
fn known(name: &str) -> Known {
    if matches!(name, "" | "utf-8" | "utf8" | "us-ascii" | "ascii") {
        return Known::Ascii(UTF_8);
    }

    let trimmed = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let cut = trimmed
        .split([';', ',', '(', '"', ' ', '='])
        .next()
        .unwrap_or_default()
        .trim();

    let solid: String = cut.chars().filter(char::is_ascii_alphanumeric).collect();

    if solid.is_empty()
        || matches!(
            solid.as_str(),
            "usascii" | "ascii" | "ansix341968" | "default" | "none"
        )
    {
        return Known::Ascii(UTF_8);
    }

    let label = |label: &str| Encoding::for_label(label.as_bytes());
    let found = label(trimmed)
        .or_else(|| label(cut))
        .or_else(|| label(&cut.replace('_', "-")))
        .or_else(|| by_number(&solid));

    match found {
        Some(hiding) if [REPLACEMENT, UTF_16BE, UTF_16LE, ISO_2022_JP].contains(&hiding) => {
            Known::Hiding
        }
        Some(encoding) => Known::Ascii(encoding),
        None if HIDING.iter().any(|part| solid.contains(part)) => Known::Hiding,
        None => Known::Unknown,
    }
}

/// Names that `encoding_rs` does not list: code pages by number, and spellings without punctuation.
fn by_number(solid: &str) -> Option<&'static Encoding> {
    let digits = solid.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let prefix = &solid[..solid.len() - digits.len()];
    let label = match (prefix, digits) {
        ("utf" | "xutf" | "csutf" | "u", "8") => "utf-8".to_owned(),
        ("iso" | "isoir" | "csiso" | "", part) if part.starts_with("8859") => {
            format!(
                "iso-8859-{}",
                part[4..].trim_end_matches(|c: char| c.is_ascii_alphabetic())
            )
        }
        ("isolatin" | "latin" | "l", "1" | "15" | "9") => "windows-1252".to_owned(),
        ("isolatin" | "latin" | "l", "2") => "iso-8859-2".to_owned(),
        (
            "" | "cp" | "ms" | "win" | "windows" | "xwindows" | "xcp" | "mswin" | "ansi"
            | "cswindows" | "ibm" | "sjiscp" | "xsjiscp",
            page,
        ) => match page {
            "932" | "31j" | "943" => "shift_jis".to_owned(),
            "20932" | "51932" => "euc-jp".to_owned(),
            "936" | "1386" => "gbk".to_owned(),
            "54936" => "gb18030".to_owned(),
            "949" | "1363" | "51949" => "euc-kr".to_owned(),
            "950" => "big5".to_owned(),
            "866" => "ibm866".to_owned(),
            "874" => "windows-874".to_owned(),
            "20866" => "koi8-r".to_owned(),
            "21866" => "koi8-u".to_owned(),
            "28605" => "iso-8859-15".to_owned(),
            "65001" => "utf-8".to_owned(),
            page => format!("windows-{page}"),
        },
        _ => match solid {
            "shiftjis" | "sjis" | "xsjis" | "shiftj" | "mskanji" => "shift_jis",
            "eucjp" | "ujis" => "euc-jp",
            "euckr" | "xeuckr" | "uhc" | "korean" | "ksc5601" | "ksx1001" => "euc-kr",
            "euccn" | "gb2312" | "gb231280" | "cngb" | "gb" | "chinese" => "gbk",
            "euctw" | "big5" | "big5eten" | "cnbig5" | "big5hkscs" | "big5hkscs2004" => "big5",
            "gb18030" | "gb180302000" | "gb180302022" => "gb18030",
            "koi8" => "koi8-r",
            "tis620" => "windows-874",
            "mac" | "macroman" | "xmacroman" => "macintosh",
            _ => return None,
        }
        .to_owned(),
    };

    Encoding::for_label(label.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8], label: &str) -> String {
        decode(bytes, Some(label))
            .unwrap_or_else(|why| panic!("{label}: {why}"))
            .text
            .into_owned()
    }

    #[test]
    fn utf_16_is_read_in_either_byte_order_with_its_mark_and_without() {
        let text = "State: über ☃\n";
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked = |mark: [u8; 2], text: &[u8]| [&mark[..], text].concat();

        for (label, bytes) in [
            ("utf-16", &big),
            ("UTF-16", &little),
            ("utf16", &marked([0xfe, 0xff], &big)),
            ("utf-16", &marked([0xff, 0xfe], &little)),
            ("utf-16be", &big),
            ("utf-16be", &marked([0xfe, 0xff], &big)),
            ("utf-16le", &little),
            ("utf-16le", &marked([0xff, 0xfe], &little)),
        ] {
            assert_eq!(
                decode_all(bytes, Some(label)),
                text,
                "{label}: {bytes:02x?}"
            );
        }
    }

    #[test]
    fn a_character_set_is_known_by_all_its_names() {
        for (bytes, names, expected) in [
            (
                &b"\xc3\xbc"[..],
                "utf-8 UTF8 utf_8 utf-8; \"utf-8\" 'utf-8' utf-8\" =utf-8 utf-8(x) cp65001 xutf8",
                "ü",
            ),
            (
                b"\xfc",
                "iso-8859-1 iso-8859-1; ISO_8859-1 iso8859-1 iso88591 8859_1 latin1 latin-1 \
                 iso-latin-1 l1",
                "ü",
            ),
            (
                b"\xfc",
                "cp1252 windows-1252 win-1252 windows1252 x-cp1252 1252 \"windows-1252\"",
                "ü",
            ),
            (b"\xa4", "iso-8859-15 iso8859-15 iso_8859_15 cp28605", "€"),
            (b"\xb4\xde", "x-windows-949 x-euc-kr cp51949", "달"),
            (b"\xa5\xab", "cp51932 cp20932", "カ"),
            (b"\xef", "cp20866", "О"),
            (b"\xa4", "cp21866", "є"),
            (b"\xc8\xd5", "cp54936 gb18030-2022", "日"),
            (b"\x8e", "ibm-866 cp866", "О"),
            (b"\x83\x5c", "x-sjis-cp932", "ソ"),
            (
                b"\xa4\xa4",
                "big5 Big5; cn-big5 cp950 big5-hkscs x-x-big5",
                "中",
            ),
            (
                b"\xd6\xd0",
                "gb2312 gbk GB_2312-80 cp936 ms936 gb18030 euc-cn x-gbk",
                "中",
            ),
            (
                b"\x93\xfa",
                "shift_jis shift-jis sjis x-sjis cp932 ms932 windows-31j",
                "日",
            ),
            (b"\xc6\xfc", "euc-jp eucjp x-euc-jp", "日"),
            (
                b"\xc7\xd1",
                "euc-kr euckr ks_c_5601-1987 cp949 ksc5601 uhc",
                "한",
            ),
            (b"\xc1", "koi8-r koi8_r koi8", "а"),
        ] {
            for name in names.split(' ') {
                assert_eq!(text(bytes, name), expected, "{name}");
            }
        }
        assert_eq!(text(b"\xc3\xbc", "us-ascii"), "ü");
        assert_eq!(text(b"\xc3\xbc", ""), "ü");
    }

    #[test]
    fn what_is_not_of_its_character_set_is_read_as_windows_1252() {
        for (label, bytes, expected) in [
            ("", &b"K\xf6ln \x80"[..], "Köln €"),
            ("us-ascii", b"K\xe4ln", "Käln"),
            ("utf-8", b"\xf6", "ö"),
            ("x-unknown", b"K\xf6ln", "Köln"),
            // Cut within a character.
            ("utf-8", b"Gr\xc3\xb6\xc3\x9fe: \xe6\x97", "Größe: æ—"),
            ("euc-jp", b"\xc6\xfc K\xf6ln", "日 Köln"),
            ("big5", b"\xa4\xa4 \xff<b>", "中 ÿ<b>"),
            ("windows-1253", b"\xe1\xaa", "αª"),
        ] {
            assert_eq!(text(bytes, label), expected, "{label} {bytes:02x?}");
            assert_eq!(decode_all(bytes, Some(label)), expected, "{label}");
        }
        assert_eq!(
            decode_all(b"\x1b$BF|\x1b(B K\xf6ln", Some("iso-2022-jp")),
            "日 Köln"
        );
    }

    /// However bytes are read, ASCII is what it was, and two of them never are one.
    #[test]
    fn no_markup_appears_and_no_byte_is_lost() {
        let markup = |text: &str| text.matches(|c: char| c.is_ascii()).collect::<String>();
        for label in [
            "",
            "utf-8",
            "x-unknown",
            "windows-1252",
            "koi8-r",
            "windows-1253",
        ] {
            let mut seen = std::collections::HashSet::new();
            for byte in 0x80..=0xff_u8 {
                let read = text(&[b'<', byte, b'b', b'>'], label);
                assert_eq!(markup(&read), "<b>", "{label} {byte:x}");
                assert!(seen.insert(read), "{label} {byte:x}");
            }
        }
        for label in ["gbk", "gb18030", "big5", "shift_jis", "euc-kr", "euc-jp"] {
            let encoding = Encoding::for_label(label.as_bytes()).unwrap();
            for high in 0x80..=0xff_u8 {
                for low in [b'<', b'-', b'"', 0x80, 0xff] {
                    let bytes = [high, low, b'<', b'b', b'>'];
                    let before = encoding.decode_without_bom_handling(&bytes).0;
                    assert_eq!(
                        markup(&text(&bytes, label)),
                        markup(&before),
                        "{label} {bytes:x?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_hides_ascii_is_not_read() {
        for name in [
            "utf-7",
            "UTF7",
            "unicode-1-1-utf-7",
            "x-unicode-2-0-utf-7",
            "utf-16",
            "utf-16le",
            "utf-32",
            "ucs-2",
            "unicode",
            "iso-10646-ucs-2",
            "iso-2022-jp",
            "ISO-2022-JP-2",
            "iso-2022-kr",
            "csISO2022JP",
            "hz-gb-2312",
            "ebcdic-us",
            "ibm037",
            "\"iso-2022-jp\"",
            "utf_16",
            "replacement",
        ] {
            assert!(decode(b"x", Some(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn of_an_unknown_one_the_ascii_is_read_and_its_name_told() {
        let read = decode(b"a\xfc", Some("x-Unknown")).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(
            (read.text.as_ref(), read.unknown.as_deref()),
            ("aü", Some("x-unknown"))
        );
        assert_eq!(text("aü".as_bytes(), "x-unknown"), "aü");
        assert_eq!(text(b"\xff\xfea", "windows-1252"), "ÿþa");
    }
}
