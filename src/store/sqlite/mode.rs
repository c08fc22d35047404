//! The permissions of a store's files. Only their owner may read them, because they hold the
//! content of mails and pages.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use super::path::beside;

/// The permission bits for others.
const WORLD: u32 = 0o007;
const GROUP: u32 = 0o070;

/// Returns the mode for a store or a backup. Permissions for others, which an ordinary umask
/// leaves, are removed. A group that was given access keeps it.
pub(super) fn closed(mode: u32) -> u32 {
    if mode & WORLD == 0 {
        mode & 0o770 | 0o600
    } else {
        0o600
    }
}

/// Creates an empty file that only its owner can access. SQLite gives its logs the same mode.
pub(super) fn make(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// Opens a file that only its owner may read, and creates it if it is missing. Other users must not
/// read it, because whoever can read a lock file can hold the lock.
pub(super) fn own(path: &Path) -> io::Result<File> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;

    let mode = file.metadata()?.mode() & 0o777;
    if mode & WORLD != 0 {
        // Another user's file stays as it is.
        let _ = file.set_permissions(Permissions::from_mode(closed(mode)));
    }

    Ok(file)
}

/// Removes permissions for others from the files of a store, and warns about what stays open.
pub(super) fn tighten(store: &Path) {
    for path in ["", "-wal", "-shm"].map(|ending| beside(store, ending)) {
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        let mode = metadata.mode() & 0o777;
        if mode & WORLD != 0 {
            match fs::set_permissions(&path, Permissions::from_mode(closed(mode))) {
                Ok(()) => {
                    tracing::warn!(path = %path.display(), "everybody could read the store: its \
                        mode is now 0600");
                }
                Err(error) => tracing::warn!(
                    path = %path.display(), %error, "everybody can read the store: `chmod 600` as \
                        its owner closes it"
                ),
            }
        } else if mode & GROUP != 0 {
            tracing::debug!(path = %path.display(), mode = format!("{mode:o}"), "the store's group \
                may use it too");
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
