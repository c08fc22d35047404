//! Options that several commands take.

use clap::Args;
use jiff::Timestamp;

use crate::clock::{self, Clock};

/// The position of common options, after a command's own.
pub const LAST: usize = 900;

/// The default length of a list.
pub const MOST_ROWS: u32 = 1000;

/// The output format of data.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Json {
    /// Print JSON
    #[arg(long, display_order = LAST)]
    pub json: bool,
}

/// Parses a point in time: `now`, RFC 3339, or a day or local time in UTC.
pub fn time(text: &str) -> Result<Timestamp, String> {
    clock::read(text, Clock::system().now())
}
