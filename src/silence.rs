//! Planned maintenance: while a silence is active, a trigger that it covers is recorded and told to
//! nobody.
//!
//! The terms and rules are Alertmanager's
//! (<https://prometheus.io/docs/alerting/latest/alertmanager/#silences>), with two rules of the
//! bridge's contract: a resolve is never silenced, and a silenced incident that is still open is
//! told when the last silence that covers it ends. Pure.

use std::{cell::RefCell, collections::HashMap, fmt};

use jiff::Timestamp;

use crate::label::{Labels, Matcher, MatcherError, alert_name};

/// The store's number for a silence, which is never used twice.
pub type SilenceId = i64;

/// A request for a silence, which has been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(crate) matchers: Vec<String>,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) author: String,
    pub(crate) comment: String,
}

/// The reason why a silence cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error(
        "`{text}` is not a valid matcher: {error}; write it like 'severity=\"critical\"', \
         'app_key=~\"com[.]example[.].*\"' or 'sli_gap<20'"
    )]
    Matcher { text: String, error: MatcherError },
    #[error(
        "at least one matcher must not match the empty string: {0} would also silence every alert \
         without the label; add what the maintenance affects, like \
         'app_key=\"com.example.calendar\"'"
    )]
    CoversWhateverLacksIt(String),
    #[error("it would end at {ends_at:.0}, which is not after its start, {starts_at:.0}")]
    Backwards {
        starts_at: Timestamp,
        ends_at: Timestamp,
    },
    #[error("it would have ended already, at {0:.0}: a silence must end in the future")]
    Over(Timestamp),
    #[error("the comment is empty: say what the maintenance is, for whoever is on call")]
    NoComment,
}

impl Plan {
    /// Checks the request for a silence. Each text may contain several matchers, as in a route. A
    /// start in the past becomes now: what was announced stays announced.
    pub fn new(
        texts: &[String],
        (starts_at, ends_at): (Timestamp, Timestamp),
        author: &str,
        comment: &str,
        now: Timestamp,
    ) -> Result<Self, PlanError> {
        let mut matchers = Vec::new();
        for text in texts {
            let parsed = Matcher::parse_list(text);
            matchers.extend(parsed.map_err(|error| PlanError::Matcher {
                text: text.clone(),
                error,
            })?);
        }

        let none = Labels::new();
        if matchers.iter().all(|matcher| matcher.holds(&none)) {
            return Err(PlanError::CoversWhateverLacksIt(format!(
                "{{{}}}",
                texts.join(", ")
            )));
        }

        if ends_at <= starts_at {
            return Err(PlanError::Backwards { starts_at, ends_at });
        }

        if ends_at <= now {
            return Err(PlanError::Over(ends_at));
        }

        if comment.trim().is_empty() {
            return Err(PlanError::NoComment);
        }

        Ok(Self {
            matchers: matchers.iter().map(ToString::to_string).collect(),
            starts_at: starts_at.max(now),
            ends_at,
            author: author.to_owned(),
            comment: comment.trim().to_owned(),
        })
    }

    /// Returns the silence that would be added, for a preview of what it covers.
    pub fn as_if_added(&self, now: Timestamp) -> Silence {
        Silence {
            id: 0,
            matchers: self.matchers.clone(),
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            author: self.author.clone(),
            comment: self.comment.clone(),
            created_at: now,
        }
    }

    /// Returns the names of the labels in the matchers.
    pub fn label_names(&self) -> impl Iterator<Item = String> {
        self.matchers
            .iter()
            .filter_map(|text| Matcher::parse(text).ok())
            .map(|matcher| matcher.name().to_owned())
    }
}

/// A stored silence.
#[derive(Debug, Clone, PartialEq)]
pub struct Silence {
    pub id: SilenceId,
    /// The matchers as text. They are parsed only if somebody would be told.
    pub matchers: Vec<String>,
    pub starts_at: Timestamp,
    /// The time at which the silence ends, or was expired.
    pub ends_at: Timestamp,
    pub author: String,
    pub comment: String,
    pub created_at: Timestamp,
}

/// The state of a silence, in Alertmanager's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Pending,
    Active,
    Expired,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

impl Silence {
    pub fn state(&self, now: Timestamp) -> State {
        if now < self.starts_at {
            State::Pending
        } else if now < self.ends_at {
            State::Active
        } else {
            State::Expired
        }
    }

    /// Decides whether the silence covers an alert: all its matchers must hold.
    ///
    /// Something that is not an alert, such as the bridge's own alarm, is covered only if a matcher
    /// asks for its `kind`. A silence of `severity="critical"` is meant for an app's maintenance,
    /// and must not hide that the bridge gets no mail. A silence that cannot be read covers
    /// nothing, because one page too many is better than one too few.
    pub fn covers(&self, labels: &Labels) -> bool {
        let kind = labels.get("kind").map_or("", String::as_str);
        let mut covers = matches!(kind, "incident" | "unparsed") && !self.matchers.is_empty();
        let none = Labels::new();

        for text in &self.matchers {
            let asks_for_kind =
                |matcher: &Matcher| matcher.name() == "kind" && !matcher.holds(&none);
            // Alertmanager's tools use this name for an alert; it is not a label here.
            let holds = |matcher: &Matcher| match matcher.name() {
                "alertname" => matcher.holds_for(alert_name(labels)),
                _ => matcher.holds(labels),
            };
            match ask(text, |matcher| {
                holds(matcher).then(|| asks_for_kind(matcher))
            }) {
                Some(asks_for_kind) => covers |= asks_for_kind,
                None => return false,
            }
        }

        covers
    }
}

/// The most matchers that a thread caches.
const REMEMBERED: usize = 64;

thread_local! {
    /// The compiled matchers by their text, because compiling a regular expression takes longer
    /// than deciding a mail. `None` means invalid.
    static READ: RefCell<HashMap<String, Option<Matcher>>> = RefCell::default();
}

fn ask<T>(text: &str, question: impl FnOnce(&Matcher) -> Option<T>) -> Option<T> {
    READ.with_borrow_mut(|read| {
        if !read.contains_key(text) {
            if read.len() >= REMEMBERED {
                read.clear();
            }
            read.insert(text.to_owned(), Matcher::parse(text).ok());
        }
        read.get(text)?.as_ref().and_then(question)
    })
}

/// Returns the last silence to end among those that cover the labels.
pub fn last_to_cover<'a>(silences: &'a [Silence], labels: &Labels) -> Option<&'a Silence> {
    silences
        .iter()
        .filter(|silence| silence.covers(labels))
        .max_by_key(|silence| (silence.ends_at, silence.id))
}

impl fmt::Display for Silence {
    /// Formats the reason that is given for what it silenced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "silenced until {:.0} by silence {} ({}: {})",
            self.ends_at, self.id, self.author, self.comment
        )
    }
}

#[cfg(test)]
mod tests;
