//! The decision of a mail with several alerts. They are decided one after the other, all in one
//! transaction, so that after a crash the mail is either decided as a whole or not at all.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    super::{
        connection::{Database, Flight, Transaction},
        row::text,
    },
    Matter, Named, ask, concluded,
    write::{self, End, Written},
};
use crate::{
    message::{MailId, Outcome},
    store::{
        Decision, Item, StoreError,
        kept::{json, micros, signed},
        part::Part,
        summary::Summary,
    },
};

/// Writes the outcome of the mail as a whole, like that of a mail with one alert.
const SUM_UP: &str = "
UPDATE mails SET outcome = $2::text, reason = $3, labels = $4, profile = $5, decided_at = $6,
  owed = owed + $7,
       incident = NULL, hold = NULL, marked = false,
       check_at = CASE WHEN released IS NOT NULL AND $2::text IN ('pending', 'quarantined') THEN 0
         ELSE $8::bigint END
WHERE id = $1";

/// Decides a mail's items in order, and summarises them in the mail's row. If one waits for a page
/// that a silence held, nothing is written, and its decision is the last. Returns `None` in the
/// same cases as for a mail with one alert.
pub(super) async fn follow(
    database: &Arc<Database>,
    (mail, matter): (MailId, Matter<'_>),
    items: Vec<Item>,
    now: Timestamp,
) -> Result<Option<Vec<Decision>>, StoreError> {
    let transaction = database.begin().await?;
    let (subjects, conclusions): (Vec<_>, Vec<_>) = items
        .into_iter()
        .map(|item| (item.subject, (item.decide, item.mutes)))
        .unzip();
    let named: Vec<Option<Named<'_>>> = subjects
        .iter()
        .map(|subject| subject.as_ref().map(Named::new))
        .collect();

    let all: Vec<_> = named.iter().flatten().collect();
    let Some(told) = ask::begin(&transaction, matter, &all, now).await? else {
        transaction.undo().await?;
        return Ok(None);
    };

    let mut decisions = Vec::with_capacity(subjects.len());
    for (place, (decide, mutes)) in conclusions.into_iter().enumerate() {
        let number = i64::try_from(place + 1).unwrap_or(i64::MAX);
        let part = Matter::Part(Part::new(mail, number, subjects[place].as_ref(), &told));
        let subject = named[place].as_ref();
        let Some(found) = ask::ask(&transaction, part, subject, &mutes, now).await? else {
            continue;
        };

        let mut decision = concluded(decide, &found)?;
        if decision.waits_for_silenced() {
            decisions.push(decision);
            transaction.undo().await?;
            return Ok(Some(decisions));
        }

        let written = Written {
            matter: part,
            subject,
            found: &found,
            decision: &decision,
            now,
        };
        let claims = write::write(database, End::GoOn(&transaction), written).await?;
        decision.claims = claims;
        decisions.push(decision);
    }

    sum_up(transaction, mail, &Summary::of(mail, &decisions), now).await?;

    Ok(Some(decisions))
}

/// Writes the summary, and commits.
async fn sum_up(
    transaction: Transaction,
    mail: MailId,
    summary: &Summary,
    now: Timestamp,
) -> Result<(), StoreError> {
    let reason = text(&summary.reason);
    let profile = summary.profile.as_deref().map(text);
    let (labels, owed) = (json(&summary.labels)?, signed(summary.owed));
    let decided_at = (summary.outcome != Outcome::Pending).then(|| micros(now));
    let (outcome, check_at) = (summary.outcome.as_str(), summary.check_at.map(micros));

    let mut flight = Flight::default();
    flight.add(
        SUM_UP,
        vec![
            &mail,
            &outcome,
            &reason,
            &labels,
            &profile,
            &decided_at,
            &owed,
            &check_at,
        ],
    );
    transaction.commit(flight).await.map(drop)
}
