//! `silences` and `silence/{id}`.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Answer, filter::Filter};
use crate::{
    label::{Labels, Matcher, Operator},
    silence::SilenceId,
    web::{
        Admin,
        ask::{Body, Path},
        json::Json,
        problem::Problem,
        views::silences::{self, NewSilence, Silence, SilenceState},
        who::Operator as Allowed,
    },
};

/// The largest number of expired silences that are shown.
const MOST_EXPIRED: u32 = 1000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gettable {
    id: String,
    status: Status,
    updated_at: Timestamp,
    comment: String,
    created_by: String,
    ends_at: Timestamp,
    matchers: Vec<Condition>,
    starts_at: Timestamp,
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Status {
    state: SilenceState,
}

/// A matcher as Alertmanager writes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    name: String,
    value: String,
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Postable {
    #[serde(default)]
    id: Option<String>,
    matchers: Vec<Condition>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    created_by: String,
    comment: String,
}

#[derive(Serialize)]
pub struct Posted {
    #[serde(rename = "silenceID")]
    silence_id: String,
}

/// Returns an id in the form that Alertmanager's document requires: a UUID that holds the number.
pub(super) fn public_id(id: SilenceId) -> String {
    format!("00000000-0000-4000-8000-{:012x}", id & 0xffff_ffff_ffff)
}

/// Reads the number from a UUID of ours, or from an id as the bridge's own commands write it.
fn number(id: &str) -> Result<SilenceId, Problem> {
    let own = id.strip_prefix("00000000-0000-4000-8000-");
    let number = match own.filter(|digits| digits.len() == 12) {
        Some(digits) => SilenceId::from_str_radix(digits, 16).ok(),
        None => id.parse().ok(),
    };
    number.ok_or_else(|| Problem::not_found(format!("there is no silence {id}")))
}

/// Lists silences: first the active ones, then the pending ones, then the expired ones.
pub async fn list(State(admin): State<Arc<Admin>>, filter: Filter) -> Answer<Vec<Gettable>> {
    let now = admin.clock.now();
    let mut found = admin.desk.silences(false, now, u32::MAX).await?;
    found.extend(admin.desk.silences(true, now, MOST_EXPIRED).await?);

    let found = found.into_iter().map(|silence| Silence::new(silence, now));
    let mut found: Vec<_> = found.map(gettable).collect();
    found.retain(|silence| {
        let is_wanted = match silence.status.state {
            SilenceState::Active => filter.active,
            SilenceState::Pending => filter.pending,
            SilenceState::Expired => filter.expired,
        };
        is_wanted && filter.fits(&labels(&silence.matchers))
    });
    found.sort_by_key(|silence| match silence.status.state {
        SilenceState::Active => 0,
        SilenceState::Pending => 1,
        SilenceState::Expired => 2,
    });

    Ok(Json(found))
}

pub async fn show(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Answer<Gettable> {
    let silence = silences::show(&admin, number(&id)?).await?;
    Ok(Json(gettable(silence)))
}

pub async fn expire(
    State(admin): State<Arc<Admin>>,
    Allowed(who): Allowed,
    Path(id): Path<String>,
) -> Result<(), Problem> {
    silences::expire(&admin, &who, number(&id)?).await?;
    Ok(())
}

/// Adds a silence. Editing one ends it and begins another, because what a silence matches never
/// changes.
pub async fn add(
    State(admin): State<Arc<Admin>>,
    Allowed(who): Allowed,
    Body(posted): Body<Postable>,
) -> Answer<Posted> {
    let before = posted.id.as_deref().filter(|id| !id.is_empty());
    let before = before.map(number).transpose()?;
    if let Some(before) = before {
        silences::show(&admin, before).await?;
    }

    let matchers = posted.matchers.iter().map(Condition::text);
    let new = NewSilence {
        matchers: matchers.collect::<Result<_, _>>()?,
        starts_at: Some(posted.starts_at),
        ends_at: Some(posted.ends_at),
        author: Some(posted.created_by),
        comment: posted.comment,
    };
    let silence = silences::add(&admin, &who, &new).await?;

    if let Some(before) = before
        && silences::show(&admin, before).await?.state != SilenceState::Expired
    {
        silences::expire(&admin, &who, before).await?;
    }

    Ok(Json(Posted {
        silence_id: public_id(silence.id),
    }))
}

fn gettable(silence: Silence) -> Gettable {
    let matchers = silence.matchers.iter();
    Gettable {
        id: public_id(silence.id),
        status: Status {
            state: silence.state,
        },
        updated_at: match silence.state {
            SilenceState::Expired => silence.ends_at,
            _ => silence.created_at,
        },
        comment: silence.comment,
        created_by: silence.author,
        ends_at: silence.ends_at,
        matchers: matchers.map(|text| Condition::new(text)).collect(),
        starts_at: silence.starts_at,
        annotations: BTreeMap::new(),
    }
}

/// Returns the matchers as if they were labels, for a filter to be matched against.
fn labels(matchers: &[Condition]) -> Labels {
    let pairs = matchers.iter();
    pairs
        .map(|one| (one.name.clone().into(), one.value.clone()))
        .collect()
}

impl Condition {
    /// Reads a matcher. A comparison of numbers, which Alertmanager does not know, is shown as an
    /// equality: `sli_gap=">=20"`.
    fn new(text: &str) -> Self {
        let Ok(matcher) = Matcher::parse(text) else {
            return Self {
                name: text.to_owned(),
                value: String::new(),
                is_regex: false,
                is_equal: true,
            };
        };
        let operator = matcher.operator();
        let value = match operator {
            Operator::Equal | Operator::NotEqual | Operator::Matches | Operator::NotMatches => {
                matcher.value().to_owned()
            }
            comparison => format!("{}{}", comparison.as_str(), matcher.value()),
        };
        Self {
            name: matcher.name().to_owned(),
            value,
            is_regex: matches!(operator, Operator::Matches | Operator::NotMatches),
            is_equal: !matches!(operator, Operator::NotEqual | Operator::NotMatches),
        }
    }

    /// Returns the matcher as the bridge writes it. A comparison that was shown as an equality
    /// becomes one again, because a client that edits a silence sends back what was shown.
    fn text(&self) -> Result<String, Problem> {
        if self.name.is_empty() {
            return Err(Problem::bad("a matcher has no name"));
        }
        if let (false, true, Some(comparison)) = (self.is_regex, self.is_equal, self.comparison()) {
            return Ok(comparison.to_string());
        }

        let operator = match (self.is_regex, self.is_equal) {
            (false, true) => Operator::Equal,
            (false, false) => Operator::NotEqual,
            (true, true) => Operator::Matches,
            (true, false) => Operator::NotMatches,
        };
        Matcher::new(&self.name, operator, self.value.clone())
            .map(|matcher| matcher.to_string())
            .map_err(|error| Problem::bad(error.to_string()))
    }

    fn comparison(&self) -> Option<Matcher> {
        let operators = [
            Operator::GreaterOrEqual,
            Operator::LessOrEqual,
            Operator::Greater,
            Operator::Less,
        ];
        operators.into_iter().find_map(|operator| {
            let number = self.value.strip_prefix(operator.as_str())?;
            Matcher::new(&self.name, operator, number.to_owned()).ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_means_the_same_in_both_words() {
        for text in [
            "severity=\"critical\"",
            "app_key!=\"a\\\"b\\\\c\"",
            "sli=~\"iframe.*|x\"",
            "metric!~\"a b\"",
            "sli_gap>=20",
            "sli_value<99.5",
            "recurrence_28d>-1",
            "window_seconds<=3600",
            "\"größe in €\"=\"x\\ny\"",
            "severity=\"> 5 apples\"",
        ] {
            let matcher = Matcher::parse(text).unwrap();
            let again = Matcher::parse(&Condition::new(text).text().unwrap()).unwrap();
            assert_eq!(
                (matcher.name(), matcher.operator(), matcher.value()),
                (again.name(), again.operator(), again.value())
            );
        }
    }

    #[test]
    fn a_name_is_one_label_whatever_it_holds() {
        let condition = |name: &str, is_regex, value: &str| Condition {
            name: name.to_owned(),
            value: value.to_owned(),
            is_regex,
            is_equal: true,
        };
        for name in ["severity=\"x\", app_key", "a b", "a\"b", "{a}", "a,b"] {
            let text = condition(name, false, "y").text().unwrap();
            let matchers = Matcher::parse_list(&text).unwrap();
            assert_eq!(matchers.len(), 1, "{text}");
            assert_eq!(matchers[0].name(), name);
        }
        assert!(condition("", false, "y").text().is_err());
        assert!(condition("a", true, "(").text().is_err());
    }

    #[test]
    fn an_id_is_a_uuid_and_ours() {
        assert_eq!(public_id(17), "00000000-0000-4000-8000-000000000011");
        assert!(matches!(number(&public_id(17)), Ok(17)));
        assert!(matches!(number("17"), Ok(17)));
        assert!(number("5a2c1c1c-0000-4000-8000-000000000011").is_err());
    }
}
