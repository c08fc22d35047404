//! Opening a store: one process at a time.
//!
//! Making a file, switching it to a write-ahead log and migrating it are several steps, and
//! SQLite's own locks cover each of them alone. Whoever comes first takes the turn; the others find
//! a store that is whole.

use std::{
    fs::File,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use super::path::{beside, folder_of, given_to, real};

/// What ends the name of the file that whoever opens a store locks.
pub(super) const OPENING: &str = ".opening";

/// The turn to open a store; it ends when this is dropped, or with the process.
pub(super) struct Turn {
    _locked: Option<File>,
}

impl Turn {
    /// Waits for the turn to open a store that may have to be made or migrated.
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
            // Where root makes it, `serve`, which runs as the owner of the folder, takes turns too.
            let _ = given_to(&path, folder.uid(), folder.gid());
        }

        Self::of(file)
    }

    /// Waits for whoever makes or migrates a store that is only read.
    pub(super) fn wait_to_read(store: &Path) -> Self {
        Self::of(
            File::options()
                .write(true)
                .open(beside(&real(store), OPENING))
                .ok(),
        )
    }

    /// Where the file cannot be made the folder is read-only or another user's: nobody else can
    /// make a store there.
    fn of(file: Option<File>) -> Self {
        Self {
            _locked: file.filter(|file| file.lock().is_ok()),
        }
    }
}
