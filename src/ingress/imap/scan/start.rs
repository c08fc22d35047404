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
    /// Returns where to begin in a mailbox that has a bookmark.
    pub(super) async fn start(&mut self, known: &Bookmark) -> Result<Start, Fault> {
        // A mailbox that an earlier version began to read has been read up to now.
        let began = known
            .starts_at
            .unwrap_or_else(|| self.ago(SignedDuration::ZERO));
        self.starts_at = Some(began);
        let anew = self.anew(known.starts_at);

        if known.uid_validity != self.folder.uid_validity {
            telemetry::mailbox_renumbered(&self.imap.settings.name, self.folder.uid_validity);
            self.backlog.clear();
            self.is_anew = true;
            return Ok(anew);
        }

        if self.was_put_back(known.last_uid).await? || self.has_another_mail(known).await? {
            telemetry::mailbox_put_back(
                &self.imap.settings.name,
                known.last_uid,
                self.folder.uid_next,
            );
            self.backlog.clear();
            self.rewound = true;
            self.is_anew = true;
            return Ok(anew);
        }

        if self.backlog.passed.was_moved_elsewhere(known.last_uid) {
            self.backlog.were_read_elsewhere(known.last_uid);
        }
        self.backlog.adopt(&known.wanted);
        Ok(Start {
            after: known.last_uid,
            age: Age::Any,
        })
    }

    /// Returns where to begin in a mailbox without a bookmark. If the ingress has read another one
    /// under its name, this one is looked through as that one would be if it were renumbered.
    pub(super) async fn first_start(&mut self) -> Result<Start, Fault> {
        let Some(former) = self.former().await? else {
            return Ok(self.very_first_start());
        };

        telemetry::mailbox_moved(&self.imap.settings.name);
        let backfill = self.imap.settings.backfill.as_signed();
        let earliest = self.ago(backfill);
        let began = former.starts_at.unwrap_or(earliest);
        self.is_anew = true;
        // A `backfill` that was set together with the move may reach further back.
        self.starts_at = Some(if backfill.is_zero() {
            began
        } else {
            began.min(earliest)
        });
        let anew = self.anew(former.starts_at);
        Ok(match anew.age {
            Age::NotBefore(limit) if !backfill.is_zero() => Start {
                age: Age::NotBefore(limit.min(earliest)),
                ..anew
            },
            _ => anew,
        })
    }

    /// Returns where to begin in a mailbox that was never read: at what comes from now on or, if it
    /// could not be looked at when it was first to be read, at what has arrived since then.
    fn very_first_start(&mut self) -> Start {
        let ingress = &self.imap.settings.name;
        let backfill = self.imap.settings.backfill.as_signed();
        // The UIDs that were announced at a look that failed are more exact than a time.
        let is_announced = self.backlog.passed.first_announced().is_some();
        let late = self.unread_since.filter(|_| !is_announced);

        let from = late.unwrap_or_else(|| self.imap.clock.now());
        let earliest = whole_seconds(from.checked_sub(backfill).unwrap_or(Timestamp::MIN));
        self.starts_at = Some(earliest);

        if late.is_some() {
            telemetry::mailbox_begun_late(ingress, self.folder.exists, earliest);
        } else {
            telemetry::mailbox_begun(ingress, self.folder.exists, backfill.is_zero());
        }
        Start {
            after: 0,
            age: if late.is_none() && backfill.is_zero() {
                Age::Coming
            } else {
                Age::NotBefore(earliest)
            },
        }
    }

    /// Returns where to begin if UIDs are issued anew: as far back as `max_age`, and not before the
    /// time at which the mailbox was first read.
    fn anew(&self, began: Option<Timestamp>) -> Start {
        let max_age = Some(self.imap.max_age).filter(|age| !age.is_zero());
        let not_before = max_age.map(|age| self.ago(age.as_signed())).max(began);
        Start {
            after: 0,
            age: not_before.map_or(Age::Any, Age::NotBefore),
        }
    }

    /// Returns the time this long ago.
    fn ago(&self, span: SignedDuration) -> Timestamp {
        let then = self.imap.clock.now().checked_sub(span);
        whole_seconds(then.unwrap_or(Timestamp::MIN))
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

/// Returns the second in which this time is: servers report no more of a mail's arrival.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
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
