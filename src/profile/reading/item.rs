//! Reads one item of a mail into what it reports, or into why it cannot be read. Pure.

use std::borrow::Cow;

use indexmap::IndexMap;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use super::{recipe::Recipe, sheet::Sheet};
use crate::{
    extract::pairs::Pairs,
    label::Labels,
    profile::{
        Alert, Found,
        context::{Item, Scope},
        fields::{Fields, LONGEST_KEY},
        status::Verdict,
    },
    template::written,
};

/// The maximum length of a label's value, in characters. Longer values are cut.
const LONGEST_LABEL: usize = 1_000;

/// Reads one item, its status first. The error says why it cannot be read.
pub(super) fn read(
    recipe: &Recipe,
    sheet: &Sheet,
    item: &Item,
    scope: &Scope<'_>,
) -> Result<Found, String> {
    let fields = &recipe.fields;
    let status =
        required(fields, "status", scope).map_err(|why| sheet.obstacle.clone().unwrap_or(why))?;
    let meaning = match recipe.statuses.verdict(&status) {
        Verdict::Alert(meaning) => meaning,
        Verdict::Ignored => {
            let reason = ignored_status(&status);
            return Ok(Found::Ignored { reason });
        }
        Verdict::Unparsed => {
            return Err(format!(
                "the status `{status}` is in no list of the profile's `status`"
            ));
        }
    };

    if let Some(why) = &sheet.obstacle {
        return Err(why.clone());
    }

    let key = key(fields, scope)?;
    let time = time(fields, scope)?;

    let mut made = IndexMap::from([
        ("key".to_owned(), key.clone()),
        ("status".to_owned(), status.clone()),
    ]);
    made.extend(time.map(|time| ("time".to_owned(), time.to_string())));
    let mut labels = Labels::from([(Cow::Borrowed("status"), status.clone())]);

    for name in ["title", "severity", "url", "summary"] {
        if let Some(value) = fields.render(name, scope)? {
            made.insert(name.to_owned(), value.clone());
            if !(name == "severity" && value.is_empty()) {
                labels.insert(Cow::Borrowed(name), short(name, &value));
            }
        }
    }
    for name in fields.own() {
        let value = fields.render(name, scope)?.unwrap_or_default();
        labels.insert(Cow::Owned(name.to_owned()), short(name, &value));
        made.insert(name.to_owned(), value);
    }

    Ok(Found::Alert(Box::new(Alert {
        key,
        status,
        meaning,
        time,
        labels,
        json: incident(sheet, item, &made),
    })))
}

/// Returns the reason for ignoring the mail, if its status can be read and is ignored.
pub(super) fn ignored(recipe: &Recipe, scope: &Scope<'_>) -> Option<String> {
    let status = recipe.fields.render("status", scope).ok()??;
    (recipe.statuses.verdict(&status) == Verdict::Ignored).then(|| ignored_status(&status))
}

fn ignored_status(status: &str) -> String {
    format!("its status `{status}` is one that the profile ignores")
}

pub(super) fn required(fields: &Fields, name: &str, scope: &Scope<'_>) -> Result<String, String> {
    match fields.render(name, scope)? {
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err(format!(
            "the field `{name}`, made by `{}`, is empty",
            fields.source(name)
        )),
    }
}

fn key(fields: &Fields, scope: &Scope<'_>) -> Result<String, String> {
    let key = required(fields, "key", scope)?;
    if key.len() > LONGEST_KEY {
        return Err(format!(
            "the field `key` is longer than {LONGEST_KEY} bytes: use less in it, or the filter \
             `hash`"
        ));
    }
    Ok(key)
}

/// Returns the time of an alert. If it is empty, the mail's Date takes its place.
fn time(fields: &Fields, scope: &Scope<'_>) -> Result<Option<Timestamp>, String> {
    match fields.render("time", scope)? {
        Some(text) if !text.is_empty() => written::parse(&text, None, &TimeZone::UTC)
            .map(Some)
            .map_err(|why| {
                format!(
                    "the field `time`, made by `{}`, cannot be read: {why}",
                    fields.source("time")
                )
            }),
        _ => Ok(None),
    }
}

pub(super) fn short(name: &str, value: &str) -> String {
    let longest = if name == "summary" {
        4 * LONGEST_LABEL
    } else {
        LONGEST_LABEL
    };
    value.chars().take(longest).collect()
}

/// Returns what templates get as `incident`.
pub(super) fn incident(sheet: &Sheet, item: &Item, fields: &IndexMap<String, String>) -> Value {
    let pairs = |pairs: &Pairs| -> Value {
        let mut object = serde_json::Map::new();
        for (label, _) in pairs.iter() {
            let value = pairs.get(label).unwrap_or_default();
            object.entry(label).or_insert_with(|| value.into());
        }
        object.into()
    };

    let mut whole = json!({ "fields": fields });
    match item {
        Item::Mail => {
            whole["pairs"] = pairs(&sheet.contents.pairs);
            if let Some(json) = &sheet.json {
                whole["json"] = json.clone();
            }
        }
        Item::Text { pairs: own, .. } => whole["pairs"] = pairs(own),
        Item::Json(json) => whole["json"] = json.clone(),
    }
    whole
}
