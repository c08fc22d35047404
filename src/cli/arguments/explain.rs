//! `alertbridge explain`.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::{Json, time};

/// Walk one mail through every stage and show the exact requests; stores and sends nothing
#[derive(Debug, Args)]
#[command(after_help = "\
The mail counts as arrived at its own Date, unless --at. No mail came
before it: a resolve alone is told to nobody; `replay` takes it together
with its trigger. Silences are the store's, and do not count here;
`replay --stored` goes by them. Secrets are shown as <secret> and need not be there.
--json prints one object: mail, outcome, reason, authenticity, incident,
labels, receivers, requests.

Exit status: 0 done, whoever is told; 1 an alert that cannot be read, or the
configuration is wrong; 2 wrong usage.

Examples:
  alertbridge explain alert.eml
  alertbridge sample | alertbridge explain --json -
  alertbridge explain --at 2026-03-01T03:00:00Z alert.eml
  alertbridge mails show 17 --raw | alertbridge explain --trust -")]
pub struct Explain {
    /// The mail, as a file (`.eml`); `-` is standard input
    pub mail: PathBuf,
    /// When it arrived, instead of its own Date: RFC 3339, a day of UTC, or now
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Timestamp>,
    /// Treat the mail as genuine, though nothing proves it
    #[arg(long)]
    pub trust: bool,
    /// The ingress it is taken to have come through: the host named as trusted there may vouch for
    /// it [default: the hosts of all]
    #[arg(long, value_name = "NAME")]
    pub ingress: Option<String>,
    #[command(flatten)]
    pub print: Json,
}
