//! The file of a store: its lock, its owner, its schema, and how it is opened.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use rustix::fs::{Access, access};

use super::{
    failure, mode,
    path::{beside, folder_of, real},
    turn::Turn,
};
use crate::{crash, store::StoreError};

refinery::embed_migrations!("schema/migrations/sqlite");

/// How long a commit waits for another process (`alertbridge deliveries retry` beside `serve`).
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// The number of statements that a connection keeps prepared, which is more than one mail needs.
const STATEMENTS: usize = 64;

/// Locks the store at a path, whether it exists or not, for one `serve` until the guard is dropped.
/// Short commands need no lock.
pub fn own(path: &Path) -> Result<File, StoreError> {
    assert_placed(path)?;
    warn_of_other_names(path);

    let name = beside(&real(path), ".lock");
    let file = mode::own(&name).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied if name.exists() && access(path, Access::WRITE_OK).is_ok() => {
            StoreError::Refused(format!(
                "the lock file {} belongs to another user: remove it while no `alertbridge serve` \
                 runs, or give it to the user that does",
                name.display()
            ))
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => StoreError::ReadOnly,
        ErrorKind::StorageFull => StoreError::Full,
        _ => StoreError::Failed(format!(
            "cannot create the lock file {}: {error}",
            name.display()
        )),
    })?;

    file.try_lock().map_err(|_| StoreError::Locked)?;

    Ok(file)
}

/// Warns if the file has other names. A second process that opens the same file by another name
/// would write its own log and damage the store (<https://www.sqlite.org/howtocorrupt.html>, 2.5).
/// The lock does not prevent that, because it depends on the name.
fn warn_of_other_names(path: &Path) {
    if let Ok(names) = path.metadata().map(|file| file.nlink())
        && names > 1
    {
        tracing::warn!(
            path = %path.display(), names,
            "the store's file has other names (hard links): a program that opened it by one of \
             them would damage it; remove them, and copy with `alertbridge store backup`"
        );
    }
}

/// Returns the newest version of the schema that this program knows.
pub(super) fn known() -> i32 {
    migrations::runner()
        .get_migrations()
        .iter()
        .map(refinery::Migration::version)
        .max()
        .unwrap_or(0)
}

/// Returns the version of the schema in a file, which is 0 if there is none, and the version that
/// this program knows. It does not migrate.
pub fn versions(path: &Path) -> Result<(i32, i32), StoreError> {
    let known = known();
    if !path.exists() {
        return Ok((0, known));
    }
    assert_placed(path)?;
    let _turn = Turn::wait_to_read(path);
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failure)?;
    Ok((version(&connection)?, known))
}

/// Refuses the file of another program, so that nothing is written to it.
pub(super) fn assert_not_anothers(path: &Path) -> Result<(), StoreError> {
    let anothers = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(
        |connection| {
            connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM sqlite_master)
                AND NOT EXISTS (SELECT 1 FROM sqlite_master
                                WHERE name = 'refinery_schema_history')",
                [],
                |row| row.get(0),
            )
        },
    );

    // Any other problem shows when the file is opened.
    if anothers.unwrap_or(false) {
        return Err(StoreError::Failed(format!(
            "{} is not an alertbridge store: name a file that does not exist yet, or one that \
             holds a store",
            path.display()
        )));
    }

    Ok(())
}

/// Returns the version of the schema, which is 0 if the file is not a store yet.
pub(super) fn version(connection: &Connection) -> Result<i32, StoreError> {
    let made: bool = connection
        .query_row(
            "SELECT count(*) FROM sqlite_master WHERE type = 'table'
               AND name = 'refinery_schema_history'",
            [],
            |row| row.get(0),
        )
        .map_err(failure)?;

    if !made {
        return Ok(0);
    }

    connection
        .query_row(
            "SELECT coalesce(max(version), 0) FROM refinery_schema_history",
            [],
            |row| row.get(0),
        )
        .map_err(failure)
}

/// Refuses a path without a folder, or one that is not a file.
///
/// The folder is not created. If it is mistyped, or on a disk that is not mounted, that would begin
/// an empty store, and the pending deliveries of the real one would wait unseen. A path that is not
/// a file is left as it is.
pub(in crate::store) fn assert_placed(path: &Path) -> Result<(), StoreError> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(StoreError::Refused(format!(
            "there is no folder {}: create it for the user that runs alertbridge, mount it, or \
             name another file",
            folder.display()
        )));
    }

    match path.metadata() {
        Ok(found) if found.is_dir() => Err(StoreError::Refused(format!(
            "{0} is a folder: name a file in it, such as {0}/alertbridge.db",
            path.display()
        ))),
        Ok(found) if !found.is_file() => Err(StoreError::Refused(format!(
            "{} is not a regular file: name one, or a file that does not exist yet",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// Creates the file of a new store for its owner alone, and removes the permissions for others from
/// an existing one.
pub(super) fn keep_private(path: &Path) -> Result<(), StoreError> {
    assert_placed(path)?;
    match mode::make(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if path.metadata().is_ok_and(|file| file.len() == 0) {
                tracing::warn!(
                    path = %path.display(),
                    "the store's file is empty, and a new store is created in it. If it held a \
                     store before, stop, and restore a backup (`alertbridge store restore`)"
                );
            }
            mode::tighten(path);
        }
        // SQLite reports the problem when it opens the file.
        Err(_) => {}
    }
    Ok(())
}

pub(super) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    assert_placed(path)?;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        plan_once(&connection)?;
        if !flags.contains(OpenFlags::SQLITE_OPEN_READ_ONLY) {
            // This must be set on a new file before anything is written, so that retention can
            // return space.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            // Otherwise SQLite writes savepoint journals, which are most of what a mail writes, to
            // a file in /var/tmp.
            connection.pragma_update(None, "temp_store", "MEMORY")?;
        }
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(connection)
    };

    open().map_err(|error| {
        let cannot_open = error.sqlite_error_code() == Some(ErrorCode::CannotOpen);
        match failure(error) {
            StoreError::Failed(_) if cannot_open => why_not_opened(path),
            StoreError::Failed(why) => {
                StoreError::Failed(format!("cannot open {}: {why}", path.display()))
            }
            other => other,
        }
    })
}

/// Lets a connection plan each of its statements once.
pub(super) fn plan_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Without this, a statement with a parameter that could match a partial index is planned again
    // at every use, which takes several times as long as running it.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(|_| ())
}

/// Finds out what SQLite does not say when it cannot open a file: the system's error for that file,
/// or for the files beside it.
fn why_not_opened(path: &Path) -> StoreError {
    let named = |what: &str, error: &io::Error| match error.kind() {
        ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly,
        _ => StoreError::Failed(format!("cannot open {what}: {error}")),
    };

    if let Err(error) = File::open(path) {
        return named(&path.display().to_string(), &error);
    }

    let probe = beside(path, ".probe");
    match File::create_new(&probe) {
        Ok(_) => {
            // The probe file is of no further use.
            let _ = fs::remove_file(&probe);
            StoreError::Failed(format!("SQLite cannot open {}", path.display()))
        }
        Err(error) => StoreError::Failed(format!(
            "SQLite must create files beside {} and cannot: {error}. Free space on that disk, or \
             make its folder writable for this user",
            path.display()
        )),
    }
}

pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let known = known();
    let found = version(connection)?;

    if found > known {
        return Err(StoreError::Newer { found, known });
    }

    if found < known {
        crash::point("migrating");
        // The migration of a table drops the old table first, and must not delete the rows that
        // reference it.
        connection
            .pragma_update(None, "foreign_keys", false)
            .map_err(failure)?;
        // The migrations are grouped, so that a migration and its record are one commit: otherwise
        // a kill in between would break the store.
        migrations::runner()
            .set_grouped(true)
            .run(connection)
            .map_err(|error| StoreError::Failed(format!("the migration failed: {error}")))?;
        connection
            .pragma_update(None, "foreign_keys", true)
            .map_err(failure)?;
        crash::point("migrated");
    }

    Ok(())
}
