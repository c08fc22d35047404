//! Reads one line of a client as a command (RFC 5321, 4.1).

use std::borrow::Cow;

use smtp_proto::{Error, RcptTo, Request};

use super::{
    chunk::{self, Announced},
    recipients::POSTMASTER,
};

pub(super) const UNSUPPORTED_PARAMETER: &str = "555 5.5.4 Parameter not supported";

/// A line that could be parsed.
pub(super) enum Command<'l> {
    Bdat(Announced),
    Other(Request<Cow<'l, str>>),
}

impl<'l> Command<'l> {
    /// Parses a line as a command, or returns the reply to an invalid one.
    pub(super) fn read(line: &'l [u8], longest: usize) -> Result<Self, &'static str> {
        if line.len() > longest {
            return Err("500 5.5.2 Line too long");
        }

        let Some(text) = line.strip_suffix(b"\r\n") else {
            return Err("500 5.5.2 Lines end in CR LF");
        };

        // The parser skips stray control characters; a log line or a later hop might not.
        if text.iter().any(u8::is_ascii_control) {
            return Err("500 5.5.2 Control characters are not allowed");
        }

        // The parser is lenient about numbers, so BDAT is read without it.
        if chunk::is_bdat(text) {
            return chunk::announced(text)
                .map(Self::Bdat)
                .ok_or("501 5.5.4 Syntax: BDAT size [LAST]");
        }

        let request = Request::parse(&mut line.iter()).map_err(|error| match error {
            Error::UnknownCommand => "500 5.5.1 Command not recognized",
            Error::InvalidSenderAddress => "501 5.1.7 The sender's address is not valid",
            Error::InvalidRecipientAddress => "501 5.1.3 The recipient's address is not valid",
            Error::InvalidParameter { .. } => "501 5.5.4 Parameter not valid",
            Error::UnsupportedParameter { .. } => UNSUPPORTED_PARAMETER,
            _ => "501 5.5.2 Syntax error",
        })?;

        match request {
            // The parser returns the same for <postmaster>, the only address without a domain (RFC
            // 5321, 4.1.1.3), as for <>.
            Request::Rcpt { to } if to.address.is_empty() && names_postmaster(text) => {
                Ok(Self::Other(Request::Rcpt {
                    to: RcptTo {
                        address: POSTMASTER.into(),
                        ..to
                    },
                }))
            }
            Request::StartTls if text.len() > "STARTTLS".len() => {
                Err("501 5.5.4 STARTTLS takes no parameter")
            }
            request => Ok(Self::Other(request)),
        }
    }
}

/// Returns whether a line is an HTTP request with a body.
pub(super) fn is_posted(line: &[u8]) -> bool {
    let mut words = line.trim_ascii_end().split(|&byte| byte == b' ');
    let method = words
        .next()
        .is_some_and(|verb| [&b"POST"[..], b"PUT", b"PATCH", b"DELETE"].contains(&verb));
    method
        && words
            .next_back()
            .is_some_and(|version| version.starts_with(b"HTTP/"))
}

fn names_postmaster(line: &[u8]) -> bool {
    let path = line
        .split(|&byte| byte == b'<')
        .nth(1)
        .and_then(|rest| rest.split(|&byte| byte == b'>').next());
    path.is_some_and(|path| {
        path.trim_ascii()
            .eq_ignore_ascii_case(POSTMASTER.as_bytes())
    })
}
