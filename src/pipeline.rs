//! The straight line: a mail is accepted (stored), then decided.
//!
//! The sender is acknowledged after [`Pipeline::accept`]. Deciding follows at once; whatever is cut
//! short in between is picked up from the store, which alone remembers what is undecided.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt as _, future::join_all};
use tokio::{
    sync::{mpsc, oneshot, watch::Receiver},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use crate::{
    authenticate::Authenticator,
    clock::Clock,
    crash,
    deliver::{Deliverer, Slot},
    ingress::{Inbox, Refused},
    message::{Bookmark, MailId, Message},
    store::{Decide, Decision, Intake, Memory, Room, StoreError, StoredMail, Unsilenced},
    telemetry,
};

mod again;
mod ahead;
mod alert;
mod change;
mod conclude;
mod follow;
mod in_hand;
mod order;
mod reading;
mod reason;
mod rules;
pub mod standing;
mod tell;
#[cfg(test)]
mod tests;
mod unsilence;

use ahead::Ahead;
use in_hand::InHand;
use order::by_incident;
pub use order::in_order;
pub use reading::{Finding, Reading};
pub use rules::Rules;

/// Mails read together: bounds how long the first waits for the last.
const BATCH: usize = 64;
/// Batches read ahead; they are decided together.
const READ_AHEAD: usize = 4;
/// Mails read back from the store at a time; the store bounds their bytes.
const CATCH_UP: u32 = 256;
/// How often the store is asked for undecided mail that nobody told of: another replica's that
/// died.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the configuration says of mail: how it is judged, read and decided. Replaced as a whole by
/// a reload.
pub struct InForce {
    pub authenticator: Authenticator,
    pub rules: Arc<Rules>,
}

/// Accepts and decides mail.
pub struct Pipeline {
    store: Arc<dyn Intake>,
    in_force: Receiver<Arc<InForce>>,
    clock: Clock,
    in_hand: InHand,
    ahead: Ahead,
    deliverer: Arc<Deliverer>,
}

/// Mails, and what they say.
type Read = Vec<(Reading, StoredMail)>;

impl Pipeline {
    pub fn new(
        store: Arc<dyn Intake>,
        in_force: Receiver<Arc<InForce>>,
        clock: Clock,
        deliverer: Arc<Deliverer>,
    ) -> Self {
        Self {
            store,
            in_force,
            clock,
            in_hand: InHand::default(),
            ahead: Ahead::default(),
            deliverer,
        }
    }

    /// Read once for each thing that is judged, read or decided: all of it goes by the same.
    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.borrow())
    }

    /// While the disk is nearly full, what is left of it is kept for alerts: mail that is no
    /// sender's is refused, or, of a mailbox, where nobody would hear it and what stands behind
    /// must not wait, taken by its header alone.
    fn with_room_for_alerts(
        &self,
        mails: Vec<Message>,
        of_mailbox: bool,
    ) -> Result<Vec<Message>, Refused> {
        if !self.store.room().is_some_and(Room::is_for_alerts_alone) {
            return Ok(mails);
        }
        let rules = Arc::clone(&self.in_force().rules);
        let spare = |mail: &Message| rules.is_another_senders(&mail.raw);
        if of_mailbox {
            return Ok(mails
                .into_iter()
                .map(|mail| if spare(&mail) { mail.cut() } else { mail })
                .collect());
        }
        if mails.iter().any(spare) {
            Err(Refused::NoRoom)
        } else {
            Ok(mails)
        }
    }

    /// Decides mail until `stop`; what is left then is decided at the next start. The next mails
    /// are read while the last are decided.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let (read, to_decide) = mpsc::channel(READ_AHEAD);
        tokio::join!(
            self.read_in_hand(read, &stop),
            self.decide_all(to_decide, &stop)
        );
    }

    /// Reads what is in hand, in order, until `stop` and to its end.
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
                // What is in hand is in the store as well, and is read from there in its turn.
                () = self.in_hand.behind.notified() => self.catch_up(MailId::MAX, stop).await,
                // What comes without a pause must not keep waiting what is older and not in hand.
                _ = look.tick() => self.catch_up(self.in_hand.oldest(), stop).await,
                _ = read.recv_many(&mut batches, READ_AHEAD) => self.decide(batches.drain(..).flatten().collect()).await,
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
                // From the oldest on: what is in hand must not overtake what failed.
                self.in_hand.behind.notify_one();
            }
        }
        // What is in hand is decided now rather than at the next start, unless it would overtake
        // what failed, or is left to the store.
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

    /// Decides what the store holds undecided, oldest first, up to but not including `before`.
    ///
    /// While mail is recorded here, one may turn up whose number is lower than what was decided. It
    /// may be acknowledged before what comes next is sent, so it is asked for again first.
    async fn catch_up(&self, before: MailId, stop: &CancellationToken) -> Result<(), StoreError> {
        let (mut after, mut seen) = (0, None);
        while !stop.is_cancelled() {
            let all_turned_up = seen.filter(|(_, begun)| self.in_hand.have_ended(*begun));
            let mut batch = self.store.undecided(after, CATCH_UP).await?;
            let begun = self.in_hand.begun();
            // Asked for, they are this replica's: those after `before` that are not in hand either
            // come next.
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
        // What is in hand must not overtake what is left.
        self.in_hand.behind.notify_one();
        Ok(())
    }

    /// Reads mails, and with them what other replicas have yet to decide of the same incidents. What
    /// a person let out of the quarantine before they came acts before them.
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

    /// On a thread of its own: a parser at work on hostile mail must not keep the sockets waiting.
    async fn read_apart(&self, batch: Vec<StoredMail>) -> Result<Read, StoreError> {
        let in_force = self.in_force();
        let read = tokio::task::spawn_blocking(move || {
            batch
                .into_iter()
                .map(|mail| (in_force.rules.read_whatever_it_is(&mail), mail))
                .collect()
        });
        read.await
            .map_err(|error| StoreError::Failed(format!("reading mail failed: {error}")))
    }

    /// Decides mails that are in order; those about different incidents share a commit.
    async fn decide(&self, batch: Read) -> Result<(), StoreError> {
        self.in_hand.leave(batch.iter().map(|(_, mail)| mail.id));
        by_incident(batch, |(reading, mail)| self.decide_one(reading, mail)).await
    }

    /// Where concluding panics the mail becomes an alert that could not be read: somebody is told,
    /// and no other waits.
    async fn decide_one(&self, reading: Reading, mail: StoredMail) -> Result<(), StoreError> {
        match self.conclude(reading, mail.clone()).await {
            Err(StoreError::Panicked) => {
                let fault = "this program has a fault: deciding the mail panicked";
                self.conclude(Reading::unreadable(&mail.message, fault), mail)
                    .await
            }
            result => result,
        }
    }

    /// A page that a silence held until now is told before the mail is decided.
    async fn conclude(&self, reading: Reading, mail: StoredMail) -> Result<(), StoreError> {
        let (reading, mail) = (Arc::new(reading), Arc::new(mail));
        while let Some(silenced) = self.conclude_unless_silenced(&reading, &mail).await? {
            self.unsilence(&silenced).await?;
        }
        Ok(())
    }

    /// Leaves the mail undecided where a silence held a page of its incident until now, and returns
    /// that incident.
    async fn conclude_unless_silenced(
        &self,
        reading: &Arc<Reading>,
        mail: &Arc<StoredMail>,
    ) -> Result<Option<Unsilenced>, StoreError> {
        let now = self.clock.now();
        // Those of now, not of when it was read: what they owe is to be owed to receivers that are
        // there.
        let rules = Arc::clone(&self.in_force().rules);
        let subject = rules.subject(reading, mail, now);
        let (slots, conclude) = self.reserving({
            let (rules, reading, mail) =
                (Arc::clone(&rules), Arc::clone(reading), Arc::clone(mail));
            move |memory| rules.conclude(&reading, &mail, memory, now)
        });
        let decided = self.store.decide(mail.id, subject, now, conclude).await?;
        let Some(decision) = decided else {
            return Ok(None);
        };
        if decision.waits_for_silenced() {
            let subject = rules.subject(reading, mail, now);
            return Ok(subject.as_ref().map(Unsilenced::of));
        }
        crash::point("decided");
        let Message {
            ingress,
            arrived_at,
            ..
        } = &mail.message;
        telemetry::mail_decided(mail.id, ingress, *arrived_at, &decision, &reading.drift());
        if let Some(first) = &decision.late {
            telemetry::mail_late(mail.id, ingress, first, now);
        }
        self.deliverer.begin(decision, slots.taken());
        Ok(None)
    }

    /// The same conclusion, with room taken for what can be sent at once.
    fn reserving(
        &self,
        conclude: impl FnOnce(&Memory) -> Decision + Send + 'static,
    ) -> (Slots, Decide) {
        let deliverer = Arc::clone(&self.deliverer);
        let (take, slots) = oneshot::channel();
        let conclude = move |memory: &Memory| {
            let mut decision = conclude(memory);
            // Where the one who asked has gone, the room is given back.
            let _ = take.send(deliverer.reserve(&mut decision.deliveries));
            decision
        };
        (Slots(slots), Box::new(conclude))
    }
}

/// Room that was taken while a mail was decided, in the store's transaction.
struct Slots(oneshot::Receiver<Vec<Slot>>);

impl Slots {
    fn taken(mut self) -> Vec<Slot> {
        self.0.try_recv().unwrap_or_default()
    }
}

impl Rules {
    /// As [`Rules::read`]; where a parser panics the mail becomes an alert that could not be read,
    /// and somebody is told.
    pub fn read_whatever_it_is(&self, mail: &StoredMail) -> Reading {
        catch_unwind(AssertUnwindSafe(|| self.read(&mail.message))).unwrap_or_else(|_| {
            Reading::unreadable(
                &mail.message,
                "this program has a fault: reading the mail panicked",
            )
        })
    }
}

#[async_trait]
impl Inbox for Pipeline {
    async fn accept(
        &self,
        mails: Vec<Message>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, Refused> {
        let mails = self.with_room_for_alerts(mails, bookmark.is_some())?;
        // Authenticity is judged here and stored with the mail: keys rotate, and a replay must not
        // ask DNS again. All at once, so that a batch takes no longer than its slowest mail, which
        // is bounded.
        let in_force = self.in_force();
        let judged = join_all(mails.iter().map(|mail| in_force.authenticator.judge(mail))).await;
        let mails: Vec<_> = mails.into_iter().zip(judged).collect();
        for (mail, authenticity) in &mails {
            telemetry::mail_judged(&mail.ingress, authenticity);
        }
        let recording = self.in_hand.begin();
        let ids = self
            .store
            .record(mails.clone(), bookmark)
            .await
            .map_err(|error| {
                telemetry::store_failed("mail was refused", &error);
                Refused::Failed(error.to_string())
            })?;
        crash::point("recorded");
        let stored = ids
            .iter()
            .zip(mails)
            .map(|(id, (message, authenticity))| StoredMail {
                id: *id,
                message,
                authenticity,
                checks: 0,
                released: None,
            });
        recording.take(stored.collect()).await;
        Ok(ids)
    }

    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, Refused> {
        self.store
            .bookmark(mailbox)
            .await
            .map_err(|error| Refused::Failed(error.to_string()))
    }
}
