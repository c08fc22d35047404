//! `use:` of a webhook: what is written is laid over the preset that it names, before the settings
//! are read. Maps merge key by key; lists and texts replace what the preset has.

use super::yaml::{self, Entry, Node, Value};
use crate::{
    receiver::webhook::preset::{PRESETS, named},
    settings::Problem,
};

/// Lays every webhook that uses a preset over it.
pub fn merge(tree: &mut Node) -> Vec<Problem> {
    let mut found = Vec::new();
    let receivers = below(tree, "receivers").map_or(&mut [][..], items);

    for (place, receiver) in receivers.iter_mut().enumerate() {
        let webhooks = below(receiver, "webhook_configs").map_or(&mut [][..], items);
        for (index, webhook) in webhooks.iter_mut().enumerate() {
            let key = format!("receivers[{place}].webhook_configs[{index}].use");
            found.extend(over_its_preset(webhook, &key));
        }
    }

    found
}

fn over_its_preset(webhook: &mut Node, key: &str) -> Option<Problem> {
    let written = below(webhook, "use")?;
    let at = written.at;
    // What is no text is told where the settings are read.
    let Value::Scalar(name) = &written.value else {
        return None;
    };

    let Some(text) = named(&name.text) else {
        let known: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
        let shown = name.written.as_deref().unwrap_or(&name.text);
        return Some(Problem::new(
            key,
            format!("there is no preset `{shown}`"),
            format!("the presets are {}", known.join(", ")),
        ));
    };

    match yaml::parse(text) {
        Ok(mut preset) => {
            stand(&mut preset, at);
            lay_over(webhook, preset);
            None
        }
        Err(error) => Some(Problem::new(key, error.what, error.mend)),
    }
}

/// What is said of a preset's keys is said of the line that names it.
fn stand(preset: &mut Node, at: yaml::Mark) {
    preset.at = at;
    match &mut preset.value {
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

fn lay_over(own: &mut Node, base: Node) {
    let (Value::Map(own), Value::Map(base)) = (&mut own.value, base.value) else {
        return;
    };

    for entry in base {
        match own.iter().position(|known| known.key == entry.key) {
            Some(place) if own[place].value.is_nothing() => own[place].value = entry.value,
            Some(place) => lay_over(&mut own[place].value, entry.value),
            None if stands_in_for(own, &entry.key) => {}
            None => own.push(entry),
        }
    }
}

/// Whether the other way to give the same is taken: the file of a secret, or its text.
fn stands_in_for(own: &[Entry], key: &str) -> bool {
    let twin = key
        .strip_suffix("_file")
        .map_or_else(|| format!("{key}_file"), ToOwned::to_owned);
    own.iter().any(|known| known.key == twin)
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

fn items(node: &mut Node) -> &mut [Node] {
    match &mut node.value {
        Value::List(items) => items,
        Value::Scalar(_) | Value::Map(_) => &mut [],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::shape;

    fn merged(own: &str) -> serde_json::Value {
        let mut own = yaml::parse(own).unwrap_or_else(|error| panic!("{}", error.what));
        let base = "{ url: U, headers: { A: a, B: b }, success: [200, 201], body: text }";
        lay_over(
            &mut own,
            yaml::parse(base).unwrap_or_else(|error| panic!("{}", error.what)),
        );
        shape::read(&own).unwrap()
    }

    #[test]
    fn maps_merge_and_the_rest_replaces() {
        let expected = serde_json::json!({
            "headers": { "B": "mine", "C": "c", "A": "a" }, "success": [409], "url": "U", "body": "text",
        });
        assert_eq!(
            merged("{ headers: { B: mine, C: c }, success: [409] }"),
            expected
        );
    }

    #[test]
    fn a_secret_in_a_file_replaces_the_preset_s_text() {
        let merged = merged("{ url_file: F, body: mine }");
        assert_eq!(merged["url_file"], "F");
        assert_eq!(merged.get("url"), None);
        assert_eq!(merged["body"], "mine");
    }
}
