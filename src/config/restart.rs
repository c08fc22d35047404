//! The settings that a running bridge cannot change: its store, its listeners and the address at
//! which people reach them, its ingresses, its log format, and the destination of its traces.

use super::{
    Config, Loaded, within,
    yaml::{Entry, Node, Value},
};

impl Loaded {
    /// Returns the keys that differ from those at the start and take effect at the next start.
    ///
    /// If the settings are equal, however they are written, nothing differs.
    pub fn needs_restart(&self, started: &Self) -> Vec<String> {
        let mut keys = Vec::new();
        differing(Some(&self.tree), Some(&started.tree), "", &mut keys);

        let mut found = Vec::new();
        for part in parts(&self.config, &started.config) {
            let inside = found.len();
            found.extend(keys.iter().filter(|key| within(key, &part)).cloned());
            if found.len() == inside {
                found.push(part);
            }
        }

        found
    }
}

/// Returns the parts of the configuration whose settings differ.
fn parts(now: &Config, started: &Config) -> Vec<String> {
    let (ways_in, before) = (&now.ingress, &started.ingress);
    let parts = [
        (
            "global.external_url",
            now.global.external_url != started.global.external_url,
        ),
        (
            "global.log_format",
            now.global.log_format != started.global.log_format,
        ),
        ("store", now.store != started.store),
        ("admin", now.admin != started.admin),
        ("telemetry", now.telemetry != started.telemetry),
        ("ingress.http", ways_in.http != before.http),
    ];

    let mut found: Vec<_> = parts
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(part, _)| (*part).to_owned())
        .collect();

    found.extend(items("ingress.imap", &ways_in.imap, &before.imap));
    found.extend(items("ingress.webhook", &ways_in.webhook, &before.webhook));
    found.extend(items("ingress.smtp", &ways_in.smtp, &before.smtp));

    found
}

fn items<T: PartialEq>(list: &str, now: &[T], started: &[T]) -> impl Iterator<Item = String> {
    (0..now.len().max(started.len()))
        .filter(|index| now.get(*index) != started.get(*index))
        .map(move |index| format!("{list}[{index}]"))
}

/// Collects the paths of values that are in only one of the two trees, or differ.
fn differing(now: Option<&Node>, before: Option<&Node>, path: &str, found: &mut Vec<String>) {
    match (now.map(|node| &node.value), before.map(|node| &node.value)) {
        (None, None) => {}
        (Some(Value::Scalar(now)), Some(Value::Scalar(before))) if now.text == before.text => {}
        (Some(Value::List(now)), Some(Value::List(before))) => {
            for index in 0..now.len().max(before.len()) {
                differing(
                    now.get(index),
                    before.get(index),
                    &format!("{path}[{index}]"),
                    found,
                );
            }
        }
        (Some(Value::Map(now)), Some(Value::Map(before))) => {
            let of =
                |entries: &'_ [Entry], key: &str| entries.iter().position(|entry| entry.key == key);
            let gone = before.iter().filter(|entry| of(now, &entry.key).is_none());
            for Entry { key, .. } in now.iter().chain(gone) {
                let [now, before] =
                    [now, before].map(|entries| of(entries, key).map(|at| &entries[at].value));
                let dot = if path.is_empty() { "" } else { "." };
                differing(now, before, &format!("{path}{dot}{key}"), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Files, Loaded, Source};

    fn load(text: &str) -> Loaded {
        let text = format!(
            "route: {{ receiver: a }}\nreceivers: [{{ name: a, stdout_configs: [{{}}] }}]\n{text}"
        );
        Config::parse(Source::Embedded, &text, Files::Unneeded, &|_| None)
            .unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// Returns the keys that need a restart if the bridge was started with `started` and is
    /// reloaded with `now`.
    fn said(started: &str, now: &str) -> Vec<String> {
        load(now).needs_restart(&load(started))
    }

    #[test]
    fn what_is_bound_to_the_process_is_named_by_its_key() {
        let started = "ingress: { smtp: [{ name: a, listen: '127.0.0.1:2525' }, { name: b, listen: \
                       '127.0.0.1:2526' }] }";
        let now = started.replace("2526", "2527");
        assert_eq!(said(started, &now), ["ingress.smtp[1].listen"]);
        let fewer = "ingress: { smtp: [{ name: a, listen: '127.0.0.1:2525' }] }";
        assert_eq!(said(started, fewer), ["ingress.smtp[1]"]);
        assert_eq!(said("", fewer), ["ingress.smtp[0]"]);
        let admin = "admin: { listen: '127.0.0.1:1' }\nstore: { mail_retention: 1d }";
        assert_eq!(
            said(
                admin,
                "admin: { listen: '127.0.0.1:2' }\nstore: { mail_retention: 2d }"
            ),
            ["store.mail_retention", "admin.listen"]
        );
        assert_eq!(said("", "store: { url: 'sqlite:other.db' }"), ["store"]);
        assert_eq!(
            said("", "global: { log_format: text }"),
            ["global.log_format"]
        );
        assert_eq!(
            said("", "global: { external_url: 'https://alerts.example.com' }"),
            ["global.external_url"]
        );
    }

    #[test]
    fn the_same_settings_written_otherwise_and_what_are_rules_need_no_restart() {
        assert_eq!(
            said(
                "ingress: { webhook: [{ name: a }] }",
                "ingress:\n  webhook:\n  - name: 'a'\n"
            ),
            [""; 0]
        );
        assert_eq!(said("", "admin: { listen: '127.0.0.1:8026' }"), [""; 0]);
        assert_eq!(
            said(
                "",
                "global: { max_age: 1h }\ndelivery: { timeout: 3s }\nalerts: { app_keys: [a] }"
            ),
            [""; 0]
        );
    }
}
