//! `alertbridge incidents`: open and past incidents, and the timeline of one.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::bail;
use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    desk::{Server, open_store, recorded},
    options::{Json, MOST_ROWS},
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
    delivery::{Action, DeliveryId, DeliveryState},
    incident::Phase,
    message::Outcome,
    pipeline::resolve_by_hand,
    store::{Desk, Event, IncidentRow, Kind},
};

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
        id: String,
        #[command(flatten)]
        print: Json,
    },
    /// Resolve an incident by hand that no mail will resolve
    #[command(after_help = "\
Everybody who was notified of its trigger is notified that it is resolved, and by
whom. A running `serve` does so within seconds; otherwise, the next one does. A
newer trigger reopens it.

Exit status: 0 it is resolved; 1 there is no such incident, or it is already
over; 2 wrong usage.

Example:
  alertbridge incidents resolve FOotlQrY5ZQ")]
    Resolve {
        /// The incident's id, as `incidents list` shows it
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
        bail!("the bridge reports this trouble itself, and resolves it when it is over");
    }

    let (now, by) = (Clock::system().now(), asker::user_at_host());
    let work = resolve_by_hand(&*store, loaded.rules, &incident, &by, now);
    recorded(&*store, "incidents.resolve", id.to_owned(), now, work).await?;

    Ok(writeln!(out, "incident {} is resolved", plain(id))?)
}

/// Lists incidents, the last changed first; without `open`, also those that are over.
async fn list(
    store: &dyn Desk,
    open: bool,
    limit: u32,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let incidents = store.incidents(open, limit).await?;
    if json {
        return Ok(writeln!(out, "{}", plain::json(&incidents)?)?);
    }

    let label =
        |incident: &IncidentRow, name: &str| incident.labels.get(name).cloned().unwrap_or_default();
    let rows = incidents.iter().map(|incident| {
        vec![
            incident.incident_id.clone(),
            incident.phase.as_str().to_owned(),
            incident.kind.as_str().to_owned(),
            label(incident, "severity"),
            label(incident, "app_key"),
            label(incident, "metric"),
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
        "METRIC",
        "OPENED (UTC)",
        "CHANGED (UTC)",
    ];

    Ok(writeln!(out, "{}", table::of(&heading, rows))?)
}

/// Everything known about one incident, in order.
async fn show(
    store: &dyn Desk,
    incident_id: &str,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let Some((incident, events)) = store.timeline(incident_id).await? else {
        bail!(
            "there is no incident {incident_id} in the store: `alertbridge incidents list` names \
             them"
        );
    };

    if json {
        let mut whole = serde_json::to_value(&incident)?;
        whole["timeline"] = json!(events);
        return Ok(writeln!(out, "{}", plain::json(&whole)?)?);
    }

    let label = |name: &str| {
        incident
            .labels
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    };

    let mut line = |name: &str, text: &str| writeln!(out, "{name:<9} {}", plain(text));
    let state = match incident.phase {
        Phase::Firing => "open",
        Phase::Resolved => "over",
    };

    line("incident", &incident.incident_id)?;
    line(
        "state",
        &format!("{state} ({}), {}", incident.status, label("severity")),
    )?;

    line(
        "app",
        &format!("{} ({})", label("app_name"), label("app_key")),
    )?;

    line(
        "metric",
        &format!(
            "{} {}, objective {}",
            label("metric"),
            label("sli_value"),
            label("slo_value")
        ),
    )?;

    writeln!(out)?;

    let mut moments: Vec<_> = events.iter().flat_map(moments).collect();
    moments.sort_by_key(|moment| (moment.at, moment.rank));

    let rows = moments.into_iter().map(|moment| {
        vec![
            moment.at.strftime("%F %T").to_string(),
            moment.word.to_owned(),
            moment.text,
        ]
    });

    Ok(writeln!(
        out,
        "{}",
        table::of(&["AT (UTC)", "WHAT", "DETAILS"], rows)
    )?)
}

/// A line of the timeline.
struct Moment {
    at: Timestamp,
    /// For simultaneous things: the order of cause and effect.
    rank: u8,
    word: &'static str,
    text: String,
}

/// When an event began, and when it ended if that is not an event of its own.
fn moments(event: &Event) -> Vec<Moment> {
    let with = |detail: Option<&str>| {
        detail
            .map(|detail| format!(": {detail}"))
            .unwrap_or_default()
    };

    match event {
        Event::Mail(mail) => {
            let text = format!(
                "{} by mail {} through {}{}",
                mail.outcome,
                mail.id,
                mail.ingress,
                with(mail.reason.as_deref())
            );
            // Its reason says so if that decided it; a mail that waits to be decided again shows it
            // here.
            let text = match &mail.released {
                Some(release) if mail.outcome == Outcome::Pending => {
                    format!("{text}; released by {}", release.by)
                }
                _ => text,
            };
            vec![Moment {
                at: mail.arrived_at,
                rank: 0,
                word: "mail",
                text,
            }]
        }
        Event::Delivery(delivery) => {
            let what = page(
                delivery.action,
                &delivery.receiver,
                &delivery.integration,
                delivery.id,
            );
            let (word, until) = match (delivery.state, delivery.next_at) {
                (DeliveryState::Held, Some(until)) => {
                    ("held", format!(", until {}", until.strftime("%F %T")))
                }
                (DeliveryState::Pending, Some(next)) => {
                    ("owed", format!(", next try at {}", next.strftime("%F %T")))
                }
                _ => ("owed", String::new()),
            };
            let mut moments = vec![Moment {
                at: delivery.created_at,
                rank: 1,
                word,
                text: format!("{what}{until}"),
            }];
            let ended = match delivery.state {
                DeliveryState::Dead => Some("given up"),
                DeliveryState::Discarded => Some("discarded"),
                DeliveryState::Pending | DeliveryState::Held | DeliveryState::Delivered => None,
            };
            if let (Some(word), Some(at)) = (ended, delivery.settled_at) {
                let text = format!("{what}{}", with(delivery.detail.as_deref()));
                moments.push(Moment {
                    at,
                    rank: 3,
                    word,
                    text,
                });
            }
            moments
        }
        Event::Attempt {
            delivery,
            receiver,
            integration,
            action,
            attempt,
        } => {
            let what = page(*action, receiver, integration, *delivery);
            let (word, detail) = match attempt.result.as_str() {
                // Besides the plain word, the receiver's own id is worth showing.
                "delivered" if attempt.detail == "delivered" => ("told", String::new()),
                "delivered" => ("told", with(Some(&attempt.detail))),
                "accepted" => ("accepted", with(Some(&attempt.detail))),
                "waiting" => ("waiting", with(Some(&attempt.detail))),
                _ => ("failed", with(Some(&attempt.detail))),
            };
            vec![Moment {
                at: attempt.at,
                rank: 2,
                word,
                text: format!("{what}, {} ms{detail}", attempt.took_ms),
            }]
        }
        Event::Deed(deed) => vec![Moment {
            at: deed.at,
            rank: 0,
            word: "closed",
            text: format!("by hand, by {}", deed.by),
        }],
    }
}

fn page(action: Action, receiver: &str, integration: &str, delivery: DeliveryId) -> String {
    format!(
        "{} to {receiver} ({integration}, delivery {delivery})",
        action.as_str()
    )
}
