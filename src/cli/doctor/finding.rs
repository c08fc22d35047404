//! The findings of a check, and how to fix them.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// A single finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check, in one word, such as `mailbox`.
    pub check: &'static str,
    pub state: State,
    /// The subject: a key of the configuration, or a name in it.
    pub about: String,
    /// The finding, as a sentence without its full stop.
    pub what: String,
    /// How to fix it; `None` if all is well.
    pub mend: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The finding prevents mail from arriving, or a page from being sent.
    Wrong,
    /// The subject works, but could be better.
    Warning,
    Ok,
}

/// The result of a check.
#[derive(Debug, Default)]
pub struct Checked {
    pub findings: Vec<Finding>,
    /// How far other clocks are ahead of this machine's, and whose they are.
    pub clocks: Vec<(String, SignedDuration)>,
}

impl Finding {
    pub fn ok(check: &'static str, about: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(check, State::Ok, about, what, None)
    }

    pub fn warning(
        check: &'static str,
        about: impl Into<String>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self::new(check, State::Warning, about, what, Some(mend.into()))
    }

    pub fn wrong(
        check: &'static str,
        about: impl Into<String>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self::new(check, State::Wrong, about, what, Some(mend.into()))
    }

    fn new(
        check: &'static str,
        state: State,
        about: impl Into<String>,
        what: impl Into<String>,
        mend: Option<String>,
    ) -> Self {
        Self {
            check,
            state,
            about: about.into(),
            what: what.into(),
            mend,
        }
    }
}

impl Checked {
    /// Notes a server's `Date` header (RFC 9110, 6.6.1).
    pub fn hear(&mut self, whose: &str, date: Option<&String>, now: Timestamp) {
        let said = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        if let Some(said) = said {
            let ahead = said.timestamp().duration_since(now);
            self.clocks.push((whose.to_owned(), ahead));
        }
    }
}

impl From<Vec<Finding>> for Checked {
    fn from(findings: Vec<Finding>) -> Self {
        Self {
            findings,
            clocks: Vec::new(),
        }
    }
}
