//! The setting `use:` of a profile: what is written is laid over the named starter before the
//! settings are read.
//!
//! Maps are merged key by key; lists and texts replace those of the starter. The starter's tests
//! are not inherited.

use super::{
    overlay::{below, lay_over, stand},
    yaml::{self, Node, Value},
};
use crate::{
    profile::starters,
    settings::{Problem, nearest},
};

/// Lays every profile over the starter that it uses.
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
    // A value that is not text is reported where the settings are read.
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
            match nearest(&name.text, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the starters are {}", known.join(", ")),
            },
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
            let fields = names(&mut starter);
            lay_over(profile, starter, "", excludes);
            without_dropped(profile, &fields);
            None
        }
        Err(error) => Some(Problem::new(key, error.what, error.mend)),
    }
}

/// Returns the names of a profile's fields.
fn names(profile: &mut Node) -> Vec<String> {
    match below(profile, "fields").map(|node| &node.value) {
        Some(Value::Map(fields)) => fields.iter().map(|field| field.key.clone()).collect(),
        _ => Vec::new(),
    }
}

/// Drops the fields of the starter that are written empty.
fn without_dropped(profile: &mut Node, fields: &[String]) {
    if let Some(Value::Map(own)) = below(profile, "fields").map(|node| &mut node.value) {
        own.retain(|field| !(field.value.is_nothing() && fields.contains(&field.key)));
    }
}

/// Returns whether one way to write something replaces another.
fn excludes(key: &str, own: &str, base: &str) -> bool {
    let ways: &[&str] = match key {
        "json" => &["element", "attachment", "text"],
        "each" if own == "json" => &["json", "text", "section"],
        "each" if base == "json" => &["text", "json"],
        _ => &[],
    };
    ways.contains(&own) && ways.contains(&base)
}
