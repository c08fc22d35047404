//! Quotas for mail that is kept for a limited time only.
//!
//! The store is counted now and then. Between two counts, what was kept is counted here, so that
//! nothing exceeds its quota.

use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::Pipeline;
use crate::{
    message::{Authenticity, Message, Verdict},
    store::{Decision, Spare, StoredMail, most_notable},
    telemetry,
};

/// The longest time that unproven mail waits for room. After that it is taken all the same, since
/// it may be an alert.
const MOST_PATIENCE: Duration = Duration::from_secs(2);

/// The minimum slack in bytes.
///
/// Between two counts of the store, a quarter of the quota may arrive in addition, and at least
/// this much, so that the oldest mail is cut and not the newest.
const LEAST_SLACK: u64 = 4 << 20;

/// The bytes that may still be stored whole, for each kind of mail that is kept for a limited time
/// only.
#[derive(Debug)]
pub struct Quota {
    ignored: AtomicI64,
    unproven: AtomicI64,
    repeated: AtomicI64,
    quarantined: AtomicI64,
    counted: Notify,
    wanted: Notify,
}

impl Default for Quota {
    /// Returns a quota without limits, because nothing has been counted yet.
    fn default() -> Self {
        Self {
            ignored: AtomicI64::new(i64::MAX),
            unproven: AtomicI64::new(i64::MAX),
            repeated: AtomicI64::new(i64::MAX),
            quarantined: AtomicI64::new(i64::MAX),
            counted: Notify::new(),
            wanted: Notify::new(),
        }
    }
}

impl Quota {
    /// Records that the store was counted, and cut where it held too much.
    pub fn count(&self, spare: Spare, allowed: u64, kept: u64) {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let slack = if allowed == 0 {
            0
        } else {
            LEAST_SLACK.max(allowed / 4)
        };
        let left = signed(allowed.saturating_add(slack)) - signed(kept);
        self.left(spare).store(left, Relaxed);
        self.counted.notify_waiters();
    }

    /// Waits until there is too much of any kind.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    fn left(&self, spare: Spare) -> &AtomicI64 {
        match spare {
            Spare::Ignored => &self.ignored,
            Spare::Unproven => &self.unproven,
            Spare::Repeated => &self.repeated,
            Spare::Quarantined => &self.quarantined,
        }
    }

    fn is_used_up(&self, spare: Spare) -> bool {
        self.left(spare).load(Relaxed) < 0
    }

    /// Counts a decided mail against the quota of its present kind.
    ///
    /// Proven mail never waits for room, so room is requested at once.
    pub(super) fn keep(&self, mail: &StoredMail, decisions: &[Decision]) {
        if mail.message.cut_from.is_some() {
            return;
        }

        let Some(spare) = Spare::of(most_notable(decisions), &mail.authenticity) else {
            return;
        };

        let bytes = i64::try_from(mail.message.raw.len()).unwrap_or(i64::MAX);
        self.left(spare).fetch_sub(bytes, Relaxed);
        if self.is_used_up(spare) {
            self.wanted.notify_one();
        }
    }

    /// Waits until there is room for unproven mail, for at most `patience`.
    async fn room(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            let counted = self.counted.notified();
            if !self.is_used_up(Spare::Unproven) {
                return;
            }
            self.wanted.notify_one();
            if timeout_at(deadline, counted).await.is_err() {
                return;
            }
        }
    }
}

impl Pipeline {
    /// Enforces the quotas while too much is kept of what strangers send.
    ///
    /// Mail that is certainly no alert is cut to its header unless its sender is proven, and
    /// whoever sends unproven mail is acknowledged later.
    pub(super) async fn within_quota(
        &self,
        mails: Vec<(Message, Authenticity)>,
        of_mailbox: bool,
    ) -> Vec<(Message, Authenticity)> {
        let (no_room, late) = (
            self.quota.is_used_up(Spare::Ignored),
            self.quota.is_used_up(Spare::Unproven),
        );
        if !no_room && !late {
            return mails;
        }

        let in_force = self.in_force();
        let rules = &in_force.rules;
        let mut waits = false;
        let kept = mails.into_iter().map(|(mail, authenticity)| {
            if authenticity.verdict == Verdict::Pass {
                return (mail, authenticity);
            }
            if rules.is_another_senders(&mail.raw) {
                return (if no_room { cut(mail) } else { mail }, authenticity);
            }
            waits |= late && !of_mailbox && authenticity.is_unproven();
            (mail, authenticity)
        });
        let kept = kept.collect();

        if waits {
            self.quota.room(MOST_PATIENCE).await;
        }
        kept
    }
}

fn cut(mail: Message) -> Message {
    telemetry::mail_cut(Spare::Ignored);
    mail.to_be_cut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{label::Labels, message::Outcome};

    fn mail(verdict: Verdict, bytes: usize) -> StoredMail {
        StoredMail {
            id: 1,
            message: Message {
                ingress: "hook".into(),
                arrived_at: jiff::Timestamp::UNIX_EPOCH,
                raw: vec![b'x'; bytes].into(),
                cut_from: None,
                withheld: None,
                envelope: None,
            },
            authenticity: Authenticity::unproven(verdict, "test"),
            checks: 0,
            released: None,
            decided_at: None,
            cut_at: None,
        }
    }

    #[tokio::test]
    async fn what_was_kept_since_the_last_count_counts_as_what_it_is() {
        let quota = Quota::default();
        let keep = |verdict, outcome| {
            let decision = Decision::nothing(outcome, "", Labels::new());
            quota.keep(&mail(verdict, 60), &[decision]);
        };
        let beyond = 100 + LEAST_SLACK;
        let used_up = || {
            (
                quota.is_used_up(Spare::Ignored),
                quota.is_used_up(Spare::Unproven),
            )
        };

        keep(Verdict::Fail, Outcome::Ignored);
        assert_eq!(used_up(), (false, false), "nothing is counted yet");
        quota.count(Spare::Ignored, 100, LEAST_SLACK);
        quota.count(Spare::Unproven, 100, LEAST_SLACK);
        for verdict in [Verdict::Pass, Verdict::Off] {
            keep(verdict, Outcome::Opened);
        }
        keep(Verdict::Pass, Outcome::Ignored);
        keep(Verdict::Fail, Outcome::Quarantined);
        assert_eq!(used_up(), (false, false));
        keep(Verdict::None, Outcome::Opened);
        assert_eq!(used_up(), (false, true));
        keep(Verdict::Off, Outcome::Ignored);
        assert_eq!(used_up(), (true, true));

        // The mail may be an alert and does not wait for ever.
        quota.room(Duration::ZERO).await;
        let count = async {
            quota.wanted().await;
            quota.count(Spare::Unproven, 100, beyond);
        };
        tokio::join!(quota.room(Duration::from_mins(1)), count);
        assert_eq!(used_up(), (true, false));
        quota.count(Spare::Ignored, 100, 0);
        assert_eq!(used_up(), (false, false));
        quota.count(Spare::Ignored, 0, 1);
        assert_eq!(used_up(), (true, false), "none where none is allowed");
    }
}
