//! The bridge watches itself, and reports its troubles by pages with `kind="self"`, through the
//! same routes: one page per condition, and a resolve when it is over. Dead letters are told again
//! when more pages die.
//!
//! A look every few seconds asks the store and the ingresses what is wrong. What is told is kept in
//! the store as an incident of the bridge's own, so that a restart repeats nothing and forgets
//! nothing. The same look acts when mail stops coming, by the settings of `profiles:` ([`quiet`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::{Notify, watch::Receiver};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    delivery::{Action, Notification},
    incident::Phase,
    ingress::{Condition, Health},
    label::Labels,
    pipeline::InForce,
    store::{Intake, Item, Kind, StoreError, Subject, Upkeep},
    telemetry,
};

pub mod canary;
mod complaint;
mod quiet;

use complaint::{Complaint, complaints, is_worse, may_go_on_elsewhere, over, severity};

const EVERY: Duration = Duration::from_secs(5);
/// The most time that passes between two looks, unless the clock was set or the machine was
/// suspended. After such a leap nothing counts as overdue yet.
const LEAP: SignedDuration = SignedDuration::from_mins(1);

/// The task that watches the bridge itself.
pub struct Watch {
    /// The store, which is asked for troubles.
    pub upkeep: Arc<dyn Upkeep>,
    /// The store, in which alarms are decided.
    pub intake: Arc<dyn Intake>,
    pub in_force: Receiver<Arc<InForce>>,
    pub health: Health,
    /// The configured ingresses.
    pub ingresses: Vec<String>,
    /// The ingresses that other replicas serve as well. One that does not work here is not told of:
    /// readiness reports it, and mail goes to the other replicas. What was lost at one is told, and
    /// the replicas that know nothing of it leave its alarm open for a day.
    pub shared: Vec<String>,
    /// The ingresses that are mailboxes, which keep mail until it is read.
    pub mailboxes: Vec<String>,
    pub clock: Clock,
    /// Notified when deliveries are created.
    pub owed: Arc<Notify>,
}

/// The time since which the bridge has watched itself without a gap, and the troubles at the last
/// look.
#[derive(Debug)]
struct Vigil {
    since: Timestamp,
    last: Timestamp,
    open: BTreeSet<String>,
}

/// Why an alarm is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// It has begun, or has ended.
    News,
    /// It is open, and a silence or a mute has kept it from everybody.
    Untold,
    /// It is open, and has become worse since it was told at this time.
    Worse(Timestamp),
}

impl Vigil {
    fn begin(now: Timestamp) -> Self {
        Self {
            since: now,
            last: now,
            open: BTreeSet::new(),
        }
    }
}

impl Watch {
    /// Looks at intervals until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut vigil = Vigil::begin(self.clock.now());
        while !stop.is_cancelled() {
            if let Err(error) = self.look(&mut vigil).await {
                telemetry::store_failed(
                    "the bridge could not check itself: it will try again",
                    &error,
                );
            }
            if let Err(error) = self.look_for_quiet(&vigil).await {
                telemetry::store_failed(
                    "missing mail could not be checked for: it will be tried again",
                    &error,
                );
            }
            stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
        }
    }

    async fn look(&self, vigil: &mut Vigil) -> Result<(), StoreError> {
        let now = self.clock.now();
        if now.duration_since(vigil.last).abs() > LEAP {
            vigil.since = now;
        }

        vigil.last = now;

        let concerns = self.upkeep.concerns().await?;
        let health = self.health.conditions();

        let complaints = complaints(&concerns, &health, &self.shared, vigil.since, now);
        let open = concerns
            .alarms
            .iter()
            .map(|alarm| alarm.incident_id.clone())
            .collect();

        telemetry::alarms(&vigil.open, &open);
        vigil.open = open;
        for complaint in &complaints {
            let alarm = concerns
                .alarms
                .iter()
                .find(|alarm| alarm.incident_id == complaint.incident_id);
            let occasion = match alarm {
                None => Occasion::News,
                Some(alarm) if alarm.untold => Occasion::Untold,
                Some(alarm) if is_worse(alarm, &concerns, now) => Occasion::Worse(alarm.told_at),
                Some(_) => continue,
            };
            self.tell(Action::Trigger, complaint, occasion, now).await?;
        }

        for alarm in &concerns.alarms {
            let goes_on = complaints
                .iter()
                .any(|complaint| complaint.incident_id == alarm.incident_id);
            if goes_on || may_go_on_elsewhere(alarm, &self.shared, now) {
                continue;
            }
            if let Some(text) = over(&alarm.incident_id, &self.standing_of(&health)) {
                let complaint = Complaint {
                    incident_id: alarm.incident_id.clone(),
                    text,
                };
                self.tell(Action::Resolve, &complaint, Occasion::News, now)
                    .await?;
            }
        }

        Ok(())
    }

    /// Returns every configured ingress with its condition.
    fn standing_of<'a>(
        &'a self,
        health: &'a BTreeMap<String, Condition>,
    ) -> BTreeMap<&'a str, Option<&'a Condition>> {
        self.ingresses
            .iter()
            .map(|name| (name.as_str(), health.get(name)))
            .collect()
    }

    /// Announces an alarm or its end.
    async fn tell(
        &self,
        action: Action,
        complaint: &Complaint,
        occasion: Occasion,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let status = if action == Action::Trigger {
            "FIRING"
        } else {
            "OVER"
        };

        let page = page(action, complaint, status, now);
        let subject = Subject::own(&complaint.incident_id, status);

        let rules = Arc::clone(&self.in_force.borrow().rules);
        let mutes = rules.mutes();
        let conclude = Box::new(move |memory: &_| match occasion {
            Occasion::News | Occasion::Untold => rules.announce(page, status, memory, now),
            Occasion::Worse(told_at) => rules.announce_again(page, status, told_at, memory, now),
        });
        let item = Item::about(subject, conclude, mutes);
        let decision = self.intake.announce(item, now).await?;

        if decision.state.is_some() && (occasion == Occasion::News || decision.tells()) {
            let firing = action == Action::Trigger;
            telemetry::alarm(
                &complaint.incident_id,
                firing,
                &complaint.text,
                &decision.receivers,
            );
        }

        if !decision.deliveries.is_empty() {
            self.owed.notify_one();
        }

        Ok(())
    }
}

fn page(action: Action, complaint: &Complaint, status: &str, now: Timestamp) -> Notification {
    let phase = if action == Action::Trigger {
        Phase::Firing
    } else {
        Phase::Resolved
    };

    let mut labels: Labels = [
        ("kind", Kind::Own.as_str()),
        ("incident_id", &complaint.incident_id),
        ("severity", severity(&complaint.incident_id)),
        ("status", status),
        ("state", phase.as_str()),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), value.to_owned()))
    .collect();

    labels.extend(
        complaint
            .about()
            .map(|(name, value)| (name.into(), value.to_owned())),
    );

    Notification {
        action,
        incident_id: complaint.incident_id.clone(),
        labels,
        incident: Value::Null,
        arrived_at: now,
        time: None,
        reason: Some(complaint.text.clone()),
        mail: None,
        doubt: None,
        was: None,
        stays: false,
    }
}

#[cfg(test)]
mod tests;
