//! A mail before it is put into a charset and a transfer encoding, and after.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};

/// Charset and transfer encoding of a mail's text, and whether it is one part of several.
pub const ENCODINGS: [(&str, &str, bool); 10] = [
    ("utf-8", "8bit", false),
    ("utf-8", "quoted-printable", false),
    ("utf-8", "base64", true),
    ("iso-8859-1", "quoted-printable", false),
    ("iso-8859-1", "8bit", true),
    ("windows-1252", "base64", false),
    ("utf-16", "base64", false),
    ("utf-16le", "base64", true),
    ("UTF8", "quoted-printable", true),
    ("iso-8859-15", "quoted-printable", false),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Plain,
    Html,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub from: String,
    pub subject: String,
    /// More fields of the header.
    pub fields: Vec<(String, String)>,
    pub transport: Transport,
    /// Lines end with LF.
    pub body: String,
}

impl Letter {
    /// The same with other words in place of some, wherever they stand.
    pub fn with(self, what: &str, instead: &str) -> Self {
        let field = |(name, value): (String, String)| {
            let line = format!("{name}: {value}").replace(what, instead);
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        };
        Self {
            subject: self.subject.replace(what, instead),
            fields: self.fields.into_iter().map(field).collect(),
            body: self.body.replace(what, instead),
            ..self
        }
    }

    /// The answer of a person, which quotes it.
    pub fn answered(self) -> Self {
        let body = match self.transport {
            Transport::Html => format!("<p>I look.</p><blockquote>{}</blockquote>", self.body),
            Transport::Plain => format!("I look.\n\n> {}", self.body.replace('\n', "\n> ")),
        };
        Self {
            from: "Ann <ann@example.com>".into(),
            subject: format!("Re: {}", self.subject),
            body,
            ..self
        }
    }

    /// Of the same sender something that is no alert.
    pub fn news(self) -> Self {
        Self {
            subject: "What is new in November".into(),
            fields: Vec::new(),
            ..self
        }
    }

    pub fn mail(
        &self,
        second: u32,
        number: usize,
        (charset, transfer, is_part): (&str, &str, bool),
    ) -> Vec<u8> {
        let of_header = |text: &str| encoded_words(text, charset, number);
        let mut head = format!(
            "From: {}\r\nTo: alerts@example.com\r\nSubject: {}\r\n\
             Date: Sat, 28 Nov 2026 04:10:{second:02} +0000\r\nMessage-ID: <{number}.{}@example.com>\r\n\
             MIME-Version: 1.0\r\n",
            self.from,
            of_header(&self.subject),
            self.body.len(),
        );
        for (name, value) in &self.fields {
            write!(head, "{name}: {}\r\n", of_header(value)).unwrap();
        }

        let kind = match self.transport {
            Transport::Html => "text/html",
            Transport::Plain => "text/plain",
        };
        let of_part = format!(
            "Content-Type: {kind}; charset={charset}\r\nContent-Transfer-Encoding: {transfer}\r\n\r\n"
        );
        let bytes = in_charset(&self.body.replace('\n', "\r\n"), charset);
        let body = match transfer {
            "base64" => lines_of(BASE64_STANDARD.encode(bytes).as_bytes()),
            "quoted-printable" => quoted_printable(&bytes),
            _ => bytes,
        };

        if is_part {
            let mixed = "Content-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n--=_b\r\n";
            let logo = "\r\n--=_b\r\nContent-Type: image/png; name=logo.png\r\n\
                        Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--=_b--\r\n";
            [
                head.as_bytes(),
                mixed.as_bytes(),
                of_part.as_bytes(),
                &body,
                logo.as_bytes(),
            ]
            .concat()
        } else {
            [head.as_bytes(), of_part.as_bytes(), &body].concat()
        }
    }
}

/// What a charset does not have is a question mark in it.
fn in_charset(text: &str, charset: &str) -> Vec<u8> {
    match charset {
        "utf-16" => wide(
            [0xFEFF].into_iter().chain(text.encode_utf16()),
            u16::to_be_bytes,
        ),
        "utf-16le" => wide(text.encode_utf16(), u16::to_le_bytes),
        "utf-8" | "UTF8" => text.as_bytes().to_vec(),
        _ => text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
            .collect(),
    }
}

fn wide(units: impl Iterator<Item = u16>, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    units.flat_map(bytes).collect()
}

/// A field's value as encoded words (RFC 2047), few enough characters in each; now and then bare
/// UTF-8, as some write it.
fn encoded_words(text: &str, charset: &str, number: usize) -> String {
    if text.is_ascii() || (charset == "utf-8" && number.is_multiple_of(3)) {
        return text.to_owned();
    }
    let is_latin = charset.starts_with("iso") && text.chars().all(|c| u32::from(c) < 0x100);
    let letters: Vec<char> = text.chars().collect();
    let words = letters.chunks(10).map(|letters| {
        let piece: String = letters.iter().collect();
        if is_latin {
            let bytes = in_charset(&piece, charset);
            let hex = bytes.iter().map(|byte| format!("={byte:02X}"));
            format!("=?{charset}?Q?{}?=", hex.collect::<String>())
        } else {
            format!("=?utf-8?B?{}?=", BASE64_STANDARD.encode(piece))
        }
    });
    words.collect::<Vec<_>>().join("\r\n ")
}

fn lines_of(text: &[u8]) -> Vec<u8> {
    text.chunks(76)
        .flat_map(|line| [line, b"\r\n"].concat())
        .collect()
}

/// Lines are broken wherever they get long, within words and characters too.
fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut out = String::new();
    let mut column = 0;
    for byte in bytes {
        let piece = match byte {
            b'\r' | b'\n' | b' '..=b'<' | b'>'..=b'~' => char::from(*byte).to_string(),
            byte => format!("={byte:02X}"),
        };
        column = if *byte == b'\n' {
            0
        } else {
            column + piece.len()
        };
        if column > 70 && *byte != b'\r' {
            out.push_str("=\r\n");
            column = piece.len();
        }
        out.push_str(&piece);
    }
    out.into_bytes()
}
