//! The store as one process sees it: one SQLite file, which answers as a database of several
//! replicas does, late, or not at all.
//!
//! What PostgreSQL has and SQLite needs not is added: undecided mail is held for a while by who took
//! it, and a name is one replica's at a time. A process that died gets no answer ever; it may die
//! just before or just after what it asked for is done.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::{sync::Notify, time::Instant};

use super::{
    blocking::block_on,
    weather::{REPLICAS, Trouble},
    world::World,
};
use crate::{
    delivery::{DeliveryId, Target},
    message::{Authenticity, Bookmark, MailId, Message},
    store::{
        Agenda, Claim, Concerns, Cut, Decision, Depth, Escalated, Excess, ExpectedMail, Fallback,
        Horizon, IncidentRow, Intake, Item, Lanes, Mutes, Next, Pruned, Room, Settled, Settlement,
        Spare, Standing, StoreError, StoredMail, Sweep, Unsilenced, Upkeep, sqlite::Sqlite,
    },
};

/// As [`crate::store::postgres`] has it.
const HOLD: Duration = Duration::from_secs(4);
/// A time after all others.
const EVER: SignedDuration = SignedDuration::from_hours(24 * 366);

/// What the replicas share.
pub(super) struct Shared {
    pub(super) sqlite: Arc<Sqlite>,
    /// Who holds a mail that is undecided, and until when.
    holds: Mutex<BTreeMap<MailId, (u64, Instant)>>,
    consumers: Mutex<BTreeMap<String, (u64, Instant)>>,
    bells: [Notify; REPLICAS],
    /// Grows with each change.
    changes: AtomicU64,
    /// What was found to be empty, at which change: most questions are asked again and again.
    nothing: Mutex<BTreeMap<&'static str, u64>>,
    /// What there is to tell, as of which change.
    concerns: Mutex<Option<(u64, Concerns)>>,
    /// What the deliveries that were claimed are about.
    pub(super) about: Mutex<BTreeMap<DeliveryId, About>>,
}

/// What a delivery is about: its target, its alias and its action.
pub(super) type About = (Target, String, &'static str);

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(sqlite: Sqlite) -> Self {
        Self {
            sqlite: Arc::new(sqlite),
            holds: Mutex::default(),
            consumers: Mutex::default(),
            bells: std::array::from_fn(|_| Notify::new()),
            changes: AtomicU64::new(1),
            nothing: Mutex::default(),
            concerns: Mutex::default(),
            about: Mutex::default(),
        }
    }

    /// Somebody else changed something: a person.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether nothing of this name was there, and nothing has changed since.
    fn is_nothing(&self, name: &'static str) -> bool {
        let now = self.changes.load(Ordering::SeqCst);
        lock(&self.nothing).get(name) == Some(&now)
    }

    fn found(&self, name: &'static str, nothing: bool) {
        if nothing {
            let now = self.changes.load(Ordering::SeqCst);
            lock(&self.nothing).insert(name, now);
        }
    }

    /// What there is to tell.
    pub(super) async fn concerns(&self) -> Result<Concerns, StoreError> {
        let now = self.changes.load(Ordering::SeqCst);
        let known = lock(&self.concerns).clone();
        if let Some((_, concerns)) = known.filter(|(change, _)| *change == now) {
            return Ok(concerns);
        }
        let concerns = self.sqlite.concerns().await?;
        *lock(&self.concerns) = Some((now, concerns.clone()));
        Ok(concerns)
    }

    fn claimed(&self, claims: &[Claim]) {
        let mut about = lock(&self.about);
        for claim in claims {
            let action = claim.notification.action.as_str();
            let what = (claim.target.clone(), claim.alias.clone(), action);
            about.insert(claim.id, what);
        }
    }
}

/// A process: from its start to its end.
pub(super) struct Life {
    pub(super) replica: usize,
    /// Its number among all lives.
    pub(super) number: u64,
    dead: AtomicBool,
    /// What it asks for until it dies; above all numbers while it does not.
    left: AtomicU64,
    /// Requests that a vendor took and whose settlement is not written.
    in_flight: Mutex<Vec<Flight>>,
    landed: Mutex<Vec<Flight>>,
}

/// A request that a vendor has acted on.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) about: About,
    /// Why it may be sent again.
    pub(super) excuse: Option<&'static str>,
}

impl Life {
    pub(super) fn new(replica: usize, number: u64) -> Self {
        Self {
            replica,
            number,
            dead: AtomicBool::new(false),
            left: AtomicU64::new(u64::MAX),
            in_flight: Mutex::default(),
            landed: Mutex::default(),
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// kill -9, now.
    pub(super) fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// kill -9, before or after the so manyeth change from now.
    pub(super) fn kill_after(&self, changes: u64) {
        self.left.store(changes, Ordering::SeqCst);
    }

    fn step(&self) {
        let left = self.left.load(Ordering::SeqCst);
        if left == 0 {
            self.kill();
        } else if left != u64::MAX {
            self.left.store(left - 1, Ordering::SeqCst);
        }
    }

    /// Goes on when the process does: not while it is frozen, never where it is dead.
    pub(super) async fn goes_on(&self, world: &World) {
        while let Some(thaw) = world.until(Trouble::Frozen(self.replica)) {
            tokio::time::sleep_until(thaw).await;
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// A vendor has acted on a request of this life.
    pub(super) fn flies(&self, about: About, excuse: Option<&'static str>) {
        lock(&self.in_flight).push(Flight { about, excuse });
    }

    /// Its settlement is written, or another's is.
    fn lands(&self, about: &About, excuse: Option<&'static str>) {
        let mut in_flight = lock(&self.in_flight);
        if let Some(place) = in_flight.iter().position(|one| one.about == *about) {
            let mut one = in_flight.remove(place);
            one.excuse = one.excuse.or(excuse);
            lock(&self.landed).push(one);
        }
    }

    /// Its settlement could not be written, and is tried again while the lease lasts.
    fn is_in_doubt(&self, about: &About) {
        let mut in_flight = lock(&self.in_flight);
        if let Some(one) = in_flight.iter_mut().find(|one| one.about == *about) {
            one.excuse = one.excuse.or(Some("it could not be recorded"));
        }
    }

    /// Everything that vendors acted on for this life, with what excuses that it is sent again.
    pub(super) fn flights(&self) -> Vec<Flight> {
        let died = self
            .is_dead()
            .then_some("the replica died before it was recorded");
        let mut flights = lock(&self.in_flight).clone();
        for flight in &mut flights {
            flight.excuse = flight.excuse.or(died);
        }
        flights.extend(lock(&self.landed).iter().cloned());
        flights
    }
}

/// The store as one process sees it.
pub(super) struct View {
    pub(super) shared: Arc<Shared>,
    pub(super) world: Arc<World>,
    pub(super) life: Arc<Life>,
}

impl View {
    /// A question.
    async fn asks<T>(
        &self,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.life.goes_on(&self.world).await;
        if self.world.is(Trouble::Slow) {
            self.world.pause(0..4_000).await;
            self.life.goes_on(&self.world).await;
        }
        if self.world.is(Trouble::Flickers) && self.world.seldom(100) {
            return Err(StoreError::Failed("it flickers".into()));
        }
        block_on(question)
    }

    /// A question whose answer is mostly nothing, which is remembered until something changes;
    /// `ever` asks for what there may be at any time.
    async fn seeks<T, A>(
        &self,
        name: &'static str,
        question: impl Future<Output = Result<Vec<T>, StoreError>>,
        ever: impl Future<Output = Result<Vec<A>, StoreError>>,
    ) -> Result<Vec<T>, StoreError> {
        self.asks(async {
            if self.shared.is_nothing(name) {
                return Ok(Vec::new());
            }
            let found = question.await?;
            let nothing = found.is_empty() && ever.await?.is_empty();
            self.shared.found(name, nothing);
            Ok(found)
        })
        .await
    }

    /// A change: it may take a while, be refused, be done and nobody told of it; and whoever asked
    /// for it may die before or after.
    async fn changes<T>(
        &self,
        name: &str,
        change: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.life.goes_on(&self.world).await;
        let slow = self.world.is(Trouble::Slow);
        self.world.pause(if slow { 100..6_000 } else { 0..4 }).await;
        self.life.goes_on(&self.world).await;

        if self.world.is(Trouble::Full) {
            return Err(StoreError::Full);
        }
        let flickers = self.world.is(Trouble::Flickers);
        if flickers && self.world.seldom(150) {
            return Err(StoreError::Failed("it flickered before".into()));
        }

        let dies_after = self.world.chance(fastrand::Rng::bool);
        if !dies_after {
            self.life.step();
            self.life.goes_on(&self.world).await;
        }
        let done = block_on(change);
        self.shared.changed();
        let outcome = if done.is_ok() { "" } else { ", refused" };
        self.world
            .note(&format!("{}: {name}{outcome}", self.life.number));
        if dies_after {
            self.life.step();
            self.life.goes_on(&self.world).await;
        }
        if done.is_ok() && flickers && self.world.seldom(100) {
            return Err(StoreError::Failed("it flickered afterwards".into()));
        }
        done
    }

    fn is_free_or_own(&self, mail: MailId) -> bool {
        lock(&self.shared.holds)
            .get(&mail)
            .is_none_or(|(holder, until)| *holder == self.life.number || *until < Instant::now())
    }

    fn hold(&self, mails: impl Iterator<Item = MailId>) {
        let until = Instant::now() + HOLD;
        let held = mails.map(|mail| (mail, (self.life.number, until)));
        lock(&self.shared.holds).extend(held);
    }

    /// The others hear of what is owed now.
    fn ring(&self) {
        for (replica, bell) in self.shared.bells.iter().enumerate() {
            if replica != self.life.replica {
                bell.notify_one();
            }
        }
    }

    fn decided(&self, decisions: &[Decision]) {
        for decision in decisions {
            self.shared.claimed(&decision.claims);
            if decision.deliveries.len() > decision.claims.len() {
                self.ring();
            }
        }
    }
}

#[async_trait]
impl Intake for View {
    async fn record(
        &self,
        mails: Vec<(Message, Authenticity)>,
        bookmark: Option<Bookmark>,
    ) -> Result<Vec<MailId>, StoreError> {
        self.changes("record", async {
            let ids = self.shared.sqlite.record(mails, bookmark).await?;
            self.hold(ids.iter().copied());
            Ok(ids)
        })
        .await
    }

    async fn bookmark(&self, mailbox: &str) -> Result<Option<Bookmark>, StoreError> {
        self.asks(self.shared.sqlite.bookmark(mailbox)).await
    }

    async fn undecided(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        let sqlite = &self.shared.sqlite;
        let mut found = self
            .seeks(
                "undecided",
                sqlite.undecided(after, 10_000),
                sqlite.undecided(0, 1),
            )
            .await?;
        found.retain(|mail| self.is_free_or_own(mail.id));
        found.truncate(limit as usize);
        self.hold(found.iter().map(|mail| mail.id));
        Ok(found)
    }

    async fn ahead(&self, mail: MailId) -> Result<Vec<MailId>, StoreError> {
        let sqlite = &self.shared.sqlite;
        let found = self
            .seeks(
                "undecided",
                sqlite.undecided(0, 10_000),
                sqlite.undecided(0, 1),
            )
            .await?;
        let holds = lock(&self.shared.holds);
        let others = |id: &MailId| holds.get(id).is_none_or(|hold| hold.0 != self.life.number);
        Ok(found
            .into_iter()
            .map(|mail| mail.id)
            .filter(|id| *id < mail && others(id))
            .collect())
    }

    async fn undecided_among(&self, mails: Vec<MailId>) -> Result<Vec<StoredMail>, StoreError> {
        self.asks(self.shared.sqlite.undecided_among(mails)).await
    }

    async fn decide_all(
        &self,
        mail: MailId,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<Vec<Decision>>, StoreError> {
        let name = format!("decide {mail}");
        self.changes(&name, async {
            let decided = self.shared.sqlite.decide_all(mail, items, now).await?;
            self.decided(decided.as_deref().unwrap_or_default());
            Ok(decided)
        })
        .await
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        let sqlite = &self.shared.sqlite;
        self.seeks("due", sqlite.due(now, limit), sqlite.due(now + EVER, 1))
            .await
    }

    async fn let_out(&self, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        let sqlite = &self.shared.sqlite;
        self.seeks("let out", sqlite.let_out(limit), sqlite.let_out(1))
            .await
    }

    async fn reconsider_all(
        &self,
        mail: MailId,
        authenticity: Authenticity,
        items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Option<Vec<Decision>>, StoreError> {
        let name = format!("reconsider {mail}");
        self.changes(&name, async {
            let again = &self.shared.sqlite;
            let decided = again.reconsider_all(mail, authenticity, items, now).await?;
            self.decided(decided.as_deref().unwrap_or_default());
            Ok(decided)
        })
        .await
    }

    async fn announce(&self, item: Item, now: Timestamp) -> Result<Decision, StoreError> {
        let subject = item.subject.as_ref();
        let name = format!("announce {}", subject.map_or("", |one| &one.incident_id));
        self.changes(&name, async {
            let decision = self.shared.sqlite.announce(item, now).await?;
            self.decided(std::slice::from_ref(&decision));
            Ok(decision)
        })
        .await
    }

    async fn unsilenced(&self, now: Timestamp, limit: u32) -> Result<Vec<Unsilenced>, StoreError> {
        let sqlite = &self.shared.sqlite;
        let ever = sqlite.unsilenced(now + EVER, 1);
        self.seeks("silenced", sqlite.unsilenced(now, limit), ever)
            .await
    }

    fn room(&self) -> Option<Room> {
        None
    }
}

#[async_trait]
impl Lanes for View {
    async fn claim(
        &self,
        now: Timestamp,
        lease: Duration,
        wanted: Vec<(Target, u32)>,
    ) -> Result<Vec<Claim>, StoreError> {
        self.changes("claim", async {
            let claims = self.shared.sqlite.claim(now, lease, wanted).await?;
            self.shared.claimed(&claims);
            Ok(claims)
        })
        .await
    }

    async fn settle(
        &self,
        id: DeliveryId,
        lease: i64,
        settlement: Settlement,
    ) -> Result<Settled, StoreError> {
        let what = match &settlement.next {
            Next::Delivered { .. } => "delivered",
            Next::Again { .. } => "again",
            Next::Dead { .. } => "dead",
        };
        let about = lock(&self.shared.about).get(&id).cloned();
        let settled = self
            .changes(
                &format!("settle {id} {what}"),
                self.shared.sqlite.settle(id, lease, settlement),
            )
            .await;
        if let Some(about) = about {
            match settled {
                Ok(Settled::Last | Settled::Onward) => self.life.lands(&about, None),
                Ok(Settled::Lost) => self.life.lands(&about, Some("the lease was lost")),
                Err(_) => self.life.is_in_doubt(&about),
            }
        }
        if matches!(settled, Ok(Settled::Onward)) {
            self.ring();
        }
        settled
    }

    async fn agenda(&self) -> Result<Agenda, StoreError> {
        self.asks(async {
            if self.shared.is_nothing("agenda") {
                return Ok(Agenda::default());
            }
            let agenda = self.shared.sqlite.agenda().await?;
            self.shared.found("agenda", agenda == Agenda::default());
            Ok(agenda)
        })
        .await
    }

    async fn standing(
        &self,
        target: &Target,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Standing>, StoreError> {
        self.asks(self.shared.sqlite.standing(target, after, limit))
            .await
    }

    async fn escalate(
        &self,
        now: Timestamp,
        fallback: Fallback,
    ) -> Result<Vec<Escalated>, StoreError> {
        self.changes("escalate", self.shared.sqlite.escalate(now, fallback))
            .await
    }

    async fn release_held(&self, mutes: Mutes, now: Timestamp) -> Result<bool, StoreError> {
        self.changes("release", self.shared.sqlite.release_held(mutes, now))
            .await
    }

    async fn look_at_held(&self, now: Timestamp) -> Result<(), StoreError> {
        self.changes("look at held", self.shared.sqlite.look_at_held(now))
            .await
    }

    async fn bring_forward(&self, now: Timestamp, lease: Duration) -> Result<(), StoreError> {
        self.changes(
            "bring forward",
            self.shared.sqlite.bring_forward(now, lease),
        )
        .await
    }
}

#[async_trait]
impl Upkeep for View {
    async fn ping(&self) -> Result<(), StoreError> {
        self.asks(self.shared.sqlite.ping()).await
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        self.asks(self.shared.sqlite.depth()).await
    }

    async fn concerns(&self) -> Result<Concerns, StoreError> {
        let full = self.world.is(Trouble::Full);
        let room = Room {
            free: if full { 0 } else { 1 << 40 },
            total: 1 << 41,
        };
        let concerns = self.asks(self.shared.concerns()).await?;
        Ok(Concerns {
            room: Some(room),
            ..concerns
        })
    }

    /// Among replicas a start ends the waits, and no lease.
    async fn release_leases(&self, now: Timestamp) -> Result<(), StoreError> {
        let ever = EVER.unsigned_abs();
        self.changes("start", self.shared.sqlite.bring_forward(now, ever))
            .await
    }

    async fn prune(&self, horizon: Horizon, from: Sweep, limit: u32) -> Result<Pruned, StoreError> {
        self.changes("prune", self.shared.sqlite.prune(horizon, from, limit))
            .await
    }

    async fn whole(&self, spare: Spare, after: MailId) -> Result<(u64, MailId), StoreError> {
        self.asks(self.shared.sqlite.whole(spare, after)).await
    }

    async fn cut(&self, spare: Spare, excess: Excess, now: Timestamp) -> Result<Cut, StoreError> {
        self.changes("cut", self.shared.sqlite.cut(spare, excess, now))
            .await
    }

    async fn quiet(
        &self,
        profile: &str,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<IncidentRow>, StoreError> {
        self.asks(self.shared.sqlite.quiet(profile, until, limit))
            .await
    }

    async fn expected_mail(&self) -> Result<Vec<ExpectedMail>, StoreError> {
        let sqlite = &self.shared.sqlite;
        self.seeks("expected", sqlite.expected_mail(), sqlite.expected_mail())
            .await
    }

    async fn expect_mail(&self, expected: ExpectedMail) -> Result<(), StoreError> {
        self.changes("expect", self.shared.sqlite.expect_mail(expected))
            .await
    }

    async fn unexpect_mail(&self, profile: &str, key: &str) -> Result<(), StoreError> {
        self.changes("unexpect", self.shared.sqlite.unexpect_mail(profile, key))
            .await
    }

    async fn rung(&self) {
        self.shared.bells[self.life.replica].notified().await;
    }

    async fn consume(&self, mailbox: &str, lease: Duration) -> Result<bool, StoreError> {
        self.asks(async {
            let mut consumers = lock(&self.shared.consumers);
            let (own, now) = (self.life.number, Instant::now());
            let free = consumers
                .get(mailbox)
                .is_none_or(|(holder, until)| *holder == own || *until < now);
            if free {
                consumers.insert(mailbox.to_owned(), (own, now + lease));
            }
            Ok(free)
        })
        .await
    }

    async fn relinquish(&self, mailbox: &str) -> Result<(), StoreError> {
        self.asks(async {
            let mut consumers = lock(&self.shared.consumers);
            if consumers
                .get(mailbox)
                .is_some_and(|(holder, _)| *holder == self.life.number)
            {
                consumers.remove(mailbox);
            }
            Ok(())
        })
        .await
    }
}
