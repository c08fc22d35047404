//! Mails in files: single mails, folders, Maildir and mbox, compressed or not, in order of arrival.

use std::{
    fs::{self, File},
    io::{BufReader, ErrorKind, Read, Seek as _, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use jiff::Timestamp;

use super::{
    file_format::{self, Format},
    mbox,
};
use crate::message::{Mended, header};

/// The largest file, in bytes, that is read as one mail.
const LARGEST_MAIL: u64 = 256 << 20;
/// The deepest nesting of folders. Anything deeper is taken for a loop.
const DEEPEST: usize = 32;

/// A mail that was found, and where to read it.
#[derive(Debug, Clone)]
pub struct Found {
    /// The path of the file; in an mbox, with the mail's index: `alerts.mbox#3`.
    pub name: String,
    /// The mail's Date; `None` if there is none that can be read.
    pub date: Option<Timestamp>,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    File(PathBuf),
    /// A part of an mbox.
    Part(PathBuf, Range<u64>),
    /// A compressed file.
    Packed(PathBuf, Format),
    /// The bytes themselves, from a source that can be read only once.
    Held(Bytes),
}

impl Found {
    /// Reads the mail's bytes.
    pub fn read(&self) -> anyhow::Result<Bytes> {
        let read = match &self.content {
            Content::Held(bytes) => return Ok(bytes.clone()),
            Content::File(path) => fs::read(path).map(unwrapped),
            Content::Part(path, bytes) => {
                part(path, bytes).map(|quoted| mbox::unquote(&quoted).into())
            }
            Content::Packed(path, format) => unpacked(path, *format),
        };

        read.with_context(|| format!("cannot read {}", self.name))
    }
}

fn unpacked(path: &Path, format: Format) -> std::io::Result<Bytes> {
    file_format::unpack(format, BufReader::new(File::open(path)?), LARGEST_MAIL).map(unwrapped)
}

/// Returns the mail in a file, sharing the file's bytes.
fn unwrapped(bytes: Vec<u8>) -> Bytes {
    let bytes = Bytes::from(bytes);
    bytes.slice_ref(file_format::without_wrapping(&bytes))
}

fn part(path: &Path, bytes: &Range<u64>) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(bytes.start))?;
    let mut part = Vec::new();
    file.take((bytes.end - bytes.start).min(LARGEST_MAIL))
        .read_to_end(&mut part)?;
    Ok(part)
}

/// Finds the mails under the paths, ordered by Date and then by name; those without a Date come
/// last. Calls `progress` for each.
pub fn find(paths: &[PathBuf], mut progress: impl FnMut()) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            let held = once("-", std::io::stdin().lock(), &mut found)
                .context("cannot read standard input")?;
            if let Some(what) = held {
                bail!("standard input is not a mail but {what}");
            }
            continue;
        }
        walk(path, 0, &mut found, &mut progress)?;
    }

    found.sort_by(|a, b| {
        (a.date.is_none(), a.date, natural(&a.name)).cmp(&(
            b.date.is_none(),
            b.date,
            natural(&b.name),
        ))
    });

    Ok(found)
}

/// Splits a name for sorting. The index in an mbox is a number, so `#10` comes after `#9`.
fn natural(name: &str) -> (&str, usize) {
    name.rsplit_once('#')
        .and_then(|(path, place)| Some((path, place.parse().ok()?)))
        .unwrap_or((name, 0))
}

fn walk(
    path: &Path,
    depth: usize,
    found: &mut Vec<Found>,
    progress: &mut impl FnMut(),
) -> anyhow::Result<()> {
    let about = match fs::metadata(path) {
        // In a mailbox that is in use, mails may move while it is read.
        Err(error) if depth > 0 && error.kind() == ErrorKind::NotFound => {
            tell!("note: {} does not exist", path.display());
            return Ok(());
        }
        about => about.with_context(|| format!("cannot read {}", path.display()))?,
    };

    if depth > 0 && !about.is_dir() && !about.is_file() {
        tell!("note: {} is not a file", path.display());
        return Ok(());
    }

    if about.is_dir() {
        if depth == DEEPEST {
            bail!(
                "{} lies {DEEPEST} folders deep: is it a loop of links?",
                path.display()
            );
        }
        let mut entries = fs::read_dir(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("cannot list {}", path.display()))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            // The tmp of a Maildir contains mails that are still being written
            // (cr.yp.to/proto/maildir.html).
            let unfinished = entry.file_name() == "tmp"
                && path.join("new").is_dir()
                && path.join("cur").is_dir();
            let hidden =
                entry.file_name().as_encoded_bytes().starts_with(b".") && !entry.path().is_dir();
            if !unfinished && !hidden && !dovecots_own(&entry.file_name().to_string_lossy()) {
                walk(&entry.path(), depth + 1, found, progress)?;
            }
        }
        return Ok(());
    }

    match file(path, &about, found, progress)? {
        None => Ok(()),
        Some(what) if depth == 0 => bail!("{} is not a mail but {what}", path.display()),
        Some(what) => {
            tell!(
                "note: {} is skipped: it is not a mail but {what}",
                path.display()
            );
            Ok(())
        }
    }
}

/// Finds the mails of one file. If it contains none, returns what it is.
fn file(
    path: &Path,
    about: &fs::Metadata,
    found: &mut Vec<Found>,
    progress: &mut impl FnMut(),
) -> anyhow::Result<Option<&'static str>> {
    let name = path.display().to_string();
    let unreadable = || format!("cannot read {name}");
    let file = File::open(path).with_context(unreadable)?;

    if !about.is_file() {
        // A pipe, such as the shell's `<(…)`, cannot be read twice.
        return once(&name, file, found).with_context(unreadable);
    }

    let mut file = BufReader::new(file);
    let start = start_of(&mut file).with_context(unreadable)?;
    file.rewind().with_context(unreadable)?;

    match Format::of(&start) {
        Format::Foreign(what) => return Ok(Some(what)),
        Format::Mbox => {
            let mut place = 0;
            mbox::split(file, |mail| {
                place += 1;
                found.push(Found {
                    name: format!("{name}#{place}"),
                    date: date(&mail.header),
                    content: Content::Part(path.to_owned(), mail.bytes),
                });
                progress();
            })
            .with_context(unreadable)?;
        }
        packed @ (Format::Gzip | Format::Zstandard) => {
            let before = found.len();
            let bytes = file_format::unpack(packed, file, LARGEST_MAIL).with_context(unreadable)?;
            if let Some(what) = hold(&name, &bytes, found).with_context(unreadable)? {
                return Ok(Some(what));
            }
            // A mail that can be read again from its file need not be kept until then.
            if let [mail] = &mut found[before..]
                && mail.name == name
            {
                mail.content = Content::Packed(path.to_owned(), packed);
            }
            found[before..].iter().for_each(|_| progress());
        }
        Format::Mail => {
            found.push(whole(path, name, about.len())?);
            progress();
        }
    }

    Ok(None)
}

/// Returns a file that is a mail as it stands.
fn whole(path: &Path, name: String, size: u64) -> anyhow::Result<Found> {
    if size > LARGEST_MAIL {
        bail!(
            "{name} is larger than {} MiB, which no mail is",
            LARGEST_MAIL >> 20
        );
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read {name}"))?;

    Ok(Found {
        date: date(file_format::without_wrapping(&bytes)),
        name,
        content: Content::File(path.to_owned()),
    })
}

/// Returns as much of a file as tells its format.
fn start_of(from: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    from.take(file_format::LONGEST_START)
        .read_to_end(&mut start)?;
    Ok(start)
}

/// Finds one mail or an mbox, compressed or not, in a source that can be read only once. The mails
/// are kept in memory.
fn once(
    name: &str,
    mut from: impl Read,
    found: &mut Vec<Found>,
) -> std::io::Result<Option<&'static str>> {
    let start = start_of(&mut from)?;
    let format = Format::of(&start);
    let bytes = file_format::unpack(format, start.chain(from), LARGEST_MAIL)?;
    hold(name, &bytes, found)
}

/// Finds the mails in these bytes. If they contain none, returns what they are.
fn hold(name: &str, bytes: &[u8], found: &mut Vec<Found>) -> std::io::Result<Option<&'static str>> {
    let held = |name: String, mail: Vec<u8>| Found {
        name,
        date: date(&mail),
        content: Content::Held(mail.into()),
    };

    match Format::of(bytes) {
        Format::Mail => found.push(held(
            name.to_owned(),
            file_format::without_wrapping(bytes).to_vec(),
        )),
        Format::Mbox => {
            let mut place = 0;
            mbox::split(bytes, |mail| {
                place += 1;
                let at = |offset| {
                    usize::try_from(offset)
                        .unwrap_or(usize::MAX)
                        .min(bytes.len())
                };
                let mail = mbox::unquote(&bytes[at(mail.bytes.start)..at(mail.bytes.end)]);
                found.push(held(format!("{name}#{place}"), mail));
            })?;
        }
        Format::Foreign(what) => return Ok(Some(what)),
        Format::Gzip | Format::Zstandard => {
            return Ok(Some("compressed twice: decompress it first"));
        }
    }

    Ok(None)
}

/// Decides whether a file is one of Dovecot's indexes or a marker of Maildir++, which are not
/// mails.
fn dovecots_own(name: &str) -> bool {
    ["dovecot.index", "dovecot.list", "dovecot-"]
        .iter()
        .any(|own| name.starts_with(own))
        || name == "maildirfolder"
        || name == "subscriptions"
}

/// Returns the Date in a mail's header.
pub fn date(raw: &[u8]) -> Option<Timestamp> {
    header::date(Mended::of(raw).header())
}
