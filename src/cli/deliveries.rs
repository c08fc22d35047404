//! `alertbridge deliveries`: pending, delivered and dead deliveries.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Subcommand;
use jiff::Timestamp;

use super::{
    desk::Server,
    options::{Json, MOST_ROWS, cut, one_more},
};
use crate::{
    cli::{plain, table},
    clock::Clock,
    delivery::{DeliveryId, DeliveryState},
    store::Desk,
};

/// Look at deliveries to receivers; retry dead ones, or discard them
#[derive(Debug, Subcommand)]
#[command(after_help = "\
A delivery is one page to one integration of a receiver. It is tried until it
is delivered, refused for good, or too old (`delivery.give_up_after`). In the
last two cases it is dead, and the bridge pages about that.")]
pub enum Deliveries {
    /// List deliveries, the newest first
    #[command(after_help = "\
Exit status: 0 done, 1 there is no store, 2 wrong usage.

Examples:
  alertbridge deliveries list --state dead
  alertbridge deliveries list --json | jq '.[] | select(.receiver == \"oncall\")'")]
    List {
        /// Only deliveries in this state
        #[arg(long)]
        state: Option<DeliveryState>,
        /// Show at most this many
        #[arg(long, value_name = "N", default_value_t = MOST_ROWS)]
        limit: u32,
        #[command(flatten)]
        print: Json,
    },
    /// Retry dead deliveries, after fixing what prevented them
    #[command(after_help = "\
A running `serve` sends them within seconds; otherwise, the next one does.

Exit status: 0 they are pending again, or with --dead none was dead; 1 a named
delivery is not dead; 2 wrong usage.

Examples:
  alertbridge deliveries retry 17 18
  alertbridge deliveries retry --dead")]
    Retry {
        /// The deliveries' numbers, as `deliveries list --state dead` shows them
        #[arg(
            required_unless_present = "dead",
            conflicts_with = "dead",
            value_name = "ID"
        )]
        ids: Vec<i64>,
        /// All dead deliveries
        #[arg(long)]
        dead: bool,
    },
    /// Discard a delivery: it is never sent
    #[command(after_help = "\
Exit status: 0 done, 1 there is no such delivery, or it is already settled;
2 wrong usage.

Example:
  alertbridge deliveries discard 17")]
    Discard {
        /// The delivery's number, as `deliveries list` shows it
        id: i64,
    },
}

impl Deliveries {
    pub async fn run(self, config: Option<&Path>, server: &Server) -> anyhow::Result<ExitCode> {
        let store = &*server.desk(config).await?;
        let (out, now) = (&mut io::stdout(), Clock::system().now());

        match self {
            Self::List {
                state,
                limit,
                print,
            } => list(store, state, limit, print.json, out).await?,
            Self::Retry { ids, dead } => retry(store, (!dead).then_some(ids), now, out).await?,
            Self::Discard { id } => discard(store, id, now, out).await?,
        }

        Ok(ExitCode::SUCCESS)
    }
}

/// Lists deliveries, the newest first.
async fn list(
    store: &dyn Desk,
    state: Option<DeliveryState>,
    limit: u32,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut deliveries = store.deliveries(state, one_more(limit)).await?;
    if let Some(note) = cut(&mut deliveries, limit) {
        tell!("{note}");
    }
    if json {
        return Ok(writeln!(out, "{}", plain::json(&deliveries)?)?);
    }

    let rows = deliveries.into_iter().map(|delivery| {
        vec![
            delivery.id.to_string(),
            delivery.state.as_str().to_owned(),
            delivery.action.as_str().to_owned(),
            delivery.incident_id,
            delivery.receiver,
            delivery.integration,
            delivery.created_at.strftime("%F %T").to_string(),
            delivery.failures.to_string(),
            delivery
                .next_at
                .map(|at| at.strftime("%F %T").to_string())
                .unwrap_or_default(),
            delivery.detail.unwrap_or_default(),
        ]
    });

    let heading = [
        "ID",
        "STATE",
        "ACTION",
        "INCIDENT",
        "RECEIVER",
        "INTEGRATION",
        "OWED (UTC)",
        "FAILURES",
        "NEXT (UTC)",
        "DETAIL",
    ];

    let least = ["ID", "STATE", "ACTION", "INCIDENT", "RECEIVER", "DETAIL"];
    Ok(writeln!(out, "{}", table::list(&heading, rows, &least))?)
}

/// Makes dead deliveries pending again; if none are named, all of them.
async fn retry(
    store: &dyn Desk,
    ids: Option<Vec<DeliveryId>>,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let retried = store.retry(ids, now).await?;
    for id in &retried {
        writeln!(out, "delivery {id} is pending again")?;
    }
    if retried.is_empty() {
        let dead = store.deliveries(Some(DeliveryState::Dead), 1).await?;
        writeln!(out, "{}", nothing_sent_again(dead.is_empty()))?;
    }
    Ok(())
}

/// Explains why none of the dead deliveries is sent again.
fn nothing_sent_again(is_clear: bool) -> &'static str {
    if is_clear {
        "there are no dead deliveries to send again"
    } else {
        "no dead delivery is sent again: their incidents are over, or have opened again since, so \
         that sending them would open or close the wrong alert; `alertbridge deliveries list \
         --state dead` names them, and `alertbridge deliveries discard ID` discards one"
    }
}

/// Discards a delivery.
async fn discard(
    store: &dyn Desk,
    id: DeliveryId,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    store.discard(id, now).await?;
    Ok(writeln!(out, "delivery {id} is discarded")?)
}
