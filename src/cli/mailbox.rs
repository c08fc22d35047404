//! Mails in files: single ones, folders of them, Maildir and mbox; in the order they arrived.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use jiff::Timestamp;
use mail_parser::{MessageParser, mailbox::mbox};

/// Larger files are not read as one mail.
const LARGEST_MAIL: u64 = 256 << 20;
/// Folders within folders: deeper is taken for a loop.
const DEEPEST: usize = 32;

/// Where a mail lies.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its path; in an mbox with its place: `alerts.mbox#3`.
    pub name: String,
    /// Its Date; none where it has none that can be read.
    pub date: Option<Timestamp>,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    File(PathBuf),
    Held(Bytes),
}

impl Found {
    /// Its bytes.
    pub fn read(&self) -> anyhow::Result<Bytes> {
        match &self.content {
            Content::Held(bytes) => Ok(bytes.clone()),
            Content::File(path) => {
                Ok(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?.into())
            }
        }
    }
}

/// The mails under the paths, by Date, ties by name; those without a Date last. `progress` hears of each.
pub fn find(paths: &[PathBuf], mut progress: impl FnMut()) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            std::io::stdin().lock().take(LARGEST_MAIL).read_to_end(&mut bytes).context("cannot read standard input")?;
            found.push(held("-".to_owned(), bytes));
            continue;
        }
        walk(path, 0, &mut found, &mut progress)?;
    }
    found.sort_by(|a, b| {
        (a.date.is_none(), a.date, natural(&a.name)).cmp(&(b.date.is_none(), b.date, natural(&b.name)))
    });
    Ok(found)
}

/// The place in an mbox counts as a number: `#10` comes after `#9`.
fn natural(name: &str) -> (&str, usize) {
    name.rsplit_once('#').and_then(|(path, place)| Some((path, place.parse().ok()?))).unwrap_or((name, 0))
}

fn walk(path: &Path, depth: usize, found: &mut Vec<Found>, progress: &mut impl FnMut()) -> anyhow::Result<()> {
    let about = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if about.is_dir() {
        if depth == DEEPEST {
            bail!("{} lies {DEEPEST} folders deep: is it a loop of links?", path.display());
        }
        let mut entries = fs::read_dir(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("cannot list {}", path.display()))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            // A Maildir's tmp holds what is still being written (cr.yp.to/proto/maildir.html).
            let unfinished = entry.file_name() == "tmp" && path.join("new").is_dir() && path.join("cur").is_dir();
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".") && !entry.path().is_dir();
            if !unfinished && !hidden && !dovecots_own(&entry.file_name().to_string_lossy()) {
                walk(&entry.path(), depth + 1, found, progress)?;
            }
        }
        return Ok(());
    }
    if about.len() > LARGEST_MAIL && !is_mbox(path)? {
        bail!("{} is larger than {} MiB: no mail is", path.display(), LARGEST_MAIL >> 20);
    }
    let name = path.display().to_string();
    if is_mbox(path)? {
        let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
        for (place, mail) in mbox::MessageIterator::new(BufReader::new(file)).enumerate() {
            let mail = mail.map_err(|_| anyhow::anyhow!("{name} is no mbox from its mail {} on", place + 1))?;
            found.push(held(format!("{name}#{}", place + 1), mail.unwrap_contents()));
            progress();
        }
        return Ok(());
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read {name}"))?;
    found.push(Found { name, date: date(&bytes), content: Content::File(path.to_owned()) });
    progress();
    Ok(())
}

fn dovecots_own(name: &str) -> bool {
    name.starts_with("dovecot") || name == "maildirfolder" || name == "subscriptions"
}

fn held(name: String, bytes: Vec<u8>) -> Found {
    Found { name, date: date(&bytes), content: Content::Held(bytes.into()) }
}

/// Whether a file begins as an mbox does: `From ` with no colon (RFC 4155).
fn is_mbox(path: &Path) -> anyhow::Result<bool> {
    let mut start = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    BufReader::new(file)
        .take(5)
        .read_until(b'\n', &mut start)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(start == b"From ")
}

/// The Date of a mail's header.
pub fn date(raw: &[u8]) -> Option<Timestamp> {
    let header = MessageParser::new().with_minimal_headers().parse_headers(raw)?;
    Timestamp::from_second(header.date()?.to_timestamp()).ok()
}
