//! The names of integrations: see [`naming`].

use rusqlite::{Connection, Row, params};

use super::row::target;
use crate::{
    delivery::{
        Target,
        naming::{self, Entry, Fingerprint, Named},
    },
    store::naming::{NAMES, OPEN_BY_PROFILE, OUTSTANDING, Outstanding},
};

/// Returns the names that were given before.
pub(super) fn known(connection: &Connection) -> rusqlite::Result<Vec<Named>> {
    connection
        .prepare_cached(NAMES)?
        .query_map([], named)?
        .collect()
}

pub(super) fn name(connection: &Connection, entries: &[Entry]) -> rusqlite::Result<Vec<Named>> {
    let known = known(connection)?;
    let names = naming::name(known.clone(), entries);

    for name in names.iter().filter(|name| !known.contains(name)) {
        let next = name.next.as_ref();
        connection
            .prepare_cached(
                "INSERT INTO integrations (receiver, integration, place, fingerprint, site, address,
                                           next_receiver, next_integration)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT DO UPDATE
                 SET place = excluded.place, fingerprint = excluded.fingerprint,
                     site = excluded.site, address = excluded.address,
                     next_receiver = excluded.next_receiver,
                     next_integration = excluded.next_integration",
            )?
            .execute(params![
                name.target.receiver,
                name.target.integration,
                name.place,
                name.fingerprint.whole,
                name.fingerprint.site,
                name.fingerprint.address,
                next.map(|next| &next.receiver),
                next.map(|next| &next.integration),
            ])?;
    }

    Ok(names)
}

fn named(row: &Row<'_>) -> rusqlite::Result<Named> {
    let next: (Option<String>, Option<String>) =
        (row.get("next_receiver")?, row.get("next_integration")?);
    Ok(Named {
        target: target(row)?,
        place: row.get("place")?,
        fingerprint: Fingerprint {
            whole: row.get("fingerprint")?,
            site: row.get("site")?,
            address: row.get("address")?,
        },
        next: next.0.zip(next.1).map(|(receiver, integration)| Target {
            receiver,
            integration,
        }),
    })
}

pub(super) fn outstanding(connection: &Connection) -> rusqlite::Result<Vec<Outstanding>> {
    connection
        .prepare_cached(OUTSTANDING)?
        .query_map([], |row| {
            Ok(Outstanding {
                target: target(row)?,
                owed: row.get::<_, i64>("owed")?.unsigned_abs(),
                told: row.get::<_, i64>("told")?.unsigned_abs(),
            })
        })?
        .collect()
}

pub(super) fn open_by_profile(connection: &Connection) -> rusqlite::Result<Vec<(String, u64)>> {
    connection
        .prepare_cached(OPEN_BY_PROFILE)?
        .query_map([], |row| {
            let open: i64 = row.get("open")?;
            Ok((row.get("profile")?, open.unsigned_abs()))
        })?
        .collect()
}
