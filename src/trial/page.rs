//! The test of a receiver by a page: a real trigger marked `[TEST]` and its resolve, over a state
//! that is discarded.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    deliver::{Client, Deliverer, Terms},
    delivery::{self, Action, DeliveryState, Notification},
    incident::{ATLASSIAN_SLI, Phase, Series, State, Values},
    label::Labels,
    message::{Authenticity, Message, Outcome},
    receiver,
    store::{Decision, DeliveryRow, Intake, Kind, NewDelivery, Store, Subject, sqlite::Sqlite},
};

/// The time limit in seconds. A person waits, so anything slower counts as a failure here.
pub const PATIENCE: u64 = 20;

/// Sends both pages to a receiver, which has integrations, and returns the results. `failing` is
/// called with the first failure of each delivery.
pub async fn test(
    receivers: Arc<receiver::Receivers>,
    name: &str,
    settings: &delivery::Settings,
    external_url: Option<String>,
    client: Client,
    clock: Clock,
    mut failing: impl FnMut(&DeliveryRow) + Send,
) -> anyhow::Result<Vec<DeliveryRow>> {
    let store: Arc<dyn Store> = Arc::new(Sqlite::throw_away()?);
    let now = Timestamp::from_second(clock.now().as_second())?;
    let incident_id = format!("test:{}", now.as_second());

    for action in [Action::Trigger, Action::Resolve] {
        owe(
            store.as_ref(),
            &receivers,
            name,
            &notification(action, &incident_id, now),
            now,
        )
        .await?;
    }

    let give_up_after = crate::settings::Duration::from_secs(PATIENCE);
    let patience = delivery::Settings {
        give_up_after,
        fewest_failures: 1,
        ..settings.clone()
    };

    let terms = Terms::new(Arc::clone(&receivers), patience, external_url, client);
    let deliverer = Arc::new(Deliverer::new(
        store.clone(),
        terms,
        clock,
        Arc::new(Notify::new()),
    ));

    let stop = CancellationToken::new();
    let running = tokio::spawn(deliverer.run(stop.clone()));
    let settled = settled(store.as_ref(), &mut failing).await?;
    stop.cancel();
    running.await?;

    Ok(settled)
}

/// Waits until nothing is pending any more.
async fn settled(
    store: &dyn Store,
    failing: &mut (impl FnMut(&DeliveryRow) + Send),
) -> anyhow::Result<Vec<DeliveryRow>> {
    let mut told = BTreeSet::new();

    loop {
        let mut deliveries = store.deliveries(None, u32::MAX).await?;
        let pending = deliveries
            .iter()
            .filter(|delivery| delivery.state == DeliveryState::Pending);

        for delivery in pending.clone().filter(|delivery| delivery.failures > 0) {
            // Only the first failure is reported, because the following ones are the same.
            if told.insert(delivery.id) {
                failing(delivery);
            }
        }

        if pending.count() == 0 {
            deliveries.sort_by_key(|delivery| delivery.id);
            return Ok(deliveries);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn notification(action: Action, incident_id: &str, now: Timestamp) -> Notification {
    let state = if action == Action::Trigger {
        "firing"
    } else {
        "resolved"
    };

    let labels: Labels = [
        ("kind", "test"),
        ("incident_id", incident_id),
        ("app_name", "alertbridge"),
        ("app_key", "alertbridge"),
        ("metric", "test page"),
        ("status", "TEST"),
        ("severity", "warning"),
        ("state", state),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), value.to_owned()))
    .collect();

    Notification {
        action,
        incident_id: incident_id.to_owned(),
        labels: crate::label::complete(labels),
        incident: Value::Null,
        arrived_at: now,
        time: Some(now),
        reason: Some("a test page, asked for by a person: nothing is wrong".into()),
        mail: None,
        doubt: None,
        was: None,
        stays: false,
    }
}

/// Creates the page's deliveries by a decision, like those of every page.
async fn owe(
    store: &dyn Intake,
    receivers: &receiver::Receivers,
    name: &str,
    page: &Notification,
    now: Timestamp,
) -> anyhow::Result<()> {
    let stub = Message {
        ingress: "test".into(),
        arrived_at: now,
        raw: bytes::Bytes::new(),
        cut_from: None,
        withheld: None,
        envelope: None,
    };

    let ids = store
        .record(vec![(stub, Authenticity::off())], None)
        .await?;
    let decision = decision(receivers, name, page, now);
    let subject = Subject {
        kind: Kind::Incident,
        incident_id: page.incident_id.clone(),
        status: "TEST".into(),
        time: None,
        profile: ATLASSIAN_SLI.into(),
        series: Series::default(),
        ingress: "test".into(),
        verified: true,
    };

    for id in ids {
        let decision = decision.clone();
        store
            .decide(id, Some(subject.clone()), now, Box::new(move |_| decision))
            .await?;
    }

    Ok(())
}

fn decision(
    receivers: &receiver::Receivers,
    name: &str,
    page: &Notification,
    now: Timestamp,
) -> Decision {
    let is_trigger = page.action == Action::Trigger;
    let is_sent = |delivery: &NewDelivery| {
        let integration = receivers.integrations.get(&delivery.target);
        is_trigger || integration.is_some_and(|integration| integration.send_resolved())
    };

    let deliveries = receivers.owed(name, page, None, now).into_iter();
    let deliveries = deliveries.filter(is_sent).map(|delivery| NewDelivery {
        // A test is for this receiver and notifies no other.
        fallback_at: None,
        ..delivery
    });

    Decision {
        reason: None,
        state: Some(State {
            phase: if is_trigger {
                Phase::Firing
            } else {
                Phase::Resolved
            },
            status: "TEST".into(),
            newest: None,
            verified: true,
            untold: false,
            episode: 1,
            told: Values::new(),
        }),
        deliveries: deliveries.collect(),
        receivers: vec![name.to_owned()],
        ..Decision::nothing(Outcome::Opened, "", page.labels.clone())
    }
}
