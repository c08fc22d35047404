//! 6. Claim → render → send → judge → settle. Home of reqwest.
//!
//! The rows are the queue: a loop claims what is due of each integration, up to its share of concurrency, and every
//! claim is attempted on its own and settled in the store. An integration that says "later" (429) is left alone until
//! then, without an attempt being counted; the others go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    crash,
    delivery::{Action, FailureReason, Notification, Settings, Target, Verdict, alias},
    receiver::{Keys, Parcel, Receiver, Receivers},
    store::{Attempt, Claim, NewDelivery, Next, Settlement, Store, StoreError},
    telemetry,
};

mod http;
mod next;

pub use http::Client;

/// Attempts under way at one integration at a time.
const CONCURRENCY: u32 = 32;
/// How long after the attempt's time-out a lease ends: what a crash costs where nobody releases it.
const LEASE_MARGIN: Duration = Duration::from_secs(40);
/// The longest the loop sleeps: others write to the store too (`deliveries retry`).
const LONGEST_SLEEP: Duration = Duration::from_secs(2);

/// Delivers what the store says is owed.
pub struct Deliverer {
    store: Arc<dyn Store>,
    receivers: Arc<Receivers>,
    settings: Settings,
    external_url: Option<String>,
    client: Client,
    clock: Clock,
    lanes: BTreeMap<Target, Lane>,
    /// Rung when something new is owed, or an attempt has ended.
    bell: Arc<Notify>,
}

/// What is going on at one integration.
#[derive(Default)]
struct Lane {
    limiter: Option<DefaultDirectRateLimiter>,
    now: Mutex<Traffic>,
}

#[derive(Default)]
struct Traffic {
    under_way: u32,
    /// The receiver asked to be left alone until then.
    paused_until: Option<Timestamp>,
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
        let lanes = receivers
            .integrations
            .iter()
            .map(|(target, receiver)| {
                let limiter = receiver.rate_limit().and_then(|limit| {
                    let per_cell = limit.per / limit.requests.get();
                    Quota::with_period(per_cell).map(|quota| RateLimiter::direct(quota.allow_burst(NonZeroU32::MIN)))
                });
                (target.clone(), Lane { limiter, now: Mutex::default() })
            })
            .collect();
        Self { store, receivers, settings, external_url, client, clock, lanes, bell }
    }

    /// Delivers until `stop`, then finishes what is under way.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let under_way = TaskTracker::new();
        while !stop.is_cancelled() {
            // Registered before the store is asked: what is owed from then on rings.
            let rung = self.bell.notified();
            let pause = match self.round(&under_way).await {
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
        under_way.close();
        under_way.wait().await;
    }

    /// Claims what is due, starts its attempts, and says how long nothing else will be.
    async fn round(self: &Arc<Self>, under_way: &TaskTracker) -> Result<Duration, StoreError> {
        let now = self.clock.now();
        let fallback = {
            let deliverer = Arc::clone(self);
            Arc::new(move |target: &Target, page: &Notification| deliverer.fallback(&target.receiver, page))
        };
        let Some(mut due) = self.store.next_due().await? else { return Ok(LONGEST_SLEEP) };
        if due <= now {
            for target in self.store.escalate(now, fallback).await? {
                telemetry::escalated(&target);
            }
            let wanted = self.wanted(now).await?;
            let claims = self.store.claim(now, self.lease(), wanted).await?;
            if claims.is_empty() {
                // Due, and not ours to take now: paused, at its limit, or leased. An attempt's end rings.
                due = self.earliest_pause_end(now).unwrap_or(now + LONGEST_SLEEP);
            }
            for claim in claims {
                self.begin(&claim.target);
                under_way.spawn(Arc::clone(self).attempt(claim));
            }
        }
        let pause = Duration::try_from(due.duration_since(now)).unwrap_or_default();
        Ok(pause.min(LONGEST_SLEEP))
    }

    /// How many deliveries each integration has room for, those of the record that the configuration no longer has included.
    async fn wanted(&self, now: Timestamp) -> Result<Vec<(Target, u32)>, StoreError> {
        let owed: BTreeSet<Target> = self.store.owed_targets().await?.into_iter().collect();
        Ok(owed
            .into_iter()
            .filter_map(|target| {
                let room = self.lanes.get(&target).map_or(CONCURRENCY, |lane| lane.room(now));
                (room > 0).then_some((target, room))
            })
            .collect())
    }

    fn earliest_pause_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.lanes.values().filter_map(|lane| lane.lock().paused_until).filter(|until| *until > now).min()
    }

    fn lease(&self) -> Duration {
        self.settings.timeout.as_std() + LEASE_MARGIN
    }

    fn begin(&self, target: &Target) {
        if let Some(lane) = self.lanes.get(target) {
            lane.lock().under_way += 1;
        }
    }

    fn end(&self, target: &Target) {
        if let Some(lane) = self.lanes.get(target) {
            let mut traffic = lane.lock();
            traffic.under_way = traffic.under_way.saturating_sub(1);
        }
        self.bell.notify_one();
    }

    /// One claim, from its rendering to its settlement.
    async fn attempt(self: Arc<Self>, claim: Claim) {
        crash::point("claimed");
        // Whatever happens to one page, the others' lanes and counts stay right.
        let settlement =
            AssertUnwindSafe(self.concluded(&claim)).catch_unwind().await.unwrap_or_else(|_| self.panicked(&claim));
        crash::point("sent");
        match self.store.settle(claim.id, claim.lease, settlement.clone()).await {
            Ok(true) => telemetry::attempt_settled(&claim, &settlement),
            Ok(false) => telemetry::lease_lost(&claim),
            Err(error) => telemetry::store_failed("an attempt could not be recorded: it will be repeated", &error),
        }
        crash::point("settled");
        self.end(&claim.target);
    }

    fn panicked(&self, claim: &Claim) -> Settlement {
        let at = self.clock.now();
        let detail = "this program has a fault: rendering or judging the page panicked".to_owned();
        let verdict = Verdict::Retry { reason: FailureReason::Configuration, detail: detail.clone(), after: None };
        Settlement {
            at,
            next: next::step(claim, &verdict, &self.settings, Duration::ZERO, at),
            attempt: Some(Attempt { at, took_ms: 0, result: "panicked".to_owned(), detail }),
            fallback: Vec::new(),
        }
    }

    async fn concluded(&self, claim: &Claim) -> Settlement {
        let begun = self.clock.now();
        if let Some(until) = self.paced(&claim.target, begun) {
            let next = Next::Again { step: claim.step.clone(), at: until, failures: claim.failures };
            return Settlement { at: begun, next, attempt: None, fallback: Vec::new() };
        }
        let verdict = match self.receivers.integrations.get(&claim.target) {
            Some(receiver) => self.tried(receiver.as_ref(), claim, begun).await,
            None => Verdict::Permanent {
                reason: FailureReason::Configuration,
                detail: format!(
                    "the configuration has no integration {} of receiver {} any more",
                    claim.target.integration, claim.target.receiver
                ),
            },
        };
        let at = self.clock.now();
        if let (Verdict::Retry { after: Some(after), .. }, Some(lane)) = (&verdict, self.lanes.get(&claim.target)) {
            lane.lock().paused_until = Some(at + *after);
        }
        let confirm_timeout =
            self.receivers.integrations.get(&claim.target).map_or(Duration::ZERO, |it| it.confirm_timeout());
        let next = next::step(claim, &verdict, &self.settings, confirm_timeout, at);
        let gave_up = matches!(next, Next::Dead { .. }) && claim.notification.action == Action::Trigger;
        Settlement {
            at,
            next,
            attempt: Some(Attempt {
                at,
                took_ms: u64::try_from(at.duration_since(begun).as_millis()).unwrap_or(0),
                result: next::result(&verdict).to_owned(),
                detail: next::detail(&verdict),
            }),
            fallback: if gave_up { self.fallback(&claim.target.receiver, &claim.notification) } else { Vec::new() },
        }
    }

    /// Until when the user's own pacing has the integration wait.
    fn paced(&self, target: &Target, now: Timestamp) -> Option<Timestamp> {
        let lane = self.lanes.get(target)?;
        let limiter = lane.limiter.as_ref()?;
        let early = limiter.check().err()?;
        let wait = early.wait_time_from(governor::clock::DefaultClock::default().now());
        let until = now + SignedDuration::try_from(wait).unwrap_or(SignedDuration::ZERO);
        lane.lock().paused_until = Some(until);
        Some(until)
    }

    /// Renders, sends and judges.
    async fn tried(&self, receiver: &dyn Receiver, claim: &Claim, now: Timestamp) -> Verdict {
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
            Ok(reply) => receiver.judge(&claim.step, claim.notification.action, &reply),
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
        })
        .collect()
}

impl Lane {
    fn lock(&self) -> std::sync::MutexGuard<'_, Traffic> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self, now: Timestamp) -> u32 {
        let traffic = self.lock();
        if traffic.paused_until.is_some_and(|until| until > now) {
            return 0;
        }
        // Paced, one at a time is as much as can be of use.
        let most = if self.limiter.is_some() { 1 } else { CONCURRENCY };
        most.saturating_sub(traffic.under_way)
    }
}
