//! `alertbridge receivers test NAME`: a trigger marked `[TEST]` and its resolve, for real, with
//! what the receiver answered.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::bail;
use clap::Subcommand;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{exit, options::Json};
use crate::{
    cli::{
        plain::{self, plain},
        table,
    },
    clock::Clock,
    config::{Config, Files, Loaded},
    deliver::{Client, Deliverer, Terms},
    delivery::{self, Action, DeliveryState, Notification},
    incident::{ATLASSIAN_SLI, Phase, Series, State, Values},
    label::Labels,
    message::{Authenticity, Message, Outcome},
    receiver,
    store::{Decision, DeliveryRow, Intake, Kind, Silencing, Store, Subject, sqlite::Sqlite},
};

/// Test receivers
#[derive(Debug, Subcommand)]
pub enum Receivers {
    /// Send a `[TEST]` trigger and its resolve to one receiver
    #[command(after_help = "\
Both are real: whoever is on call hears of it. What cannot be delivered in
20 s has failed. Needs no `serve`, and no store.

Exit status: 0 both are delivered, 1 one is not or the configuration is
wrong, 2 wrong usage.

Examples:
  alertbridge receivers test oncall
  alertbridge receivers test oncall --json | jq '.[].state'")]
    Test {
        /// The receiver's name in the configuration
        name: String,
        #[command(flatten)]
        print: Json,
    },
}

impl Receivers {
    pub async fn run(self, config: Option<&Path>) -> anyhow::Result<ExitCode> {
        let Self::Test { name, print } = self;
        let Loaded { config, rules, .. } = Config::load(config, Files::Needed)?;
        let delivered = test(
            Arc::clone(&rules.receivers),
            &name,
            &config.delivery,
            config.global.external_url,
            Clock::system(),
            print.json,
            &mut io::stdout(),
        )
        .await?;

        Ok(exit(delivered))
    }
}

/// A person waits: what cannot be had in this time is a failure here.
const PATIENCE: u64 = 20;

/// Sends both and says what came of them; false where one was not delivered.
async fn test(
    receivers: Arc<receiver::Receivers>,
    name: &str,
    settings: &delivery::Settings,
    external_url: Option<String>,
    clock: Clock,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    if receivers.of(name).next().is_none() {
        let known = receivers
            .integrations
            .keys()
            .map(|target| target.receiver.as_str())
            .collect::<BTreeSet<_>>();
        bail!(
            "no receiver with integrations is called `{name}`; there are: {}",
            known.into_iter().collect::<Vec<_>>().join(", ")
        );
    }

    let store: Arc<dyn Store> = Arc::new(Sqlite::throw_away()?);
    let now = Timestamp::from_second(clock.now().as_second())?;
    let incident_id = format!("test:{}", now.as_second());

    for action in [Action::Trigger, Action::Resolve] {
        owe(
            store.as_ref(),
            &receivers,
            name,
            &page(action, &incident_id, now),
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

    let client = Client::new(&receivers, settings.timeout.as_std(), &|name| {
        std::env::var(name).ok()
    })?
    .printing_aside(json);

    let terms = Terms::new(Arc::clone(&receivers), patience, external_url, client);
    let deliverer = Arc::new(Deliverer::new(
        store.clone(),
        terms,
        clock,
        Arc::new(Notify::new()),
    ));

    let stop = CancellationToken::new();
    let running = tokio::spawn(deliverer.run(stop.clone()));
    let mut told = BTreeSet::new();
    let settled = loop {
        let deliveries = store.deliveries(None, u32::MAX).await?;
        let pending = deliveries
            .iter()
            .filter(|delivery| delivery.state == DeliveryState::Pending);
        for delivery in pending.clone().filter(|delivery| delivery.failures > 0) {
            // The first failure is news, the next are the same.
            if told.insert(delivery.id) {
                let why = delivery.detail.as_deref().unwrap_or_default();
                eprintln!(
                    "{}: {}; trying for {PATIENCE} s",
                    delivery.integration,
                    plain(why)
                );
            }
        }
        if pending.count() == 0 {
            break deliveries;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };

    stop.cancel();
    running.await?;

    report(settled, json, out)
}

fn page(action: Action, incident_id: &str, now: Timestamp) -> Notification {
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
        reason: Some(
            "a test page, asked for with `alertbridge receivers test`: nothing is wrong".into(),
        ),
        mail: None,
        doubt: None,
        was: None,
    }
}

/// Owes the page by way of a decision, as every page is.
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
    let phase = if page.action == Action::Trigger {
        Phase::Firing
    } else {
        Phase::Resolved
    };

    let deliveries = receivers
        .owed(name, page, None, now)
        .into_iter()
        .filter(|delivery| {
            page.action == Action::Trigger
                || receivers
                    .integrations
                    .get(&delivery.target)
                    .is_some_and(|integration| integration.send_resolved())
        })
        // A test tests this receiver and wakes no other.
        .map(|delivery| crate::store::NewDelivery {
            fallback_at: None,
            ..delivery
        })
        .collect();

    let decision = Decision {
        profile: None,
        outcome: Outcome::Opened,
        reason: None,
        labels: page.labels.clone(),
        state: Some(State {
            phase,
            status: "TEST".into(),
            newest: None,
            verified: true,
            untold: false,
            episode: 1,
            told: Values::new(),
        }),
        applied: false,
        deliveries,
        receivers: vec![name.to_owned()],
        check_at: None,
        hold: None,
        marked: false,
        late: None,
        claims: Vec::new(),
        supersedes: false,
        silencing: Silencing::AsItIs,
        heard_at: None,
        arrival: None,
    };

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

fn report(
    mut deliveries: Vec<DeliveryRow>,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    deliveries.sort_by_key(|delivery| delivery.id);
    let all = deliveries
        .iter()
        .all(|delivery| delivery.state == DeliveryState::Delivered);
    if json {
        writeln!(out, "{}", plain::json(&deliveries)?)?;
        return Ok(all);
    }

    let rows = deliveries.into_iter().map(|delivery| {
        let (action, state) = (
            delivery.action.as_str().to_owned(),
            delivery.state.as_str().to_owned(),
        );
        vec![
            delivery.receiver,
            delivery.integration,
            action,
            state,
            delivery.detail.unwrap_or_default(),
        ]
    });

    writeln!(
        out,
        "{}",
        table::of(
            &["RECEIVER", "INTEGRATION", "ACTION", "STATE", "DETAIL"],
            rows
        )
    )?;

    Ok(all)
}
