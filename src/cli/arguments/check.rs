//! `alertbridge check`.

use clap::Args;

use super::Json;

/// Validate the configuration, its templates, routes and secrets' files
#[derive(Debug, Args)]
#[command(after_help = "\
Every problem is told with its file, line, key and mend. Warnings are told
and do not change the exit status.

Exit status: 0 it is right, 1 it is not, 2 wrong usage.

Examples:
  alertbridge check
  alertbridge check --config /etc/alertbridge/alertbridge.yaml
  alertbridge check --json | jq .problems")]
pub struct Check {
    #[command(flatten)]
    pub print: Json,
}
