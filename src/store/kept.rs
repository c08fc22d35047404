//! The encoding of values in both databases: times as microseconds, structured values as JSON,
//! mails compressed with zstd.

use std::{
    cell::RefCell,
    io::{self, Read as _},
};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::{
    delivery::sha256_hex,
    message::{Authenticity, Hold, Message},
    store::StoreError,
};

/// The zstd level, chosen for speed over size: level 1 already reaches most of the compression that
/// HTML mail allows.
const COMPRESSION: i32 = 1;
/// The largest size of a decompressed mail, in bytes. It bounds what a damaged store can make the
/// bridge allocate.
const LARGEST: usize = 256 << 20;

thread_local! {
    /// The compressor of this thread, which is kept because making a context costs more than
    /// compressing a mail.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> =
        const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        const { RefCell::new(None) };
}

/// A mail ready to be written: the slow work is done before its turn at the writer.
pub(super) struct Packed {
    pub(super) message: Message,
    pub(super) authenticity: String,
    pub(super) envelope: Option<String>,
    /// The hash of the mail as it arrived.
    pub(super) sha256: String,
    pub(super) body: Vec<u8>,
    /// When the mail arrived, if only its header is kept.
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

/// Compresses bytes for the store.
pub(super) fn compress(raw: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(zstd::bulk::Compressor::new(COMPRESSION)?),
        };
        compressor.compress(raw)
    })
}

/// Decompresses bytes that `compress` made.
pub(super) fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress(packed, capacity(packed))
    })
}

/// The number of bytes of a compressed mail that are read to decompress its beginning. A zstd block
/// has at most 128 KiB.
pub(super) const PACKED_HEAD: i32 = 160 << 10;
/// The number of bytes of a mail's beginning that are returned. A longer header is returned in
/// part.
const HEAD: u64 = 64 << 10;

/// Decompresses the beginning of a mail from the beginning of its compressed form.
pub(super) fn unpack_head(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let unpacked = zstd::Decoder::with_buffer(packed)?;
    match unpacked.take(HEAD).read_to_end(&mut head) {
        // The frame is cut off, so the decoder may fail after it has returned the requested bytes.
        Err(error) if head.is_empty() => Err(error),
        _ => Ok(head),
    }
}

/// Returns the decompressed size that the frame declares, at most `LARGEST`.
fn capacity(packed: &[u8]) -> usize {
    zstd::zstd_safe::get_frame_content_size(packed)
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(LARGEST)
        .min(LARGEST)
}

/// Converts a time to its stored form.
pub(super) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// Converts a stored time. An invalid one becomes the epoch.
pub(super) fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Converts the reason why a mail is held to its stored form.
pub(super) fn hold(hold: &Hold) -> String {
    match hold {
        Hold::Resolve => "resolve".to_owned(),
        Hold::Flood => "flood".to_owned(),
        Hold::App(key) => format!("app:{key}"),
    }
}

/// Converts a count or size, because databases have signed integers only.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Failed(format!("a value could not be written: {error}")))
}

/// Returns a label as it appears in stored labels. Nothing else in them looks the same, because
/// quotes within values are escaped.
pub(super) fn label(name: &str, value: &str) -> String {
    format!("\"{name}\":{}", Value::from(value))
}

/// Returns the LIKE pattern that finds a text anywhere.
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

/// The column `receipt` of `deliveries`, in SQL for both databases: the receipt of the last page
/// before the delivery in its episode and lane that has one. The receipt is the `detail` of a
/// delivered page. A trigger has one if its target was already told, as is the case for an update.
macro_rules! receipt {
    () => {
        "(SELECT told.detail FROM deliveries AS told
             WHERE told.incident = deliveries.incident AND told.episode = deliveries.episode
               AND told.receiver = deliveries.receiver AND told.integration = deliveries.integration
               AND told.action <> 'resolve' AND told.state = 'delivered' AND told.id < deliveries.id
               AND told.detail IS NOT NULL
             ORDER BY told.id DESC LIMIT 1) AS receipt"
    };
}
pub(crate) use receipt;

/// Selects whether a mail is undecided and does not wait to be checked again.
pub(crate) const HAS_UNDECIDED: &str =
    "SELECT EXISTS (SELECT 1 FROM mails WHERE outcome = 'pending' AND check_at IS NULL)";

/// Computes whether a page is unproven. Its doubt stands at the end of its JSON, behind all that a
/// mail can say, and only the end is looked at, because a page may be long. PostgreSQL cannot read
/// the JSON, which may contain `\u0000`.
macro_rules! unproven {
    () => {
        "substr(notification, length(notification) - 36) LIKE '%\"doubt\":\"un%'"
    };
}
pub(crate) use unproven;

/// Computes whether a page of an incident that is over announces the next opening, which is not
/// proven yet and so not in the incident's state: no resolve follows it.
macro_rules! opened_unproven {
    () => {
        concat!(
            crate::store::kept::unproven!(),
            " AND NOT EXISTS (SELECT 1 FROM deliveries AS later
                              WHERE later.incident = deliveries.incident
                                AND later.episode = deliveries.episode
                                AND later.receiver = deliveries.receiver
                                AND later.integration = deliveries.integration
                                AND later.action = 'resolve' AND later.id > deliveries.id)"
        )
    };
}
pub(crate) use opened_unproven;

/// Computes the number of the last delivery that was sent, or will be, and of which this is true; 0
/// if there is none.
macro_rules! last_sent {
    ($($of:expr),+) => {
        concat!(
            "coalesce(max(CASE WHEN state IN ('pending', 'delivered') AND ",
            $($of),+,
            " THEN id END), 0)"
        )
    };
}
pub(crate) use last_sent;

/// Computes, of the triggers and resolves to one target, whether only unproven triggers were sent
/// since the last resolve, so that one of them opened the alert that the vendor has open.
macro_rules! doubtful {
    () => {
        concat!(
            last_sent!("action = 'trigger' AND ", unproven!()),
            " > ",
            last_sent!("action = 'resolve'"),
            " AND ",
            last_sent!("action = 'trigger' AND NOT ", unproven!()),
            " <= ",
            last_sent!("action = 'resolve'")
        )
    };
}
pub(crate) use doubtful;

/// Selects every receipt of that kind once, the newest first. The argument is the placeholder of
/// the delivery's number.
macro_rules! receipts {
    ($id:literal) => {
        concat!(
            "SELECT told.detail AS receipt FROM deliveries AS this JOIN deliveries AS told
                 USING (incident, episode, receiver, integration)
             WHERE this.id = ",
            $id,
            " AND told.action <> 'resolve' AND told.state = 'delivered' AND told.id < this.id
               AND told.detail IS NOT NULL
             GROUP BY told.detail ORDER BY max(told.id) DESC"
        )
    };
}
pub(crate) use receipts;

/// Selects the last page delivered to a target for each incident that is open and can end, with an
/// incident number above `$after`. The arguments are the placeholders of the parameters.
macro_rules! standing {
    ($receiver:literal, $integration:literal, $after:literal, $limit:literal) => {
        concat!(
            "SELECT incidents.id AS incident, told.id, told.alias, told.notification,
               told.detail AS receipt
             FROM incidents JOIN deliveries AS told ON told.id = (
                 SELECT max(page.id) FROM deliveries AS page
                 WHERE page.incident = incidents.id AND page.episode = incidents.episode
                   AND page.receiver = ",
            $receiver,
            " AND page.integration = ",
            $integration,
            "
                   AND page.action <> 'resolve' AND page.state = 'delivered')
             WHERE phase = 'firing' AND incidents.kind <> 'unparsed' AND incidents.id > ",
            $after,
            "
             ORDER BY incidents.id LIMIT ",
            $limit
        )
    };
}
pub(crate) use standing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mails_beginning_is_read_from_a_part_of_what_is_stored_of_it() {
        // The bytes hardly compress, so the part that is cut off is most of the mail.
        let noise = (0_u32..20_000).map(|number| sha256_hex(&number.to_be_bytes()));
        let noise: String = noise.collect();
        for raw in [noise.as_bytes(), &noise.as_bytes()[..100]] {
            let packed = compress(raw).unwrap();
            let part = &packed[..packed.len().min(160 << 10)];
            let head = unpack_head(part).unwrap();
            assert_eq!(head, raw[..raw.len().min(64 << 10)]);
        }
        assert!(unpack_head(b"no frame").is_err());
    }
}
