//! Paths beside a store, and the owners of its files.

use std::{
    ffi::OsString,
    io,
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

use super::concern;
use crate::store::Room;

/// Gives a file to an owner and group. Only root may do so; a file that anybody else creates stays
/// theirs.
pub(super) fn given_to(file: &Path, owner: u32, group: u32) -> io::Result<()> {
    match chown(file, Some(owner), Some(group)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Returns the file that a path leads to. SQLite follows symbolic links, so its files are beside
/// the real file, whatever name the store is opened by.
pub(super) fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }

    // The path may be a link to a file that does not exist yet.
    match path.read_link() {
        Ok(target) => folder_of(path).join(target),
        Err(_) => path.to_owned(),
    }
}

/// Returns the free space where a file is or will be.
pub(in crate::store) fn room_beside(path: &Path) -> Option<Room> {
    concern::room(folder_of(path))
}

/// Checks that this user may create files beside a path.
pub(in crate::store) fn may_write_beside(path: &Path) -> io::Result<()> {
    Ok(access(folder_of(path), Access::WRITE_OK | Access::EXEC_OK)?)
}
