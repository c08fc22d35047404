//! Who may read the files of a store: its owner. They hold what mails say and what is told to whom.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use super::path::beside;

/// What everybody may do with a file.
const WORLD: u32 = 0o007;
const GROUP: u32 = 0o070;

/// The mode a store or a backup is given in place of the one it has: one that is open to everybody,
/// as an ordinary umask leaves it, becomes its owner's alone; a group that was let in stays.
pub(super) fn closed(mode: u32) -> u32 {
    if mode & WORLD == 0 {
        mode & 0o770 | 0o600
    } else {
        0o600
    }
}

/// Makes an empty file that is its owner's alone. SQLite gives its logs the same mode.
pub(super) fn make(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// Opens a file that is its owner's alone, and makes it where it is not there. Whoever could read a
/// lock could hold it.
pub(super) fn own(path: &Path) -> io::Result<File> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;

    let mode = file.metadata()?.mode() & 0o777;
    if mode & WORLD != 0 {
        // Of another user's it stays as it is.
        let _ = file.set_permissions(Permissions::from_mode(closed(mode)));
    }

    Ok(file)
}

/// Closes the files of a store to everybody but its owner and its group; warns of what stays open.
pub(super) fn tighten(store: &Path) {
    for path in ["", "-wal", "-shm"].map(|ending| beside(store, ending)) {
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        let mode = metadata.mode() & 0o777;
        if mode & WORLD != 0 {
            match fs::set_permissions(&path, Permissions::from_mode(closed(mode))) {
                Ok(()) => {
                    tracing::warn!(path = %path.display(), "everybody could read the store: its mode is now 0600");
                }
                Err(error) => tracing::warn!(
                    path = %path.display(), %error, "everybody can read the store: `chmod 600` as its owner closes it"
                ),
            }
        } else if mode & GROUP != 0 {
            tracing::debug!(path = %path.display(), mode = format!("{mode:o}"), "the store's group may use it too");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::closed;

    #[test]
    fn what_everybody_may_read_becomes_its_owners_alone_and_a_group_that_was_let_in_stays() {
        for (before, after) in [
            (0o644, 0o600),
            (0o664, 0o600),
            (0o666, 0o600),
            (0o640, 0o640),
            (0o660, 0o660),
            (0o400, 0o600),
        ] {
            assert_eq!(closed(before), after, "{before:o}");
        }
    }
}
