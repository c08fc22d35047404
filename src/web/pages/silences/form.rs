//! The form for a new silence.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    clock,
    delivery::sha256_hex,
    settings::Duration,
    web::{
        form::Fields,
        pages::{confirm::Hidden, once},
        problem::Problem,
        views::silences::NewSilence,
    },
};

/// The content of the form.
#[derive(Debug, Default, Serialize)]
pub struct Form {
    pub matchers: String,
    duration: String,
    start: String,
    comment: String,
    key: String,
    /// Whether all of the 28 days are searched, however long that takes.
    #[serde(skip)]
    pub all: bool,
    /// The hidden fields that confirm a preview: exactly what was previewed.
    sent: Vec<Hidden>,
    sentence: String,
    pub error: Option<String>,
}

impl Form {
    pub fn of(fields: &Fields) -> Self {
        let or = |name: &str, usual: &str| fields.get(name).unwrap_or(usual).to_owned();
        let form = Self {
            matchers: fields.text("matchers"),
            duration: or("duration", "2h"),
            start: fields.text("start"),
            comment: fields.text("comment"),
            key: fields.get("key").map_or_else(once::key, ToOwned::to_owned),
            all: fields.get("all") == Some("yes"),
            ..Self::default()
        };
        let from = match form.start.as_str() {
            "" => String::new(),
            start => format!(" from {start}"),
        };
        Self {
            sent: form.pairs().map(Hidden::from).into(),
            sentence: format!("For {}{from}: {}", form.duration, form.comment),
            ..form
        }
    }

    pub fn pairs(&self) -> [(&'static str, &str); 5] {
        [
            ("matchers", &self.matchers),
            ("duration", &self.duration),
            ("start", &self.start),
            ("comment", &self.comment),
            ("key", &self.key),
        ]
    }

    /// Returns a key for the content of the form. Sending it again creates nothing new, unless it
    /// was changed in between.
    pub fn mark(&self) -> String {
        let all = self.pairs().map(|(_, value)| value).join("\0");
        sha256_hex(all.as_bytes())
    }

    /// Returns the requested silence.
    pub fn silence(&self, now: Timestamp) -> Result<NewSilence, Problem> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| {
            Problem::unprocessable(format!("{what}: {error}"))
        };
        let lines = self
            .matchers
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty());
        let length: Duration = self
            .duration
            .trim()
            .parse()
            .map_err(|error| wrong("For how long", &error))?;
        let starts_at = match self.start.trim() {
            "" => None,
            start => Some(clock::read(start, now).map_err(|error| wrong("From", &error))?),
        };
        let ends_at = starts_at.unwrap_or(now).saturating_add(length.as_signed());

        Ok(NewSilence {
            matchers: lines.map(ToOwned::to_owned).collect(),
            starts_at,
            ends_at: ends_at.ok(),
            author: None,
            comment: self.comment.clone(),
        })
    }
}
