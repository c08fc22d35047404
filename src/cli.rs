//! The commands: what they are called, what they take, and which code runs them.
//!
//! Data goes to stdout, everything else to stderr. Exit status: 0 done, 1 the thing asked about is wrong, 2 wrong usage.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use jiff::{Timestamp, civil, tz::TimeZone};

use crate::{
    clock::Clock,
    config::{Config, Files, Loaded},
    delivery::DeliveryState,
    message::Outcome,
    serve,
    store::sqlite::Sqlite,
    telemetry,
};

mod check;
mod deliveries;
mod explain;
mod incidents;
mod mailbox;
mod mails;
mod receivers;
mod replay;
pub mod routes;
pub mod sample;
mod schema;
mod store;
mod table;
mod trial;

/// From Atlassian's alert mails to on-call paging: one mail in, the right page out, once.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110, propagate_version = false, after_help = FIRST_STEPS)]
pub struct Cli {
    /// The configuration file [default: alertbridge.yaml if it is there, else the built-in defaults]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

/// What a list shows unless told otherwise.
const MOST_ROWS: u32 = 1000;

const FIRST_STEPS: &str = "\
First steps:
  alertbridge serve                        run on the built-in defaults; pages are printed
  alertbridge sample | alertbridge explain -
                                           what would become of a mail, stage by stage
  alertbridge check --config my.yaml       is my configuration right?";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the bridge
    #[command(after_help = "\
Without a configuration it listens on loopback (HTTP 8025, SMTP 2525, admin 8026), keeps its state in
alertbridge.db and prints pages to stdout. SIGTERM lets it finish what is under way; nothing taken is lost.

Examples:
  alertbridge serve
  alertbridge serve --config /etc/alertbridge/alertbridge.yaml")]
    Serve,
    /// Validate the configuration, its templates, routes and secrets' files
    #[command(after_help = "\
Every problem is told with its file, line, key and mend. Exit status 1 where there is one.

Examples:
  alertbridge check
  alertbridge check --config alertbridge.yaml --json | jq .problems")]
    Check(Json),
    /// Walk one mail through every stage and show the exact requests; stores and sends nothing
    #[command(after_help = "\
The clock is the mail's own Date, unless --at.

Examples:
  alertbridge explain alert.eml
  alertbridge sample | alertbridge explain --json -
  alertbridge explain --at 2026-03-01T03:00:00Z alert.eml     would the night shift be paged?")]
    Explain(Explain),
    /// Explain many mails in order of arrival, so duplicates and resolves show; pages nobody
    #[command(after_help = "\
Examples:
  alertbridge replay ~/Maildir/.alerts            a folder of mail
  alertbridge replay archive.mbox --json | jq -r .outcome | sort | uniq -c
  alertbridge replay --stored --since 2026-03-01T00:00:00Z
  alertbridge replay --send missed.eml            deliver for real, after asking")]
    Replay(Replay),
    /// Show the route tree, or test which receivers labels reach
    #[command(subcommand)]
    Routes(Routes),
    /// Test receivers
    #[command(subcommand)]
    Receivers(Receivers),
    /// Look at open and past incidents
    #[command(subcommand)]
    Incidents(Incidents),
    /// Look at and settle what is owed to receivers
    #[command(subcommand)]
    Deliveries(Deliveries),
    /// Look at stored mails, and decide on those in quarantine
    #[command(subcommand)]
    Mails(Mails),
    /// Upkeep of the store
    #[command(subcommand)]
    Store(StoreCommand),
    /// Print a mail like Atlassian's, dated now, to try things with
    #[command(after_help = "\
Examples:
  alertbridge sample | curl --data-binary @- -H 'Content-Type: message/rfc822' http://127.0.0.1:8025/ingress/mail
  alertbridge sample --status OK --incident inc-1 | alertbridge explain -")]
    Sample(Sample),
    /// Print a JSON Schema: of an incident's JSON, or of the configuration file
    #[command(after_help = "\
Examples:
  alertbridge schema config > config.schema.json
    and in alertbridge.yaml: # yaml-language-server: $schema=config.schema.json
  alertbridge schema incident")]
    Schema { of: SchemaOf },
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  alertbridge completion bash > ~/.local/share/bash-completion/completions/alertbridge
  alertbridge completion zsh > \"${fpath[1]}/_alertbridge\"")]
    Completion { shell: clap_complete::Shell },
    /// Print the manual page
    #[command(after_help = "Example:\n  alertbridge man | man -l -")]
    Man,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, Args)]
pub struct Json {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// The mail, as a file (`.eml`); `-` is standard input
    pub mail: PathBuf,
    /// Instead of the mail's own Date: RFC 3339, or a day
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Timestamp>,
    /// Treat the mail as genuine
    #[arg(long)]
    pub trust: bool,
    #[command(flatten)]
    pub print: Json,
}

#[derive(Debug, Args)]
pub struct Replay {
    /// Mails, folders of them (Maildir too), or mbox files
    #[arg(required_unless_present = "stored", conflicts_with = "stored", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The mails in the store
    #[arg(long)]
    pub stored: bool,
    /// Stored mails that arrived at this time or later: RFC 3339, or a day
    #[arg(long, value_name = "TIME", requires = "stored", value_parser = time)]
    pub since: Option<Timestamp>,
    /// Stored mails that arrived before this time
    #[arg(long, value_name = "TIME", requires = "stored", value_parser = time)]
    pub until: Option<Timestamp>,
    /// Instead of each mail's own arrival
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Timestamp>,
    /// Treat the mails as genuine
    #[arg(long)]
    pub trust: bool,
    /// Deliver for real, after asking
    #[arg(long)]
    pub send: bool,
    /// Do not ask
    #[arg(long, requires = "send")]
    pub yes: bool,
    /// Comes with a later version
    #[arg(long, value_name = "OTHER.yaml", hide = true)]
    pub diff: Option<PathBuf>,
    #[command(flatten)]
    pub print: Json,
}

#[derive(Debug, Subcommand)]
pub enum Routes {
    /// Print the tree
    Show(Json),
    /// Print which receivers a set of labels reaches; labels not given are empty
    #[command(after_help = "\
Examples:
  alertbridge routes test severity=critical app_key=com.example.app
  alertbridge routes test --at 2026-03-01T03:00:00Z severity=warning
  alertbridge routes test --expect oncall,chat severity=critical     exit status 1 where others are reached")]
    Test(RoutesTest),
}

#[derive(Debug, Args)]
pub struct RoutesTest {
    /// With the time intervals of this time; without it they do not count
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Timestamp>,
    /// The receivers that must be reached, in this order
    #[arg(long, value_name = "A,B")]
    pub expect: Option<String>,
    #[arg(value_name = "label=value")]
    pub labels: Vec<String>,
    #[command(flatten)]
    pub print: Json,
}

#[derive(Debug, Subcommand)]
pub enum Receivers {
    /// Send a `[TEST]` trigger and its resolve to one receiver
    #[command(after_help = "Example:\n  alertbridge receivers test oncall")]
    Test {
        name: String,
        #[command(flatten)]
        print: Json,
    },
}

#[derive(Debug, Subcommand)]
pub enum Incidents {
    /// List incidents, open and past, those that changed last first
    List {
        /// Only those that are open
        #[arg(long)]
        open: bool,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = MOST_ROWS)]
        limit: u32,
        #[command(flatten)]
        print: Json,
    },
    /// The whole timeline of one
    Show {
        id: String,
        #[command(flatten)]
        print: Json,
    },
}

#[derive(Debug, Subcommand)]
pub enum Deliveries {
    /// List what is owed, done, given up
    List {
        /// Only those in this state
        #[arg(long)]
        state: Option<DeliveryState>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = MOST_ROWS)]
        limit: u32,
        #[command(flatten)]
        print: Json,
    },
    /// Try dead deliveries again
    Retry {
        #[arg(required_unless_present = "dead", conflicts_with = "dead", value_name = "ID")]
        ids: Vec<i64>,
        /// All that are dead
        #[arg(long)]
        dead: bool,
    },
    /// Give one up
    Discard { id: i64 },
}

#[derive(Debug, Subcommand)]
pub enum Mails {
    /// List stored mails, the newest first
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
    /// Show one
    Show {
        id: i64,
        /// Print the mail itself, byte for byte
        #[arg(long, conflicts_with = "json")]
        raw: bool,
        #[command(flatten)]
        print: Json,
    },
    /// Let a quarantined mail be decided as genuine
    Release { id: i64 },
    /// Drop a quarantined mail
    Discard { id: i64 },
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Bring the store to this version's schema
    Migrate,
}

#[derive(Debug, Args)]
pub struct Sample {
    /// The incident's status
    #[arg(long, value_name = "S", default_value = "ANOMALOUS")]
    pub status: String,
    /// The incident's id [default: a new one]
    #[arg(long, value_name = "ID")]
    pub incident: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    Incident,
    Config,
}

impl Cli {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.as_deref();
        match self.command {
            Command::Check(Json { json }) => check::run(config, json, &mut io::stdout().lock()),
            Command::Schema { of } => schema::run(of, &mut io::stdout().lock()),
            Command::Completion { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "alertbridge", &mut script);
                print(&script)
            }
            Command::Man => {
                let mut page = Vec::new();
                clap_mangen::Man::new(Self::command()).render(&mut page)?;
                print(&page)
            }
            Command::Replay(Replay { diff: Some(_), .. }) => bail!("`replay --diff` comes with a later version"),
            Command::Serve => {
                telemetry::log_to_stderr();
                serve::run(Config::load(config, Files::Needed)?).await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Explain(Explain { mail, at, trust, print: Json { json } }) => {
                let loaded = Config::load(config, Files::Unneeded)?;
                let request = explain::Request { mail: &mail, at, trust, json, now: Clock::system().now() };
                explain::run(loaded.rules, loaded.config.global.external_url, request, &mut io::stdout().lock())
                    .await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Replay(arguments) => replay(config, arguments).await,
            Command::Routes(command) => routes(config, command),
            Command::Receivers(Receivers::Test { name, print: Json { json } }) => {
                let Loaded { config, rules, .. } = Config::load(config, Files::Needed)?;
                let (receivers, external_url) = (Arc::clone(&rules.receivers), config.global.external_url);
                let clock = Clock::system();
                let out = &mut io::stdout();
                let delivered =
                    receivers::test(receivers, &name, &config.delivery, external_url, clock, json, out).await?;
                Ok(if delivered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Command::Incidents(command) => {
                let store = open_store(config)?;
                let out = &mut io::stdout().lock();
                match command {
                    Incidents::List { open, limit, print: Json { json } } => {
                        incidents::list(&store, open, limit, json, out).await?;
                    }
                    Incidents::Show { id, print: Json { json } } => incidents::show(&store, &id, json, out).await?,
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Deliveries(command) => {
                let store = open_store(config)?;
                let (out, now) = (&mut io::stdout().lock(), Clock::system().now());
                match command {
                    Deliveries::List { state, limit, print: Json { json } } => {
                        deliveries::list(&store, state, limit, json, out).await?;
                    }
                    Deliveries::Retry { ids, dead } => {
                        deliveries::retry(&store, (!dead).then_some(ids), now, out).await?;
                    }
                    Deliveries::Discard { id } => deliveries::discard(&store, id, now, out).await?,
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Mails(command) => {
                let store = open_store(config)?;
                let (out, now) = (&mut io::stdout().lock(), Clock::system().now());
                match command {
                    Mails::List { outcome, limit, print: Json { json } } => {
                        mails::list(&store, outcome, limit, json, out).await?;
                    }
                    Mails::Show { id, raw, print: Json { json } } => mails::show(&store, id, raw, json, out).await?,
                    Mails::Release { id } => mails::release(&store, id).await?,
                    Mails::Discard { id } => mails::discard(&store, id, now, out).await?,
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Store(StoreCommand::Migrate) => {
                let loaded = Config::load(config, Files::Unneeded)?;
                store::migrate(&serve::store_path(&loaded.config)?, &mut io::stdout().lock())?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Sample(Sample { status, incident }) => {
                print(sample::mail(&status, incident.as_deref(), Clock::system().now()).as_bytes())
            }
        }
    }
}

/// The store of the configuration, which must be there: only `serve` and `store migrate` make one.
fn open_store(config: Option<&Path>) -> anyhow::Result<Sqlite> {
    let loaded = Config::load(config, Files::Unneeded)?;
    let path = serve::store_path(&loaded.config)?;
    if !path.exists() {
        bail!("there is no store {} yet: `alertbridge serve` makes it; is --config right?", path.display());
    }
    Ok(Sqlite::open(&path)?)
}

async fn replay(config: Option<&Path>, arguments: Replay) -> anyhow::Result<ExitCode> {
    let Replay { paths, stored, since, until, at, trust, send, yes, print: Json { json }, diff: _ } = arguments;
    let files = if send { Files::Needed } else { Files::Unneeded };
    let Loaded { rules, config: settings, .. } = Config::load(config, files)?;
    let stored = match stored {
        true => Some(replay::Stored { store: Arc::new(open_store(config)?), since, until }),
        false => None,
    };
    let external_url = settings.global.external_url;
    let request = replay::Request { paths, stored, at, trust, json, now: Clock::system().now() };
    let trial = replay::run(rules, external_url.clone(), request, &mut io::stdout()).await?;
    if !send {
        return Ok(ExitCode::SUCCESS);
    }
    let owed = trial.store.depth().await?.deliveries.get("pending").copied().unwrap_or_default();
    if !yes && !replay::agreed(owed)? {
        eprintln!("nothing was sent");
        return Ok(ExitCode::FAILURE);
    }
    let given_up = replay::send(&trial, &settings.delivery, external_url).await?;
    Ok(if given_up == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn routes(config: Option<&Path>, command: Routes) -> anyhow::Result<ExitCode> {
    let loaded = Config::load(config, Files::Unneeded)?;
    let out = &mut io::stdout().lock();
    let tried = match command {
        Routes::Show(Json { json }) => routes::show(&loaded.rules.routes, json, out),
        Routes::Test(RoutesTest { at, expect, labels, print: Json { json } }) => {
            let test = routes::Test { labels: &labels, at, expect: expect.as_deref(), json };
            routes::test(&loaded.rules.routes, &test, out, &mut io::stderr())
        }
    };
    match tried {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            let status = error.exit_status();
            eprintln!("error: {error}");
            Ok(ExitCode::from(status))
        }
    }
}

fn print(bytes: &[u8]) -> anyhow::Result<ExitCode> {
    io::stdout().lock().write_all(bytes).context("cannot write")?;
    Ok(ExitCode::SUCCESS)
}

/// Whether the error is that nobody reads standard output any more, which is no failure.
pub fn reader_is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        kind.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
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
    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_day_is_utcs() {
        assert_eq!(time("2026-03-01"), Ok("2026-03-01T00:00:00Z".parse().unwrap()));
        assert!(time("yesterday").is_err());
    }
}
