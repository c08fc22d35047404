//! The alerts of a mail that holds several, as they were told before the mail could be checked.

use super::Subject;
use crate::message::{MailId, Outcome};

/// One alert of a mail that somebody was told of.
#[derive(Debug)]
pub(super) struct ToldPart {
    /// Its number, from 1.
    pub(super) item: i64,
    pub(super) incident_id: String,
    pub(super) kind: String,
    pub(super) outcome: Outcome,
}

/// One alert of a mail that is decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) mail: MailId,
    /// Its number, from 1.
    pub(super) item: i64,
    /// What became of it, where somebody was told of it before.
    pub(super) told_before: Option<Outcome>,
}

impl Part {
    /// What a mail says may have moved to another place, where the configuration has changed: what
    /// was told of an incident counts wherever it stands.
    pub(super) fn new(
        mail: MailId,
        item: i64,
        subject: Option<&Subject>,
        told: &[ToldPart],
    ) -> Self {
        let about_it = |part: &&ToldPart| {
            subject.is_some_and(|subject| {
                part.incident_id == subject.incident_id && part.kind == subject.kind.as_str()
            })
        };
        let told_before = told
            .iter()
            .filter(about_it)
            .min_by_key(|part| (part.item != item, part.item))
            .map(|part| part.outcome);

        Self {
            mail,
            item,
            told_before,
        }
    }
}
