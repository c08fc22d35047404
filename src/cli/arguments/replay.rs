//! `alertbridge replay`.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::{Json, time};

/// Explain many mails in order of arrival, so duplicates and resolves show; pages nobody
#[derive(Debug, Args)]
#[command(after_help = "\
No mail came before the first, and what is concluded is thrown away at the
end. A mail counts as arrived when the store says, or at its own Date, unless
--at. With --stored the store's silences count, each for the mails of its
time; for files there are none. Nothing is sent without --send. --json prints a line for each mail, as
`explain` does.

--diff compares: each mail is taken through the configuration in force
(--config) and through OTHER.yaml. Only mails that differ are shown: by
their outcome, or by pages that are added, dropped, moved to another
receiver, or changed (what is sent, by which key, until when it is held).
What matters only when a receiver fails, as `fallback`, is not compared.
With --json each such mail is a line:
  {\"mail\", \"incident_id\", \"outcome\": {\"before\", \"after\"},
   \"reason\": {\"before\", \"after\"}, \"changes\": [
     {\"change\": \"added|dropped|moved|changed\",
      \"action\": \"trigger|resolve\",
      \"differs\": of one changed, which of \"integration\", \"method\",
                 \"url\", \"headers\", \"body\", \"secrets\", \"held_until\",
      \"before\": PAGE or null, \"after\": PAGE or null}]}
where PAGE is a request as `explain` shows it, and \"held_until\".

Exit status: 0 done, also where something differs; 1 an alert that cannot be
read, a wrong configuration, or --send could not deliver; 2 wrong usage.

Examples:
  alertbridge replay ~/Maildir/.alerts
  alertbridge replay archive.mbox --json | jq -r .outcome | sort | uniq -c
  alertbridge replay --stored --since 2026-03-01
  alertbridge replay --stored --diff new.yaml
  alertbridge replay mails/ --diff new.yaml --json | jq -r '.changes[].change'
  alertbridge replay --send missed.eml")]
pub struct Replay {
    /// Mails, folders of them (Maildir too), or mbox files
    #[arg(
        required_unless_present = "stored",
        conflicts_with = "stored",
        value_name = "PATH"
    )]
    pub paths: Vec<PathBuf>,
    /// The mails in the store
    #[arg(long)]
    pub stored: bool,
    /// Stored mails that arrived at this time or later: RFC 3339, a day of UTC, or now
    #[arg(long, value_name = "TIME", requires = "stored", conflicts_with = "paths", value_parser = time)]
    pub since: Option<Timestamp>,
    /// Stored mails that arrived before this time
    #[arg(long, value_name = "TIME", requires = "stored", conflicts_with = "paths", value_parser = time)]
    pub until: Option<Timestamp>,
    /// When all of them arrived, instead of each at its own time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Timestamp>,
    /// Treat the mails as genuine, though nothing proves them
    #[arg(long)]
    pub trust: bool,
    /// The ingress they are taken to have come through: the host named as trusted there may vouch
    /// for them [default: the hosts of all]
    #[arg(long, value_name = "NAME", conflicts_with = "stored")]
    pub ingress: Option<String>,
    /// Show which pages this configuration would add, drop, move or change
    #[arg(long, value_name = "OTHER.yaml", conflicts_with = "send")]
    pub diff: Option<PathBuf>,
    /// Deliver for real, after asking
    #[arg(long)]
    pub send: bool,
    /// Do not ask
    #[arg(long, requires = "send")]
    pub yes: bool,
    #[command(flatten)]
    pub print: Json,
}
