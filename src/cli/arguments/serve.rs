//! `alertbridge serve`.

use clap::Args;

use super::LAST;
use crate::telemetry::LogFormat;

/// Run the bridge
#[derive(Debug, Args)]
#[command(after_help = "\
Without a configuration it listens on loopback (HTTP 8025, SMTP 2525,
admin 8026), keeps its state in alertbridge.db and prints pages to stdout.
SIGTERM and SIGINT let it finish what is under way; nothing taken is lost.
A second one stops it at once: what that cuts off is repeated at the next
start. SIGHUP takes the configuration anew; where that is wrong the old one
stays in force. RUST_LOG says how much is logged (RUST_LOG=debug).

Exit status: 0 stopped as asked, 1 it cannot start, 2 wrong usage.

Examples:
  alertbridge serve
  alertbridge serve --config /etc/alertbridge/alertbridge.yaml
  alertbridge serve --log-format json 2>>alertbridge.log")]
pub struct Serve {
    /// How log lines are written [default: as the configuration says]
    #[arg(long, value_enum, value_name = "FORMAT", display_order = LAST)]
    pub log_format: Option<LogFormat>,
}
