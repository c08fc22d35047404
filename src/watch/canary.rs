//! Sends canaries, waits for them, and reports a missing one.
//!
//! Twice a second, a look asks the store how far the flights have come. Only the store knows,
//! whichever replica sent a canary and whichever received the mail. Of several replicas, one begins
//! each flight; each reports what it sees, and the store makes one incident of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    canary::{Canary, Flight, INCIDENT, KEPT, Key, Settings, Standing, standing},
    clock::Clock,
    delivery::Action,
    ingress::Health,
    pipeline::InForce,
    store::{Canaries, Intake, Item, StoreError, Subject, Upkeep},
    telemetry,
};

mod heartbeat;
mod letter;
mod page;
pub mod post;

use post::Unsent;

/// The pause between two looks.
const EVERY: Duration = Duration::from_millis(500);
/// How many of the latest flights a look considers at least.
const LATEST: u32 = 20;
/// The pause before a canary that was not sent is handed in again, and before a failed ping of the
/// heartbeat is tried again.
const AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// The task that sends canaries and watches them.
pub struct Aviary {
    pub canaries: Arc<dyn Canaries>,
    pub intake: Arc<dyn Intake>,
    pub upkeep: Arc<dyn Upkeep>,
    pub key: Key,
    pub in_force: watch::Receiver<Arc<InForce>>,
    pub clock: Clock,
    pub health: Health,
    /// The mailboxes that are read over IMAP, by the names of their ingresses.
    pub mailboxes: BTreeMap<String, String>,
    /// Notified when deliveries are created.
    pub owed: Arc<Notify>,
    /// The state of the latest canary, for the admin listener.
    pub known: watch::Sender<Standing>,
}

/// What this process remembers besides the store.
#[derive(Default)]
struct Memory {
    /// Whether every mailbox was looked at, so that mail is read from now on.
    is_looked_at: bool,
    /// Whether a missing canary is reported; `None` before that is known.
    told: Option<bool>,
    /// The newest flight in the metrics.
    counted: u64,
    /// The time from which the heartbeat may be tried again.
    heartbeat_at: Option<Timestamp>,
    /// The canary that a mail server has not taken yet, and when it is handed in again.
    unsent: Option<(Canary, Timestamp)>,
}

impl Aviary {
    /// Looks at intervals until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut memory = Memory::default();
        while !stop.is_cancelled() {
            stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
            let settings = self.in_force.borrow().canary.clone();
            let looked = async {
                match &settings {
                    Some(settings) => self.look(settings, &mut memory, &stop).await,
                    None => self.off(&mut memory).await,
                }
            };
            if let Err(error) = looked.await {
                telemetry::store_failed(
                    "the store could not be asked about canaries: it will be asked again",
                    &error,
                );
            }
        }
    }

    async fn look(
        &self,
        settings: &Settings,
        memory: &mut Memory,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        if let Some(canary) = self.due(settings, memory).await? {
            // If the process stops in between, the next canary is sent after its start.
            let Some(sent) = stop.run_until_cancelled(self.send(canary, settings)).await else {
                return Ok(());
            };
            memory.unsent = sent
                .as_ref()
                .is_err_and(|unsent| !unsent.is_final)
                .then(|| (canary, again_at(self.clock.now())));
            let sent = sent.map_err(|unsent| unsent.why);
            self.canaries.canary_sent(canary.number, sent).await?;
        }

        let latest = settings.decisive_flights().clamp(LATEST, KEPT);
        let flights = self.canaries.flights(latest).await?;
        let now = self.clock.now();
        let standing = standing(&flights, settings, now);

        if let Standing::Well(flight) = &standing {
            self.came_through(flight, settings, memory, now).await?;
        }
        self.tell(&standing, settings, memory, now).await?;
        self.known.send_replace(standing);

        Ok(())
    }

    /// Returns the canary to hand in now: the next one, or one that the mail server did not take
    /// and that may still come through within the deadline.
    async fn due(
        &self,
        settings: &Settings,
        memory: &mut Memory,
    ) -> Result<Option<Canary>, StoreError> {
        let now = self.clock.now();
        if let Some((canary, at)) = memory.unsent {
            let has_time = now.duration_since(canary.begun_at) < settings.deadline.as_signed();
            memory.unsent = memory.unsent.filter(|_| has_time);
            if has_time && is_due(at, now) {
                return Ok(Some(canary));
            }
        }

        memory.is_looked_at = memory.is_looked_at || self.is_looked_at().await?;
        if !memory.is_looked_at {
            return Ok(None);
        }
        let before = now.saturating_sub(settings.every.as_signed());
        let before = before.unwrap_or(Timestamp::MIN);
        let number = self.canaries.begin_canary(now, before).await?;
        Ok(number.map(|number| Canary {
            number,
            begun_at: Timestamp::from_second(now.as_second()).unwrap_or(now),
        }))
    }

    /// Decides whether every mailbox was looked at once. A mailbox is read from then on, so a
    /// canary that came earlier would be missing. A mailbox that cannot be looked at does not
    /// count, because its canary shows that.
    async fn is_looked_at(&self) -> Result<bool, StoreError> {
        let conditions = self.health.conditions();
        for (name, mailbox) in &self.mailboxes {
            let has_failed = conditions
                .get(name)
                .is_some_and(|one| one.failure.is_some());
            if !has_failed && self.intake.bookmark(mailbox).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn send(&self, canary: Canary, settings: &Settings) -> Result<Timestamp, Unsent> {
        let letter = letter::compose(canary, &self.key, &settings.send_via);
        let patience = post::PATIENCE.min(settings.deadline.as_std());
        let sent = Box::pin(post::send(&settings.send_via, &letter, patience)).await;

        if let Err(unsent) = &sent {
            telemetry::canary_not_sent(canary.number, &unsent.why);
        }
        sent.map(|()| self.clock.now())
    }

    /// Handles a canary that came through: pings the heartbeat once, and retries until that
    /// succeeds.
    async fn came_through(
        &self,
        flight: &Flight,
        settings: &Settings,
        memory: &mut Memory,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if flight.number > memory.counted {
            telemetry::canary_came_through(flight);
            memory.counted = flight.number;
        }

        let is_due = memory.heartbeat_at.is_none_or(|at| is_due(at, now));
        let Ok(Some(url)) = settings.heartbeat("canary") else {
            return Ok(());
        };
        if flight.is_pinged || !is_due {
            return Ok(());
        }

        match heartbeat::ping(&url).await {
            Ok(()) => self.canaries.canary_pinged(flight.number, now).await?,
            Err(why) => {
                telemetry::heartbeat_failed(&why);
                memory.heartbeat_at = Some(again_at(now));
            }
        }
        Ok(())
    }

    async fn tell(
        &self,
        standing: &Standing,
        settings: &Settings,
        memory: &mut Memory,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let told = self.is_told(memory).await?;
        match standing {
            Standing::Missing(flight) if !told => {
                let page = page::missing(flight, settings, now);
                self.announce(Action::Trigger, page, settings.receiver.as_deref(), now)
                    .await?;
                memory.told = Some(true);
            }
            Standing::Well(flight) if told => {
                let page = page::over(&format!("canary {} came through", flight.number), now);
                self.announce(Action::Resolve, page, None, now).await?;
                memory.told = Some(false);
            }
            _ => {}
        }
        Ok(())
    }

    /// Resolves the alarm when the canary is no longer configured: nothing is sent any more, so
    /// nothing is missing.
    async fn off(&self, memory: &mut Memory) -> Result<(), StoreError> {
        memory.unsent = None;
        self.known.send_replace(Standing::Unknown);
        if self.is_told(memory).await? {
            let now = self.clock.now();
            let page = page::over("the canary is no longer configured", now);
            self.announce(Action::Resolve, page, None, now).await?;
            memory.told = Some(false);
        }
        Ok(())
    }

    /// Returns whether a missing canary is reported. Asks the store if this process does not know
    /// yet.
    async fn is_told(&self, memory: &mut Memory) -> Result<bool, StoreError> {
        if let Some(told) = memory.told {
            return Ok(told);
        }
        let alarms = self.upkeep.concerns().await?.alarms;
        let told = alarms.iter().any(|alarm| alarm.incident_id == INCIDENT);
        memory.told = Some(told);
        Ok(told)
    }

    async fn announce(
        &self,
        action: Action,
        page: crate::delivery::Notification,
        receiver: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let status = page::status(action);
        let subject = Subject::own(INCIDENT, status);

        let text = page.reason.clone().unwrap_or_default();
        let rules = Arc::clone(&self.in_force.borrow().rules);
        let mutes = rules.mutes();
        let receiver = receiver.map(ToOwned::to_owned);
        let conclude = Box::new(move |memory: &_| {
            rules.announce_to(receiver.as_deref(), &page, status, memory, now)
        });
        let item = Item::about(subject, conclude, mutes);
        let decision = self.intake.announce(item, now).await?;

        if decision.tells() {
            let firing = action == Action::Trigger;
            telemetry::alarm(INCIDENT, firing, &text, &decision.receivers);
        }
        if !decision.deliveries.is_empty() {
            self.owed.notify_one();
        }

        Ok(())
    }
}

fn again_at(now: Timestamp) -> Timestamp {
    now.saturating_add(AGAIN).unwrap_or(now)
}

/// Returns whether an attempt that waits until `at` is due. A wait that is longer than the pause
/// shows that the clock was set back.
fn is_due(at: Timestamp, now: Timestamp) -> bool {
    at <= now || at > again_at(now)
}
