//! The writing of a decision's effects, in the round trip of its COMMIT.

use std::{borrow::Cow, sync::Arc};

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    super::{
        connection::{Database, Flight, Parameter, Transaction},
        expected, lane,
        owe::{self, Owed},
        row::text,
        silence,
    },
    Matter, Named,
    ask::Found,
};
use crate::{
    crash,
    message::MailId,
    silence::SilenceId,
    store::{
        Claim, Decision, Kind, Memory, Silencing, StoreError, hour,
        kept::{hold, json, micros, signed},
        part::Part,
    },
};

/// Writes the incident's new state if `$7` says that there is one, the applied status of the mail,
/// and the opening of an episode. The argument is the statement that writes the outcome of the
/// mail. An incident of which more was said counts as changed, though its state stays, so that
/// those who follow it see the change.
macro_rules! write_and {
    ($end:literal) => {
        concat!(
            "
WITH known AS (
    SELECT id FROM incidents WHERE incident_id = $1 AND kind = $2
), kept AS (
    INSERT INTO incidents
        (incident_id, kind, phase, status, newest, verified, untold, episode, opened_at,
         changed_at, heard_at, labels,
         told, profile)
    SELECT $1, $2, $3, $4, $5, $6, $8, $7, $9, $9, coalesce($22::bigint, $9), $10, $20, $21
    WHERE $7::bigint IS NOT NULL
    ON CONFLICT (incident_id, kind) DO UPDATE SET
        phase = excluded.phase, status = excluded.status, newest = excluded.newest,
          verified = excluded.verified,
        untold = excluded.untold, changed_at = excluded.changed_at,
          -- Mail that was decided later may have arrived earlier.
          heard_at = CASE WHEN $22::bigint IS NULL THEN $9
            ELSE greatest(incidents.heard_at, $22::bigint) END,
        labels = excluded.labels, told = excluded.told, episode = excluded.episode,
        opened_at = CASE WHEN incidents.episode < excluded.episode THEN excluded.opened_at
          ELSE incidents.opened_at END
    RETURNING id
), incident AS (
    SELECT id FROM known UNION SELECT id FROM kept
), heard AS (
    UPDATE incidents SET heard_at = greatest(heard_at, $22::bigint),
        changed_at = CASE WHEN said_more THEN greatest(changed_at, $9) ELSE changed_at END
    FROM (SELECT $11 AND NOT EXISTS (SELECT 1 FROM applied JOIN known ON incident = id
                                     WHERE status = $12 AND time = $13) AS said_more) AS said
    WHERE $7::bigint IS NULL AND ($22::bigint IS NOT NULL OR said_more)
      AND id = (SELECT id FROM known)
), applied AS (
    INSERT INTO applied (incident, status, time, verified, ingress, at)
    SELECT id, $12, $13, $18, $19, $9 FROM incident WHERE $11
    ON CONFLICT (incident, status, time) DO UPDATE SET verified = applied.verified
      OR excluded.verified
), opened AS (
    INSERT INTO openings (app_key, metric, hour, part, count) SELECT $15, $16, $17,
      pg_backend_pid() % 16, 1 WHERE $14
    ON CONFLICT (app_key, metric, hour, part) DO UPDATE SET count = openings.count + 1
)
",
            $end
        )
    };
}
/// Writes the outcome of a mail. A mail that was released while it was being read is decided again
/// with that in mind.
const WRITE: &str = write_and!(
    "UPDATE mails SET outcome = $23::text, reason = $24, labels = $30,
       incident = (SELECT id FROM incident),
            decided_at = CASE WHEN $23::text <> 'pending' THEN $9::bigint END, hold = $25,
              marked = $26, owed = $27,
            profile = $21, check_at = CASE WHEN released IS NOT NULL
              AND $23::text IN ('pending', 'quarantined') THEN 0
                                           ELSE $28::bigint END
     WHERE id = $29"
);
/// Writes the finding about a mail that has already notified somebody: its outcome stays.
const KEEP: &str = write_and!(
    "UPDATE mails SET reason = coalesce($23, reason), labels = $26,
       profile = coalesce(profile, $21), check_at = $24
     WHERE id = $25"
);
/// Moves the pages of such a mail to the incident's current episode, so that its resolve reaches
/// the same receivers.
const REASSIGN: &str = "UPDATE deliveries SET episode = $2 WHERE mail = $1";
/// Writes the outcome of one alert of a mail with several.
const WRITE_PART: &str = write_and!(
    "INSERT INTO mail_items (mail, item, outcome, reason, incident, labels, decided_at, hold,
                             marked, profile)
     SELECT $27, $28, $23, $24, (SELECT id FROM incident), $29, $9, $25, $26, $21
     ON CONFLICT (mail, item) DO UPDATE SET
         outcome = excluded.outcome, reason = excluded.reason, incident = excluded.incident,
           labels = excluded.labels,
         decided_at = excluded.decided_at, hold = excluded.hold, marked = excluded.marked"
);
/// Writes the finding about such an alert that has already notified somebody.
const KEEP_PART: &str = write_and!(
    "UPDATE mail_items SET reason = coalesce($23, reason), labels = $26
     WHERE mail = $24 AND item = $25"
);
const REASSIGN_PART: &str = "
UPDATE deliveries SET episode = $2
WHERE mail = $1 AND incident = (SELECT id FROM incidents WHERE incident_id = $3 AND kind = $4)";
/// Writes the effects of a decision that has no mail, such as that about an alarm.
const WRITE_OWN: &str = write_and!("SELECT id FROM incident");

/// What to write, and the data it depends on.
pub(super) struct Written<'a> {
    pub(super) matter: Matter<'a>,
    pub(super) subject: Option<&'a Named<'a>>,
    pub(super) found: &'a Found,
    pub(super) decision: &'a Decision,
    pub(super) now: Timestamp,
}

/// How the transaction continues.
pub(super) enum End<'a> {
    Commit(Box<Transaction>),
    /// The transaction stays open, because more is written in it.
    GoOn(&'a Transaction),
}

impl End<'_> {
    async fn send(self, flight: Flight<'_>) -> Result<Vec<Vec<Row>>, StoreError> {
        match self {
            Self::Commit(transaction) => transaction.commit(flight).await,
            Self::GoOn(transaction) => transaction.send(flight).await,
        }
    }
}

/// Writes the effects of a decision, and returns the deliveries that are leased with it.
pub(super) async fn write(
    database: &Arc<Database>,
    end: End<'_>,
    Written {
        matter,
        subject,
        found: Found { memory, owing },
        decision,
        now,
    }: Written<'_>,
) -> Result<Vec<Claim>, StoreError> {
    let told_before = memory.told_before.is_some();
    let state = decision.state.as_ref().or(memory.known.state.as_ref());
    let change = Change::new(subject, memory, decision, now)?;
    let conclusion = Conclusion::new(&matter, decision)?;
    let owed = match state {
        Some(state) => {
            let owed = decision.deliveries.iter();
            let of_episode = |owed| (owed, Decision::episode_of(owed, state, memory));
            Owed::new(owed.map(of_episode), *owing, now)?
        }
        None => Owed::default(),
    };

    let kept = Kept::new(decision, memory)?;
    let discards_held = state
        .filter(|_| *owing)
        .and_then(|state| decision.discards_held(state));
    let arrival = decision
        .arrival
        .as_ref()
        .map(|arrival| (&*arrival.profile, text(&arrival.key), micros(arrival.at)));

    let incident = subject.map(|subject| (&*subject.incident_id, subject.kind));
    let mut flight = Flight::default();
    let mut place = None;

    conclusion.add_to(&mut flight, &matter, told_before, &change);
    if let Some((incident_id, kind)) = &incident {
        if let Some(why) = &discards_held {
            flight
                .add(lane::DISCARD_HELD, vec![incident_id, &change.at, kind, why])
                .add(lane::ADVANCE_ALL, vec![incident_id, &change.at, kind]);
        }
        kept.add_to(&mut flight, (incident_id, kind));
        place = owed.add_to(&mut flight, (incident_id, kind));
    }

    if told_before {
        reassign(&mut flight, &matter, &change, incident.as_ref());
    }
    if let Some((profile, key, at)) = &arrival {
        flight.add(expected::ARRIVED, vec![profile, key, at]);
    }

    crash::point("commit");

    let answers = end.send(flight).await;
    let answers = answers.inspect_err(|_| give_back(database, &owed, incident))?;
    match place.and_then(|place| answers.get(place)) {
        Some(rows) => owe::claims(rows, &decision.deliveries, now),
        None => Ok(Vec::new()),
    }
}

/// Gives back the leases, which were taken if the decision was written after all.
fn give_back(database: &Arc<Database>, owed: &Owed<'_>, incident: Option<(&str, &'static str)>) {
    if let Some((incident_id, kind)) = incident
        && let Some(leases) = owed.leases(incident_id, kind)
    {
        leases.give_back(database);
    }
}

/// Moves the pages of a mail that was told before to the incident's current episode.
fn reassign<'a>(
    flight: &mut Flight<'a>,
    matter: &'a Matter<'_>,
    change: &'a Change<'_>,
    incident: Option<&'a (&'a str, &'static str)>,
) {
    let Some(episode) = &change.episode else {
        return;
    };
    match (matter, incident) {
        (Matter::Due(mail, _), _) => {
            flight.add(REASSIGN, vec![mail, episode]);
        }
        (Matter::Part(Part { mail, .. }), Some((incident_id, kind))) => {
            flight.add(REASSIGN_PART, vec![mail, episode, incident_id, kind]);
        }
        _ => {}
    }
}

/// The change of an incident, as parameters. They are NULL if the mail is about none, or if nothing
/// changes.
struct Change<'a> {
    incident_id: Option<&'a str>,
    kind: Option<&'static str>,
    phase: Option<&'static str>,
    status: Option<Cow<'a, str>>,
    newest: Option<i64>,
    verified: Option<bool>,
    episode: Option<i64>,
    untold: Option<bool>,
    at: i64,
    labels: String,
    applied: bool,
    applied_status: Option<&'a str>,
    applied_at: Option<i64>,
    opens: bool,
    app_key: Option<&'a str>,
    metric: Option<&'a str>,
    hour: i64,
    proven: Option<bool>,
    ingress: Option<&'a str>,
    told: Option<Cow<'a, str>>,
    profile: Option<&'a str>,
    heard_at: Option<i64>,
}

impl<'a> Change<'a> {
    fn new(
        subject: Option<&'a Named<'_>>,
        memory: &Memory,
        decision: &'a Decision,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let new = decision.state.as_ref();
        let kind = subject.map(|subject| subject.kind);
        Ok(Self {
            incident_id: subject.map(|subject| &*subject.incident_id),
            kind,
            phase: new.map(|state| state.phase.as_str()),
            status: new.map(|state| text(&state.status)),
            newest: new.and_then(|state| state.newest).map(micros),
            verified: new.map(|state| state.verified),
            episode: new.map(|state| state.episode),
            untold: new.map(|state| state.untold),
            at: micros(now),
            labels: json(&decision.labels_of_incident(memory))?,
            applied: decision.applied && (new.is_some() || memory.known.state.is_some()),
            applied_status: subject.map(|subject| &*subject.status),
            applied_at: subject.map(|subject| subject.applied_at),
            opens: kind == Some(Kind::Incident.as_str()) && decision.begins_episode(memory),
            app_key: subject.map(|subject| &*subject.app_key),
            metric: subject.map(|subject| &*subject.metric),
            hour: hour(now),
            proven: subject.map(|subject| subject.verified),
            ingress: subject.map(|subject| &*subject.ingress),
            told: new
                .filter(|state| !state.told.is_empty())
                .map(|state| json(&state.told))
                .transpose()?
                .map(Cow::Owned),
            profile: decision.profile.as_deref(),
            heard_at: decision.heard_at.map(micros),
        })
    }

    /// Returns `$1` to `$22`, followed by `rest`.
    fn parameters<'b>(&'b self, rest: Vec<Parameter<'b>>) -> Vec<Parameter<'b>> {
        let mut parameters: Vec<Parameter<'b>> = vec![
            &self.incident_id,
            &self.kind,
            &self.phase,
            &self.status,
            &self.newest,
            &self.verified,
            &self.episode,
            &self.untold,
            &self.at,
            &self.labels,
            &self.applied,
            &self.applied_status,
            &self.applied_at,
            &self.opens,
            &self.app_key,
            &self.metric,
            &self.hour,
            &self.proven,
            &self.ingress,
            &self.told,
            &self.profile,
            &self.heard_at,
        ];

        parameters.extend(rest);
        parameters
    }
}

/// The page that a silence holds of the incident from now on, as parameters.
enum Kept {
    AsItIs,
    Nothing,
    Page(SilenceId, String),
}

impl Kept {
    fn new(decision: &Decision, memory: &Memory) -> Result<Self, StoreError> {
        Ok(match &decision.silencing {
            Silencing::Held(silenced) => Self::Page(silenced.silence, json(&silenced.page)?),
            Silencing::Over if memory.silenced.is_some() => Self::Nothing,
            Silencing::AsItIs | Silencing::Over => Self::AsItIs,
        })
    }

    fn add_to<'b>(
        &'b self,
        flight: &mut Flight<'b>,
        (incident_id, kind): (&'b &'b str, &'b &'b str),
    ) {
        match self {
            Self::AsItIs => {}
            Self::Nothing => {
                flight.add(silence::HOLD_NO_MORE, vec![incident_id, kind]);
            }
            Self::Page(silence, page) => {
                flight.add(silence::HOLD, vec![incident_id, kind, silence, page]);
            }
        }
    }
}

/// The outcome of the mail, as parameters.
struct Conclusion<'a> {
    outcome: &'static str,
    reason: Option<Cow<'a, str>>,
    hold: Option<String>,
    marked: bool,
    owed: i64,
    check_at: Option<i64>,
    labels: String,
}

impl<'a> Conclusion<'a> {
    fn new(matter: &Matter<'_>, decision: &'a Decision) -> Result<Self, StoreError> {
        Ok(Self {
            outcome: decision.outcome.as_str(),
            reason: decision.reason.as_deref().map(text),
            hold: decision
                .hold
                .as_ref()
                .map(|why| text(&hold(why)).into_owned()),
            marked: decision.marked,
            owed: match matter {
                Matter::Fresh(mail) | Matter::Due(mail, _) => signed(decision.owed_under(*mail)),
                Matter::Part(..) | Matter::Own => 0,
            },
            check_at: decision.check_at.map(micros),
            labels: json(&decision.labels)?,
        })
    }

    /// Adds the statement that writes the outcome of what was decided. The outcome of a mail that
    /// was told before stays.
    fn add_to<'b>(
        &'b self,
        flight: &mut Flight<'b>,
        matter: &'b Matter<'_>,
        told_before: bool,
        change: &'b Change<'_>,
    ) {
        let (statement, rest) = match matter {
            Matter::Own => (WRITE_OWN, vec![]),
            Matter::Part(part) if told_before => (KEEP_PART, self.kept_of(part)),
            Matter::Part(part) => (WRITE_PART, self.of_part(part)),
            Matter::Due(mail, _) if told_before => (KEEP, self.kept(mail)),
            Matter::Fresh(mail) | Matter::Due(mail, _) => (WRITE, self.parameters(mail)),
        };
        flight.add(statement, change.parameters(rest));
    }

    /// Returns the remaining parameters of `WRITE`.
    fn parameters<'b>(&'b self, mail: &'b MailId) -> Vec<Parameter<'b>> {
        vec![
            &self.outcome,
            &self.reason,
            &self.hold,
            &self.marked,
            &self.owed,
            &self.check_at,
            mail,
            &self.labels,
        ]
    }

    /// Returns the remaining parameters of `WRITE_PART`.
    fn of_part<'b>(&'b self, part: &'b Part) -> Vec<Parameter<'b>> {
        vec![
            &self.outcome,
            &self.reason,
            &self.hold,
            &self.marked,
            &part.mail,
            &part.item,
            &self.labels,
        ]
    }

    /// Returns the remaining parameters of `KEEP_PART`.
    fn kept_of<'b>(&'b self, part: &'b Part) -> Vec<Parameter<'b>> {
        vec![&self.reason, &part.mail, &part.item, &self.labels]
    }

    /// Returns the remaining parameters of `KEEP`.
    fn kept<'b>(&'b self, mail: &'b MailId) -> Vec<Parameter<'b>> {
        vec![&self.reason, &self.check_at, mail, &self.labels]
    }
}
