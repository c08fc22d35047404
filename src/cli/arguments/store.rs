//! `alertbridge store`.

use std::path::PathBuf;

use clap::Subcommand;

use super::Json;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
The store is what `store.url` names: a SQLite file, or a PostgreSQL database.")]
pub enum Store {
    /// Bring the store to this version's schema, or make it where there is none, without serving
    #[command(after_help = "\
Says from which version to which, or that there was nothing to do. `serve`
does the same when it starts: this is for whoever wants it apart, as before
new replicas start. Runs beside a bridge of this version.

Exit status: 0 it is at this version's schema, 1 it cannot be brought there,
as one that a newer alertbridge made, 2 wrong usage.

Example:
  alertbridge store migrate --config /etc/alertbridge/alertbridge.yaml")]
    Migrate,
    /// Copy the store into a new file; a running `serve` goes on
    #[command(after_help = "\
The copy is of one moment, read through, and renamed into place when it is
whole. Every mail acknowledged before that moment is in it. For a PostgreSQL
database it says how to use pg_dump.

Exit status: 0 there is a copy, 1 there is none, 2 wrong usage.

Examples:
  alertbridge store backup /var/backups/alertbridge-$(date +%F).db
  alertbridge store backup --overwrite /var/backups/alertbridge.db")]
    Backup {
        /// Where to
        file: PathBuf,
        /// Replace the file if it is there
        #[arg(long)]
        overwrite: bool,
    },
    /// Make the store from a backup, while no `serve` runs and there is no store, or an empty one
    #[command(after_help = "\
What was owed when the backup was made is sent when `serve` starts: look at
it first with `alertbridge deliveries list --state pending`.

Exit status: 0 the store is there, 1 nothing was restored, 2 wrong usage.

Example:
  alertbridge store restore /var/backups/alertbridge.db")]
    Restore {
        /// The backup
        file: PathBuf,
    },
    /// Look for damage and for promises not kept; a running `serve` goes on
    #[command(after_help = "\
Reads every page and every mail, and changes nothing. A line for each finding.

Exit status: 0 nothing was found, 1 something was, or there is no store, 2
wrong usage.

Examples:
  alertbridge store check
  alertbridge store check --quick
  alertbridge store check --json | jq -r '.findings[].what'")]
    Check {
        /// Leave out whether the mails' bytes are those that came, which takes minutes for a
        /// million mails
        #[arg(long)]
        quick: bool,
        #[command(flatten)]
        json: Json,
    },
}
