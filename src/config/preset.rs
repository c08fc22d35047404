//! The setting `use:` of a webhook: what is written is laid over the named preset before the
//! settings are read.
//!
//! Maps are merged key by key; lists and texts replace those of the preset.

use super::{
    overlay::{below, lay_over, stand},
    yaml::{self, Node, Scalar, Value},
};
use crate::{
    receiver::webhook::preset::{PRESETS, named},
    settings::Problem,
};

/// Lays every webhook over the preset that it uses.
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
    // A value that is not text is reported where the settings are read.
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
            follow(webhook, &mut preset);
            lay_over(webhook, preset, "", stands_in_for);
            None
        }
        Err(error) => Some(Problem::new(key, error.what, error.mend)),
    }
}

/// Derives the address for the end of an alert from an address that is written over the preset's: a
/// proxy that is told of an alert is also told of its end.
fn follow(webhook: &mut Node, preset: &mut Node) {
    let Some(Value::Scalar(own)) = below(webhook, "url").map(|node| node.value.clone()) else {
        return;
    };
    let Some(Value::Scalar(base)) = below(preset, "url").map(|node| node.value.clone()) else {
        return;
    };
    let end = below(preset, "resolved").and_then(|resolved| below(resolved, "url"));
    let Some(Value::Scalar(end)) = end.map(|node| &mut node.value) else {
        return;
    };
    let Some(way) = end.text.strip_prefix(&base.text) else {
        return;
    };

    let under = |address: &str| {
        let address = address.trim();
        let (path, query) = address.split_at(address.find('?').unwrap_or(address.len()));
        format!("{}{way}{query}", path.trim_end_matches('/'))
    };
    *end = Scalar {
        text: under(&own.text),
        written: own.written.as_deref().map(under),
        plain: false,
    };
}

/// Returns whether one key is the alternative of the other: the file of a secret, or its text.
fn stands_in_for(_: &str, own: &str, base: &str) -> bool {
    let is_file_of = |file: &str, text: &str| file.strip_suffix("_file") == Some(text);
    is_file_of(own, base) || is_file_of(base, own)
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
            "",
            stands_in_for,
        );
        shape::read(&own).unwrap()
    }

    #[test]
    fn maps_merge_and_the_rest_replaces() {
        let expected = serde_json::json!({
            "headers": { "B": "mine", "C": "c", "A": "a" }, "success": [409], "url": "U",
            "body": "text",
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
