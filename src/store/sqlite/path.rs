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

/// Only root may give files away; files that others create are their own.
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

/// The file that a path leads to. SQLite follows symbolic links, so files beside a store lie beside
/// the real file, whatever name it is opened by.
pub(super) fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }

    // A link to a file that does not exist yet.
    match path.read_link() {
        Ok(target) => folder_of(path).join(target),
        Err(_) => path.to_owned(),
    }
}

/// The free space where a file is or will be.
pub(in crate::store) fn room_beside(path: &Path) -> Option<Room> {
    concern::room(folder_of(path))
}

/// Whether this user may create files beside one.
pub(in crate::store) fn may_write_beside(path: &Path) -> io::Result<()> {
    Ok(access(folder_of(path), Access::WRITE_OK | Access::EXEC_OK)?)
}
