//! Lays one tree over another: what is written, over the preset or the starter that it names.

use super::yaml::{Mark, Node, Value};

/// Decides whether, in the map at the first key, the written key (the second) replaces another (the
/// third).
pub type Excludes = fn(&str, &str, &str) -> bool;

/// Lays what is written at a key over the base. Maps are merged key by key; lists and texts
/// replace.
pub fn lay_over(own: &mut Node, base: Node, key: &str, excludes: Excludes) {
    let (Value::Map(own), Value::Map(base)) = (&mut own.value, base.value) else {
        return;
    };

    for entry in base {
        let is_map = matches!(entry.value.value, Value::Map(_));
        match own.iter().position(|known| known.key == entry.key) {
            // All keys of the section are commented out. An explicit null is kept.
            Some(place) if own[place].value.is_nothing() && is_map => {
                own[place].value = entry.value;
            }
            Some(place) => lay_over(&mut own[place].value, entry.value, &entry.key, excludes),
            None if own
                .iter()
                .any(|known| excludes(key, &known.key, &entry.key)) => {}
            None => own.push(entry),
        }
    }
}

/// Gives all keys of a node the same place, so that their problems are reported for the line that
/// names the base.
pub fn stand(node: &mut Node, at: Mark) {
    node.at = at;
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::List(items) => items.iter_mut().for_each(|item| stand(item, at)),
        Value::Map(entries) => {
            for entry in entries {
                entry.at = at;
                stand(&mut entry.value, at);
            }
        }
    }
}

pub fn below<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    match &mut node.value {
        Value::Map(entries) => entries
            .iter_mut()
            .find(|entry| entry.key == key)
            .map(|entry| &mut entry.value),
        Value::Scalar(_) | Value::List(_) => None,
    }
}
