//! Profiles: pairs, groups and fields of whatever is sent.

use std::sync::OnceLock;

use alertbridge::{
    config::Config,
    extract::{
        Contents,
        pairs::{LONGEST_LABEL, Pairs},
    },
    message::Mended,
    profile::{Found, MAX_ITEMS, Profiles, starters::STARTERS},
};

/// Every starter, compiled once.
fn starters() -> &'static Profiles {
    static COMPILED: OnceLock<Profiles> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let settings: Vec<_> = STARTERS
            .iter()
            .flat_map(|(_, text)| Config::profiles_of(text).unwrap())
            .collect();
        Profiles::compile(&settings).unwrap()
    })
}

/// A text: its pairs can be looked up.
pub fn pairs(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for (label, value) in Pairs::of(&text).iter() {
        assert!(!label.is_empty() && label.chars().count() <= LONGEST_LABEL);
        assert!(!value.contains('\n'), "{value:?}");
    }
}

/// A mail, as its contents.
pub fn contents(mail: &[u8]) -> Contents {
    let mail = Mended::of(mail);
    Contents::of(mail.header(), mail.body())
}

/// A mail, read by every starter whether it is its own or not.
pub fn check(data: &[u8]) {
    for profile in starters().iter() {
        let found = profile.read(data);
        assert!(!found.is_empty() && found.len() <= MAX_ITEMS + 1);
        for found in found {
            match found {
                Found::Alert(alert) => {
                    assert!(!alert.key.is_empty() && alert.key.len() <= 1_000);
                    assert!(!alert.status.is_empty());
                    assert!(!alert.key.chars().any(char::is_control), "{:?}", alert.key);
                }
                Found::Unparsed { key, reason, .. } => {
                    assert!(key.starts_with("unparsed-") && !reason.is_empty());
                }
                Found::Ignored { reason } => assert!(!reason.is_empty()),
            }
        }
    }
}
