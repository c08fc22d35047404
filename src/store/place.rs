//! The location of the store: `store.url`.

use std::{fmt, fs::File, path::PathBuf, sync::Arc};

use jiff::Timestamp;

use crate::{
    settings::Problem,
    store::{
        Room, Store, StoreError, Totals,
        audit::{Extent, Finding},
        postgres::{self, Address, Misaddressed, Postgres},
        sqlite::{self, Sqlite},
    },
};

/// The location of a store. It is printed without its password.
#[derive(Debug, Clone)]
pub enum Place {
    File(PathBuf),
    Database(Box<Address>),
}

impl Place {
    /// Parses a URL. A problem is reported for the configuration's `key`, without the password.
    pub fn parse(key: &str, url: &str) -> Result<Self, Problem> {
        match url.split_once(':') {
            Some(("sqlite", file)) if !file.trim_start_matches('/').is_empty() => {
                Ok(Self::File(file.strip_prefix("//").unwrap_or(file).into()))
            }
            Some(("sqlite", _)) => Err(Problem::new(
                key,
                "it names no file",
                "write `sqlite:alertbridge.db`",
            )),
            Some(("postgres" | "postgresql", _)) => match Address::parse(url) {
                Ok(address) => Ok(Self::Database(Box::new(address))),
                Err(Misaddressed { what, mend }) => Err(Problem::new(key, what, mend)),
            },
            _ => {
                let mend =
                    "write `sqlite:alertbridge.db`, or `postgres://user:password@host/database`";
                Err(Problem::new(key, "this is not a store", mend))
            }
        }
    }

    /// Opens the store, creates it if there is none, and migrates its schema.
    pub async fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self {
            Self::File(path) => Arc::new(Sqlite::open(path)?),
            Self::Database(address) => Arc::new(Postgres::open(address).await?),
        })
    }

    /// Returns why no store can be at this location: its folder is missing, or the path is not a
    /// file.
    pub fn misplaced(&self) -> Option<StoreError> {
        match self {
            Self::File(path) => sqlite::assert_placed(path).err(),
            Self::Database(_) => None,
        }
    }

    /// Returns the free space where the file is or will be; `None` for a database, which does not
    /// report it.
    pub fn room(&self) -> Option<Room> {
        match self {
            Self::File(path) => sqlite::room_beside(path),
            Self::Database(_) => None,
        }
    }

    /// Returns why a missing file cannot be created.
    pub fn unwritable_folder(&self) -> Option<std::io::Error> {
        match self {
            Self::File(path) => sqlite::may_write_beside(path).err(),
            Self::Database(_) => None,
        }
    }

    /// Opens the store for `serve`. A SQLite file is locked for this process until the second value
    /// is dropped.
    pub async fn own(&self) -> Result<(Arc<dyn Store>, Option<File>), StoreError> {
        let Self::File(path) = self else {
            return Ok((self.open().await?, None));
        };
        // The lock is taken first, so that only one of two processes that start with a new file
        // creates it.
        let owned = sqlite::own(path)?;
        Ok((Arc::new(Sqlite::open(path)?), Some(owned)))
    }

    /// Lists everything that is wrong with the store, and returns how much it holds. It only reads.
    /// `progress` receives the number of mails read so far and their total.
    pub async fn check(
        &self,
        now: Timestamp,
        extent: Extent,
        progress: impl FnMut(u64, u64) + Send,
    ) -> Result<(Vec<Finding>, Totals), StoreError> {
        match self {
            Self::File(path) => sqlite::check(path, now, extent, progress),
            Self::Database(address) => postgres::check(address, now, extent, progress).await,
        }
    }

    /// Returns the version of the store's schema, which is 0 if there is none yet, and the version
    /// that this program knows.
    pub async fn versions(&self) -> Result<(i32, i32), StoreError> {
        match self {
            Self::File(path) => sqlite::versions(path),
            Self::Database(address) => postgres::versions(address).await,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Database(address) => address.fmt(f),
        }
    }
}
