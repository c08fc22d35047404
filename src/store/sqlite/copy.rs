//! `store backup` and `store restore`: a copy of the file that is either complete or absent.
//!
//! SQLite's online backup copies one snapshot while others write (sqlite.org/backup.html). The copy
//! is written beside its destination, verified, flushed, and renamed into place.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
    config::DbConfig,
};

use super::{
    check, failure,
    file::{connect, known, own, version},
    mode,
    ours::foreign_object,
    path::{beside, folder_of, given_to},
    turn::{OPENING, Turn},
};
use crate::{crash, store::StoreError};

/// Pages copied between two reports of progress: 4 MiB.
const PAGES_PER_STEP: i32 = 1024;

/// The suffix of a store that is being restored.
const RESTORING: &str = ".restoring";

/// Copies the store at `from` to the file `to`, which may exist only if `overwrite` is set.
/// `progress` receives the number of pages copied so far and their total.
pub fn backup(
    from: &Path,
    to: &Path,
    overwrite: bool,
    progress: impl FnMut(u64, u64),
) -> Result<(), StoreError> {
    if !overwrite && to.exists() {
        return Err(StoreError::Refused(format!(
            "{} already exists: name a new file, or add --overwrite",
            to.display()
        )));
    }

    // A copy renamed over the store, or over a file that belongs to it, would destroy it.
    if ["", "-wal", "-shm", ".lock", OPENING]
        .iter()
        .any(|ending| same(&beside(from, ending), to))
    {
        return Err(StoreError::Refused(format!(
            "{} is the store itself: name another file",
            to.display()
        )));
    }

    let turn = Turn::wait_to_read(from);
    let source = connect(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let version = version(&source)?;
    drop(turn);
    if version == 0 {
        return Err(StoreError::Refused(format!(
            "{} is not an alertbridge store",
            from.display()
        )));
    }

    let temporary = beside(to, ".partial");
    let made = copy(&source, &temporary, progress).and_then(|()| {
        like(&temporary, from).map_err(|error| unwritable(&temporary, &error))?;
        crash::point("copied");
        put(&temporary, to)
    });

    made.inspect_err(|_| discard(&temporary))
}

/// Creates the store at `to` from a backup. The store must be empty or absent, and not in use. The
/// backup is verified first.
pub fn restore(from: &Path, to: &Path, progress: impl FnMut(u64, u64)) -> Result<(), StoreError> {
    if !from.exists() {
        return Err(StoreError::Refused(format!(
            "there is no file {}",
            from.display()
        )));
    }

    // A complete backup has no journal left.
    let journal = beside(from, "-journal");
    if journal.exists() {
        return Err(StoreError::Refused(format!(
            "{} is an incomplete backup: the program that wrote it died and left {}",
            from.display(),
            journal.display()
        )));
    }

    let source = verified(from).map_err(|error| match error {
        StoreError::Damaged(why) => StoreError::Refused(format!(
            "the backup {} is damaged ({why}): restore another; the store was left as \
             it was",
            from.display()
        )),
        other => other,
    })?;

    let _owned = own(to)?;
    if to.exists() {
        let there = connect(to, OpenFlags::default())?;
        if version(&there)? > 0 && !check::is_empty(&there).map_err(failure)? {
            return Err(StoreError::Refused(format!(
                "{} already holds a store: move it away first; it is never overwritten",
                to.display()
            )));
        }
    }

    let temporary = beside(to, RESTORING);
    let made = copy(&source, &temporary, progress).and_then(|()| {
        // This includes the lock file, because root may have created it, and `serve` runs as
        // another user.
        for file in [&temporary, &beside(to, ".lock")] {
            owned_as_its_folder(file, from).map_err(|error| unwritable(file, &error))?;
        }
        crash::point("copied");
        // A log of the empty store would be taken for one of the new file.
        for log in ["-wal", "-shm"] {
            discard(&beside(to, log));
        }
        put(&temporary, to)
    });

    made.inspect_err(|_| discard(&temporary))
}

/// Opens a backup and reads it through.
fn verified(from: &Path) -> Result<Connection, StoreError> {
    let source = connect(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;

    // Until its schema is verified, the file must not run code of its own.
    source
        .set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)
        .map_err(failure)?;
    assert_ours(&source, from)?;
    whole(&source, from)?;

    Ok(source)
}

/// Refuses a file that is not a store, was created by a newer version, or contains foreign objects.
fn assert_ours(source: &Connection, from: &Path) -> Result<(), StoreError> {
    let known = known();
    let found = match version(source)? {
        0 => {
            return Err(StoreError::Refused(format!(
                "{} is not an alertbridge store",
                from.display()
            )));
        }
        found if found > known => return Err(StoreError::Newer { found, known }),
        found => found,
    };

    match foreign_object(source, found)? {
        None => Ok(()),
        Some(what) => Err(StoreError::Refused(format!(
            "{} is not a backup made by alertbridge: {what}; restore another",
            from.display()
        ))),
    }
}

/// Refuses a location where a restore is in progress or was interrupted: an empty store created
/// there would accept mail and block the restore.
pub(super) fn assert_not_half_restored(store: &Path) -> Result<(), StoreError> {
    let half = beside(store, RESTORING);
    if !half.exists() {
        return Ok(());
    }

    if store.exists() {
        let there = connect(store, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        if version(&there)? > 0 && !check::is_empty(&there).map_err(failure)? {
            return Ok(());
        }
    }

    Err(StoreError::Refused(format!(
        "a restore of {} is in progress, or was interrupted: let it finish, or run `alertbridge \
         store restore` again; to begin with an empty store instead, delete {}",
        store.display(),
        half.display()
    )))
}

/// Copies one snapshot into a new file without a log of its own, and verifies it.
fn copy(
    source: &Connection,
    to: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<(), StoreError> {
    discard(to);
    // The file is created exclusively, and is readable by nobody else.
    mode::make(to).map_err(|error| unwritable(to, &error))?;

    let mut copy = Connection::open(to).map_err(failure)?;

    // While the snapshot is held, commits by others do not restart the copy.
    let snapshot = source.unchecked_transaction().map_err(failure)?;
    snapshot
        .query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))
        .map_err(failure)?;
    {
        let backup = Backup::new(&snapshot, &mut copy).map_err(failure)?;
        loop {
            let step = backup.step(PAGES_PER_STEP).map_err(failure)?;
            let at = backup.progress();
            progress(count(at.pagecount - at.remaining), count(at.pagecount));
            crash::point("copying");
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                // Nobody else uses the new file, and the snapshot is held, so the disk must be
                // busy.
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    drop(snapshot);
    copy.pragma_update(None, "journal_mode", "DELETE")
        .map_err(failure)?;
    whole(&copy, to)?;
    drop(copy);

    File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(|error| unwritable(to, &error))
}

/// Returns whether both paths exist and are the same file.
fn same(one: &Path, other: &Path) -> bool {
    let (Ok(one), Ok(other)) = (fs::metadata(one), fs::metadata(other)) else {
        return false;
    };
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn whole(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let verdict: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(failure)?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(StoreError::Damaged(format!(
            "{}: {verdict}",
            path.display()
        )))
    }
}

fn put(temporary: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(temporary, to)
        .and_then(|()| File::open(folder_of(to))?.sync_all())
        .map_err(|error| unwritable(to, &error))
}

/// Gives a file the owner and mode of the store, but never permissions for others.
fn like(file: &Path, store: &Path) -> io::Result<()> {
    let store = fs::metadata(store)?;
    given_to(file, store.uid(), store.gid())?;
    fs::set_permissions(file, fs::Permissions::from_mode(mode::closed(store.mode())))
}

/// Gives a file the mode of the backup, but never permissions for others, and the owner of its
/// folder, as which `serve` runs.
fn owned_as_its_folder(file: &Path, backup: &Path) -> io::Result<()> {
    let folder = fs::metadata(folder_of(file))?;
    given_to(file, folder.uid(), folder.gid())?;
    fs::set_permissions(
        file,
        fs::Permissions::from_mode(mode::closed(fs::metadata(backup)?.mode())),
    )
}

fn discard(path: &Path) {
    // Usually it does not exist.
    let _ = fs::remove_file(path);
}

fn unwritable(path: &Path, error: &io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::StorageFull {
        return StoreError::Failed(format!(
            "{} cannot be written: its disk is full",
            path.display()
        ));
    }
    StoreError::Failed(format!("{} cannot be written: {error}", path.display()))
}

fn count(pages: i32) -> u64 {
    u64::try_from(pages).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_backup_is_named_and_leaves_the_store_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("b.db"), folder.path().join("s.db"));
        for bytes in [&b"no store"[..], b"\x1f\x8b\x08\x00", &[0xff; 9000]] {
            fs::write(&from, bytes).unwrap();
            let refused = restore(&from, &to, |_, _| {}).unwrap_err().to_string();
            for said in ["b.db is damaged", "restore another", "left as it was"] {
                assert!(refused.contains(said), "{refused}");
            }
            assert!(!to.exists());
        }
    }
}
