//! The names of character sets, as mail programs write them.

use encoding_rs::{Encoding, ISO_2022_JP, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};
use oem_cp::{code_table::DECODING_TABLE_CP_MAP, code_table_type::TableType};

/// Parts of the names of character sets in which bytes below 128 are not ASCII.
const HIDING: [&str; 17] = [
    "utf7", "utf16", "utf32", "ucs2", "ucs4", "10646", "unicode", "2022", "hzgb", "ebcdic", "037",
    "5022", "1047", "cp500", "cp1026", "scsu", "bocu",
];

/// Names that say nothing about the bytes: those of ASCII, of no character set, of one that the
/// sending program did not know (`unknown-8bit`: RFC 1428), of a transfer encoding, and of a set
/// that nobody writes and that programs name where they mean Latin-1.
const NAMING_NONE: [&str; 14] = [
    "usascii",
    "ascii",
    "ansix341968",
    "default",
    "none",
    "unknown",
    "xunknown",
    "unknown8bit",
    "xunknown8bit",
    "binary",
    "8bit",
    "7bit",
    "xuserdefined",
    "ansix31101983",
];

pub(super) enum Known {
    Ascii(Charset),
    /// A character set that hides ASCII.
    Hiding(Hiding),
    Unknown,
}

/// A character set in which ASCII is ASCII.
pub(super) enum Charset {
    Encoding(&'static Encoding),
    /// A code page of DOS: that of a terminal, and so that of what a script on Windows mails.
    CodePage(&'static TableType),
}

pub(super) enum Hiding {
    Utf7,
    /// UTF-16; `None` if the name does not say the byte order.
    Utf16(Option<&'static Encoding>),
    Iso2022Jp,
    /// A character set that no decoder here knows.
    Other,
}

/// Finds a character set by a name as it is sent: quoted, with a semicolon or a comment, with
/// unusual punctuation.
pub(super) fn known(name: &str) -> Known {
    if matches!(name, "" | "utf-8" | "utf8" | "us-ascii" | "ascii") {
        return Known::Ascii(Charset::Encoding(UTF_8));
    }

    let trimmed = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let cut = trimmed
        .split([';', ',', '(', '"', ' ', '='])
        .next()
        .unwrap_or_default()
        .trim();

    let solid: String = cut.chars().filter(char::is_ascii_alphanumeric).collect();

    if solid.is_empty() || NAMING_NONE.contains(&solid.as_str()) {
        return Known::Ascii(Charset::Encoding(UTF_8));
    }

    let label = |label: &str| Encoding::for_label(label.as_bytes());
    let found = label(trimmed)
        .or_else(|| label(cut))
        .or_else(|| label(&cut.replace('_', "-")))
        .or_else(|| by_number(&solid));

    match found {
        Some(hiding) if [REPLACEMENT, UTF_16BE, UTF_16LE, ISO_2022_JP].contains(&hiding) => {
            Known::Hiding(hidden(&solid))
        }
        Some(encoding) => Known::Ascii(Charset::Encoding(encoding)),
        None if HIDING.iter().any(|part| solid.contains(part)) => Known::Hiding(hidden(&solid)),
        None => {
            code_page(&solid).map_or(Known::Unknown, |page| Known::Ascii(Charset::CodePage(page)))
        }
    }
}

/// Returns how a character set that hides ASCII is decoded, by its name without punctuation.
fn hidden(solid: &str) -> Hiding {
    let holds = |part: &str| solid.contains(part);
    if holds("utf7") {
        Hiding::Utf7
    } else if holds("utf16be") || solid == "unicodefffe" {
        Hiding::Utf16(Some(UTF_16BE))
    } else if holds("utf16le") || solid == "unicodefeff" {
        Hiding::Utf16(Some(UTF_16LE))
    } else if holds("utf16") || holds("ucs2") || matches!(solid, "unicode" | "csunicode") {
        Hiding::Utf16(None)
    } else if holds("iso2022jp") || holds("5022") {
        Hiding::Iso2022Jp
    } else {
        Hiding::Other
    }
}

/// Returns a code page of DOS by its number, or by its name at IANA if that contains more than the
/// number.
fn code_page(solid: &str) -> Option<&'static TableType> {
    let number = match solid {
        "cspc8codepage437" => "437",
        "cspc850multilingual" => "850",
        "pcmultilingual850euro" => "858",
        "cspc775baltic" => "775",
        "cspc862latinhebrew" => "862",
        _ => solid
            .trim_start_matches(|c: char| c.is_ascii_alphabetic())
            .trim_start_matches('0'),
    };
    DECODING_TABLE_CP_MAP.get(&number.parse().ok()?)
}

/// Returns the character set of a name that `encoding_rs` does not list: a code page by number, or
/// a spelling without punctuation.
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
            "msee" => "windows-1250",
            "mscyrl" => "windows-1251",
            "msansi" => "windows-1252",
            "msgreek" => "windows-1253",
            "msturk" => "windows-1254",
            "mshebr" => "windows-1255",
            "msarab" => "windows-1256",
            "winbaltrim" => "windows-1257",
            "mac" | "macroman" | "xmacroman" => "macintosh",
            _ => return None,
        }
        .to_owned(),
    };

    Encoding::for_label(label.as_bytes())
}
