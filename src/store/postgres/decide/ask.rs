//! What is known of an incident when a mail about it is decided.

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    super::{
        connection::{Flight, Transaction},
        held, lane,
        mail::absurd,
        row::{at, optional_json_at, optional_time_at, time_at, unsigned_at, word_at},
        silence::{Active, Held},
    },
    Matter, Named,
};
use crate::{
    delivery::Target,
    incident::{Known, State},
    store::{
        HOUR, Heard, Memory, RECURRENCE, StoreError, Told, hour,
        kept::{json, micros},
    },
};

/// The mail's row stays locked until what follows is written.
const PENDING: &str = "SELECT outcome = 'pending' AND check_at IS NULL AS pending FROM mails WHERE id = $1 FOR NO KEY UPDATE";

/// The same of a mail that was due. Of several who looked at it, the first to come here finds it
/// due: it is not any more then, or not yet again.
const DUE: &str = "
UPDATE mails SET authenticity = $2, check_at = NULL, checks = checks + 1
WHERE id = $1 AND (check_at <= $3 OR check_at > $4)
RETURNING outcome, outcome <> 'pending' AND (SELECT 1 FROM deliveries WHERE mail = mails.id LIMIT 1) IS NOT NULL AS told";

/// Until the end of the transaction nobody else decides whether an unverified trigger is one too
/// many: of two at once each would be told as the last of the hour. Taken before an incident's
/// turn, and by unverified mail alone.
const TAKE_TURN_OF_MARKED: &str = "SELECT pg_advisory_xact_lock(0, 0)";

/// One row, with NULLs where the incident is new. `told`: who was told of this opening, or will be
/// whatever comes, since waiting to be sent counts; and whose page is held. `ripe`: whether
/// something was held until now; NULL where nothing is owed. `silences`: those that are active, by
/// the index on their end.
const RECALL: &str = "
SELECT (SELECT coalesce(sum(count), 0)::bigint FROM openings WHERE app_key = $2 AND metric = $3 AND hour > $4)
           AS recurrence,
       (SELECT count(*) FROM mails WHERE marked AND decided_at > $9 AND decided_at <= $7 AND ingress = $10) AS marked,
       phase, incidents.status, newest, incidents.verified, untold, episode, told AS last_told,
       (SELECT json_build_object('silence', silence, 'until', until, 'page', page)::text FROM silenced
        WHERE incident = incidents.id) AS silenced,
       applied.verified AS applied, applied.ingress, applied.at,
       (SELECT bool_or(state = 'held' AND coalesce(next_at <= $7, false)) FROM deliveries
        WHERE incident = incidents.id AND settled_at IS NULL) AS ripe,
       (SELECT json_agg(json_build_array(receiver, integration, alias, held) ORDER BY first)::text FROM (
            SELECT receiver, integration, alias, bool_and(state = 'held') AS held, min(id) AS first FROM deliveries
            WHERE incident = incidents.id AND deliveries.episode = incidents.episode AND action = 'trigger'
              AND state <> 'discarded'
            GROUP BY receiver, integration, alias) AS told) AS told,
       (SELECT json_agg(json_build_object('id', id, 'matchers', matchers, 'starts_at', starts_at, 'ends_at', ends_at,
                                          'author', author, 'comment', comment, 'created_at', created_at)
                        ORDER BY ends_at, id)::text
        FROM silences WHERE ends_at > $7 AND starts_at <= $7) AS silences
FROM (SELECT 1) AS one LEFT JOIN incidents ON incident_id = $1 AND kind = $8
LEFT JOIN applied ON incident = incidents.id AND applied.status = $5 AND time = $6";

/// What stays as it was found until the end of the transaction.
pub(super) struct Found {
    pub(super) memory: Memory,
    /// Whether anything is owed of the incident.
    pub(super) owing: bool,
}

/// None where the mail is decided already, waits, or is not due any more.
pub(super) async fn ask(
    transaction: &Transaction,
    matter: &Matter<'_>,
    subject: Option<&Named<'_>>,
    now: Timestamp,
) -> Result<Option<Found>, StoreError> {
    let (times, absurd) = (Times::of(now), absurd(now));
    let checked = if let Matter::Due(_, authenticity) = matter {
        json(authenticity)?
    } else {
        String::new()
    };

    let mut flight = Flight::default();
    flight.add("BEGIN", vec![]);
    match matter {
        Matter::Fresh(mail) => {
            flight.add(PENDING, vec![mail]);
        }
        Matter::Due(mail, _) => {
            flight.add(DUE, vec![mail, &checked, &times.now, &absurd]);
        }
        Matter::Own => {}
    }

    if let Some(subject) = subject {
        if !subject.verified {
            flight.add(TAKE_TURN_OF_MARKED, vec![]);
        }
        flight.add(lane::TAKE_TURN, vec![&subject.incident_id]);
        recall(&mut flight, subject, &times);
    }

    let mut answers = transaction.send(flight).await?;
    let told_before = match (matter, answers.get(1).and_then(|rows| rows.first())) {
        (Matter::Fresh(_), Some(mail)) if at(mail, "pending")? => None,
        (Matter::Due(..), Some(mail)) if at(mail, "told")? => Some(word_at(mail, "outcome")?),
        (Matter::Due(..), Some(_)) | (Matter::Own, _) => None,
        (Matter::Fresh(_) | Matter::Due(..), _) => return Ok(None),
    };

    // What was held until now is told whatever comes, or is held by a silence.
    let ripe = answers
        .last()
        .and_then(|rows| rows.first())
        .filter(|_| subject.is_some());

    if let Some((Some(true), subject)) = ripe.map(|row| at(row, "ripe")).transpose()?.zip(subject) {
        held::release_of(transaction, &subject.incident_id, subject.kind, now).await?;
        let mut flight = Flight::default();
        recall(&mut flight, subject, &times);
        answers = transaction.send(flight).await?;
    }

    let Some((row, subject)) = answers.last().and_then(|rows| rows.first()).zip(subject) else {
        return Ok(Some(Found {
            memory: Memory {
                told_before,
                ..Memory::default()
            },
            owing: false,
        }));
    };

    let memory = Memory {
        told_before,
        ..recalled(row, subject.verified)?
    };

    Ok(Some(Found {
        memory,
        owing: at::<Option<bool>>(row, "ripe")?.is_some(),
    }))
}

/// The times that what is known is counted from.
struct Times {
    now: i64,
    /// The hour that recurrence is counted from.
    since: i64,
    an_hour_ago: i64,
}

impl Times {
    fn of(now: Timestamp) -> Self {
        let ago = |span| now.saturating_sub(span).unwrap_or(now);
        Self {
            now: micros(now),
            since: hour(ago(RECURRENCE)),
            an_hour_ago: micros(ago(HOUR)),
        }
    }
}

/// Asks what is known of the subject.
fn recall<'a>(flight: &mut Flight<'a>, subject: &'a Named<'_>, times: &'a Times) {
    flight.add(
        RECALL,
        vec![
            &subject.incident_id,
            &subject.app_key,
            &subject.metric,
            &times.since,
            &subject.status,
            &subject.applied_at,
            &times.now,
            &subject.kind,
            &times.an_hour_ago,
            &subject.ingress,
        ],
    );
}

/// What is known, from a row of `RECALL`, to mail that is verified or not.
fn recalled(row: &Row, verified: bool) -> Result<Memory, StoreError> {
    let silences: Vec<Active> = optional_json_at(row, "silences")?.unwrap_or_default();
    let memory = Memory {
        recurrence_28d: unsigned_at(row, "recurrence")?,
        marked: unsigned_at(row, "marked")?,
        silences: silences.into_iter().map(Into::into).collect(),
        ..Memory::default()
    };

    if at::<Option<&str>>(row, "phase")?.is_none() {
        return Ok(memory);
    }

    let state = State {
        phase: word_at(row, "phase")?,
        status: at(row, "status")?,
        newest: optional_time_at(row, "newest")?,
        verified: at(row, "verified")?,
        untold: at(row, "untold")?,
        episode: at(row, "episode")?,
        told: optional_json_at(row, "last_told")?.unwrap_or_default(),
    };

    let (applied_before, first_heard) = match at::<Option<bool>>(row, "applied")? {
        Some(proven) => (
            proven >= verified,
            Some(Heard {
                ingress: at(row, "ingress")?,
                at: time_at(row, "at")?,
            }),
        ),
        None => (false, None),
    };

    let found: Vec<(String, String, String, bool)> =
        optional_json_at(row, "told")?.unwrap_or_default();
    let (held, told): (Vec<_>, Vec<_>) = found.into_iter().partition(|(.., held)| *held);
    let whom = |found: Vec<(String, String, String, bool)>| {
        let told = |(receiver, integration, alias, _)| Told {
            target: Target {
                receiver,
                integration,
            },
            alias,
        };
        found.into_iter().map(told).collect()
    };

    let kept: Option<Held> = optional_json_at(row, "silenced")?;

    Ok(Memory {
        known: Known {
            state: Some(state),
            applied_before,
        },
        told: whom(told),
        held: whom(held),
        silenced: kept.map(Held::read).transpose()?,
        first_heard,
        ..memory
    })
}
