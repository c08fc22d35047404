//! Schedules new mail: mail is read in batches and decided in order, and undecided mail that is not
//! in hand is read back from the store.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    Pipeline, Reading, Rules,
    apart::apart,
    case::decide_catching_panics,
    order::{Read, by_incident},
};
use crate::{
    crash,
    message::MailId,
    store::{StoreError, StoredMail},
    telemetry,
};

/// The number of mails read together. It bounds how long the first waits for the last.
const BATCH: usize = 64;
/// The number of batches that are read ahead; they are decided together.
const READ_AHEAD: usize = 4;
/// The number of mails read back from the store at a time; the store bounds their bytes.
const CATCH_UP: u32 = 256;
/// How often the store is queried for undecided mail that was not announced here: that of a replica
/// that died.
const LOOK_EVERY: Duration = Duration::from_secs(2);

impl Pipeline {
    /// Decides mail until `stop`; the rest is decided at the next start.
    ///
    /// The next mails are read while the last are decided.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let (read, to_decide) = mpsc::channel(READ_AHEAD);
        tokio::join!(
            self.read_in_hand(read, &stop),
            self.decide_all(to_decide, &stop)
        );
    }

    /// Reads the mail in hand, in order, until `stop`, and then what is left of it.
    async fn read_in_hand(&self, read: mpsc::Sender<Read>, stop: &CancellationToken) {
        loop {
            let batch = match stop.run_until_cancelled(self.in_hand.next(BATCH)).await {
                Some(batch) => batch,
                None => self.in_hand.rest(BATCH),
            };
            if batch.is_empty() {
                return;
            }
            let batch = self.read(batch).await.unwrap_or_else(|error| {
                telemetry::store_failed("mail could not be read: it will be tried again", &error);
                self.in_hand.behind.notify_one();
                Vec::new()
            });
            let _ = read.send(batch).await;
        }
    }

    async fn decide_all(&self, mut read: mpsc::Receiver<Read>, stop: &CancellationToken) {
        self.in_hand.behind.notify_one();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);

        let mut batches = Vec::with_capacity(READ_AHEAD);
        while !stop.is_cancelled() {
            let caught_up = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                // Mail in hand is in the store as well and is read from there in its turn.
                () = self.in_hand.behind.notified() => self.catch_up(MailId::MAX, stop).await,
                // A steady stream of mail must not delay older mail that is not in hand.
                _ = look.tick() => self.catch_up(self.in_hand.oldest(), stop).await,
                _ = read.recv_many(&mut batches, READ_AHEAD) => {
                    self.decide(batches.drain(..).flatten().collect()).await
                }
            };
            if let Err(error) = caught_up {
                telemetry::store_failed(
                    "mail could not be decided: it will be tried again",
                    &error,
                );
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    () = stop.cancelled() => {}
                }
                // Start again from the oldest: mail in hand must not overtake mail that failed.
                self.in_hand.behind.notify_one();
            }
        }

        // Decide the mail in hand now rather than at the next start, unless it would overtake mail
        // that failed or was left to the store.
        if self.in_hand.behind.notified().now_or_never().is_some() {
            return;
        }

        while read.recv_many(&mut batches, READ_AHEAD).await > 0 {
            if let Err(error) = self.decide(batches.drain(..).flatten().collect()).await {
                telemetry::store_failed("mail is left undecided until the next start", &error);
                break;
            }
        }
    }

    /// Decides undecided mail in the store, oldest first, up to but not including `before`.
    ///
    /// While mail is being recorded here, a mail may appear with a lower number than those already
    /// decided. Its sender may be acknowledged before a later one is sent, so the store is queried
    /// again first.
    pub(super) async fn catch_up(
        &self,
        before: MailId,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let (mut after, mut seen) = (0, None);
        while !stop.is_cancelled() {
            let all_turned_up = seen.filter(|(_, begun)| self.in_hand.have_ended(*begun));
            let mut batch = self.store.undecided(after, CATCH_UP).await?;
            let begun = self.in_hand.begun();
            // The query claims these mails for this replica. Those from `before` on that are not in
            // hand either must be decided next.
            if batch
                .iter()
                .any(|mail| mail.id >= before && !self.in_hand.holds(mail.id))
            {
                self.in_hand.behind.notify_one();
            }
            batch.retain(|mail| mail.id < before);
            let Some(last) = batch.last().map(|mail| mail.id) else {
                return Ok(());
            };
            self.decide(self.read(batch).await?).await?;
            if let Some((up_to, _)) = all_turned_up {
                (after, seen) = (last.min(up_to), None);
            }
            seen = seen.or(Some((last, begun)));
        }

        // Mail in hand must not overtake the rest.
        self.in_hand.behind.notify_one();
        Ok(())
    }

    /// Reads mails, together with other replicas' undecided mails about the same incidents.
    ///
    /// Mails that a person released before these arrived are decided first.
    async fn read(&self, batch: Vec<StoredMail>) -> Result<Read, StoreError> {
        let last = batch.iter().map(|mail| mail.id).max().unwrap_or_default();
        let (read, ahead, let_out) = tokio::try_join!(
            self.read_apart(batch),
            self.store.ahead(last),
            self.store.let_out(CATCH_UP)
        )?;

        if !let_out.is_empty() {
            self.look_at_let_out(let_out).await;
        }

        self.with_those_ahead(read, ahead).await
    }

    /// Reads mails on a thread of its own: a parser at work on hostile mail must not delay the
    /// sockets.
    pub(super) async fn read_apart(&self, batch: Vec<StoredMail>) -> Result<Read, StoreError> {
        let (in_force, clock) = (self.in_force(), self.clock.clone());
        let read_one = move |mail: StoredMail| {
            let begun = clock.now();
            let reading = in_force.rules.read_catching_panics(&mail);
            let (profile, found) = (reading.profile.as_deref(), reading.findings.len());
            telemetry::mail_read(&mail, profile, found, begun, clock.now());
            (reading, mail)
        };

        let read = apart(move || batch.into_iter().map(read_one).collect());

        read.await
            .map_err(|error| StoreError::Failed(format!("reading mail failed: {error}")))
    }

    /// Decides mails that are in order. Mails about different incidents share a commit.
    async fn decide(&self, batch: Read) -> Result<(), StoreError> {
        crash::point("deciding");
        self.in_hand.leave(batch.iter().map(|(_, mail)| mail.id));
        by_incident(batch, |(reading, mail)| {
            decide_catching_panics(reading, mail, |reading, mail| self.conclude(reading, mail))
        })
        .await
    }
}

impl Rules {
    /// Reads a mail like [`Rules::read`]. If a parser panics, the mail becomes an alert that could
    /// not be read, and somebody is notified.
    pub fn read_catching_panics(&self, mail: &StoredMail) -> Reading {
        catch_unwind(AssertUnwindSafe(|| self.read(mail))).unwrap_or_else(|_| {
            Reading::unreadable(
                &mail.message,
                "this program has a fault: reading the mail panicked",
            )
        })
    }
}
