//! A check that this program created a file's schema, because a trigger or a view in a backup would
//! run in the bridge.

use std::collections::BTreeMap;

use refinery::Target;
use rusqlite::Connection;

use super::{failure, file::migrations};
use crate::store::StoreError;

/// The objects of a schema: the type and name of each, and the statement that created it.
type Objects = BTreeMap<(String, String), Option<String>>;

/// Describes the first object of a file that does not belong to this version's schema, or returns
/// `None` if all objects do.
pub(super) fn foreign_object(
    connection: &Connection,
    version: i32,
) -> Result<Option<String>, StoreError> {
    let expected = expected(version)?;
    let found = objects(connection)?;

    for (object, statement) in &found {
        let (kind, name) = object;
        match expected.get(object) {
            Some(made) if made == statement => {}
            Some(_) => {
                return Ok(Some(format!(
                    "its {kind} {name} is not as alertbridge creates it"
                )));
            }
            None => return Ok(Some(format!("alertbridge creates no {kind} {name}"))),
        }
    }

    let missing = expected.keys().find(|object| !found.contains_key(object));

    Ok(missing.map(|(kind, name)| format!("it lacks the {kind} {name}")))
}

/// Returns the objects that the migrations up to a version create.
fn expected(version: i32) -> Result<Objects, StoreError> {
    let mut fresh = Connection::open_in_memory().map_err(failure)?;
    // As in a migration of a store, foreign keys are off, because the other tables' statements
    // reference a table that is rebuilt.
    fresh
        .pragma_update(None, "foreign_keys", false)
        .map_err(failure)?;
    migrations::runner()
        .set_target(Target::Version(version))
        .run(&mut fresh)
        .map_err(|error| {
            StoreError::Failed(format!(
                "the schema to compare with could not be made: {error}"
            ))
        })?;

    objects(&fresh)
}

/// Returns all objects but SQLite's own statistics, which hold only numbers.
fn objects(connection: &Connection) -> Result<Objects, StoreError> {
    let mut statement = connection
        .prepare(
            "SELECT type, name, sql FROM sqlite_master
             WHERE NOT (type = 'table' AND name GLOB 'sqlite_stat[0-9]')",
        )
        .map_err(failure)?;

    let rows = statement
        .query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))
        .map_err(failure)?;
    rows.collect::<Result<_, _>>().map_err(failure)
}
