//! Who is to be called.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::receiver::site::Site;

/// Who is to be called, as Opsgenie has it: by id, name or (a user) username.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Responder {
    pub id: Option<String>,
    pub name: Option<String>,
    pub username: Option<String>,
    /// `team`, `user`, `escalation` or `schedule`.
    pub r#type: String,
}

impl Responder {
    pub(super) fn compile(&self, index: usize, site: &mut Site<'_>) -> Option<Value> {
        let place = format!("responders[{index}]");
        let kinds = ["team", "user", "escalation", "schedule"];
        if !kinds.contains(&self.r#type.as_str()) {
            let what = format!("`{}` is no type of responder", self.r#type);
            site.problem(&format!("{place}.type"), what, format!("the types are {}", kinds.join(", ")));
            return None;
        }
        let mut named = [("id", &self.id), ("name", &self.name), ("username", &self.username)]
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.as_deref().filter(|value| !value.is_empty())?)));
        let (Some((key, value)), None) = (named.next(), named.next()) else {
            site.problem(
                &place,
                "a responder is named in one way",
                "give one of `id`, `name` and, for a user, `username`",
            );
            return None;
        };
        if (key == "username") != (self.r#type == "user") && key != "id" {
            let mend = "a user goes by `username`, everybody else by `name`; all go by `id`";
            site.problem(&place, format!("a {} does not go by `{key}`", self.r#type), mend);
            return None;
        }
        let mut responder = Map::from_iter([("type".to_owned(), json!(self.r#type))]);
        responder.insert(key.to_owned(), json!(value));
        Some(Value::Object(responder))
    }
}
