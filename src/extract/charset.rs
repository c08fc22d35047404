//! Character sets in which ASCII is ASCII, whatever their names.
//!
//! Other character sets hide markup until they are decoded (UTF-7, ISO-2022-*, UTF-16). Alerts
//! never come in them, and anything else in such a part is for a person to see.

use std::borrow::Cow;

use encoding_rs::{DecoderResult, Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use mail_parser::decoders::charsets::map::charset_decoder;
use memchr::memmem;
use oem_cp::code_table_type::TableType;

mod names;
#[cfg(test)]
mod tests;

use names::{Charset, Hiding, Known, known};

/// A decoded text.
pub(super) struct Text<'a> {
    pub text: Cow<'a, str>,
    /// The name of a character set that nobody knows; its ASCII was read.
    pub unknown: Option<String>,
}

/// Decodes a text. The error says why the text is not read.
pub(super) fn decode<'a>(bytes: &'a [u8], label: Option<&str>) -> Result<Text<'a>, String> {
    let name = name(label);
    let (charset, unknown) = match known(&name) {
        Known::Ascii(charset) => (charset, None),
        Known::Hiding(_) => {
            return Err(format!(
                "an HTML part of the mail is in the character set {name:?}, which is not read"
            ));
        }
        Known::Unknown => (Charset::Encoding(UTF_8), Some(name)),
    };

    let text = match charset {
        Charset::Encoding(encoding) => whole(bytes, encoding),
        Charset::CodePage(page) => of_code_page(bytes, page).into(),
    };
    Ok(Text { text, unknown })
}

/// Returns a name as it is looked up and reported.
fn name(label: Option<&str>) -> String {
    label
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
        .chars()
        .filter(|c| !c.is_control())
        .take(40)
        .collect()
}

/// Decodes a text of a DOS code page, without losing any of it either.
fn of_code_page(bytes: &[u8], page: &TableType) -> String {
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 2);
    for byte in bytes {
        match page.decode_char_checked(*byte) {
            Some(c) => text.push(c),
            None => text += &WINDOWS_1252.decode_without_bom_handling(&[*byte]).0,
        }
    }
    text
}

/// Decodes a text without losing any of it. Bytes that are invalid in its character set are read as
/// windows-1252, as mail programs read them, since two hosts whose names consist of replacement
/// characters would look the same.
///
/// Mail programs read the whole text in that way. Here only the invalid bytes are: a log that is
/// cut within a character must not cost the labels beside it, and text that is Latin-1 throughout
/// comes out the same. ASCII stays what it was in any case, so that no markup appears.
fn whole<'a>(bytes: &'a [u8], encoding: &'static Encoding) -> Cow<'a, str> {
    // A byte order mark must not turn the text into UTF-16.
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

/// Decodes a text in any character set, as mail programs show it. This is only for a text in which
/// nothing is searched for that somebody could hide.
pub(super) fn decode_all(bytes: &[u8], label: Option<&str>) -> String {
    let text = match (decode(bytes, label), known(&name(label))) {
        (Ok(read), _) => read.text.into_owned(),
        (Err(_), Known::Hiding(Hiding::Utf7)) => charset_decoder(b"utf-7")
            .map_or_else(|| whole(bytes, UTF_8).into_owned(), |decode| decode(bytes)),
        (Err(_), Known::Hiding(Hiding::Utf16(order))) => {
            let order = order.unwrap_or_else(|| byte_order(bytes));
            order.decode_with_bom_removal(bytes).0.into_owned()
        }
        (Err(_), Known::Hiding(Hiding::Iso2022Jp)) => whole(bytes, ISO_2022_JP).into_owned(),
        (Err(_), _) => whole(bytes, UTF_8).into_owned(),
    };

    match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_owned(),
        None => text,
    }
}

/// Returns the character set that a page declares itself, near its beginning. In UTF-16 it could
/// not declare it.
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

/// Returns the byte order of a text that is called just `utf-16` or `ucs-2`. The byte order mark
/// decides; without one, the zeros do, which ASCII puts into the high bytes. A text with neither is
/// big-endian (RFC 2781, 4.3).
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
