//! Tests that the cost of a mail does not depend on the size of the store. The cost is counted in
//! instructions of SQLite's virtual machine, which other load on the computer does not change.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use regex::Regex;
use rusqlite::Connection;

use super::{
    concern, decide, held, lane, mail, migrate, plan_once, prune, record, settle, silence, spare,
};
use crate::{
    delivery::{Action, Notification, Step, Target},
    incident::{ATLASSIAN_SLI, Phase, Series, State, Values},
    label::Labels,
    message::{Authenticity, MailId, Message, Outcome},
    store::{
        Decision, Excess, Fallback, Horizon, Item, Kind, Mutes, NewDelivery, Next, Settlement,
        Spare, StoreError, Subject, Sweep, kept,
    },
};

mod looks;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const LEASE: Duration = Duration::from_mins(1);

/// Adds `{n}` ended incidents, each with a held resolve, and as many openings that still count.
const HISTORY: &str = "
CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
                                                WHERE i < {n}) SELECT i FROM n;
INSERT INTO incidents (id, incident_id, kind, phase, status, verified, untold, episode, opened_at,
                       changed_at, labels)
SELECT i, 'over-' || i, 'incident', 'resolved', 'S', 1, 0, 1, i, {later} + i, '{}' FROM n;
INSERT INTO mails (ingress, arrived_at, size, sha256, authenticity, outcome, incident, decided_at,
                   hold)
SELECT 'mail', {later} + i, 1, '', '{}', 'quarantined', i, {later} + i, 'resolve' FROM n;
INSERT INTO openings SELECT 'app-' || i, 'm', i, 1 FROM n;
";

/// A store, and the number of instructions that it has run.
struct Counted {
    connection: Connection,
    instructions: Arc<AtomicU64>,
}

impl Counted {
    fn new() -> Result<Self, StoreError> {
        let mut connection = Connection::open_in_memory().map_err(super::failure)?;
        plan_once(&connection).map_err(super::failure)?;
        migrate(&mut connection)?;

        let instructions = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&instructions);
        let counter = move || {
            count.fetch_add(1, Ordering::Relaxed);
            false
        };

        connection
            .progress_handler(1, Some(counter))
            .map_err(super::failure)?;

        Ok(Self {
            connection,
            instructions,
        })
    }

    /// Returns the number of instructions that have run.
    fn run(&self) -> u64 {
        self.instructions.load(Ordering::Relaxed)
    }

    /// Adds ended incidents that came later than everything else, so that retention does not reach
    /// them.
    fn history(&self, size: usize) -> rusqlite::Result<()> {
        let later = kept::micros(
            NOW.saturating_add(SignedDuration::from_hours(2))
                .unwrap_or(NOW),
        );
        let history = HISTORY
            .replace("{n}", &size.to_string())
            .replace("{later}", &later.to_string());
        self.connection.execute_batch(&history)
    }

    fn record(&self) -> Result<MailId, StoreError> {
        let message = Message {
            ingress: "mail".into(),
            arrived_at: NOW,
            raw: Bytes::from_static(b"a mail"),
            cut_from: None,
            withheld: None,
            envelope: None,
        };

        let packed = kept::pack((message, Authenticity::off()))?;
        let ids = record::record(&self.connection, &[packed], None).map_err(super::failure)?;
        ids.first().copied().ok_or(StoreError::Panicked)
    }

    /// Decides a mail as a trigger of a new incident.
    fn open(&self, mail: MailId) -> rusqlite::Result<()> {
        let incident_id = format!("i{mail}");

        let delivery = NewDelivery {
            target: target(),
            alias: "a".into(),
            notification: trigger(mail, incident_id.clone()),
            held_until: None,
            fallback_at: NOW.checked_add(SignedDuration::from_hours(1)).ok(),
            leased_until: None,
        };

        let state = State {
            phase: Phase::Firing,
            status: "S".into(),
            newest: Some(NOW),
            verified: true,
            untold: false,
            episode: 1,
            told: Values::new(),
        };

        let decision = Decision {
            reason: None,
            state: Some(state),
            applied: true,
            deliveries: vec![delivery],
            ..Decision::nothing(Outcome::Opened, "", Labels::new())
        };

        let item = Item {
            subject: Some(subject(incident_id)),
            decide: Box::new(|_| decision),
            mutes: Mutes::default(),
        };
        decide::decide(&self.connection, mail, vec![item], NOW).map(|_| ())
    }

    /// Delivers one pending page.
    fn deliver(&self) -> rusqlite::Result<()> {
        for claim in lane::claim(&self.connection, NOW, LEASE, &[(target(), 1)])? {
            let delivered = settlement(Next::Delivered { receipt: None });
            settle::settle(&self.connection, claim.id, claim.lease, &delivered)?;
        }

        Ok(())
    }

    /// Returns the cost of each step of one more mail.
    fn bill(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut bill = Bill::new(self);
        let none: Fallback = Arc::new(|_, _| Vec::new());
        let mail = self.record()?;
        bill.charge("record");
        self.open(mail).map_err(super::failure)?;
        bill.charge("decide");
        lane::agenda(&self.connection).map_err(super::failure)?;
        bill.charge("agenda");
        settle::escalate(&self.connection, NOW, &none).map_err(super::failure)?;
        bill.charge("escalate");
        for claim in
            lane::claim(&self.connection, NOW, LEASE, &[(target(), 1)]).map_err(super::failure)?
        {
            bill.charge("claim");
            let again = settlement(Next::Again {
                step: Step::Send,
                at: NOW,
                failures: 1,
            });
            settle::settle(&self.connection, claim.id, claim.lease, &again)
                .map_err(super::failure)?;
            bill.charge("settle again");
        }

        self.deliver().map_err(super::failure)?;
        bill.charge("claim and settle");
        mail::undecided(&self.connection, 0, 10).map_err(super::failure)?;
        bill.charge("undecided");

        self.prune().map_err(super::failure)?;
        bill.charge("prune");
        mail::due(&self.connection, NOW, 10).map_err(super::failure)?;
        bill.charge("due");
        concern::concerns(&self.connection).map_err(super::failure)?;
        bill.charge("concerns");

        Ok(bill.costs)
    }

    /// Runs each part of a sweep. Everything is old and open, because rows that must stay are what
    /// could make retention costly.
    fn prune(&self) -> rusqlite::Result<()> {
        let old = NOW
            .checked_add(SignedDuration::from_hours(1))
            .unwrap_or(NOW);
        let horizon = Horizon {
            mails: old,
            incidents: Some(old),
        };
        let last = Sweep::Incidents {
            changed_at: old,
            id: 0,
        };
        for from in [Sweep::START, Sweep::FIRST_INCIDENT, last] {
            prune::step(&self.connection, horizon, from, 10)?;
        }

        Ok(())
    }
}

/// The cost of each step, counted since the previous step.
struct Bill<'a> {
    store: &'a Counted,
    last: u64,
    costs: BTreeMap<String, u64>,
}

impl<'a> Bill<'a> {
    fn new(store: &'a Counted) -> Self {
        Self {
            store,
            last: store.run(),
            costs: BTreeMap::new(),
        }
    }

    fn charge(&mut self, step: impl Into<String>) {
        let run = self.store.run();
        self.costs.insert(step.into(), run - self.last);
        self.last = run;
    }
}

fn settlement(next: Next) -> Settlement {
    Settlement {
        at: NOW,
        next,
        attempt: None,
        fallback: Vec::new(),
    }
}

/// Returns the subject of a mail about a new incident.
fn subject(incident_id: String) -> Subject {
    Subject {
        kind: Kind::Incident,
        incident_id,
        status: "S".into(),
        time: Some(NOW),
        profile: ATLASSIAN_SLI.into(),
        series: Series {
            of: "com.example".into(),
            what: "m".into(),
        },
        ingress: "mail".into(),
        verified: true,
    }
}

fn trigger(mail: MailId, incident_id: String) -> Notification {
    Notification {
        action: Action::Trigger,
        incident_id,
        labels: Labels::new(),
        incident: serde_json::Value::Null,
        arrived_at: NOW,
        time: None,
        reason: None,
        mail: Some(mail),
        doubt: None,
        was: None,
        stays: false,
    }
}

fn target() -> Target {
    Target {
        receiver: "oncall".into(),
        integration: "opsgenie/0".into(),
    }
}

/// Returns the costs in a small store and in one a hundred times as large, with its pages
/// `delivered` or still pending.
fn bills(delivered: bool) -> Result<[BTreeMap<String, u64>; 2], StoreError> {
    let of = |size: usize| {
        let store = Counted::new()?;
        store.history(size).map_err(super::failure)?;
        for _ in 0..size {
            let mail = store.record()?;
            store.open(mail).map_err(super::failure)?;
            if delivered {
                store.deliver().map_err(super::failure)?;
            }
        }
        // The first bill is not counted, because preparing a statement for the first time costs
        // more.
        store.bill()?;
        store.bill()
    };
    Ok([of(20)?, of(2000)?])
}

/// SQLite fills a temporary table with a list of more than two values, for each statement that
/// checks a row against the list or maintains an index by it.
#[test]
fn no_check_and_no_index_holds_a_long_list() -> Result<(), Box<dyn std::error::Error>> {
    let mut connection = Connection::open_in_memory()?;
    migrate(&mut connection)?;

    let list = Regex::new(r"\bIN\s*\([^()]*,[^()]*,")?;
    let mut schema = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")?;
    let mut of_them = schema.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found = of_them
        .by_ref()
        .collect::<Result<Vec<(String, String)>, _>>()?;

    assert!(found.len() > 30, "{found:?}");
    let long = found.iter().filter(|(_, sql)| list.is_match(sql));
    assert_eq!(
        long.map(|(name, _)| name).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    Ok(())
}

#[test]
fn a_mail_costs_the_same_however_much_is_done() -> Result<(), StoreError> {
    let [small, large] = bills(true)?;
    assert_eq!(small, large);
    assert!(small.values().all(|cost| *cost > 0), "{small:?}");
    Ok(())
}

#[test]
fn a_mail_costs_the_same_however_much_is_owed() -> Result<(), StoreError> {
    let [small, large] = bills(false)?;
    assert_eq!(small, large);
    Ok(())
}

/// Ended silences stay until retention deletes them, and precede the rows that are queried.
#[test]
fn a_decision_costs_the_same_however_many_silences_have_ended() -> Result<(), StoreError> {
    let cost = |ended: usize| {
        let store = Counted::new()?;
        let silences = "INSERT INTO silences (matchers, starts_at, ends_at, author, comment,
                                              created_at)
                        WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n
                                                 WHERE i < {n})
                        SELECT 'kind=\"incident\"', -i, -i, 'a', 'c', -i FROM n";
        store
            .connection
            .execute_batch(&silences.replace("{n}", &ended.to_string()))
            .map_err(super::failure)?;
        let mut cost = 0;
        for _ in 0..2 {
            let mail = store.record()?;
            let before = store.run();
            store.open(mail).map_err(super::failure)?;
            cost = store.run() - before;
        }
        Ok::<_, StoreError>(cost)
    };

    assert_eq!(cost(20)?, cost(2000)?);
    Ok(())
}

/// The store has mail of every kind that is kept whole only for a while. The mails before it were
/// told or cut.
#[test]
fn a_cut_costs_the_same_however_much_is_stored() -> Result<(), StoreError> {
    const SPARE: &str = "
        UPDATE mails SET outcome = 'opened', hold = NULL, authenticity = '{\"verdict\":\"pass\"}';
        UPDATE mails SET outcome = 'duplicate', cut_at = 1 WHERE id % 2 = 0;
        INSERT INTO mails (ingress, arrived_at, size, sha256, authenticity, outcome, decided_at)
        SELECT 'mail', 0, 9, '', '{\"verdict\":\"'
                 || (CASE i % 4 WHEN 1 THEN 'fail' ELSE 'pass' END) || '\"}',
               (CASE i % 4 WHEN 0 THEN 'ignored' WHEN 3 THEN 'quarantined'
                 ELSE 'duplicate' END), 0 FROM n WHERE i <= 400;
        INSERT INTO bodies SELECT id, x'' FROM mails WHERE size = 9;";

    let bills = [400, 40_000].map(|size| {
        let store = Counted::new()?;
        store.history(size).map_err(super::failure)?;
        let connection = &store.connection;
        connection.execute_batch(SPARE).map_err(super::failure)?;

        let mut bill = BTreeMap::new();
        for spare in Spare::ALL.into_iter().chain(Spare::ALL) {
            let before = store.run();
            let (bytes, _) = spare::whole(connection, spare, 0).map_err(super::failure)?;
            let excess = Excess {
                before: None,
                bytes: 10,
            };
            let (shortened, more) =
                spare::shortened(connection, spare, excess).map_err(super::failure)?;
            let cut = spare::cut(connection, spare, &shortened, more, NOW)?;
            assert_eq!((cut.mails, bytes % 9), (2, 0), "{spare:?}");
            let run = store.run() - before;
            bill.insert(spare.as_str(), run);
        }
        Ok::<_, StoreError>(bill)
    });

    let [small, large] = bills;
    assert_eq!(small?, large?);
    Ok(())
}

/// Covers the queries that run every second for what silences, mutes and the quarantine hold.
#[test]
fn a_look_at_what_is_held_costs_the_same_however_much_there_was() -> Result<(), StoreError> {
    const HELD: &str = "
        INSERT INTO silences (matchers, starts_at, ends_at, author, comment, created_at)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n})
        SELECT 'kind=\"incident\"', -i, -i, 'a', 'c', -i FROM n;
        INSERT INTO silenced (incident, silence, until, page)
        VALUES (1, 1, -1, '{}'), (2, 1, 9, '{}');
        INSERT INTO deliveries (incident, episode, receiver, integration, action, alias,
                                notification, state, step,
                                next_at, held_until, created_at)
        VALUES (1, 1, 'oncall', 'opsgenie/0', 'trigger', 'a', '{}', 'held', '{}', 9, 9, 0);";

    let cost = |silences: usize, incidents: usize| {
        let store = Counted::new()?;
        store.history(incidents).map_err(super::failure)?;
        let held = HELD.replace("{n}", &silences.to_string());
        store
            .connection
            .execute_batch(&held)
            .map_err(super::failure)?;
        let mut cost = 0;
        for _ in 0..2 {
            let before = store.run();
            let ended = silence::unsilenced(&store.connection, NOW, 64).map_err(super::failure)?;
            held::release(&store.connection, None, &Mutes::default(), NOW)
                .map_err(super::failure)?;
            let let_out = mail::let_out(&store.connection, 64).map_err(super::failure)?;
            let agenda = lane::agenda(&store.connection).map_err(super::failure)?;
            cost = store.run() - before;
            assert_eq!((ended.len(), let_out.len()), (1, 0));
            assert!(agenda.held_until.is_some());
        }
        Ok::<_, StoreError>(cost)
    };

    assert_eq!(cost(20, 20)?, cost(30_000, 100_000)?);
    Ok(())
}
