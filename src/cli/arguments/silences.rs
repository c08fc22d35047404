//! `alertbridge silences`.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{Json, MOST_ROWS, time};
use crate::settings::Duration;

#[derive(Debug, Subcommand)]
pub enum Silences {
    /// List silences that are active or yet to begin, the first to end first
    #[command(after_help = "\
Exit status: 0 done, 1 there is no store, 2 wrong usage.

Examples:
  alertbridge silences list
  alertbridge silences list --json | jq -r '.[] | select(.state == \"active\").id'")]
    List {
        /// Those that are over instead, the last to end first
        #[arg(long)]
        expired: bool,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = MOST_ROWS)]
        limit: u32,
        #[command(flatten)]
        print: Json,
    },
    Add(Add),
    /// End silences now
    #[command(after_help = "\
Exit status: 0 done, 1 one of them is over already or never was, 2 wrong usage.

Examples:
  alertbridge silences expire 3 4
  alertbridge silences expire $(alertbridge silences list --json | jq '.[].id')")]
    Expire {
        /// The silences, as `silences list` tells them
        #[arg(required = true, value_name = "ID")]
        ids: Vec<i64>,
    },
}

/// Silence the triggers whose labels fulfil all matchers; prints the silence's ID
#[derive(Debug, Args)]
#[command(after_help = "\
A running `serve` goes by it from the next mail on. A silenced trigger tells
nobody; it is recorded as `silenced`. What was told before is resolved as ever.
An incident that is still on when the silence ends pages at its next trigger.
What the bridge tells of itself is silenced only where a matcher asks for its
kind: 'kind=\"self\"'.

Exit status: 0 it is silenced, 1 there is no store, 2 wrong usage, as a matcher
that is none.

Examples:
  alertbridge silences add 'app_key=\"com.example.app\"' --duration 2h --comment 'database moves'
  alertbridge silences add 'sli=~\"iframe_load|webhook_delivery\"' 'sli_gap<20' \\
      --start 2026-03-01T22:00:00Z --end 2026-03-02T02:00:00Z --comment CHG-17")]
pub struct Add {
    /// What is silenced, in the words of a route's `matchers`; `explain` shows the labels of a mail
    #[arg(required = true, value_name = "MATCHER")]
    pub matchers: Vec<String>,
    /// For how long [default: 1h]
    #[arg(short, long, value_name = "2h", conflicts_with = "end")]
    pub duration: Option<Duration>,
    /// From this time on: RFC 3339, or a day of UTC [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub start: Option<Timestamp>,
    /// Until this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub end: Option<Timestamp>,
    /// What the maintenance is; it stands in the record of each silenced mail
    #[arg(short, long, value_name = "TEXT")]
    pub comment: String,
    /// Whose it is [default: $USER]
    #[arg(short, long, value_name = "NAME")]
    pub author: Option<String>,
    #[command(flatten)]
    pub print: Json,
}
