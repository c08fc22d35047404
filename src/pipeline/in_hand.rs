//! Mail in hand: recorded by this process and not decided yet, in the order of recording.
//!
//! Many recordings share a commit, and their waiters are woken in no particular order. A mail's
//! number says which came first. A mail is therefore read, and its sender acknowledged, only when
//! no concurrent recording can still appear with a lower number. Mail in hand is in the store as
//! well, so nothing depends on this copy.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout},
};

use crate::{message::MailId, store::StoredMail};

/// The limits, in mails and in bytes, on what is held in memory between the two commits.
///
/// Further mails are read back from the store.
const MOST_MAILS: usize = 1024;
const MOST_BYTES: usize = 8 << 20;
/// The number of undecided mails above which acknowledgements are delayed, so that senders do not
/// outrun the bridge, and the longest such delay.
const BACKPRESSURE_AT: usize = 32;
const MAX_ACK_DELAY: Duration = Duration::from_millis(250);
/// The longest time to wait for a recording.
///
/// After that, only mails in flight at the same time can change places. A commit takes some
/// milliseconds, unless the store hangs.
const MAX_WAIT: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct InHand {
    state: Mutex<State>,
    /// Notified when mail may have become ready to be read.
    ready: Notify,
    /// Notified when there was too much to hold: the store has undecided mail that is not in hand.
    pub(super) behind: Notify,
}

#[derive(Default)]
struct State {
    /// The undecided mails and their sizes in bytes.
    undecided: BTreeMap<MailId, usize>,
    bytes: usize,
    /// The unread mails, each with the number of the last recording begun when it was taken in
    /// hand.
    ///
    /// A mail is ready once no recording with that number or a lower one is in progress.
    unread: BTreeMap<MailId, (StoredMail, u64)>,
    /// The senders that are not acknowledged yet, keyed by the last of their mails. They become
    /// ready as mails do.
    unacknowledged: BTreeMap<MailId, (oneshot::Sender<()>, u64)>,
    /// The time at which each recording in progress began, by its number.
    recordings: BTreeMap<u64, Instant>,
    last_recording: u64,
}

/// A recording in progress.
pub(super) struct Recording<'a> {
    in_hand: &'a InHand,
    number: u64,
}

impl InHand {
    /// Begins a recording. Mail that is recorded concurrently waits for its end.
    pub(super) fn begin(&self) -> Recording<'_> {
        let mut state = self.lock();
        state.last_recording += 1;
        let number = state.last_recording;
        state.recordings.insert(number, Instant::now());
        Recording {
            in_hand: self,
            number,
        }
    }

    /// Waits until mail is ready to be read and returns up to `most` mails.
    pub(super) async fn next(&self, most: usize) -> Vec<StoredMail> {
        loop {
            let ready = self.ready.notified();
            let wait = {
                let mut state = self.lock();
                let batch = state.read(most);
                if !batch.is_empty() {
                    return batch;
                }
                state.patience()
            };
            match wait {
                Some(wait) => drop(timeout(wait, ready).await),
                None => ready.await,
            }
        }
    }

    /// Returns up to `most` of the remaining mails at shutdown, without waiting for recordings.
    pub(super) fn rest(&self, most: usize) -> Vec<StoredMail> {
        let mut state = self.lock();
        state.recordings.clear();
        state.read(most)
    }

    /// Removes mails from this set because they are being decided, or are known to be decided.
    pub(super) fn leave(&self, mails: impl Iterator<Item = MailId>) {
        let mut state = self.lock();
        for mail in mails {
            if let Some(size) = state.undecided.remove(&mail) {
                state.bytes -= size;
            }
            state.unread.remove(&mail);
        }
        state.acknowledge();
    }

    /// Returns the lowest number in hand; `MailId::MAX` if there is none.
    pub(super) fn oldest(&self) -> MailId {
        self.lock()
            .undecided
            .keys()
            .next()
            .copied()
            .unwrap_or(MailId::MAX)
    }

    pub(super) fn holds(&self, mail: MailId) -> bool {
        self.lock().undecided.contains_key(&mail)
    }

    /// Returns the number of the last recording that was begun.
    pub(super) fn begun(&self) -> u64 {
        self.lock().last_recording
    }

    /// Returns whether this recording and all earlier ones have ended.
    pub(super) fn have_ended(&self, recording: u64) -> bool {
        let state = self.lock();
        let first = state.recordings.keys().next();
        first.is_none_or(|first| *first > recording)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recording<'_> {
    /// Takes the recorded mails in hand, as far as there is room, and waits for the sender's turn
    /// to be acknowledged.
    ///
    /// That turn comes after the senders whose mails were recorded earlier, and a little later
    /// while mail arrives faster than it is decided.
    pub(super) async fn take(self, mails: Vec<StoredMail>) {
        let Some(last) = mails.last().map(|mail| mail.id) else {
            return;
        };
        let (turn, its_turn) = oneshot::channel();
        let all_taken = {
            let mut state = self.in_hand.lock();
            let after = state.last_recording;
            state.unacknowledged.insert(last, (turn, after));
            mails.into_iter().all(|mail| state.take(mail, after))
        };

        if !all_taken {
            self.in_hand.behind.notify_one();
        }

        // Ending this recording lets the others proceed.
        drop(self);

        let _ = timeout(MAX_ACK_DELAY, its_turn).await;
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        let mut state = self.in_hand.lock();
        state.recordings.remove(&self.number);
        state.acknowledge();
        drop(state);
        self.in_hand.ready.notify_one();
    }
}

impl State {
    /// Adds a mail; returns `false` if there are too many mails or bytes already.
    fn take(&mut self, mail: StoredMail, after: u64) -> bool {
        let size = mail.message.raw.len();
        if self.bytes + size > MOST_BYTES || self.unread.len() >= MOST_MAILS {
            return false;
        }
        self.bytes += size;
        self.undecided.insert(mail.id, size);
        self.unread.insert(mail.id, (mail, after));
        true
    }

    /// Takes the first mails that are ready. When a mail is ready, all mails before it are.
    fn read(&mut self, most: usize) -> Vec<StoredMail> {
        let under_way = self.under_way();
        let last = self
            .unread
            .iter()
            .rev()
            .find(|(_, (_, after))| *after < under_way)
            .map(|(id, _)| *id);

        let mut batch = Vec::new();

        while batch.len() < most
            && let Some(first) = self.unread.first_entry()
            && last.is_some_and(|last| *first.key() <= last)
        {
            batch.push(first.remove().0);
        }

        batch
    }

    /// Acknowledges the senders whose turn it is, in order.
    fn acknowledge(&mut self) {
        if self.undecided.len() > BACKPRESSURE_AT {
            return;
        }

        let under_way = self.under_way();
        let last = self
            .unacknowledged
            .iter()
            .rev()
            .find(|(_, (_, after))| *after < under_way)
            .map(|(id, _)| *id);

        while let Some(first) = self.unacknowledged.first_entry()
            && last.is_some_and(|last| *first.key() <= last)
        {
            // The sender may have disconnected.
            let _ = first.remove().0.send(());
        }
    }

    /// Returns the first recording in progress that is still worth waiting for; `u64::MAX` if there
    /// is none.
    fn under_way(&self) -> u64 {
        let now = Instant::now();
        let mut recordings = self.recordings.iter();
        recordings
            .find(|(_, begun)| now - **begun < MAX_WAIT)
            .map_or(u64::MAX, |(number, _)| *number)
    }

    /// Returns how long mail that waits for a recording has to wait at most.
    fn patience(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut left = self
            .recordings
            .values()
            .filter_map(|begun| MAX_WAIT.checked_sub(now - *begun));
        left.next()
            .filter(|_| !self.unread.is_empty())
            .map(|left| left + Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;
    use crate::message::{Authenticity, Message};

    fn mail(id: MailId, size: usize) -> StoredMail {
        let (raw, arrived_at) = (vec![0; size].into(), jiff::Timestamp::UNIX_EPOCH);
        let message = Message {
            ingress: "test".into(),
            arrived_at,
            raw,
            cut_from: None,
            withheld: None,
            envelope: None,
        };
        StoredMail {
            id,
            message,
            authenticity: Authenticity::off(),
            checks: 0,
            released: None,
            decided_at: None,
            cut_at: None,
        }
    }

    fn numbers(mails: &[StoredMail]) -> Vec<MailId> {
        mails.iter().map(|mail| mail.id).collect()
    }

    #[tokio::test]
    async fn a_mail_waits_for_what_was_being_recorded_beside_it() {
        let in_hand = InHand::default();
        let (first, second) = (in_hand.begin(), in_hand.begin());
        let mut second = Box::pin(second.take(vec![mail(2, 1)]));
        let mut next = Box::pin(in_hand.next(10));
        assert!(poll!(&mut second).is_pending(), "its sender waits as well");
        assert!(poll!(&mut next).is_pending());
        // This recording began later, so its mail may be numbered after the others.
        let third = in_hand.begin();
        first.take(vec![mail(1, 1)]).await;
        assert_eq!(numbers(&next.await), [1, 2]);
        second.await;
        drop(third);
    }

    #[tokio::test]
    async fn a_store_that_hangs_over_one_mail_does_not_hold_up_the_others() {
        let in_hand = InHand::default();
        let (hangs, begun) = (in_hand.begin(), Instant::now());
        let taken = in_hand.begin().take(vec![mail(2, 1)]);
        let ((), read) = tokio::join!(taken, in_hand.next(10));
        assert_eq!(numbers(&read), [2]);
        assert!(begun.elapsed() >= MAX_WAIT, "it waits a little");
        drop(hangs);
    }

    #[tokio::test]
    async fn what_finds_no_room_is_left_to_the_store_and_so_is_what_follows_it() {
        let in_hand = InHand::default();
        in_hand
            .begin()
            .take(vec![mail(1, MOST_BYTES), mail(2, 1), mail(3, 1)])
            .await;
        assert_eq!(numbers(&in_hand.next(10).await), [1]);
        in_hand.behind.notified().await;
        assert_eq!(in_hand.oldest(), 1);
        in_hand.leave([1].into_iter());
        assert_eq!(in_hand.oldest(), MailId::MAX);
    }

    #[tokio::test]
    async fn senders_are_acknowledged_later_while_too_much_waits_to_be_decided() {
        let in_hand = InHand::default();
        let many = i64::try_from(BACKPRESSURE_AT).unwrap() + 1;
        let begun = Instant::now();
        in_hand
            .begin()
            .take((1..=many).map(|id| mail(id, 1)).collect())
            .await;
        assert!(begun.elapsed() >= MAX_ACK_DELAY, "nothing is decided");
        let mut taken = Box::pin(in_hand.begin().take(vec![mail(many + 1, 1)]));
        assert!(poll!(&mut taken).is_pending());
        in_hand.leave(1..=many);
        assert!(poll!(&mut taken).is_ready());
    }
}
