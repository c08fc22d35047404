//! `alertbridge incidents`.

use clap::Subcommand;

use super::{Json, MOST_ROWS};

#[derive(Debug, Subcommand)]
pub enum Incidents {
    /// List incidents, open and past, those that changed last first
    #[command(after_help = "\
Exit status: 0 done, 1 there is no store, 2 wrong usage.

Examples:
  alertbridge incidents list --open
  alertbridge incidents list --json | jq -r '.[].incident_id'")]
    List {
        /// Only those that are open
        #[arg(long)]
        open: bool,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = MOST_ROWS)]
        limit: u32,
        #[command(flatten)]
        print: Json,
    },
    /// The whole timeline of one: its mails, who was told what, and when
    #[command(after_help = "\
Exit status: 0 done, 1 there is no such incident, 2 wrong usage.

Example:
  alertbridge incidents show FOotlQrY5ZQ")]
    Show {
        /// The incident's id, as `incidents list` tells it
        id: String,
        #[command(flatten)]
        print: Json,
    },
}
