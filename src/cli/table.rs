//! Tables for people: no frames, so that `grep` and `awk` read them too.

use comfy_table::{Table, presets::NOTHING};

use super::plain::plain;

/// A table with a heading, columns of minimal width, and no trailing blanks.
pub fn of(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(heading.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| plain(cell)));
    }

    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }

    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// A number of things, in words.
pub fn count(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}
