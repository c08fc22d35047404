//! `alertbridge routes`.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{Json, time};

#[derive(Debug, Subcommand)]
pub enum Routes {
    /// Print the tree
    #[command(after_help = "\
A route a line, below the one it belongs to, with its matchers and receiver.

Exit status: 0 done, 1 the configuration is wrong, 2 wrong usage.

Example:
  alertbridge routes show --config alertbridge.yaml")]
    Show(Json),
    Test(Test),
}

/// Print which receivers a set of labels reaches
#[derive(Debug, Args)]
#[command(after_help = "\
Labels not given are empty. Severity is one of them: it is not worked out
from the others here, as it is for a mail.

Exit status: 0 done, 1 others are reached than --expect says or the
configuration is wrong, 2 wrong usage.

Examples:
  alertbridge routes test severity=critical app_key=com.example.app
  alertbridge routes test --at 2026-03-01T03:00:00Z severity=warning
  alertbridge routes test --expect oncall,chat severity=critical")]
pub struct Test {
    /// With the time intervals of this time (RFC 3339, a day of UTC, or now); without it they do
    /// not count
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Timestamp>,
    /// The receivers that must be reached, in this order
    #[arg(long, value_name = "A,B")]
    pub expect: Option<String>,
    /// The labels, as many as you like; `explain` shows those of a mail
    #[arg(value_name = "label=value")]
    pub labels: Vec<String>,
    #[command(flatten)]
    pub print: Json,
}
