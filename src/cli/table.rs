//! Tables for people: no frames, so that `grep` and `awk` read them too.

use comfy_table::{Table, presets::NOTHING};

/// A table with a heading, columns as wide as they need.
pub fn of(heading: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(heading.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}
