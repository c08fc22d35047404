//! The second commit: reads what is known of an incident, and writes everything that follows from a
//! mail about it.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    expected,
    row::{json, word_at},
};
use crate::{
    message::{Authenticity, MailId, Outcome},
    store::{Decision, Item, Memory},
};

mod ask;
mod several;
mod write;

use ask::recall;
use write::{conclude, keep, remember};

/// Decides about what was found in a mail, given what is known, and writes the decision. Returns
/// `None` if the mail is already decided, or waits to be checked again.
pub(super) fn decide(
    connection: &Connection,
    mail: MailId,
    items: Vec<Item>,
    now: Timestamp,
) -> rusqlite::Result<Option<Vec<Decision>>> {
    let pending = connection
        .prepare_cached("SELECT outcome = 'pending' AND check_at IS NULL FROM mails WHERE id = ?1")?
        .query_row([mail], |row| row.get(0))
        .optional()?;

    if pending != Some(true) {
        return Ok(None);
    }

    let item = match only(items) {
        Ok(item) => item,
        Err(items) => {
            return several::as_a_whole(connection, || {
                several::decide(connection, mail, items, now).map(Some)
            });
        }
    };

    let (decision, incident) = follow(connection, item, None, now)?;
    conclude(connection, mail, &decision, incident, now)?;

    Ok(Some(vec![decision]))
}

/// Decides a mail that was due to be checked again. Returns `None` if it is no longer due.
pub(super) fn reconsider(
    connection: &Connection,
    mail: MailId,
    authenticity: &Authenticity,
    items: Vec<Item>,
    now: Timestamp,
) -> rusqlite::Result<Option<Vec<Decision>>> {
    let item = match only(items) {
        Ok(item) => item,
        Err(items) => {
            return several::as_a_whole(connection, || {
                let due = take_due(connection, mail, authenticity)?;
                due.map(|_| several::decide(connection, mail, items, now))
                    .transpose()
            });
        }
    };

    let Some((outcome, told)) = take_due(connection, mail, authenticity)? else {
        return Ok(None);
    };
    let told_before = told.then_some(outcome);
    let (decision, incident) = follow(connection, item, told_before, now)?;

    if told {
        keep(connection, mail, &decision)?;
    } else {
        conclude(connection, mail, &decision, incident, now)?;
    }

    Ok(Some(vec![decision]))
}

/// Writes the new verdict of a mail that is due to be checked again. Returns its outcome so far,
/// and whether it has notified somebody; `None` if it is no longer due.
fn take_due(
    connection: &Connection,
    mail: MailId,
    authenticity: &Authenticity,
) -> rusqlite::Result<Option<(Outcome, bool)>> {
    connection
        .prepare_cached(
            "UPDATE mails SET authenticity = ?2, check_at = NULL, checks = checks + 1
             WHERE id = ?1 AND check_at IS NOT NULL
             RETURNING outcome, outcome <> 'pending' AND EXISTS (SELECT 1 FROM deliveries
                                                                 WHERE mail = mails.id) AS told",
        )?
        .query_row(params![mail, json(authenticity)?], |row| {
            Ok((word_at(row, "outcome")?, row.get("told")?))
        })
        .optional()
}

/// Returns the single item found in a mail, or all of them if there is not exactly one.
fn only(mut items: Vec<Item>) -> Result<Item, Vec<Item>> {
    match items.pop() {
        Some(item) if items.is_empty() => Ok(item),
        last => {
            items.extend(last);
            Err(items)
        }
    }
}

/// Decides about an incident without a mail, such as one of the bridge's own alarms.
pub(super) fn announce(
    connection: &Connection,
    item: Item,
    now: Timestamp,
) -> rusqlite::Result<Decision> {
    follow(connection, item, None, now).map(|(decision, _)| decision)
}

/// Lets `decide` draw the conclusion, and writes its effects on the incident. Returns the
/// incident's number.
fn follow(
    connection: &Connection,
    item: Item,
    told_before: Option<Outcome>,
    now: Timestamp,
) -> rusqlite::Result<(Decision, Option<i64>)> {
    let Item {
        subject,
        decide,
        mutes,
    } = item;
    let (number, memory) = match &subject {
        Some(subject) => recall(connection, subject, &mutes, now)?,
        None => (None, Memory::default()),
    };

    let memory = Memory {
        told_before,
        ..memory
    };

    let mut decision = decide(&memory);
    let incident = match &subject {
        Some(subject) => remember(connection, number, subject, &memory, &mut decision, now)?,
        None => None,
    };

    if let Some(arrival) = &decision.arrival {
        expected::arrived(connection, arrival)?;
    }

    Ok((decision, incident))
}
