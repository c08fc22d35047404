//! `alertbridge objectives`: how much of each error budget is spent.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use jiff::Timestamp;

use super::{
    desk::{Server, open_store},
    options::{Json, time},
};
use crate::{
    cli::{plain, table},
    clock::Clock,
    config::{Config, Files},
    web::{
        list::List,
        views::objectives::{Measuring, Objective, ObjectiveQuery, csv},
        workbench::Objectives as Rules,
    },
};

/// Show how long each objective was breached, and how much of its error budget is spent
#[derive(Debug, Args)]
#[command(after_help = "\
The table is by app and SLI, over the 28 days before now or --at. A breach
lasts from its trigger to its resolve; overlapping time counts once, and time
within a silence spends nothing. LADDER is the consequence at Atlassian:
incident, remediation, demotion.

Exit status: 0 done, 1 there is no store, 2 wrong usage.

Examples:
  alertbridge objectives
  alertbridge objectives --app com.example.app --csv > evidence.csv")]
pub struct Objectives {
    /// Only this app
    #[arg(long, value_name = "KEY")]
    pub app: Option<String>,
    /// Only this SLI
    #[arg(long, value_name = "SLI")]
    pub sli: Option<String>,
    /// The end of the window: RFC 3339, a UTC day, or now
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Timestamp>,
    /// Print a table for spreadsheets
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    #[command(flatten)]
    pub server: Server,
    #[command(flatten)]
    pub print: Json,
}

impl Objectives {
    pub async fn run(self, config: Option<&Path>) -> anyhow::Result<ExitCode> {
        let query = ObjectiveQuery {
            app: self.app,
            sli: self.sli,
            at: self.at,
        };
        let found = find(config, &self.server, &query).await?;

        let out = &mut io::stdout();
        if self.csv {
            write!(out, "{}", csv(&found))?;
        } else if self.print.json {
            writeln!(out, "{}", plain::json(&found)?)?;
        } else {
            writeln!(out, "{}", rows(found))?;
        }

        Ok(ExitCode::SUCCESS)
    }
}

async fn find(
    config: Option<&Path>,
    server: &Server,
    query: &ObjectiveQuery,
) -> anyhow::Result<Vec<Objective>> {
    if let Some(remote) = server.remote()? {
        let mut asked = url::form_urlencoded::Serializer::new(String::new());
        asked.extend_pairs(query.app.iter().map(|app| ("app", app)));
        asked.extend_pairs(query.sli.iter().map(|sli| ("sli", sli)));
        asked.extend_pairs(query.at.iter().map(|at| ("at", at.to_string())));
        let path = format!("objectives?{}", asked.finish());
        return Ok(remote.get::<List<Objective>>(&path).await?.items);
    }

    let loaded = Config::load(config, Files::Unneeded)?;
    let store = open_store(config).await?;
    let measuring = Measuring {
        browse: &*store,
        desk: &*store,
        rules: Rules {
            settings: loaded.config.objectives,
            statuses: loaded.config.alerts.status,
        },
        now: Clock::system().now(),
    };

    Ok(measuring.measure(&Arc::default(), query).await?.objectives)
}

fn rows(found: Vec<Objective>) -> String {
    let percent = |part: Option<f64>| {
        part.map_or_else(|| "-".to_owned(), |part| format!("{:.1} %", part * 100.0))
    };
    let rows = found.into_iter().map(|one| {
        vec![
            one.app_key,
            one.sli,
            format!("{} %", one.slo),
            one.breaches.to_string(),
            minutes(one.breach_seconds),
            minutes(one.maintenance_seconds),
            percent(one.spent),
            one.ladder.as_str().to_owned(),
        ]
    });

    let heading = [
        "APP",
        "SLI",
        "SLO",
        "BREACHES",
        "FOR",
        "ANNOUNCED",
        "SPENT",
        "LADDER",
    ];

    // The duration is shown rather than the number of breaches, because the budget is measured in
    // it.
    let least = ["APP", "SLI", "FOR", "SPENT", "LADDER"];
    table::list(&heading, rows, &least)
}

/// Formats a duration for people, in hours and minutes.
fn minutes(seconds: i64) -> String {
    match (seconds / 3600, seconds % 3600 / 60) {
        (0, minutes) => format!("{minutes}m"),
        (hours, minutes) => format!("{hours}h{minutes:02}m"),
    }
}
