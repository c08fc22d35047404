//! Decides where a scan begins: behind the bookmark, or anew if the bookmark no longer means
//! anything.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

use super::Scan;
use crate::{ingress::imap::fault::Fault, message::Bookmark, telemetry};

/// The position to read from, and how old mail may be.
pub(super) struct Start {
    /// The last known UID.
    pub(super) after: u32,
    pub(super) age: Age,
}

/// How old a mail may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    Any,
    NotBefore(Timestamp),
    /// No mail that is there already.
    Coming,
}

impl Age {
    pub(super) fn not_before(self) -> Option<Timestamp> {
        match self {
            Self::NotBefore(limit) => Some(limit),
            Self::Any | Self::Coming => None,
        }
    }

    /// Returns the day for SEARCH SINCE.
    pub(super) fn since(self) -> Option<civil::Date> {
        self.not_before().map(calendar_day)
    }
}

impl Scan<'_> {
    pub(super) async fn start(&mut self, bookmark: Option<&Bookmark>) -> Result<Start, Fault> {
        let now = self.imap.clock.now();
        let ago = |span: SignedDuration| now.checked_sub(span).unwrap_or(Timestamp::MIN);
        let backfill = self.imap.settings.backfill.as_signed();
        let known = bookmark.and_then(|known| known.starts_at);
        // A mailbox that an earlier version began to read has been read up to now.
        let begun = match bookmark {
            Some(_) => now,
            None => ago(backfill),
        };
        // Servers report only the second in which a mail arrived.
        let begun = Timestamp::from_second(begun.as_second()).unwrap_or(begun);
        self.starts_at = Some(known.unwrap_or(begun));

        let max_age = Some(self.imap.max_age).filter(|age| !age.is_zero());
        let not_before = max_age.map(|age| ago(age.as_signed())).max(known);
        let anew = Start {
            after: 0,
            age: not_before.map_or(Age::Any, Age::NotBefore),
        };

        Ok(match bookmark {
            Some(known) if known.uid_validity == self.folder.uid_validity => {
                if self.was_put_back(known.last_uid).await? {
                    telemetry::mailbox_put_back(
                        &self.imap.settings.name,
                        known.last_uid,
                        self.folder.uid_next,
                    );
                    self.backlog.clear();
                    self.rewound = true;
                    self.is_anew = true;
                    anew
                } else {
                    if self.backlog.passed.was_moved_elsewhere(known.last_uid) {
                        self.backlog.were_read_elsewhere(known.last_uid);
                    }
                    self.backlog.adopt(&known.wanted);
                    Start {
                        after: known.last_uid,
                        age: Age::Any,
                    }
                }
            }
            Some(_) => {
                telemetry::mailbox_renumbered(&self.imap.settings.name, self.folder.uid_validity);
                self.backlog.clear();
                self.is_anew = true;
                anew
            }
            None if backfill.is_zero() => Start {
                after: 0,
                age: Age::Coming,
            },
            None => Start {
                after: 0,
                age: Age::NotBefore(begun),
            },
        })
    }

    /// Returns whether UIDs that were issued will be issued again, as after a restore from a backup
    /// that kept UIDVALIDITY: UIDNEXT is not above the last UID that was read, and no mail has that
    /// UID or a higher one.
    async fn was_put_back(&mut self, last_uid: u32) -> Result<bool, Fault> {
        if !self.folder.is_uid_next_told || self.folder.uid_next > last_uid {
            return Ok(false);
        }
        let above = self
            .session
            .search(&format!("UID {last_uid}:*"), None)
            .await?;
        Ok(above.last().is_none_or(|last| *last < last_uid))
    }
}

/// Returns the day for SEARCH SINCE. The server compares calendar days of its own time zone, which
/// may be one behind UTC's.
pub(super) fn calendar_day(limit: Timestamp) -> civil::Date {
    let day = limit.to_zoned(TimeZone::UTC).date();
    // IMAP can only write years of four digits.
    day.yesterday().unwrap_or(day).max(civil::date(1970, 1, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_searched_for_is_early_enough_for_every_time_zone() {
        let limit = "2026-03-01T00:30:00Z".parse().unwrap();
        assert_eq!(calendar_day(limit), civil::date(2026, 2, 28));
        assert_eq!(calendar_day(Timestamp::MIN), civil::date(1970, 1, 1));
    }
}
