//! The commands: what they are called, what they take, and how their help tells it. Each has a file
//! of its own below.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jiff::{Timestamp, civil, tz::TimeZone};

use crate::clock::Clock;

mod check;
mod deliveries;
mod explain;
mod imap;
mod incidents;
mod mails;
mod print;
mod receivers;
mod replay;
mod routes;
mod serve;
mod silences;
mod store;

pub use check::Check;
pub use deliveries::Deliveries;
pub use explain::Explain;
pub use imap::{Imap, Login};
pub use incidents::Incidents;
pub use mails::{Discard, Mails};
pub use print::{Completion, Sample, Schema, SchemaOf};
pub use receivers::Receivers;
pub use replay::Replay;
pub use routes::{Routes, Test};
pub use serve::Serve;
pub use silences::{Add, Silences};
pub use store::Store;

/// From Atlassian's alert mails to on-call paging: one mail in, the right page out, once.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, propagate_version = false, after_help = FIRST_STEPS)]
pub struct Cli {
    /// The configuration file [default: alertbridge.yaml if it is there, else the built-in
    /// defaults]
    #[arg(long, global = true, value_name = "FILE", display_order = LAST)]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

/// Among the options of a command: what every one takes stands below its own.
const LAST: usize = 900;

/// What a list shows unless told otherwise.
const MOST_ROWS: u32 = 1000;

const FIRST_STEPS: &str = "\
First steps:
  alertbridge serve
      run on the built-in defaults; pages are printed
  alertbridge sample | alertbridge explain -
      what would become of a mail, stage by stage
  alertbridge check --config my.yaml
      is my configuration right?
  alertbridge replay --stored --diff my.yaml
      which pages would another one send for the mails of the last weeks?

`alertbridge COMMAND --help` has examples of each. Data goes to stdout,
everything else to stderr.

Exit status: 0 done, 1 what was asked about is wrong (a configuration, an
alert that cannot be read, other receivers than expected) or it could not
be done, 2 wrong usage.";

#[derive(Debug, Subcommand)]
pub enum Command {
    Serve(Serve),
    Check(Check),
    Explain(Explain),
    Replay(Replay),
    /// Show the route tree, or test which receivers labels reach
    #[command(subcommand)]
    Routes(Routes),
    /// Log in to mailboxes that want OAuth
    #[command(subcommand)]
    Imap(Imap),
    /// Test receivers
    #[command(subcommand)]
    Receivers(Receivers),
    /// Look at open and past incidents
    #[command(subcommand)]
    Incidents(Incidents),
    /// Look at what receivers are owed; send dead deliveries again, or give them up
    #[command(subcommand)]
    Deliveries(Deliveries),
    /// Look at stored mails, and decide on those in quarantine
    #[command(subcommand)]
    Mails(Mails),
    /// Planned maintenance: keep triggers from being told for a while
    #[command(subcommand)]
    Silences(Silences),
    /// Upkeep of the store
    #[command(subcommand)]
    Store(Store),
    Sample(Sample),
    Schema(Schema),
    Completion(Completion),
    /// Print the manual page
    #[command(after_help = "\
It holds the help of every command.

Exit status: 0 done, 2 wrong usage.

Example:
  alertbridge man | man -l -")]
    Man,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, Args)]
pub struct Json {
    /// Print JSON
    #[arg(long, display_order = LAST)]
    pub json: bool,
}

/// A point in time: `now`, RFC 3339, or a day or local time, which is UTC's.
fn time(text: &str) -> Result<Timestamp, String> {
    if text == "now" {
        return Ok(Clock::system().now());
    }
    let utc = |time: civil::DateTime| time.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    text.parse::<Timestamp>()
        .or_else(|_| text.parse::<civil::DateTime>().and_then(utc))
        .map_err(|_| "write it like 2026-03-01T03:00:00Z or 2026-03-01".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_teaches_with_an_example_and_its_exit_status() {
        fn walk(command: &clap::Command) {
            let help = command.clone().render_help().to_string();
            assert!(
                help.lines().all(|line| line.len() <= 100),
                "a line is too long:\n{help}"
            );
            assert!(
                command.get_about().is_some(),
                "nothing says what it is:\n{help}"
            );
            if command.has_subcommands() {
                return command.get_subcommands().for_each(walk);
            }
            assert!(help.contains("\nExample"), "{help}");
            assert!(help.contains("\nExit status: 0 "), "{help}");
        }
        walk(&Cli::command());
    }

    #[test]
    fn a_day_is_utcs() {
        assert_eq!(
            time("2026-03-01"),
            Ok("2026-03-01T00:00:00Z".parse().unwrap())
        );
        assert!(time("yesterday").is_err());
    }
}
