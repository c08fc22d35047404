//! How the log is written: its format, and what it never shows.

use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::message::hidden::is_hidden;

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

/// Log lines go to standard error, `info` and above unless `RUST_LOG` says otherwise.
///
/// What these trace is for their authors, and holds passwords, mails and the addresses of proxies:
/// they stay silent whatever `RUST_LOG` says.
pub fn log_to_stderr(format: LogFormat) {
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
    let filter = silent
        .iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive);

    let terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Plain(io::stderr()))
        .with_target(false);

    // A second subscriber would be a second program in this process: there is none.
    let _ = match format {
        LogFormat::Text => lines.with_ansi(terminal).try_init(),
        LogFormat::Auto if terminal => lines.with_ansi(true).try_init(),
        LogFormat::Json | LogFormat::Auto => lines.json().flatten_event(true).try_init(),
    };
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
