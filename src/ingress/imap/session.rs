//! The commands of IMAP that a reader needs (RFC 3501, 2177, 4315, 6851).
//!
//! The library's own commands take a NO, and the end of the connection, for an empty answer. So each goes through
//! [`Session::exchange`], which is Ok on a tagged OK alone, reads no more than was asked for, and waits no longer than
//! the answer can take.

use std::collections::{BTreeMap, BTreeSet};

use async_imap::imap_proto::{
    AttributeValue, Capability, MailboxDatum, MessageSection, RequestId, Response, ResponseCode, SectionPath, Status,
};
use bytes::Bytes;
use jiff::{Timestamp, civil};
use tokio::time::{Duration, Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{
    Timeouts,
    fault::{Fault, words},
    notation::{internal_date, quoted, uid_set},
    server::Wire,
};

/// What a server may send beyond the mails asked for: flags, other clients' changes, the longest SEARCH.
const CHATTER: u64 = 1024 * 1024;
/// The slowest server worth waiting for, in bytes a second.
const SLOWEST: u64 = 16 * 1024;
/// How much of a header is taken where the mail itself is not.
pub(super) const HEADER_LIMIT: usize = 64 * 1024;

/// A connection that is logged in.
pub(super) struct Session {
    inner: async_imap::Session<Wire>,
    timeouts: Timeouts,
    pub(super) can: Abilities,
}

/// The extensions that matter here.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Abilities {
    pub(super) idle: bool,
    pub(super) moving: bool,
    pub(super) uidplus: bool,
}

/// A folder as it was when it was opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folder {
    pub(super) uid_validity: u32,
    /// The UID the next mail will have.
    pub(super) uid_next: u32,
}

/// What is asked of a mail before it is fetched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Listed {
    pub(super) uid: u32,
    pub(super) size: u64,
    /// INTERNALDATE, where it is one.
    pub(super) arrived: Option<Timestamp>,
}

/// What ended an IDLE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    Mail,
    Time,
    Stop,
}

impl Session {
    /// Takes over a connection that is logged in, and asks what its server can do.
    pub(super) async fn begin(inner: async_imap::Session<Wire>, timeouts: Timeouts) -> Result<Self, Fault> {
        let mut session = Self { inner, timeouts, can: Abilities::default() };
        let mut can = Abilities::default();
        session
            .exchange("CAPABILITY", "CAPABILITY", 0, |response| {
                if let Response::Capabilities(all) = response {
                    let has = |name: &str| {
                        all.iter().any(|one| matches!(one, Capability::Atom(atom) if atom.eq_ignore_ascii_case(name)))
                    };
                    can = Abilities { idle: has("IDLE"), moving: has("MOVE"), uidplus: has("UIDPLUS") };
                }
            })
            .await?;
        session.can = can;
        Ok(session)
    }

    /// Opens a folder: with EXAMINE where nothing in it is to change, not even `\Recent`.
    pub(super) async fn open(&mut self, folder: &str, read_only: bool) -> Result<Folder, Fault> {
        let verb = if read_only { "EXAMINE" } else { "SELECT" };
        let (mut uid_validity, mut uid_next) = (None, None);
        self.exchange(verb, &format!("{verb} {}", quoted(folder)), 0, |response| {
            if let Response::Data { outcome, .. } = response {
                match outcome.code {
                    Some(ResponseCode::UidValidity(value)) => uid_validity = Some(value),
                    Some(ResponseCode::UidNext(value)) => uid_next = Some(value),
                    _ => {}
                }
            }
        })
        .await
        .map_err(|fault| match fault {
            Fault::Answer { said, .. } => Fault::Folder { folder: folder.to_owned(), said },
            other => other,
        })?;
        let uid_validity = uid_validity.ok_or_else(|| Fault::Protocol("a folder without UIDVALIDITY".into()))?;
        let uid_next = match uid_next {
            Some(value) => value,
            // Optional before RFC 9051. `*` is the last mail.
            None => self.search("*", None).await?.last().map_or(1, |last| last.saturating_add(1)),
        };
        Ok(Folder { uid_validity, uid_next })
    }

    /// The UIDs within `range`, of mails that came on `since` or later by the server's calendar.
    pub(super) async fn search(&mut self, range: &str, since: Option<civil::Date>) -> Result<BTreeSet<u32>, Fault> {
        let since = since.map(|date| date.strftime(" SINCE %-d-%b-%Y").to_string()).unwrap_or_default();
        let mut found = BTreeSet::new();
        self.exchange("SEARCH", &format!("UID SEARCH UID {range}{since}"), 0, |response| {
            if let Response::MailboxData(MailboxDatum::Search(uids)) = response {
                found.extend(uids);
            }
        })
        .await?;
        Ok(found)
    }

    /// Sizes and times of arrival, in order of UID. Mails that have gone are left out.
    pub(super) async fn list(&mut self, uids: &[u32]) -> Result<Vec<Listed>, Fault> {
        let mut listed = BTreeMap::new();
        let command = format!("UID FETCH {} (UID RFC822.SIZE INTERNALDATE)", uid_set(uids));
        self.exchange("FETCH", &command, 0, |response| {
            let Some((uid, attributes)) = fetched(response) else { return };
            let size = attributes.iter().find_map(|one| match one {
                AttributeValue::Rfc822Size(size) => Some(u64::from(*size)),
                _ => None,
            });
            let arrived = attributes.iter().find_map(|one| match one {
                AttributeValue::InternalDate(date) => internal_date(date),
                _ => None,
            });
            if let Some(size) = size
                && uids.binary_search(&uid).is_ok()
            {
                listed.insert(uid, Listed { uid, size, arrived });
            }
        })
        .await?;
        Ok(listed.into_values().collect())
    }

    /// Whole mails; `expected` is their size together, and about twice that is the most that is read.
    pub(super) async fn bodies(&mut self, uids: &[u32], expected: u64) -> Result<BTreeMap<u32, Bytes>, Fault> {
        let mut bodies = BTreeMap::new();
        let command = format!("UID FETCH {} (UID BODY.PEEK[])", uid_set(uids));
        self.exchange("FETCH", &command, expected, |response| {
            if let Some((uid, attributes)) = fetched(response)
                && uids.binary_search(&uid).is_ok()
            {
                for one in attributes {
                    if let AttributeValue::BodySection { section: None, data: Some(data), .. } = one {
                        bodies.insert(uid, Bytes::copy_from_slice(data));
                    }
                }
            }
        })
        .await?;
        Ok(bodies)
    }

    /// The start of one mail's header; none where the mail has gone.
    pub(super) async fn header(&mut self, wanted: u32) -> Result<Option<Bytes>, Fault> {
        let mut header = None;
        let command = format!("UID FETCH {wanted} (UID BODY.PEEK[HEADER]<0.{HEADER_LIMIT}>)");
        self.exchange("FETCH", &command, HEADER_LIMIT as u64, |response| {
            if let Some((uid, attributes)) = fetched(response)
                && uid == wanted
            {
                for one in attributes {
                    if let AttributeValue::BodySection {
                        section: Some(SectionPath::Full(MessageSection::Header)),
                        data: Some(data),
                        ..
                    } = one
                    {
                        header = Some(Bytes::copy_from_slice(&data[..data.len().min(HEADER_LIMIT)]));
                    }
                }
            }
        })
        .await?;
        Ok(header)
    }

    /// A command whose answer is only whether it worked.
    pub(super) async fn command(&mut self, verb: &'static str, command: &str) -> Result<(), Fault> {
        self.exchange(verb, command, 0, |_| {}).await
    }

    /// Waits with IDLE until mail comes, the time is over, or `stop`. The time is absolute: a server's keep-alives
    /// prove that it lives, not that it still tells us of mail.
    pub(super) async fn idle(&mut self, patience: Duration, stop: &CancellationToken) -> Result<Woken, Fault> {
        self.inner.get_mut().allow(CHATTER);
        let tag = self.send("IDLE", "IDLE").await?;
        let (mut accepted, mut woken) = (false, None);
        while !accepted {
            self.next("IDLE", |response| match response {
                Response::Continue(_) => {
                    accepted = true;
                    Ok(())
                }
                Response::Done { tag: theirs, outcome, .. } if *theirs == tag => Err(Fault::answer("IDLE", outcome)),
                other => wakes(other).map(|new| woken = woken.or(new)),
            })
            .await??;
        }
        let until = Instant::now() + patience;
        let woken = loop {
            if let Some(woken) = woken {
                break woken;
            }
            tokio::select! {
                () = stop.cancelled() => break Woken::Stop,
                response = timeout_at(until, self.inner.read_response()) => match response {
                    Ok(Ok(Some(response))) => woken = wakes(response.parsed())?,
                    Ok(Ok(None)) => return Err(Fault::Closed { said: None }),
                    Ok(Err(error)) => return Err(Fault::io(&error)),
                    Err(_) => break Woken::Time,
                },
            }
        };
        let patience = self.timeouts.command;
        let done = async {
            self.inner.run_command_untagged("DONE").await.map_err(|error| Fault::library("DONE", &error))?;
            self.finish("IDLE", &tag, |_| {}).await
        };
        timeout(patience, done).await.map_err(|_| Fault::Silent { command: "DONE" })??;
        Ok(woken)
    }

    /// Says good-bye, which is a courtesy: whether the server hears it does not matter.
    pub(super) async fn log_out(mut self) {
        let _unheard = timeout(self.timeouts.logout, self.command("LOGOUT", "LOGOUT")).await;
    }

    /// Sends a command, shows every answer before the tagged one to `each`, and is Ok on a tagged OK alone.
    async fn exchange(
        &mut self,
        verb: &'static str,
        command: &str,
        expected: u64,
        each: impl FnMut(&Response<'_>) + Send,
    ) -> Result<(), Fault> {
        self.inner.get_mut().allow(CHATTER + 2 * expected);
        let patience = self.timeouts.command + Duration::from_secs(expected / SLOWEST);
        let answered = async {
            let tag = self.send(verb, command).await?;
            self.finish(verb, &tag, each).await
        };
        timeout(patience, answered).await.map_err(|_| Fault::Silent { command: verb })?
    }

    async fn send(&mut self, verb: &'static str, command: &str) -> Result<RequestId, Fault> {
        let sent = timeout(self.timeouts.command, self.inner.run_command(command)).await;
        sent.map_err(|_| Fault::Silent { command: verb })?.map_err(|error| Fault::library(verb, &error))
    }

    async fn finish(
        &mut self,
        verb: &'static str,
        tag: &RequestId,
        mut each: impl FnMut(&Response<'_>) + Send,
    ) -> Result<(), Fault> {
        let mut farewell = None;
        loop {
            let answer = self.next(verb, |response| match response {
                Response::Done { tag: theirs, status: Status::Ok, .. } if theirs == tag => Some(Ok(())),
                Response::Done { tag: theirs, outcome, .. } if theirs == tag => Some(Err(Fault::answer(verb, outcome))),
                Response::Data { status: Status::Bye, outcome } => {
                    farewell = Some(words(outcome.information.as_deref()));
                    None
                }
                other => {
                    each(other);
                    None
                }
            });
            match answer.await {
                Ok(Some(done)) => return done,
                Ok(None) => {}
                Err(Fault::Closed { said: None }) => return Err(Fault::Closed { said: farewell }),
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Shows the next answer to `read`. A server that sends nothing at all for a command's time is dead; one that
    /// sends is only slow.
    async fn next<R>(&mut self, verb: &'static str, read: impl FnOnce(&Response<'_>) -> R) -> Result<R, Fault> {
        loop {
            let before = self.inner.get_ref().received();
            if let Ok(response) = timeout(self.timeouts.command, self.inner.read_response()).await {
                let response = response.map_err(|error| Fault::io(&error))?;
                return response.map(|response| read(response.parsed())).ok_or(Fault::Closed { said: None });
            }
            if self.inner.get_ref().received() == before {
                return Err(Fault::Silent { command: verb });
            }
        }
    }
}

/// Whether what a server says during IDLE means new mail.
fn wakes(response: &Response<'_>) -> Result<Option<Woken>, Fault> {
    match response {
        Response::MailboxData(MailboxDatum::Exists(_) | MailboxDatum::Recent(_)) => Ok(Some(Woken::Mail)),
        Response::Data { status: Status::Bye, outcome } => {
            Err(Fault::Closed { said: Some(words(outcome.information.as_deref())) })
        }
        _ => Ok(None),
    }
}

/// A FETCH's UID and attributes. Without a UID it is another client's change of flags.
fn fetched<'a, 'b>(response: &'a Response<'b>) -> Option<(u32, &'a [AttributeValue<'b>])> {
    let Response::Fetch(_, attributes) = response else { return None };
    let uid = attributes.iter().find_map(|one| if let AttributeValue::Uid(uid) = one { Some(*uid) } else { None })?;
    Some((uid, attributes))
}
