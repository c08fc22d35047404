//! The bridge's own canaries.
//!
//! They are recognised by their signature, before their content is interpreted, and decided by
//! their own rules. A canary yields neither an alert nor a page.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::{Pipeline, rules::Rules, slots::Slots};
use crate::{
    canary::{Canary, Key, LANE, SINK},
    delivery::{Action, NewDelivery, Notification},
    incident::{ATLASSIAN_SLI, Phase, Series, State, Values},
    label::{self, Labels},
    message::{Message, Outcome},
    settings::Duration,
    store::{self, Decision, Kind, Memory, Silencing, StoreError, StoredMail, Subject},
    telemetry,
};

/// The deadline of a canary if none is configured any more.
const DEADLINE: Duration = Duration::from_secs(300);
const STATUS: &str = "CANARY";

/// Recognises canaries and records their progress.
pub(super) struct Canaries {
    key: Key,
    store: Arc<dyn store::Canaries>,
}

impl Pipeline {
    /// Adds the recognition of the bridge's own canaries.
    #[must_use]
    pub fn with_canaries(self, key: Key, store: Arc<dyn store::Canaries>) -> Self {
        Self {
            canaries: Some(Canaries { key, store }),
            ..self
        }
    }

    pub(super) fn canary(&self, mail: &Message) -> Option<Canary> {
        self.canaries.as_ref()?.key.recognise(&mail.raw)
    }

    /// Records the arrival of the canaries among stored mails.
    pub(super) async fn canaries_arrived(&self, mails: &[StoredMail], times: [Timestamp; 2]) {
        for mail in mails {
            let Some(canary) = self.canary(&mail.message) else {
                continue;
            };
            // A failure is harmless: the arrival is recorded again when the canary is decided.
            if let Err(error) = self.arrived(canary, mail, times).await {
                telemetry::store_failed("the arrival of a canary could not be recorded", &error);
            }
        }
    }

    /// Records the arrival of a canary; returns whether it counts: it is not too old, and no other
    /// mail brought it before.
    async fn arrived(
        &self,
        canary: Canary,
        mail: &StoredMail,
        times: [Timestamp; 2],
    ) -> Result<bool, StoreError> {
        let Some(Canaries { store, .. }) = &self.canaries else {
            return Ok(false);
        };
        let in_force = self.in_force();
        let deadline = in_force.canary.as_ref();
        let deadline = deadline.map_or(DEADLINE, |canary| canary.deadline);
        let not_before = times[0].saturating_sub(deadline.as_signed());
        let not_before = not_before.unwrap_or(Timestamp::MIN);

        store
            .canary_arrived(canary.number, mail.id, times, not_before)
            .await
    }

    /// Makes the second commit of a canary: it is delivered to nobody, along the path of every
    /// page.
    pub(super) async fn conclude_canary(
        &self,
        canary: Canary,
        mail: &StoredMail,
    ) -> Result<(), StoreError> {
        let read = self.clock.now();
        let counts = self.arrived(canary, mail, [read, read]).await?;
        let (rules, id, arrived_at) = (
            Arc::clone(&self.in_force().rules),
            mail.id,
            mail.message.arrived_at,
        );
        let conclude = move |_: &Memory| {
            if counts {
                rules.delivered_to_nobody(canary, id, arrived_at, read)
            } else {
                let reason = "a canary of the bridge that is too old or has arrived before";
                Decision::nothing(Outcome::Ignored, reason, labels())
            }
        };

        let (slots, reserve) = Slots::reserved(&self.deliverer);
        let decided = self
            .store
            .decide(id, Some(subject(mail)), read, reserve(Box::new(conclude)))
            .await?;
        let Some(decision) = decided else {
            return Ok(());
        };

        if let Some(Canaries { store, .. }) = self.canaries.as_ref().filter(|_| counts) {
            let decided = self.clock.now();
            store.canary_decided(canary.number, [read, decided]).await?;
        }

        let times = [read, self.clock.now()];
        telemetry::mail_decided(mail, std::slice::from_ref(&decision), times);
        self.deliverer.begin(decision, slots.next());

        Ok(())
    }
}

impl Rules {
    fn delivered_to_nobody(
        &self,
        canary: Canary,
        mail: crate::message::MailId,
        arrived_at: Timestamp,
        now: Timestamp,
    ) -> Decision {
        let page = Notification {
            action: Action::Trigger,
            incident_id: LANE.to_owned(),
            labels: labels(),
            incident: json!({ "number": canary.number }),
            arrived_at,
            time: Some(canary.begun_at),
            reason: Some(format!("canary {}", canary.number)),
            mail: Some(mail),
            doubt: None,
            was: None,
            stays: false,
        };
        let deliveries: Vec<NewDelivery> = self.receivers.owed(SINK, &page, None, now);

        Decision {
            state: Some(State {
                phase: Phase::Resolved,
                status: STATUS.into(),
                newest: None,
                verified: true,
                untold: false,
                episode: 1,
                told: Values::new(),
            }),
            deliveries,
            silencing: Silencing::AsItIs,
            ..Decision::nothing(
                Outcome::Ignored,
                "a canary of the bridge that came through",
                labels(),
            )
        }
    }
}

fn labels() -> Labels {
    let labels = [
        ("kind", "canary"),
        ("severity", "info"),
        ("state", "resolved"),
    ];
    let labels = labels.map(|(name, value)| (name.into(), value.to_owned()));
    label::complete(labels.into_iter().collect())
}

fn subject(mail: &StoredMail) -> Subject {
    Subject {
        kind: Kind::Own,
        incident_id: LANE.to_owned(),
        status: STATUS.to_owned(),
        time: None,
        profile: ATLASSIAN_SLI.into(),
        series: Series::default(),
        ingress: mail.message.ingress.clone(),
        verified: true,
    }
}
