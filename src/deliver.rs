//! 7. Claim → render → send → judge → settle. Home of reqwest.
//!
//! The rows of the store are the queue. A delivery that can be sent at once is leased in the commit
//! that decides it ([`Deliverer::reserve`], [`Deliverer::begin`]). A delivery that has to wait is
//! claimed by a loop when it is due; for each integration, the loop claims up to the integration's
//! share of concurrency. Every claim is attempted on its own and settled in the store. An
//! integration that asks for a pause (429) is left alone until the pause ends; the others go on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{Notify, watch::Sender},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    crash,
    delivery::{Action, Notification, Target},
    store::{Lanes, NewDelivery, StoreError},
    telemetry,
};

mod attempt;
mod body;
mod breaker;
mod failure;
mod flight;
mod http;
mod next;
mod print;
mod probe;
mod resend;
mod slot;
mod smtp;
mod terms;
mod traffic;
mod transport;
mod unsaid;
mod watch;

#[cfg(test)]
pub(crate) use failure::Failure;
use flight::Flights;
#[cfg(test)]
pub(crate) use http::Wire;
pub use http::{Client, Unusable};
pub use slot::Slot;
pub use terms::Terms;
pub use transport::{Environment, client_of};
use watch::{Seen, Watch};

/// The time from an attempt's time-out to the end of its lease.
///
/// The attempt must be recorded within this time, and the clocks of replicas may differ by as much.
/// The rest of the lease is the delay that a replica's crash costs.
const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// The longest sleep of the loop. It is bounded because others write to the store too
/// (`deliveries retry`).
const LONGEST_SLEEP: SignedDuration = SignedDuration::from_secs(2);

/// How long a replica leaves deliveries to the others if its own configuration lacks their
/// integration. While replicas are reloaded one after the other, one of them creates deliveries for
/// an integration that another does not know yet.
const LEFT_TO_OTHERS: SignedDuration = SignedDuration::from_mins(1);

/// The component that sends the deliveries in the store.
pub struct Deliverer {
    store: Arc<dyn Lanes>,
    /// The terms in force.
    terms: Sender<Arc<Terms>>,
    clock: Clock,
    under_way: TaskTracker,
    flights: Flights,
    /// How long deliveries for an unknown integration are left to replicas that share the store.
    left_to_others: SignedDuration,
    /// Notified when a delivery may have become due.
    bell: Arc<Notify>,
}

impl Deliverer {
    pub fn new(store: Arc<dyn Lanes>, terms: Terms, clock: Clock, bell: Arc<Notify>) -> Self {
        let (terms, under_way) = (Sender::new(Arc::new(terms)), TaskTracker::new());
        Self {
            store,
            terms,
            clock,
            under_way,
            flights: Flights::default(),
            left_to_others: SignedDuration::ZERO,
            bell,
        }
    }

    /// Returns the deliverer as one of several over the same store.
    #[must_use]
    pub fn among_replicas(self) -> Self {
        Self {
            left_to_others: LEFT_TO_OTHERS,
            ..self
        }
    }

    /// Puts other terms in force from the next attempt on, and returns the previous ones.
    ///
    /// Deliveries for an integration that the new terms lack become dead letters. The terms must
    /// therefore be changed shortly before the rules that create deliveries for a new integration.
    pub fn change(&self, mut terms: Terms) -> Arc<Terms> {
        let before = self.terms();
        terms.take_over(&before);

        let gone: Vec<_> = before
            .traffic
            .keys()
            .filter(|target| !terms.traffic.contains_key(target))
            .collect();

        self.terms.send_replace(Arc::new(terms));
        gone.into_iter().for_each(telemetry::circuit_gone);

        before
    }

    /// Checks held pages against the mutes now in force.
    ///
    /// If a receiver has changed, it also ends every wait for another attempt, as a restart does:
    /// the change may have fixed the cause of the failure, or removed the page's destination.
    pub async fn hurry(&self, before: &Terms) {
        if let Err(error) = self.store.look_at_held(self.clock.now()).await {
            telemetry::store_failed(
                "held deliveries could not be checked against the new mutes",
                &error,
            );
        }
        self.bell.notify_one();

        let terms = self.terms();
        if terms.receivers.written == before.receivers.written {
            return;
        }

        let lease = terms.lease().max(before.lease());
        if let Err(error) = self.store.bring_forward(self.clock.now(), lease).await {
            telemetry::store_failed("waiting deliveries could not be brought forward", &error);
        }

        self.bell.notify_one();
    }

    /// Returns every integration, with the time of its next attempt if its circuit is open.
    pub fn circuits(&self) -> Vec<(Target, Option<Timestamp>)> {
        let terms = self.terms();
        let circuits = terms.traffic.iter();
        circuits
            .map(|(target, traffic)| (target.clone(), traffic.probe_at()))
            .collect()
    }

    /// Returns the terms in force. They are read once for each attempt.
    fn terms(&self) -> Arc<Terms> {
        Arc::clone(&self.terms.borrow())
    }

    /// Delivers until `stop`, then finishes the attempts in progress.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut watch = Watch::new(self.clock.now());
        while !stop.is_cancelled() {
            // Register before querying the store, so that any delivery created from then on
            // notifies.
            let rung = self.bell.notified();
            let pause = match self.round(&mut watch).await {
                Ok(pause) => pause,
                Err(error) => {
                    telemetry::store_failed("deliveries could not be claimed", &error);
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                biased;
                () = rung => {}
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }

        self.under_way.close();
        self.under_way.wait().await;
    }

    /// Claims due deliveries, starts their attempts, and returns how long it takes until another is
    /// due.
    async fn round(self: &Arc<Self>, watch: &mut Watch) -> Result<Duration, StoreError> {
        let now = self.clock.now();
        self.catch_up(watch, now).await?;
        let agenda = self.store.agenda().await?;

        // Release held pages first, before any other deliveries become due.
        let mut wake = now.saturating_add(LONGEST_SLEEP).unwrap_or(now);
        if agenda.held_until.is_some_and(|until| until <= now) {
            let mutes = self.terms().mutes.clone();
            if self.store.release_held(mutes, now).await? {
                wake = now;
            }
        }

        // Read the terms after the agenda, so that they contain every integration with deliveries.
        let terms = self.terms();

        match agenda.fallback_at {
            Some(at) if at <= now => {
                self.escalate(now).await?;
                wake = now;
            }
            Some(at) => wake = wake.min(at),
            None => {}
        }

        let (mut rooms, opens_at) = self.rooms(&terms, agenda.due, now);
        if self.start(&terms, &mut rooms, now).await? {
            wake = now;
        }
        for (target, traffic) in &terms.traffic {
            traffic.set_behind(rooms.get(target) == Some(&0));
        }

        let wake = opens_at.map_or(wake, |at| wake.min(at));
        Ok(Duration::try_from(wake.duration_since(now)).unwrap_or_default())
    }

    /// Ends waits that have become meaningless because the clock was set back.
    async fn catch_up(&self, watch: &mut Watch, now: Timestamp) -> Result<(), StoreError> {
        let seen = watch.look(now);
        if let Seen::SetBack(from) = seen {
            telemetry::clock_set_back(from, now);
        }
        if seen == Seen::GoesOn {
            return Ok(());
        }

        let terms = self.terms();
        self.store
            .bring_forward(now, terms.lease())
            .await
            .inspect_err(|_| watch.missed())?;
        terms.traffic.values().for_each(|traffic| traffic.open());
        Ok(())
    }

    /// Returns the number of free slots of each target with due deliveries, and the time at which
    /// the next target gets some.
    ///
    /// The number is 0 while the target's circuit is open. If a target has no free slot, the end of
    /// an attempt notifies the loop.
    fn rooms(
        &self,
        terms: &Terms,
        due: impl IntoIterator<Item = (Target, Timestamp)>,
        now: Timestamp,
    ) -> (BTreeMap<Target, u32>, Option<Timestamp>) {
        let mut rooms = BTreeMap::new();
        let mut next: Option<Timestamp> = None;

        for (target, due) in due {
            let (opens_at, room) = match terms.traffic.get(&target) {
                Some(traffic) => (traffic.opens_at(), traffic.room()),
                // Deliveries for a removed integration are eventually claimed too: they become dead
                // letters.
                None => (
                    due.saturating_add(self.left_to_others).unwrap_or(due),
                    traffic::MOST,
                ),
            };
            let at = due.max(opens_at);
            if at > now {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
            if due <= now {
                rooms.insert(target, if at > now { 0 } else { room });
            }
        }

        (rooms, next)
    }

    /// Claims up to `rooms` deliveries of each target and starts their attempts. Returns whether
    /// there were any.
    async fn start(
        self: &Arc<Self>,
        terms: &Arc<Terms>,
        rooms: &mut BTreeMap<Target, u32>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let wanted: Vec<_> = rooms
            .iter()
            .filter(|(_, room)| **room > 0)
            .map(|(to, room)| (to.clone(), *room))
            .collect();
        if wanted.is_empty() {
            return Ok(false);
        }

        let lease_ends = Instant::now() + terms.lease();
        let claims = self.store.claim(now, terms.lease(), wanted).await?;
        crash::point("claiming");
        let are_some = !claims.is_empty();

        for claim in claims {
            let Some(flight) = self.flights.begin(&claim, lease_ends) else {
                continue;
            };
            if let Some(traffic) = terms.traffic.get(&claim.target) {
                traffic.begin(now);
            }
            if let Some(room) = rooms.get_mut(&claim.target) {
                *room -= 1;
            }
            let attempt = Arc::clone(self).attempt(Arc::clone(terms), claim, flight);
            self.under_way.spawn(attempt);
        }

        Ok(are_some)
    }

    /// Notifies the fallbacks of late deliveries.
    async fn escalate(self: &Arc<Self>, now: Timestamp) -> Result<(), StoreError> {
        let deliverer = Arc::clone(self);
        let fallback =
            Arc::new(move |target: &Target, page: &Notification| deliverer.fallback(target, page));
        let escalated = self.store.escalate(now, fallback).await?;

        if !escalated.is_empty() {
            crash::point("escalated");
        }

        escalated.iter().for_each(telemetry::escalated);

        Ok(())
    }

    /// Returns the pages for the fallback of an integration's receiver.
    fn fallback(&self, target: &Target, page: &Notification) -> Vec<NewDelivery> {
        let receivers = &self.terms().receivers;
        let Target { receiver, .. } = receivers.now(target);
        let Some(fallback) = receivers.fallbacks.get(receiver) else {
            return Vec::new();
        };

        // Whatever the action was, the page is the incident's first one for the fallback.
        let page = Notification {
            action: Action::Trigger,
            was: None,
            ..page.clone()
        };

        receivers.owed(&fallback.receiver, &page, None, self.clock.now())
    }
}
