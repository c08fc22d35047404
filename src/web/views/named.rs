//! Titles for incidents that no mail has named: the bridge's own, and those that cannot be read.

use std::borrow::Cow;

use crate::{
    canary,
    label::{Labels, title_of},
    settings::nearest,
    store::{
        DEAD_LETTERS, HELD_RESOLVES, HELD_TRIGGERS, NO_MAIL, QUARANTINE_FULL, REFUSED_MAIL,
        SILENT_INGRESS, STORE_SPACE, TAKEN_MAIL, UNEXPECTED_APP,
    },
};

/// How many characters of a hash are shown, which is enough to tell two apart.
const SHORT: usize = 8;

/// Returns an incident's title, else its metric, else its id in words. The title of an alert that
/// could not be read, which is the mail's Subject, is marked as such.
pub fn title(labels: &Labels, id: &str) -> String {
    match title_of(labels) {
        Some(title) if labels.get("kind").is_some_and(|kind| kind == "unparsed") => {
            format!("Cannot be read: {title}")
        }
        Some(title) => title.to_owned(),
        None => named(id).into_owned(),
    }
}

/// Puts an id in words, if the bridge has made it.
pub fn named(id: &str) -> Cow<'_, str> {
    if let Some(hash) = id.strip_prefix("unparsed-").filter(|hash| is_hash(hash)) {
        let short = hash.get(..SHORT).unwrap_or(hash);
        return format!("Alert that cannot be read ({short})").into();
    }
    if let Some(app) = id.strip_prefix(UNEXPECTED_APP) {
        return format!("Mail of an unexpected app is held: {app}").into();
    }
    if let Some(ingress) = id.strip_prefix(SILENT_INGRESS) {
        return format!("No mail comes through {ingress}").into();
    }
    if let Some(ingress) = id.strip_prefix(TAKEN_MAIL) {
        return format!("Another program takes mail from {ingress} before it is read").into();
    }
    if let Some(ingress) = id.strip_prefix(REFUSED_MAIL) {
        return format!("{ingress} refused mail of a known client").into();
    }
    if let Some(ingress) = id.strip_prefix(NO_MAIL) {
        return format!("Requests of {ingress} hold no mail").into();
    }
    match id {
        DEAD_LETTERS => "Pages did not arrive".into(),
        HELD_RESOLVES => "Unproven resolves of open incidents are held".into(),
        HELD_TRIGGERS => "Unproven triggers are held".into(),
        QUARANTINE_FULL => "The quarantine is full".into(),
        STORE_SPACE => "The store has little space left".into(),
        canary::INCIDENT => "A canary did not come through".into(),
        _ => id.into(),
    }
}

/// Returns a warning that no alert has the label `name`, with the label that was probably meant, or
/// `None` if the label is `known`.
pub fn no_label(name: &str, known: &[String]) -> Option<String> {
    if known.iter().any(|one| one == name) {
        return None;
    }
    let meant = nearest(name, known.iter().map(String::as_str));
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
    Some(format!("no alert has a label {name}{meant}"))
}

fn is_hash(text: &str) -> bool {
    text.len() > SHORT && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_bridge_has_named_is_said_in_words_and_nothing_else_is_touched() {
        let hash = format!("unparsed-{}", "87c11e5e".repeat(4));
        assert_eq!(named(&hash), "Alert that cannot be read (87c11e5e)");
        assert_eq!(named("self:dead-letters"), "Pages did not arrive");
        assert_eq!(named("self:ingress:box"), "No mail comes through box");
        for own in [
            "unparsed-lunch",
            "FOotlQrY5ZQ",
            "self:other",
            "grafana:CPU load",
            "",
        ] {
            assert_eq!(named(own), own);
        }
        let labels = Labels::from([("metric".into(), "App Availability".to_owned())]);
        assert_eq!(title(&labels, "x"), "App Availability");
        let unread = [("kind", "unparsed"), ("title", "Disk full")]
            .map(|(name, value)| (name.into(), value.to_owned()));
        assert_eq!(
            title(&Labels::from(unread), &hash),
            "Cannot be read: Disk full"
        );
        assert_eq!(
            title(&Labels::new(), "self:store-space"),
            "The store has little space left"
        );
    }
}
