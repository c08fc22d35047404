//! The commands of IMAP that a reader needs (RFC 3501 and 9051; 2177, 2971, 4315, 6851).

use std::collections::{BTreeMap, BTreeSet};

use async_imap::imap_proto::{MailboxDatum, Response, ResponseCode};
use bytes::Bytes;
use jiff::{Timestamp, civil};

use super::{
    Timeouts,
    dialogue::Dialogue,
    fault::Fault,
    fetched::Fetched,
    notation::{plainly_quoted, quoted, uid_set},
    plain::fetched,
};

mod idle;

pub(super) use self::idle::Woken;

/// The most bytes that are taken of a header if the mail itself is not.
pub(super) const HEADER_LIMIT: usize = 64 * 1024;
/// How much of a mail's Date is read, in bytes: a line of it has 998 at most (RFC 5322, 2.1.1).
const DATE_LIMIT: usize = 1_000;

/// A connection that is logged in.
pub(super) struct Session {
    dialogue: Dialogue,
    timeouts: Timeouts,
    pub(super) can: Abilities,
    /// The number of mails in the folder, by the latest announcement.
    pub(super) exists: Option<u32>,
}

/// The extensions of a server that matter here.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Abilities {
    pub(super) idle: bool,
    pub(super) moving: bool,
    pub(super) uidplus: bool,
    /// Whether the server wants the client to identify itself.
    id: bool,
    /// Whether the server speaks `IMAP4rev2` alone, so that folder names are UTF-8.
    utf8_names: bool,
}

/// A folder as it was when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) uid_validity: u32,
    /// The UID that the next mail will have.
    pub(super) uid_next: u32,
    /// Whether the server itself reported `uid_next`.
    pub(super) is_uid_next_told: bool,
    /// The number of mails in the folder.
    pub(super) exists: Option<u32>,
}

/// What is known about a mail before it is fetched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Listed {
    pub(super) uid: u32,
    pub(super) size: Option<u64>,
    /// INTERNALDATE, if it is valid.
    pub(super) arrived: Option<Timestamp>,
}

impl Listed {
    /// Returns a mail of which only the UID is known.
    pub(super) fn only(uid: u32) -> Self {
        Self {
            uid,
            size: None,
            arrived: None,
        }
    }
}

impl Session {
    /// Takes over a connection that is logged in, queries the server's capabilities, and identifies
    /// the client if the server wants it: `NetEase` (163.com, 126.com) opens no folder before that.
    pub(super) async fn begin(dialogue: Dialogue, timeouts: Timeouts) -> Result<Self, Fault> {
        let mut session = Self {
            dialogue,
            timeouts,
            can: Abilities::default(),
            exists: None,
        };

        session.command("CAPABILITY", "CAPABILITY").await?;
        session.can = Abilities::read(&session.dialogue.heard().abilities);
        if session.can.id {
            session.introduce().await?;
        }

        Ok(session)
    }

    /// Identifies the client. It does not matter whether the server honours that or refuses it.
    async fn introduce(&mut self) -> Result<(), Fault> {
        let who = format!(
            "ID (\"name\" \"alertbridge\" \"version\" {})",
            plainly_quoted(env!("CARGO_PKG_VERSION"))
        );
        match self.command("ID", &who).await {
            Err(Fault::Answer { .. }) => Ok(()),
            other => other,
        }
    }

    /// Opens a folder: with EXAMINE if nothing in it is to change, not even `\Recent`.
    pub(super) async fn open(&mut self, folder: &str, read_only: bool) -> Result<Folder, Fault> {
        match self.select(folder, read_only).await {
            // NetEase wants to know the client even if it does not list ID.
            Err(Fault::Folder { said, .. })
                if said.to_ascii_lowercase().contains("unsafe login") =>
            {
                self.introduce().await?;
                self.select(folder, read_only).await
            }
            other => other,
        }
    }

    async fn select(&mut self, folder: &str, read_only: bool) -> Result<Folder, Fault> {
        let verb = if read_only { "EXAMINE" } else { "SELECT" };
        let (mut uid_validity, mut uid_next, mut exists) = (None, None, None);
        self.dialogue.census().begin();
        let command = format!("{verb} {}", self.folder_name(folder));
        let asked = self.dialogue.exchange(verb, &command, 0, |answer| {
            let code = match answer {
                Response::MailboxData(MailboxDatum::Exists(count)) => {
                    // An unrelated announcement may give another number; with the larger one, less
                    // is requested at a time.
                    exists = exists.max(Some(*count));
                    return;
                }
                Response::Data { outcome, .. } => &outcome.code,
                _ => return,
            };
            match code {
                Some(ResponseCode::UidValidity(value)) => {
                    uid_validity = uid_validity.or(Some(*value));
                }
                Some(ResponseCode::UidNext(value)) => uid_next = uid_next.or(Some(*value)),
                _ => {}
            }
        });

        asked.await.map_err(|fault| match fault {
            Fault::Answer { said, .. } => Fault::Folder {
                folder: folder.to_owned(),
                said,
            },
            other => other,
        })?;

        let uid_validity =
            uid_validity.ok_or_else(|| Fault::Protocol("a folder without UIDVALIDITY".into()))?;
        self.exists = exists;
        let is_uid_next_told = uid_next.is_some();
        let uid_next = match uid_next {
            Some(value) => value,
            // UIDNEXT is optional before RFC 9051. `*` is the last mail.
            None => self
                .search("UID *", None)
                .await?
                .last()
                .map_or(1, |last| last.saturating_add(1)),
        };

        Ok(Folder {
            uid_validity,
            uid_next,
            is_uid_next_told,
            exists,
        })
    }

    /// Returns a folder's name in this server's notation.
    pub(super) fn folder_name(&self, folder: &str) -> String {
        if self.can.utf8_names {
            plainly_quoted(folder)
        } else {
            quoted(folder)
        }
    }

    /// Returns the UIDs of the mails that SEARCH finds by `keys`, and that arrived on `since` or
    /// later by the server's calendar.
    pub(super) async fn search(
        &mut self,
        keys: &str,
        since: Option<civil::Date>,
    ) -> Result<BTreeSet<u32>, Fault> {
        let since = since
            .map(|date| date.strftime(" SINCE %-d-%b-%Y").to_string())
            .unwrap_or_default();
        let mut found = BTreeSet::new();
        let command = format!("UID SEARCH {keys}{since}");
        let asked = self.dialogue.exchange("SEARCH", &command, 0, |answer| {
            if let Response::MailboxData(MailboxDatum::Search(uids)) = answer {
                found.extend(uids.iter().copied().filter(|uid| *uid > 0));
            }
        });

        asked.await?;

        Ok(found)
    }

    /// Returns the mails of this UID and above, and when they arrived, as FETCH shows them.
    pub(super) async fn present(
        &mut self,
        first: u32,
    ) -> Result<BTreeMap<u32, Option<Timestamp>>, Fault> {
        let mut present = BTreeMap::new();
        let command = format!("UID FETCH {first}:* (UID INTERNALDATE)");
        let asked = self.dialogue.exchange("FETCH UID", &command, 0, |answer| {
            if let Some(fetched) = fetched(answer)
                && let Some(uid) = fetched.uid.filter(|uid| *uid >= first)
            {
                present.insert(uid, fetched.arrived);
            }
        });
        asked.await?;

        Ok(present)
    }

    /// Returns the sizes and times of arrival of these mails, as far as the server reports them.
    pub(super) async fn list(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, Listed>, Fault> {
        let mut listed = BTreeMap::new();
        let command = format!("UID FETCH {} (UID RFC822.SIZE INTERNALDATE)", uid_set(uids));
        let asked = self.fetch("FETCH RFC822.SIZE", &command, 0, uids, |uid, fetched| {
            let mail = listed.entry(uid).or_insert(Listed::only(uid));
            mail.size = mail.size.or(fetched.size);
            mail.arrived = mail.arrived.or(fetched.arrived);
        });

        asked.await?;

        Ok(listed)
    }

    /// Returns the Date of each of these mails, as a header that holds nothing else.
    pub(super) async fn dates(&mut self, uids: &[u32]) -> Result<BTreeMap<u32, Bytes>, Fault> {
        let mut dates = BTreeMap::new();
        let command = format!(
            "UID FETCH {} (UID BODY.PEEK[HEADER.FIELDS (DATE)]<0.{DATE_LIMIT}>)",
            uid_set(uids)
        );
        let most = uids.len() as u64 * DATE_LIMIT as u64;
        let asked = self.fetch("FETCH DATE", &command, most, uids, |uid, fetched| {
            if let Some(header) = fetched.header {
                dates.insert(uid, header);
            }
        });

        asked.await?;

        Ok(dates)
    }

    /// Returns whole mails, with their sizes and times of arrival if `with_attributes` is set;
    /// `most` is the most bytes that are read. A mail with empty content counts as not returned.
    pub(super) async fn bodies(
        &mut self,
        uids: &[u32],
        most: u64,
        with_attributes: bool,
    ) -> Result<BTreeMap<u32, Fetched>, Fault> {
        let mut bodies = BTreeMap::new();
        let attributes = if with_attributes {
            " RFC822.SIZE INTERNALDATE"
        } else {
            ""
        };

        let command = format!("UID FETCH {} (UID{attributes} BODY.PEEK[])", uid_set(uids));
        let asked = self.fetch("FETCH", &command, most, uids, |uid, fetched| {
            if fetched.body.is_some() {
                bodies.insert(uid, fetched);
            }
        });

        asked.await?;

        Ok(bodies)
    }

    /// Returns the start of one mail's header; `None` if the server does not return it.
    pub(super) async fn header(&mut self, wanted: u32) -> Result<Option<Bytes>, Fault> {
        let (mut header, uids) = (None, [wanted]);
        let command = format!("UID FETCH {wanted} (UID BODY.PEEK[HEADER]<0.{HEADER_LIMIT}>)");
        let asked = self.fetch(
            "FETCH",
            &command,
            HEADER_LIMIT as u64,
            &uids,
            |_, fetched| {
                if let Some(data) = fetched.header.filter(|data| !data.is_empty()) {
                    header = Some(data.slice(..data.len().min(HEADER_LIMIT)));
                }
            },
        );

        asked.await?;

        Ok(header)
    }

    /// Returns whether a mail is longer than `limit`; `None` if the server does not say. The size
    /// that it announces is often an estimate, which is too little to give up an alert for.
    pub(super) async fn is_longer(&mut self, uid: u32, limit: u64) -> Result<Option<bool>, Fault> {
        let (mut longer, uids) = (None, [uid]);
        let command = format!("UID FETCH {uid} (UID BODY.PEEK[]<{limit}.1>)");
        let asked = self.fetch("FETCH", &command, 1, &uids, |_, fetched| {
            // A server that returns more than was requested has not understood.
            longer = fetched
                .part
                .filter(|part| part.len() <= 1)
                .map(|part| !part.is_empty());
        });

        asked.await?;

        Ok(longer)
    }

    /// Sends a FETCH for these mails. Data about others, and data without a UID, is skipped.
    async fn fetch(
        &mut self,
        verb: &'static str,
        command: &str,
        most: u64,
        uids: &[u32],
        mut each: impl FnMut(u32, Fetched) + Send,
    ) -> Result<(), Fault> {
        let asked = self.dialogue.exchange(verb, command, most, |answer| {
            let Some(fetched) = fetched(answer) else {
                return;
            };
            let is_mail = [&fetched.body, &fetched.header, &fetched.part]
                .iter()
                .any(|part| part.is_some())
                || fetched.size.is_some();
            // If a single mail was requested, data without a UID is about that mail; mere flags may
            // be another's.
            let only = if let [only] = uids {
                Some(*only).filter(|_| is_mail)
            } else {
                None
            };
            if let Some(uid) = fetched.uid.or(only)
                && uids.binary_search(&uid).is_ok()
            {
                each(uid, fetched);
            }
        });
        asked.await
    }

    /// Sends a command whose answer only says whether it worked.
    pub(super) async fn command(&mut self, verb: &'static str, command: &str) -> Result<(), Fault> {
        self.dialogue.exchange(verb, command, 0, |_| {}).await
    }

    /// Notes that the folder is looked at from now on.
    pub(super) fn look(&mut self) {
        self.dialogue.census().look();
    }

    /// Returns whether the server has announced mail since the latest look at the folder began.
    pub(super) fn has_grown(&mut self) -> bool {
        self.dialogue.census().has_grown()
    }

    /// Logs out, which is a courtesy: it does not matter whether the server receives it.
    pub(super) async fn log_out(mut self) {
        let _unheard =
            tokio::time::timeout(self.timeouts.logout, self.command("LOGOUT", "LOGOUT")).await;
    }
}

impl Abilities {
    fn read(all: &[String]) -> Self {
        let has = |name: &str| all.iter().any(|one| one == name);
        let rev2 = has("IMAP4REV2");
        Self {
            idle: has("IDLE") || rev2,
            moving: has("MOVE") || rev2,
            uidplus: has("UIDPLUS") || rev2,
            id: has("ID"),
            utf8_names: rev2 && !has("IMAP4REV1"),
        }
    }
}
