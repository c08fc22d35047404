//! `alertbridge mails`.

use clap::{ArgGroup, Args, Subcommand};

use super::{Json, MOST_ROWS};
use crate::{message::Outcome, settings::Duration};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Every mail that was taken is stored with its outcome and the reason. What is
not proven to be genuine, and may not act, is quarantined until somebody
releases or discards it.")]
pub enum Mails {
    /// List stored mails, the newest first
    #[command(after_help = "\
Exit status: 0 done, 1 there is no store, 2 wrong usage.

Examples:
  alertbridge mails list --outcome quarantined
  alertbridge mails list --json | jq -r '.[].outcome' | sort | uniq -c")]
    List {
        /// Only those with this outcome
        #[arg(long)]
        outcome: Option<Outcome>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = MOST_ROWS)]
        limit: u32,
        #[command(flatten)]
        print: Json,
    },
    /// Show one: where it came from and what became of it
    #[command(after_help = "\
Exit status: 0 done, 1 there is no such mail, 2 wrong usage.

Examples:
  alertbridge mails show 17
  alertbridge mails show 17 --raw > alert.eml
  alertbridge mails show 17 --raw | alertbridge explain -")]
    Show {
        /// The mail, as `mails list` tells it
        id: i64,
        /// Print the mail itself, byte for byte; on a terminal with hidden characters escaped
        #[arg(long, conflicts_with = "json")]
        raw: bool,
        #[command(flatten)]
        print: Json,
    },
    /// Let a quarantined mail be decided as genuine
    #[command(after_help = "\
A running `serve` decides it within seconds, else the next one does: it may
page, or resolve. The record says who released it, and when.

Exit status: 0 done, 1 it is not in the quarantine, 2 wrong usage.

Example:
  alertbridge mails release 17")]
    Release {
        /// The mail, as `mails list --outcome quarantined` tells it
        id: i64,
    },
    /// Take mails out of the quarantine for good: nobody is told
    #[command(after_help = "\
Without an ID all mails in the quarantine that fit every option given are
discarded, after asking.

Exit status: 0 done, 1 it is not in the quarantine or you said no, 2 wrong
usage.

Examples:
  alertbridge mails discard 17
  alertbridge mails discard --from @example.com --older 7d
  alertbridge mails discard --ingress smtp --yes")]
    Discard(Discard),
}

/// Which mails to discard.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["id", "outcome", "ingress", "from", "older"]))]
pub struct Discard {
    /// The mail, as `mails list --outcome quarantined` tells it
    #[arg(conflicts_with_all = ["outcome", "ingress", "from", "older", "yes"])]
    pub id: Option<i64>,
    /// All in the quarantine, which is the only outcome to take
    #[arg(long, value_parser = [Outcome::Quarantined.as_str()])]
    pub outcome: Option<String>,
    /// Only those that came through this ingress
    #[arg(long, value_name = "NAME")]
    pub ingress: Option<String>,
    /// Only those whose From has this address, or, of `@example.com`, one of this domain
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// Only those that arrived longer ago, such as 7d
    #[arg(long, value_name = "AGE")]
    pub older: Option<Duration>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}
