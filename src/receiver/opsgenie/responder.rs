//! The responders of an alert.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::receiver::{escape::Escape, page::Page, site::Site, template::Template};

/// A responder of an alert in Opsgenie, by exactly one of `id`, `name` and `username`. Each of them
/// is a template.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Responder {
    /// The id of the responder.
    pub id: Option<String>,
    /// The name of a team, an escalation or a schedule.
    pub name: Option<String>,
    /// The user name of a user.
    pub username: Option<String>,
    /// The type of the responder: `team`, `user`, `escalation` or `schedule`.
    pub r#type: String,
}

/// A responder, compiled.
pub struct Called {
    kind: String,
    key: &'static str,
    who: Template,
}

impl Called {
    /// Renders the responder in the API's form; `None`, with a note, if the template names nobody.
    pub(super) fn on(&self, page: &Page<'_>) -> Option<Value> {
        let Self { kind, key, who } = self;
        let Some(who) = page.line(Some(who)) else {
            page.note(format!("a responder of type {kind} has no {key}"));
            return None;
        };
        Some(json!({ "type": kind, (*key): who }))
    }
}

impl Responder {
    pub(super) fn compile(&self, index: usize, site: &mut Site<'_>) -> Option<Called> {
        let place = format!("responders[{index}]");
        let kinds = ["team", "user", "escalation", "schedule"];

        if !kinds.contains(&self.r#type.as_str()) {
            let what = format!("`{}` is not a type of responder", self.r#type);
            site.problem(
                &format!("{place}.type"),
                what,
                format!("the types are {}", kinds.join(", ")),
            );
            return None;
        }

        let mut named = [
            ("id", &self.id),
            ("name", &self.name),
            ("username", &self.username),
        ]
        .into_iter()
        .filter_map(|(key, value)| {
            Some((key, value.as_deref().filter(|value| !value.is_empty())?))
        });

        let (Some((key, value)), None) = (named.next(), named.next()) else {
            site.problem(
                &place,
                "a responder needs exactly one key that names it",
                "give one of `id`, `name` and, for a user, `username`",
            );
            return None;
        };

        if (key == "username") != (self.r#type == "user") && key != "id" {
            let mend = "a user is named by `username`, every other responder by `name`, and any by \
                        `id`";
            site.problem(
                &place,
                format!(
                    "a responder of type {} is not named by `{key}`",
                    self.r#type
                ),
                mend,
            );
            return None;
        }

        let who = site.template_at(&format!("{place}.{key}"), "responders", value, Escape::No)?;

        site.leads_to("responders", &format!("{}/{key}/{value}", self.r#type));

        Some(Called {
            kind: self.r#type.clone(),
            key,
            who,
        })
    }
}
