//! The second commit: what is known of an incident, and everything that follows from a mail about it.
//!
//! Two ways to the server: one asks, one writes. An advisory lock on the incident's id makes those who decide about the
//! same incident, or change its lanes, take turns, whether there is a row of it yet or not.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    connection::{Database, Flight, Parameter},
    lane::{self, Owed},
    mail::absurd,
    row::{at, optional_json_at, optional_time_at, text, time_at, unsigned_at, word_at},
};
use crate::{
    crash,
    delivery::Target,
    incident::{Known, Phase, State},
    message::{Authenticity, MailId, Outcome},
    store::{
        Decide, Decision, HOUR, Heard, Kind, Memory, RECURRENCE, StoreError, Subject, Told, hour,
        kept::{hold, json, micros, signed},
    },
};

/// The mail's row stays locked until what follows is written.
const PENDING: &str =
    "SELECT outcome = 'pending' AND check_at IS NULL AS pending FROM mails WHERE id = $1 FOR NO KEY UPDATE";

/// The same of a mail that was due. Of several who looked at it, the first to come here finds it due: it is not any more
/// then, or not yet again.
const DUE: &str = "
UPDATE mails SET authenticity = $2, check_at = NULL, checks = checks + 1
WHERE id = $1 AND (check_at <= $3 OR check_at > $4)
RETURNING outcome, outcome <> 'pending' AND EXISTS (SELECT 1 FROM deliveries WHERE mail = mails.id) AS told";

/// Until the end of the transaction nobody else decides whether an unverified trigger is one too many: of two at once
/// each would be told as the last of the hour. Taken before an incident's turn, and by unverified mail alone.
const TAKE_TURN_OF_MARKED: &str = "SELECT pg_advisory_xact_lock(0, 0)";

/// One row, with NULLs where the incident is new. `told`: who was told of this opening, or will be whatever comes;
/// waiting to be sent counts, held by a mute does not.
const RECALL: &str = "
SELECT (SELECT coalesce(sum(count), 0)::bigint FROM openings WHERE app_key = $2 AND metric = $3 AND hour > $4)
           AS recurrence,
       (SELECT count(*) FROM mails WHERE marked AND decided_at > $9 AND decided_at <= $7) AS marked,
       phase, incidents.status, newest, incidents.verified, untold, episode,
       applied.verified AS applied, applied.ingress, applied.at,
       EXISTS (SELECT 1 FROM deliveries WHERE incident = incidents.id AND settled_at IS NULL) AS owing,
       (SELECT json_agg(json_build_array(receiver, integration, alias) ORDER BY first)::text FROM (
            SELECT receiver, integration, alias, min(id) AS first FROM deliveries
            WHERE incident = incidents.id AND deliveries.episode = incidents.episode AND action = 'trigger'
              AND (state IN ('pending', 'delivered', 'dead') OR (state = 'held' AND next_at <= $7))
            GROUP BY receiver, integration, alias) AS told) AS told
FROM (SELECT 1) AS one LEFT JOIN incidents ON incident_id = $1 AND kind = $8
LEFT JOIN applied ON incident = incidents.id AND applied.status = $5 AND time = $6";

/// The incident's new state, where `$7` says that it has one; that the mail's status is applied; that it opens an
/// episode; and what became of the mail, which is the end.
macro_rules! write {
    ($end:literal) => {
        concat!(
            "
WITH known AS (
    SELECT id FROM incidents WHERE incident_id = $1 AND kind = $2
), kept AS (
    INSERT INTO incidents
        (incident_id, kind, phase, status, newest, verified, untold, episode, opened_at, changed_at, labels)
    SELECT $1, $2, $3, $4, $5, $6, $8, $7, $9, $9, $10 WHERE $7::bigint IS NOT NULL
    ON CONFLICT (incident_id, kind) DO UPDATE SET
        phase = excluded.phase, status = excluded.status, newest = excluded.newest, verified = excluded.verified,
        untold = excluded.untold, changed_at = excluded.changed_at, labels = excluded.labels, episode = excluded.episode,
        opened_at = CASE WHEN incidents.episode < excluded.episode THEN excluded.opened_at ELSE incidents.opened_at END
    RETURNING id
), incident AS (
    SELECT id FROM known UNION SELECT id FROM kept
), applied AS (
    INSERT INTO applied (incident, status, time, verified, ingress, at)
    SELECT id, $12, $13, $18, $19, $9 FROM incident WHERE $11
    ON CONFLICT (incident, status, time) DO UPDATE SET verified = applied.verified OR excluded.verified
), opened AS (
    INSERT INTO openings (app_key, metric, hour, part, count) SELECT $15, $16, $17, pg_backend_pid() % 16, 1 WHERE $14
    ON CONFLICT (app_key, metric, hour, part) DO UPDATE SET count = openings.count + 1
)
",
            $end
        )
    };
}
/// Where it was let through while it was looked at, what was concluded without that is concluded anew.
const WRITE: &str = write!(
    "UPDATE mails SET outcome = $20::text, reason = $21, labels = $10, incident = (SELECT id FROM incident),
            decided_at = CASE WHEN $20::text <> 'pending' THEN $9::bigint END, hold = $22, marked = $23, owed = $24,
            check_at = CASE WHEN released IS NOT NULL AND $20::text IN ('pending', 'quarantined') THEN 0
                            ELSE $25::bigint END
     WHERE id = $26"
);
/// Of a mail that somebody was told of before: its outcome stays,
const KEEP: &str =
    write!("UPDATE mails SET reason = coalesce($20, reason), labels = $10, check_at = $21 WHERE id = $22");
/// and what was told belongs to the incident's opening of now, so that its resolve reaches them.
const REASSIGN: &str = "UPDATE deliveries SET episode = $2 WHERE mail = $1";
/// Of no mail.
const WRITE_OWN: &str = write!("SELECT id FROM incident");

/// What is decided: a mail, or what the bridge tells of itself.
enum Matter<'a> {
    Fresh(MailId),
    Due(MailId, &'a Authenticity),
    Own,
}

/// Lets `decide` conclude from what is known, and writes it. None where the mail is decided already, or waits.
pub(super) async fn decide(
    database: &Database,
    mail: MailId,
    subject: Option<&Subject>,
    now: Timestamp,
    decide: Decide,
) -> Result<Option<Decision>, StoreError> {
    follow(database, &Matter::Fresh(mail), subject, now, decide).await
}

/// The same for a mail that was due to be looked at again. None where it is not any more.
pub(super) async fn reconsider(
    database: &Database,
    mail: MailId,
    authenticity: &Authenticity,
    subject: Option<&Subject>,
    now: Timestamp,
    decide: Decide,
) -> Result<Option<Decision>, StoreError> {
    follow(database, &Matter::Due(mail, authenticity), subject, now, decide).await
}

/// The same for what the bridge tells of itself.
pub(super) async fn announce(
    database: &Database,
    subject: &Subject,
    now: Timestamp,
    decide: Decide,
) -> Result<Decision, StoreError> {
    let announced = follow(database, &Matter::Own, Some(subject), now, decide).await?;
    announced.ok_or_else(|| StoreError::Failed("what the bridge tells of itself was not decided".into()))
}

#[expect(clippy::too_many_lines, reason = "most are the parameters of one statement")]
async fn follow(
    database: &Database,
    matter: &Matter<'_>,
    subject: Option<&Subject>,
    now: Timestamp,
    decide: Decide,
) -> Result<Option<Decision>, StoreError> {
    let (at, absurd) = (micros(now), absurd(now));
    let ago = |span| now.saturating_sub(span).unwrap_or(now);
    let (since, an_hour_ago) = (hour(ago(RECURRENCE)), micros(ago(HOUR)));
    let subject = subject.map(Named::new);
    let checked = if let Matter::Due(_, authenticity) = matter { json(authenticity)? } else { String::new() };
    let transaction = database.begin().await?;
    let mut asked = Flight::default();
    match matter {
        Matter::Fresh(mail) => asked.add("BEGIN", vec![]).add(PENDING, vec![mail]),
        Matter::Due(mail, _) => asked.add("BEGIN", vec![]).add(DUE, vec![mail, &checked, &at, &absurd]),
        Matter::Own => asked.add("BEGIN", vec![]),
    };
    if let Some(Named { incident_id, kind, status, app_key, metric, applied_at, verified, .. }) = &subject {
        if !verified {
            asked.add(TAKE_TURN_OF_MARKED, vec![]);
        }
        asked
            .add(lane::TAKE_TURN, vec![incident_id])
            .add(RECALL, vec![incident_id, app_key, metric, &since, status, applied_at, &at, kind, &an_hour_ago]);
    }
    let answers = transaction.send(asked).await?;
    let first = answers.get(1).and_then(|rows| rows.first());
    let (is_open, told_before) = match (matter, first) {
        (Matter::Fresh(_), Some(row)) => (row.get("pending"), None),
        (Matter::Due(..), Some(row)) => {
            (true, if row.get("told") { Some(word_at::<Outcome>(row, "outcome")?) } else { None })
        }
        (Matter::Own, _) => (true, None),
        (_, None) => (false, None),
    };
    if !is_open {
        transaction.undo().await?;
        return Ok(None);
    }
    let known = answers.last().and_then(|rows| rows.first()).zip(subject.as_ref());
    let memory = known.map(|(row, subject)| recalled(row, subject.verified)).transpose()?.unwrap_or_default();
    let memory = Memory { told_before, ..memory };
    let owing = known.is_some_and(|(row, _)| row.get("owing"));
    // The transaction is undone by being dropped.
    let decision = catch_unwind(AssertUnwindSafe(|| decide(&memory))).map_err(|_| StoreError::Panicked)?;

    let subject = subject.as_ref();
    let state = decision.state.as_ref().or(memory.known.state.as_ref());
    let owed = match state {
        Some(state) => Owed::new(&decision.deliveries, state.episode, now)?,
        None => Owed::default(),
    };
    let (incident_id, kind) = (subject.map(|subject| &subject.incident_id), subject.map(|subject| subject.kind));
    let (status, applied_at) = (subject.map(|subject| &subject.status), subject.map(|subject| subject.applied_at));
    let (app_key, metric) = (subject.map(|subject| &subject.app_key), subject.map(|subject| &subject.metric));
    let (proven, ingress) = (subject.map(|subject| subject.verified), subject.map(|subject| &subject.ingress));
    let new = decision.state.as_ref();
    let (phase, new_status) = (new.map(|state| state.phase.as_str()), new.map(|state| text(&state.status)));
    let newest = new.and_then(|state| state.newest).map(micros);
    let (verified, untold) = (new.map(|state| state.verified), new.map(|state| state.untold));
    let episode = new.map(|state| state.episode);
    let (labels, reason) = (json(&decision.labels)?, decision.reason.as_deref().map(text));
    let applied = decision.applied && state.is_some();
    let opens = kind == Some(Kind::Incident.as_str()) && decision.begins_episode(&memory);
    let (outcome, check_at, this_hour) = (decision.outcome.as_str(), decision.check_at.map(micros), hour(now));
    let held = decision.hold.as_ref().map(hold);
    let held = held.as_deref().map(text);
    let incident: &str = subject.map_or("", |subject| &subject.incident_id);
    let its_kind: &str = kind.unwrap_or_default();
    let mut parameters: Vec<Parameter<'_>> = vec![
        &incident_id,
        &kind,
        &phase,
        &new_status,
        &newest,
        &verified,
        &episode,
        &untold,
        &at,
        &labels,
        &applied,
        &status,
        &applied_at,
        &opens,
        &app_key,
        &metric,
        &this_hour,
        &proven,
        &ingress,
    ];
    let owed_under;
    let mut written = Flight::default();
    match matter {
        Matter::Own => written.add(WRITE_OWN, parameters),
        Matter::Due(mail, _) if told_before.is_some() => {
            let rest: [Parameter<'_>; 3] = [&reason, &check_at, mail];
            parameters.extend(rest);
            written.add(KEEP, parameters)
        }
        Matter::Fresh(mail) | Matter::Due(mail, _) => {
            owed_under = signed(decision.owed_under(*mail));
            let rest: [Parameter<'_>; 7] = [&outcome, &reason, &held, &decision.marked, &owed_under, &check_at, mail];
            parameters.extend(rest);
            written.add(WRITE, parameters)
        }
    };
    if owing && state.is_some_and(|state| state.phase == Phase::Resolved) {
        written
            .add(lane::DISCARD_HELD, vec![&incident, &at, &its_kind])
            .add(lane::ADVANCE_ALL, vec![&incident, &at, &its_kind]);
    }
    if subject.is_some() {
        owed.add_to(&mut written, (&incident, &its_kind), owing);
    }
    if let (Matter::Due(mail, _), Some(_), Some(episode)) = (matter, told_before, &episode) {
        written.add(REASSIGN, vec![mail, episode]);
    }
    crash::point("commit");
    transaction.commit(written).await?;
    Ok(Some(decision))
}

/// A subject as the statements take it.
struct Named<'a> {
    incident_id: Cow<'a, str>,
    kind: &'static str,
    status: Cow<'a, str>,
    app_key: Cow<'a, str>,
    metric: Cow<'a, str>,
    applied_at: i64,
    ingress: Cow<'a, str>,
    verified: bool,
}

impl<'a> Named<'a> {
    fn new(subject: &'a Subject) -> Self {
        Self {
            incident_id: text(&subject.incident_id),
            kind: subject.kind.as_str(),
            status: text(&subject.status),
            app_key: text(&subject.app_key),
            metric: text(&subject.metric),
            applied_at: subject.applied_at(),
            ingress: text(&subject.ingress),
            verified: subject.verified,
        }
    }
}

/// What is known, from a row of `RECALL`, to mail that is verified or not.
fn recalled(row: &Row, verified: bool) -> Result<Memory, StoreError> {
    let memory = Memory {
        recurrence_28d: unsigned_at(row, "recurrence")?,
        marked: unsigned_at(row, "marked")?,
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
    };
    let (applied_before, first_heard) = match at::<Option<bool>>(row, "applied")? {
        Some(proven) => (proven >= verified, Some(Heard { ingress: at(row, "ingress")?, at: time_at(row, "at")? })),
        None => (false, None),
    };
    let told: Vec<(String, String, String)> = optional_json_at(row, "told")?.unwrap_or_default();
    let told =
        told.into_iter().map(|(receiver, integration, alias)| Told { target: Target { receiver, integration }, alias });
    Ok(Memory { known: Known { state: Some(state), applied_before }, told: told.collect(), first_heard, ..memory })
}
