//! The format of the log, and what it never shows. If it cannot be written, nothing else is
//! affected.

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
    /// A JSON object on each line, for log collectors
    Json,
}

/// The log of a running bridge. Dropping it writes the last lines.
pub struct Log(Lines);

impl Log {
    /// Sends log lines to standard error, `info` and above unless `RUST_LOG` says otherwise. Panics
    /// are logged there as well.
    pub fn to_stderr(format: LogFormat) -> io::Result<Self> {
        let terminal = io::stderr().is_terminal();
        let lines = Lines::to(Plain(io::stderr()))?;

        let to = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter())
            .with_writer(move || to.clone())
            // Internal errors would be written to standard error directly.
            .log_internal_errors(false)
            .with_target(false);

        // The call fails only if there is a subscriber already, and this process sets no other.
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

    /// Says something to the person who started the program, in plain text rather than as a log
    /// line.
    pub fn say(&self, text: &str) {
        // Writing to the queue does not fail.
        let _ = self.0.clone().write_all(text.as_bytes());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Returns the filter of log lines.
///
/// Some crates trace for their authors' use and log passwords, mails and the addresses of proxies.
/// They stay silent whatever `RUST_LOG` says.
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

/// Logs a panic. Rust's own message would go straight to standard error, and wait for it.
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

/// The destination of the log, which escapes hidden characters that a mail may have brought into
/// it, as in JSON.
///
/// ASCII control characters are escaped earlier, unless they are the colours of the log itself.
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
