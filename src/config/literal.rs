//! Reports text that looks like a template but is not one, because it would reach people verbatim,
//! or nobody at all.
//!
//! One rule covers all settings except profiles, whose fields are templates, and secrets, which may
//! be any text: a setting that is not a template must not contain one.

use std::collections::BTreeSet;

use super::yaml::{Node, Value};
use crate::{receiver::template::looks_like_template, settings::Problem};

/// The sections in which templates have places of their own.
const ELSEWHERE: [&str; 3] = ["profiles", "templates", "include"];
/// The keys whose values may be any text.
const SECRETS: [&str; 6] = [
    "password",
    "token",
    "signing_key",
    "client_secret",
    "refresh_token",
    "secret",
];

/// Returns the texts that look like a template and are not in one of `templates`, the key paths of
/// templates.
pub fn problems(tree: &Node, templates: &BTreeSet<String>) -> Vec<Problem> {
    let mut found = Vec::new();
    let Value::Map(entries) = &tree.value else {
        return found;
    };
    let literal = |key: &str| !ELSEWHERE.contains(&key);
    for entry in entries.iter().filter(|entry| literal(&entry.key)) {
        walk(&entry.value, &entry.key, templates, &mut found);
    }
    found
}

fn walk(node: &Node, path: &str, templates: &BTreeSet<String>, found: &mut Vec<Problem>) {
    match &node.value {
        Value::Scalar(scalar) if looks_like_template(&scalar.text) && !templates.contains(path) => {
            let what = "it looks like a template, but is read as plain text here";
            found.push(Problem::new(path, what, mend(path, templates)));
        }
        Value::Scalar(_) => {}
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{path}[{index}]"), templates, found);
            }
        }
        Value::Map(entries) => {
            for entry in entries
                .iter()
                .filter(|entry| !SECRETS.contains(&entry.key.as_str()))
            {
                if looks_like_template(&entry.key) {
                    let what = format!(
                        "the key `{}` looks like a template, which a key cannot be",
                        entry.key
                    );
                    found.push(Problem::new(
                        path,
                        what,
                        "write the key itself; its value may be a template",
                    ));
                }
                walk(
                    &entry.value,
                    &format!("{path}.{}", entry.key),
                    templates,
                    found,
                );
            }
        }
    }
}

/// Names the options of the same integration that may be templates.
fn mend(path: &str, templates: &BTreeSet<String>) -> String {
    if !path.starts_with("receivers") {
        return "write the text itself; `${NAME}` is the environment's variable NAME".to_owned();
    }

    let place = path
        .match_indices(']')
        .nth(1)
        .map_or(path, |(end, _)| &path[..=end]);

    let near: Vec<&str> = templates
        .iter()
        .filter_map(|known| known.strip_prefix(place)?.strip_prefix('.'))
        .collect();

    if near.is_empty() {
        "write the text itself, or route the alerts that differ in it to receivers of their own"
            .to_owned()
    } else {
        format!(
            "write the text itself; templates of this integration are {}",
            near.join(", ")
        )
    }
}
