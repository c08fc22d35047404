//! Checks the store: who may read it, its version, whether it can be written, and the free space.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use super::{
    Deployment,
    finding::{Checked, Finding},
};
use crate::{
    serve::store_place,
    store::{StoreError, place::Place},
};

const ABOUT: &str = "store.url";

pub async fn check(deployment: &Deployment) -> Checked {
    let place = match store_place(&deployment.config) {
        Ok(place) => place,
        Err(error) => {
            let mend = "write `sqlite:FILE` or `postgres://user:password@host/database`";
            return vec![Finding::wrong("store", ABOUT, format!("{error:#}"), mend)].into();
        }
    };

    let mut findings = Vec::new();
    if let Place::File(path) = &place {
        findings.extend(permissions(path));
    }
    findings.extend(room(&place));

    // Opening the store would fix its permissions, and this command must change nothing.
    if !findings.iter().any(|found| found.check == "permissions") {
        findings.push(opened(&place).await);
    }

    findings.into()
}

/// Reports whether everybody may read the mails and pages.
fn permissions(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.mode() & 0o777;
    (mode & 0o007 != 0).then(|| {
        let what = format!(
            "any user of this machine can read {} (its mode is {mode:04o})",
            path.display()
        );
        let mend = format!("chmod 600 {}", path.display());
        Finding::wrong("permissions", ABOUT, what, mend)
    })
}

fn room(place: &Place) -> Option<Finding> {
    let room = place.room()?;
    let (free, little) = (room.free >> 20, room.little() >> 20);
    let what = format!("{free} MiB are free on the file system of {place}");

    Some(if room.free < room.little() {
        let mend = format!(
            "free some space on its file system, at least {little} MiB, or shorten \
             store.mail_retention"
        );
        Finding::wrong("disk", ABOUT, what, mend)
    } else {
        Finding::ok("disk", ABOUT, what)
    })
}

/// Opens a store of this version and writes to it, without changing its content. It leaves an older
/// one for `serve` to migrate, and a missing one for `serve` to create.
async fn opened(place: &Place) -> Finding {
    let is_new = matches!(place, Place::File(path) if !path.exists());
    if is_new {
        return to_be_made(place);
    }

    let (found, known) = match place.versions().await {
        Ok(versions) => versions,
        Err(error) => return unusable(place, &error),
    };

    if found > known {
        let what = format!("{place} has schema version {found}, newer than this program's {known}");
        return Finding::wrong(
            "store",
            ABOUT,
            what,
            "run the version of alertbridge that created it, or a newer one",
        );
    }

    if found < known {
        let what = if found == 0 {
            format!("{place} has no store yet: `serve` creates it")
        } else {
            format!("{place} has schema version {found}: `serve` migrates it to {known}")
        };
        return Finding::ok("store", ABOUT, what);
    }

    let written = async {
        let store = place.open().await?;
        store.ping().await
    };
    match written.await {
        Ok(()) => {
            let what = format!("{place} has schema version {known} and is writable");
            Finding::ok("store", ABOUT, what)
        }
        Err(error) => unusable(place, &error),
    }
}

fn to_be_made(place: &Place) -> Finding {
    if let Some(error) = place.misplaced() {
        return unusable(place, &error);
    }

    let Some(error) = place.unwritable_folder() else {
        let what = format!("{place} does not exist yet, and `serve` can create it");
        return Finding::ok("store", ABOUT, what);
    };
    let mend =
        "let the user that runs alertbridge write to its folder, or name another in store.url";
    Finding::wrong(
        "store",
        ABOUT,
        format!("{place} cannot be created: {error}"),
        mend,
    )
}

fn unusable(place: &Place, error: &StoreError) -> Finding {
    let mend = match (error, place) {
        (StoreError::Full, _) => "free some space where the store is",
        (StoreError::ReadOnly, _) => {
            "let the user that runs alertbridge write to the store, its folder and its lock file"
        }
        (StoreError::Locked, _) => "find the other process that holds the store, and stop it",
        (StoreError::Damaged(_), _) => {
            "`alertbridge store check` reports what is damaged; `alertbridge store restore` \
             restores a backup"
        }
        (StoreError::Newer { .. }, _) => {
            "start the version of alertbridge that created it, or a later one"
        }
        (StoreError::Refused(_), _) => "correct store.url, or what it names",
        (_, Place::File(_)) => {
            "let the user that runs alertbridge read and write the file and its folder; \
             `alertbridge store check` says whether it is intact"
        }
        (_, Place::Database(_)) => {
            "check that PostgreSQL runs and accepts this user: `psql` with the same address"
        }
    };
    Finding::wrong("store", ABOUT, format!("{place}: {error}"), mend)
}
