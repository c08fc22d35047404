//! XML bodies, read as the JSON that says the same: attributes and elements become fields, under
//! their names without a prefix.

use roxmltree::{Document, Node};
use serde_json::{Map, Value};

pub(super) fn read(text: &str) -> Option<Value> {
    let document = Document::parse(text.trim()).ok()?;
    let proper = proper(document.root_element());
    let name = proper.tag_name().name().to_owned();
    Some(match value(proper) {
        Value::Object(fields) if name.eq_ignore_ascii_case("fault") => {
            Map::from_iter([(name, Value::Object(fields))]).into()
        }
        Value::Object(fields) => fields.into(),
        text => Map::from_iter([(name, text)]).into(),
    })
}

/// Returns the element that says something. An element that merely wraps a single other one, as
/// SOAP's body does, says nothing.
fn proper<'a>(element: Node<'a, 'a>) -> Node<'a, 'a> {
    let is_named = |node: &Node<'_, '_>, name| node.tag_name().name().eq_ignore_ascii_case(name);
    let mut proper = element;
    loop {
        let is_fault = is_named(&proper, "fault");
        let mut within = proper.children().filter(Node::is_element);
        let body = is_named(&proper, "envelope")
            .then(|| within.clone().find(|child| is_named(child, "body")));
        let only = within.next().filter(|_| within.next().is_none());
        let is_bare = !is_fault && proper.attributes().len() == 0;
        match body.flatten().or(only.filter(|_| is_bare)) {
            Some(child) => proper = child,
            None => return proper,
        }
    }
}

fn value(element: Node<'_, '_>) -> Value {
    let mut fields = Map::new();
    for attribute in element.attributes() {
        add(&mut fields, attribute.name(), attribute.value().into());
    }
    for child in element.children().filter(Node::is_element) {
        add(&mut fields, child.tag_name().name(), value(child));
    }

    let said: String = element
        .children()
        .filter_map(|child| child.text().filter(|_| child.is_text()))
        .collect();
    let said = said.trim();
    if fields.is_empty() {
        return said.into();
    }
    if !said.is_empty() {
        add(&mut fields, "message", said.into());
    }
    fields.into()
}

/// Adds a field. A name that occurs again makes a list.
fn add(fields: &mut Map<String, Value>, name: &str, value: Value) {
    match fields.get_mut(name) {
        None => drop(fields.insert(name.to_owned(), value)),
        Some(Value::Array(all)) => all.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}
