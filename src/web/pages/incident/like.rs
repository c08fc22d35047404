//! What looks like an incident, as matchers.

use crate::{label::Labels, message::hidden::is_hidden, web::pages::words::label};

/// Matchers for what looks like it: the same app and metric, or the same of whatever it has.
pub fn looks_like(its: &Labels) -> String {
    let by = |names: &[&str]| {
        let pairs = names
            .iter()
            .filter_map(|name| Some((*name, label(its, name)?)));
        pairs
            .map(|(name, value)| matcher(name, value))
            .collect::<Vec<_>>()
    };
    let kind = label(its, "kind").filter(|kind| *kind != "incident");

    let mut lines = by(&["app_key", "metric"]);
    if lines.is_empty() {
        lines = by(&["profile", "title"]);
    }
    if lines.is_empty() {
        lines = by(&["incident_id"]);
    }
    lines.extend(kind.map(|kind| matcher("kind", kind)));
    lines.join("\n")
}

/// A matcher of this value. What is not seen in it cannot be written into a field, and any
/// character stands for it.
fn matcher(name: &str, value: &str) -> String {
    if !value.contains(is_hidden) {
        return format!("{name}={}", quoted(value));
    }

    let pattern: String = value
        .chars()
        .map(|c| match c {
            _ if is_hidden(c) => "(?s:.)".to_owned(),
            _ => regex::escape(c.encode_utf8(&mut [0; 4])),
        })
        .collect();
    format!("{name}=~{}", quoted(&pattern))
}

/// As a matcher's value is written.
fn quoted(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", value.replace('\n', "\\n"))
}

/// Its labels, a line each.
pub fn as_lines(its: &Labels) -> String {
    let said = its.iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| format!("{name}={}", quoted(value)))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_it_is_silenced_by_matchers_that_can_be_read() {
        let labels: Labels = [
            ("app_key", "a\"b\\c.d"),
            ("metric", "(Load)\n\u{202e}[x]\\"),
            ("severity", "critical"),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), value.to_owned()))
        .collect();
        let lines = looks_like(&labels);
        let read: Vec<_> = lines
            .lines()
            .map(|line| crate::label::Matcher::parse(line).unwrap())
            .collect();
        assert_eq!(read.len(), 2);
        assert!(read.iter().all(|matcher| matcher.holds(&labels)));
    }
}
