//! `alertbridge store`: upkeep.

use std::{
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::json;
use url::Url;

use crate::{
    cli::table,
    config::Config,
    serve,
    store::{
        Totals,
        audit::Finding,
        sqlite::{self, Sqlite},
    },
};

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

/// Copies the store into a new file, consistently, while a bridge may be at work.
pub fn backup(config: &Config, to: &Path, overwrite: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if let Some(url) = postgres(config)? {
        bail!(
            "store.url is a PostgreSQL database, which its own tools back up while it is in use:\n  \
             pg_dump --format=custom --file={} '{url}'",
            to.display()
        );
    }
    let from = there(config)?;
    let progress = bar("pages");
    sqlite::backup(&from, to, overwrite, |done, all| advance(&progress, done, all))?;
    progress.finish_and_clear();
    let size = std::fs::metadata(to)?.len();
    Ok(writeln!(out, "{}: a copy of {}, read through, {size} bytes", to.display(), from.display())?)
}

/// Makes the store from a backup.
pub fn restore(config: &Config, from: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    if let Some(url) = postgres(config)? {
        bail!(
            "store.url is a PostgreSQL database, which its own tools restore, while no bridge runs and into an empty \
             database:\n  pg_restore --single-transaction --no-owner --dbname='{url}' {}",
            from.display()
        );
    }
    let to = serve::store_path(config)?;
    let progress = bar("pages");
    let restored = sqlite::restore(from, &to, |done, all| advance(&progress, done, all));
    restored.with_context(|| format!("store.url: {}", to.display()))?;
    progress.finish_and_clear();
    Ok(writeln!(
        out,
        "{}: restored from {}\nWhat was owed when the backup was made is sent when `serve` starts: look at it first with \
         `alertbridge deliveries list --state pending`.",
        to.display(),
        from.display()
    )?)
}

/// Looks for damage, and for anything the store shows of a promise not kept.
pub fn check(config: &Config, now: Timestamp, json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let path = there(config)?;
    let progress = bar("mails");
    let (found, totals) = sqlite::check(&path, now, |mails| progress.set_position(mails))
        .with_context(|| format!("store.url: {}", path.display()))?;
    progress.finish_and_clear();
    report(&found, totals, json, out)?;
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(found: &[Finding], totals: Totals, json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        let verdict = json!({ "ok": found.is_empty(), "findings": found, "totals": totals });
        return writeln!(out, "{verdict:#}");
    }
    for Finding { check, what } in found {
        writeln!(out, "{check}: {what}")?;
    }
    let Totals { mails, incidents, deliveries } = totals;
    if found.is_empty() {
        let [mails, incidents] = [table::count(mails, "mail"), table::count(incidents, "incident")];
        let deliveries = format!("{deliveries} {}", if deliveries == 1 { "delivery" } else { "deliveries" });
        writeln!(out, "{mails}, {incidents}, {deliveries}: all as promised\nok")?;
    }
    Ok(())
}

/// The store's file, which must be there.
pub(super) fn there(config: &Config) -> anyhow::Result<PathBuf> {
    let path = serve::store_path(config)?;
    if !path.exists() {
        bail!("there is no store {} yet: `alertbridge serve` makes it; is --config right?", path.display());
    }
    Ok(path)
}

/// The database's address without its password, where the store is in Postgres.
fn postgres(config: &Config) -> anyhow::Result<Option<String>> {
    let url = config.store.url()?;
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Ok(None);
    }
    let mut url = Url::parse(&url).context("store.url is no address")?;
    // It would be in the shell's history; PGPASSWORD or ~/.pgpass has it.
    let _cannot_have_one = url.set_password(None);
    Ok(Some(url.into()))
}

fn bar(of: &'static str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = if of == "pages" { "{bar:40} {pos}/{len} pages, {eta} left" } else { "{spinner} {pos} mails read" };
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn advance(progress: &ProgressBar, done: u64, all: u64) {
    progress.set_length(all);
    progress.set_position(done);
}
