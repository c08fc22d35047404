//! Objectives as a CSV table for spreadsheets, to serve as evidence.

use axum::{
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};

use super::Objective;
use crate::message::hidden::plain;

/// Answers with the table as a file to download.
pub fn file(objectives: &[Objective]) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"objectives.csv\"",
        ),
    ];
    (headers, csv(objectives)).into_response()
}

/// Returns the objectives as CSV (RFC 4180).
pub fn csv(objectives: &[Objective]) -> String {
    let mut csv = String::from(
        "app_key,sli,slo,breaches,breach_seconds,maintenance_seconds,budget_seconds,spent,left,\
         ladder,recurrence_28d\r\n",
    );
    for one in objectives {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let cells = [
            cell(&one.app_key),
            cell(&one.sli),
            one.slo.to_string(),
            one.breaches.to_string(),
            one.breach_seconds.to_string(),
            one.maintenance_seconds.to_string(),
            one.budget_seconds.to_string(),
            number(one.spent),
            number(one.left),
            one.ladder.as_str().to_owned(),
            one.recurrence_28d.to_string(),
        ];
        csv.push_str(&cells.join(","));
        csv.push_str("\r\n");
    }
    csv
}

/// Quotes a text as a cell. Text from a mail must not act as a formula, nor control a terminal.
fn cell(text: &str) -> String {
    let text = &*plain(text);
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn what_a_mail_wrote_is_one_cell_and_no_formula() {
        assert_eq!(cell("com.example"), "com.example");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("@x,y"), "\"'@x,y\"");
        assert_eq!(
            cell("a\u{1b}[2J\u{9b}\u{202e}b"),
            "a\\u{1b}[2J\\u{9b}\\u{202e}b"
        );
    }
}
