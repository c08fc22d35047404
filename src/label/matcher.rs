//! A matcher: a label's name, an operator and a value.
//!
//! Its text is Alertmanager's, in both of its grammars and with its precedence: what the [classic]
//! one accepts means what it says there, the rest is read by the [UTF-8](super::utf8) one. On top
//! of that `>`, `>=`, `<` and `<=` compare numbers; Alertmanager would read `sli_gap>=20` as a
//! label called `sli_gap>`, which nobody has, so an unquoted name ends before `<` and `>` here.

use std::fmt;

use regex::Regex;

use super::{Labels, classic, re2, utf8};
use crate::settings::Problem;

/// One condition on one label. A label that is not set reads as empty.
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
    /// Numbers: a label that is no finite number never holds, whatever the operator.
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What is precomputed from operator and value.
#[derive(Debug, Clone)]
enum Test {
    Text,
    Regex(Regex),
    Number(f64),
}

/// Why a text is no matcher. Columns count characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    #[error("{what} at column {column}")]
    Syntax { column: usize, what: &'static str },
    #[error("`{pattern}` is no regular expression: {reason}")]
    Regex { pattern: String, reason: String },
    #[error("`{operator}` compares numbers, and `{value}` is none")]
    NotANumber { operator: Operator, value: String },
    #[error("one matcher is expected, not {0}")]
    Count(usize),
}

impl Matcher {
    /// Reads one matcher: `severity=~"crit.*"`, `sli_gap>=20`.
    pub fn parse(text: &str) -> Result<Self, MatcherError> {
        if let (Some('{'), _) | (_, Some('}')) = (text.chars().next(), text.chars().last()) {
            return Err(MatcherError::Syntax {
                column: 1,
                what: "one matcher takes no braces",
            });
        }

        if let Some(matcher) = classic::matcher(text) {
            return Ok(matcher);
        }

        let mut matchers = utf8::matchers(text)?;
        match (matchers.pop(), matchers.len()) {
            (Some(matcher), 0) => Ok(matcher),
            (last, others) => Err(MatcherError::Count(others + usize::from(last.is_some()))),
        }
    }

    /// Reads a list, as each string of `matchers:` may hold one: `{a="b", c!="d"}`, with or without
    /// the braces.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, MatcherError> {
        classic::matchers(text).map_or_else(|| utf8::matchers(text), Ok)
    }

    /// A matcher from its parts.
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

    /// Whether the labels fulfil it.
    pub fn holds(&self, labels: &Labels) -> bool {
        self.holds_for(labels.get(self.name.as_str()).map_or("", String::as_str))
    }

    fn holds_for(&self, actual: &str) -> bool {
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

/// Compiles the list at `key` of the configuration, each string of which may hold several; adds
/// what is wrong with it.
pub(crate) fn compile(key: &str, texts: &[String], problems: &mut Vec<Problem>) -> Vec<Matcher> {
    let mut matchers = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match Matcher::parse_list(text) {
            Ok(parsed) => matchers.extend(parsed),
            Err(error) => problems.push(Problem::new(
                format!("{key}[{index}]"),
                format!("`{text}` is no matcher: {error}"),
                "write it like `severity=\"critical\"`, `app_key=~\"com[.]example[.].*\"` or `sli_gap>=20`",
            )),
        }
    }

    matchers
}

/// A finite decimal number; Rust's parser also takes `inf` and `nan`, which nobody measures.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

impl Operator {
    /// The operator `text` starts with, the longest first.
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

impl fmt::Display for Matcher {
    /// In a form that reads back as the same matcher.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if classic::is_name(&self.name) {
            f.write_str(&self.name)?;
        } else {
            write!(f, "\"{}\"", escaped(&self.name))?;
        }

        match self.test {
            Test::Number(_) => write!(f, "{}{}", self.operator, self.value),
            _ => write!(f, "{}\"{}\"", self.operator, escaped(&self.value)),
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace('\n', r"\n")
        .replace('"', "\\\"")
}
