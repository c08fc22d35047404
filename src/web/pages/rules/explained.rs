//! The result of every stage for a mail.

use serde::Serialize;
use serde_json::Value;

use crate::web::pages::{
    when::When,
    words::{self, Fact, Label, integration},
};

/// A mail, explained.
#[derive(Debug, Serialize)]
pub struct Explained {
    heading: String,
    /// The time at which the mail is taken to have arrived. An old mail would expire if it arrived
    /// now.
    at: When,
    items: Vec<Item>,
}

/// One incident in the mail.
#[derive(Debug, Serialize)]
struct Item {
    heading: String,
    facts: Vec<Fact>,
    labels: Vec<Label>,
    found: Option<String>,
    requests: Vec<Page>,
}

/// A page as it would be sent.
#[derive(Debug, Serialize)]
struct Page {
    receiver: String,
    integration: String,
    text: String,
}

impl Explained {
    /// Creates the explanation from the objects that `explain --json` prints.
    pub fn new(items: &[Value], at: When) -> Self {
        let told = items
            .iter()
            .flat_map(|item| item["receivers"].as_array().into_iter().flatten());
        let mut told: Vec<_> = told.filter_map(Value::as_str).collect();
        told.dedup();
        let heading = match told.as_slice() {
            [] => "Nobody would be told".to_owned(),
            names => format!("{} would be told", names.join(", ")),
        };
        Self {
            heading,
            at,
            items: items
                .iter()
                .map(|item| Item::new(item, items.len() > 1))
                .collect(),
        }
    }
}

impl Item {
    fn new(item: &Value, is_one_of_several: bool) -> Self {
        let text = |value: &Value| {
            value
                .as_str()
                .filter(|text| !text.is_empty())
                .map(ToOwned::to_owned)
        };
        let outcome = text(&item["outcome"]).unwrap_or_default();
        let heading = match item["item"].as_u64() {
            Some(number) if is_one_of_several => format!("{number}. {outcome}"),
            _ => outcome,
        };

        let mut facts = Vec::new();
        let mut fact =
            |name, value: Option<String>| facts.extend(value.map(|text| Fact::new(name, text)));
        fact("Why", text(&item["reason"]));
        fact("Profile", text(&item["profile"]));
        let authenticity = serde_json::from_value(item["authenticity"].clone());
        fact(
            "Its sender",
            authenticity.ok().map(|one| words::proof(&one)),
        );
        fact("Evidence", text(&item["authenticity"]["detail"]));
        fact("Incident", text(&item["labels"]["incident_id"]));
        fact("Severity", text(&item["labels"]["severity"]));
        fact("Told", Some(list(&item["receivers"])));

        let found: serde_json::Map<_, _> = ["incident", "pairs", "groups", "json", "misses"]
            .into_iter()
            .filter(|key| !item[*key].is_null())
            .map(|key| (key.to_owned(), item[key].clone()))
            .collect();

        Self {
            heading,
            facts,
            labels: super::labels(item),
            found: (!found.is_empty()).then(|| pretty(&Value::Object(found))),
            requests: item["requests"]
                .as_array()
                .into_iter()
                .flatten()
                .map(Page::new)
                .collect(),
        }
    }
}

fn list(names: &Value) -> String {
    let names = names
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let names = names.collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        "nobody".to_owned()
    } else {
        names
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

impl Page {
    fn new(request: &Value) -> Self {
        let text = |key: &str| request[key].as_str().unwrap_or_default();
        let headers = request["headers"].as_object().into_iter().flatten();
        let headers = headers
            .map(|(name, value)| format!("{name}: {}\n", value.as_str().unwrap_or_default()));
        let body = match &request["body"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            json => pretty(json),
        };
        Self {
            receiver: text("receiver").to_owned(),
            integration: integration(text("integration")),
            text: format!(
                "{} {}\n{}\n{body}",
                text("method"),
                text("url"),
                headers.collect::<String>()
            ),
        }
    }
}
