//! The statuses with which an endpoint reports success.

use std::{borrow::Cow, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A range of statuses such as `200-299`, or a single one: `204`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statuses {
    first: u16,
    last: u16,
}

impl Statuses {
    /// Whether the list contains the status; an empty list means any 2xx.
    pub(super) fn take(list: &[Self], status: u16) -> bool {
        if list.is_empty() {
            return (200..300).contains(&status);
        }
        list.iter()
            .any(|each| (each.first..=each.last).contains(&status))
    }
}

impl FromStr for Statuses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let status = |text: &str| {
            let status: Option<u16> = text.trim().parse().ok();
            status.filter(|status| (200..600).contains(status))
        };

        match (status(first), status(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!(
                "`{text}` is not a valid reply status: write it like 204, or a range like 200-299"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Statuses {
    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "An HTTP status, or a range of them: 204, 200-299.",
            "pattern": "^[2-5][0-9][0-9](-[2-5][0-9][0-9])?$",
            "minimum": 200,
            "maximum": 599
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Statuses;

    #[test]
    fn statuses_are_taken_one_by_one_or_as_a_range() {
        let list: Vec<Statuses> = ["200-204", "409"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let taken: Vec<u16> = (100..600)
            .filter(|status| Statuses::take(&list, *status))
            .collect();
        assert_eq!(taken, [200, 201, 202, 203, 204, 409]);
        assert!(Statuses::take(&[], 299) && !Statuses::take(&[], 300));
    }

    #[test]
    fn what_is_no_status_is_refused() {
        for wrong in ["", "ok", "99", "600", "299-200", "200-", "2xx", "200..299"] {
            assert!(wrong.parse::<Statuses>().is_err(), "{wrong}");
        }
    }
}
