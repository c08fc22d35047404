//! `alertbridge silences add`: adds a silence.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Args;
use jiff::Timestamp;

use super::object;
use crate::{
    cli::{
        Notes, WRONG_USAGE, asker,
        desk::Server,
        options::{Json, time},
        plain::{self, plain},
        routes::Known,
    },
    config::{Config, Files},
    settings::Duration,
    silence::{Plan, PlanError, Silence},
    store::Desk,
};

/// The default duration of a silence: amtool's hour.
const AN_HOUR: Duration = Duration::from_secs(3600);

/// What is silenced, and when.
#[derive(Debug, Args)]
pub struct When {
    /// The triggers to silence, as a route's `matchers`; `explain` shows the labels of a mail
    #[arg(required = true, value_name = "MATCHER")]
    pub matchers: Vec<String>,
    /// How long it lasts [default: 1h]
    #[arg(short, long, value_name = "2h", conflicts_with = "end")]
    pub duration: Option<Duration>,
    /// When it begins: RFC 3339, or a UTC day [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub start: Option<Timestamp>,
    /// When it ends
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub end: Option<Timestamp>,
}

/// Silence the triggers whose labels match all matchers; prints the number of the silence
#[derive(Debug, Args)]
#[command(after_help = "\
A running `serve` applies it from the next mail on. A silenced trigger notifies
nobody; it is recorded as `silenced`. Incidents announced before are resolved
as usual. An incident that is still open when the silence ends pages then. The
bridge's own alarms are silenced only if a matcher names their kind:
'kind=\"self\"'.

Exit status: 0 it is silenced; 1 there is no store; 2 wrong usage, such as an
invalid matcher.

Examples:
  alertbridge silences add 'app_key=\"com.example.app\"' \\
      --duration 2h --comment 'database moves'
  alertbridge silences add 'sli=~\"iframe_load|webhook_delivery\"' 'sli_gap<20' \\
      --start 2026-03-01T22:00:00Z --end 2026-03-02T02:00:00Z --comment CHG-17")]
pub struct Add {
    #[command(flatten)]
    pub when: When,
    /// The reason; it is recorded with each silenced mail
    #[arg(short, long, value_name = "TEXT")]
    pub comment: String,
    /// The author [default: $USER]
    #[arg(short, long, value_name = "NAME")]
    pub author: Option<String>,
    #[command(flatten)]
    pub print: Json,
}

impl Add {
    pub async fn run(
        self,
        config: Option<&Path>,
        server: &Server,
        now: Timestamp,
        out: &mut impl Write,
    ) -> anyhow::Result<ExitCode> {
        let json = self.print.json;
        match self.plan(now) {
            Ok(plan) => {
                // A remote bridge may have other profiles and another configuration.
                if server.server.is_none() {
                    let loaded = Config::load(config, Files::Unneeded)?;
                    note_unknown(&plan, &loaded.rules.profiles.labels(), &mut Notes)?;
                }
                let store = &*server.desk(config).await?;
                add(store, plan, now, json, out, &mut Notes).await?;
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                tell!("error: {error}");
                Ok(ExitCode::from(WRONG_USAGE))
            }
        }
    }

    fn plan(self, now: Timestamp) -> Result<Plan, PlanError> {
        let author = self.author.unwrap_or_else(asker::user);
        self.when.plan(&author, &self.comment, now)
    }
}

impl When {
    pub fn plan(self, author: &str, comment: &str, now: Timestamp) -> Result<Plan, PlanError> {
        let start = self.start.unwrap_or(now);
        let after = || {
            start
                .saturating_add(self.duration.unwrap_or(AN_HOUR).as_signed())
                .unwrap_or(Timestamp::MAX)
        };

        let end = self.end.unwrap_or_else(after);
        Plan::new(&self.matchers, (start, end), author, comment, now)
    }
}

/// Notes the labels in a silence's matchers that no alert has.
fn note_unknown(plan: &Plan, known: &BTreeSet<&str>, notes: &mut impl Write) -> io::Result<()> {
    plan.label_names()
        .filter(|name| !known.contains(name.as_str()))
        .try_for_each(|name| {
            writeln!(
                notes,
                "note: no alert has a label `{}`; there are {}",
                plain(&name),
                Known(known)
            )
        })
}

/// Adds a silence and prints its number, with which a script can expire it. Notes for a person go
/// to `notes`.
async fn add(
    store: &dyn Desk,
    plan: Plan,
    now: Timestamp,
    json: bool,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> anyhow::Result<()> {
    let silence = store.add_silence(plan, now).await?;
    if json {
        // A remote bridge stamps the silence by its own clock, which may be ahead of this one.
        let now = now.max(silence.created_at);
        return Ok(writeln!(out, "{}", plain::json(&object(&silence, now))?)?);
    }

    writeln!(out, "{}", silence.id)?;

    let Silence {
        id,
        starts_at,
        ends_at,
        ..
    } = silence;

    let matchers = silence.matchers.join(", ");

    Ok(writeln!(
        notes,
        "silence {id} from {starts_at:.0} until {ends_at:.0}: {{{}}}",
        plain(&matchers)
    )?)
}
