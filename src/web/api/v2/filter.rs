//! The query parameters `filter`, `receiver` and the switches.

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::{
    label::{Labels, Matcher, Operator},
    web::problem::Problem,
};

/// The filter that a query asks for.
pub struct Filter {
    matchers: Vec<Matcher>,
    receiver: Option<Matcher>,
    pub active: bool,
    pub silenced: bool,
    pub inhibited: bool,
    pub unprocessed: bool,
    pub muted: bool,
    /// Applies to silences.
    pub pending: bool,
    pub expired: bool,
}

impl Filter {
    /// Decides whether all matchers hold.
    pub fn fits(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.holds(labels))
    }

    /// Decides whether a receiver is asked for.
    pub fn wants(&self, receiver: &str) -> bool {
        self.receiver
            .as_ref()
            .is_none_or(|matcher| matcher.holds_for(receiver))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Filter {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut filter = Self {
            matchers: Vec::new(),
            receiver: None,
            active: true,
            silenced: true,
            inhibited: true,
            unprocessed: true,
            muted: true,
            pending: true,
            expired: true,
        };

        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "filter" => {
                    let matchers = Matcher::parse_list(&value);
                    let matchers = matchers.map_err(|error| Problem::bad(error.to_string()))?;
                    filter.matchers.extend(matchers);
                }
                "receiver" if !value.is_empty() => {
                    let matcher = Matcher::new("receiver", Operator::Matches, value.into_owned());
                    let matcher = matcher.map_err(|error| Problem::bad(error.to_string()))?;
                    filter.receiver = Some(matcher);
                }
                "active" => filter.active = switch(&name, &value)?,
                "silenced" => filter.silenced = switch(&name, &value)?,
                "inhibited" => filter.inhibited = switch(&name, &value)?,
                "unprocessed" => filter.unprocessed = switch(&name, &value)?,
                "muted" => filter.muted = switch(&name, &value)?,
                "pending" => filter.pending = switch(&name, &value)?,
                "expired" => filter.expired = switch(&name, &value)?,
                _ => {}
            }
        }

        Ok(filter)
    }
}

fn switch(name: &str, value: &str) -> Result<bool, Problem> {
    value
        .parse()
        .map_err(|_| Problem::bad(format!("`{name}` is `{value}`: it must be true or false")))
}
