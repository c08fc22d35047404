//! Checks that a store's file is still the one that was opened: a file that was removed or replaced
//! accepts every change and keeps none.

use std::{
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::store::StoreError;

/// A file, identified by its device and inode, which no other file has while it is open.
pub(super) struct Identity {
    path: PathBuf,
    number: (u64, u64),
}

impl Identity {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            number: number(&path.metadata()?),
        })
    }

    /// Fails if the path now leads to another file, or to none.
    pub(super) fn assert_same(&self) -> Result<(), StoreError> {
        match self.path.metadata() {
            Ok(found) if number(&found) == self.number => Ok(()),
            _ => Err(StoreError::Failed(format!(
                "{} was removed or replaced while it was in use, and anything written to it would \
                 be lost: put the file back, or restart alertbridge to use the file that is there \
                 now",
                self.path.display()
            ))),
        }
    }
}

fn number(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_was_removed_replaced_or_put_back_is_told_from_another() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("a.db"), folder.path().join("b.db"));
        fs::write(&path, "x").unwrap();
        let identity = Identity::of(&path).unwrap();
        assert!(identity.assert_same().is_ok());

        fs::rename(&path, &aside).unwrap();
        assert!(identity.assert_same().is_err(), "removed");

        fs::write(&path, "x").unwrap();
        assert!(identity.assert_same().is_err(), "replaced");

        fs::rename(&aside, &path).unwrap();
        assert!(identity.assert_same().is_ok(), "put back");
    }
}
