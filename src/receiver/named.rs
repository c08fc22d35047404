//! The names of the integrations. Until names are given to them, each is called after its place.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;

use super::{Receivers, destination::Destination};
use crate::delivery::{
    Target,
    naming::{self, Entry, Named},
};

/// The entry of an integration in the configuration.
pub(super) struct Written {
    /// The path of the entry: `receivers[0].slack_configs[0]`.
    pub(super) key: String,
    /// Its number among all entries, in the order in which they are notified.
    pub(super) number: usize,
    /// Its index in its own list.
    pub(super) place: u32,
    pub(super) destination: Destination,
}

impl Receivers {
    /// Returns the entries by which names are given. The files of credentials are read for this;
    /// `secret` is the store's.
    pub fn entries(&self, secret: &[u8]) -> Vec<Entry> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let entry = |(target, written): (&Target, &Written)| Entry {
            receiver: target.receiver.clone(),
            kind: target.kind().to_owned(),
            place: written.place,
            fingerprint: written.destination.fingerprint(target.kind(), &key),
        };
        self.entries.iter().map(entry).collect()
    }

    /// Returns the entries with their current names.
    pub fn names(&self, secret: &[u8]) -> Vec<Named> {
        let entries = self.entries(secret).into_iter();
        let named = |(target, entry): (&Target, Entry)| Named {
            target: target.clone(),
            place: Some(entry.place),
            fingerprint: entry.fingerprint,
            next: None,
        };
        self.entries.keys().zip(entries).map(named).collect()
    }

    /// Returns the receivers under the names that were given.
    ///
    /// An integration that stood in another receiver answers to its former name too: the deliveries
    /// owed and told under that name are still its own.
    #[must_use]
    pub fn under(mut self, names: &[Named]) -> Self {
        let by_place: BTreeMap<_, _> = names
            .iter()
            .filter_map(|name| {
                let Target { receiver, .. } = &name.target;
                let place = (receiver.as_str(), name.target.kind(), name.place?);
                Some((place, &name.target))
            })
            .collect();
        let given: BTreeMap<Target, Target> = self
            .entries
            .iter()
            .filter_map(|(target, written)| {
                let place = (target.receiver.as_str(), target.kind(), written.place);
                Some((target.clone(), (*by_place.get(&place)?).clone()))
            })
            .collect();

        self.integrations = called(self.integrations, &given);
        self.entries = called(self.entries, &given);
        self.given = called(self.given, &given);

        self.former = naming::former(names);
        for (former, now) in &self.former {
            if let Some(integration) = self.integrations.get(now).cloned() {
                self.integrations.insert(former.clone(), integration);
            }
        }
        self
    }

    /// Returns the current name of an integration.
    pub fn now<'a>(&'a self, target: &'a Target) -> &'a Target {
        self.former.get(target).unwrap_or(target)
    }

    /// Whether this is a name that an integration had in another receiver.
    pub fn is_former(&self, target: &Target) -> bool {
        self.former.contains_key(target)
    }
}

/// Returns the values under the names that were given.
fn called<T>(values: BTreeMap<Target, T>, given: &BTreeMap<Target, Target>) -> BTreeMap<Target, T> {
    let name = |target: Target| given.get(&target).cloned().unwrap_or(target);
    let values = values.into_iter();
    values
        .map(|(target, value)| (name(target), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{delivery::naming::Fingerprint, receiver::Settings};

    const SECRET: &[u8] = &[7; 32];

    fn fingerprint(receiver: &Value, secret: &[u8]) -> Fingerprint {
        let settings: Settings = serde_json::from_value(receiver.clone()).unwrap();
        let receivers = Receivers::compile(&[settings], &[]);
        let entries = receivers.map(|receivers| receivers.entries(secret));
        entries.unwrap().remove(0).fingerprint
    }

    fn of(kind: &str, entry: &Value) -> Fingerprint {
        fingerprint(
            &json!({ "name": "ops", format!("{kind}_configs"): [entry] }),
            SECRET,
        )
    }

    fn with(entry: &Value, other: &Value) -> Value {
        let mut entry = entry.clone();
        let other = other.as_object().unwrap().clone();
        entry.as_object_mut().unwrap().extend(other);
        entry
    }

    fn examples() -> [(&'static str, Value); 10] {
        let mail = json!({ "to": "a@example.com", "from": "b@example.com",
            "smarthost": { "host": "mx.example.com", "username": "u", "password": "short" } });
        [
            ("opsgenie", json!({ "api_key": "0123456789" })),
            ("jsm", json!({ "api_key": "0123456789" })),
            (
                "pagerduty",
                json!({ "routing_key": "0123456789abcdef0123456789abcdef" }),
            ),
            (
                "slack",
                json!({ "bot_token": "xoxb-1-2-abc", "channel": "C0123ABCD" }),
            ),
            (
                "slack",
                json!({ "api_url": "https://hooks.slack.com/services/T/B/x" }),
            ),
            (
                "webhook",
                json!({ "url": "https://api.example.com/secret/1", "bearer": "token-1" }),
            ),
            (
                "teams",
                json!({ "webhook_url": "https://teams.example.com/x" }),
            ),
            (
                "discord",
                json!({ "webhook_url": "https://discord.com/api/webhooks/1/x" }),
            ),
            ("alertmanager", json!({ "url": "https://am.example.com" })),
            ("email", mail),
        ]
    }

    #[test]
    fn what_does_not_lead_elsewhere_leaves_the_fingerprint_as_it_is() {
        for (kind, entry) in examples() {
            for same in [
                json!({ "send_resolved": false }),
                json!({ "rate_limit": "1/s" }),
            ] {
                assert_eq!(
                    of(kind, &with(&entry, &same)),
                    of(kind, &entry),
                    "{kind} {same}"
                );
            }
        }
        let [.., (_, mail)] = examples();
        let mut rotated = mail.clone();
        rotated["smarthost"]["password"] = json!("other");
        assert_eq!(of("email", &rotated), of("email", &mail));
    }

    #[test]
    fn another_destination_has_another_fingerprint() {
        let prints: std::collections::BTreeSet<_> = examples()
            .iter()
            .map(|(kind, entry)| of(kind, entry).whole)
            .collect();
        assert_eq!(
            prints.len(),
            examples().len(),
            "one of another kind is another"
        );

        let [
            opsgenie,
            _,
            pagerduty,
            bot,
            hook,
            webhook,
            _,
            _,
            alertmanager,
            mail,
        ] = examples();
        let team = json!({ "responders": [{ "type": "team", "name": "net" }] });
        for ((kind, entry), other, is_another_address) in [
            (&opsgenie, json!({ "api_key": "9876543210" }), false),
            (
                &opsgenie,
                json!({ "api_url": "https://api.eu.opsgenie.com" }),
                true,
            ),
            (&opsgenie, team, true),
            (&pagerduty, json!({ "routing_key": "f".repeat(32) }), false),
            (&bot, json!({ "channel": "C9" }), true),
            (&bot, json!({ "bot_token": "xoxb-1-2-def" }), false),
            (
                &hook,
                json!({ "api_url": "https://hooks.slack.com/services/T/B/y" }),
                false,
            ),
            (
                &webhook,
                json!({ "url": "https://api.example.com/secret/2" }),
                false,
            ),
            (
                &webhook,
                json!({ "url": "https://other.example.com/secret/1" }),
                true,
            ),
            (&webhook, json!({ "bearer": "token-2" }), false),
            (&webhook, json!({ "body": "{\"to\": 1}" }), false),
            (&webhook, json!({ "headers": { "x-team": "net" } }), false),
            (
                &alertmanager,
                json!({ "url": "https://other.example.com" }),
                true,
            ),
            (&mail, json!({ "to": "c@example.com" }), true),
        ] {
            let (before, after) = (of(kind, entry), of(kind, &with(entry, &other)));
            assert_ne!(after.whole, before.whole, "{kind} {other}");
            let is_another = after.address != before.address;
            assert_eq!(is_another, is_another_address, "{kind} {other}");
        }
    }

    #[test]
    fn a_user_leads_elsewhere_and_a_password_does_not() {
        let login = |username: &str, password: &str| {
            let basic_auth = json!({ "username": username, "password": password });
            of(
                "webhook",
                &json!({ "url": "https://api.example.com", "basic_auth": basic_auth }),
            )
        };
        assert_eq!(login("a", "short"), login("a", "other"));
        assert_ne!(login("a", "short").address, login("b", "short").address);
    }

    #[test]
    fn a_file_is_known_by_what_it_holds_and_its_address_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let entry = json!({ "api_key_file": file });
        std::fs::write(&file, "0123456789\n").unwrap();
        let before = of("opsgenie", &entry);
        assert_eq!(
            before.whole,
            of("opsgenie", &json!({ "api_key": "0123456789" })).whole
        );
        std::fs::write(&file, "9876543210").unwrap();
        let after = of("opsgenie", &entry);
        assert_ne!(after.whole, before.whole);
        assert_eq!(after.address, before.address);
    }

    #[test]
    fn a_fingerprint_shows_nothing_and_is_another_in_another_store() {
        let receiver = json!({ "name": "ops", "opsgenie_configs": [{ "api_key": "0123456789" }] });
        let [one, other] = [SECRET, &[8; 32]].map(|secret| fingerprint(&receiver, secret));
        assert_ne!(one.whole, other.whole);
        assert!(!one.whole.contains("0123456789") && one.whole.len() == 44);
    }
}
