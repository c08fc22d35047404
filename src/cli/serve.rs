//! `alertbridge serve`: runs the bridge.

use std::{path::Path, process::ExitCode};

use clap::Args;

use super::{exit, options::LAST};
use crate::{
    config::{Config, Files},
    serve,
    telemetry::{Log, LogFormat},
};

/// Run the bridge
#[derive(Debug, Args)]
#[command(after_help = "\
Without a configuration it listens on loopback (HTTP 8025, SMTP 2525, admin
8026), keeps its state in alertbridge.db and prints pages to stdout. SIGTERM
and SIGINT let it finish work in progress; no accepted mail is lost. A second
one stops it at once: interrupted work is repeated at the next start. SIGHUP
reloads the configuration; if that is wrong, the old one remains in force.
RUST_LOG sets how much is logged (RUST_LOG=debug).

Exit status: 0 stopped as asked, 1 it cannot start or has failed, 2 wrong usage.

Examples:
  alertbridge serve
  alertbridge serve --config /etc/alertbridge/alertbridge.yaml
  alertbridge serve --log-format json 2>>alertbridge.log")]
pub struct Serve {
    /// The format of log lines [default: that of the configuration]
    #[arg(long, value_enum, value_name = "FORMAT", display_order = LAST)]
    pub log_format: Option<LogFormat>,
}

impl Serve {
    pub async fn run(self, config: Option<&Path>) -> anyhow::Result<ExitCode> {
        let loaded = Config::load(config, Files::Needed)?;
        let log_format = self.log_format.unwrap_or(loaded.config.global.log_format);
        let log = Log::to_stderr(log_format)?;
        Ok(exit(serve::run(loaded, &log).await?))
    }
}
