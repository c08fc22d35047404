//! The texts of one request: the team's templates where they have any, else the built-in wording.
//!
//! A template that fails on a real alert costs its text and not the page: the built-in wording goes
//! out, with a note.

use std::cell::{OnceCell, RefCell};

use jiff::Timestamp;
use minijinja::{Value, value::Serde};

use super::{Parcel, sample, template::Template, text, wording};
use crate::{
    delivery::{Notification, Step},
    label,
};

/// What templates may speak of besides the labels.
pub const NAMES: [&str; 10] = [
    "labels",
    "incident",
    "action",
    "was",
    "reason",
    "arrived_at",
    "time",
    "alias",
    "external_url",
    "mail",
];

/// The labels that templates get as numbers, to compare and round.
const NUMBERS: [&str; 5] = [
    "sli_value",
    "slo_value",
    "sli_gap",
    "window_seconds",
    "recurrence_28d",
];

/// One request in the making.
pub struct Page<'a> {
    parcel: &'a Parcel<'a>,
    context: OnceCell<Value>,
    notes: RefCell<Vec<String>>,
}

impl<'a> Page<'a> {
    pub fn new(parcel: &'a Parcel<'a>) -> Self {
        Self {
            parcel,
            context: OnceCell::new(),
            notes: RefCell::default(),
        }
    }

    /// What a field's template gives, cleaned; none where there is no template, it gives nothing,
    /// or it fails.
    pub fn text(&self, template: Option<&Template>) -> Option<String> {
        let text = match template?.render(&self.context()) {
            Ok(text) => text::clean(&text),
            Err(error) => {
                self.note(format!("{error}; the built-in text stands in for it"));
                return None;
            }
        };
        (!text.is_empty()).then_some(text)
    }

    /// The same on one line.
    pub fn line(&self, template: Option<&Template>) -> Option<String> {
        self.text(template).map(|text| text::one_line(&text))
    }

    /// The headline from the team's template; marked where the page may not be genuine, whatever
    /// the template says.
    pub fn headline(&self, template: Option<&Template>) -> Option<String> {
        self.line(template)
            .map(|line| wording::mark(self.parcel.notification) + &line)
    }

    /// What the page is about.
    pub fn notification(&self) -> &'a Notification {
        self.parcel.notification
    }

    /// Tells the reader of the page that something about its text is not as configured.
    pub fn note(&self, note: String) {
        self.notes.borrow_mut().push(note);
    }

    /// The notes so far, in one line.
    pub fn notes(&self) -> Option<String> {
        let notes = self.notes.borrow();
        (!notes.is_empty()).then(|| text::cut(&text::one_line(&notes.join("; ")), 1000))
    }

    /// Everything a template may speak of. A label that is not set reads as empty.
    pub fn context(&self) -> Value {
        self.context.get_or_init(|| context(self.parcel)).clone()
    }
}

/// A page about a sample, for trying things on.
pub fn on_sample<T>(notification: &Notification, with: impl FnOnce(&Page<'_>) -> T) -> T {
    on_sample_parcel(notification, |parcel| with(&Page::new(parcel)))
}

/// A parcel that holds a sample.
pub fn on_sample_parcel<T>(notification: &Notification, with: impl FnOnce(&Parcel<'_>) -> T) -> T {
    let parcel = Parcel {
        delivery: 1,
        alias: "FOotlQrY5ZQ:oncall",
        notification,
        step: &Step::Send,
        receipt: None,
        now: Timestamp::UNIX_EPOCH,
        external_url: Some("https://alerts.example.com"),
    };
    with(&parcel)
}

/// What a field says of each sample, so that a word that is none is found when the configuration is
/// loaded.
pub fn said_of_samples(template: Option<&Template>) -> Vec<String> {
    let mut said: Vec<String> = sample::notifications()
        .iter()
        .filter_map(|(_, notification)| on_sample(notification, |page| page.line(template)))
        .collect();
    said.dedup();
    said
}

fn context(parcel: &Parcel<'_>) -> Value {
    let notification = parcel.notification;
    let labels: Vec<(String, Value)> = label::NAMES
        .iter()
        .filter(|name| !notification.labels.contains_key(**name))
        .map(|name| ((*name).to_owned(), Value::from("")))
        .chain(
            notification
                .labels
                .iter()
                .map(|(name, text)| (name.to_string(), typed(name, text))),
        )
        .collect();
    let text = |text: Option<&str>| Value::from(text.unwrap_or_default());
    let own = [
        ("labels", Value::from_pairs(labels.iter().cloned())),
        ("incident", Value::from(Serde(&notification.incident))),
        ("action", Value::from(notification.action.told_as())),
        ("was", text(notification.was.as_deref())),
        ("reason", text(notification.reason.as_deref())),
        (
            "arrived_at",
            Value::from(notification.arrived_at.to_string()),
        ),
        (
            "time",
            text(notification.time.map(|time| time.to_string()).as_deref()),
        ),
        ("alias", Value::from(parcel.alias)),
        ("external_url", text(parcel.external_url)),
        (
            "mail",
            notification
                .mail
                .map_or_else(|| Value::from(""), Value::from),
        ),
    ];
    Value::from_pairs(
        labels
            .into_iter()
            .chain(own.map(|(name, value)| (name.to_owned(), value))),
    )
}

/// A numeric label as the number it is, where that prints the same.
fn typed(name: &str, text: &str) -> Value {
    if NUMBERS.contains(&name) {
        if let Ok(number) = text.parse::<i64>() {
            return Value::from(number);
        }
        if let Ok(number) = text.parse::<f64>()
            && number.is_finite()
        {
            return Value::from(number);
        }
    }
    Value::from(text)
}
