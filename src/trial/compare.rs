//! Compares the results of two configurations for the same mail, page by page. Pure.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    delivery::{Action, Target},
    message::Outcome,
    trial::{Page, Told},
};

/// The differences for a mail, which are the object of `replay --diff --json`.
#[derive(Debug, PartialEq, Serialize)]
pub struct Difference {
    pub mail: String,
    /// The incident's id, or the key made for an alert that has none; null if the mail is not an
    /// alert.
    pub incident_id: Option<String>,
    pub outcome: Sides<Outcome>,
    pub reason: Sides<Option<String>>,
    /// Empty if only the outcome differs.
    pub changes: Vec<Change>,
    /// The time at which the mail was tried. Like the Subject, it is for people.
    #[serde(skip)]
    pub at: Timestamp,
    #[serde(skip)]
    pub subject_line: Option<String>,
}

/// The values under the present configuration, and under the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sides<T> {
    pub before: T,
    pub after: T,
}

/// One page that differs.
#[derive(Debug, PartialEq, Serialize)]
pub struct Change {
    #[serde(rename = "change")]
    pub kind: Kind,
    /// The action of the page: that of the trigger or of the resolve.
    pub action: Action,
    /// How a changed page differs; empty for other changes.
    pub differs: Vec<Aspect>,
    /// The page under the present configuration; null if the page is added.
    pub before: Option<Page>,
    /// The page under the other configuration; null if the page is dropped.
    pub after: Option<Page>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It replaces no page.
    Added,
    /// No page replaces it.
    Dropped,
    /// It goes to another receiver.
    Moved,
    /// It goes to the same receiver with other content.
    Changed,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Dropped => "dropped",
            Self::Moved => "moved",
            Self::Changed => "changed",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    Integration,
    Method,
    Url,
    Headers,
    Body,
    /// The key, or the address that contains it. They are never shown.
    Secrets,
    /// The time until which a mute holds the page.
    HeldUntil,
}

/// Returns the differences between two results for a mail; `None` if the same pages are sent for
/// the same outcome.
///
/// `same_secrets` says whether an integration before and one after have the same credentials.
pub fn compare(
    before: Told,
    after: Told,
    same_secrets: impl Fn(&Target, &Target) -> bool,
) -> Option<Difference> {
    let outcome = Sides {
        before: before.outcome,
        after: after.outcome,
    };

    let changes = changes(before.pages, after.pages, same_secrets);
    (outcome.before != outcome.after || !changes.is_empty()).then(|| Difference {
        mail: before.mail,
        incident_id: after.incident_id.or(before.incident_id),
        outcome,
        reason: Sides {
            before: before.reason,
            after: after.reason,
        },
        changes,
        at: before.at,
        subject_line: before.subject_line,
    })
}

/// Pairs the pages, the most similar first. The rest are dropped or added.
fn changes(
    before: Vec<Page>,
    after: Vec<Page>,
    same_secrets: impl Fn(&Target, &Target) -> bool,
) -> Vec<Change> {
    let differs =
        |one: &Page, other: &Page| differs(one, other, same_secrets(&one.target, &other.target));
    let same_receiver = |one: &Page, other: &Page| one.target.receiver == other.target.receiver;
    let same_kind = |one: &Page, other: &Page| one.target.kind() == other.target.kind();
    let (mut before, mut after) = (before, after);
    let mut changes = Vec::new();
    let mut pair = |kind: Option<Kind>, alike: &dyn Fn(&Page, &Page) -> bool| {
        for page in std::mem::take(&mut before) {
            let pairs = |other: &Page| other.action == page.action && alike(&page, other);
            let Some(place) = after.iter().position(pairs) else {
                before.push(page);
                continue;
            };
            let other = after.remove(place);
            let Some(kind) = kind else { continue };
            let differs = if kind == Kind::Changed {
                differs(&page, &other)
            } else {
                Vec::new()
            };
            changes.push(Change {
                kind,
                action: page.action,
                differs,
                before: Some(page),
                after: Some(other),
            });
        }
    };

    pair(None, &|one, other| {
        same_receiver(one, other) && differs(one, other).is_empty()
    });
    pair(Some(Kind::Changed), &|one, other| {
        one.target == other.target
    });
    pair(Some(Kind::Changed), &|one, other| {
        same_receiver(one, other) && same_kind(one, other)
    });
    pair(Some(Kind::Changed), &same_receiver);
    pair(Some(Kind::Moved), &same_kind);
    pair(Some(Kind::Moved), &|_, _| true);

    changes.extend(alone(before, after));
    changes.sort_by_key(|change| change.kind);

    changes
}

/// Returns the changes for pages without a counterpart.
fn alone(before: Vec<Page>, after: Vec<Page>) -> impl Iterator<Item = Change> {
    let dropped = |page: Page| (Kind::Dropped, page.action, Some(page), None);
    let added = |page: Page| (Kind::Added, page.action, None, Some(page));

    before
        .into_iter()
        .map(dropped)
        .chain(after.into_iter().map(added))
        .map(|(kind, action, before, after)| Change {
            kind,
            action,
            differs: Vec::new(),
            before,
            after,
        })
}

fn differs(one: &Page, other: &Page, same_secrets: bool) -> Vec<Aspect> {
    let (a, b) = (&one.request, &other.request);
    let aspects = [
        (Aspect::Integration, a.integration == b.integration),
        (Aspect::Method, a.method == b.method),
        (Aspect::Url, a.url == b.url),
        (Aspect::Headers, a.headers == b.headers),
        (Aspect::Body, a.body == b.body),
        (Aspect::Secrets, same_secrets),
        (Aspect::HeldUntil, one.held_until == other.held_until),
    ];

    aspects
        .into_iter()
        .filter(|(_, same)| !same)
        .map(|(aspect, _)| aspect)
        .collect()
}

#[cfg(test)]
mod tests;
