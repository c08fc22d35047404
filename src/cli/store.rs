//! `alertbridge store`: upkeep.

use std::io::Write;

use crate::store::place::Place;

/// Brings the store to this version's schema; makes it where there is none.
pub async fn migrate(place: &Place, out: &mut impl Write) -> anyhow::Result<()> {
    let (before, _) = place.versions().await?;
    place.open().await?;
    let (after, _) = place.versions().await?;
    match before {
        0 => writeln!(out, "{place}: made, at schema version {after}")?,
        _ if before == after => writeln!(out, "{place}: at schema version {after} already")?,
        _ => writeln!(out, "{place}: brought from schema version {before} to {after}")?,
    }
    Ok(())
}
