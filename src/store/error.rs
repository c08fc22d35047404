//! The errors of a store.

/// A failure of the store, in the operator's terms.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk is full: nothing was stored, and what was stored before is kept.
    #[error("the store's disk is full: free some space, or shorten `store.mail_retention`")]
    Full,
    /// A change panicked, which is a fault of this program. Only that change was undone.
    #[error("a change to the store panicked")]
    Panicked,
    /// The file, its folder or its disk is read-only.
    #[error("the store cannot be written: it, its folder or its disk is read-only to this user")]
    ReadOnly,
    /// Another program holds a lock on the file.
    #[error(
        "the store is locked by another process: only one `alertbridge serve` may use a SQLite file"
    )]
    Locked,
    /// A newer alertbridge created the store.
    #[error(
        "the store is newer than this alertbridge (its schema is {found}, this program knows \
         {known}): start the newer version"
    )]
    Newer { found: i32, known: i32 },
    /// The store's file or database can no longer be read completely.
    #[error(
        "the store is damaged ({0}): `alertbridge store check` says where, restore a backup to \
             repair it"
    )]
    Damaged(String),
    /// The object of a request is in a state that does not allow it.
    #[error("{0}")]
    Refused(String),
    /// The object of a request does not exist.
    #[error("{0}")]
    Missing(String),
    #[error("the store failed: {0}")]
    Failed(String),
}
