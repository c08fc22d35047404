//! Tests that what the pages and the API ask for most costs the same however much is stored.

use std::collections::BTreeMap;

use super::{
    super::{browse, course, failure, glance},
    Bill, Counted, NOW,
};
use crate::{
    delivery::DeliveryState,
    incident::Phase,
    message::Outcome,
    store::{Courses, DeliveryFilter, IncidentFilter, MailFilter, Span, StoreError, kept},
};

/// Covers what the pages and the API ask for most, because at night nobody waits for a list.
#[test]
fn what_a_page_asks_costs_the_same_however_much_is_stored() -> Result<(), StoreError> {
    const TOLD: &str = "
        INSERT INTO deliveries (incident, episode, receiver, integration, action, alias,
                                notification, state, step, settled_at, created_at)
        SELECT i, 1, 'oncall', 'opsgenie/0', 'trigger', 'a', '{}', 'delivered', '{}', i, i FROM n;
        UPDATE mails SET outcome = 'opened', hold = NULL, authenticity = '{\"verdict\":\"off\"}';
        UPDATE mails SET outcome = 'unparsed' WHERE id <= 3;
        UPDATE deliveries SET state = 'dead' WHERE id <= 3;
        UPDATE deliveries SET state = 'pending', settled_at = NULL WHERE id IN (4, 5, 6);
        UPDATE incidents SET phase = 'firing' WHERE id <= 3;";

    // The sizes are more than one stretch examines, and much more.
    let bills = [6_000, 20_000].map(|size| {
        let store = Counted::new()?;
        store.history(size).map_err(failure)?;
        let connection = &store.connection;
        connection.execute_batch(TOLD).map_err(failure)?;

        let mut bill = BTreeMap::new();
        for _ in 0..2 {
            bill = looks(&store).map_err(failure)?;
        }
        Ok::<_, StoreError>(bill)
    });

    let [small, large] = bills;
    let (small, large) = (small?, large?);
    assert_eq!(small, large);
    assert!(small.values().all(|cost| *cost > 0), "{small:?}");
    Ok(())
}

fn looks(store: &Counted) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut bill = Bill::new(store);
    lists(&mut bill)?;
    glances(&mut bill)?;

    Ok(bill.costs)
}

/// Charges the first page of every list.
fn lists(bill: &mut Bill<'_>) -> rusqlite::Result<()> {
    let store = bill.store;
    let connection = &store.connection;
    let first = Span::first(100);

    for phase in [None, Some(Phase::Firing)] {
        let filter = IncidentFilter {
            phase,
            ..IncidentFilter::default()
        };
        let found = browse::incidents(connection, &filter, first)?;
        bill.charge(format!("incidents, {phase:?}"));
        browse::told(
            connection,
            &found.items.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        )?;
        bill.charge(format!("who was told of them, {phase:?}"));
    }
    for outcome in [None, Some(Outcome::Unparsed), Some(Outcome::Quarantined)] {
        let filter = MailFilter {
            outcome,
            ..MailFilter::default()
        };
        browse::mails(connection, &filter, first)?;
        bill.charge(format!("mails, {outcome:?}"));
    }
    for state in [
        None,
        Some(DeliveryState::Pending),
        Some(DeliveryState::Held),
        Some(DeliveryState::Dead),
    ] {
        let filter = DeliveryFilter {
            state,
            ..DeliveryFilter::default()
        };
        browse::deliveries(connection, &filter, first)?;
        bill.charge(format!("deliveries, {state:?}"));
    }

    Ok(())
}

/// Charges what the bridge's first page asks besides the lists.
fn glances(bill: &mut Bill<'_>) -> rusqlite::Result<()> {
    let store = bill.store;
    let connection = &store.connection;

    glance::lately(connection, 500)?;
    bill.charge("what came lately");
    glance::taken(connection, 500)?;
    bill.charge("what was taken lately");
    glance::count_mails(connection, Outcome::Unparsed, (NOW, 100))?;
    bill.charge("what waits");
    glance::backlogs(connection)?;
    bill.charge("what is owed");
    glance::pulse(connection)?;
    bill.charge("whether anything has changed");

    // Of all courses, only those that have changed since the last look are read.
    let newest: i64 = connection
        .prepare_cached("SELECT max(changed_at) FROM incidents")?
        .query_row([], |row| row.get(0))?;
    let since = kept::time(newest - 9);
    let changed = course::courses(connection, Courses::Changed { since, after: 0 }, 2_000)?;
    assert_eq!(changed.len(), 10);
    bill.charge("how they went");

    Ok(())
}
