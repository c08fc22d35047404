//! The notation of a matcher.
//!
//! Its text is Alertmanager's, in both of its grammars and with its precedence: what the [classic]
//! one accepts means what it means there, and the rest is read by the [UTF-8](super::utf8) one. In
//! addition, `>`, `>=`, `<` and `<=` compare numbers. Alertmanager would read `sli_gap>=20` as a
//! label called `sli_gap>`, which nobody has, so here an unquoted name ends before `<` and `>`.

use std::fmt;

use super::{
    classic,
    matcher::{Matcher, MatcherError},
    utf8,
};

impl Matcher {
    /// Parses one matcher: `severity=~"crit.*"`, `sli_gap>=20`.
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

    /// Parses a list, as each string of `matchers:` may contain one: `{a="b", c!="d"}`, with or
    /// without the braces.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, MatcherError> {
        classic::matchers(text).map_or_else(|| utf8::matchers(text), Ok)
    }
}

impl fmt::Display for Matcher {
    /// Writes a text that parses back to the same matcher.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if classic::is_name(self.name()) {
            f.write_str(self.name())?;
        } else {
            write!(f, "\"{}\"", escaped(self.name()))?;
        }

        if self.is_numeric() {
            write!(f, "{}{}", self.operator(), self.value())
        } else {
            write!(f, "{}\"{}\"", self.operator(), escaped(self.value()))
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace('\n', r"\n")
        .replace('"', "\\\"")
}
