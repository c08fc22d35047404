//! What a store answers where it cannot do what it was asked.

/// What went wrong, as the operator has to know it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk is full: nothing was stored, and what was stored stays.
    #[error("the store's disk is full: free some space, or shorten `store.mail_retention`")]
    Full,
    /// A change panicked: a fault of this program. It alone was undone.
    #[error("a change to the store panicked")]
    Panicked,
    /// The file, its folder or its disk may only be read.
    #[error("the store cannot be written: it, its folder or its disk is read-only to this user")]
    ReadOnly,
    /// Another program keeps the file locked.
    #[error(
        "the store is locked by another process: only one `alertbridge serve` may use a SQLite file"
    )]
    Locked,
    /// A newer alertbridge made it.
    #[error(
        "the store is newer than this alertbridge (its schema is {found}, this program knows \
         {known}): start the newer version"
    )]
    Newer { found: i32, known: i32 },
    /// Its file or its database cannot be read as a whole any more.
    #[error(
        "the store is damaged ({0}): `alertbridge store check` says where, restore a backup to \
             repair it"
    )]
    Damaged(String),
    /// What was asked for is not in a state that allows it.
    #[error("{0}")]
    Refused(String),
    /// What was asked for is not there.
    #[error("{0}")]
    Missing(String),
    #[error("the store failed: {0}")]
    Failed(String),
}
