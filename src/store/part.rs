//! The alerts of a mail with several alerts, as they were announced before the mail could be
//! checked.

use super::Subject;
use crate::message::{MailId, Outcome};

/// One alert of a mail that has notified somebody.
#[derive(Debug)]
pub(super) struct ToldPart {
    /// Its number, from 1.
    pub(super) item: i64,
    pub(super) incident_id: String,
    pub(super) kind: String,
    pub(super) outcome: Outcome,
}

/// One alert of a mail that is being decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) mail: MailId,
    /// Its number, from 1.
    pub(super) item: i64,
    /// Its outcome, if it notified somebody before.
    pub(super) told_before: Option<Outcome>,
}

impl Part {
    pub(super) fn new(
        mail: MailId,
        item: i64,
        subject: Option<&Subject>,
        told: &[ToldPart],
    ) -> Self {
        let is_it = |part: &&ToldPart| {
            part.item == item
                && subject.is_some_and(|subject| {
                    part.incident_id == subject.incident_id && part.kind == subject.kind.as_str()
                })
        };

        Self {
            mail,
            item,
            told_before: told.iter().find(is_it).map(|part| part.outcome),
        }
    }
}
