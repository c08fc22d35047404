//! Matchers for incidents that look like a given one.

use crate::{
    label::{Labels, NAMES, STAGE},
    message::hidden::is_hidden,
    web::pages::words::label,
};

/// Returns matchers for similar incidents.
///
/// They match the same app and metric if the incident has them. Otherwise they match the same
/// incident, by the key that its sender has for it; if that key is new for each episode, they match
/// its title and its sender's own labels, which are the same the next time.
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
    let own = || its.keys().map(|name| &**name).filter(|name| is_own(name));
    let told: Vec<_> = ["profile", "title"].into_iter().chain(own()).collect();

    let mut lines = by(&["app_key", "metric"]);
    if lines.is_empty() && (kind == Some("unparsed") || is_one_episodes(its)) {
        lines = by(&told);
    }
    if lines.is_empty() {
        lines = by(&["incident_id"]);
    }
    lines.extend(kind.map(|kind| matcher("kind", kind)));
    lines.join("\n")
}

/// Decides whether a label comes from a profile, and says what is wrong rather than how badly.
fn is_own(name: &str) -> bool {
    !NAMES.contains(&name) && !["summary", STAGE].contains(&name)
}

/// Decides whether the incident's key belongs to a single episode: a number by which the sender
/// counts its alerts, or a random id, such as `zabbix:48151` and `forge-alert:7f3c2a91-5d0e`.
fn is_one_episodes(its: &Labels) -> bool {
    let id = label(its, "incident_id").unwrap_or_default();
    let profile = label(its, "profile").unwrap_or_default();
    let key = id
        .strip_prefix(profile)
        .and_then(|key| key.strip_prefix(':'));
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        return false;
    };

    let is_number = key.bytes().all(|byte| byte.is_ascii_digit());
    let is_random = key
        .split_once('-')
        .is_some_and(|(first, _)| first.len() == 8)
        && key
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_number || is_random
}

/// Returns a matcher for a value. Hidden characters cannot be typed into a field, so the matcher
/// allows any character in their place.
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

/// Quotes a matcher's value.
fn quoted(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", value.replace('\n', "\\n"))
}

/// Returns the labels, one per line.
pub fn as_lines(its: &Labels) -> String {
    let said = its.iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| format!("{name}={}", quoted(value)))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&'static str, &str)]) -> Labels {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).into(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_key_that_lasts_is_silenced_and_else_what_is_the_same_the_next_time() {
        for (its, expected) in [
            (
                labels(&[
                    ("incident_id", "nagios:web1/HTTP"),
                    ("profile", "nagios"),
                    ("kind", "incident"),
                    ("title", "HTTP on web1 is WARNING"),
                    ("host", "web1"),
                ]),
                "incident_id=\"nagios:web1/HTTP\"",
            ),
            (
                labels(&[
                    ("incident_id", "zabbix:48151"),
                    ("profile", "zabbix"),
                    ("title", "Disk space is low on /"),
                    ("host", "db1"),
                    ("summary", "3 % free"),
                    ("severity", "critical"),
                ]),
                "profile=\"zabbix\"\ntitle=\"Disk space is low on /\"\nhost=\"db1\"",
            ),
            (
                labels(&[
                    ("incident_id", "forge-alert:7f3c2a91-5d0e"),
                    ("profile", "forge-alert"),
                    ("title", "Invocation error rate"),
                    ("app", "Planner for Jira"),
                ]),
                "profile=\"forge-alert\"\ntitle=\"Invocation error rate\"\n\
                 app=\"Planner for Jira\"",
            ),
            (
                labels(&[
                    ("incident_id", "unparsed-87c11e5e"),
                    ("profile", "nagios"),
                    ("kind", "unparsed"),
                    ("title", "Disk full"),
                ]),
                "profile=\"nagios\"\ntitle=\"Disk full\"\nkind=\"unparsed\"",
            ),
            (
                labels(&[("incident_id", "self:store-space"), ("kind", "self")]),
                "incident_id=\"self:store-space\"\nkind=\"self\"",
            ),
        ] {
            assert_eq!(looks_like(&its), expected);
        }
    }

    #[test]
    fn what_looks_like_it_is_silenced_by_matchers_that_can_be_read() {
        let labels = labels(&[
            ("app_key", "a\"b\\c.d"),
            ("metric", "(Load)\n\u{202e}[x]\\"),
            ("severity", "critical"),
        ]);
        let lines = looks_like(&labels);
        let read: Vec<_> = lines
            .lines()
            .map(|line| crate::label::Matcher::parse(line).unwrap())
            .collect();
        assert_eq!(read.len(), 2);
        assert!(read.iter().all(|matcher| matcher.holds(&labels)));
    }
}
