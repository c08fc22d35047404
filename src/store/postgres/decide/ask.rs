//! What is known of an incident when a mail about it is decided.

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    super::{
        connection::{Flight, Transaction},
        held, lane,
        mail::absurd,
        row::{at, json_at, optional_json_at, optional_time_at, time_at, unsigned_at, word_at},
        silence::{Active, Held},
    },
    Matter, Named,
};
use crate::{
    delivery::Target,
    incident::{Known, State},
    message::Outcome,
    store::{
        HOUR, Heard, Memory, Mutes, RECURRENCE, StoreError, Told, hour,
        kept::{doubtful, json, last_sent, micros, time, unproven},
        part::ToldPart,
    },
};

/// Locks the mail's row until the effects are written.
const PENDING: &str = "
SELECT outcome = 'pending' AND check_at IS NULL AS pending FROM mails
WHERE id = $1 FOR NO KEY UPDATE";

/// Locks the row of a mail that was due. If several processes have checked it, only the first to
/// arrive here still finds it due.
const DUE: &str = "
UPDATE mails SET authenticity = $2, check_at = NULL, checks = checks + 1
WHERE id = $1 AND (check_at <= $3 OR check_at > $4)
RETURNING outcome, outcome <> 'pending' AND (SELECT 1 FROM deliveries
                                             WHERE mail = mails.id LIMIT 1) IS NOT NULL AS told";

/// Selects the alerts of the mail that had notified somebody when the mail was decided before it
/// could be checked.
const TOLD_PARTS: &str = "
SELECT item, incident_id, kind, outcome FROM mail_items
CROSS JOIN LATERAL (SELECT incident_id, kind FROM incidents WHERE id = incident OFFSET 0) AS its
WHERE mail = $1 AND outcome NOT IN ('pending', 'quarantined')
  AND (SELECT 1 FROM deliveries
       WHERE deliveries.mail = mail_items.mail AND deliveries.incident = mail_items.incident
         LIMIT 1) IS NOT NULL";

/// Takes the turn of unverified triggers. Until the end of the transaction, nobody else decides
/// whether an unverified trigger exceeds the limit: two at once would each count as the last of the
/// hour. Only unverified mail takes this lock, before the turn of its incident.
const TAKE_TURN_OF_MARKED: &str = "SELECT pg_advisory_xact_lock(0, 0)";

/// Selects one row with everything that is known about an incident, with NULLs if the incident is
/// new.
///
/// - `told`: who was or will be notified of this episode (pending deliveries count), and whose page
///   is held.
/// - `ripe`: whether a delivery's hold ends now; NULL if nothing is pending.
/// - `silences`: the active ones, by the index on their end.
const RECALL: &str = concat!(
    "
SELECT (SELECT coalesce(sum(count), 0)::bigint FROM openings
        WHERE app_key = $2 AND metric = $3 AND hour > $4)
           AS recurrence,
       (SELECT count(*) FROM mails
        WHERE marked AND decided_at > $9 AND decided_at <= $7 AND ingress = $10
          AND coalesce(profile, 'atlassian-sli') = $11)
       + (SELECT count(*) FROM (SELECT mail FROM mail_items
                                WHERE marked AND decided_at > $9 AND decided_at <= $7
                                  AND coalesce(profile, 'atlassian-sli') = $11 OFFSET 0) AS items
          CROSS JOIN LATERAL (SELECT ingress FROM mails WHERE id = items.mail OFFSET 0) AS its
          WHERE its.ingress = $10) AS marked,
       phase, incidents.status, newest, incidents.verified, untold, episode, told AS last_told,
         opened_at, heard_at, labels,
       (SELECT json_build_object('silence', silence, 'until', until, 'page', page)::text
        FROM silenced
        WHERE incident = incidents.id) AS silenced,
       applied.verified AS applied, applied.ingress, applied.at,
       (SELECT bool_or(state = 'held' AND coalesce(next_at <= $7, false)) FROM deliveries
        WHERE incident = incidents.id AND settled_at IS NULL) AS ripe,
       (SELECT json_agg(json_build_array(receiver, integration, alias, held_until, doubtful)
                        ORDER BY first)::text
        FROM (
            SELECT receiver, integration, alias,
              CASE WHEN bool_and(state = 'held') FILTER (WHERE action = 'trigger')
                THEN max(held_until) FILTER (WHERE action = 'trigger') END AS held_until,
              ",
    doubtful!(),
    " AS doubtful,
              min(id) FILTER (WHERE action = 'trigger') AS first FROM deliveries
            WHERE incident = incidents.id AND deliveries.episode = incidents.episode
              AND action IN ('trigger', 'resolve')
              AND state <> 'discarded'
            GROUP BY receiver, integration, alias
            HAVING bool_or(action = 'trigger')) AS told) AS told,
       (SELECT json_agg(json_build_object('id', id, 'matchers', matchers, 'starts_at', starts_at,
                                          'ends_at', ends_at,
                                          'author', author, 'comment', comment, 'created_at',
                                            created_at)
                        ORDER BY ends_at, id)::text
        FROM silences WHERE ends_at > $7 AND starts_at <= $7) AS silences
FROM (SELECT 1) AS one LEFT JOIN incidents ON incident_id = $1 AND kind = $8
LEFT JOIN LATERAL (SELECT verified, ingress, at FROM applied
                   WHERE incident = incidents.id AND status = $5 AND time BETWEEN $6 AND $12
                   ORDER BY verified DESC LIMIT 1) AS applied ON true"
);

/// What was found. It stays as it is until the end of the transaction.
pub(super) struct Found {
    pub(super) memory: Memory,
    /// Whether the incident has pending deliveries.
    pub(super) owing: bool,
}

impl Found {
    fn of_no_incident(told_before: Option<Outcome>) -> Self {
        Self {
            memory: Memory {
                told_before,
                ..Memory::default()
            },
            owing: false,
        }
    }
}

/// Reads what is known, and takes the locks. Returns `None` if the mail is already decided, waits,
/// or is no longer due.
pub(super) async fn ask(
    transaction: &Transaction,
    matter: Matter<'_>,
    subject: Option<&Named<'_>>,
    mutes: &Mutes,
    now: Timestamp,
) -> Result<Option<Found>, StoreError> {
    let times = Times::of(now);
    let checked = checked(matter)?;

    let mut flight = Flight::default();
    take_mail(&mut flight, &matter, &checked, &times);

    if let Some(subject) = subject {
        take_turn(&mut flight, &matter, subject);
        recall(&mut flight, subject, &times);
    }

    let mut answers = transaction.send(flight).await?;
    let told_before = match matter {
        Matter::Own => None,
        Matter::Part(part) => part.told_before,
        Matter::Fresh(_) | Matter::Due(..) => {
            let mail = answers.get(1).and_then(|rows| rows.first());
            let Some(mail) = to_be_decided(matter, mail)? else {
                return Ok(None);
            };
            told_before(matter, mail)?
        }
    };

    let Some(subject) = subject else {
        return Ok(Some(Found::of_no_incident(told_before)));
    };

    // Deliveries whose hold ends now are sent in any case, unless a silence or a mute still holds
    // them.
    let ripe = known(&answers).map(|row| at(row, "ripe")).transpose()?;
    if ripe == Some(Some(true)) {
        let incident = (&*subject.incident_id, subject.kind);
        held::release_of(transaction, incident, mutes, now).await?;
        let mut flight = Flight::default();
        recall(&mut flight, subject, &times);
        answers = transaction.send(flight).await?;
    }

    let Some(row) = known(&answers) else {
        return Ok(Some(Found::of_no_incident(told_before)));
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

/// Begins the decision of a mail with several alerts by locking the mail's row. If the mail is to
/// be decided, it takes the turns of all incidents of its alerts, in one fixed order, and returns
/// the alerts that have notified somebody before. Otherwise it returns `None`.
pub(super) async fn begin(
    transaction: &Transaction,
    matter: Matter<'_>,
    subjects: &[&Named<'_>],
    now: Timestamp,
) -> Result<Option<Vec<ToldPart>>, StoreError> {
    let times = Times::of(now);
    let checked = checked(matter)?;
    let mut ids: Vec<&str> = subjects
        .iter()
        .map(|subject| &*subject.incident_id)
        .collect();
    ids.sort_unstable();
    ids.dedup();

    let mut flight = Flight::default();
    take_mail(&mut flight, &matter, &checked, &times);
    if !subjects.iter().all(|subject| subject.verified) {
        flight.add(TAKE_TURN_OF_MARKED, vec![]);
    }
    for id in &ids {
        flight.add(lane::TAKE_TURN, vec![id]);
    }

    if let Matter::Fresh(mail) | Matter::Due(mail, _) = &matter {
        flight.add(TOLD_PARTS, vec![mail]);
    }

    let answers = transaction.send(flight).await?;
    let mail = answers.get(1).and_then(|rows| rows.first());
    if to_be_decided(matter, mail)?.is_none() {
        return Ok(None);
    }

    let told = answers.last().into_iter().flatten().map(|row| {
        Ok(ToldPart {
            item: at(row, "item")?,
            incident_id: at(row, "incident_id")?,
            kind: at(row, "kind")?,
            outcome: word_at(row, "outcome")?,
        })
    });
    told.collect::<Result<_, _>>().map(Some)
}

/// Returns the new verdict of a mail that was due, as it is stored.
fn checked(matter: Matter<'_>) -> Result<String, StoreError> {
    match matter {
        Matter::Due(_, authenticity) => json(authenticity),
        Matter::Fresh(_) | Matter::Part(..) | Matter::Own => Ok(String::new()),
    }
}

/// Begins a transaction with the mail's own row.
fn take_mail<'a>(
    flight: &mut Flight<'a>,
    matter: &'a Matter<'_>,
    checked: &'a String,
    times: &'a Times,
) {
    match matter {
        Matter::Fresh(mail) => flight.add("BEGIN", vec![]).add(PENDING, vec![mail]),
        Matter::Due(mail, _) => flight
            .add("BEGIN", vec![])
            .add(DUE, vec![mail, checked, &times.now, &times.absurd]),
        Matter::Own => flight.add("BEGIN", vec![]),
        Matter::Part(..) => flight,
    };
}

/// Takes the turn of the incident. For a mail with several alerts, it was taken when the decision
/// began.
fn take_turn<'a>(flight: &mut Flight<'a>, matter: &Matter<'_>, subject: &'a Named<'_>) {
    if matches!(matter, Matter::Part(_)) {
        return;
    }
    if !subject.verified {
        flight.add(TAKE_TURN_OF_MARKED, vec![]);
    }
    flight.add(lane::TAKE_TURN, vec![&subject.incident_id]);
}

/// Returns the row of a mail, if the mail is to be decided now.
fn to_be_decided<'a>(
    matter: Matter<'_>,
    mail: Option<&'a Row>,
) -> Result<Option<&'a Row>, StoreError> {
    Ok(match (matter, mail) {
        (Matter::Fresh(_), Some(row)) => at::<bool>(row, "pending")?.then_some(row),
        (Matter::Due(..), row) => row,
        _ => None,
    })
}

/// Returns the outcome of a mail that was due, if the mail has already notified somebody.
fn told_before(matter: Matter<'_>, mail: &Row) -> Result<Option<Outcome>, StoreError> {
    match matter {
        Matter::Due(..) if at(mail, "told")? => word_at(mail, "outcome").map(Some),
        _ => Ok(None),
    }
}

/// The limits of the time windows.
struct Times {
    now: i64,
    /// The hour from which recurrence is counted.
    since: i64,
    an_hour_ago: i64,
    /// The latest time at which a mail can be due for a check.
    absurd: i64,
}

impl Times {
    fn of(now: Timestamp) -> Self {
        let ago = |span| now.saturating_sub(span).unwrap_or(now);
        Self {
            now: micros(now),
            since: hour(ago(RECURRENCE)),
            an_hour_ago: micros(ago(HOUR)),
            absurd: absurd(now),
        }
    }
}

/// Queries what is known about the subject.
fn recall<'a>(flight: &mut Flight<'a>, subject: &'a Named<'_>, times: &'a Times) {
    flight.add(
        RECALL,
        vec![
            &subject.incident_id,
            &subject.app_key,
            &subject.metric,
            &times.since,
            &subject.status,
            &subject.known_at.0,
            &times.now,
            &subject.kind,
            &times.an_hour_ago,
            &subject.ingress,
            &subject.profile,
            &subject.known_at.1,
        ],
    );
}

/// Returns the row of `RECALL`, which is the last statement of the flight.
fn known(answers: &[Vec<Row>]) -> Option<&Row> {
    answers.last().and_then(|rows| rows.first())
}

/// Builds the memory from a row of `RECALL`, for a mail that is verified or not.
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

    let (told, held) = told(row)?;
    let kept: Option<Held> = optional_json_at(row, "silenced")?;

    Ok(Memory {
        known: Known {
            state: Some(state(row)?),
            applied_before,
        },
        labels: json_at(row, "labels")?,
        opened_at: Some(time_at(row, "opened_at")?),
        heard_at: Some(time_at(row, "heard_at")?),
        told,
        held,
        silenced: kept.map(Held::read).transpose()?,
        first_heard,
        ..memory
    })
}

fn state(row: &Row) -> Result<State, StoreError> {
    Ok(State {
        phase: word_at(row, "phase")?,
        status: at(row, "status")?,
        newest: optional_time_at(row, "newest")?,
        verified: at(row, "verified")?,
        untold: at(row, "untold")?,
        episode: at(row, "episode")?,
        told: optional_json_at(row, "last_told")?.unwrap_or_default(),
    })
}

/// Returns who was or will be notified of this episode, and whose page is held.
fn told(row: &Row) -> Result<(Vec<Told>, Vec<Told>), StoreError> {
    let found: Vec<(String, String, String, Option<i64>, bool)> =
        optional_json_at(row, "told")?.unwrap_or_default();
    let told = found.into_iter().map(
        |(receiver, integration, alias, held_until, doubtful)| Told {
            target: Target {
                receiver,
                integration,
            },
            alias,
            held_until: held_until.map(time),
            doubtful,
        },
    );

    Ok(told.partition(|told| told.held_until.is_none()))
}
