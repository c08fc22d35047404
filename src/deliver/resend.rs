//! What a receiver forgets is told again, as long as it stands: by one replica for each
//! integration, in one request for many incidents.
//!
//! A page and a repetition must not pass each other: the end of an incident that is overtaken by an
//! older "it stands" would open it again. Within a process the one waits for the other (see
//! [`Traffic::turn`]); what another replica ended in between is told as over once more.
//!
//! [`Traffic::turn`]: super::traffic::Traffic::turn

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Deliverer, Terms, next};
use crate::{
    delivery::{Step, Target, Verdict},
    receiver::{Keys, Parcel, Receiver},
    store::{Standing, StoreError, Upkeep},
    telemetry,
};

/// How soon what was configured, or became another replica's no more, is seen to.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Incidents told in one request.
const BATCH: u32 = 500;
/// A right to tell lasts for so much more than the pause between two turns, at least.
const LEASE_MARGIN: Duration = Duration::from_secs(3);

impl Deliverer {
    /// Tells again what stands, until `stop`. `turns` says which replica does.
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
                    // It goes on as it did.
                    Ok(()) | Err(_) => {}
                }
            }
            stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
                .await;
        }

        for target in due.keys() {
            // The next need not wait for the right to end.
            let _ = turns.relinquish(&right(target)).await;
        }
    }

    /// Tells one integration all that stands, where it is this replica's turn.
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

        let turn = traffic.turn().write().await;
        let mut told = Vec::new();
        loop {
            let after = told.last().map_or(0, |last: &Standing| last.incident);
            let batch = self
                .store
                .standing(target, after, BATCH)
                .await
                .map_err(said)?;
            let is_last = batch.len() < BATCH as usize;
            self.say(terms, target, receiver, &keys, &batch, true)
                .await?;
            told.extend(batch);
            if is_last {
                break;
            }
        }
        drop(turn);

        if self.is_alone() || !receiver.send_resolved() || told.is_empty() {
            return Ok(());
        }

        let ended = self.ended_meanwhile(target, told).await.map_err(said)?;
        self.say(terms, target, receiver, &keys, &ended, false)
            .await
    }

    /// What another replica ended while it was told.
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
        receiver: &dyn Receiver,
        keys: &Keys,
        told: &[Standing],
        still_open: bool,
    ) -> Result<(), String> {
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

        let keys = keys
            .clone()
            .hiding(terms.client.hidden(&request))
            .hiding(terms.receivers.given(target));
        match terms.client.send(target, request).await {
            Err(failure) => Err(keys.scrub(&failure.detail)),
            Ok(reply) => match receiver.judge(first, &next::scrubbed_reply(reply, &keys)) {
                Verdict::Retry { detail, .. } | Verdict::Permanent { detail, .. } => Err(detail),
                _ => Ok(()),
            },
        }
    }

    fn is_alone(&self) -> bool {
        self.left_to_others.is_zero()
    }
}

/// What the right to tell an integration again is called among replicas.
fn right(target: &Target) -> String {
    format!("resend {}/{}", target.receiver, target.integration)
}
