//! The commands. Each has a file of its own below, with its options, its help and its
//! implementation.
//!
//! Data goes to stdout, everything else to stderr. The exit status is 0 if the command is done, 1
//! if its subject is wrong, and 2 for wrong usage.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use clap::{CommandFactory as _, Parser, Subcommand};

use desk::At;

use crate::{config::Loaded, profile::examples, trial::Trial};

/// Prints a line to [`Notes`].
macro_rules! tell {
    ($($text:tt)*) => {{
        let _never_fails = std::io::Write::write_fmt(
            &mut crate::cli::Notes,
            format_args!("{}\n", format_args!($($text)*)),
        );
    }};
}

mod asker;
mod check;
mod completion;
mod deliveries;
mod desk;
mod doctor;
mod explain;
mod file_format;
mod imap;
mod incidents;
mod mailbox;
mod mails;
mod man;
mod mbox;
mod objectives;
mod options;
mod plain;
mod profiles;
mod receivers;
mod remote;
mod replay;
pub mod routes;
pub mod sample;
mod schema;
mod serve;
mod silences;
mod store;
mod table;

/// From Atlassian's alert mails to on-call paging: one mail in, the right page out, once.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, propagate_version = false, after_help = FIRST_STEPS)]
pub struct Cli {
    /// The configuration file [default: alertbridge.yaml if it exists, else the built-in defaults]
    #[arg(long, global = true, value_name = "FILE", display_order = options::LAST)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// Standard error. Other than with `eprintln!`, a reader that has seen enough (`2>&1 | head`) does
/// not end the command.
struct Notes;

impl io::Write for Notes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _nobody_reads_on = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const FIRST_STEPS: &str = "\
First steps:
  alertbridge serve
      run on the built-in defaults; pages are printed
  alertbridge sample | alertbridge explain -
      what happens to a mail, stage by stage
  alertbridge check --config my.yaml
      is my configuration right?
  alertbridge replay --stored --diff my.yaml
      which pages would another configuration send for the stored mails?

`alertbridge COMMAND --help` has examples of each. Data goes to stdout,
everything else to stderr.

Exit status: 0 done; 1 the subject of the command is wrong (a configuration, an
alert that cannot be read, other receivers than expected), or it could not be
done; 2 wrong usage.";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Check(check::Check),
    Doctor(doctor::Doctor),
    Explain(explain::Explain),
    Replay(replay::Replay),
    #[command(subcommand)]
    Routes(routes::Routes),
    #[command(subcommand)]
    Imap(imap::Imap),
    #[command(subcommand)]
    Receivers(receivers::Receivers),
    Incidents(At<incidents::Incidents>),
    Deliveries(At<deliveries::Deliveries>),
    Mails(At<mails::Mails>),
    Silences(At<silences::Silences>),
    Objectives(objectives::Objectives),
    #[command(subcommand)]
    Profiles(profiles::Commands),
    #[command(subcommand)]
    Store(store::Store),
    Sample(sample::Sample),
    Schema(schema::Schema),
    Completion(completion::Completion),
    Man(man::Manual),
}

/// The exit status for wrong usage, the same as clap's.
const WRONG_USAGE: u8 = 2;

impl Cli {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.as_deref();
        let code = match self.command {
            // `serve` prints pages when they are sent, and needs no flush at the end: the flush
            // would block if nobody reads the output.
            Command::Serve(command) => return command.run(config).await,
            Command::Check(command) => command.run(config),
            Command::Doctor(command) => command.run(config).await,
            Command::Explain(command) => command.run(config).await,
            Command::Replay(command) => command.run(config).await,
            Command::Routes(command) => command.run(config),
            Command::Imap(command) => command.run(config).await,
            Command::Receivers(command) => command.run(config).await,
            Command::Incidents(At { command, server }) => command.run(config, &server).await,
            Command::Deliveries(At { command, server }) => command.run(config, &server).await,
            Command::Mails(At { command, server }) => command.run(config, &server).await,
            Command::Silences(At { command, server }) => command.run(config, &server).await,
            Command::Objectives(command) => command.run(config).await,
            Command::Profiles(command) => command.run(config).await,
            Command::Store(command) => command.run(config).await,
            Command::Sample(command) => command.run(),
            Command::Schema(command) => command.run(),
            Command::Completion(command) => command.run(Self::command()),
            Command::Man(man::Manual) => man::Manual::run(Self::command()),
        }?;

        io::stdout().flush()?;
        Ok(code)
    }
}

/// Returns the exit status for whether the subject of the command is right.
fn exit(right: bool) -> ExitCode {
    if right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Builds a throw-away bridge for a configuration.
fn trial_of(loaded: &Loaded, trust: bool) -> anyhow::Result<Trial> {
    // Failing examples keep a bridge from starting, but must not keep anybody from finding out why.
    for problem in examples::problems(&loaded.profiles) {
        let warning = format!("{}: {problem}", loaded.source);
        tell!("warning: {}", plain::plain(&warning));
    }

    Trial::new(
        Arc::clone(&loaded.rules),
        loaded.config.authenticator(&loaded.rules.profiles)?,
        loaded.config.global.external_url.clone(),
        trust,
    )
}

/// Prints to standard error why a command failed. Text from a mail cannot move the cursor.
pub fn complain(error: &anyhow::Error) {
    tell!("error: {}", plain::lines(&format!("{error:#}")));
}

/// Decides whether the error means that nobody reads standard output any more, which is not a
/// failure.
pub fn reader_is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause
            .downcast_ref::<serde_json::Error>()
            .and_then(serde_json::Error::io_error_kind);
        kind.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    /// The doc comment of a group of options would become the help of each command that has them.
    #[test]
    fn every_command_has_a_help_of_its_own() {
        fn walk(command: &clap::Command, seen: &mut BTreeSet<String>) {
            for command in command.get_subcommands() {
                let about = command.get_about().map(ToString::to_string);
                let about = about.unwrap_or_default();
                assert!(
                    seen.insert(about.clone()),
                    "{}: {about}",
                    command.get_name()
                );
                walk(command, seen);
            }
        }
        walk(&Cli::command(), &mut BTreeSet::new());
    }

    #[test]
    fn every_command_teaches_with_an_example_and_its_exit_status() {
        fn walk(command: &clap::Command) {
            let help = command.clone().render_help().to_string();
            assert!(
                help.lines().all(|line| line.len() <= 100),
                "a line is too long:\n{help}"
            );
            let after = command.get_after_help().map(ToString::to_string);
            assert!(
                after
                    .iter()
                    .flat_map(|after| after.lines())
                    .all(|line| line.len() <= 80),
                "a line is wider than a terminal:\n{help}"
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
}
