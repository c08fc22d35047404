//! The body of a webhook's request: the event of Standard Webhooks, or the result of a template.
//!
//! A template for JSON yields valid JSON whatever an alert says; otherwise it is refused when the
//! configuration is loaded.

use serde_json::Value;

use super::{event::event, settings::Method};
use crate::delivery::Notification;
use crate::receiver::{
    Body, Parcel, RenderError,
    escape::Escape,
    page::Page,
    sample,
    site::Site,
    template::{Extent, Occasion, Template},
    text, wording,
};

pub(super) enum Content {
    Event,
    Nothing,
    Text(Template),
    Json(Template),
}

impl Content {
    /// Compiles a template. `place` is the place of the template, and `media_type` is the type that
    /// the configuration declares.
    pub(super) fn compile(
        place: &str,
        source: &str,
        media_type: Option<&str>,
        occasion: Occasion,
        site: &mut Site<'_>,
    ) -> Option<Self> {
        let template =
            site.template_of(place, "body", source, Escape::No, Extent::Whole, occasion)?;
        if !is_json(source, media_type, occasion, &template) {
            return Some(Self::Text(template));
        }

        let Err((which, wrong)) = gives_json(&template, occasion) else {
            return Some(Self::Json(template));
        };

        // Values may also stand between the template's own quotes.
        let quoted =
            site.template_of(place, "body", source, Escape::Json, Extent::Whole, occasion)?;
        if gives_json(&quoted, occasion).is_ok() {
            return Some(Self::Json(quoted));
        }

        site.problem(
            place,
            format!("tried on {which}, it does not give valid JSON: {wrong}"),
            "write every value as `{{ … | tojson }}`, without quotes around it; if no JSON is \
             meant, set the header Content-Type to text/plain",
        );
        None
    }

    /// Returns the body of a request with this method if no template is given.
    pub(super) fn of(method: Method) -> Self {
        if method.has_body() {
            Self::Event
        } else {
            Self::Nothing
        }
    }

    pub(super) fn speaks_of(&self, name: &str) -> bool {
        match self {
            Self::Text(template) | Self::Json(template) => template.speaks_of(name),
            Self::Event | Self::Nothing => false,
        }
    }

    pub(super) fn media_type(&self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Text(_) => Some("text/plain; charset=utf-8"),
            Self::Event | Self::Json(_) => Some("application/json"),
        }
    }

    pub(super) fn render(&self, parcel: &Parcel<'_>, page: &Page<'_>) -> Result<Body, RenderError> {
        let mark = wording::mark(parcel.notification);
        match self {
            Self::Event => Ok(Body::Json(event(parcel))),
            Self::Nothing => Ok(Body::Empty),
            Self::Text(template) => {
                let text = template.render(&page.context())?;
                let marked = marks_itself(template, parcel, &text);
                let text = text::visible(&text);
                Ok(Body::Text(if marked { text } else { mark + &text }))
            }
            Self::Json(template) => {
                let text = template.render(&page.context())?;
                let mut json = serde_json::from_str(&text).map_err(|error| {
                    RenderError::Impossible(format!("the body is not valid JSON: {error}"))
                })?;
                show_all(&mut json);
                if !marks_itself(template, parcel, &text) {
                    mark_one(&mut json, &mark, parcel);
                }
                Ok(Body::Json(json))
            }
        }
    }
}

/// Whether the text that a template gave for a page contains the bridge's mark, and not only one
/// that the mail's own words imitate: the imitation is there even without the doubt.
fn marks_itself(template: &Template, parcel: &Parcel<'_>, text: &str) -> bool {
    let Some(doubt) = parcel.notification.doubt else {
        return true;
    };
    let sure = Notification {
        doubt: None,
        ..parcel.notification.clone()
    };
    let parcel = Parcel {
        notification: &sure,
        ..*parcel
    };

    let mark = format!("[{}]", doubt.mark());
    let count = |text: &str| text.matches(&mark).count();
    let pretended = template.render(&Page::new(&parcel).context());
    pretended.is_ok_and(|pretended| count(text) > count(&pretended))
}

/// Checks that a template gives JSON for alerts of all sorts. Returns the first alert for which it
/// does not, and why.
fn gives_json(template: &Template, occasion: Occasion) -> Result<(), (&'static str, String)> {
    for (which, notification) in sample::of_all_sorts() {
        if !occasion.suits(&notification) {
            continue;
        }
        let tried = sample::parcel(&notification, |parcel| {
            template.render(&Page::new(parcel).context())
        });
        match tried.map(|text| serde_json::from_str::<Value>(&text)) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err((which, error.to_string())),
            Err(error) => return Err((which, error.to_string())),
        }
    }
    Ok(())
}

/// Whether the body is JSON: by its declared type or its beginning, or by what the template results
/// in.
fn is_json(
    source: &str,
    media_type: Option<&str>,
    occasion: Occasion,
    template: &Template,
) -> bool {
    if let Some(media_type) = media_type {
        return media_type.to_ascii_lowercase().contains("json");
    }

    let begin = source.trim_start();
    let is_tag = ["{{", "{%", "{#"].iter().any(|tag| begin.starts_with(tag));
    let rendered = || {
        let samples = sample::notifications();
        let first = samples.iter().find(|(_, sample)| occasion.suits(sample));
        first.is_some_and(|(_, notification)| {
            let text = sample::parcel(notification, |parcel| {
                template.render(&Page::new(parcel).context())
            });
            text.is_ok_and(|text| text.trim_start().starts_with(['{', '[']))
        })
    };

    if is_tag {
        rendered()
    } else {
        begin.starts_with(['{', '['])
    }
}

/// Removes hidden characters from the texts of a body, see [`text::visible`].
fn show_all(json: &mut Value) {
    match json {
        Value::String(text) => *text = text::visible(text),
        Value::Array(items) => items.iter_mut().for_each(show_all),
        Value::Object(fields) => fields.values_mut().for_each(show_all),
        _ => {}
    }
}

/// Marks a page that may not be genuine, in the text that names the alert, or else in the first
/// sentence: keys, states and addresses contain no space.
fn mark_one(json: &mut Value, mark: &str, parcel: &Parcel<'_>) {
    let names: Vec<String> = ["title", "metric"]
        .iter()
        .map(|name| text::visible(wording::label(parcel.notification, name)))
        .filter(|name| !name.trim().is_empty())
        .collect();
    let keys = [parcel.alias, &parcel.notification.incident_id];
    let is_name = |text: &str| names.iter().any(|name| name == text) && !keys.contains(&text);
    let is_sentence = |text: &str| text.trim().contains(char::is_whitespace);
    let names_it =
        |text: &str| is_sentence(text) && names.iter().any(|name| text.contains(name.as_str()));

    let _ = mark_first(json, mark, &is_name)
        || mark_first(json, mark, &names_it)
        || mark_first(json, mark, &is_sentence);
}

/// Marks the first text that is meant, and returns whether there was one.
fn mark_first(json: &mut Value, mark: &str, is_meant: &dyn Fn(&str) -> bool) -> bool {
    match json {
        Value::String(text) if is_meant(text) => {
            text.insert_str(0, mark);
            true
        }
        Value::Array(items) => {
            let mut items = items.iter_mut();
            items.any(|item| mark_first(item, mark, is_meant))
        }
        Value::Object(fields) => {
            let mut fields = fields.values_mut();
            fields.any(|field| mark_first(field, mark, is_meant))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::mark_one;
    use crate::receiver::sample;

    fn marked(mut body: Value, metric: &str) -> Value {
        let [(_, mut trigger), ..] = sample::notifications();
        trigger.labels.insert("metric".into(), metric.to_owned());
        sample::parcel(&trigger, |parcel| mark_one(&mut body, "[!] ", parcel));
        body
    }

    #[test]
    fn the_alert_s_name_or_the_first_sentence_is_marked_and_nothing_else() {
        for (body, expected) in [
            (
                json!({ "key": "a:b", "n": 1, "in": [{ "title": "It is down" }], "text": "a b" }),
                json!({ "key": "a:b", "n": 1, "in": [{ "title": "[!] It is down" }],
                    "text": "a b" }),
            ),
            (
                json!({ "by": "P & Q", "title": "Rate", "text": "Rate: 6 of 9" }),
                json!({ "by": "P & Q", "title": "[!] Rate", "text": "Rate: 6 of 9" }),
            ),
            (
                json!({ "by": "P & Q", "key": "a/Rate", "text": "Rate: 6 of 9" }),
                json!({ "by": "P & Q", "key": "a/Rate", "text": "[!] Rate: 6 of 9" }),
            ),
            (json!({ "key": "a:b" }), json!({ "key": "a:b" })),
        ] {
            assert_eq!(marked(body, "Rate"), expected);
        }
        // A metric that is called like a key must not change the key.
        let key = sample::notifications()[0].1.incident_id.clone();
        assert_eq!(marked(json!({ "key": key }), &key), json!({ "key": key }));
    }
}
