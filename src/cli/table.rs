//! Tables for people. They have no frames, so that `grep` and `awk` can read them too.

use std::io::{self, IsTerminal as _};

use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Table, presets::NOTHING};
use rustix::termios::tcgetwinsize;

use super::plain::plain;

/// The width for wrapping if the width of the reader's window is unknown.
const USUAL: u16 = 80;
/// The narrowest width. Nobody reads a table in a narrower window.
const NARROWEST: u16 = 60;
/// The width of a time. A column that is no wider stays on one line.
const WHOLE: u16 = 21;
/// The width within which most mail addresses fit. A column of addresses that is no wider stays on
/// one line as well.
const ADDRESS: u16 = 34;

/// Formats a table with a heading, columns of minimal width, and no trailing blanks.
pub fn of(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    lines(&table(heading, rows))
}

/// Formats a list. In a pipe or a file, it is complete. In a window that is too narrow, it has only
/// the columns in `least`, and long values continue on the next line.
pub fn list(
    heading: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    least: &[&str],
) -> String {
    let table = table(heading, rows);
    if io::stdout().is_terminal() {
        fitted(table, width(), least)
    } else {
        lines(&table)
    }
}

fn fitted(mut table: Table, width: u16, least: &[&str]) -> String {
    let widest = table
        .lines()
        .map(|line| line.trim_end().chars().count())
        .max();
    if widest.unwrap_or(0) <= usize::from(width) {
        return lines(&table);
    }

    let heading = table
        .header()
        .map(|row| row.cell_iter().map(Cell::content).collect());
    let heading: Vec<String> = heading.unwrap_or_default();
    let needed = table.column_max_content_widths();
    for ((column, name), needed) in table.column_iter_mut().zip(&heading).zip(needed) {
        if !least.contains(&name.as_str()) {
            column.set_constraint(ColumnConstraint::Hidden);
        } else if needed <= WHOLE || name == "FROM" && needed <= ADDRESS {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width);
    lines(&table)
}

/// Formats a table whose last column continues on the next line if it is too long. Nothing is cut.
pub fn within(width: u16, heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = table(heading, rows);
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width);
    let last = table.column_count().saturating_sub(1);
    for column in table.column_iter_mut().take(last) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }

    lines(&table)
}

/// Formats a line. In a pipe or a file, it stays one line; in a window that is too narrow, it
/// continues on the next one.
pub fn line(name: &str, text: &str) -> String {
    if io::stdout().is_terminal() {
        facts(width(), vec![(name, text.to_owned())])
    } else {
        format!("{name} {}", plain(text))
    }
}

/// Formats facts about one thing: each name, and beside it the text.
pub fn facts(width: u16, facts: Vec<(&str, String)>) -> String {
    let rows = facts.into_iter();
    within(
        width,
        &[],
        rows.map(|(name, text)| vec![name.to_owned(), text]),
    )
}

/// Returns the width of the reader's window.
pub fn width() -> u16 {
    let window = tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col);
    let said = || std::env::var("COLUMNS").ok()?.parse().ok();
    let width = window.filter(|width| *width > 0).or_else(said);
    width.unwrap_or(USUAL).max(NARROWEST)
}

fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if !heading.is_empty() {
        table.set_header(heading.to_vec());
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| plain(cell)));
    }

    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn lines(table: &Table) -> String {
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Formats a number of things, in words.
pub fn count(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_fewer_columns_in_a_narrow_window_and_no_value_is_cut() {
        let heading = [
            "ID",
            "ARRIVED (UTC)",
            "INGRESS",
            "OUTCOME",
            "INCIDENT",
            "REASON",
        ];
        let id = format!("grafana:{}", "a1".repeat(32));
        let row = |outcome: &str, reason: &str| {
            let row = ["80", "2026-11-28 22:10:56", "mailbox", outcome, &id, reason];
            row.map(ToOwned::to_owned).to_vec()
        };
        let rows = || {
            [
                row(
                    "quarantined",
                    "the app com.example.other is not in alerts.app_keys",
                ),
                row("opened", ""),
            ]
        };
        let least = ["ID", "ARRIVED (UTC)", "OUTCOME", "INCIDENT", "REASON"];

        let narrow = fitted(table(&heading, rows()), 80, &least);
        assert!(
            narrow.lines().all(|line| line.chars().count() <= 80),
            "{narrow}"
        );
        assert!(!narrow.contains("mailbox"), "{narrow}");
        assert_eq!(narrow.matches("2026-11-28 22:10:56").count(), 2, "{narrow}");
        let kept = narrow.matches("a1").count();
        assert!(
            kept >= 60,
            "of 64, some are cut in two by a line's end: {kept} in {narrow}"
        );

        let wide = fitted(table(&heading, rows()), 200, &least);
        assert_eq!(wide, of(&heading, rows()));
    }

    #[test]
    fn a_long_value_goes_on_below_and_nothing_of_it_is_cut() {
        let words =
            "a page that says a lot, and more than fits beside a time and a word ".repeat(3);
        let id = "x".repeat(200);
        let rows = [&words, &id]
            .map(|text| vec!["2026-03-01 03:00:00".into(), "mail".into(), text.clone()]);
        let table = within(80, &["AT (UTC)", "WHAT", "DETAILS"], rows);
        assert!(table.lines().all(|line| line.len() <= 80), "{table}");

        let told: String = table
            .lines()
            .skip(1)
            .filter_map(|line| line.get(27..))
            .collect::<Vec<_>>()
            .join(" ");
        for word in words.split_whitespace() {
            assert!(told.contains(word), "{word}: {table}");
        }
        assert_eq!(told.matches('x').count(), 200);
        let at = table
            .lines()
            .filter(|line| line.starts_with("2026"))
            .count();
        assert_eq!(at, 2, "what goes on below stands beneath itself: {table}");
    }
}
