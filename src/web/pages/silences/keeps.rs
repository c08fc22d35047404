//! What a silence would keep from being told.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::form::Form;
use crate::{
    label::Labels,
    web::{
        pages::{
            address, incident_at,
            when::When,
            words::{Severity, label},
        },
        views::silences::{Preview, WINDOW},
    },
};

/// How many triggers of a preview are listed.
const LISTED: usize = 30;

/// The incidents and triggers that a silence would keep from being told.
#[derive(Serialize)]
pub struct Keeps {
    open: Vec<Kept>,
    triggers: Vec<Kept>,
    count: String,
    rest: Option<String>,
    /// The time from which triggers were searched, if that is not the whole window.
    since: Option<When>,
    all_href: String,
    remarks: Vec<String>,
}

#[derive(Serialize)]
struct Kept {
    severity: Severity,
    href: String,
    title: String,
    at: When,
}

impl Kept {
    fn new(labels: &Labels, href: String, named: &str, at: When) -> Self {
        let title = ["title", "metric"]
            .iter()
            .find_map(|name| label(labels, name));
        let app = ["app_name", "app_key", "profile"]
            .iter()
            .find_map(|name| label(labels, name));
        Self {
            severity: Severity::new(label(labels, "severity").unwrap_or_default()),
            title: [title.or(Some(named)), app]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" · "),
            href,
            at,
        }
    }
}

impl Keeps {
    pub fn new(preview: &Preview, form: &Form, now: Timestamp) -> Self {
        // The preview began a moment after the page, so a minute is allowed.
        let is_cut = now.duration_since(preview.since) < WINDOW - SignedDuration::from_mins(1);
        let all: Vec<_> = form.pairs().into_iter().chain([("all", "yes")]).collect();
        let when = |at| When::new(at, now);
        let open = preview.incidents.iter().map(|one| {
            Kept::new(
                &one.labels,
                incident_at(&one.incident_id),
                &one.incident_id,
                when(one.opened_at),
            )
        });
        let number = preview.triggers.len();
        let plus = if preview.truncated { "+" } else { "" };
        let triggers = preview.triggers.iter().take(LISTED).map(|one| {
            let href = format!("/mails/{}", one.mail);
            let named = one.incident_id.as_deref().unwrap_or_default();
            Kept::new(&one.labels, href, named, when(one.arrived_at))
        });
        Self {
            open: open.collect(),
            triggers: triggers.collect(),
            count: format!("{number}{plus}"),
            since: is_cut.then(|| when(preview.since)),
            all_href: address("/silences/new", &all),
            rest: (number > LISTED).then(|| format!("and {} more", number - LISTED)),
            remarks: preview.warnings.clone(),
        }
    }
}
