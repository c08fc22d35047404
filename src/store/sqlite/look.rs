//! The queries for people: lists, an incident's timeline, and the pending deliveries.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    ledger::deed_row,
    row::{attempt_row, delivery_row, incident_row, mail_row, stored_mail},
};
use crate::{
    delivery::DeliveryState,
    message::{MailId, Outcome},
    store::{
        DeedRow, DeliveryRow, Depth, Event, IncidentRow, MailRow, StoredMail,
        kept::{micros, time},
    },
};

pub(super) const MAIL: &str =
    "SELECT mails.id, ingress, arrived_at, size, cut_from, outcome, reason, sha256, authenticity,
                           mails.labels, envelope, cut_at, check_at, released,
                             incidents.incident_id,
                           mails.profile, NULL AS item
                    FROM mails LEFT JOIN incidents ON incidents.id = mails.incident";

/// Selects the alerts of mails with several alerts, each as a mail of its own.
const ITEM: &str =
    "SELECT mails.id, ingress, arrived_at, size, cut_from, mail_items.outcome, mail_items.reason,
       sha256, authenticity,
            mail_items.labels, envelope, cut_at, check_at, released, incidents.incident_id,
              mails.profile, item
     FROM mail_items JOIN mails ON mails.id = mail
     LEFT JOIN incidents ON incidents.id = mail_items.incident";

pub(super) const DELIVERY: &str =
    "SELECT deliveries.*, incident_id, incidents.labels AS incident_labels
     FROM deliveries JOIN incidents ON incidents.id = incident";

pub(super) fn incidents(
    connection: &Connection,
    open_only: bool,
    limit: u32,
) -> rusqlite::Result<Vec<IncidentRow>> {
    let open = if open_only {
        "AND phase = 'firing'"
    } else {
        ""
    };

    connection
        .prepare_cached(&format!(
            "SELECT * FROM incidents WHERE kind <> 'unparsed' {open}
             ORDER BY changed_at DESC LIMIT ?1"
        ))?
        .query_map([limit], incident_row)?
        .collect()
}

pub(super) fn timeline(
    connection: &Connection,
    incident_id: &str,
) -> rusqlite::Result<Option<(IncidentRow, Vec<Event>)>> {
    let found = connection
        .prepare_cached(
            "SELECT * FROM incidents WHERE incident_id = ?1
                         ORDER BY kind = 'incident', kind LIMIT 1",
        )?
        .query_row([incident_id], |row| {
            Ok((row.get::<_, i64>("id")?, incident_row(row)?))
        })
        .optional()?;

    let Some((number, incident)) = found else {
        return Ok(None);
    };
    let mut events = Vec::new();

    for mail in its_mails(connection, number)? {
        events.push((mail.arrived_at, 0, Event::Mail(mail)));
    }

    let mut deliveries = connection.prepare_cached(&format!("{DELIVERY} WHERE incident = ?1"))?;
    let mut attempts =
        connection.prepare_cached("SELECT * FROM attempts WHERE delivery = ?1 ORDER BY id")?;

    for delivery in deliveries.query_map([number], delivery_row)? {
        let delivery = delivery?;
        for attempt in attempts.query_map([delivery.id], attempt_row)? {
            let attempt = attempt?;
            let at = attempt.at;
            let event = Event::Attempt {
                delivery: delivery.id,
                receiver: delivery.receiver.clone(),
                integration: delivery.integration.clone(),
                action: delivery.action,
                attempt,
            };
            events.push((at, 2, event));
        }
        events.push((delivery.created_at, 1, Event::Delivery(delivery)));
    }

    let closed = (number, incident.opened_at, incident_id);
    for deed in closed_by_hand(connection, closed)? {
        events.push((deed.at, 0, Event::Deed(deed)));
    }

    events.sort_by_key(|(at, order, _)| (*at, *order));

    Ok(Some((
        incident,
        events.into_iter().map(|(_, _, event)| event).collect(),
    )))
}

/// Returns the mails about an incident, and the alerts about it in mails with several.
fn its_mails(connection: &Connection, incident: i64) -> rusqlite::Result<Vec<MailRow>> {
    let mut mails = connection.prepare_cached(&format!("{MAIL} WHERE mails.incident = ?1"))?;
    let mut items = connection.prepare_cached(&format!(
        "{ITEM} WHERE mail_items.incident = ?1 ORDER BY item"
    ))?;

    mails
        .query_map([incident], mail_row)?
        .chain(items.query_map([incident], mail_row)?)
        .collect()
}

/// Returns who closed an incident by hand, each time. An action before the incident's first mail
/// was not about this incident.
fn closed_by_hand(
    connection: &Connection,
    (number, opened_at, incident_id): (i64, Timestamp, &str),
) -> rusqlite::Result<Vec<DeedRow>> {
    connection
        .prepare_cached(
            "SELECT * FROM deeds
             WHERE at >= MIN(?2, COALESCE((SELECT MIN(arrived_at) FROM mails WHERE incident = ?1),
                                          ?2))
               AND action = 'incidents.resolve' AND subject = ?3 AND outcome = 'done'",
        )?
        .query_map(params![number, micros(opened_at), incident_id], deed_row)?
        .collect()
}

pub(super) fn deliveries(
    connection: &Connection,
    state: Option<DeliveryState>,
    limit: u32,
) -> rusqlite::Result<Vec<DeliveryRow>> {
    connection
        .prepare_cached(&format!(
            "{DELIVERY} WHERE ?1 IS NULL OR state = ?1 ORDER BY deliveries.id DESC LIMIT ?2"
        ))?
        .query_map(
            params![state.map(DeliveryState::as_str), limit],
            delivery_row,
        )?
        .collect()
}

pub(super) fn mails(
    connection: &Connection,
    outcome: Option<Outcome>,
    limit: u32,
) -> rusqlite::Result<Vec<MailRow>> {
    connection
        .prepare_cached(&format!(
            "{MAIL} WHERE ?1 IS NULL OR outcome = ?1 ORDER BY mails.id DESC LIMIT ?2"
        ))?
        .query_map(params![outcome.map(Outcome::as_str), limit], mail_row)?
        .collect()
}

/// Returns the alerts of a mail with several.
pub(super) fn items(connection: &Connection, mail: MailId) -> rusqlite::Result<Vec<MailRow>> {
    connection
        .prepare_cached(&format!("{ITEM} WHERE mail_items.mail = ?1 ORDER BY item"))?
        .query_map([mail], mail_row)?
        .collect()
}

pub(super) fn mail(
    connection: &Connection,
    id: MailId,
) -> rusqlite::Result<Option<(MailRow, StoredMail)>> {
    let Some(row) = connection
        .prepare_cached(&format!("{MAIL} WHERE mails.id = ?1"))?
        .query_row([id], mail_row)
        .optional()?
    else {
        return Ok(None);
    };

    connection
        .prepare_cached("SELECT mails.*, raw FROM mails JOIN bodies ON mail = id WHERE id = ?1")?
        .query_row([id], stored_mail)
        .optional()
        .map(|stored| stored.map(|stored| (row, stored)))
}

pub(super) fn depth(connection: &Connection) -> rusqlite::Result<Depth> {
    let mut depth = Depth::default();
    // Pending deliveries are counted in the narrow partial index. Delivered ones are not counted at
    // all.
    let (owed, held): (i64, i64) = connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(state = 'held'), 0) FROM deliveries
                         WHERE settled_at IS NULL",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let dead: i64 = connection
        .prepare_cached("SELECT count(*) FROM deliveries WHERE state = 'dead'")?
        .query_row([], |row| row.get(0))?;
    depth
        .deliveries
        .insert("pending", (owed - held).unsigned_abs());
    depth.deliveries.insert("held", held.unsigned_abs());
    depth.deliveries.insert("dead", dead.unsigned_abs());
    depth.oldest_pending = connection
        .prepare_cached(
            "SELECT min(created_at) FROM deliveries WHERE settled_at IS NULL AND state = 'pending'",
        )?
        .query_row([], |row| row.get::<_, Option<i64>>(0))?
        .map(time);

    Ok(depth)
}
