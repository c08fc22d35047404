//! The queries for people: lists, an incident's timeline, and the pending deliveries.

use super::{
    connection::{Database, Flight},
    ledger::deed_row,
    row::{
        at, attempt_event, delivery_row, incident_row, mail_row, stored_mail, text, time_at,
        unsigned_at,
    },
};
use crate::{
    delivery::DeliveryState,
    message::{MailId, Outcome},
    store::{
        DeliveryRow, Depth, Event, IncidentRow, MailRow, StoreError, StoredMail,
        kept::{micros, time},
    },
};

const INCIDENTS: &str =
    "SELECT * FROM incidents WHERE kind <> 'unparsed' ORDER BY changed_at DESC LIMIT $1";

const OPEN_INCIDENTS: &str = "
SELECT * FROM incidents WHERE kind <> 'unparsed' AND phase = 'firing'
ORDER BY changed_at DESC LIMIT $1";

pub(super) async fn incidents(
    database: &Database,
    open_only: bool,
    limit: u32,
) -> Result<Vec<IncidentRow>, StoreError> {
    let statement = if open_only { OPEN_INCIDENTS } else { INCIDENTS };
    database
        .query(statement, &[&i64::from(limit)])
        .await?
        .iter()
        .map(incident_row)
        .collect()
}

/// Selects the columns of a mail in a list.
macro_rules! mail {
    ($($which:tt)*) => {
        concat!(
            "SELECT mails.id, ingress, arrived_at, size, cut_from, outcome, reason, sha256,
               authenticity, mails.labels,
                    envelope, cut_at, check_at, released, incidents.incident_id, mails.profile,
                      NULL::bigint AS item
             FROM mails LEFT JOIN incidents ON incidents.id = mails.incident ",
            $($which)*
        )
    };
}
pub(super) use mail as mail_list;

/// Selects the alerts of mails with several alerts, each as a mail of its own.
macro_rules! item {
    ($which:literal) => {
        concat!(
            "SELECT mails.id, ingress, arrived_at, size, cut_from, mail_items.outcome,
               mail_items.reason, sha256,
                    authenticity, mail_items.labels, envelope, cut_at, check_at, released,
                      incidents.incident_id,
                    mails.profile, item
             FROM mail_items JOIN mails ON mails.id = mail
             LEFT JOIN incidents ON incidents.id = mail_items.incident ",
            $which
        )
    };
}

/// Selects the columns of a delivery in a list.
macro_rules! delivery {
    ($($which:tt)*) => {
        concat!(
            "SELECT deliveries.*, incident_id, incidents.labels AS incident_labels
     FROM deliveries JOIN incidents ON incidents.id = incident ",
            $($which)*
        )
    };
}
pub(super) use delivery as delivery_list;

const INCIDENT: &str =
    "SELECT * FROM incidents WHERE incident_id = $1 ORDER BY kind = 'incident', kind LIMIT 1";

const ITS_MAILS: &str = mail!("WHERE mails.incident = $1");

const ITS_ITEMS: &str = item!("WHERE mail_items.incident = $1 ORDER BY item");

/// Selects who closed an incident by hand, each time. An action before the incident's first mail
/// was not about this incident.
const ITS_CLOSINGS: &str = "
SELECT * FROM deeds
WHERE at >= LEAST($2, (SELECT MIN(arrived_at) FROM mails WHERE incident = $1))
  AND action = 'incidents.resolve' AND subject = $3 AND outcome = 'done'";

const ITS_DELIVERIES: &str = delivery!("WHERE incident = $1");

const ITS_ATTEMPTS: &str = "
SELECT attempts.*, receiver, integration, action FROM attempts
JOIN deliveries ON deliveries.id = delivery
WHERE incident = $1 ORDER BY attempts.id";

pub(super) async fn timeline(
    database: &Database,
    incident_id: &str,
) -> Result<Option<(IncidentRow, Vec<Event>)>, StoreError> {
    let incident_id = text(incident_id);
    let transaction = database.begin().await?;
    let mut flight = Flight::default();

    // The queries read one snapshot.
    flight
        .add("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", vec![])
        .add(INCIDENT, vec![&incident_id]);

    let answers = transaction.send(flight).await?;
    let Some(incident) = answers[1].first() else {
        transaction.undo().await?;
        return Ok(None);
    };

    let (number, incident): (i64, _) = (at(incident, "id")?, incident_row(incident)?);
    let opened_at = micros(incident.opened_at);
    let mut flight = Flight::default();
    flight
        .add(ITS_MAILS, vec![&number])
        .add(ITS_DELIVERIES, vec![&number])
        .add(ITS_ATTEMPTS, vec![&number])
        .add(ITS_ITEMS, vec![&number])
        .add(ITS_CLOSINGS, vec![&number, &opened_at, &incident_id]);

    let answers = transaction.commit(flight).await?;
    let mut events = Vec::new();

    for row in answers[0].iter().chain(&answers[3]) {
        let mail = mail_row(row)?;
        events.push((mail.arrived_at, 0, Event::Mail(mail)));
    }

    for row in &answers[1] {
        let delivery = delivery_row(row)?;
        events.push((delivery.created_at, 1, Event::Delivery(delivery)));
    }

    for row in &answers[2] {
        let event = attempt_event(row)?;
        events.push((time_at(row, "at")?, 2, event));
    }

    for row in &answers[4] {
        let deed = deed_row(row)?;
        events.push((deed.at, 0, Event::Deed(deed)));
    }

    events.sort_by_key(|(at, order, _)| (*at, *order));

    Ok(Some((
        incident,
        events.into_iter().map(|(_, _, event)| event).collect(),
    )))
}

const DELIVERIES: &str = delivery!("ORDER BY deliveries.id DESC LIMIT $1");

const DELIVERIES_OF_STATE: &str =
    delivery!("WHERE state = $2 ORDER BY deliveries.id DESC LIMIT $1");

/// Selects pending or held deliveries. Like the next two statements, this answers what an on-call
/// engineer asks for from an index of its own, however many deliveries have ended.
const OWED: &str =
    delivery!("WHERE state = $2 AND settled_at IS NULL ORDER BY deliveries.id DESC LIMIT $1");

/// Selects dead letters, from an index of their own.
const DEAD: &str = delivery!("WHERE state = 'dead' ORDER BY deliveries.id DESC LIMIT $1");

/// Selects quarantined mail, from an index of its own.
const QUARANTINED: &str = mail!("WHERE outcome = 'quarantined' ORDER BY mails.id DESC LIMIT $1");

pub(super) async fn deliveries(
    database: &Database,
    state: Option<DeliveryState>,
    limit: u32,
) -> Result<Vec<DeliveryRow>, StoreError> {
    let limit = i64::from(limit);
    let rows = match state {
        Some(state @ (DeliveryState::Pending | DeliveryState::Held)) => {
            database.query(OWED, &[&limit, &state.as_str()]).await?
        }
        Some(DeliveryState::Dead) => database.query(DEAD, &[&limit]).await?,
        Some(state) => {
            database
                .query(DELIVERIES_OF_STATE, &[&limit, &state.as_str()])
                .await?
        }
        None => database.query(DELIVERIES, &[&limit]).await?,
    };

    rows.iter().map(delivery_row).collect()
}

const MAILS: &str = mail!("ORDER BY mails.id DESC LIMIT $1");

const MAILS_OF_OUTCOME: &str = mail!("WHERE outcome = $2 ORDER BY mails.id DESC LIMIT $1");

pub(super) async fn mails(
    database: &Database,
    outcome: Option<Outcome>,
    limit: u32,
) -> Result<Vec<MailRow>, StoreError> {
    let limit = i64::from(limit);
    let rows = match outcome {
        Some(Outcome::Quarantined) => database.query(QUARANTINED, &[&limit]).await?,
        Some(outcome) => {
            database
                .query(MAILS_OF_OUTCOME, &[&limit, &outcome.as_str()])
                .await?
        }
        None => database.query(MAILS, &[&limit]).await?,
    };

    rows.iter().map(mail_row).collect()
}

const ITEMS: &str = item!("WHERE mail_items.mail = $1 ORDER BY item");

/// Returns the alerts of a mail with several.
pub(super) async fn items(database: &Database, mail: MailId) -> Result<Vec<MailRow>, StoreError> {
    let rows = database.query(ITEMS, &[&mail]).await?;
    rows.iter().map(mail_row).collect()
}

const MAIL: &str = mail!("WHERE mails.id = $1");

const WITH_BODY: &str = "SELECT mails.*, raw FROM mails JOIN bodies ON mail = id WHERE id = $1";

pub(super) async fn mail(
    database: &Database,
    id: MailId,
) -> Result<Option<(MailRow, StoredMail)>, StoreError> {
    let row = database.query(MAIL, &[&id]).await?;
    let stored = database.query(WITH_BODY, &[&id]).await?;
    let (Some(row), Some(stored)) = (row.first(), stored.first()) else {
        return Ok(None);
    };
    Ok(Some((mail_row(row)?, stored_mail(stored)?)))
}

/// Counts the deliveries by state. Pending deliveries are counted in the narrow partial index.
/// Delivered ones are not counted at all.
const DEPTH: &str = "
SELECT count(*) FILTER (WHERE state = 'pending') AS pending,
  count(*) FILTER (WHERE state = 'held') AS held,
       min(created_at) FILTER (WHERE state = 'pending') AS oldest,
       (SELECT count(*) FROM deliveries WHERE state = 'dead') AS dead
FROM deliveries WHERE settled_at IS NULL";

pub(super) async fn depth(database: &Database) -> Result<Depth, StoreError> {
    let mut depth = Depth::default();
    let rows = database.query(DEPTH, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(depth);
    };

    for state in ["pending", "held", "dead"] {
        depth.deliveries.insert(state, unsigned_at(row, state)?);
    }

    depth.oldest_pending = at::<Option<i64>>(row, "oldest")?.map(time);

    Ok(depth)
}
