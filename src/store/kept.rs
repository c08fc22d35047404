//! How values are kept, whichever the database: times as microseconds, structured values as JSON,
//! mails as zstd.

use std::{cell::RefCell, io};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::{
    delivery::sha256_hex,
    message::{Authenticity, Hold, Message},
    store::StoreError,
};

/// Fast rather than small: what HTML mail has to give, level 1 takes nearly all of.
const COMPRESSION: i32 = 1;
/// No mail is larger unpacked: bounds what a damaged store can make us allocate.
const LARGEST: usize = 256 << 20;

thread_local! {
    /// A context costs more to make than a mail to compress.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// A mail ready to be written: what takes time is done before its turn.
pub(super) struct Packed {
    pub(super) message: Message,
    pub(super) authenticity: String,
    pub(super) envelope: Option<String>,
    /// Of the mail as it came.
    pub(super) sha256: String,
    pub(super) body: Vec<u8>,
    /// When it came, where only its header is kept of it.
    pub(super) cut_at: Option<i64>,
}

pub(super) fn pack((message, authenticity): (Message, Authenticity)) -> Result<Packed, StoreError> {
    let sha256 = sha256_hex(&message.raw);
    let (message, cut_at) = if message.is_to_be_cut() {
        let cut_at = micros(message.arrived_at);
        (message.cut(), Some(cut_at))
    } else {
        (message, None)
    };

    let body = compress(&message.raw);
    Ok(Packed {
        authenticity: json(&authenticity)?,
        envelope: message.envelope.as_ref().map(json).transpose()?,
        sha256,
        cut_at,
        body: body.map_err(|error| {
            StoreError::Failed(format!("a mail could not be compressed: {error}"))
        })?,
        message,
    })
}

/// Bytes as they are written.
pub(super) fn compress(raw: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(zstd::bulk::Compressor::new(COMPRESSION)?),
        };
        compressor.compress(raw)
    })
}

/// The bytes as they came.
pub(super) fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress(packed, capacity(packed))
    })
}

/// The unpacked size as the frame declares it.
fn capacity(packed: &[u8]) -> usize {
    zstd::zstd_safe::get_frame_content_size(packed)
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(LARGEST)
        .min(LARGEST)
}

/// A time as it is stored.
pub(super) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// A time as it was stored; what cannot be one is the epoch.
pub(super) fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Why a mail is held.
pub(super) fn hold(hold: &Hold) -> String {
    match hold {
        Hold::Resolve => "resolve".to_owned(),
        Hold::Flood => "flood".to_owned(),
        Hold::App(key) => format!("app:{key}"),
    }
}

/// A count or size, which databases keep signed.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Failed(format!("a value could not be written: {error}")))
}

/// A label as it stands among labels that are kept. Nothing else in them reads like it: within a
/// value quotes are escaped.
pub(super) fn label(name: &str, value: &str) -> String {
    format!("\"{name}\":{}", Value::from(value))
}

/// What LIKE finds a text by, wherever it stands.
pub(super) fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        // SQLite's LIKE ends at a NUL, and PostgreSQL has none.
        pattern.push(if c == '\0' { '\u{2400}' } else { c });
    }
    pattern.push('%');
    pattern
}

/// Of a change or a resolve: the receipt of its trigger, or of the last change that has one, which
/// is what `detail` of something delivered holds. A column of `deliveries`, in the words of both
/// databases.
macro_rules! receipt {
    () => {
        "CASE WHEN deliveries.action <> 'trigger' THEN (
             SELECT told.detail FROM deliveries AS told
             WHERE told.incident = deliveries.incident AND told.episode = deliveries.episode
               AND told.receiver = deliveries.receiver AND told.integration = deliveries.integration
               AND told.action <> 'resolve' AND told.state = 'delivered' AND told.id < deliveries.id
               AND told.detail IS NOT NULL
             ORDER BY told.id DESC LIMIT 1) END AS receipt"
    };
}
pub(crate) use receipt;

/// What a target was told last of each incident that is open and can end, after the incident of
/// that number; with the parameters by their places.
macro_rules! standing {
    ($receiver:literal, $integration:literal, $after:literal, $limit:literal) => {
        concat!(
            "SELECT incidents.id AS incident, told.id, told.alias, told.notification, told.detail AS receipt
             FROM incidents JOIN deliveries AS told ON told.id = (
                 SELECT max(page.id) FROM deliveries AS page
                 WHERE page.incident = incidents.id AND page.episode = incidents.episode
                   AND page.receiver = ", $receiver, " AND page.integration = ", $integration, "
                   AND page.action <> 'resolve' AND page.state = 'delivered')
             WHERE phase = 'firing' AND incidents.kind <> 'unparsed' AND incidents.id > ", $after, "
             ORDER BY incidents.id LIMIT ", $limit
        )
    };
}
pub(crate) use standing;
