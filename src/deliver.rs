//! 7. Claim → render → send → judge → settle. Home of reqwest.
//!
//! The rows are the queue. What can be sent at once is leased in the commit that decides it ([`Deliverer::reserve`],
//! [`Deliverer::begin`]); what has to wait a loop claims when it is due, of each integration up to its share of concurrency.
//! Every claim is attempted on its own and settled in the store. An integration that asks to be left alone (429) is, until
//! then; the others go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::{sync::Notify, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    crash,
    delivery::{Action, FailureReason, Notification, Settings, Target, Verdict, alias},
    receiver::{Keys, Parcel, Receiver, Receivers},
    store::{Attempt, Claim, Decision, NewDelivery, Next, Settled, Settlement, Store, StoreError},
    telemetry,
};

mod breaker;
mod http;
mod next;
mod traffic;
mod watch;

use breaker::Change;
pub use http::Client;
use traffic::Traffic;
use watch::{Seen, Watch};

/// How long after the attempt's time-out a lease ends: within it the attempt is recorded, and by so much the clocks of
/// replicas may differ. What is left of the lease is what a replica's crash costs.
const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// The longest the loop sleeps: others write to the store too (`deliveries retry`).
const LONGEST_SLEEP: SignedDuration = SignedDuration::from_secs(2);
/// How often a store that did not take an attempt is asked again.
const RECORD_EVERY: Duration = Duration::from_millis(500);

/// Delivers what the store says is owed.
pub struct Deliverer {
    store: Arc<dyn Store>,
    receivers: Arc<Receivers>,
    settings: Settings,
    external_url: Option<String>,
    client: Client,
    clock: Clock,
    traffic: BTreeMap<Target, Arc<Traffic>>,
    under_way: TaskTracker,
    /// Rung when something may have become due.
    bell: Arc<Notify>,
}

/// Room for one attempt, taken before its delivery is leased; given back unless the attempt begins.
#[derive(Debug)]
pub struct Slot {
    target: Target,
    traffic: Arc<Traffic>,
    bell: Arc<Notify>,
    lease_ends: Instant,
    begun: bool,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.begun {
            self.traffic.give_back();
            self.bell.notify_one();
        }
    }
}

impl Deliverer {
    pub fn new(
        store: Arc<dyn Store>,
        receivers: Arc<Receivers>,
        settings: Settings,
        external_url: Option<String>,
        client: Client,
        clock: Clock,
        bell: Arc<Notify>,
    ) -> Self {
        let traffic = receivers
            .integrations
            .iter()
            .map(|(target, receiver)| (target.clone(), Arc::new(Traffic::new(receiver.rate_limit()))))
            .collect();
        Self { store, receivers, settings, external_url, client, clock, traffic, under_way: TaskTracker::new(), bell }
    }

    /// Takes room for those of the deliveries that can be sent at once: the store is to lease them with their decision. What
    /// has waited longer goes first. Waits for nothing.
    pub fn reserve(&self, deliveries: &mut [NewDelivery]) -> Vec<Slot> {
        let (now, lease_ends) = (self.clock.now(), self.lease_ends());
        let slot = |delivery: &mut NewDelivery| {
            let traffic = self.traffic.get(&delivery.target)?;
            if delivery.held_until.is_some() || self.under_way.is_closed() || !traffic.reserve(now) {
                return None;
            }
            delivery.leased_until = now.checked_add(SignedDuration::try_from(self.lease()).ok()?).ok();
            Some(Slot {
                target: delivery.target.clone(),
                traffic: Arc::clone(traffic),
                bell: Arc::clone(&self.bell),
                lease_ends,
                begun: false,
            })
        };
        deliveries.iter_mut().filter_map(slot).collect()
    }

    /// Begins what was leased with a decision, and sees to the rest of what it owes.
    pub fn begin(self: &Arc<Self>, decision: Decision, mut slots: Vec<Slot>) {
        if decision.deliveries.len() > decision.claims.len() {
            self.bell.notify_one();
        }
        for claim in decision.claims {
            let Some(place) = slots.iter().position(|slot| slot.target == claim.target) else { continue };
            let mut slot = slots.swap_remove(place);
            slot.begun = true;
            self.under_way.spawn(Arc::clone(self).attempt(claim, slot.lease_ends));
        }
    }

    /// Delivers until `stop`, then finishes what is under way.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut watch = Watch::new(self.clock.now());
        while !stop.is_cancelled() {
            // Registered before the store is asked: what is owed from then on rings.
            let rung = self.bell.notified();
            let pause = match self.round(&mut watch).await {
                Ok(pause) => pause,
                Err(error) => {
                    telemetry::store_failed("deliveries could not be claimed", &error);
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                () = rung => {}
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        self.under_way.close();
        self.under_way.wait().await;
    }

    /// Claims what is due, starts its attempts, and says how long nothing else will be.
    async fn round(self: &Arc<Self>, watch: &mut Watch) -> Result<Duration, StoreError> {
        let now = self.clock.now();
        let seen = watch.look(now);
        if let Seen::SetBack(from) = seen {
            telemetry::clock_set_back(from, now);
        }
        if seen != Seen::GoesOn {
            self.store.bring_forward(now, self.lease()).await.inspect_err(|_| watch.missed())?;
            self.traffic.values().for_each(|traffic| traffic.open());
        }

        let agenda = self.store.agenda().await?;
        let mut wake = now.saturating_add(LONGEST_SLEEP).unwrap_or(now);
        match agenda.fallback_at {
            Some(at) if at <= now => {
                self.escalate(now).await?;
                wake = now;
            }
            Some(at) => wake = wake.min(at),
            None => {}
        }
        let mut wanted = Vec::new();
        let mut behind = BTreeSet::new();
        for (target, due) in agenda.due {
            // What the configuration no longer has is claimed too: it ends in the dead letters.
            let (opens_at, room) =
                self.traffic.get(&target).map_or((now, traffic::MOST), |traffic| (traffic.opens_at(), traffic.room()));
            let at = due.max(opens_at);
            if due <= now {
                behind.insert(target.clone());
            }
            if at > now {
                wake = wake.min(at);
            } else if room > 0 {
                wanted.push((target, room));
            }
            // Where there is no room, the end of an attempt rings.
        }
        if !wanted.is_empty() {
            let lease_ends = self.lease_ends();
            for claim in self.store.claim(now, self.lease(), wanted.clone()).await? {
                wake = now;
                if let Some(traffic) = self.traffic.get(&claim.target) {
                    traffic.begin(now);
                }
                if let Some((_, room)) = wanted.iter_mut().find(|(target, _)| *target == claim.target) {
                    *room -= 1;
                }
                self.under_way.spawn(Arc::clone(self).attempt(claim, lease_ends));
            }
            for (target, _) in wanted.iter().filter(|(_, left)| *left > 0) {
                behind.remove(target);
            }
        }
        for (target, traffic) in &self.traffic {
            traffic.set_behind(behind.contains(target));
        }
        Ok(Duration::try_from(wake.duration_since(now)).unwrap_or_default())
    }

    /// Tells the fallbacks of those that are late.
    async fn escalate(self: &Arc<Self>, now: Timestamp) -> Result<(), StoreError> {
        let deliverer = Arc::clone(self);
        let fallback = Arc::new(move |target: &Target, page: &Notification| deliverer.fallback(&target.receiver, page));
        let escalated = self.store.escalate(now, fallback).await?;
        if !escalated.is_empty() {
            crash::point("escalated");
        }
        for target in escalated {
            telemetry::escalated(&target);
        }
        Ok(())
    }

    fn lease(&self) -> Duration {
        self.settings.timeout.as_std() + LEASE_MARGIN
    }

    /// When a lease taken now ends, whatever the clock does until then.
    fn lease_ends(&self) -> Instant {
        Instant::now() + self.lease()
    }

    /// One claim, from its rendering to its settlement.
    async fn attempt(self: Arc<Self>, claim: Claim, lease_ends: Instant) {
        crash::point("claimed");
        if Instant::now() + self.settings.timeout.as_std() > lease_ends {
            // The store took so long that another may send it before this attempt is over.
            telemetry::lease_lost(&claim);
            return self.ended(&claim.target, None);
        }
        let begun = self.clock.now();
        // Whatever happens to one page, the others' lanes and counts stay right.
        let verdict = AssertUnwindSafe(self.tried(&claim, begun)).catch_unwind().await.unwrap_or_else(|_| {
            let detail = "this program has a fault: rendering or judging the page panicked".to_owned();
            Verdict::Retry { reason: FailureReason::Configuration, detail, after: None }
        });
        crash::point("sent");
        let probe_at = self.judged(&claim, &verdict);
        let settlement = self.concluded(&claim, &verdict, begun, probe_at);
        let settled = self.recorded(&claim, &settlement, lease_ends).await;
        match &settled {
            Ok(Settled::Last | Settled::Onward) => telemetry::attempt_settled(&claim, &settlement),
            Ok(Settled::Lost) => telemetry::lease_lost(&claim),
            Err(error) => telemetry::store_failed("an attempt could not be recorded: it will be repeated", error),
        }
        crash::point("settled");
        let pause = match verdict {
            Verdict::Retry { after: Some(after), .. } => Some(next::later(settlement.at, after)),
            _ => None,
        };
        self.ended(&claim.target, pause);
        if !matches!(settled, Ok(Settled::Last)) {
            self.bell.notify_one();
        }
    }

    /// An attempt has ended: where something due waits for its room, the loop sees to it.
    fn ended(&self, target: &Target, pause: Option<Timestamp>) {
        if self.traffic.get(target).is_some_and(|traffic| traffic.end(pause)) {
            self.bell.notify_one();
        }
    }

    /// Third commit. A store that is full or locked is asked again while the lease lasts: what was sent and is not recorded
    /// is sent again.
    async fn recorded(
        &self,
        claim: &Claim,
        settlement: &Settlement,
        lease_ends: Instant,
    ) -> Result<Settled, StoreError> {
        loop {
            match self.store.settle(claim.id, claim.lease, settlement.clone()).await {
                Err(StoreError::Full | StoreError::Locked | StoreError::Failed(_)) if Instant::now() < lease_ends => {}
                result => return result,
            }
            tokio::time::sleep(RECORD_EVERY).await;
        }
    }

    /// What the verdict says of the integration: when it is asked next, where it does not answer.
    fn judged(&self, claim: &Claim, verdict: &Verdict) -> Option<Timestamp> {
        let target = &claim.target;
        let now = self.clock.now();
        let (change, probe_at) = self.traffic.get(target)?.judge(claim.id, verdict, &self.settings.backoff, now);
        match change {
            Some(Change::Opened { failures }) => telemetry::circuit_opened(target, failures),
            Some(Change::Closed) => telemetry::circuit_closed(target),
            None => {}
        }
        probe_at
    }

    /// What the store is to hold after a verdict.
    fn concluded(&self, claim: &Claim, verdict: &Verdict, begun: Timestamp, probe_at: Option<Timestamp>) -> Settlement {
        let at = self.clock.now();
        let next = next::step(claim, verdict, &self.settings, probe_at, at);
        let gave_up = matches!(next, Next::Dead { .. }) && claim.notification.action == Action::Trigger;
        Settlement {
            at,
            next,
            attempt: Some(Attempt {
                at,
                took_ms: u64::try_from(at.duration_since(begun).as_millis()).unwrap_or(0),
                result: next::result(verdict).to_owned(),
                detail: next::detail(verdict, &claim.step),
            }),
            fallback: if gave_up { self.fallback(&claim.target.receiver, &claim.notification) } else { Vec::new() },
        }
    }

    async fn tried(&self, claim: &Claim, now: Timestamp) -> Verdict {
        let Some(receiver) = self.receivers.integrations.get(&claim.target) else {
            let Target { receiver, integration } = &claim.target;
            let detail = format!("the configuration has no integration {integration} of receiver {receiver} any more");
            return Verdict::Permanent { reason: FailureReason::Configuration, detail };
        };
        let verdict = self.sent(receiver.as_ref(), claim, now).await;
        next::matured(verdict, &claim.step, receiver.confirm_timeout(), self.clock.now())
    }

    /// Renders, sends and judges.
    async fn sent(&self, receiver: &dyn Receiver, claim: &Claim, now: Timestamp) -> Verdict {
        let unusable = |detail: String| Verdict::Retry { reason: FailureReason::Configuration, detail, after: None };
        let keys = match Keys::read(receiver) {
            Ok(keys) => keys,
            Err(error) => return unusable(error.to_string()),
        };
        let parcel = Parcel {
            delivery: claim.id,
            alias: &claim.alias,
            notification: &claim.notification,
            step: &claim.step,
            now,
            external_url: self.external_url.as_deref(),
        };
        let request = match receiver.request(&parcel, &keys) {
            Ok(request) => request,
            Err(error) => return unusable(error.to_string()),
        };
        let verdict = match self.client.send(request).await {
            // Before it is judged, since a verdict quotes, and half a credential is not recognised any more.
            Ok(reply) => receiver.judge(&claim.step, claim.notification.action, &next::scrubbed_reply(reply, &keys)),
            Err(failure) => Verdict::Retry { reason: failure.reason, detail: failure.detail, after: None },
        };
        next::scrubbed(verdict, &keys)
    }

    /// The pages that go to a receiver's fallback in its stead.
    fn fallback(&self, receiver: &str, page: &Notification) -> Vec<NewDelivery> {
        let Some(fallback) = self.receivers.fallbacks.get(receiver) else { return Vec::new() };
        owed(&self.receivers, &fallback.receiver, page, None, self.clock.now())
    }
}

/// What a receiver is owed for a notification: one delivery for each of its integrations.
pub fn owed(
    receivers: &Receivers,
    receiver: &str,
    page: &Notification,
    held_until: Option<Timestamp>,
    now: Timestamp,
) -> Vec<NewDelivery> {
    let fallback_at = receivers
        .fallbacks
        .get(receiver)
        .filter(|_| page.action == Action::Trigger)
        .and_then(|fallback| held_until.unwrap_or(now).checked_add(fallback.after.as_signed()).ok());
    receivers
        .of(receiver)
        .map(|(target, _)| NewDelivery {
            target: target.clone(),
            alias: alias(&page.incident_id, receiver),
            notification: page.clone(),
            held_until,
            fallback_at,
            leased_until: None,
        })
        .collect()
}
