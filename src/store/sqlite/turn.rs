//! The turn to open a store, which one process has at a time.
//!
//! Creating a file, switching it to a write-ahead log and migrating it are several steps, and
//! SQLite's own locks cover each of them separately. The first process takes the turn, and the
//! others find a complete store.

use std::{
    fs::File,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use super::path::{beside, folder_of, given_to, real};

/// The suffix of the lock file for opening a store.
pub(super) const OPENING: &str = ".opening";

/// The turn to open a store. It ends when this guard is dropped, or with the process.
pub(super) struct Turn {
    _locked: Option<File>,
}

impl Turn {
    /// Waits for the turn to open a store that may have to be created or migrated.
    pub(super) fn wait(store: &Path) -> Self {
        let store = &real(store);
        let path = beside(store, OPENING);
        let is_new = !path.exists();
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .ok();

        if is_new && let Ok(folder) = folder_of(store).metadata() {
            // If root creates it, `serve`, which runs as the folder's owner, must be able to lock
            // it too.
            let _ = given_to(&path, folder.uid(), folder.gid());
        }

        Self::of(file)
    }

    /// Waits for any process that creates or migrates a store that this one only reads.
    pub(super) fn wait_to_read(store: &Path) -> Self {
        Self::of(
            File::options()
                .write(true)
                .open(beside(&real(store), OPENING))
                .ok(),
        )
    }

    /// Locks the file, if there is one. If it cannot be created, the folder is read-only or another
    /// user's, and then nobody else can create a store there.
    fn of(file: Option<File>) -> Self {
        Self {
            _locked: file.filter(|file| file.lock().is_ok()),
        }
    }
}
