//! Decides whether a mail is from a configured sender.
//!
//! Most mail is read by a grammar so small that no two programs can read it differently:
//!
//! ```text
//! from    = [WSP] ( address / phrase WSP* "<" address ">" ) [WSP]
//! phrase  = *( atom / quoted-string )        ; an encoded-word is an atom
//! ```
//!
//! What mailers and gateways write besides that (comments, groups, names with commas, brackets or
//! the address itself in them) is read by [`loose`]. If every address that a program could find is
//! the sender's, the mail is the sender's. If the sender is only one reading among others, the mail
//! is [`Sender::Doubtful`]: it proves nothing, and is told.
//!
//! Addresses are compared without regard to case, and the display name never matters. A sender that
//! is configured as `@example.com` stands for every address of that domain alone. That the header
//! names the sender proves nothing yet: whether it is true is decided by authentication.

use super::header::{Field, check as check_header, fields, first};

mod loose;

pub use loose::names;

/// The sender of a mail according to its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// A configured sender, however the header is read.
    Configured,
    /// Somebody else, however the header is read. The sentence says who.
    Other(String),
    /// A configured sender, but not in every reading. The sentence says what is odd.
    Doubtful(String),
    /// No sender can be determined. The sentence says why.
    Unknown(String),
}

/// Checks a raw header block before authentication. The error says why the mail is not certainly
/// from a configured sender.
pub fn check(header: &[u8], configured: &[String]) -> Result<(), String> {
    match read(header, configured) {
        Sender::Configured => Ok(()),
        Sender::Other(why) | Sender::Doubtful(why) | Sender::Unknown(why) => Err(why),
    }
}

/// Returns the domain of the single address in a raw header block's From, in lower case; `None` if
/// programs would disagree about it.
pub fn domain(header: &[u8]) -> Option<String> {
    check_header(header).ok()?;
    let mut from = fields(header).flatten().filter(|field| field.is(b"From"));
    let value = from.next()?.value;
    let is_another = differs_from(value);
    if from.any(|other| is_another(other.value)) {
        return None;
    }

    let unfolded: Vec<u8> = value
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let address = address(without_name_behind(&unfolded)).ok()?;
    let address = std::str::from_utf8(address).ok()?;
    let (_, domain) = address.rsplit_once('@')?;
    Some(domain.trim_end_matches('.').to_ascii_lowercase())
}

/// Determines the sender from a raw header block.
pub fn read(header: &[u8], configured: &[String]) -> Sender {
    let mut from = fields(header).flatten().filter(|field| field.is(b"From"));
    let sender = match from.next() {
        None => Sender::Unknown("the mail has no From header".to_owned()),
        Some(first) => {
            let is_another = differs_from(first.value);
            let others: Vec<Field<'_>> = from.filter(|field| is_another(field.value)).collect();
            match others.as_slice() {
                [] => of(first.value, configured),
                others => of_several(&first, others, configured),
            }
        }
    };

    match (check_header(header), sender) {
        (Err(odd), Sender::Configured | Sender::Doubtful(_)) => Sender::Doubtful(odd),
        (Err(odd), Sender::Other(_) | Sender::Unknown(_)) if in_a_bare_line(header, configured) => {
            Sender::Doubtful(odd)
        }
        (_, sender) => sender,
    }
}

/// Returns whether a line that could be a From names the sender, in a header that has no other
/// From.
pub fn is_hinted_at(header: &[u8], configured: &[String]) -> bool {
    /// The length of the header that is examined, in bytes.
    const MAX_LOOKED_AT: usize = 64 << 10;

    if first(header, b"From").is_some() {
        return false;
    }

    header[..header.len().min(MAX_LOOKED_AT)]
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            let name: Vec<u8> = line[..colon]
                .iter()
                .copied()
                .filter(u8::is_ascii_graphic)
                .collect();
            name.to_ascii_lowercase()
                .ends_with(b"from")
                .then(|| &line[colon + 1..])
        })
        .any(|value| names(value, configured))
}

/// Returns whether a From of the sender follows a bare carriage return.
fn in_a_bare_line(header: &[u8], configured: &[String]) -> bool {
    header
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .any(|line| {
            line.get(..5)
                .is_some_and(|name| name.eq_ignore_ascii_case(b"From:"))
                && names(&line[5..], configured)
        })
}

/// Determines the sender from several From headers that differ: programs use the first, the last or
/// none.
fn of_several(first: &Field<'_>, others: &[Field<'_>], configured: &[String]) -> Sender {
    let odd = "the mail has more than one From header".to_owned();
    let all: Vec<Sender> = std::iter::once(first)
        .chain(others)
        .map(|field| of(field.value, configured))
        .collect();

    if all
        .iter()
        .any(|sender| matches!(sender, Sender::Configured | Sender::Doubtful(_)))
    {
        Sender::Doubtful(odd)
    } else if all
        .iter()
        .any(|sender| matches!(sender, Sender::Unknown(_)))
    {
        Sender::Unknown(odd)
    } else {
        Sender::Other(odd)
    }
}

/// Returns whether a value differs from `one` in more than white space. The header may have as many
/// of them as lines.
fn differs_from(one: &[u8]) -> impl Fn(&[u8]) -> bool {
    let solid = |value: &[u8]| -> Vec<u8> {
        value
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect()
    };
    let known = solid(one);
    move |other| other != one && solid(other) != known
}

/// Determines the sender from one From.
fn of(value: &[u8], configured: &[String]) -> Sender {
    let unfolded: Vec<u8> = value
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();

    match address(&unfolded) {
        Ok(address) if is_configured(address, configured) => Sender::Configured,
        // An encoded or enclosed address is another one to one program, and the sender's to
        // another.
        Ok(address) if names(address, configured) => {
            Sender::Doubtful("its From is odd: its address is encoded or enclosed".to_owned())
        }
        Ok(address) => another(
            address,
            format!(
                "it is from {}, not from a sender of alerts.from",
                printable(address)
            ),
        ),
        Err(odd) => loose::read(&unfolded, configured, odd),
    }
}

/// Returns the sender at an address that is not configured. It may not be a complete address at
/// all.
fn another(address: &[u8], why: String) -> Sender {
    if is_whole(address) {
        Sender::Other(why)
    } else {
        Sender::Unknown(why)
    }
}

/// Returns whether mail can come from such an address: nothing is missing between its dots and
/// around its `@`.
fn is_whole(address: &[u8]) -> bool {
    let address = address.strip_suffix(b".").unwrap_or(address);
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80 || b"-_".contains(byte);
    memchr::memrchr(b'@', address).is_some_and(|at| {
        !address[..at].is_empty()
            && !address[..at].contains(&b'@')
            && address[at + 1..]
                .split(|byte| *byte == b'.')
                .all(|label| !label.is_empty() && label.iter().all(is_host))
    })
}

fn is_configured(address: &[u8], configured: &[String]) -> bool {
    // A domain that ends in a dot is the same one, written as a complete name (RFC 1034, 3.1).
    let address = address.strip_suffix(b".").unwrap_or(address);
    let domain = memchr::memrchr(b'@', address).map_or(&[][..], |at| &address[at..]);
    configured.iter().any(|known| {
        let known = known.as_bytes();
        known.eq_ignore_ascii_case(address)
            || (known.starts_with(b"@") && known.eq_ignore_ascii_case(domain))
    })
}

/// Returns an unfolded From without the comment behind it, which is the sender's name in
/// `a@b (Name)`, unless a program could find anything but a name in it.
fn without_name_behind(value: &[u8]) -> &[u8] {
    let is_plain = |byte: &u8| !byte.is_ascii_control() && !b"()<>@,;:\"\\[]=%&".contains(byte);
    let split = trim(value).strip_suffix(b")").and_then(|rest| {
        let at = memchr::memrchr(b'(', rest)?;
        Some((&rest[..at], &rest[at + 1..]))
    });
    match split {
        Some((before, name)) if name.iter().all(is_plain) => before,
        _ => value,
    }
}

/// Returns the single address of an unfolded From.
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

    let is_plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(byte);

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

/// Splits `phrase <address>` at the only `<` outside quotes.
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

/// Checks that a display name can hide nothing: it has only atoms, dots and quoted strings, in
/// UTF-8.
fn phrase_is_plain(phrase: &[u8]) -> Result<(), &'static str> {
    let text = std::str::from_utf8(phrase).map_err(|_| "its display name is not UTF-8")?;
    let mut quoted = false;
    let mut chars = text.chars();

    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => drop(chars.next()),
            '"' => quoted = !quoted,
            c if c.is_control() && c != '\t' => {
                return Err("its display name holds a control character");
            }
            _ if quoted => {}
            '(' | ')' => return Err("it holds a comment"),
            ',' | ';' | ':' | '@' | '<' | '>' | '[' | ']' | '\\' => {
                return Err("it is not exactly one display name and one address");
            }
            _ => {}
        }
    }

    if quoted {
        Err("its quotes do not match")
    } else {
        Ok(())
    }
}

fn trim(value: &[u8]) -> &[u8] {
    let mut value = value;
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Returns at most 100 characters of an address, as part of a sentence.
fn printable(address: &[u8]) -> String {
    String::from_utf8_lossy(address).chars().take(100).collect()
}

#[cfg(test)]
mod tests;
