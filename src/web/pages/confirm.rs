//! Confirmation of actions that cannot be undone.

use serde::Serialize;

use super::{Answer, frame::View};

/// A question, and the form that confirms it.
#[derive(Debug, Default, Serialize)]
pub struct Question {
    pub title: String,
    /// The consequences.
    pub lines: Vec<String>,
    /// The reason why the question is asked again.
    pub error: Option<String>,
    /// The address to which the confirmation is sent.
    pub action: String,
    pub hidden: Vec<Hidden>,
    /// Optional fields of the form.
    pub asked: Vec<Asked>,
    /// The label of the button that confirms; empty if there is nothing left to ask.
    pub button: &'static str,
    /// Whether the action loses something.
    pub danger: bool,
    /// The page to return to if the answer is no, or if there is nothing left to ask.
    pub back: String,
}

/// A hidden field of the form.
#[derive(Debug, Serialize)]
pub struct Hidden {
    name: &'static str,
    value: String,
}

impl From<(&'static str, &str)> for Hidden {
    fn from((name, value): (&'static str, &str)) -> Self {
        Self {
            name,
            value: value.to_owned(),
        }
    }
}

/// A field that may be left empty.
#[derive(Debug, Clone, Serialize)]
pub struct Asked {
    name: &'static str,
    label: &'static str,
    example: &'static str,
    /// The content of the field.
    value: String,
}

impl Asked {
    pub fn new(
        (name, label, example): (&'static str, &'static str, &'static str),
        value: String,
    ) -> Self {
        Self {
            name,
            label,
            example,
            value,
        }
    }
}

impl Question {
    /// Creates the page that is shown in place of a question that is already settled.
    pub fn moot(title: String, lines: Vec<String>, back: String) -> Self {
        Self {
            title,
            lines,
            back,
            ..Self::default()
        }
    }

    /// Shows the question to a person who may act.
    pub async fn ask(self, view: &View<'_>) -> Answer {
        #[derive(Serialize)]
        struct Data {
            ask: Question,
        }

        view.who.may_act()?;
        view.page("confirm.html", Data { ask: self }).await
    }
}
