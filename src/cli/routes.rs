//! `alertbridge routes`: shows the route tree, and where a set of labels leads.

use std::{
    collections::BTreeSet,
    fmt,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Notes,
    options::{Json, time},
};
use crate::{
    config::{Config, Files},
    label::{self, Labels, Matcher, Operator},
    route::{self, OnMute, Reached, Route, interval::Intervals},
};

/// Show the route tree, or test which receivers labels reach
#[derive(Debug, Subcommand)]
pub enum Routes {
    /// Print the tree
    #[command(after_help = "\
One route per line, below its parent, with its matchers and receiver.

Exit status: 0 done, 1 the configuration is wrong, 2 wrong usage.

Example:
  alertbridge routes show --config alertbridge.yaml")]
    Show(Json),
    Test(Test),
}

/// Print which receivers a set of labels reaches
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Labels that are not given are empty. This includes severity: here, it is not
derived from the others, as it is for a mail.

Exit status: 0 done; 1 other receivers are reached than --expect lists, or the
configuration is wrong; 2 wrong usage.

Examples:
  alertbridge routes test severity=critical app_key=com.example.app
  alertbridge routes test --at 2026-03-01T03:00:00Z severity=warning
  alertbridge routes test --expect oncall,chat severity=critical")]
pub struct Test {
    /// Apply the time intervals at this time (RFC 3339, a UTC day, or now); without it they are
    /// ignored
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Timestamp>,
    /// The receivers that must be reached, in this order
    #[arg(long, value_name = "A,B")]
    pub expect: Option<String>,
    /// The labels; `explain` shows those of a mail
    #[arg(value_name = "label=value")]
    pub labels: Vec<String>,
    #[command(flatten)]
    pub print: Json,
}

impl Routes {
    pub fn run(self, config: Option<&Path>) -> anyhow::Result<ExitCode> {
        let loaded = Config::load(config, Files::Unneeded)?;
        let (routes, out) = (&loaded.rules.routes, &mut io::stdout());
        let tried = match self {
            Self::Show(Json { json }) => show(routes, json, out),
            Self::Test(labels) => {
                let known = loaded.rules.profiles.labels();
                test(routes, &known, &labels, out, &mut Notes)
            }
        };

        match tried {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(RoutesError::Write(error)) => Err(error.into()),
            Err(error) => {
                tell!("error: {error}");
                Ok(ExitCode::from(error.exit_status()))
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RoutesError {
    /// Wrong usage: exit status 2.
    #[error("`{0}` is not a valid label: write it like `severity=critical`")]
    Label(String),
    /// The subject of the command is wrong: exit status 1.
    #[error(
        "the labels reach {}, not {} as expected",
        Names(reached),
        Names(expected)
    )]
    Unexpected {
        reached: Vec<String>,
        expected: Vec<String>,
    },
    #[error("the answer cannot be written: {0}")]
    Write(#[from] io::Error),
}

impl RoutesError {
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Label(_) => 2,
            Self::Unexpected { .. } | Self::Write(_) => 1,
        }
    }
}

/// Prints the tree, one route per line as amtool does, or as one JSON object.
pub fn show(routes: &route::Routes, json: bool, out: &mut dyn Write) -> Result<(), RoutesError> {
    if json {
        writeln!(out, "{}", object(routes.root()))?;
    } else {
        writeln!(out, "{}", line(routes.root()))?;
        branches(routes.root(), "", out)?;
    }
    Ok(())
}

/// Prints the receivers that the labels reach, on one line separated by commas, or as JSON. Notes
/// for a person go to `notes`, such as a label that is not among the `known`.
pub fn test(
    routes: &route::Routes,
    known: &BTreeSet<&str>,
    test: &Test,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> Result<(), RoutesError> {
    let labels = parse_labels(&test.labels)?;
    for name in labels.keys().filter(|name| !known.contains(name.as_ref())) {
        writeln!(
            notes,
            "note: no alert has a label `{name}`; there are {}",
            Known(known)
        )?;
    }

    let (muted, told): (Vec<_>, Vec<_>) = routes
        .reach(&labels, test.at)
        .into_iter()
        .partition(|reached| reached.mute.is_some());

    for reached in &muted {
        writeln!(notes, "{}", Muted(reached))?;
    }

    let paths: Vec<_> = told.iter().map(|reached| reached.path.as_str()).collect();
    let receivers: Vec<_> = told
        .iter()
        .map(|reached| reached.receiver.as_str())
        .collect();

    if test.print.json {
        writeln!(
            out,
            "{}",
            json!({ "receivers": receivers, "routes": paths })
        )?;
    } else {
        writeln!(out, "{}", receivers.join(","))?;
    }

    match &test.expect {
        Some(expected) => compare(&receivers, expected),
        None => Ok(()),
    }
}

/// Compares the `reached` receivers with a list separated by commas.
fn compare(reached: &[&str], expected: &str) -> Result<(), RoutesError> {
    let expected: Vec<_> = expected
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();

    if reached == expected {
        return Ok(());
    }

    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Err(RoutesError::Unexpected {
        reached: owned(reached),
        expected: owned(&expected),
    })
}

/// Parses `label=value`, quoted or not, in a matcher's notation.
fn parse_labels(pairs: &[String]) -> Result<Labels, RoutesError> {
    pairs
        .iter()
        .map(|pair| match Matcher::parse(pair) {
            Ok(matcher) if matcher.operator() == Operator::Equal => {
                Ok((matcher.name().to_owned().into(), matcher.value().to_owned()))
            }
            _ => Err(RoutesError::Label(pair.clone())),
        })
        .collect()
}

fn branches(route: &Route, indent: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut children = route.routes.iter().peekable();
    while let Some(child) = children.next() {
        let (branch, below) = if children.peek().is_some() {
            ("├── ", "│   ")
        } else {
            ("└── ", "    ")
        };
        writeln!(out, "{indent}{branch}{}", line(child))?;
        branches(child, &format!("{indent}{below}"), out)?;
    }

    Ok(())
}

fn line(route: &Route) -> String {
    let mut parts = vec![match texts(&route.matchers) {
        matchers if matchers.is_empty() => "default-route".to_owned(),
        matchers => format!("{{{}}}", matchers.join(", ")),
    }];

    if route.r#continue {
        parts.push("continue: true".to_owned());
    }

    parts.push(format!("receiver: {}", route.receiver));
    for (key, intervals) in [
        ("mute_time_intervals", &route.mute),
        ("active_time_intervals", &route.active),
    ] {
        if !intervals.is_empty() {
            parts.push(format!("{key}: {}", names(intervals).join(", ")));
        }
    }

    if !(route.mute.is_empty() && route.active.is_empty()) {
        parts.push(format!("on_mute: {}", on_mute(route)));
    }

    parts.join("  ")
}

/// Returns a route and its child routes as JSON.
pub fn object(route: &Route) -> Value {
    json!({
        "path": route.path,
        "receiver": route.receiver,
        "matchers": texts(&route.matchers),
        "continue": route.r#continue,
        "mute_time_intervals": names(&route.mute),
        "active_time_intervals": names(&route.active),
        "on_mute": on_mute(route),
        "routes": route.routes.iter().map(object).collect::<Vec<_>>(),
    })
}

fn names(intervals: &[Arc<Intervals>]) -> Vec<&str> {
    intervals
        .iter()
        .map(|interval| interval.name.as_str())
        .collect()
}

fn texts(matchers: &[Matcher]) -> Vec<String> {
    matchers.iter().map(ToString::to_string).collect()
}

fn on_mute(route: &Route) -> &'static str {
    match route.on_mute {
        OnMute::Hold => "hold",
        OnMute::Drop => "drop",
    }
}

/// A sentence about a receiver that is muted now.
struct Muted<'a>(&'a Reached);

impl fmt::Display for Muted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reached {
            receiver,
            path,
            mute,
        } = self.0;

        let Some(mute) = mute else { return Ok(()) };
        let intervals = mute.intervals.join(", ");

        match mute.until {
            Some(until) => write!(
                f,
                "{receiver} ({path}): held until {until} by the time interval {intervals}"
            ),
            None => write!(
                f,
                "{receiver} ({path}): dropped by the time interval {intervals}"
            ),
        }
    }
}

/// The known labels, listed with the built-in ones first.
pub(super) struct Known<'a>(pub(super) &'a BTreeSet<&'a str>);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&label::NAMES.join(", "))?;
        self.0
            .iter()
            .filter(|name| !label::NAMES.contains(name))
            .try_for_each(|name| write!(f, ", {name}"))
    }
}

/// Receivers as part of a sentence.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str("nobody")
        } else {
            f.write_str(&self.0.join(","))
        }
    }
}
