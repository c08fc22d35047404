//! `alertbridge incidents`: open and past incidents, and the timeline of one.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::bail;
use clap::{Subcommand, builder::NonEmptyStringValueParser};
use serde_json::Value;

use super::{
    desk::{Server, open_store, recorded},
    options::{Json, MOST_ROWS, cut, one_more},
};
use crate::{
    cli::{
        asker,
        plain::{self, plain},
        remote::encoded,
        table,
    },
    clock::Clock,
    config::{Config, Files},
    pipeline::resolve_by_hand,
    store::{Desk, IncidentRow, Kind},
    web::views::named::title,
};

mod moment;
mod show;

use show::show;

/// Look at open and past incidents
#[derive(Debug, Subcommand)]
pub enum Incidents {
    /// List incidents, open and past, the last changed first
    #[command(after_help = "\
Exit status: 0 done, 1 there is no store, 2 wrong usage.

Examples:
  alertbridge incidents list --open
  alertbridge incidents list --json | jq -r '.[].incident_id'")]
    List {
        /// Only open incidents
        #[arg(long)]
        open: bool,
        /// Show at most this many
        #[arg(long, value_name = "N", default_value_t = MOST_ROWS)]
        limit: u32,
        #[command(flatten)]
        print: Json,
    },
    /// Show the timeline of one incident: its mails, who was notified, and when
    #[command(after_help = "\
Exit status: 0 done, 1 there is no such incident, 2 wrong usage.

Example:
  alertbridge incidents show FOotlQrY5ZQ")]
    Show {
        /// The incident's id, as `incidents list` shows it
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
        #[command(flatten)]
        print: Json,
    },
    /// Resolve an incident by hand that no mail will resolve
    #[command(after_help = "\
Everybody who was notified of its trigger is notified that it is resolved, and
by whom. A running `serve` does so within seconds; otherwise, the next one
does. A newer trigger reopens it.

Exit status: 0 it is resolved; 1 there is no such incident, or it is already
over; 2 wrong usage.

Example:
  alertbridge incidents resolve FOotlQrY5ZQ")]
    Resolve {
        /// The incident's id, as `incidents list` shows it
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
}

impl Incidents {
    pub async fn run(self, config: Option<&Path>, server: &Server) -> anyhow::Result<ExitCode> {
        if let Self::Resolve { id } = self {
            resolve(config, server, &id, &mut io::stdout()).await?;
            return Ok(ExitCode::SUCCESS);
        }

        let store = &*server.desk(config).await?;
        let out = &mut io::stdout();
        match self {
            Self::List { open, limit, print } => list(store, open, limit, print.json, out).await?,
            Self::Show { id, print } => show(store, &id, print.json, out).await?,
            Self::Resolve { .. } => {}
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Resolves an incident by hand.
async fn resolve(
    config: Option<&Path>,
    server: &Server,
    id: &str,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if let Some(remote) = server.remote()? {
        let path = format!("incidents/{}/resolve", encoded(id));
        remote.post::<Value>(&path, &Value::Null).await?;
        return Ok(writeln!(out, "incident {} is resolved", plain(id))?);
    }

    let loaded = Config::load(config, Files::Unneeded)?;
    let store = open_store(config).await?;
    let Some((incident, _)) = store.timeline(id).await? else {
        bail!("there is no incident {id} in the store: `alertbridge incidents list` names them");
    };
    if incident.kind == Kind::Own {
        bail!("the bridge reports this problem itself, and resolves it when it is over");
    }

    // The incident was told of under the names in the store, wherever the entries stand now.
    let loaded = loaded.under(&store.names().await?)?;

    let (now, by) = (Clock::system().now(), asker::user_at_host());
    let work = resolve_by_hand(&*store, loaded.rules, &incident, &by, now);
    recorded(&*store, "incidents.resolve", id.to_owned(), now, work).await?;

    Ok(writeln!(out, "incident {} is resolved", plain(id))?)
}

/// Lists incidents, the last changed first. Without `open`, it includes those that are over.
async fn list(
    store: &dyn Desk,
    open: bool,
    limit: u32,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut incidents = store.incidents(open, one_more(limit)).await?;
    if let Some(note) = cut(&mut incidents, limit) {
        tell!("{note}");
    }
    if json {
        return Ok(writeln!(out, "{}", plain::json(&incidents)?)?);
    }

    let label =
        |incident: &IncidentRow, name: &str| incident.labels.get(name).cloned().unwrap_or_default();
    let rows = incidents.iter().map(|incident| {
        vec![
            incident.incident_id.clone(),
            incident.phase.in_words().to_owned(),
            incident.kind.as_str().to_owned(),
            label(incident, "severity"),
            label(incident, "app_key"),
            title(&incident.labels, &incident.incident_id),
            incident.opened_at.strftime("%F %T").to_string(),
            incident.changed_at.strftime("%F %T").to_string(),
        ]
    });

    let heading = [
        "INCIDENT",
        "STATE",
        "KIND",
        "SEVERITY",
        "APP",
        "TITLE",
        "OPENED (UTC)",
        "CHANGED (UTC)",
    ];

    let least = ["INCIDENT", "STATE", "SEVERITY", "TITLE", "OPENED (UTC)"];
    Ok(writeln!(out, "{}", table::list(&heading, rows, &least))?)
}
