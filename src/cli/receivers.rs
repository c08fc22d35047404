//! `alertbridge receivers test NAME`: sends a real trigger marked `[TEST]` and its resolve, and
//! shows the receiver's answers.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::bail;
use clap::Subcommand;

use super::{exit, options::Json};
use crate::{
    cli::{
        plain::{self, plain},
        table,
    },
    clock::Clock,
    config::{Config, Files, Loaded},
    deliver::Client,
    delivery::{self, DeliveryState},
    receiver,
    store::DeliveryRow,
    trial::page::{self, PATIENCE},
};

/// Test receivers
#[derive(Debug, Subcommand)]
pub enum Receivers {
    /// Send a `[TEST]` trigger and its resolve to one receiver
    #[command(after_help = "\
Both are real: the person on call is notified. A page that cannot be delivered
in 20 s has failed. It needs neither a running `serve` nor a store.

Exit status: 0 both are delivered, 1 one is not or the configuration is
wrong, 2 wrong usage.

Examples:
  alertbridge receivers test oncall
  alertbridge receivers test oncall --json | jq '.[].state'")]
    Test {
        /// The name of the receiver in the configuration
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

/// Sends both pages and prints the results. Returns false if one was not delivered.
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

    let client = Client::new(&receivers, settings.timeout.as_std(), &|name| {
        std::env::var(name).ok()
    })?
    .printing_aside(json);
    let failing = |delivery: &DeliveryRow| {
        let why = delivery.detail.as_deref().unwrap_or_default();
        tell!(
            "{}: {}; trying for {PATIENCE} s",
            delivery.integration,
            plain(why)
        );
    };

    let settled = page::test(
        receivers,
        name,
        settings,
        external_url,
        client,
        clock,
        failing,
    )
    .await?;

    report(settled, json, out)
}

fn report(deliveries: Vec<DeliveryRow>, json: bool, out: &mut impl Write) -> anyhow::Result<bool> {
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
