//! The decision of a mail with several alerts. They are decided one after the other, all in one
//! transaction, so that after a crash the mail is either decided as a whole or not at all.

use jiff::Timestamp;
use rusqlite::{Connection, named_params, params};

use super::{
    super::row::{json, word_at},
    follow,
};
use crate::{
    message::{MailId, Outcome},
    store::{
        Decision, Item,
        kept::{hold, micros, signed},
        part::{Part, ToldPart},
        summary::Summary,
    },
};

/// Keeps what `decide` writes, unless an alert of the mail waits for a page that a silence held:
/// then nothing is written, and its decision is the last.
pub(super) fn as_a_whole(
    connection: &Connection,
    decide: impl FnOnce() -> rusqlite::Result<Option<Vec<Decision>>>,
) -> rusqlite::Result<Option<Vec<Decision>>> {
    connection.execute_batch("SAVEPOINT items")?;
    let decisions = decide()?;
    let last = decisions.iter().flatten().last();

    let end = if last.is_some_and(Decision::waits_for_silenced) {
        "ROLLBACK TO items; RELEASE items"
    } else {
        "RELEASE items"
    };
    connection.execute_batch(end)?;

    Ok(decisions)
}

/// Decides a mail's items in order, up to one that waits for a page that a silence held, and
/// summarises them in the mail's row.
pub(super) fn decide(
    connection: &Connection,
    mail: MailId,
    items: Vec<Item>,
    now: Timestamp,
) -> rusqlite::Result<Vec<Decision>> {
    let told = told(connection, mail)?;
    let mut decisions = Vec::with_capacity(items.len());

    for (number, item) in (1..).zip(items) {
        let part = Part::new(mail, number, item.subject.as_ref(), &told);
        let (decision, incident) = follow(connection, item, part.told_before, now)?;

        if decision.waits_for_silenced() {
            decisions.push(decision);
            return Ok(decisions);
        }

        match part.told_before {
            Some(_) => keep(connection, part, &decision, incident)?,
            None => write(connection, part, &decision, incident, now)?,
        }
        decisions.push(decision);
    }

    sum_up(connection, mail, &Summary::of(mail, &decisions), now)?;

    Ok(decisions)
}

/// Returns the alerts of the mail that had notified somebody when the mail was decided before it
/// could be checked.
fn told(connection: &Connection, mail: MailId) -> rusqlite::Result<Vec<ToldPart>> {
    connection
        .prepare_cached(
            "SELECT item, incident_id, kind, outcome FROM mail_items
             JOIN incidents ON incidents.id = incident
             WHERE mail = ?1 AND outcome NOT IN ('pending', 'quarantined')
               AND EXISTS (SELECT 1 FROM deliveries
                           WHERE deliveries.mail = mail_items.mail
                             AND deliveries.incident = mail_items.incident)",
        )?
        .query_map([mail], |row| {
            Ok(ToldPart {
                item: row.get("item")?,
                incident_id: row.get("incident_id")?,
                kind: row.get("kind")?,
                outcome: word_at(row, "outcome")?,
            })
        })?
        .collect()
}

fn write(
    connection: &Connection,
    Part { mail, item, .. }: Part,
    decision: &Decision,
    incident: Option<i64>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO mail_items (mail, item, outcome, reason, incident, labels,
                                                decided_at, hold, marked,
                                                profile)
             VALUES (:mail, :item, :outcome, :reason, :incident, :labels, :decided_at, :hold,
                     :marked, :profile)",
        )?
        .execute(named_params! {
            ":mail": mail, ":item": item, ":outcome": decision.outcome.as_str(),
            ":reason": decision.reason,
            ":incident": incident, ":labels": json(&decision.labels)?, ":decided_at": micros(now),
            ":hold": decision.hold.as_ref().map(hold), ":marked": decision.marked,
            ":profile": decision.profile.as_deref(),
        })
        .map(|_| ())
}

/// Writes the finding about an alert that has already notified somebody: its outcome stays, and its
/// pages move to the incident's current episode.
fn keep(
    connection: &Connection,
    Part { mail, item, .. }: Part,
    decision: &Decision,
    incident: Option<i64>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE mail_items SET reason = coalesce(?3, reason), labels = ?4
             WHERE mail = ?1 AND item = ?2",
        )?
        .execute(params![
            mail,
            item,
            decision.reason,
            json(&decision.labels)?
        ])?;

    if let Some(state) = &decision.state {
        connection
            .prepare_cached("UPDATE deliveries SET episode = ?3 WHERE mail = ?1 AND incident = ?2")?
            .execute(params![mail, incident, state.episode])?;
    }

    Ok(())
}

/// Writes the outcome of the mail as a whole, like that of a mail with one alert.
fn sum_up(
    connection: &Connection,
    mail: MailId,
    summary: &Summary,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let decided_at = (summary.outcome != Outcome::Pending).then(|| micros(now));
    connection
        .prepare_cached(
            "UPDATE mails SET outcome = :outcome, reason = :reason, labels = :labels,
               profile = :profile,
             decided_at = :decided_at, owed = owed + :owed, incident = NULL, hold = NULL,
               marked = 0,
             check_at = CASE WHEN released IS NOT NULL AND :outcome IN ('pending', 'quarantined')
               THEN 0
                             ELSE :check_at END
             WHERE id = :mail",
        )?
        .execute(named_params! {
            ":outcome": summary.outcome.as_str(), ":reason": summary.reason,
            ":labels": json(&summary.labels)?,
            ":profile": summary.profile.as_deref(), ":decided_at": decided_at,
            ":owed": signed(summary.owed),
            ":check_at": summary.check_at.map(micros), ":mail": mail,
        })
        .map(|_| ())
}
