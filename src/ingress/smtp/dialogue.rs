//! Decides the reply to each command (RFC 5321), without any I/O.
//!
//! The dialogue holds the transaction: MAIL opens it, RCPT and BDAT add to it, and its last byte,
//! RSET or a new greeting ends it.

use std::{borrow::Cow, fmt::Display, net::IpAddr};

use smtp_proto::{MAIL_BODY_7BIT, MAIL_BODY_8BITMIME, MAIL_SMTPUTF8, MailFrom, RcptTo, Request};
use tokio::time::Instant;

use super::{
    Door,
    chunk::{self, Announced, Chunks},
    command::{Command, UNSUPPORTED_PARAMETER, is_posted},
    content::Flaw,
    path,
    recipients::Standing,
};
use crate::{message::Envelope, telemetry};

type Text<'a> = Cow<'a, str>;

/// What happens after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Command,
    /// The message follows; the client declared a size of so many bytes, or 0 if it declared none.
    Data {
        declared: usize,
    },
    /// A chunk of the message follows, of which every byte is read. A refused chunk is discarded.
    Chunk {
        announced: Announced,
        declared: usize,
        refusal: Option<&'static str>,
    },
    /// TLS begins, and the conversation starts again.
    StartTls,
    Close,
}

/// One client's conversation.
pub(super) struct Dialogue<'a> {
    door: &'a Door,
    peer: IpAddr,
    /// Whether STARTTLS is offered: there is a certificate, and TLS has not begun.
    offers_tls: bool,
    helo: Option<String>,
    transaction: Option<Transaction>,
    /// The number of refused commands since the last accepted mail.
    errors: u32,
    /// The number of commands since then, except accepted chunks of a mail.
    commands: u32,
    /// Whether DATA was refused, so that the mail may follow anyway.
    awaits_stray_mail: bool,
    /// Whether a mail was refused, and only chunks have come since.
    mail_was_refused: bool,
}

#[derive(Default)]
struct Transaction {
    mail_from: String,
    rcpt_to: Vec<String>,
    declared: usize,
    /// Whether addresses may hold more than ASCII (RFC 6531).
    utf8: bool,
    /// The content that came by BDAT.
    chunks: Option<Chunks>,
}

impl<'a> Dialogue<'a> {
    /// Creates the dialogue with a client that has not introduced itself yet, `encrypted` or not.
    pub(super) fn new(door: &'a Door, peer: IpAddr, encrypted: bool) -> Self {
        let offers_tls = door.certificate.is_some() && !encrypted;
        Self {
            door,
            peer,
            offers_tls,
            helo: None,
            transaction: None,
            errors: 0,
            commands: 0,
            awaits_stray_mail: false,
            mail_was_refused: false,
        }
    }

    /// Returns whether a mail is in progress, which a stop lets finish.
    pub(super) fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Returns whether the next chunks are the rest of a refused mail.
    pub(super) fn mail_was_refused(&self) -> bool {
        self.mail_was_refused
    }

    /// Appends the reply to one line, which includes its line break, and returns what happens next.
    pub(super) fn answer(&mut self, line: &[u8], reply: &mut Vec<u8>) -> Next {
        let before = reply.len();
        let awaited_stray_mail = std::mem::take(&mut self.awaits_stray_mail);
        let next = match Command::read(&path::plain(line), self.door.limits.command_line) {
            // Content of unknown length follows: reading on would take a mail for commands.
            Err(text) if chunk::is_bdat(line) => {
                say(reply, text);
                return Next::Close;
            }
            Err(text) => {
                say(reply, text);
                Next::Command
            }
            Ok(Command::Bdat(announced)) => self.bdat(announced),
            Ok(Command::Other(request)) => self.obey(request, reply),
        };

        self.count(next, reply.get(before) == Some(&b'5'));

        let limits = &self.door.limits;
        let (reason, text) = match () {
            () if next == Next::Close => return next,
            // The author of the mail may have made its next lines look like commands.
            () if awaited_stray_mail && reply[before..].starts_with(b"500") => (
                "stray_mail",
                "421 4.7.0 This is a mail, not a command; closing",
            ),
            // A browser can be made to post a body with commands to any port.
            () if is_posted(line) => ("http", "421 4.7.0 This is not an HTTP server, closing"),
            () if self.errors >= limits.errors => {
                ("too_many_errors", "421 4.7.0 Too many errors, closing")
            }
            () if self.commands > limits.commands => {
                ("too_many_commands", "421 4.7.0 Too many commands, closing")
            }
            () => return next,
        };

        telemetry::connection_refused(&self.door.name, self.peer, reason);
        say(reply, text);

        Next::Close
    }

    /// Counts a refusal as an error, and anything but an accepted chunk as a command.
    fn count(&mut self, next: Next, is_refused: bool) {
        let (is_refused, is_progress) = match next {
            Next::Chunk {
                announced, refusal, ..
            } => (
                is_refused || refusal.is_some(),
                // A chunk is progress towards the mail, and its bytes are bounded.
                announced.size > 0 && refusal.is_none(),
            ),
            _ => (is_refused, false),
        };

        self.mail_was_refused &= matches!(next, Next::Chunk { .. });
        self.errors += u32::from(is_refused);
        self.commands += u32::from(!is_progress);
    }

    /// Returns the content that has come by BDAT for the present mail.
    pub(super) fn chunks(&mut self) -> Option<&mut Option<Chunks>> {
        self.transaction
            .as_mut()
            .map(|transaction| &mut transaction.chunks)
    }

    /// Ends the transaction of a mail that was accepted (`taken`) or refused, and returns its
    /// envelope.
    pub(super) fn end_transaction(&mut self, taken: bool) -> Envelope {
        let transaction = self.transaction.take().unwrap_or_default();
        self.mail_was_refused = !taken;
        if taken {
            (self.errors, self.commands) = (0, 0);
        }

        Envelope {
            peer: Some(self.peer),
            helo: self.helo.clone().unwrap_or_default(),
            mail_from: transaction.mail_from,
            rcpt_to: transaction.rcpt_to,
        }
    }

    fn obey(&mut self, request: Request<Text<'_>>, reply: &mut Vec<u8>) -> Next {
        let text = match request {
            Request::Ehlo { host } => {
                self.greet(&host);
                self.list_extensions(reply);
                return Next::Command;
            }
            Request::Helo { host } => {
                self.greet(&host);
                say(reply, &format!("250 {}", self.door.hostname));
                return Next::Command;
            }
            Request::Mail { from } => self.mail(&from),
            Request::Rcpt { to } => self.rcpt(to),
            Request::Data => {
                let refusal = match &self.transaction {
                    Some(Transaction {
                        chunks: Some(_), ..
                    }) => BEGUN_IN_CHUNKS,
                    Some(transaction) if !transaction.rcpt_to.is_empty() => {
                        say(
                            reply,
                            "354 Send the mail, end with a dot on a line of its own",
                        );
                        return Next::Data {
                            declared: transaction.declared,
                        };
                    }
                    Some(_) => NO_RECIPIENTS,
                    None => MAIL_FIRST,
                };
                self.awaits_stray_mail = true;
                refusal
            }
            Request::Rset => {
                self.transaction = None;
                "250 2.0.0 Forgotten"
            }
            Request::Noop { .. } => "250 2.0.0 OK",
            Request::Vrfy { .. } => "252 2.5.0 Not verified, but mail to it may be accepted",
            Request::Help { .. } => "214 2.0.0 See RFC 5321; this server accepts alert mails",
            Request::Quit => {
                say(reply, "221 2.0.0 Bye");
                return Next::Close;
            }
            Request::StartTls if self.offers_tls => {
                say(reply, "220 2.0.0 Begin TLS");
                return Next::StartTls;
            }
            Request::StartTls => "502 5.5.1 STARTTLS not offered",
            Request::Auth { .. } => "502 5.5.1 AUTH not supported",
            _ => "502 5.5.1 Command not supported",
        };

        say(reply, text);
        Next::Command
    }

    fn list_extensions(&self, reply: &mut Vec<u8>) {
        let (hostname, size) = (&self.door.hostname, self.door.max_size);
        say(
            reply,
            &format!("250-{hostname}\r\n250-PIPELINING\r\n250-SIZE {size}\r\n250-8BITMIME"),
        );

        if self.offers_tls {
            say(reply, "250-STARTTLS");
        }

        say(
            reply,
            "250-CHUNKING\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES",
        );
    }

    /// Answers BDAT. Its chunk is taken off the connection in any case, because pipelined chunks
    /// after a refused one are not commands (RFC 3030, 2).
    fn bdat(&self, announced: Announced) -> Next {
        let (declared, refusal) = match &self.transaction {
            None => (0, Some(MAIL_FIRST)),
            Some(transaction) if transaction.rcpt_to.is_empty() => (0, Some(NO_RECIPIENTS)),
            Some(transaction) => (transaction.declared, None),
        };

        Next::Chunk {
            announced,
            declared,
            refusal,
        }
    }

    /// Notes the client's name. EHLO and HELO also do what RSET does (RFC 5321, 4.1.4).
    fn greet(&mut self, host: &str) {
        self.helo = Some(host.to_owned());
        self.transaction = None;
    }

    fn mail(&mut self, from: &MailFrom<Text<'_>>) -> &'static str {
        if self.helo.is_none() {
            return "503 5.5.1 EHLO first";
        }

        if self.transaction.is_some() {
            return "503 5.5.1 A mail transaction is already in progress";
        }

        let utf8 = from.flags & MAIL_SMTPUTF8 != 0;
        if !utf8 && !from.address.is_ascii() {
            return NOT_ASCII;
        }

        if from.size as u64 > self.door.max_size {
            self.flawed(
                Flaw::TooLarge,
                &format_args!("{} bytes declared", from.size),
            );
            return TOO_LARGE;
        }

        let (mail_from, declared) = (from.address.to_string(), from.size);
        let offered = MailFrom {
            address: from.address.clone(),
            size: declared,
            flags: from.flags & (MAIL_BODY_7BIT | MAIL_BODY_8BITMIME | MAIL_SMTPUTF8),
            ..MailFrom::default()
        };

        if *from != offered {
            return UNSUPPORTED_PARAMETER;
        }

        if !self.door.limits.capacity.budget.has(declared as u64) {
            self.flawed(Flaw::NoRoom, &format_args!("{declared} bytes declared"));
            return NO_ROOM;
        }

        if !self.door.knows(self.peer) && !self.door.clients.may_send(self.peer, Instant::now()) {
            self.refused("rate", &"too many a minute");
            return "450 4.7.1 Too many mails from you, try again later";
        }

        self.transaction = Some(Transaction {
            mail_from,
            declared,
            utf8,
            ..Transaction::default()
        });

        "250 2.1.0 Sender OK"
    }

    fn rcpt(&mut self, to: RcptTo<Text<'_>>) -> &'static str {
        let Some(transaction) = &mut self.transaction else {
            return MAIL_FIRST;
        };
        if transaction.chunks.is_some() {
            return BEGUN_IN_CHUNKS;
        }

        if !transaction.utf8 && !to.address.is_ascii() {
            return NOT_ASCII;
        }

        if transaction.rcpt_to.len() >= self.door.limits.recipients {
            return "452 4.5.3 Too many recipients";
        }

        let refusal = match self.door.recipients.standing(&to.address) {
            Standing::Listed => {
                if to
                    != (RcptTo {
                        address: to.address.clone(),
                        ..RcptTo::default()
                    })
                {
                    return UNSUPPORTED_PARAMETER;
                }
                transaction.rcpt_to.push(to.address.into_owned());
                return "250 2.1.5 Recipient OK";
            }
            Standing::Unknown => "550 5.1.1 No such mailbox here",
            Standing::Foreign => "550 5.7.1 Mail for this domain is not accepted here",
        };

        self.refused("recipient", &to.address.escape_debug());

        refusal
    }

    /// Reports that a mail, or one of its recipients, was refused before its first byte.
    fn refused(&self, reason: &'static str, detail: &dyn Display) {
        telemetry::mail_refused(&self.door.name, Some(self.peer), reason, detail);
    }

    /// Reports that a mail was refused for its flaw. The operator is told of mail that a known
    /// client will not send again; that of strangers is only counted, since anybody may send it.
    pub(super) fn flawed(&self, flaw: Flaw, detail: &dyn Display) {
        self.refused(reason(flaw), detail);
        if let Some(why) = lasting(flaw).filter(|_| self.door.knows(self.peer)) {
            let Door {
                name,
                health,
                clock,
                ..
            } = self.door;
            health.refused(name, why, clock.now());
        }
    }
}

/// Returns the reply to a refused mail.
pub(super) fn refusal(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::TooLarge => TOO_LARGE,
        Flaw::BareLineBreak => "550 5.6.11 The mail has a CR or LF on its own",
        Flaw::NoRoom => NO_ROOM,
    }
}

/// Returns the reason for the refusal as the metrics name it.
fn reason(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::TooLarge => "too_large",
        Flaw::BareLineBreak => "bare_line_break",
        Flaw::NoRoom => "no_room",
    }
}

/// Returns what to change so that such a mail is taken; `None` if the client sends it again.
fn lasting(flaw: Flaw) -> Option<&'static str> {
    match flaw {
        Flaw::TooLarge => Some(
            "it is larger than the ingress's max_message_size: raise that, or have the sender \
             leave out attachments",
        ),
        Flaw::BareLineBreak => Some(
            "it has a CR or LF on its own, which RFC 5321 forbids: have the client end lines with \
             CRLF",
        ),
        Flaw::NoRoom => None,
    }
}

/// The reply is 552 both if the declared size is too large and if the mail turns out to be (RFC
/// 1870).
pub(super) const TOO_LARGE: &str = "552 5.3.4 The mail is larger than the limit";
const NO_ROOM: &str = "452 4.3.1 Too many large mails at a time, try again later";
const MAIL_FIRST: &str = "503 5.5.1 MAIL first";
const NO_RECIPIENTS: &str = "554 5.5.1 No valid recipients";
/// DATA and BDAT must not be mixed in one mail (RFC 3030, 2).
const BEGUN_IN_CHUNKS: &str = "503 5.5.1 The mail has begun with BDAT";
/// The client must request SMTPUTF8 with MAIL (RFC 6531, 3.5).
const NOT_ASCII: &str = "553 5.6.7 Addresses must be ASCII without SMTPUTF8";

/// Appends a reply and its line break.
pub(super) fn say(reply: &mut Vec<u8>, text: &str) {
    reply.extend_from_slice(text.as_bytes());
    reply.extend_from_slice(b"\r\n");
}
