//! Whether a mail is from a configured sender: exactly one From header with exactly one address, in a grammar so
//! small that no two programs can read it differently. Whatever is odd is not that sender.
//!
//! ```text
//! from    = [WSP] ( address / phrase WSP* "<" address ">" ) [WSP]
//! phrase  = *( atom / quoted-string )        ; an encoded-word is an atom
//! ```
//!
//! Of RFC 5322's From this leaves out groups, comments, routes, several addresses and quoted or spaced addresses.
//! That the header says so proves nothing yet: whether it is true is the matter of authenticity.

use super::header::{check as check_header, fields};

/// Judges a raw header block. The error says what is odd, for people.
pub fn check(header: &[u8], configured: &[String]) -> Result<(), String> {
    check_header(header)?;
    let mut from = fields(header).flatten().filter(|field| field.is(b"From"));
    let Some(field) = from.next() else {
        return Err("the mail has no From header".to_owned());
    };
    if from.next().is_some() {
        return Err("the mail has more than one From header".to_owned());
    }
    if !field.name.eq_ignore_ascii_case(b"From") {
        return Err("its From header has white space before the colon".to_owned());
    }
    let value: Vec<u8> = field.value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let address = address(&value).map_err(|odd| format!("its From is odd: {odd}"))?;
    if configured.iter().any(|known| known.as_bytes() == address) {
        Ok(())
    } else {
        Err(format!("it is from {}, not from a sender of alerts.from", printable(address)))
    }
}

/// The one address of an unfolded From.
fn address(value: &[u8]) -> Result<&[u8], &'static str> {
    let value = trim(value);
    let (address, phrase) = match value.strip_suffix(b">") {
        Some(_) => angle(value)?,
        None => (value, &[][..]),
    };
    phrase_is_plain(phrase)?;
    if address.is_empty() {
        return Err("it has no address");
    }
    if !address.is_ascii() {
        return Err("its address is not plain ASCII");
    }
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(byte);
    match address.iter().position(|byte| *byte == b'@') {
        Some(at) if at > 0 && at + 1 < address.len() => {
            let (local, domain) = (&address[..at], &address[at + 1..]);
            if local.iter().all(is_plain) && domain.iter().all(is_plain) {
                Ok(address)
            } else {
                Err("it is not exactly one plain address")
            }
        }
        _ => Err("it is not exactly one plain address"),
    }
}

/// `phrase <address>`, split at the one `<` outside quotes.
fn angle(value: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let mut quoted = false;
    let mut bytes = value.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if quoted => drop(bytes.next()),
            b'"' => quoted = !quoted,
            b'<' if !quoted => return Ok((&value[at + 1..value.len() - 1], &value[..at])),
            _ => {}
        }
    }
    Err("its angle brackets do not match")
}

/// A display name that can hide nothing: atoms, dots and quoted strings, in UTF-8.
fn phrase_is_plain(phrase: &[u8]) -> Result<(), &'static str> {
    let text = std::str::from_utf8(phrase).map_err(|_| "its display name is not UTF-8")?;
    let mut quoted = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => drop(chars.next()),
            '"' => quoted = !quoted,
            c if c.is_control() && c != '\t' => return Err("its display name holds a control character"),
            _ if quoted => {}
            '(' | ')' => return Err("it holds a comment"),
            ',' | ';' | ':' | '@' | '<' | '>' | '[' | ']' | '\\' => {
                return Err("it is not exactly one display name and one address");
            }
            _ => {}
        }
    }
    if quoted { Err("its quotes do not match") } else { Ok(()) }
}

fn trim(value: &[u8]) -> &[u8] {
    let mut value = value;
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// At most 100 characters of an address, for a sentence.
fn printable(address: &[u8]) -> String {
    String::from_utf8_lossy(address).chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENUINE: &str = "no-reply@am.atlassian.com";

    fn judge(header: &str) -> Result<(), String> {
        check(header.as_bytes(), &[GENUINE.into()])
    }

    #[test]
    fn one_plain_address_is_the_sender() {
        for from in [
            "From: no-reply@am.atlassian.com",
            "from:no-reply@am.atlassian.com  ",
            "FROM: <no-reply@am.atlassian.com>",
            "From: Atlassian <no-reply@am.atlassian.com>",
            "From: Atlassian\r\n <no-reply@am.atlassian.com>",
            "From: Dr. Atlas Sian <no-reply@am.atlassian.com>",
            "From: \"Atlassian, Inc. (alerts) <x@y>\" <no-reply@am.atlassian.com>",
            "From: \"a \\\" b\" <no-reply@am.atlassian.com>",
            "From: =?UTF-8?Q?Atlassi=C3=A4n?= <no-reply@am.atlassian.com>",
            "From: Atlassiän <no-reply@am.atlassian.com>",
        ] {
            assert_eq!(judge(&format!("To: a@b\r\n{from}\r\nDate: x\r\n")), Ok(()), "{from}");
        }
    }

    #[test]
    fn whatever_is_odd_is_not_the_sender() {
        for from in [
            "",
            "Sender: no-reply@am.atlassian.com",
            "From:",
            "From: <>",
            "From : no-reply@am.atlassian.com",
            "From: no-reply@am.atlassian.com\r\nFROM: no-reply@am.atlassian.com",
            "From: no-reply@am.atlassian.com\r\nFrom : x@evil.example",
            "From: x@evil.example, no-reply@am.atlassian.com",
            "From: no-reply@am.atlassian.com, no-reply@am.atlassian.com",
            "From: <no-reply@am.atlassian.com> <x@evil.example>",
            "From: <x@evil.example> <no-reply@am.atlassian.com>",
            "From: no-reply@am.atlassian.com <x@evil.example>",
            "From: x@evil.example <no-reply@am.atlassian.com>",
            "From: \"no-reply@am.atlassian.com\" <x@evil.example>",
            "From: alerts: no-reply@am.atlassian.com;",
            "From: <@evil.example:no-reply@am.atlassian.com>",
            "From: no-reply@am.atlassian.com (comment)",
            "From: (x <) no-reply@am.atlassian.com",
            "From: a(b) <no-reply@am.atlassian.com>",
            "From: no-reply (x) @am.atlassian.com",
            "From: <no-reply @am.atlassian.com>",
            "From: < no-reply@am.atlassian.com>",
            "From: no-reply@\r\n am.atlassian.com",
            "From: \"no-reply\"@am.atlassian.com",
            "From: \"open <no-reply@am.atlassian.com>",
            "From: No-Reply@am.atlassian.com",
            "From: no-reply@am.atlassian.com.evil.example",
            "From: no-reply@am.atlassian.com.",
            "From: xno-reply@am.atlassian.com",
            "From: no-reply@am.atlassian.com@evil.example",
            "From: no-reply@am.\u{430}tlassian.com",
            "From: no\u{2010}reply@am.atlassian.com",
            "From: no-reply@am.atlassian.com\u{200b}",
            "From: =?UTF-8?Q?no-reply=40am.atlassian.com?=",
            "From: <=?UTF-8?Q?no-reply?=@am.atlassian.com>",
            "From: no-reply@am.atlassian.com>",
            "From: <no-reply@am.atlassian.com",
            "From: x@evil.example\rFrom: no-reply@am.atlassian.com",
            "From: no-reply@am.atlassian.com\0",
        ] {
            let odd = judge(&format!("To: a@b\r\n{from}\r\nDate: x\r\n"));
            assert!(odd.is_err(), "{from:?} passed");
        }
    }

    #[test]
    fn the_sentence_says_what_is_odd() {
        let odd = |header: &str| judge(header).unwrap_err();
        assert_eq!(odd("From: x@example.com\n"), "it is from x@example.com, not from a sender of alerts.from");
        assert!(odd("To: x\n").contains("no From header"));
        assert!(odd("From: a@b\nFrom: a@b\n").contains("more than one From"));
        assert!(odd("From: a@b (c)\n").contains("exactly one plain address"));
    }

    #[test]
    fn an_empty_list_of_senders_knows_nobody() {
        assert!(check(b"From: no-reply@am.atlassian.com\n", &[]).is_err());
    }
}
