//! A matcher: a label's name, an operator and a value. Its notation is defined by the grammar.

use std::fmt;

use regex::Regex;

use super::{Labels, re2};
use crate::settings::Problem;

/// A condition on one label. A label that is not set reads as empty.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    operator: Operator,
    value: String,
    test: Test,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    /// The whole value must match the regular expression.
    Matches,
    NotMatches,
    /// Compares numbers: a label that is not a finite number never matches, whatever the operator.
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// The test that is precomputed from operator and value.
#[derive(Debug, Clone)]
enum Test {
    Text,
    Regex(Regex),
    Number(f64),
}

/// Why a text is not a matcher. Columns count characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    #[error("{what} at column {column}")]
    Syntax { column: usize, what: &'static str },
    #[error("`{pattern}` is not a valid regular expression: {reason}")]
    Regex { pattern: String, reason: String },
    #[error("`{operator}` compares numbers, and `{value}` is not a number")]
    NotANumber { operator: Operator, value: String },
    #[error("expected one matcher, found {0}")]
    Count(usize),
}

impl Matcher {
    /// Builds a matcher from its parts.
    pub fn new(name: &str, operator: Operator, value: String) -> Result<Self, MatcherError> {
        let test = match operator {
            Operator::Equal | Operator::NotEqual => Test::Text,
            Operator::Matches | Operator::NotMatches => match re2::anchored(&value) {
                Ok(regex) => Test::Regex(regex),
                Err(reason) => {
                    return Err(MatcherError::Regex {
                        pattern: value,
                        reason,
                    });
                }
            },
            _ => match number(&value) {
                Some(number) => Test::Number(number),
                None => return Err(MatcherError::NotANumber { operator, value }),
            },
        };

        Ok(Self {
            name: name.to_owned(),
            operator,
            value,
            test,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn operator(&self) -> Operator {
        self.operator
    }

    pub fn value(&self) -> &str {
        &self.value
    }

    /// Returns whether the value is compared as a number.
    pub(super) fn is_numeric(&self) -> bool {
        matches!(self.test, Test::Number(_))
    }

    /// Returns whether the matcher holds for these labels.
    pub fn holds(&self, labels: &Labels) -> bool {
        self.holds_for(labels.get(self.name.as_str()).map_or("", String::as_str))
    }

    /// Returns whether the matcher holds for a label's value.
    pub fn holds_for(&self, actual: &str) -> bool {
        match &self.test {
            Test::Text => (actual == self.value) == (self.operator == Operator::Equal),
            Test::Regex(regex) => regex.is_match(actual) == (self.operator == Operator::Matches),
            Test::Number(bound) => number(actual).is_some_and(|actual| match self.operator {
                Operator::Greater => actual > *bound,
                Operator::GreaterOrEqual => actual >= *bound,
                Operator::Less => actual < *bound,
                _ => actual <= *bound,
            }),
        }
    }
}

/// Compiles the list at `key` of the configuration, each string of which may contain several
/// matchers. Adds the problems that it finds.
pub(crate) fn compile(key: &str, texts: &[String], problems: &mut Vec<Problem>) -> Vec<Matcher> {
    let mut matchers = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match Matcher::parse_list(text) {
            Ok(parsed) => matchers.extend(parsed),
            Err(error) => problems.push(Problem::new(
                format!("{key}[{index}]"),
                format!("`{text}` is not a valid matcher: {error}"),
                "write it like `severity=\"critical\"`, `app_key=~\"com[.]example[.].*\"` or \
                 `sli_gap>=20`",
            )),
        }
    }

    matchers
}

/// Parses a finite decimal number. Rust's parser also accepts `inf` and `nan`, which nobody
/// measures.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

impl Operator {
    /// Returns the operator at the start of `text`; the longest one wins.
    pub(super) fn leading(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operator| text.starts_with(operator.as_str()))
    }

    const ALL: [Self; 8] = [
        Self::Matches,
        Self::NotMatches,
        Self::NotEqual,
        Self::GreaterOrEqual,
        Self::LessOrEqual,
        Self::Equal,
        Self::Greater,
        Self::Less,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
