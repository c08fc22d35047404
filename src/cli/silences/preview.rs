//! `alertbridge silences preview`: shows what a silence would keep from paging.

use std::{io::Write, path::Path, process::ExitCode};

use clap::Args;
use jiff::Timestamp;

use super::add::When;
use crate::{
    cli::{
        WRONG_USAGE, asker,
        desk::{Server, open_store},
        options::Json,
        plain::{self, plain},
        table,
    },
    config::{Config, Files},
    label::title_of,
    silence::Plan,
    store::StoreError,
    web::views::{
        named::title,
        silences::{ALL, NewSilence, Preview as Found, preview_of},
    },
};

/// Show what a silence would keep from paging, and add none
///
/// It lists the open incidents that the silence covers, and the triggers of the last 28 days that
/// it would have kept.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 done; 1 there is no store; 2 wrong usage, such as an invalid
matcher.

Example:
  alertbridge silences preview 'app_key=\"com.example.app\"'")]
pub struct Preview {
    #[command(flatten)]
    pub when: When,
    #[command(flatten)]
    pub print: Json,
}

impl Preview {
    pub async fn run(
        self,
        config: Option<&Path>,
        server: &Server,
        now: Timestamp,
        out: &mut impl Write,
    ) -> anyhow::Result<ExitCode> {
        let plan = match self.when.plan(&asker::user(), "a preview", now) {
            Ok(plan) => plan,
            Err(error) => {
                tell!("error: {error}");
                return Ok(ExitCode::from(WRONG_USAGE));
            }
        };

        let found = find(config, server, plan, now).await?;
        for warning in &found.warnings {
            tell!("note: {}", plain(warning));
        }
        if self.print.json {
            writeln!(out, "{}", plain::json(&found)?)?;
        } else {
            show(&found, out)?;
        }

        Ok(ExitCode::SUCCESS)
    }
}

async fn find(
    config: Option<&Path>,
    server: &Server,
    plan: Plan,
    now: Timestamp,
) -> anyhow::Result<Found> {
    if let Some(remote) = server.remote()? {
        let new = NewSilence::from(plan);
        return Ok(remote.post("silences/preview", &new).await?);
    }
    let loaded = Config::load(config, Files::Unneeded)?;
    let known = loaded.rules.profiles.labels().into_iter();
    let known: Vec<_> = known.map(ToOwned::to_owned).collect();
    let store = open_store(config).await?;
    let found = preview_of(&*store, (&plan, &known), now, ALL).await;
    Ok(found.map_err(|problem| StoreError::Failed(problem.detail))?)
}

fn show(found: &Found, out: &mut impl Write) -> anyhow::Result<()> {
    let open = table::count(found.incidents.len() as u64, "open incident");
    writeln!(out, "{open} would be covered")?;
    let rows = found.incidents.iter().map(|incident| {
        vec![
            incident.incident_id.clone(),
            incident.severity.clone(),
            incident.opened_at.strftime("%F %T").to_string(),
            title(&incident.labels, &incident.incident_id),
        ]
    });
    if !found.incidents.is_empty() {
        let heading = ["INCIDENT", "SEVERITY", "OPENED (UTC)", "TITLE"];
        writeln!(out, "{}", table::list(&heading, rows, &heading))?;
    }

    let triggers = table::count(found.triggers.len() as u64, "trigger");
    writeln!(out, "{triggers} of the last 28 days would have been kept")?;
    let rows = found.triggers.iter().map(|trigger| {
        vec![
            trigger.arrived_at.strftime("%F %T").to_string(),
            trigger.outcome.to_string(),
            trigger.incident_id.clone().unwrap_or_default(),
            title_of(&trigger.labels).unwrap_or_default().to_owned(),
        ]
    });
    if !found.triggers.is_empty() {
        let heading = ["ARRIVED (UTC)", "OUTCOME", "INCIDENT", "TITLE"];
        let least = ["ARRIVED (UTC)", "OUTCOME", "TITLE"];
        writeln!(out, "{}", table::list(&heading, rows, &least))?;
    }
    if found.truncated {
        writeln!(out, "and more")?;
    }

    Ok(())
}
