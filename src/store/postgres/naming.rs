//! The names of integrations: see [`naming`].

use tokio_postgres::Row;

use super::{
    connection::{Database, Flight},
    row::{at, target_at, unsigned_at},
};
use crate::{
    delivery::{
        Target,
        naming::{self, Entry, Fingerprint, Named},
    },
    store::{
        StoreError,
        naming::{NAMES, OPEN_BY_PROFILE, OUTSTANDING, Outstanding},
    },
};

/// Makes replicas that start at once name integrations one after the other.
const TAKE_TURN: &str = "LOCK TABLE integrations IN SHARE ROW EXCLUSIVE MODE";

const WRITE: &str = "
INSERT INTO integrations (receiver, integration, place, fingerprint, site, address, next_receiver,
                          next_integration)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[],
                     $7::text[], $8::text[])
ON CONFLICT (receiver, integration) DO UPDATE
SET place = excluded.place, fingerprint = excluded.fingerprint, site = excluded.site,
    address = excluded.address, next_receiver = excluded.next_receiver,
    next_integration = excluded.next_integration";

/// Returns the names that were given before.
pub(super) async fn known(database: &Database) -> Result<Vec<Named>, StoreError> {
    let rows = database.query(NAMES, &[]).await?;
    rows.iter().map(named).collect()
}

pub(super) async fn name(database: &Database, entries: &[Entry]) -> Result<Vec<Named>, StoreError> {
    let transaction = database.begin().await?;
    let mut flight = Flight::default();
    flight
        .add("BEGIN", vec![])
        .add(TAKE_TURN, vec![])
        .add(NAMES, vec![]);
    let answers = transaction.send(flight).await?;
    let known = answers[2].iter().map(named);
    let known = known.collect::<Result<Vec<_>, _>>()?;

    let names = naming::name(known.clone(), entries);
    let new: Vec<&Named> = names.iter().filter(|name| !known.contains(name)).collect();
    let column = |of: fn(&Named) -> &str| new.iter().map(|name| of(name)).collect::<Vec<_>>();
    let next = |of: fn(&Target) -> &str| {
        let next = new.iter().map(|name| name.next.as_ref().map(of));
        next.collect::<Vec<_>>()
    };
    let receivers = column(|name| &name.target.receiver);
    let integrations = column(|name| &name.target.integration);
    let places: Vec<_> = new.iter().map(|name| name.place.map(i64::from)).collect();
    let fingerprints = column(|name| &name.fingerprint.whole);
    let sites = column(|name| &name.fingerprint.site);
    let addresses = column(|name| &name.fingerprint.address);
    let next_receivers = next(|next| &next.receiver);
    let next_integrations = next(|next| &next.integration);

    let mut flight = Flight::default();
    flight.add(
        WRITE,
        vec![
            &receivers,
            &integrations,
            &places,
            &fingerprints,
            &sites,
            &addresses,
            &next_receivers,
            &next_integrations,
        ],
    );
    transaction.commit(flight).await?;
    Ok(names)
}

fn named(row: &Row) -> Result<Named, StoreError> {
    let next: (Option<String>, Option<String>) =
        (at(row, "next_receiver")?, at(row, "next_integration")?);
    Ok(Named {
        target: target_at(row)?,
        place: at::<Option<i64>>(row, "place")?.and_then(|place| u32::try_from(place).ok()),
        fingerprint: Fingerprint {
            whole: at(row, "fingerprint")?,
            site: at(row, "site")?,
            address: at(row, "address")?,
        },
        next: next.0.zip(next.1).map(|(receiver, integration)| Target {
            receiver,
            integration,
        }),
    })
}

pub(super) async fn outstanding(database: &Database) -> Result<Vec<Outstanding>, StoreError> {
    let rows = database.query(OUTSTANDING, &[]).await?;
    let outstanding = rows.iter().map(|row| {
        Ok(Outstanding {
            target: target_at(row)?,
            owed: unsigned_at(row, "owed")?,
            told: unsigned_at(row, "told")?,
        })
    });
    outstanding.collect()
}

pub(super) async fn open_by_profile(database: &Database) -> Result<Vec<(String, u64)>, StoreError> {
    let rows = database.query(OPEN_BY_PROFILE, &[]).await?;
    let open = rows
        .iter()
        .map(|row| Ok((at(row, "profile")?, unsigned_at(row, "open")?)));
    open.collect()
}
