//! `alertbridge silences`: planned maintenance, similar to Alertmanager's `amtool silence`.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    desk::Server,
    options::{Json, MOST_ROWS, cut, one_more},
};
use crate::{
    cli::{plain, table},
    clock::Clock,
    silence::{Silence, SilenceId},
    store::Desk,
};

mod add;
mod preview;

use add::Add;
use preview::Preview;

/// Planned maintenance: keep triggers from paging for a while
#[derive(Debug, Subcommand)]
pub enum Silences {
    /// List silences that are active or have not begun, the first to end first
    #[command(after_help = "\
Exit status: 0 done, 1 there is no store, 2 wrong usage.

Examples:
  alertbridge silences list
  alertbridge silences list --json | jq -r '.[] | select(.state == \"active\").id'")]
    List {
        /// List those that are over instead, the last to end first
        #[arg(long)]
        expired: bool,
        /// Show at most this many
        #[arg(long, value_name = "N", default_value_t = MOST_ROWS)]
        limit: u32,
        #[command(flatten)]
        print: Json,
    },
    Add(Add),
    Preview(Preview),
    /// End silences now
    #[command(after_help = "\
Exit status: 0 done; 1 one of them has ended or does not exist; 2 wrong usage.

Examples:
  alertbridge silences expire 3 4
  alertbridge silences expire $(alertbridge silences list --json | jq '.[].id')")]
    Expire {
        /// The silences' numbers, as `silences list` shows them
        #[arg(required = true, value_name = "ID")]
        ids: Vec<i64>,
    },
}

impl Silences {
    pub async fn run(self, config: Option<&Path>, server: &Server) -> anyhow::Result<ExitCode> {
        let (out, now) = (&mut io::stdout(), Clock::system().now());
        match self {
            Self::List {
                expired,
                limit,
                print,
            } => {
                let store = &*server.desk(config).await?;
                list(store, expired, limit, now, print.json, out).await?;
            }
            Self::Add(add) => return add.run(config, server, now, out).await,
            Self::Preview(preview) => return preview.run(config, server, now, out).await,
            Self::Expire { ids } => expire(&*server.desk(config).await?, ids, now, out).await?,
        }

        Ok(ExitCode::SUCCESS)
    }
}

/// Lists the silences that are active or have not begun, or those that have ended.
async fn list(
    store: &dyn Desk,
    expired: bool,
    limit: u32,
    now: Timestamp,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut silences = store.silences(expired, now, one_more(limit)).await?;
    if let Some(note) = cut(&mut silences, limit) {
        tell!("{note}");
    }
    if json {
        let all: Vec<_> = silences
            .iter()
            .map(|silence| object(silence, now))
            .collect();
        return Ok(writeln!(out, "{}", plain::json(&all)?)?);
    }

    let rows = silences.into_iter().map(|silence| {
        vec![
            silence.id.to_string(),
            silence.state(now).as_str().to_owned(),
            silence.starts_at.strftime("%F %T").to_string(),
            silence.ends_at.strftime("%F %T").to_string(),
            silence.matchers.join(", "),
            silence.author,
            silence.comment,
        ]
    });

    let heading = [
        "ID",
        "STATE",
        "STARTS (UTC)",
        "ENDS (UTC)",
        "MATCHERS",
        "AUTHOR",
        "COMMENT",
    ];

    let least = ["ID", "STATE", "ENDS (UTC)", "MATCHERS", "COMMENT"];
    Ok(writeln!(out, "{}", table::list(&heading, rows, &least))?)
}

/// Ends silences now.
async fn expire(
    store: &dyn Desk,
    ids: Vec<SilenceId>,
    now: Timestamp,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    store.expire_silences(ids.clone(), now).await?;
    ids.iter()
        .try_for_each(|id| writeln!(out, "silence {id} has been expired"))
        .map_err(io::Error::into)
}

fn object(silence: &Silence, now: Timestamp) -> Value {
    let Silence {
        id,
        matchers,
        starts_at,
        ends_at,
        author,
        comment,
        created_at,
    } = silence;

    json!({
        "id": id,
        "state": silence.state(now).as_str(),
        "matchers": matchers,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "author": author,
        "comment": comment,
        "created_at": created_at,
    })
}
