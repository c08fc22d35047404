//! `alertbridge store`: upkeep.

use std::{io::Write, path::Path};

use crate::store::sqlite::{self, Sqlite};

/// Brings the store to this version's schema; makes it where there is none.
pub fn migrate(path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let before = if path.exists() { sqlite::versions(path)?.0 } else { 0 };
    Sqlite::open(path)?;
    let (after, _) = sqlite::versions(path)?;
    let path = path.display();
    match before {
        0 => writeln!(out, "{path}: made, at schema version {after}")?,
        _ if before == after => writeln!(out, "{path}: at schema version {after} already")?,
        _ => writeln!(out, "{path}: brought from schema version {before} to {after}")?,
    }
    Ok(())
}
