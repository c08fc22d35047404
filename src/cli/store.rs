//! `alertbridge store`: upkeep of the store.

use std::{
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::json;
use url::Url;

use super::{exit, options::Json};
use crate::{
    cli::{
        plain::{plain, pretty},
        table,
    },
    clock::Clock,
    config::{Config, Files, Loaded},
    serve,
    store::{
        Totals,
        audit::{Extent, Finding},
        place::Place,
        sqlite,
    },
};

/// Upkeep of the store
#[derive(Debug, Subcommand)]
#[command(after_help = "\
The store is what `store.url` names: a SQLite file, or a PostgreSQL database.")]
pub enum Store {
    /// Migrate the store to this version's schema, or create it if there is none, without serving
    #[command(after_help = "\
It prints the versions before and after, or that there was nothing to do.
`serve` does the same when it starts: use this command to migrate separately,
for example before new replicas start. It may run beside a bridge of this
version.

Exit status: 0 it is at this version's schema; 1 it cannot be migrated, for
example because a newer alertbridge created it; 2 wrong usage.

Example:
  alertbridge store migrate --config /etc/alertbridge/alertbridge.yaml")]
    Migrate,
    /// Copy the store to a new file; a running `serve` continues
    #[command(after_help = "\
The copy is a consistent snapshot, which is verified and then renamed into
place. It contains every mail that was acknowledged before. For a PostgreSQL
database the command prints how to use pg_dump.

Exit status: 0 there is a copy, 1 there is none, 2 wrong usage.

Examples:
  alertbridge store backup /var/backups/alertbridge-$(date +%F).db
  alertbridge store backup --overwrite /var/backups/alertbridge.db")]
    Backup {
        /// The file to write
        file: PathBuf,
        /// Replace the file if it exists
        #[arg(long)]
        overwrite: bool,
    },
    /// Restore the store from a backup, while no `serve` runs and there is no store, or an empty
    /// one
    #[command(after_help = "\
Deliveries that were pending at the time of the backup are sent when `serve`
starts: review them first with `alertbridge deliveries list --state pending`.

Exit status: 0 the store is there, 1 nothing was restored, 2 wrong usage.

Example:
  alertbridge store restore /var/backups/alertbridge.db")]
    Restore {
        /// The backup
        file: PathBuf,
    },
    /// Look for damage and for broken promises; a running `serve` continues
    #[command(after_help = "\
It reads every page and every mail, and changes nothing. Each finding is one
line.

Exit status: 0 nothing was found; 1 something was found, or there is no store;
2 wrong usage.

Examples:
  alertbridge store check
  alertbridge store check --quick
  alertbridge store check --json | jq -r '.findings[].what'")]
    Check {
        /// Do not verify the mails' bytes, which takes minutes for a million mails
        #[arg(long)]
        quick: bool,
        #[command(flatten)]
        json: Json,
    },
}

impl Store {
    pub async fn run(self, config: Option<&Path>) -> anyhow::Result<ExitCode> {
        let Loaded { config, .. } = Config::load(config, Files::Unneeded)?;
        let out = &mut io::stdout();

        match self {
            Self::Migrate => migrate(&serve::store_place(&config)?, out).await?,
            Self::Backup { file, overwrite } => backup(&config, &file, overwrite, out).await?,
            Self::Restore { file } => restore(&config, &file, out)?,
            Self::Check { quick, json } => {
                let extent = if quick {
                    Extent::AllButBytes
                } else {
                    Extent::Everything
                };
                let now = Clock::system().now();
                return check(&config, now, extent, json.json, out).await;
            }
        }

        Ok(ExitCode::SUCCESS)
    }
}

/// Migrates the store to this version's schema, and creates it if there is none. Refuses a newer
/// one.
async fn migrate(place: &Place, out: &mut impl Write) -> anyhow::Result<()> {
    let at = || format!("store.url: {place}");
    let (before, _) = place.versions().await.with_context(at)?;
    place.open().await.with_context(at)?;

    let (after, _) = place.versions().await.with_context(at)?;
    match before {
        0 => writeln!(out, "{place}: created at schema version {after}")?,
        _ if before == after => writeln!(out, "{place}: already at schema version {after}")?,
        _ => writeln!(
            out,
            "{place}: migrated from schema version {before} to {after}"
        )?,
    }

    Ok(())
}

/// Copies the store to a new file, consistently, while a bridge may be running.
async fn backup(
    config: &Config,
    to: &Path,
    overwrite: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let from = match there(config).await? {
        Place::File(path) => path,
        Place::Database(_) => bail!(
            "store.url is a PostgreSQL database, which its own tools back up while it is in \
             use:\n  \
             pg_dump --format=custom --file={} '{}'",
            to.display(),
            without_password(config)?
        ),
    };

    let progress = progress("looking at the store");
    sqlite::backup(&from, to, overwrite, |done, all| {
        advance_to(&progress, "pages", done, all, "verifying the copy");
    })?;
    progress.finish_and_clear();

    let size = std::fs::metadata(to)?.len();

    Ok(writeln!(
        out,
        "{}: a verified copy of {}, {size} bytes",
        to.display(),
        from.display()
    )?)
}

/// Restores the store from a backup.
fn restore(config: &Config, from: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let to = match serve::store_place(config)? {
        Place::File(path) => path,
        Place::Database(_) => bail!(
            "store.url is a PostgreSQL database, which its own tools restore, while no bridge \
             runs and into an empty database:\n  pg_restore --single-transaction --no-owner \
             --dbname='{}' {}",
            without_password(config)?,
            from.display()
        ),
    };

    let progress = progress("verifying the backup");
    let copied = |done, all| advance_to(&progress, "pages", done, all, "verifying the store");
    let restored = sqlite::restore(from, &to, copied);
    restored.with_context(|| format!("store.url: {}", to.display()))?;
    progress.finish_and_clear();

    Ok(writeln!(
        out,
        "{}: restored from {}\nDeliveries that were pending at the time of the backup are sent \
         when `serve` starts: review them first with \
         `alertbridge deliveries list --state pending`.",
        to.display(),
        from.display()
    )?)
}

/// Looks for damage, and for broken promises that are visible in the store.
async fn check(
    config: &Config,
    now: Timestamp,
    extent: Extent,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let place = there(config).await?;
    let progress = progress("looking for damage and broken promises");
    let read = |done, all| advance(&progress, "mails", done, all);
    let checked = place.check(now, extent, read).await;
    let (found, totals) = checked.with_context(|| format!("store.url: {place}"))?;
    progress.finish_and_clear();
    report(&found, totals, json, out)?;
    Ok(exit(found.is_empty()))
}

fn report(found: &[Finding], totals: Totals, json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        let verdict = json!({ "ok": found.is_empty(), "findings": found, "totals": totals });
        return writeln!(out, "{}", pretty(&verdict)?);
    }

    for Finding { check, what } in found {
        writeln!(out, "failed: {check}: {}", plain(what))?;
    }

    let Totals {
        mails,
        incidents,
        deliveries,
    } = totals;

    if found.is_empty() {
        let [mails, incidents] = [
            table::count(mails, "mail"),
            table::count(incidents, "incident"),
        ];
        let deliveries = format!(
            "{deliveries} {}",
            if deliveries == 1 {
                "delivery"
            } else {
                "deliveries"
            }
        );
        writeln!(
            out,
            "{mails}, {incidents}, {deliveries}: no damage found\nok"
        )?;
    }

    Ok(())
}

/// Returns the place of the configured store, which must exist.
pub(super) async fn there(config: &Config) -> anyhow::Result<Place> {
    let place = serve::store_place(config)?;
    let is_there = match &place {
        // The file is only checked for existence, because its content may be damaged.
        Place::File(path) => path.exists(),
        Place::Database(_) => {
            place
                .versions()
                .await
                .with_context(|| format!("store.url: {place}"))?
                .0
                > 0
        }
    };

    if !is_there {
        bail!("there is no store {place} yet: `alertbridge serve` creates it; is --config right?");
    }

    Ok(place)
}

/// Returns a database's address for PostgreSQL's tools, without the password, which would end up in
/// the shell's history. PGPASSWORD or ~/.pgpass provides it.
fn without_password(config: &Config) -> anyhow::Result<String> {
    let mut url = Url::parse(&config.store.url()?).context("store.url is not a valid address")?;
    let _cannot_have_one = url.set_password(None);
    Ok(url.into())
}

/// Shows progress on a terminal, and nothing in a pipe.
fn progress(what: &'static str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let progress = ProgressBar::new_spinner().with_message(what);
    progress.tick();
    // The tick shows that a step without a known length is running.
    progress.enable_steady_tick(Duration::from_millis(100));
    progress
}

/// Shows how much is done, and of how much.
fn advance(progress: &ProgressBar, of: &str, done: u64, all: u64) {
    if progress.length() != Some(all) {
        let style =
            ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {of}, {{eta}} left"));
        progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        progress.set_length(all);
        progress.reset_eta();
    }
    progress.set_position(done);
}

/// Like `advance`, and announces the next step once all is done.
fn advance_to(progress: &ProgressBar, of: &str, done: u64, all: u64, next: &'static str) {
    advance(progress, of, done, all);
    if done == all {
        progress.set_style(ProgressStyle::default_spinner());
        progress.set_message(next);
    }
}
