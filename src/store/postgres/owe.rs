//! New deliveries. Each is added to its lane, and leased at once if nothing is ahead of it and this
//! process can send it.

use std::{borrow::Cow, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_postgres::Row;

use super::{
    amend::revived,
    connection::{Database, Flight, Parameter},
    lane::TAKE_TURN,
    row::{at, target_at, text},
};
use crate::{
    delivery::{Action, DeliveryId, Step},
    store::{
        Claim, NewDelivery, StoreError,
        kept::{json, micros, receipt},
        naming::of_destination,
    },
};

/// Discards held pages of the same destinations, because a new page must not wait for the end of a
/// mute that holds an older one.
const DISCARD_SUPERSEDED: &str = concat!(
    "
UPDATE deliveries SET state = 'discarded', settled_at = $5, next_at = NULL,
       detail = 'told by a newer one that no mute holds'
WHERE incident = (SELECT id FROM incidents WHERE incident_id = $1 AND kind = $6)
  AND settled_at IS NULL AND state = 'held'
  AND EXISTS (SELECT 1 FROM unnest($2::text[], $3::text[], $4::bigint[])
                            AS newer (to_receiver, to_integration, held_until)
              WHERE newer.held_until IS NULL AND ",
    of_destination!(
        "newer.to_receiver COLLATE \"C\"",
        "newer.to_integration COLLATE \"C\""
    ),
    ")"
);
/// Makes the dead resolves of destinations that get a trigger pending again, if their vendors heard
/// nothing since. The alert of the earlier opening is still open there, and would swallow the
/// trigger of this one.
const REVIVE_ENDS: &str = concat!(
    revived!("$5", "$7"),
    "
WHERE state = 'dead' AND action = 'resolve' AND id = ANY (ARRAY(
    SELECT newest.id
    FROM unnest($2::text[], $3::text[], $4::text[]) AS owed (to_receiver, to_integration, page)
    CROSS JOIN LATERAL (
        SELECT id FROM deliveries AS dead
        WHERE incident = (SELECT id FROM incidents WHERE incident_id = $1 AND kind = $6)
          AND state = 'dead' AND action = 'resolve' AND ",
    of_destination!(
        "owed.to_receiver COLLATE \"C\"",
        "owed.to_integration COLLATE \"C\""
    ),
    " AND NOT EXISTS (
            SELECT 1 FROM deliveries
            WHERE incident = dead.incident AND episode > dead.episode
              AND state <> 'discarded' AND ",
    of_destination!(
        "owed.to_receiver COLLATE \"C\"",
        "owed.to_integration COLLATE \"C\""
    ),
    ") ORDER BY id + 0 DESC LIMIT 1) AS newest
    WHERE page = 'trigger'))"
);
/// Adds deliveries to the ends of their lanes. A lane has the name that its destination had when
/// the lane began, which may be a former one. Under the present name, a page could overtake those
/// that wait. A delivery that is alone in its lane is the head, and is leased. Because of `id + 0`,
/// no index provides the order, so that only the incident's own deliveries are read, however few
/// there were when the statement was planned.
const OWE: &str = concat!(
    "
INSERT INTO deliveries (mail, incident, episode, receiver, integration, action, alias,
                        notification, state, step,
                        next_at, lease, held_until, fallback_at, created_at)
SELECT mail, incident, episode, receiver, integration, action, alias, notification,
       CASE WHEN held_until IS NULL THEN 'pending' ELSE 'held' END, $11,
       CASE WHEN head THEN coalesce(leased_until, held_until, $12) END,
       CASE WHEN head AND leased_until IS NOT NULL THEN $15::bigint END,
       held_until, fallback_at, $12
FROM (
    SELECT incidents.id AS incident, owed.episode, mail, action, alias, notification, held_until,
           fallback_at, leased_until, place,
           coalesce(lane.receiver, to_receiver) AS receiver,
           coalesce(lane.integration, to_integration) AS integration,
           row_number() OVER (PARTITION BY to_receiver, to_integration ORDER BY place) = 1
               AND lane.receiver IS NULL AS head
    FROM incidents CROSS JOIN
         unnest($3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
                $9::bigint[], $10::bigint[],
                $14::bigint[], $2::bigint[])
             WITH ORDINALITY AS owed (to_receiver, to_integration, mail, action, alias,
                                      notification, held_until, fallback_at,
                                      leased_until, episode, place)
         LEFT JOIN LATERAL (
             SELECT receiver, integration FROM deliveries
             WHERE $16 AND incident = incidents.id AND settled_at IS NULL AND ",
    of_destination!("to_receiver COLLATE \"C\"", "to_integration COLLATE \"C\""),
    " ORDER BY id + 0 DESC LIMIT 1) AS lane ON true
    WHERE incident_id = $1 AND incidents.kind = $13) AS owed
ORDER BY place
RETURNING id, lease, receiver, integration, ",
    receipt!()
);

/// The deliveries of one incident as parameters, column by column.
#[derive(Default)]
pub(super) struct Owed<'a> {
    episodes: Vec<i64>,
    /// Whether the incident may already have pending deliveries.
    owing: bool,
    /// Whether a trigger opens an incident that was open before, so that its end may be dead.
    reopens: bool,
    receivers: Vec<&'a str>,
    integrations: Vec<&'a str>,
    mails: Vec<Option<i64>>,
    actions: Vec<&'static str>,
    aliases: Vec<Cow<'a, str>>,
    notifications: Vec<String>,
    held_until: Vec<Option<i64>>,
    fallback_at: Vec<Option<i64>>,
    leased_until: Vec<Option<i64>>,
    /// The lease of every delivery that is leased.
    lease: i64,
    step: String,
    now: i64,
}

impl<'a> Owed<'a> {
    pub(super) fn new(
        deliveries: impl IntoIterator<Item = (&'a NewDelivery, i64)>,
        owing: bool,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let (lease, step, now) = (fastrand::i64(1..), json(&Step::Send)?, micros(now));
        let mut owed = Self {
            owing,
            lease,
            step,
            now,
            ..Self::default()
        };

        for (delivery, episode) in deliveries {
            let NewDelivery {
                target,
                alias,
                notification,
                held_until,
                fallback_at,
                leased_until,
            } = delivery;
            owed.episodes.push(episode);
            owed.reopens |= notification.action == Action::Trigger && episode > 1;
            owed.receivers.push(&target.receiver);
            owed.integrations.push(&target.integration);
            owed.mails.push(notification.mail);
            owed.actions.push(notification.action.as_str());
            owed.aliases.push(text(alias));
            owed.notifications.push(json(notification)?);
            owed.held_until.push(held_until.map(micros));
            owed.fallback_at.push(fallback_at.map(micros));
            owed.leased_until
                .push(leased_until.filter(|_| held_until.is_none()).map(micros));
        }

        // An end that is pending again makes the trigger wait.
        owed.owing |= owed.reopens;

        Ok(owed)
    }

    /// Adds the statements to a flight. Returns which of the flight's results holds the added
    /// deliveries and their leases.
    pub(super) fn add_to<'b>(
        &'b self,
        flight: &mut Flight<'b>,
        (incident_id, kind): (&'b &'b str, &'b &'b str),
    ) -> Option<usize> {
        if self.receivers.is_empty() {
            return None;
        }

        if self.reopens {
            flight.add(
                REVIVE_ENDS,
                vec![
                    incident_id,
                    &self.receivers,
                    &self.integrations,
                    &self.actions,
                    &self.now,
                    kind,
                    &self.step,
                ],
            );
        }
        if self.owing {
            flight.add(
                DISCARD_SUPERSEDED,
                vec![
                    incident_id,
                    &self.receivers,
                    &self.integrations,
                    &self.held_until,
                    &self.now,
                    kind,
                ],
            );
        }

        let parameters: Vec<Parameter<'_>> = vec![
            incident_id,
            &self.episodes,
            &self.receivers,
            &self.integrations,
            &self.mails,
            &self.actions,
            &self.aliases,
            &self.notifications,
            &self.held_until,
            &self.fallback_at,
            &self.step,
            &self.now,
            kind,
            &self.leased_until,
            &self.lease,
            &self.owing,
        ];
        flight.add(OWE, parameters);

        Some(flight.len() - 1)
    }

    /// Returns what is needed to give back the leases that may have been taken, or `None` if there
    /// can be none.
    pub(super) fn leases(&self, incident_id: &str, kind: &'static str) -> Option<Leases> {
        let until = self.leased_until.iter().flatten().max()?;
        let for_long = Duration::from_micros(u64::try_from(until - self.now).unwrap_or(0));
        Some(Leases {
            incident_id: incident_id.to_owned(),
            kind,
            lease: self.lease,
            now: self.now,
            for_long,
        })
    }
}

/// Returns the claims of the deliveries that were leased, from the rows that were added.
pub(super) fn claims(
    rows: &[Row],
    deliveries: &[NewDelivery],
    now: Timestamp,
) -> Result<Vec<Claim>, StoreError> {
    let mut claims = Vec::new();
    for row in rows {
        let (id, lease): (DeliveryId, Option<i64>) = (at(row, "id")?, at(row, "lease")?);
        let target = target_at(row)?;
        // Only the head of a lane is leased, and that is the first delivery to its target.
        let Some((lease, delivery)) =
            lease.zip(deliveries.iter().find(|delivery| delivery.target == target))
        else {
            continue;
        };
        claims.push(Claim::with_decision(
            delivery,
            id,
            lease,
            at(row, "receipt")?,
            now,
        ));
    }

    Ok(claims)
}

/// The leases that one decision took.
pub(super) struct Leases {
    incident_id: String,
    kind: &'static str,
    lease: i64,
    now: i64,
    for_long: Duration,
}

/// Ends the leases of a decision. The incident's turn is taken first, because by then the lost
/// commit has ended, one way or the other.
const GIVE_BACK: &str = "
UPDATE deliveries SET lease = NULL, next_at = $4
WHERE incident = (SELECT id FROM incidents WHERE incident_id = $1 AND kind = $2)
  AND settled_at IS NULL AND lease = $3";
/// The pause between two attempts.
const AGAIN: Duration = Duration::from_millis(500);

impl Leases {
    /// Ends the leases of a decision whose result was lost. The decision may have been written,
    /// although nobody works on what it leased. It tries until the database, which may be down, has
    /// done so, or until the leases end.
    pub(super) fn give_back(self, database: &Arc<Database>) {
        let (database, end) = (Arc::clone(database), Instant::now() + self.for_long);
        tokio::spawn(async move {
            while let Err(error) = self.try_to_give_back(&database).await {
                tracing::debug!(%error, "the leases of a decision could not be released");
                if Instant::now() > end {
                    break;
                }
                tokio::time::sleep(AGAIN).await;
            }
        });
    }

    async fn try_to_give_back(&self, database: &Database) -> Result<(), StoreError> {
        let Self {
            incident_id,
            kind,
            lease,
            now,
            ..
        } = self;

        let transaction = database.begin().await?;
        let mut flight = Flight::default();
        flight
            .add("BEGIN", vec![])
            .add(TAKE_TURN, vec![incident_id])
            .add(GIVE_BACK, vec![incident_id, kind, lease, now]);

        transaction.commit(flight).await.map(drop)
    }
}
