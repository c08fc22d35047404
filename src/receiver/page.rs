//! The texts of one request: the team's templates if there are any, otherwise the built-in wording.
//!
//! A template that fails on a real alert only costs its text, not the page: the built-in wording is
//! sent instead, with a note.

use std::cell::{OnceCell, RefCell};

use minijinja::Value;

use super::{Parcel, context::context, sample, template::Template, text, wording};
use crate::delivery::Notification;

/// A request that is being built.
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

    /// Returns the cleaned result of a field's template; `None` if there is no template, its result
    /// is empty, or it fails.
    pub fn text(&self, template: Option<&Template>) -> Option<String> {
        let text = match template?.render(&self.context()) {
            Ok(text) => text::clean(&text),
            Err(error) => {
                self.note(format!("{error}; the built-in text is used instead"));
                return None;
            }
        };
        (!text.is_empty()).then_some(text)
    }

    /// Returns the result of `text` on one line.
    pub fn line(&self, template: Option<&Template>) -> Option<String> {
        self.text(template).map(|text| text::one_line(&text))
    }

    /// Returns the headline from the team's template. It is marked if the page may not be genuine,
    /// whatever the template says.
    pub fn headline(&self, template: Option<&Template>) -> Option<String> {
        self.line(template)
            .map(|line| wording::mark(self.parcel.notification) + &line)
    }

    /// Returns the notification of this page.
    pub fn notification(&self) -> &'a Notification {
        self.parcel.notification
    }

    /// Tells the reader of the page that part of its text is not as configured.
    pub fn note(&self, note: String) {
        self.notes.borrow_mut().push(note);
    }

    /// Returns the notes so far, on one line.
    pub fn notes(&self) -> Option<String> {
        let notes = self.notes.borrow();
        (!notes.is_empty()).then(|| text::cut(&text::one_line(&notes.join("; ")), 1000))
    }

    /// Returns the variables of a template. A label that is not set reads as empty.
    pub fn context(&self) -> Value {
        self.context.get_or_init(|| context(self.parcel)).clone()
    }
}

/// Calls `with` with the page of a sample, for trials.
pub fn on_sample<T>(notification: &Notification, with: impl FnOnce(&Page<'_>) -> T) -> T {
    sample::parcel(notification, |parcel| with(&Page::new(parcel)))
}

/// Returns the results of a field for all samples, so that an invalid word is found when the
/// configuration is loaded.
pub fn said_of_samples(template: Option<&Template>) -> Vec<String> {
    let mut said: Vec<String> = sample::notifications()
        .iter()
        .filter_map(|(_, notification)| on_sample(notification, |page| page.line(template)))
        .collect();
    said.dedup();
    said
}
