//! The key under which a receiver matches the trigger and the resolve of an incident.
//!
//! No two alerts share a key: a mail that chooses its incident's id cannot make the key of another
//! kind, of another receiver, or of the bridge's own alarms.

use super::sha256_hex;

/// The kind of incidents from mail.
const INCIDENT: &str = "incident";
/// The prefixes of the ids of other kinds. An incident's id with such a prefix is hashed together
/// with its kind.
const RESERVED: [(&str, &str); 5] = [
    ("self", "self:"),
    ("unparsed", "unparsed-"),
    ("test", "test:"),
    ("missing", "missing:"),
    ("canary", "canary:"),
];
/// The longest key that every vendor accepts.
const LONGEST: usize = 128;

/// Returns the alias or `dedup_key` of an alert of a kind at a receiver.
///
/// It is `<incident id>:<receiver>` verbatim if that is at most 128 of `A-Z a-z 0-9 - _ . :`, or
/// else its SHA-256 in hex. Every vendor accepts that, even in a URL path, and two receivers in one
/// account do not swallow each other's alerts. If the id has the prefix of another kind, or the
/// receiver's name contains a colon, the hash covers the kind as well.
pub fn alias(kind: &str, incident_id: &str, receiver: &str) -> String {
    let plain = format!("{incident_id}:{receiver}");
    if kind_of(incident_id) != kind || receiver.contains(':') {
        // A plain key never ends with a colon, because no receiver's name is empty.
        return sha256_hex(format!("{kind}:{}:{plain}:", incident_id.len()).as_bytes());
    }

    let fits = plain.len() <= LONGEST
        && plain
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'));

    if fits {
        plain
    } else {
        sha256_hex(plain.as_bytes())
    }
}

/// Returns the kind that an id's prefix stands for.
fn kind_of(incident_id: &str) -> &'static str {
    RESERVED
        .iter()
        .find(|(_, beginning)| incident_id.starts_with(beginning))
        .map_or(INCIDENT, |(kind, _)| kind)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_alias_is_verbatim_where_every_vendor_takes_it() {
        assert_eq!(
            alias("incident", "FOotlQrY5ZQ", "oncall"),
            "FOotlQrY5ZQ:oncall"
        );
        assert_eq!(
            alias("incident", "cloudwatch:eu-west-1", "oncall"),
            "cloudwatch:eu-west-1:oncall"
        );
        assert_eq!(
            alias("self", "self:dead-letters", "oncall"),
            "self:dead-letters:oncall"
        );
        assert_eq!(
            alias("unparsed", "unparsed-5f2c", "oncall"),
            "unparsed-5f2c:oncall"
        );
        assert_eq!(alias("incident", "selfish", "oncall"), "selfish:oncall");
    }

    #[test]
    fn an_alias_is_hashed_where_a_character_or_the_length_is_odd() {
        let long = "x".repeat(125);
        for (incident, receiver) in [
            ("FOotlQrY5ZQ", "on call"),
            ("a/b", "r"),
            ("é", "r"),
            (long.as_str(), "oncall"),
        ] {
            let alias = alias("incident", incident, receiver);
            assert_eq!(alias.len(), 64, "{incident}:{receiver} gave {alias}");
            assert_eq!(
                alias,
                sha256_hex(format!("{incident}:{receiver}").as_bytes())
            );
        }
        assert_eq!(alias("incident", &"x".repeat(124), "abc").len(), 128);
        assert_eq!(alias("incident", &"x".repeat(125), "abc").len(), 64);
    }

    /// Generates ids that a mail could choose to imitate others: pieces of keys joined together.
    fn id() -> impl Strategy<Value = String> {
        let pieces = [
            "self",
            "unparsed",
            "test",
            "missing",
            "canary",
            "incident",
            "held-triggers",
            "ingress",
            ":",
            "-",
            "a",
            "b",
            "9",
            "é",
            "\0",
            "oncall",
        ];
        let beginnings = prop::sample::select(vec![
            "",
            "self:",
            "unparsed-",
            "test:",
            "missing:",
            "canary:",
        ]);
        (
            beginnings,
            prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..5),
        )
            .prop_map(|(beginning, pieces)| format!("{beginning}{}", pieces.concat()))
    }

    proptest! {
        #[test]
        fn two_alerts_share_a_key_only_where_kind_id_and_receiver_are_the_same(
            alerts in prop::collection::vec(
                (
                    prop::sample::select(vec!["incident", "self", "unparsed", "test", "missing",
                                              "canary"]),
                    id(),
                    prop::sample::select(vec!["oncall", "a", "b", "a:b", "b:a", "a:b:oncall", ":",
                                              "a:", "é", "on call"]),
                ),
                0..200,
            )
        ) {
            let mut seen = HashMap::new();
            for alert in alerts {
                let (kind, incident_id, receiver) = &alert;
                let key = alias(kind, incident_id, receiver);
                let first = seen.entry(key).or_insert_with(|| alert.clone());
                prop_assert_eq!(&*first, &alert);
            }
        }
    }
}
