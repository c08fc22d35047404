//! The values that `pairs` and `pairs_all` give for a label.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use minijinja::{
    Value,
    value::{Enumerator, Object},
};

use crate::extract::pairs::{Pairs, looked_up};

/// The pairs of a mail or an item, shared by all ways to read it.
#[derive(Debug, Default)]
pub(in crate::profile) struct Labels {
    pairs: Pairs,
    /// The meanings of the labels that were looked up, by the form in which labels are compared.
    known: Mutex<HashMap<String, Meanings>>,
}

/// The values that a label may mean, and whether more were cut off.
#[derive(Debug, Clone)]
struct Meanings {
    values: Arc<[String]>,
    is_cut: bool,
}

impl Labels {
    pub fn of(pairs: Pairs) -> Self {
        Self {
            pairs,
            known: Mutex::default(),
        }
    }

    /// Returns the meanings of a label. Comparing values is expensive, so it is done once.
    fn meanings(&self, label: &str) -> Meanings {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let meanings = || Meanings {
            values: self.readings(label).into_iter().map(Into::into).collect(),
            is_cut: self.says_more_of(label),
        };
        known
            .entry(looked_up(label))
            .or_insert_with(meanings)
            .clone()
    }
}

impl Deref for Labels {
    type Target = Pairs;

    fn deref(&self) -> &Pairs {
        &self.pairs
    }
}

/// A label that was looked up and may have another value.
#[derive(Debug, Clone)]
pub(in crate::profile) struct Asked {
    /// The label as it was first looked up.
    pub label: String,
    /// The values that the label may mean, and the index of the one that it was given.
    pub values: Arc<[String]>,
    pub given: usize,
    /// Whether the label has other values beyond the pairs that are kept.
    pub is_cut: bool,
    /// Whether the label was looked up in an item's pairs.
    pub of_item: bool,
}

/// The choice of a value for each ambiguous label, in the order in which labels are looked up.
///
/// What a template looks up next depends only on the values before, so the choices made so far
/// determine one way to read a mail.
#[derive(Debug, Default)]
pub(super) struct Choices {
    places: Vec<usize>,
    asked: Mutex<Vec<Asked>>,
}

impl Choices {
    /// Makes these choices, and takes the first value of any label that is looked up after them.
    pub fn of(places: Vec<usize>) -> Self {
        Self {
            places,
            asked: Mutex::default(),
        }
    }

    pub fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the value that a label is given, the same each time that it is looked up.
    fn value(&self, labels: &Labels, label: &str, of_item: bool) -> Option<String> {
        let Meanings { values, is_cut } = labels.meanings(label);
        if values.len() < 2 && !is_cut {
            return labels.get(label).map(ToOwned::to_owned);
        }

        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same =
            |one: &&Asked| one.of_item == of_item && looked_up(&one.label) == looked_up(label);
        let known = asked.iter().find(is_same);
        let given = match known {
            Some(known) => known.given,
            None => self.places.get(asked.len()).copied().unwrap_or_default(),
        };
        let value = values.get(given).cloned();
        if known.is_none() {
            asked.push(Asked {
                label: label.to_owned(),
                values,
                given,
                is_cut,
                of_item,
            });
        }
        value
    }
}

/// One value of each label.
#[derive(Debug)]
pub(super) struct One {
    pub pairs: Arc<Labels>,
    pub choices: Arc<Choices>,
    pub of_item: bool,
}

impl Object for One {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let value = self.choices.value(&self.pairs, key.as_str()?, self.of_item);
        value.map(Value::from)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        labels(&self.pairs)
    }
}

/// All values of each label.
#[derive(Debug)]
pub(super) struct All(pub Arc<Labels>);

impl Object for All {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let values: Vec<Value> = self.0.values(key.as_str()?).map(Value::from).collect();
        (!values.is_empty()).then(|| Value::from(values))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        labels(&self.0)
    }
}

fn labels(pairs: &Pairs) -> Enumerator {
    let labels: indexmap::IndexSet<&str> = pairs.iter().map(|(label, _)| label).collect();
    Enumerator::Values(labels.into_iter().map(Value::from).collect())
}
