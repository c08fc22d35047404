//! What a check found, and what mends it.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check, in one word: `mailbox`.
    pub check: &'static str,
    pub state: State,
    /// What it is about: a key of the configuration, or a name in it.
    pub about: String,
    /// What was found, a sentence without its full stop.
    pub what: String,
    /// What mends it; none where all is well.
    pub mend: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It keeps mail from coming in, or a page from going out.
    Wrong,
    /// It works, and is better otherwise.
    Warning,
    Ok,
}

/// What a check brings back.
#[derive(Debug, Default)]
pub struct Checked {
    pub findings: Vec<Finding>,
    /// How far clocks of others are ahead of this machine's, and whose they are.
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
    /// Notes a `Date` header (RFC 9110, 6.6.1) of a server.
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
