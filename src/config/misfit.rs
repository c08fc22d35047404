//! Describes why a value does not fit its setting, in words for the author of the configuration.
//!
//! It never quotes a value, except a misspelt word of a choice and what a type's own error
//! contains.

use std::fmt;

use serde::de;

use super::refused::{did_you_mean, listed};
use crate::settings::Problem;

/// A value that does not fit.
#[derive(Debug)]
pub struct Misfit {
    /// The path of the key, once it is known.
    pub key: Option<String>,
    pub what: String,
    pub mend: String,
}

impl Misfit {
    pub fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            key: None,
            what: what.into(),
            mend: mend.into(),
        }
    }

    pub fn into_problem(self) -> Problem {
        Problem::new(self.key.unwrap_or_default(), self.what, self.mend)
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    /// Takes a type's own error, which has the form `what: how to write it`.
    fn custom<T: fmt::Display>(message: T) -> Self {
        let message = message.to_string();
        match message.split_once(": ") {
            Some((what, mend)) => Self::new(what, mend),
            None => Self::new(message, "write another value"),
        }
    }

    fn invalid_type(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match unexpected {
            de::Unexpected::Seq => "a list",
            de::Unexpected::Map => "a map of keys",
            de::Unexpected::Unit => "nothing",
            _ => "another kind of value",
        };

        Self::new(
            format!("found {found}, expected {expected}"),
            format!("give {expected}"),
        )
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new("the value is out of range", format!("give {expected}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(
            format!("`{variant}` is not one of {}", listed(expected)),
            did_you_mean(variant, expected).unwrap_or_else(|| "write one of them".to_owned()),
        )
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("`{field}` is missing"), format!("add `{field}: …`"))
    }
}
