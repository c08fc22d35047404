//! What was found in a mail, in words.

use std::io::{self, Write};

use super::line;
use crate::{pipeline::Sight, profile::Trace};

/// Prints why no profile took the mail, then everything that a profile can use.
pub fn tell(sight: &Sight, out: &mut impl Write) -> io::Result<()> {
    let Trace {
        pairs,
        groups,
        json,
        obstacle,
        items,
        attachments,
        ..
    } = &sight.found;

    let misses = sight.misses.iter();
    let misses = misses.map(|miss| format!("{}: {}", miss.profile, miss.reason));
    let json = Some(json).filter(|json| !json.is_null());
    let files = attachments
        .iter()
        .map(|file| format!("{} ({})", file.name, file.kind));

    stage("", misses, out)?;
    let pairs = pairs
        .iter()
        .map(|(label, value)| format!("{label}: {value}"));
    stage("pairs", pairs, out)?;
    let groups = groups
        .iter()
        .map(|(name, value)| format!("{name}: {value}"));
    stage("groups", groups, out)?;
    stage("json", json.map(ToString::to_string), out)?;
    stage("items", items.iter().map(ToString::to_string), out)?;
    stage("attachments", files, out)?;
    stage("not read", obstacle.clone(), out)
}

/// Prints one text per line, the first beside the stage's name.
fn stage(
    name: &str,
    found: impl IntoIterator<Item = String>,
    out: &mut impl Write,
) -> io::Result<()> {
    found
        .into_iter()
        .enumerate()
        .try_for_each(|(place, text)| line(out, if place == 0 { name } else { "" }, &text))
}
