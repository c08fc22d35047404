//! The commands: what they are called, what they take, and how their help tells it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::{Timestamp, civil, tz::TimeZone};

use crate::{clock::Clock, delivery::DeliveryState, message::Outcome, settings::Duration};

/// From Atlassian's alert mails to on-call paging: one mail in, the right page out, once.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, propagate_version = false, after_help = FIRST_STEPS)]
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
  alertbridge serve
      run on the built-in defaults; pages are printed
  alertbridge sample | alertbridge explain -
      what would become of a mail, stage by stage
  alertbridge check --config my.yaml
      is my configuration right?";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the bridge
    #[command(after_help = "\
Without a configuration it listens on loopback (HTTP 8025, SMTP 2525,
admin 8026), keeps its state in alertbridge.db and prints pages to stdout.
SIGTERM lets it finish what is under way; nothing taken is lost. SIGHUP takes
the configuration anew; where that is wrong the old one stays in force.

Examples:
  alertbridge serve
  alertbridge serve --config /etc/alertbridge/alertbridge.yaml")]
    Serve,
    /// Validate the configuration, its templates, routes and secrets' files
    #[command(after_help = "\
Every problem is told with its file, line, key and mend; then the exit
status is 1. Warnings are told and change nothing.

Examples:
  alertbridge check
  alertbridge check --config alertbridge.yaml --json | jq .problems")]
    Check(Json),
    /// Walk one mail through every stage and show the exact requests; stores and sends nothing
    #[command(after_help = "\
The clock is the mail's own Date, unless --at. The state is empty: a resolve
alone is told to nobody; `replay` takes it together with its trigger. Silences
are the store's, and do not count here; `replay --stored` goes by them.

Examples:
  alertbridge explain alert.eml
  alertbridge sample | alertbridge explain --json -
  alertbridge explain --at 2026-03-01T03:00:00Z alert.eml")]
    Explain(Explain),
    /// Explain many mails in order of arrival, so duplicates and resolves show; pages nobody
    #[command(after_help = "\
The state is empty at first and thrown away at the end; each mail's clock is
its own arrival. Nothing is sent without --send. With --stored the store's
silences count, each for the mails of its time; for files there are none.

Examples:
  alertbridge replay ~/Maildir/.alerts
  alertbridge replay archive.mbox --json | jq -r .outcome | sort | uniq -c
  alertbridge replay --stored --since 2026-03-01T00:00:00Z
  alertbridge replay --send missed.eml")]
    Replay(Replay),
    /// Show the route tree, or test which receivers labels reach
    #[command(subcommand)]
    Routes(Routes),
    /// Set mailboxes up
    #[command(subcommand)]
    Imap(Imap),
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
    /// Planned maintenance: keep triggers from being told for a while
    #[command(subcommand)]
    Silences(Silences),
    /// Upkeep of the store
    #[command(subcommand)]
    Store(StoreCommand),
    /// Print a mail like Atlassian's, dated now, to try things with
    #[command(after_help = "\
Examples:
  alertbridge sample | curl --data-binary @- \\
      -H 'Content-Type: message/rfc822' http://127.0.0.1:8025/ingress/mail
  alertbridge sample --status OK --incident inc-1 | alertbridge explain -")]
    Sample(Sample),
    /// Print a JSON Schema: of an incident's JSON, or of the configuration file
    #[command(after_help = "\
Examples:
  alertbridge schema config > config.schema.json
    and in alertbridge.yaml: # yaml-language-server: $schema=config.schema.json
  alertbridge schema incident")]
    Schema {
        /// Of which
        of: SchemaOf,
    },
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  alertbridge completion bash > ~/.local/share/bash-completion/completions/alertbridge
  alertbridge completion zsh > \"${fpath[1]}/_alertbridge\"")]
    Completion {
        /// For which
        shell: clap_complete::Shell,
    },
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
    /// As if it had come through this ingress, whose host's Authentication-Results count; else every ingress's do
    #[arg(long, value_name = "NAME")]
    pub ingress: Option<String>,
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
    #[arg(long, value_name = "TIME", requires = "stored", conflicts_with = "paths", value_parser = time)]
    pub since: Option<Timestamp>,
    /// Stored mails that arrived before this time: RFC 3339, or a day
    #[arg(long, value_name = "TIME", requires = "stored", conflicts_with = "paths", value_parser = time)]
    pub until: Option<Timestamp>,
    /// Instead of each mail's own arrival
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Timestamp>,
    /// Treat the mails as genuine
    #[arg(long)]
    pub trust: bool,
    /// As if they had come through this ingress, whose host's Authentication-Results count; else every ingress's do
    #[arg(long, value_name = "NAME", conflicts_with = "stored")]
    pub ingress: Option<String>,
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
    #[command(after_help = "Example:\n  alertbridge routes show --config alertbridge.yaml")]
    Show(Json),
    /// Print which receivers a set of labels reaches; labels not given are empty
    #[command(after_help = "\
Examples:
  alertbridge routes test severity=critical app_key=com.example.app
  alertbridge routes test --at 2026-03-01T03:00:00Z severity=warning
  alertbridge routes test --expect oncall,chat severity=critical
      exit status 1 where others are reached")]
    Test(RoutesTest),
}

#[derive(Debug, Args)]
pub struct RoutesTest {
    /// With the time intervals of this time (RFC 3339, or a day); without it they do not count
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

#[derive(Debug, Subcommand)]
pub enum Imap {
    /// Get the refresh token of a mailbox with `oauth2`, by giving consent in a browser
    #[command(after_help = "\
A code that is typed into any browser (RFC 8628) is taken where the provider has it, else a browser on this machine.

Examples:
  alertbridge imap login mailbox                    asks before it writes refresh_token_file
  alertbridge imap login mailbox --write
  alertbridge imap login mailbox > refresh-token    elsewhere")]
    Login(ImapLogin),
}

#[derive(Debug, Args)]
pub struct ImapLogin {
    /// The ingress's name in the configuration
    pub name: String,
    /// With a code that is typed into any browser
    #[arg(long, conflicts_with = "browser")]
    pub device: bool,
    /// With a browser on this machine
    #[arg(long)]
    pub browser: bool,
    /// Where the browser is sent back to on 127.0.0.1 [default: any port that is free]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, conflicts_with = "device")]
    pub port: u16,
    /// Write the refresh token to its file without asking
    #[arg(long)]
    pub write: bool,
}

#[derive(Debug, Subcommand)]
pub enum Receivers {
    /// Send a `[TEST]` trigger and its resolve to one receiver
    #[command(after_help = "\
Both are real. What cannot be delivered in 20 s has failed: exit status 1.

Example:
  alertbridge receivers test oncall")]
    Test {
        /// The receiver's name in the configuration
        name: String,
        #[command(flatten)]
        print: Json,
    },
}

#[derive(Debug, Subcommand)]
pub enum Incidents {
    /// List incidents, open and past, those that changed last first
    #[command(after_help = "\
Examples:
  alertbridge incidents list --open
  alertbridge incidents list --json | jq -r '.[].incident_id'")]
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
    /// The whole timeline of one: its mails, who was told what, and when
    #[command(after_help = "Example:\n  alertbridge incidents show FOotlQrY5ZQ")]
    Show {
        /// The incident's id, as `incidents list` tells it
        id: String,
        #[command(flatten)]
        print: Json,
    },
}

#[derive(Debug, Subcommand)]
pub enum Deliveries {
    /// List what is owed, done, given up, the newest first
    #[command(after_help = "\
Examples:
  alertbridge deliveries list --state dead
  alertbridge deliveries list --json | jq '.[] | select(.receiver == \"oncall\")'")]
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
    /// Try dead deliveries again; a running `serve` does so within seconds
    #[command(after_help = "\
Examples:
  alertbridge deliveries retry 17 18
  alertbridge deliveries retry --dead")]
    Retry {
        /// The deliveries, as `deliveries list --state dead` tells them
        #[arg(required_unless_present = "dead", conflicts_with = "dead", value_name = "ID")]
        ids: Vec<i64>,
        /// All that are dead
        #[arg(long)]
        dead: bool,
    },
    /// Give one up: it is not sent, nor sent again
    #[command(after_help = "Example:\n  alertbridge deliveries discard 17")]
    Discard {
        /// The delivery, as `deliveries list` tells it
        id: i64,
    },
}

#[derive(Debug, Subcommand)]
pub enum Mails {
    /// List stored mails, the newest first
    #[command(after_help = "\
Examples:
  alertbridge mails list --outcome unparsed
  alertbridge mails list --json | jq -r .[].outcome | sort | uniq -c")]
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
    /// Show one: where it came from and what became of it
    #[command(after_help = "\
Examples:
  alertbridge mails show 17
  alertbridge mails show --raw 17 | alertbridge explain -")]
    Show {
        /// The mail, as `mails list` tells it
        id: i64,
        /// Print the mail itself, byte for byte
        #[arg(long, conflicts_with = "json")]
        raw: bool,
        #[command(flatten)]
        print: Json,
    },
    /// Let a quarantined mail be decided as genuine
    #[command(after_help = "Example:\n  alertbridge mails release 17")]
    Release {
        /// The mail, as `mails list --outcome quarantined` tells it
        id: i64,
    },
    /// Drop a quarantined mail
    #[command(after_help = "Example:\n  alertbridge mails discard 17")]
    Discard {
        /// The mail, as `mails list --outcome quarantined` tells it
        id: i64,
    },
}

#[derive(Debug, Subcommand)]
pub enum Silences {
    /// List silences that are active or yet to begin, the first to end first
    #[command(after_help = "\
Examples:
  alertbridge silences list
  alertbridge silences list --json | jq -r '.[] | select(.state == \"active\").id'")]
    List {
        /// Those that are over instead, the last to end first
        #[arg(long)]
        expired: bool,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = MOST_ROWS)]
        limit: u32,
        #[command(flatten)]
        print: Json,
    },
    /// Silence the triggers whose labels fulfil all matchers; prints the silence's ID
    #[command(after_help = "\
A running `serve` goes by it from the next mail on. A silenced trigger tells
nobody; it is recorded as `silenced`. What was told before is resolved as ever.
An incident that is still on when the silence ends pages at its next trigger.
What the bridge tells of itself is silenced only where a matcher asks for its
kind: 'kind=\"self\"'.

Examples:
  alertbridge silences add 'app_key=\"com.example.app\"' --duration 2h --comment 'database moves'
  alertbridge silences add 'sli=~\"iframe_load|webhook_delivery\"' 'sli_gap<20' \\
      --start 2026-03-01T22:00:00Z --end 2026-03-02T02:00:00Z --comment CHG-17")]
    Add(SilencesAdd),
    /// End silences now
    #[command(after_help = "\
Examples:
  alertbridge silences expire 3 4
  alertbridge silences expire $(alertbridge silences list --json | jq '.[].id')")]
    Expire {
        /// The silences, as `silences list` tells them
        #[arg(required = true, value_name = "ID")]
        ids: Vec<i64>,
    },
}

#[derive(Debug, Args)]
pub struct SilencesAdd {
    /// What is silenced, in the words of a route's `matchers`; `explain` shows the labels of a mail
    #[arg(required = true, value_name = "MATCHER")]
    pub matchers: Vec<String>,
    /// For how long [default: 1h]
    #[arg(short, long, value_name = "2h", conflicts_with = "end")]
    pub duration: Option<Duration>,
    /// From this time on: RFC 3339, or a day [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub start: Option<Timestamp>,
    /// Until this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub end: Option<Timestamp>,
    /// What the maintenance is; it stands in the record of each silenced mail
    #[arg(short, long, value_name = "TEXT")]
    pub comment: String,
    /// Whose it is [default: $USER]
    #[arg(short, long, value_name = "NAME")]
    pub author: Option<String>,
    #[command(flatten)]
    pub print: Json,
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Bring the store to this version's schema, or make it; `serve` does so by itself
    #[command(after_help = "Example:\n  alertbridge store migrate --config /etc/alertbridge/alertbridge.yaml")]
    Migrate,
    /// Copy the store into a new file; a running `serve` goes on
    #[command(after_help = "\
The copy is of one moment, read through, and renamed into place when it is
whole. Every mail acknowledged before that moment is in it.

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
    #[command(after_help = "Example:\n  alertbridge store restore /var/backups/alertbridge.db")]
    Restore {
        /// The backup
        file: PathBuf,
    },
    /// Look for damage and for promises not kept; a running `serve` goes on
    #[command(after_help = "\
Reads every page and every mail. A line for each finding, and exit status 1
where there is one.

Examples:
  alertbridge store check
  alertbridge store check --quick
  alertbridge store check --json | jq -r '.findings[].what'")]
    Check {
        /// Leave out whether the mails' bytes are those that came, which takes minutes for a million mails
        #[arg(long)]
        quick: bool,
        #[command(flatten)]
        json: Json,
    },
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
    fn every_command_teaches_with_an_example() {
        fn walk(command: &clap::Command) {
            if command.has_subcommands() {
                return command.get_subcommands().for_each(walk);
            }
            let help = command.clone().render_help().to_string();
            assert!(help.contains("Example"), "{help}");
            assert!(help.lines().all(|line| line.len() <= 100), "a line is too long:\n{help}");
        }
        walk(&Cli::command());
    }

    #[test]
    fn a_day_is_utcs() {
        assert_eq!(time("2026-03-01"), Ok("2026-03-01T00:00:00Z".parse().unwrap()));
        assert!(time("yesterday").is_err());
    }
}
