//! Transfer encodings (RFC 2045, 6), known by the names that are sent, and undone as far as
//! possible.

use std::{borrow::Cow, sync::LazyLock};

use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurposeConfig, Simd};
use mail_parser::decoders::base64::base64_decode;
use memchr::memchr;

use super::quoted_printable;

/// The shortest line that is taken for base64 if other text precedes it.
const MIN_LINE: usize = 16;

/// The encoding that made a part fit for transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// No encoding: the part is as it is.
    Identity,
    QuotedPrintable,
    Base64,
    /// A way to pack bytes that is not read here.
    Packed,
    /// A name of no encoding that exists. Mail programs show such a part as it is.
    Unknown,
}

/// The result of undoing an encoding.
pub(super) struct Decoded<'a> {
    pub bytes: Cow<'a, [u8]>,
    /// What was not valid in the encoding, and was taken literally or left out.
    pub damage: Option<&'static str>,
    /// Whether the text that was left out may have been the sender's, rather than what others wrote
    /// around it.
    pub is_lost: bool,
}

impl Encoding {
    /// Reads a Content-Transfer-Encoding: `7-bit`, `8bit"` and `base64;` are read as what they are
    /// meant to be.
    pub fn named(value: Option<&[u8]>) -> Self {
        let value = String::from_utf8_lossy(value.unwrap_or_default()).to_ascii_lowercase();
        let mut text = value.trim_start();

        while let Some((_, after)) = text
            .strip_prefix('(')
            .and_then(|comment| comment.split_once(')'))
        {
            text = after.trim_start();
        }

        let cut = text.split([';', ',', '(', '=']).next().unwrap_or_default();
        let solid: String = cut
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(40)
            .collect();

        match solid.as_str() {
            "" | "7bit" | "8bit" | "7bits" | "8bits" | "7" | "8" | "binary" | "none"
            | "identity" => Self::Identity,
            "quotedprintable" | "quotedprintible" | "quotedprint" | "xquotedprintable" | "qp" => {
                Self::QuotedPrintable
            }
            "base64" | "xbase64" | "b64" | "basee64" => Self::Base64,
            packed
                if ["uu", "xuu", "yenc", "xyenc", "binhex", "xbinhex"]
                    .iter()
                    .any(|name| packed.starts_with(name)) =>
            {
                Self::Packed
            }
            _ => Self::Unknown,
        }
    }

    /// Undoes the encoding.
    pub fn decode(self, body: &[u8]) -> Decoded<'_> {
        match self {
            Self::Identity | Self::Packed | Self::Unknown => Decoded {
                bytes: body.into(),
                damage: None,
                is_lost: self == Self::Packed || (self == Self::Unknown && looks_encoded(body)),
            },
            Self::QuotedPrintable => {
                let (bytes, damaged) = quoted_printable::decode(body);
                Decoded {
                    bytes: bytes.into(),
                    damage: damaged.then_some("broken quoted-printable"),
                    is_lost: false,
                }
            }
            Self::Base64 => {
                let sound = |bytes: Vec<u8>| Decoded {
                    bytes: bytes.into(),
                    damage: None,
                    is_lost: false,
                };
                let whole = match lines_of_base64(body).or_else(|| base64_decode(body)) {
                    Some(whole) if !is_noise(&whole) => return sound(whole),
                    whole => whole,
                };

                let (bytes, is_lost) = base64_within(body);
                match whole {
                    // If neither result is text, the part is no text.
                    Some(whole) if is_lost || is_noise(&bytes) => sound(whole),
                    _ => Decoded {
                        bytes: bytes.into(),
                        damage: Some("broken base64: it looks damaged"),
                        is_lost,
                    },
                }
            }
        }
    }
}

/// Whether bytes are no text in any character set. If a word that is no base64 precedes base64,
/// everything after the word decodes to such bytes.
pub(super) fn is_noise(bytes: &[u8]) -> bool {
    /// Text may have one control character in this many bytes. In noise, an eighth of the bytes are
    /// controls; NULs do not count, because characters of two bytes contain them.
    const FEW: usize = 50;

    let is_control =
        |byte: &&u8| matches!(byte, 0x01..=0x08 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F | 0x7F);
    let controls = |bytes: &[u8]| bytes.iter().filter(is_control).count();

    // In text, nearly all words of eight bytes contain no control, and need not be searched byte by
    // byte.
    let (words, rest) = bytes.as_chunks();
    let doubtful = words.iter().filter(|word| may_hold_control(**word));
    doubtful.map(|word| controls(word)).sum::<usize>() + controls(rest) > bytes.len() / FEW
}

/// Whether one of eight bytes is below 0x20 or equals 0x7F, by the test for a zero byte in a word
/// (<https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord>).
fn may_hold_control(word: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

    let word = u64::from_ne_bytes(word);
    let deleted = word ^ (ONES * 0x7F);
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH != 0;
    below(word, 0x20) || below(deleted, 1)
}

/// Decodes what mailers write: lines of base64 and nothing else. It decodes a register at a time;
/// anything odd is left to the decoder that knows how mail programs read it.
fn lines_of_base64(body: &[u8]) -> Option<Vec<u8>> {
    static STANDARD: LazyLock<Simd> = LazyLock::new(|| {
        Simd::standard(
            GeneralPurposeConfig::new()
                .with_decode_allow_trailing_bits(true)
                .with_decode_padding_mode(DecodePaddingMode::Indifferent),
        )
    });

    let mut encoded = Vec::with_capacity(body.len());
    let mut rest = body;

    while let Some(at) = memchr(b'\n', rest) {
        let line = &rest[..at];
        encoded.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        rest = &rest[at + 1..];
    }

    encoded.extend_from_slice(rest);

    STANDARD.decode(&encoded).ok()
}

/// Whether text is in quoted-printable or base64 although it does not say so.
fn looks_encoded(body: &[u8]) -> bool {
    let mut lines = body
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .peekable();
    let is_begun = lines.peek().is_some_and(|line| line.len() >= MIN_LINE);
    is_escaped(body) || (is_begun && lines.all(is_base64))
}

/// Whether every equals sign is an escape or a soft line break, and at least one certainly is: a
/// link may end in an equals sign.
fn is_escaped(body: &[u8]) -> bool {
    /// The shortest line that an encoder may have broken. Encoders break lines after 76 characters.
    const MIN_BROKEN: usize = 60;

    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
    let certain = body.split(|byte| *byte == b'\n').any(|line| {
        let line = line.trim_ascii_end();
        let escapes = memchr::memchr_iter(b'=', line).any(|at| {
            line.get(at + 1..at + 3)
                .is_some_and(|digits| digits.iter().all(is_hex))
        });
        escapes || (line.ends_with(b"=") && line.len() >= MIN_BROKEN)
    });
    certain && !quoted_printable::decode(body).1
}

/// Whether base64 ends within the four characters that encode three bytes, as that of an encoder
/// which pads its output never does.
pub(super) fn ends_within_a_quantum(body: &[u8]) -> bool {
    let digits = body.iter().filter(|byte| is_digit(**byte)).count();
    !digits.is_multiple_of(4)
}

/// Returns the base64 between what a gateway wrote before it and what a list wrote after it, and
/// whether some of it is missing. Nothing is read behind the first line that is no base64; if such
/// a line stands in the middle, something is missing.
pub(super) fn base64_within(body: &[u8]) -> (Vec<u8>, bool) {
    let lines = || body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let is_begun =
        |line: &[u8]| line.len() >= MIN_LINE && line.len().is_multiple_of(4) && is_base64(line);
    let begun = lines().position(is_begun);
    let before = begun.or_else(|| lines().position(|line| !line.is_empty() && is_base64(line)));
    let mut encoded = Vec::with_capacity(body.len());
    let mut rest = lines().skip(before.unwrap_or_default());

    for line in rest.by_ref() {
        let length = line.iter().take_while(|byte| is_digit(**byte)).count();
        // If a line continues with something else, only whole quanta belong to the base64.
        if length == line.len() || (length > 0 && length.is_multiple_of(4)) {
            encoded.extend_from_slice(&line[..length]);
        }
        if length < line.len() {
            break;
        }
    }

    let goes_on = rest.any(is_begun);
    let bytes = base64_decode(&encoded).unwrap_or_default();
    let is_text = || std::str::from_utf8(&bytes).is_ok_and(|text| !text.contains('\0'));
    let is_lost = goes_on || bytes.is_empty() || (begun.is_none() && !is_text());
    (bytes, is_lost)
}

fn is_base64(line: &[u8]) -> bool {
    line.iter().all(|byte| is_digit(*byte))
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_known_however_it_is_written() {
        for (encoding, names) in [
            (
                Encoding::Identity,
                "|7bit|8BIT|binary|7bit;|7-bit|8bit\"|\"7bit\"|8 bit|7bit (comment)|(c) 8bit| \
                 7bit\r\n|none|;",
            ),
            (
                Encoding::QuotedPrintable,
                "quoted-printable|Quoted-Printable;|quoted \
                 printable|quoted_printable|\"quoted-printable\"",
            ),
            (
                Encoding::Base64,
                "base64|BASE64|base64;|base-64|\"base64\"|(x)base64|base64, 7bit|base64; \
                 charset=utf-8|'base64'|x-base64",
            ),
            (
                Encoding::Packed,
                "x-uuencode|uuencode|x-uue|x-yenc|binhex40",
            ),
            (Encoding::Unknown, "utf-8|x-nothing|text/html"),
        ] {
            for name in names.split('|') {
                assert_eq!(Encoding::named(Some(name.as_bytes())), encoding, "{name:?}");
            }
        }
        assert_eq!(Encoding::named(None), Encoding::Identity);
    }

    proptest::proptest! {
        #[test]
        fn base64_in_lines_is_read_as_mail_parser_reads_it(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400),
            width in 1..100_usize,
            odd in proptest::option::of((0..600_usize, "[ \t\r\n=A-Za-z!]{1,3}")),
        ) {
            let encoded = base64::prelude::BASE64_STANDARD.encode(bytes);
            let lines: Vec<&[u8]> = encoded.as_bytes().chunks(width).collect();
            let mut body = lines.join(&b"\r\n"[..]);
            if let Some((at, odd)) = odd {
                let at = at.min(body.len());
                body.splice(at..at, odd.into_bytes());
            }

            if let Some(read) = lines_of_base64(&body) {
                assert_eq!(Some(read), base64_decode(&body));
            }
        }

        #[test]
        fn no_word_that_holds_a_control_is_passed_over(mut word: [u8; 8], at in 0..8_usize) {
            for control in (0x01..0x20).chain([0x7F]) {
                word[at] = control;
                assert!(may_hold_control(word), "{word:?}");
            }
            assert!(!may_hold_control(word.map(|byte| byte | 0x80)));
            assert!(!may_hold_control(*b"<p>A is "));
        }
    }

    #[test]
    fn base64_is_read_between_what_others_wrote_around_it() {
        let html =
            "<html><script>{\"a\": 1}</script></html> and more of it, so that there are some lines";
        let encoded = {
            use base64::{Engine as _, prelude::BASE64_STANDARD};
            BASE64_STANDARD.encode(html)
        };
        let lines = encoded
            .as_bytes()
            .chunks(40)
            .map(|line| std::str::from_utf8(line).unwrap());
        let encoded = lines.collect::<Vec<_>>().join("\r\n");
        let footer = "\r\n-- \r\nTo unsubscribe: mail x@y\r\n";
        let read = |text: &str| {
            String::from_utf8_lossy(&Encoding::Base64.decode(text.as_bytes()).bytes).into_owned()
        };
        assert_eq!(read(&encoded), html);
        assert_eq!(read(&encoded.replace("\r\n", "\r\n\r\n")), html);
        assert_eq!(read(&format!("{encoded}{footer}")), html);
        assert_eq!(
            read(&format!("[EXTERNAL]\r\n\r\n{encoded}\r\n_____\r\nRegards")),
            html
        );
        assert_eq!(read(&format!("{encoded} -- Scanned")), html);
        assert_eq!(read(&format!("Warning! Take care.\r\n{encoded}")), html);
        let broken = encoded.replacen("\r\n", "\r\n*** lost ***\r\n", 1);
        assert_eq!(read(&broken), html[..30]);
        assert!(Encoding::Base64.decode(broken.as_bytes()).damage.is_some());
        assert_eq!(read("!!!! not base64 !!!!"), "");

        let is_lost = |text: &str| Encoding::Base64.decode(text.as_bytes()).is_lost;
        for whole in [
            &encoded,
            &format!("{encoded}{footer}"),
            &format!("[EXTERNAL]\r\n{encoded}"),
        ] {
            assert!(!is_lost(whole), "{whole}");
        }
        for damaged in [
            &broken,
            "!!!! not base64 !!!!",
            "Host: web-1\r\nState: up\r\n",
        ] {
            assert!(is_lost(damaged), "{damaged}");
        }
    }

    #[test]
    fn an_unknown_encoding_is_told_from_text_as_it_is() {
        let looks = |text: &str| Encoding::Unknown.decode(text.as_bytes()).is_lost;
        for text in [
            "Host: web-1",
            "Host = web-1\r\n",
            "https://x/?a=b&c=1",
            "https://x/?a=\r\nOK",
            "",
        ] {
            assert!(!looks(text), "{text}");
        }
        let long = format!("Host: {}=\r\nb", "a".repeat(70));
        for text in ["Host: web=2D1", &long, "SG9zdDogd2ViLTEK\r\nSG9z\r\n"] {
            assert!(looks(text), "{text}");
        }
    }
}
