//! `alertbridge replay --diff OTHER.yaml`: the same mails under two configurations, side by side,
//! and the differences.
//!
//! Each mail passes through the stages twice, over one state for each configuration, in a single
//! pass. Nothing is sent.

use std::{collections::BTreeMap, io::Write};

use anyhow::{Context as _, bail};
use futures_util::TryStreamExt as _;

use super::{Request, words};
use crate::{
    cli::{plain, table},
    config::Loaded,
    delivery::Target,
    message::Outcome,
    trial::{
        Told, Trial,
        compare::{Difference, Kind, Sides, compare},
        pair::{by_mail, pairs},
        walk::{judged, twice, walk},
    },
};

/// Compares on `out`, with a line of JSON for each mail that differs, or with words and a summary.
/// Returns how many alerts could not be read under the present configuration and under the other.
pub async fn run(
    in_force: &Loaded,
    other: &Loaded,
    request: &Request,
    out: &mut impl Write,
) -> anyhow::Result<Sides<u64>> {
    let trials = Sides {
        before: request.trial(in_force).await?,
        after: request.trial(other).await?,
    };

    let (mails, progress) = request.mails()?;
    let mails = if in_force.config.judges_like(&other.config) {
        // Both sides share the verdicts, because a change in the answers of DNS is not a difference
        // between the configurations.
        judged(&trials.before, mails)
    } else {
        if request.stored.is_some() && !request.trust {
            note_kept_verdicts(other);
        }
        mails
    };

    let (mails, same_mails) = twice(mails);
    let mut before = walk(&trials.before, mails, Trial::tell);
    let mut after = walk(&trials.after, same_mails, Trial::tell);
    let same_secrets = |one: &Target, another: &Target| {
        let before = trials.before.secrets(one, in_force.source.folder());
        before == trials.after.secrets(another, other.source.folder())
    };
    let mut tally = Tally::default();

    loop {
        let (before, after) = match tokio::try_join!(before.try_next(), after.try_next())? {
            (Some(before), Some(after)) => (before, after),
            (None, None) => break,
            _ => bail!("one of the two replays is missing mails"),
        };
        for (before, after) in by_mail(before).into_iter().zip(by_mail(after)) {
            tally.mails += 1;
            for (before, after) in pairs(before, after) {
                tally.count(&before, &after);
                if let Some(difference) = compare(before, after, same_secrets) {
                    tally.add(&difference);
                    progress.suspend(|| tell(&difference, request.json, out))?;
                }
            }
            progress.inc(1);
        }
    }

    progress.finish_and_clear();
    if !request.json {
        tally
            .print(&other.source.to_string(), out)
            .context("cannot write")?;
    }

    Ok(tally.unreadable)
}

fn note_kept_verdicts(other: &Loaded) {
    tell!(
        "note: {} has other rules for authenticity; stored mails keep the verdict of their arrival",
        other.source
    );
}

fn tell(difference: &Difference, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    if json {
        writeln!(out, "{}", plain::json(difference)?).context("cannot write")
    } else {
        words::tell(difference, out).context("cannot write")
    }
}

/// The number of differences.
#[derive(Default)]
struct Tally {
    mails: u64,
    differing: u64,
    changes: BTreeMap<Kind, u64>,
    /// The number of pages, by receiver.
    pages: BTreeMap<String, Sides<u64>>,
    unreadable: Sides<u64>,
}

impl Tally {
    fn count(&mut self, before: &Told, after: &Told) {
        self.unreadable.before += u64::from(before.outcome == Outcome::Unparsed);
        self.unreadable.after += u64::from(after.outcome == Outcome::Unparsed);
        for page in &before.pages {
            self.pages
                .entry(page.target.receiver.clone())
                .or_default()
                .before += 1;
        }

        for page in &after.pages {
            self.pages
                .entry(page.target.receiver.clone())
                .or_default()
                .after += 1;
        }
    }

    fn add(&mut self, difference: &Difference) {
        self.differing += 1;
        for change in &difference.changes {
            *self.changes.entry(change.kind).or_default() += 1;
        }
    }

    fn print(&self, other: &str, out: &mut impl Write) -> std::io::Result<()> {
        let mails = table::count(self.mails, "mail");
        if self.differing == 0 {
            let pages = self.pages.values().map(|pages| pages.before).sum();
            return writeln!(
                out,
                "nothing changes: {mails}, {}",
                table::count(pages, "page")
            );
        }

        let rows = self.pages.iter().map(|(receiver, pages)| {
            vec![
                receiver.clone(),
                pages.before.to_string(),
                pages.after.to_string(),
            ]
        });

        if !self.pages.is_empty() {
            writeln!(
                out,
                "{}",
                table::of(&["RECEIVER", "PAGES", &format!("WITH {other}")], rows)
            )?;
        }

        let changes = self
            .changes
            .iter()
            .map(|(kind, count)| format!("{count} {}", kind.as_str()));

        let changes = changes.collect::<Vec<_>>().join(", ");
        let pages = if changes.is_empty() {
            "no page does"
        } else {
            &format!("pages: {changes}")
        };

        writeln!(
            out,
            "{} of {mails} {}; {pages}",
            self.differing,
            if self.differing == 1 {
                "differs"
            } else {
                "differ"
            }
        )
    }
}
