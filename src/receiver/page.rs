//! The texts of one request: the team's templates where they have any, else the built-in wording.
//!
//! A template that fails on a real alert costs its text and not the page: the built-in wording goes
//! out, with a note.

use std::cell::{OnceCell, RefCell};

use minijinja::Value;

use super::{Parcel, context::context, sample, template::Template, text, wording};
use crate::delivery::Notification;

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
                self.note(format!("{error}; the built-in text is used instead"));
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
    sample::parcel(notification, |parcel| with(&Page::new(parcel)))
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
