//! One attempt at a claim, from rendering to settlement.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Deliverer, Terms,
    breaker::{self, Change},
    failure::Failure,
    flight::{Flight, Lease},
    next,
    unsaid::Unsaid,
};
use crate::{
    crash,
    delivery::{Action, FailureReason, Target, Verdict},
    receiver::{Keys, Parcel, Receiver, RenderError, Reply, Texts, status},
    store::{Attempt, Claim, Next, Settled, Settlement, StoreError},
    telemetry,
    vital::Vital,
};

/// The pause between attempts to record a result while the store fails.
const RECORD_EVERY: Duration = Duration::from_millis(500);

/// The part of the lease that is reserved for recording an attempt that may last as long as the
/// lease.
const RECORDED_WITHIN: Duration = Duration::from_secs(3);

impl Deliverer {
    pub(super) async fn attempt(
        self: Arc<Self>,
        terms: Arc<Terms>,
        mut claim: Claim,
        flight: Flight,
    ) {
        // If this task died, its slot and its lease would never be given back.
        let _vital = Vital("an attempt");
        crash::point("claimed");
        let traffic = terms.traffic.get(&claim.target).filter(|_| {
            let integration = terms.receivers.integrations.get(&claim.target);
            integration.is_some_and(|integration| integration.resend_delay().is_some())
        });
        let _turn = match traffic {
            Some(traffic) => Some(traffic.turn().read().await),
            None => None,
        };

        let lease_ends = flight.lease().ends;
        if Instant::now() + terms.timeout(&claim.target) > lease_ends {
            // The store took so long that another process may claim and send the delivery before
            // this attempt ends.
            telemetry::lease_lost(&claim);
            return self.ended(&terms, &claim.target, None);
        }

        let begun = self.clock.now();

        // Catch a panic over one page, so that the lanes and counts of the others stay correct.
        let mut span = telemetry::Attempted::begin(&claim, begun);
        let verdict =
            AssertUnwindSafe(self.tried(&terms, &mut claim, begun, lease_ends, &mut span))
                .catch_unwind()
                .await
                .unwrap_or_else(|_| {
                    let detail = "this program has a fault: rendering or judging the page panicked";
                    unusable(detail.to_owned())
                });

        crash::point("sent");

        span.end(
            next::result(&verdict),
            next::failure(&verdict),
            self.clock.now(),
        );
        let probe_at = self.judged(&terms, &claim, &verdict);
        let settlement = self.concluded(&terms, &claim, &verdict, begun, probe_at);
        let pause = pause_after(&verdict, settlement.at);

        // The receiver has finished: another attempt may begin while this one is recorded.
        self.ended(&terms, &claim.target, pause);

        let settled = self.recorded(&claim, &settlement, flight.land()).await;
        report(&claim, &settlement, &settled);

        crash::point("settled");

        if !matches!(settled, Ok(Settled::Last)) {
            self.bell.notify_one();
        }
    }

    /// Frees the slot of an attempt that has ended. If something due waits for it, wakes the loop.
    fn ended(&self, terms: &Terms, target: &Target, pause: Option<Timestamp>) {
        if terms
            .traffic
            .get(target)
            .is_some_and(|traffic| traffic.end(pause))
        {
            self.bell.notify_one();
        }
    }

    /// Records the settlement (the third commit).
    ///
    /// A store that is full, locked or failing is retried while the lease lasts, because an attempt
    /// that is not recorded is sent again.
    async fn recorded(
        &self,
        claim: &Claim,
        settlement: &Settlement,
        lease: Lease,
    ) -> Result<Settled, StoreError> {
        loop {
            match self
                .store
                .settle(claim.id, lease.number, settlement.clone())
                .await
            {
                Err(StoreError::Full | StoreError::Locked | StoreError::Failed(_))
                    if Instant::now() < lease.ends => {}
                result => return result,
            }
            tokio::time::sleep(RECORD_EVERY).await;
        }
    }

    /// Applies the verdict to the integration's circuit breaker. Returns the time of the next
    /// attempt if the integration does not answer.
    fn judged(&self, terms: &Terms, claim: &Claim, verdict: &Verdict) -> Option<Timestamp> {
        let target = &claim.target;
        let now = self.clock.now();

        // An integration that a reload removed has no breaker left to update.
        let traffic = Arc::clone(self.terms().traffic.get(target)?);
        let (change, probe_at) = traffic.judge(claim.id, verdict, &terms.settings.backoff, now);

        match change {
            Some(Change::Opened { failures }) => telemetry::circuit_opened(target, failures),
            Some(Change::Closed) => telemetry::circuit_closed(target),
            None => {}
        }

        probe_at
    }

    /// Returns what the store must hold after a verdict.
    fn concluded(
        &self,
        terms: &Terms,
        claim: &Claim,
        verdict: &Verdict,
        begun: Timestamp,
        probe_at: Option<Timestamp>,
    ) -> Settlement {
        let at = self.clock.now();
        // A detail may name a receipt, which contains values from the environment as they are.
        let given = terms.receivers.given(&claim.target);
        let keys = Keys::Read(Texts::default()).hiding(given);
        let detail = keys.shown(&next::detail(verdict, &claim.step));

        let mut next = next::step(claim, verdict, &terms.settings, probe_at, at);
        if let Next::Dead { reason, .. } = &mut next {
            *reason = keys.shown(reason);
        }

        let page = &claim.notification;
        let gave_up =
            matches!(next, Next::Dead { .. }) && (page.action == Action::Trigger || page.rose());

        Settlement {
            at,
            next,
            attempt: Some(Attempt {
                at,
                took_ms: u64::try_from(at.duration_since(begun).as_millis()).unwrap_or(0),
                result: next::result(verdict).to_owned(),
                detail,
            }),
            fallback: if gave_up {
                self.fallback(&claim.target, &claim.notification)
            } else {
                Vec::new()
            },
        }
    }

    async fn tried(
        &self,
        terms: &Terms,
        claim: &mut Claim,
        now: Timestamp,
        lease_ends: Instant,
        span: &mut telemetry::Attempted,
    ) -> Verdict {
        let Some(receiver) = terms.receivers.integrations.get(&claim.target) else {
            let Target {
                receiver,
                integration,
            } = &claim.target;
            let detail = format!(
                "the configuration has no integration {integration} of receiver {receiver} any more"
            );
            return Verdict::Permanent {
                reason: FailureReason::Configuration,
                detail,
            };
        };

        let mut parcel = Parcel {
            delivery: claim.id,
            alias: &claim.alias,
            notification: &claim.notification,
            step: claim.step.proper(),
            receipt: claim.receipt.as_deref(),
            now,
            external_url: terms.external_url.as_deref(),
        };

        let receipts = if claim.step.end().is_none() && receiver.ends_each(&parcel) {
            match self.store.receipts(claim.id).await {
                Ok(receipts) => receipts,
                Err(error) => return unusable(error.to_string()),
            }
        } else {
            Vec::new()
        };
        parcel.receipt = claim.step.end().map(String::as_str).or(parcel.receipt);

        let verdict = sent(terms, receiver.as_ref(), claim, &parcel, lease_ends, span).await;
        let verdict = next::unheard(verdict, &mut claim.step);
        let verdict = next::of_each(verdict, &mut claim.step, receipts);
        next::matured(
            verdict,
            &claim.step,
            receiver.confirm_timeout(),
            self.clock.now(),
        )
    }
}

/// Returns the time until which the receiver asks to be left alone.
fn pause_after(verdict: &Verdict, at: Timestamp) -> Option<Timestamp> {
    match verdict {
        Verdict::Retry {
            after: Some(after), ..
        } => Some(next::later(at, *after)),
        _ => None,
    }
}

/// Logs and counts the outcome of an attempt.
fn report(claim: &Claim, settlement: &Settlement, settled: &Result<Settled, StoreError>) {
    match settled {
        Ok(Settled::Last | Settled::Onward) => telemetry::attempt_settled(claim, settlement),
        Ok(Settled::Lost) => telemetry::lease_lost(claim),
        Err(error) => telemetry::store_failed(
            "an attempt could not be recorded: it will be repeated",
            error,
        ),
    }
}

/// Returns the verdict on a page that could not be sent for a reason of the bridge's own.
fn unusable(detail: String) -> Verdict {
    Verdict::Retry {
        reason: FailureReason::Configuration,
        detail,
        after: None,
    }
}

/// Renders and sends the page, and judges the reply.
async fn sent(
    terms: &Terms,
    receiver: &dyn Receiver,
    claim: &Claim,
    parcel: &Parcel<'_>,
    lease_ends: Instant,
    span: &mut telemetry::Attempted,
) -> Verdict {
    let keys = match Keys::read(receiver) {
        Ok(keys) => keys,
        Err(error) => return unusable(error.to_string()),
    };

    let mut request = match receiver.request(parcel, &keys) {
        Ok(request) => request,
        Err(error @ RenderError::Impossible(_)) => {
            return Verdict::Permanent {
                reason: FailureReason::Configuration,
                detail: keys.shown(&error.to_string()),
            };
        }
        Err(error) => return unusable(error.to_string()),
    };

    span.asks(request.method, &request.url);
    let given = terms.receivers.given(&claim.target);
    let unsaid = Unsaid::new(keys.clone(), &terms.client, &request, given);

    let sent = if let Some(smarthost) = receiver.smarthost() {
        let login = smarthost.login(&keys);
        let until = lease_ends
            .checked_sub(RECORDED_WITHIN)
            .unwrap_or(lease_ends);
        terms
            .client
            .mail(&claim.target, login, &request, until)
            .await
    } else {
        request.carry(span.header());
        terms.client.send(&claim.target, request).await
    };
    if let Ok(reply) = &sent {
        span.answered(reply.status);
    }

    let verdict = match sent {
        Ok(reply) => {
            let reply = status::dated(reply, parcel.now);
            unsaid.judged(&reply, |reply| answered(receiver, parcel, reply))
        }
        Err(failure) => unanswered(failure, receiver.knows_repeats()),
    };

    unsaid.shown(breaker::probed(verdict))
}

/// Returns the verdict on a reply.
fn answered(receiver: &dyn Receiver, parcel: &Parcel<'_>, reply: &Reply) -> Verdict {
    let verdict = receiver.judge(parcel, reply);

    // The reply codes of a mail server do not have the meaning of HTTP's.
    let is_http = receiver.smarthost().is_none();
    if is_http && status::may_be_taken(reply.status) && !receiver.knows_repeats() {
        next::unconfirmed(verdict)
    } else {
        verdict
    }
}

/// Returns the verdict on a request without a reply.
///
/// A receiver that does not recognise repeats may have taken the page, and would take it twice. It
/// therefore gets the page again only a limited number of times, and not at all if it did reply but
/// the reply cannot be read, since it will reply in that way again.
fn unanswered(failure: Failure, knows_repeats: bool) -> Verdict {
    let Failure {
        reason,
        may_be_taken,
        detail,
    } = failure;
    let is_doubtful = may_be_taken && !knows_repeats;

    if is_doubtful && reason == FailureReason::UnexpectedReply {
        return Verdict::Permanent { reason, detail };
    }
    Verdict::Retry {
        reason: if is_doubtful {
            FailureReason::Unconfirmed
        } else {
            reason
        },
        detail,
        after: None,
    }
}
