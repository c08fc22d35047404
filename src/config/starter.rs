//! `use:` of a profile: what is written is laid over the starter that it names, before the settings
//! are read. Maps merge key by key; lists and texts replace what the starter has; its tests are its
//! own.

use super::yaml::{self, Mark, Node, Value};
use crate::{profile::starters, settings::Problem};

/// Lays every profile that uses a starter over it.
pub fn merge(tree: &mut Node) -> Vec<Problem> {
    let Some(Value::List(profiles)) = below(tree, "profiles").map(|node| &mut node.value) else {
        return Vec::new();
    };

    let merged = |(index, profile)| over_its_starter(profile, &format!("profiles[{index}].use"));
    profiles.iter_mut().enumerate().filter_map(merged).collect()
}

fn over_its_starter(profile: &mut Node, key: &str) -> Option<Problem> {
    let written = below(profile, "use")?;
    let at = written.at;
    // What is no text is told where the settings are read.
    let Value::Scalar(name) = &written.value else {
        return None;
    };
    if name.is_nothing() {
        return None;
    }

    let Some(text) = starters::named(&name.text) else {
        let known: Vec<&str> = starters::STARTERS.iter().map(|(name, _)| *name).collect();
        let shown = name.written.as_deref().unwrap_or(&name.text);
        return Some(Problem::new(
            key,
            format!("there is no starter `{shown}`"),
            format!("the starters are {}", known.join(", ")),
        ));
    };

    match yaml::parse(text) {
        Ok(mut document) => {
            let Some(Value::List(profiles)) =
                below(&mut document, "profiles").map(|node| &mut node.value)
            else {
                return None;
            };
            let mut starter = profiles.drain(..).next()?;
            stand(&mut starter, at);
            if let Value::Map(entries) = &mut starter.value {
                entries.retain(|entry| entry.key != "tests");
            }
            lay_over(profile, starter, "");
            None
        }
        Err(error) => Some(Problem::new(key, error.what, error.mend)),
    }
}

/// What is said of a starter's keys is said of the line that names it.
fn stand(node: &mut Node, at: Mark) {
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

/// Lays what is written at a key over what the starter has there.
fn lay_over(own: &mut Node, base: Node, key: &str) {
    let (Value::Map(own), Value::Map(base)) = (&mut own.value, base.value) else {
        return;
    };

    for entry in base {
        let is_map = matches!(entry.value.value, Value::Map(_));
        match own.iter().position(|known| known.key == entry.key) {
            // A section whose keys are all commented out. A value that is given as nothing stays so.
            Some(place) if own[place].value.is_nothing() && is_map => {
                own[place].value = entry.value;
            }
            Some(place) => lay_over(&mut own[place].value, entry.value, &entry.key),
            None if own
                .iter()
                .any(|known| excludes(key, &known.key, &entry.key)) => {}
            None => own.push(entry),
        }
    }
}

/// Whether one way to say something takes the place of another.
fn excludes(key: &str, own: &str, base: &str) -> bool {
    let ways: &[&str] = match key {
        "json" => &["element", "attachment", "text"],
        "each" if own == "json" => &["json", "text", "section"],
        "each" if base == "json" => &["text", "json"],
        _ => &[],
    };
    ways.contains(&own) && ways.contains(&base)
}

fn below<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    match &mut node.value {
        Value::Map(entries) => entries
            .iter_mut()
            .find(|entry| entry.key == key)
            .map(|entry| &mut entry.value),
        Value::Scalar(_) | Value::List(_) => None,
    }
}
