//! The labels and values that follow the last pair that is kept.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::looked_up;

/// The value of each label, if it has only one. Both are kept as hashes, since a mail may have as
/// many as lines. If two share a hash, a label may be doubted although it is certain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Beyond(HashMap<u64, Option<u64>>);

impl Beyond {
    /// Notes a pair. An empty value is not known, because it may follow on the next line.
    pub fn note(&mut self, label: &str, value: &str) {
        let value = (!value.is_empty()).then(|| number(value));
        self.insert(number(&looked_up(label)), value);
    }

    pub fn extend(&mut self, more: Self) {
        for (label, value) in more.0 {
            self.insert(label, value);
        }
    }

    fn insert(&mut self, label: u64, value: Option<u64>) {
        let known = self.0.entry(label).or_insert(value);
        if *known != value {
            *known = None;
        }
    }

    /// Whether a label has a value here that is none of the known ones.
    pub fn says_more<'a, I: Iterator<Item = &'a str>>(
        &self,
        label: &str,
        known: impl FnOnce() -> I,
    ) -> bool {
        match self.0.get(&number(label)) {
            None => false,
            Some(None) => true,
            Some(Some(value)) => known().all(|known| number(known) != *value),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn number(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
