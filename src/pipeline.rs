//! The straight line: a mail is accepted (stored), then decided.
//!
//! The sender is acknowledged after [`Pipeline::accept`]. Deciding follows at once; whatever is cut short in between is
//! picked up from the store, which alone remembers what is undecided.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch::Receiver},
    time::{MissedTickBehavior, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    authenticate::Authenticator,
    clock::Clock,
    crash,
    deliver::{Deliverer, Slot},
    ingress::{Inbox, Refused},
    message::{Bookmark, MailId, Message},
    store::{Decide, Decision, Memory, Room, Store, StoreError, StoredMail},
    telemetry,
};

mod again;
mod follow;
mod order;
mod rules;
pub mod standing;

pub use order::in_order;
pub use rules::{Finding, Reading, Rules};

/// Mails read together: bounds how long the first waits for the last.
const BATCH: usize = 64;
/// Batches read ahead; they are decided together.
const READ_AHEAD: usize = 4;
/// Mails held in memory between their two commits, and their bytes; what is over is read back from the store.
const IN_HAND: usize = 1024;
const BYTES_IN_HAND: usize = 8 << 20;
/// Mails that wait to be decided above which senders are acknowledged later, so that they do not outrun it; and how much
/// later at most.
const CROWD: usize = 32;
const KEEP_PACE: Duration = Duration::from_millis(250);
/// Mails read back from the store at a time; the store bounds their bytes.
const CATCH_UP: u32 = 256;
/// How often the store is asked for undecided mail that nobody told of: another replica's that died.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the configuration says of mail: how it is judged, read and decided. Replaced as a whole by a reload.
pub struct InForce {
    pub authenticator: Authenticator,
    pub rules: Arc<Rules>,
}

/// Accepts and decides mail.
pub struct Pipeline {
    store: Arc<dyn Store>,
    in_force: Receiver<Arc<InForce>>,
    clock: Clock,
    fresh: mpsc::Sender<StoredMail>,
    in_hand: Mutex<InHand>,
    /// Rung when the store has undecided mail that is not in hand.
    behind: Notify,
    /// Rung when mail has been decided.
    decided: Notify,
    deliverer: Arc<Deliverer>,
}

/// What is in hand.
#[derive(Default)]
struct InHand {
    /// Bounds the memory it takes.
    bytes: usize,
    /// Not decided yet.
    mails: BTreeSet<MailId>,
}

impl InHand {
    /// False where there is too much already.
    fn take(&mut self, mail: MailId, size: usize) -> bool {
        if self.bytes + size > BYTES_IN_HAND {
            return false;
        }
        self.bytes += size;
        self.mails.insert(mail);
        true
    }
}

/// Mails that were in hand, and what they say.
struct Read {
    mails: Vec<(Reading, StoredMail)>,
    /// What they took in hand.
    bytes: usize,
}

/// Mail in hand, on its way to being decided.
pub struct Fresh(mpsc::Receiver<StoredMail>);

impl Pipeline {
    pub fn new(
        store: Arc<dyn Store>,
        in_force: Receiver<Arc<InForce>>,
        clock: Clock,
        deliverer: Arc<Deliverer>,
    ) -> (Self, Fresh) {
        let (fresh, in_hand) = mpsc::channel(IN_HAND);
        let (in_hand_now, behind, decided) = (Mutex::default(), Notify::new(), Notify::new());
        (Self { store, in_force, clock, fresh, in_hand: in_hand_now, behind, decided, deliverer }, Fresh(in_hand))
    }

    /// Read once for each thing that is judged, read or decided: all of it goes by the same.
    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.borrow())
    }

    /// While the disk is nearly full, what is left of it is kept for alerts: mail that is no sender's is refused, or, of a
    /// mailbox, where nobody would hear it and what stands behind must not wait, taken by its header alone.
    fn with_room_for_alerts(&self, mails: Vec<Message>, of_mailbox: bool) -> Result<Vec<Message>, Refused> {
        if !self.store.room().is_some_and(Room::is_for_alerts_alone) {
            return Ok(mails);
        }
        let rules = Arc::clone(&self.in_force().rules);
        let spare = |mail: &Message| rules.is_another_senders(&mail.raw);
        if of_mailbox {
            return Ok(mails.into_iter().map(|mail| if spare(&mail) { mail.cut() } else { mail }).collect());
        }
        if mails.iter().any(spare) { Err(Refused::NoRoom) } else { Ok(mails) }
    }

    /// Decides mail until `stop`; what is left then is decided at the next start. The next mails are read while the last are
    /// decided.
    pub async fn run(self: Arc<Self>, Fresh(fresh): Fresh, stop: CancellationToken) {
        let (read, to_decide) = mpsc::channel(READ_AHEAD);
        tokio::join!(self.read_in_hand(fresh, read, &stop), self.decide_all(to_decide, &stop));
    }

    /// Reads what is in hand, in order, until `stop` and to its end.
    async fn read_in_hand(
        &self,
        mut fresh: mpsc::Receiver<StoredMail>,
        read: mpsc::Sender<Read>,
        stop: &CancellationToken,
    ) {
        loop {
            let mut batch = Vec::with_capacity(BATCH);
            tokio::select! {
                _ = fresh.recv_many(&mut batch, BATCH) => {}
                () = stop.cancelled() => {
                    while batch.len() < BATCH && let Ok(mail) = fresh.try_recv() {
                        batch.push(mail);
                    }
                    if batch.is_empty() {
                        return;
                    }
                }
            }
            let bytes = batch.iter().map(|mail| mail.message.raw.len()).sum();
            // What is missing has been read from the store, and decided, in the meantime.
            batch.retain(|mail| self.in_hand().mails.contains(&mail.id));
            let mails = self.read(batch).await.unwrap_or_else(|error| {
                telemetry::store_failed("mail could not be read: it will be tried again", &error);
                self.behind.notify_one();
                Vec::new()
            });
            let _ = read.send(Read { mails, bytes }).await;
        }
    }

    async fn decide_all(&self, mut read: mpsc::Receiver<Read>, stop: &CancellationToken) {
        self.behind.notify_one();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batches = Vec::with_capacity(READ_AHEAD);
        while !stop.is_cancelled() {
            let caught_up = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                // What is in hand is in the store as well, and is read from there in its turn.
                () = self.behind.notified() => self.catch_up(MailId::MAX, stop).await,
                // What comes without a pause must not keep waiting what is older and not in hand.
                _ = look.tick() => self.catch_up(self.oldest_in_hand(), stop).await,
                _ = read.recv_many(&mut batches, READ_AHEAD) => self.decide_read(&mut batches).await,
            };
            if let Err(error) = caught_up {
                telemetry::store_failed("mail could not be decided: it will be tried again", &error);
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    () = stop.cancelled() => {}
                }
                self.behind.notify_one();
            }
        }
        // What is in hand is decided now rather than at the next start.
        while read.recv_many(&mut batches, READ_AHEAD).await > 0 {
            if let Err(error) = self.decide_read(&mut batches).await {
                telemetry::store_failed("mail is left undecided until the next start", &error);
            }
        }
    }

    /// Decides what was in hand.
    async fn decide_read(&self, batches: &mut Vec<Read>) -> Result<(), StoreError> {
        self.in_hand().bytes -= batches.iter().map(|batch| batch.bytes).sum::<usize>();
        self.decide(batches.drain(..).flat_map(|batch| batch.mails).collect()).await
    }

    /// Takes a stored mail in hand, unless there is too much in it.
    fn take_in_hand(&self, mail: StoredMail) {
        let (id, size) = (mail.id, mail.message.raw.len());
        if !self.in_hand().take(id, size) {
            self.behind.notify_one();
        } else if self.fresh.try_send(mail).is_err() {
            let mut in_hand = self.in_hand();
            in_hand.bytes -= size;
            in_hand.mails.remove(&id);
            self.behind.notify_one();
        }
    }

    /// Above all numbers while nothing is in hand.
    fn oldest_in_hand(&self) -> MailId {
        self.in_hand().mails.first().copied().unwrap_or(MailId::MAX)
    }

    fn in_hand(&self) -> MutexGuard<'_, InHand> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides what the store holds undecided, oldest first, up to but not including `before`.
    async fn catch_up(&self, before: MailId, stop: &CancellationToken) -> Result<(), StoreError> {
        let mut after = 0;
        while !stop.is_cancelled() {
            let mut batch = self.store.undecided(after, CATCH_UP).await?;
            batch.retain(|mail| mail.id < before);
            let Some(last) = batch.last() else { break };
            after = last.id;
            self.decide(self.read(batch).await?).await?;
        }
        Ok(())
    }

    /// On a thread of its own: a parser at work on hostile mail must not keep the sockets waiting.
    async fn read(&self, batch: Vec<StoredMail>) -> Result<Vec<(Reading, StoredMail)>, StoreError> {
        let in_force = self.in_force();
        let read = tokio::task::spawn_blocking(move || {
            batch.into_iter().map(|mail| (in_force.rules.read_whatever_it_is(&mail), mail)).collect()
        });
        read.await.map_err(|error| StoreError::Failed(format!("reading mail failed: {error}")))
    }

    /// Decides mails in the order given; they share a commit.
    async fn decide(&self, batch: Vec<(Reading, StoredMail)>) -> Result<(), StoreError> {
        for (_, mail) in &batch {
            self.in_hand().mails.remove(&mail.id);
        }
        let decisions = batch.into_iter().map(|(reading, mail)| self.decide_one(reading, mail));
        let decided = in_order(decisions).await.into_iter().collect();
        self.decided.notify_waiters();
        decided
    }

    /// Waits a little while mail comes faster than it is decided.
    async fn keep_pace(&self) {
        let caught_up = async {
            loop {
                let mut decided = pin!(self.decided.notified());
                decided.as_mut().enable();
                if self.in_hand().mails.len() <= CROWD {
                    return;
                }
                decided.await;
            }
        };
        let _ = timeout(KEEP_PACE, caught_up).await;
    }

    /// Where concluding panics the mail becomes an alert that could not be read: somebody is told, and no other waits.
    async fn decide_one(&self, reading: Reading, mail: StoredMail) -> Result<(), StoreError> {
        match self.conclude(reading, mail.clone()).await {
            Err(StoreError::Panicked) => {
                let fault = "this program has a fault: deciding the mail panicked";
                self.conclude(Reading::unreadable(&mail.message, fault), mail).await
            }
            result => result,
        }
    }

    async fn conclude(&self, reading: Reading, mail: StoredMail) -> Result<(), StoreError> {
        let now = self.clock.now();
        // Those of now, not of when it was read: what they owe is to be owed to receivers that are there.
        let rules = Arc::clone(&self.in_force().rules);
        let (id, ingress, arrived_at) = (mail.id, mail.message.ingress.clone(), mail.message.arrived_at);
        let subject = rules.subject(&reading, &mail, now);
        let drift = reading.drift();
        let (slots, conclude) = self.reserving(move |memory| rules.conclude(&reading, &mail, memory, now));
        let Some(decision) = self.store.decide(id, subject, now, conclude).await? else { return Ok(()) };
        crash::point("decided");
        telemetry::mail_decided(id, &ingress, arrived_at, &decision, &drift);
        if let Some(first) = &decision.late {
            telemetry::mail_late(id, &ingress, first, now);
        }
        self.deliverer.begin(decision, slots.taken());
        Ok(())
    }

    /// The same conclusion, with room taken for what can be sent at once.
    fn reserving(&self, conclude: impl FnOnce(&Memory) -> Decision + Send + 'static) -> (Slots, Decide) {
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
    /// As [`Rules::read`]; where a parser panics the mail becomes an alert that could not be read, and somebody is told.
    pub fn read_whatever_it_is(&self, mail: &StoredMail) -> Reading {
        catch_unwind(AssertUnwindSafe(|| self.read(&mail.message))).unwrap_or_else(|_| {
            Reading::unreadable(&mail.message, "this program has a fault: reading the mail panicked")
        })
    }
}

#[async_trait]
impl Inbox for Pipeline {
    async fn accept(&self, mails: Vec<Message>, bookmark: Option<Bookmark>) -> Result<Vec<MailId>, Refused> {
        let mails = self.with_room_for_alerts(mails, bookmark.is_some())?;
        // Authenticity is judged here and stored with the mail: keys rotate, and a replay must not ask DNS again.
        // All at once, so that a batch takes no longer than its slowest mail, which is bounded.
        let in_force = self.in_force();
        let judged = join_all(mails.iter().map(|mail| in_force.authenticator.judge(mail))).await;
        let mails: Vec<_> = mails.into_iter().zip(judged).collect();
        for (mail, authenticity) in &mails {
            telemetry::mail_judged(&mail.ingress, authenticity);
        }
        let ids = self.store.record(mails.clone(), bookmark).await.map_err(|error| {
            telemetry::store_failed("mail was refused", &error);
            Refused::Failed(error.to_string())
        })?;
        crash::point("recorded");
        for (id, (message, authenticity)) in ids.iter().zip(mails) {
            self.take_in_hand(StoredMail { id: *id, message, authenticity, checks: 0, released: None });
        }
        self.keep_pace().await;
        Ok(ids)
    }

    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, Refused> {
        self.store.bookmark(mailbox).await.map_err(|error| Refused::Failed(error.to_string()))
    }
}
