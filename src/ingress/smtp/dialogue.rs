//! What is answered to each command (RFC 5321), without any I/O.
//!
//! Holds the transaction: MAIL opens it, RCPT adds to it, DATA or RSET or a new greeting ends it.

use std::{borrow::Cow, net::IpAddr};

use smtp_proto::{Error, MAIL_BODY_7BIT, MAIL_BODY_8BITMIME, MailFrom, RcptTo, Request};

use super::{Door, recipients::Standing};
use crate::message::Envelope;

type Text<'a> = Cow<'a, str>;

/// What happens after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Command,
    /// The message follows, of so many bytes by the client's word; 0 where it gave none.
    Data {
        declared: usize,
    },
    Close,
}

/// One client's conversation.
pub(super) struct Dialogue<'a> {
    door: &'a Door,
    peer: IpAddr,
    helo: Option<String>,
    transaction: Option<Transaction>,
    /// Refused commands since the last mail was taken.
    errors: u32,
}

#[derive(Default)]
struct Transaction {
    mail_from: String,
    rcpt_to: Vec<String>,
    declared: usize,
}

impl<'a> Dialogue<'a> {
    pub(super) fn new(door: &'a Door, peer: IpAddr) -> Self {
        Self { door, peer, helo: None, transaction: None, errors: 0 }
    }

    /// Whether a mail is under way, which a stop lets finish.
    pub(super) fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Answers one line, its line break included.
    pub(super) fn answer(&mut self, line: &[u8], reply: &mut Vec<u8>) -> Next {
        let before = reply.len();
        let next = match self.read(line) {
            Ok(request) => self.obey(request, reply),
            Err(text) => {
                say(reply, text);
                Next::Command
            }
        };
        if reply.get(before) == Some(&b'5') {
            self.errors += 1;
            if self.errors >= self.door.limits.errors && next != Next::Close {
                say(reply, "421 4.7.0 Too many errors, closing");
                return Next::Close;
            }
        }
        next
    }

    /// The mail in hand is done with: taken or refused.
    pub(super) fn end_transaction(&mut self, taken: bool) -> Envelope {
        let transaction = self.transaction.take().unwrap_or_default();
        if taken {
            self.errors = 0;
        }
        Envelope {
            peer: Some(self.peer),
            helo: self.helo.clone().unwrap_or_default(),
            mail_from: transaction.mail_from,
            rcpt_to: transaction.rcpt_to,
        }
    }

    /// A line as a request, or the reply to what is none.
    fn read<'l>(&self, line: &'l [u8]) -> Result<Request<Text<'l>>, &'static str> {
        if line.len() > self.door.limits.command_line {
            return Err("500 5.5.2 Line too long");
        }
        let Some(text) = line.strip_suffix(b"\r\n") else {
            return Err("500 5.5.2 Lines end in CR LF");
        };
        // The parser skips stray control characters; a log line or a later hop might not.
        if text.iter().any(u8::is_ascii_control) {
            return Err("500 5.5.2 Control characters are not allowed");
        }
        Request::parse(&mut line.iter()).map_err(|error| match error {
            Error::UnknownCommand => "500 5.5.1 Command not known",
            Error::InvalidSenderAddress => "501 5.1.7 The sender's address is not valid",
            Error::InvalidRecipientAddress => "501 5.1.3 The recipient's address is not valid",
            Error::InvalidParameter { .. } => "501 5.5.4 Parameter not valid",
            Error::UnsupportedParameter { .. } => UNSUPPORTED_PARAMETER,
            _ => "501 5.5.2 Syntax error",
        })
    }

    fn obey(&mut self, request: Request<Text<'_>>, reply: &mut Vec<u8>) -> Next {
        let text = match request {
            Request::Ehlo { host } => {
                self.greet(&host);
                let (hostname, size) = (&self.door.hostname, self.door.max_size);
                say(
                    reply,
                    &format!(
                        "250-{hostname}\r\n250-PIPELINING\r\n250-SIZE {size}\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES"
                    ),
                );
                return Next::Command;
            }
            Request::Helo { host } => {
                self.greet(&host);
                say(reply, &format!("250 {}", self.door.hostname));
                return Next::Command;
            }
            Request::Mail { from } => self.mail(&from),
            Request::Rcpt { to } => self.rcpt(to),
            Request::Data => match &self.transaction {
                Some(transaction) if !transaction.rcpt_to.is_empty() => {
                    say(reply, "354 Send the mail, end with a dot on a line of its own");
                    return Next::Data { declared: transaction.declared };
                }
                Some(_) => "554 5.5.1 No valid recipients",
                None => "503 5.5.1 MAIL first",
            },
            Request::Rset => {
                self.transaction = None;
                "250 2.0.0 Forgotten"
            }
            Request::Noop { .. } => "250 2.0.0 OK",
            Request::Vrfy { .. } => "252 2.5.0 Not verified, but mail to it may be taken",
            Request::Help { .. } => "214 2.0.0 See RFC 5321; this server takes alert mails",
            Request::Quit => {
                say(reply, "221 2.0.0 Bye");
                return Next::Close;
            }
            // Its chunk follows unasked. To read on would be to take a mail's content for commands.
            Request::Bdat { .. } => {
                say(reply, "502 5.5.1 BDAT not supported, closing");
                return Next::Close;
            }
            Request::StartTls => "502 5.5.1 STARTTLS not supported",
            Request::Auth { .. } => "502 5.5.1 AUTH not supported",
            _ => "502 5.5.1 Command not supported",
        };
        say(reply, text);
        Next::Command
    }

    /// EHLO and HELO also do what RSET does (RFC 5321, 4.1.4).
    fn greet(&mut self, host: &str) {
        self.helo = Some(host.to_owned());
        self.transaction = None;
    }

    fn mail(&mut self, from: &MailFrom<Text<'_>>) -> &'static str {
        if self.helo.is_none() {
            return "503 5.5.1 EHLO first";
        }
        if self.transaction.is_some() {
            return "503 5.5.1 A mail is under way already";
        }
        if !from.address.is_ascii() {
            return NOT_ASCII;
        }
        if from.size as u64 > self.door.max_size {
            return TOO_LARGE;
        }
        let (mail_from, declared) = (from.address.to_string(), from.size);
        let offered = MailFrom {
            address: from.address.clone(),
            size: declared,
            flags: from.flags & (MAIL_BODY_7BIT | MAIL_BODY_8BITMIME),
            ..MailFrom::default()
        };
        if *from != offered {
            return UNSUPPORTED_PARAMETER;
        }
        self.transaction = Some(Transaction { mail_from, rcpt_to: Vec::new(), declared });
        "250 2.1.0 Sender OK"
    }

    fn rcpt(&mut self, to: RcptTo<Text<'_>>) -> &'static str {
        let Some(transaction) = &mut self.transaction else {
            return "503 5.5.1 MAIL first";
        };
        if !to.address.is_ascii() {
            return NOT_ASCII;
        }
        if transaction.rcpt_to.len() >= self.door.limits.recipients {
            return "452 4.5.3 Too many recipients";
        }
        let refusal = match self.door.recipients.standing(&to.address) {
            Standing::Listed => {
                if to != (RcptTo { address: to.address.clone(), ..RcptTo::default() }) {
                    return UNSUPPORTED_PARAMETER;
                }
                transaction.rcpt_to.push(to.address.into_owned());
                return "250 2.1.5 Recipient OK";
            }
            Standing::Unknown => "550 5.1.1 No such mailbox here",
            Standing::Foreign => "550 5.7.1 Mail for this domain is not taken here",
        };
        tracing::info!(peer = %self.peer, recipient = %to.address, "recipient refused: not listed");
        refusal
    }
}

/// 552 both where the size is declared and where it turns out (RFC 1870).
pub(super) const TOO_LARGE: &str = "552 5.3.4 The mail is larger than is taken here";
const UNSUPPORTED_PARAMETER: &str = "555 5.5.4 Parameter not supported";
/// SMTPUTF8 is not offered (RFC 6531, 3.5).
const NOT_ASCII: &str = "553 5.6.7 Addresses must be ASCII";

/// Adds a reply and its line break.
pub(super) fn say(reply: &mut Vec<u8>, text: &str) {
    reply.extend_from_slice(text.as_bytes());
    reply.extend_from_slice(b"\r\n");
}
