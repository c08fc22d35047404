//! Alerts by key, as pagers have them: open once, resolved once.

use std::collections::BTreeMap;

use super::{Memory, Page};

/// Whether each alert is open.
#[derive(Debug, Default)]
pub struct Keyed(BTreeMap<String, bool>);

impl Keyed {
    /// What was asked and changes nothing is a repeat; to resolve what nobody triggered is a
    /// mistake.
    pub fn take(&mut self, action: &str, key: &str, title: &str, memory: &mut Memory) {
        let was = self.0.get(key).copied();
        match (action, was) {
            ("trigger", Some(true)) | ("resolve", Some(false)) => {
                memory.repeats.push(format!("{action} {key}"));
                return;
            }
            ("resolve", None) => memory
                .violations
                .push(format!("a resolve of {key}, which was never triggered")),
            _ => {}
        }

        self.0.insert(key.to_owned(), action == "trigger");
        memory.pages.push(Page {
            action: action.to_owned(),
            key: key.to_owned(),
            title: title.to_owned(),
        });
    }

    pub fn is_open(&self, key: &str) -> bool {
        self.0.get(key) == Some(&true)
    }

    pub fn open(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|(_, open)| **open)
            .map(|(key, _)| key.clone())
            .collect()
    }
}
