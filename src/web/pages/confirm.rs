//! Whatever cannot be taken back is asked once.

use serde::Serialize;

use super::{Answer, frame::View};

/// A question, and the form that answers it with yes.
#[derive(Debug, Default, Serialize)]
pub struct Question {
    pub title: String,
    /// What follows from it.
    pub lines: Vec<String>,
    /// Why it is asked again.
    pub error: Option<String>,
    /// Where the yes is sent.
    pub action: String,
    pub hidden: Vec<Hidden>,
    /// What may be said besides.
    pub asked: Vec<Asked>,
    /// What the yes says; empty where there is nothing left to ask.
    pub button: &'static str,
    /// Whether something is lost by it.
    pub danger: bool,
    /// Where no leads, or what was over before it was asked.
    pub back: String,
}

/// What the form sends along.
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
    /// What stands in it.
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
    /// In place of a question whose answer is known.
    pub fn moot(title: String, lines: Vec<String>, back: String) -> Self {
        Self {
            title,
            lines,
            back,
            ..Self::default()
        }
    }

    /// Asks who may act.
    pub async fn ask(self, view: &View<'_>) -> Answer {
        #[derive(Serialize)]
        struct Data {
            ask: Question,
        }

        view.who.may_act()?;
        view.page("confirm.html", Data { ask: self }).await
    }
}
