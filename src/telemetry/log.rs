//! How the log is written: its format, and what it never shows. Whether it can be written is
//! nobody's concern but its own.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal as _, Write},
    panic::{self, PanicHookInfo},
};

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::message::hidden::is_hidden;

mod lines;

use lines::Lines;

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text where standard error is a terminal, JSON elsewhere
    #[default]
    Auto,
    /// A line for people to read
    Text,
    /// A JSON object on each line, for what collects logs
    Json,
}

/// The log of a running bridge. When it is dropped, the last lines are written.
pub struct Log(Lines);

impl Log {
    /// Log lines go to standard error, `info` and above unless `RUST_LOG` says otherwise; so does
    /// what is said of a panic.
    pub fn to_stderr(format: LogFormat) -> io::Result<Self> {
        let terminal = io::stderr().is_terminal();
        let lines = Lines::to(Plain(io::stderr()))?;

        let to = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter())
            .with_writer(move || to.clone())
            // They would be told on standard error.
            .log_internal_errors(false)
            .with_target(false);

        // A second subscriber would be a second program in this process: there is none.
        let _ = match format {
            LogFormat::Text => subscriber.with_ansi(terminal).try_init(),
            LogFormat::Auto if terminal => subscriber.with_ansi(true).try_init(),
            LogFormat::Json | LogFormat::Auto => subscriber.json().flatten_event(true).try_init(),
        };

        let last = lines.clone();
        panic::set_hook(Box::new(move |panic| {
            log_panic(panic);
            last.flush();
        }));

        Ok(Self(lines))
    }

    /// Says something to whoever started the program, in their words rather than as a log line.
    pub fn say(&self, text: &str) {
        // It does not fail.
        let _ = self.0.clone().write_all(text.as_bytes());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// What these trace is for their authors, and holds passwords, mails and the addresses of proxies:
/// they stay silent whatever `RUST_LOG` says.
fn filter() -> EnvFilter {
    let silent = [
        "async_imap=off",
        "async_imap::imap_stream=off",
        "imap_proto=off",
        "refinery_core=warn",
        "deadpool.postgres=off",
        "reqwest=info",
        "hyper_util=info",
    ];

    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    silent
        .iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive)
}

/// Rust's own words go straight to standard error, and wait for it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let is_captured = backtrace.status() == BacktraceStatus::Captured;
    tracing::error!(
        at = panic.location().map(tracing::field::display),
        what = panic.payload_as_str(),
        backtrace = is_captured.then(|| tracing::field::display(backtrace)),
        "this program has a fault: it panicked"
    );
}

/// Where the log goes, without the hidden characters that a mail may have brought into it: each is
/// escaped as JSON has it. ASCII's own are escaped before, where they are not the colours of the
/// log itself.
struct Plain<W>(W);

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let is_raw = |c: char| !c.is_ascii() && is_hidden(c);

        if !text.contains(is_raw) {
            return self.0.write_all(line).map(|()| line.len());
        }

        let mut safe = String::with_capacity(line.len() + 64);
        for c in text.chars() {
            if is_raw(c) {
                safe.extend(
                    c.encode_utf16(&mut [0; 2])
                        .iter()
                        .map(|unit| format!("\\u{unit:04x}")),
                );
            } else {
                safe.push(c);
            }
        }

        self.0.write_all(safe.as_bytes()).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
