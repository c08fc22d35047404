//! Stores a refresh token in its file: atomically, and for its owner alone.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

/// Replaces the file's content atomically, even across a crash. A link stays a link; an existing
/// file keeps its permissions, and a new one is readable by its owner alone.
pub(super) fn write(path: &Path, token: &str) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
    let fresh = path.with_file_name(format!(
        ".{}.{}",
        name.to_string_lossy(),
        std::process::id()
    ));

    let written = fill(&fresh, &path, token).and_then(|()| fs::rename(&fresh, &path));

    if written.is_err() {
        // Either there was no file, or nothing more can be done about it.
        let _ = fs::remove_file(&fresh);
        return written;
    }

    // The new name of the file must survive a power failure as well.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));

    File::open(folder)?.sync_all()
}

fn fill(fresh: &Path, old: &Path, token: &str) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(fresh)?;

    if let Ok(old) = fs::metadata(old) {
        file.set_permissions(fs::Permissions::from_mode(old.permissions().mode() & 0o777))?;
    }

    writeln!(file, "{token}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_its_owners_alone_and_an_old_one_stays_as_open_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        write(&path, "first").unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), mode()),
            ("first\n", 0o600)
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write(&path, "second").unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), mode()),
            ("second\n", 0o640)
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_to_the_file_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("token"), folder.path().join("link"));
        write(&path, "first").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "second").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second\n");
        assert!(link.is_symlink());
    }

    #[test]
    fn where_it_cannot_be_written_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, "token").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
