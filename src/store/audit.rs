//! The promises of the store as queries, each of which finds the rows that break one promise.
//!
//! The queries are SQL that both databases understand, and run over one snapshot of a store in use.
//! Each row of a result is a sentence about one violation. `$1` is the time five minutes ago:
//! anything younger may still be in progress.

use serde::Serialize;

/// One violation of a promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name of the check that found it.
    pub check: &'static str,
    pub what: String,
}

/// The part of a store that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Everything,
    /// Everything but the mails' bytes, which are nearly all of the store: their integrity is
    /// assumed.
    AllButBytes,
}

/// A promise, and the query that checks it.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    pub name: &'static str,
    /// The query, which returns one text column.
    pub question: &'static str,
}

/// The most findings that one check reports, because a damaged store has thousands.
pub const MOST_FINDINGS: usize = 100;

/// How long work in progress may take, in minutes.
pub const UNDER_WAY_MINUTES: i64 = 5;

/// Every promise whose violation shows in the rows.
pub const PROMISES: &[Promise] = &[
    Promise {
        name: "every mail keeps its bytes",
        question: "SELECT 'mail ' || id || ' is without its bytes' FROM mails
                   WHERE NOT EXISTS (SELECT 1 FROM bodies WHERE bodies.mail = mails.id)",
    },
    Promise {
        name: "bytes belong to a mail",
        question: "SELECT 'the bytes of mail ' || mail || ' are there without the mail' FROM bodies
                   WHERE NOT EXISTS (SELECT 1 FROM mails WHERE mails.id = bodies.mail)",
    },
    // Mails are decided in order of arrival, except those that wait to be checked again.
    Promise {
        name: "every mail has an outcome",
        question: "SELECT 'mail ' || id || ' is undecided, and later ones have been decided'
                   FROM mails
                   WHERE outcome = 'pending' AND check_at IS NULL
                     AND EXISTS (SELECT 1 FROM mails AS later
                                 WHERE later.id > mails.id AND later.decided_at < $1)",
    },
    Promise {
        name: "every decided mail belongs to an incident",
        question: "SELECT 'mail ' || id || ' is ' || outcome || ' without an incident' FROM mails
                   WHERE outcome IN ('opened', 'reopened', 'resolved', 'updated', 'changed',
                                     'unparsed') AND incident IS NULL
                     AND NOT EXISTS (SELECT 1 FROM mail_items
                                     WHERE mail = id AND mail_items.outcome = mails.outcome
                                       AND mail_items.incident IS NOT NULL)
                   UNION ALL
                   SELECT 'alert ' || item || ' of mail ' || mail || ' is ' || outcome
                     || ' without an incident'
                   FROM mail_items
                   WHERE outcome IN ('opened', 'reopened', 'resolved', 'updated', 'changed',
                                     'unparsed')
                     AND incident IS NULL",
    },
    Promise {
        name: "silenced mail has a reason, and nobody is told of it",
        question: "SELECT 'mail ' || id || ' is silenced, and '
                          || CASE WHEN coalesce(reason, '') = '' THEN 'nothing says why'
                            ELSE 'somebody is told of it' END
                   FROM mails WHERE outcome = 'silenced'
                     AND (coalesce(reason, '') = '' OR EXISTS (SELECT 1 FROM deliveries
                                                             WHERE deliveries.mail = mails.id
                                                               AND created_at <= decided_at))",
    },
    Promise {
        name: "every page that was owed has a delivery",
        question: "SELECT 'mail ' || id || ' owes ' || owed || ' pages, and '
                          || (SELECT count(*) FROM deliveries WHERE deliveries.mail = mails.id)
                          || ' deliveries exist'
                   FROM mails
                   WHERE owed > (SELECT count(*) FROM deliveries WHERE deliveries.mail = mails.id)",
    },
    Promise {
        name: "who is told of a resolve was told of the trigger",
        question: "SELECT 'delivery ' || id || ' tells ' || receiver || ' (' || integration
                     || ') of the resolve of what it was '
                          || 'never told' FROM deliveries
                   WHERE action = 'resolve' AND EXISTS (SELECT 1 FROM mails
                                                        WHERE mails.id = deliveries.mail)
                     AND NOT EXISTS (SELECT 1 FROM deliveries AS began
                                     WHERE began.incident = deliveries.incident
                                       AND began.episode = deliveries.episode
                                       AND began.receiver = deliveries.receiver
                                       AND began.alias = deliveries.alias
                                       AND began.integration = deliveries.integration
                                       AND began.action = 'trigger'
                                       AND began.id < deliveries.id)",
    },
    Promise {
        name: "the head of each lane has a due time",
        question: "SELECT 'delivery ' || id || ' heads its lane without a due time, and is never \
                   sent'
                   FROM deliveries
                   WHERE settled_at IS NULL AND next_at IS NULL
                     AND NOT EXISTS (SELECT 1 FROM deliveries AS ahead
                                     WHERE ahead.incident = deliveries.incident
                                       AND ahead.receiver = deliveries.receiver
                                       AND ahead.integration = deliveries.integration
                                       AND ahead.settled_at IS NULL
                                       AND ahead.id < deliveries.id)",
    },
    // A leased delivery may be in progress while a person retries an older one.
    Promise {
        name: "no other delivery of a lane has a due time",
        question: "SELECT 'delivery ' || id || ' is sent before its turn' FROM deliveries
                   WHERE settled_at IS NULL AND next_at IS NOT NULL AND lease IS NULL
                     AND EXISTS (SELECT 1 FROM deliveries AS ahead
                                 WHERE ahead.incident = deliveries.incident
                                   AND ahead.receiver = deliveries.receiver
                                   AND ahead.integration = deliveries.integration
                                   AND ahead.settled_at IS NULL
                                   AND ahead.id < deliveries.id)",
    },
    // The numbers of the attempts give the order, because the clock may have been set back in
    // between.
    Promise {
        name: "triggers and resolves were delivered in order",
        question: "SELECT 'delivery ' || early.id || ' (' || early.action || ') went out after '
                     || late.id || ' ('
                          || late.action || ') of the same lane' FROM deliveries AS early
                   JOIN deliveries AS late ON late.incident = early.incident
                     AND late.receiver = early.receiver
                        AND late.integration = early.integration AND late.id > early.id
                        AND late.action <> early.action
                   WHERE early.state = 'delivered' AND late.state = 'delivered'
                     AND (SELECT max(id) FROM attempts WHERE delivery = early.id)
                         > (SELECT max(id) FROM attempts WHERE delivery = late.id)",
    },
    Promise {
        name: "every delivered page was sent",
        question: "SELECT 'delivery ' || id || ' is delivered, but was never tried' FROM deliveries
                   WHERE state = 'delivered' AND NOT EXISTS (SELECT 1 FROM attempts
                                                             WHERE delivery = deliveries.id)",
    },
    Promise {
        name: "every dead letter has a reason",
        question: "SELECT 'delivery ' || id || ' is ' || state || ' without a reason'
                   FROM deliveries
                   WHERE state IN ('dead', 'discarded') AND coalesce(detail, '') = ''",
    },
    Promise {
        name: "no page of a resolved incident is held",
        question: "SELECT 'delivery ' || deliveries.id || ' is held, but its incident is resolved'
                   FROM deliveries
                   JOIN incidents ON incidents.id = deliveries.incident
                   WHERE deliveries.state = 'held' AND phase = 'resolved'
                     AND held_until > changed_at
                   UNION ALL
                   SELECT 'incident ' || incident_id || ' is resolved, but a silence holds its page'
                   FROM silenced
                   JOIN incidents ON incidents.id = incident WHERE phase = 'resolved'",
    },
    Promise {
        name: "what a silence held pages when it ends",
        question: "SELECT 'incident ' || incident_id || ' was to be told when silence ' || silence
                     || ' ended' FROM silenced
                   JOIN incidents ON incidents.id = incident WHERE until < $1",
    },
    Promise {
        name: "who is told of a change was told of the trigger",
        question: "SELECT 'delivery ' || id || ' tells ' || receiver || ' (' || integration
                     || ') of a change of what it was '
                          || 'never told' FROM deliveries
                   WHERE action = 'change' AND EXISTS (SELECT 1 FROM mails
                                                       WHERE mails.id = deliveries.mail)
                     AND NOT EXISTS (SELECT 1 FROM deliveries AS began
                                     WHERE began.incident = deliveries.incident
                                       AND began.episode = deliveries.episode
                                       AND began.receiver = deliveries.receiver
                                       AND began.integration = deliveries.integration
                                       AND began.action = 'trigger' AND began.id < deliveries.id)",
    },
    Promise {
        name: "every incident has an applied mail",
        question: "SELECT 'incident ' || incident_id
                     || ' has a mail applied to it, and no record of which' FROM incidents
                   WHERE kind IN ('incident', 'unparsed')
                     AND NOT EXISTS (SELECT 1 FROM applied WHERE applied.incident = incidents.id)",
    },
];
