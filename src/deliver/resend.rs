//! Repetition of open alerts to receivers that forget them. For each integration one replica
//! repeats the alerts of many incidents in one request, for as long as the incidents are open.
//!
//! A page and a repetition must not overtake each other: if an older "still open" arrived after the
//! end of an incident, it would open the incident again. Within a process, the one waits for the
//! other (see [`Traffic::turn`]). An incident that another replica ended in the meantime is
//! reported as resolved once more.
//!
//! [`Traffic::turn`]: super::traffic::Traffic::turn

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Deliverer, Terms, unsaid::Unsaid};
use crate::{
    delivery::{Step, Target, Verdict},
    receiver::{Keys, Parcel, Receiver},
    store::{Standing, StoreError, Upkeep},
    telemetry,
};

/// How soon this replica notices a change of the configuration, or that another replica gave up the
/// right to repeat.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The largest number of incidents in one request.
const BATCH: u32 = 500;
/// How many single alerts are tried at a receiver that takes none: it refuses them all.
const MOST_REFUSED: u32 = 8;
/// The least time by which the lease of the right to repeat exceeds the pause between two turns.
const LEASE_MARGIN: Duration = Duration::from_secs(3);

impl Deliverer {
    /// Repeats open alerts until `stop`. `turns` decides which replica does so.
    pub async fn resend(self: Arc<Self>, turns: Arc<dyn Upkeep>, stop: CancellationToken) {
        let mut due: BTreeMap<Target, Instant> = BTreeMap::new();
        let mut failing: BTreeSet<Target> = BTreeSet::new();

        while !stop.is_cancelled() {
            let terms = self.terms();
            for (target, receiver) in &terms.receivers.integrations {
                let now = Instant::now();
                let Some(delay) = receiver.resend_delay() else {
                    continue;
                };
                if due.get(target).is_some_and(|at| *at > now) {
                    continue;
                }
                due.insert(target.clone(), now + delay);

                let told = self.told_again(&terms, target, receiver.as_ref(), &*turns, delay);
                match told.await {
                    Ok(()) if failing.remove(target) => telemetry::resent(target),
                    Err(why) if failing.insert(target.clone()) => {
                        telemetry::not_resent(target, &why);
                    }
                    // The outcome is the same as last time, so there is nothing to report.
                    Ok(()) | Err(_) => {}
                }
            }
            stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
                .await;
        }

        for target in due.keys() {
            // Give up the right, so that the next holder need not wait until the lease ends.
            let _ = turns.relinquish(&right(target)).await;
        }
    }

    /// Repeats all open alerts of one integration if it is this replica's turn.
    async fn told_again(
        &self,
        terms: &Terms,
        target: &Target,
        receiver: &dyn Receiver,
        turns: &dyn Upkeep,
        delay: Duration,
    ) -> Result<(), String> {
        let said = |error: StoreError| error.to_string();
        let lease = delay + delay.max(LEASE_MARGIN);
        if !turns.consume(&right(target), lease).await.map_err(said)? {
            return Ok(());
        }

        let keys = Keys::read(receiver).map_err(|error| error.to_string())?;
        let Some(traffic) = terms.traffic.get(target) else {
            return Ok(());
        };

        let mut result = Ok(());
        let mut told = Vec::new();
        loop {
            // Pages that wait go between two batches.
            let turn = traffic.turn().write().await;
            let after = told.last().map_or(0, |last: &Standing| last.incident);
            let batch = self
                .store
                .standing(target, after, BATCH)
                .await
                .map_err(said)?;
            let is_last = batch.len() < BATCH as usize;
            let this = self.say_each(terms, target, &keys, &batch, true).await;
            drop(turn);
            result = result.and(this);
            told.extend(batch);
            if is_last {
                break;
            }
        }

        if self.is_alone() || !receiver.send_resolved() || told.is_empty() {
            return result;
        }

        let ended = self.ended_meanwhile(target, told).await.map_err(said)?;
        result.and(self.say_each(terms, target, &keys, &ended, false).await)
    }

    /// Tells of these alerts in as few requests as the receiver takes: a request that it refuses
    /// is halved, down to single alerts, so that only the alert at fault is left out. Returns why
    /// any was left out.
    async fn say_each(
        &self,
        terms: &Terms,
        target: &Target,
        keys: &Keys,
        told: &[Standing],
        still_open: bool,
    ) -> Result<(), String> {
        let (mut parts, mut result) = (vec![told], Ok(()));
        let (mut are_taken, mut refused) = (false, 0);

        while let Some(part) = parts.pop() {
            match self.say(terms, target, keys, part, still_open).await {
                Ok(()) => are_taken = true,
                Err(Untold { is_refused, .. }) if is_refused && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(Untold { why, .. }) => {
                    refused += 1;
                    result = result.and(Err(why));
                    if refused == MOST_REFUSED && !are_taken {
                        break;
                    }
                }
            }
        }

        result
    }

    /// Returns those alerts that another replica resolved while they were repeated.
    async fn ended_meanwhile(
        &self,
        target: &Target,
        mut told: Vec<Standing>,
    ) -> Result<Vec<Standing>, StoreError> {
        let mut after = 0;
        loop {
            let batch = self.store.standing(target, after, BATCH).await?;
            told.retain(|one| batch.iter().all(|still| still.incident != one.incident));
            match batch.last() {
                Some(last) if batch.len() == BATCH as usize => after = last.incident,
                _ => return Ok(told),
            }
        }
    }

    async fn say(
        &self,
        terms: &Terms,
        target: &Target,
        keys: &Keys,
        told: &[Standing],
        still_open: bool,
    ) -> Result<(), Untold> {
        let Some(receiver) = terms.receivers.integrations.get(target) else {
            return Ok(());
        };
        let now = self.clock.now();
        let parcels: Vec<_> = told
            .iter()
            .map(|one| Parcel {
                delivery: one.delivery,
                alias: &one.alias,
                notification: &one.notification,
                step: &Step::Send,
                receipt: one.receipt.as_deref(),
                now,
                external_url: terms.external_url.as_deref(),
            })
            .collect();

        let Some(request) = receiver.resend(&parcels, still_open, keys) else {
            return Ok(());
        };
        let Some(first) = parcels.first() else {
            return Ok(());
        };

        let given = terms.receivers.given(target);
        let unsaid = Unsaid::new(keys.clone(), &terms.client, &request, given);
        let (verdict, status) = match terms.client.send(target, request).await {
            Err(failure) => {
                let verdict = Verdict::Retry {
                    reason: failure.reason,
                    detail: failure.detail,
                    after: None,
                };
                (verdict, 0)
            }
            Ok(reply) => (
                unsaid.judged(&reply, |reply| receiver.judge(first, reply)),
                reply.status,
            ),
        };

        match unsaid.shown(verdict) {
            Verdict::Retry { detail, .. } | Verdict::Permanent { detail, .. } => Err(Untold {
                why: detail,
                is_refused: matches!(status, 400 | 413 | 422),
            }),
            _ => Ok(()),
        }
    }

    fn is_alone(&self) -> bool {
        self.left_to_others.is_zero()
    }
}

/// Why alerts were not told.
struct Untold {
    why: String,
    /// Whether the receiver refused the request for its size or for one of the alerts, so that it
    /// may take a part of them.
    is_refused: bool,
}

/// The name of the right to repeat alerts to an integration.
fn right(target: &Target) -> String {
    format!("resend {}/{}", target.receiver, target.integration)
}
