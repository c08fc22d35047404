//! Mail that is kept whole only for a while. It notifies nobody, or anybody may have sent it, so it
//! must not fill the disk. Its header, hash and outcome are kept as long as those of any mail.
//!
//! Proven mail that says nothing new is such mail, too: whoever has one signed mail can send it
//! again for ever, each time with other bytes that no signature covers.

use jiff::Timestamp;

use super::READ_BACK;
use crate::message::{Authenticity, MailId, Outcome};

/// The number of mails examined in one step.
pub(crate) const STEP: u32 = 200;

/// A kind of mail that is eventually cut to its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spare {
    /// Mail that is not an alert.
    Ignored,
    /// Mail without proof of its sender, quarantined or not.
    Unproven,
    /// Proven mail that says nothing new: duplicates, and mail that comes too late.
    Repeated,
    /// Proven mail in the quarantine.
    Quarantined,
}

impl Spare {
    pub const ALL: [Self; 4] = [
        Self::Ignored,
        Self::Unproven,
        Self::Repeated,
        Self::Quarantined,
    ];

    /// Returns the kind of a mail by its outcome, or `None` if it is kept whole. The indexes of
    /// both databases encode the same rule.
    pub fn of(outcome: Outcome, authenticity: &Authenticity) -> Option<Self> {
        match outcome {
            Outcome::Pending => None,
            Outcome::Ignored => Some(Self::Ignored),
            _ if authenticity.is_unproven() => Some(Self::Unproven),
            Outcome::Duplicate | Outcome::Stale | Outcome::Expired => Some(Self::Repeated),
            Outcome::Quarantined => Some(Self::Quarantined),
            Outcome::Opened
            | Outcome::Reopened
            | Outcome::Resolved
            | Outcome::Updated
            | Outcome::Changed
            | Outcome::Unparsed
            | Outcome::Silenced => None,
        }
    }

    /// Returns the name of the kind in metrics and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Unproven => "unproven",
            Self::Repeated => "repeated",
            Self::Quarantined => "quarantined",
        }
    }

    /// Returns the text that is added to the reason of a mail that is cut.
    pub(super) fn why_cut(self) -> &'static str {
        match self {
            Self::Ignored => "only its header is still kept (store.ignored_mail)",
            Self::Unproven => {
                "only its header is kept, because unproven mail took more than \
                 store.quarantine.max_size"
            }
            Self::Repeated => {
                "only its header is kept, because repeated mail took more than \
                 store.ignored_mail.max_size"
            }
            Self::Quarantined => {
                "only its header is kept, because proven mail in the quarantine took more than \
                 store.quarantine.max_size"
            }
        }
    }
}

/// A measure of how much of a kind is too much. Its oldest mails are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// Mails that arrived earlier are cut.
    pub before: Option<Timestamp>,
    /// The number of bytes to cut, at least.
    pub bytes: u64,
}

/// The result of one step of cutting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    pub mails: u64,
    /// The size of the mails before they were cut.
    pub bytes: u64,
    /// Whether there may be more to cut.
    pub more: bool,
}

/// Chooses the mails to cut among the oldest, given in order as number, size and arrival; the
/// second value says whether there may be more.
pub(super) fn chosen(oldest: &[(MailId, u64, Timestamp)], excess: Excess) -> (Vec<MailId>, bool) {
    let (mut chosen, mut bytes) = (Vec::new(), 0);
    for (id, size, arrived_at) in oldest {
        let too_old = excess.before.is_some_and(|before| *arrived_at < before);
        if !too_old && bytes >= excess.bytes {
            return (chosen, false);
        }
        if bytes >= READ_BACK {
            return (chosen, true);
        }
        bytes += size;
        chosen.push(*id);
    }

    (chosen, oldest.len() >= STEP as usize)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::message::Verdict;

    #[test]
    fn the_oldest_are_cut_until_no_more_is_too_much() {
        let at = |minutes| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let oldest = [(1, 10, at(1)), (2, 10, at(2)), (3, 10, at(3))];
        let of = |before, bytes| chosen(&oldest, Excess { before, bytes });
        assert_eq!(of(None, 0), (vec![], false));
        assert_eq!(of(None, 1), (vec![1], false));
        assert_eq!(of(None, 11), (vec![1, 2], false));
        assert_eq!(of(Some(at(3)), 0), (vec![1, 2], false));
        assert_eq!(of(Some(at(2)), 25), (vec![1, 2, 3], false));
        let large = [(1, READ_BACK, at(1)), (2, 1, at(1))];
        assert_eq!(
            chosen(
                &large,
                Excess {
                    before: None,
                    bytes: u64::MAX
                }
            ),
            (vec![1], true)
        );
    }

    #[test]
    fn the_verdict_stands_where_the_indexes_look_for_it() {
        for verdict in [
            Verdict::Pass,
            Verdict::Fail,
            Verdict::None,
            Verdict::TempError,
            Verdict::Off,
        ] {
            let judged = Authenticity::unproven(verdict, "x");
            let kept = serde_json::to_string(&judged).unwrap();
            assert_eq!(
                ["fail", "none", "temp"].contains(&&kept[12..16]),
                judged.is_unproven(),
                "{kept}"
            );
        }
    }
}
