//! A reply that repeats the request, which says nothing of what became of it.

use serde_json::{Map, Value};

use super::super::Body;

/// Whether a text begins with the text that was sent.
pub(super) fn begins(said: &str, sent: &Body) -> bool {
    let sent = sent.text();
    !sent.trim().is_empty() && said.starts_with(sent.trim())
}

/// Takes out of a reply what it repeats of the request: the equal fields of an object that has
/// more than half of those of one that was sent. A single one may be equal by chance.
pub(super) fn forget_in(reply: &mut Value, sent: &Body) {
    let Body::Json(sent) = sent else { return };
    let mut objects = Vec::new();
    gather(sent, &mut objects);
    forget(reply, &objects);
}

fn gather<'a>(json: &'a Value, objects: &mut Vec<&'a Map<String, Value>>) {
    match json {
        Value::Object(fields) => {
            objects.push(fields);
            fields.values().for_each(|field| gather(field, objects));
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, objects)),
        _ => {}
    }
}

fn forget(json: &mut Value, sent: &[&Map<String, Value>]) {
    match json {
        Value::Object(fields) => {
            let same = |own: &Map<String, Value>, name: &String, value: &Value| {
                own.get(name).is_some_and(|own| own == value)
            };
            let echoed = sent.iter().find(|sent| {
                let equal = sent
                    .iter()
                    .filter(|(name, value)| same(fields, name, value));
                equal.count() * 2 > sent.len()
            });
            if let Some(sent) = echoed {
                fields.retain(|name, value| !same(sent, name, value));
            }
            fields.values_mut().for_each(|field| forget(field, sent));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forget(item, sent)),
        _ => {}
    }
}
