//! Options that several commands take.

use clap::Args;
use jiff::Timestamp;

use crate::clock::{self, Clock};

/// The position of common options, after a command's own.
pub const LAST: usize = 900;

/// The default length of a list.
pub const MOST_ROWS: u32 = 1000;

/// Returns how many rows to ask for: one more than are shown, so that it is known whether there are
/// more.
pub fn one_more(limit: u32) -> u32 {
    limit.saturating_add(1)
}

/// Cuts a list to its limit. Returns the note for people that says so, if there are more rows.
pub fn cut<T>(rows: &mut Vec<T>, limit: u32) -> Option<String> {
    let shown = limit as usize;
    let is_cut = rows.len() > shown;
    rows.truncate(shown);
    is_cut.then(|| format!("there are more than {limit}: --limit N shows more"))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_that_it_is_cut_and_nothing_if_all_is_shown() {
        for limit in [0_u32, 1, 2, 1000] {
            for there in [0, 1, 2, 3, 999, 1000, 1001] {
                let mut rows: Vec<u32> = (0..there).take(one_more(limit) as usize).collect();
                let note = cut(&mut rows, limit);
                assert_eq!(u32::try_from(rows.len()).unwrap(), there.min(limit));
                assert_eq!(note.is_some(), there > limit, "{there} of {limit}");
            }
        }
        assert_eq!(one_more(u32::MAX), u32::MAX);
    }
}
