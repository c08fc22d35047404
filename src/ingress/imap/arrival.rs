//! Decides when a mail arrived: when the server says (INTERNALDATE), unless that cannot be. Pure.
//!
//! Servers that lose their time zone, or were filled by a migration, report times long before a
//! mail was written. Such a time is replaced by the present one, never by the mail's own: an old
//! mail that somebody puts there again stays old.

use jiff::{SignedDuration, Timestamp};

use crate::message::{Mended, header};

/// How far a server's clock may be ahead.
pub(super) const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(10);
/// How far the clock of the mail's writer may be ahead of the server's, as for freshness.
const WRITERS_DIFFER: SignedDuration = SignedDuration::from_hours(1);
/// The earliest plausible arrival: IMAP4 dates from 1994.
const EARLIEST: Timestamp = Timestamp::constant(725_846_400, 0);
/// The fields whose `t=` says when a host signed the mail.
const SIGNED: [&[u8]; 3] = [b"DKIM-Signature", b"ARC-Message-Signature", b"ARC-Seal"];

/// Returns whether an arrival time is plausible: one in the future, or before IMAP4 existed, means
/// nothing.
pub(super) fn is_plausible(said: Timestamp, now: Timestamp) -> bool {
    said > EARLIEST && said <= now + CLOCKS_DIFFER
}

/// Returns the time at which this mail arrived.
pub(super) fn of(raw: &[u8], said: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let mended = Mended::of(raw);
    let arrived_before =
        |written: Timestamp| said.is_some_and(|said| written.duration_since(said) > WRITERS_DIFFER);

    said.filter(|said| is_plausible(*said, now))
        .filter(|_| !written(mended.header()).any(arrived_before))
        .unwrap_or(now)
}

/// Returns whether a mail with this header was written at `limit` or later, although the server
/// says that it arrived earlier, which is impossible. A mail without any time counts as new.
pub(super) fn is_written_since(
    header: &[u8],
    said: Option<Timestamp>,
    limit: Timestamp,
    now: Timestamp,
) -> bool {
    header::date(header).map_or(said.is_none(), |written| {
        let arrived_later = said.is_none_or(|said| written.duration_since(said) > WRITERS_DIFFER);
        arrived_later && written >= limit && written <= now + WRITERS_DIFFER
    })
}

/// Returns the times at which the mail says that it was written and signed.
fn written(header: &[u8]) -> impl Iterator<Item = Timestamp> {
    let signed = header::fields(header)
        .flatten()
        .filter(|field| SIGNED.iter().any(|name| field.is(name)))
        .filter_map(|field| signed_at(field.value));
    header::date(header).into_iter().chain(signed)
}

/// Returns the time in the `t=` of a signature (RFC 6376, 3.5).
fn signed_at(value: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(value).ok()?;
    let (_, seconds) = text
        .split(';')
        .filter_map(|tag| tag.split_once('='))
        .find(|(name, _)| name.trim() == "t")?;
    Timestamp::from_second(seconds.trim().parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-03-02T12:00:00Z";

    fn arrived(said: &str, header: &str) -> String {
        let raw = format!("From: a@example.com\r\n{header}\r\nbody\r\n");
        let said = (!said.is_empty()).then(|| said.parse().unwrap());
        of(raw.as_bytes(), said, NOW.parse().unwrap()).to_string()
    }

    #[test]
    fn no_mail_arrives_before_it_was_written_or_signed() {
        let date = "Date: Mon, 2 Mar 2026 11:59:50 +0000\r\n";
        let signed = "Date: Sun, 1 Mar 2026 00:00:00 +0000\r\nDKIM-Signature: v=1; d=x;\r\n \
                      t=1772452790; bh=t=\r\n";
        let sealed = "ARC-Seal: i=1; t = 1772452790\r\n";
        for early in [
            "2026-03-02T10:59:49Z",
            "2026-03-02T07:00:00Z",
            "2026-03-01T23:59:50Z",
            "2024-03-02T12:00:00Z",
            "2000-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
        ] {
            for header in [date, signed, sealed] {
                assert_eq!(arrived(early, header), NOW, "{early} {header}");
            }
        }
        for said in ["2026-03-02T10:59:51Z", "2026-03-02T11:59:55Z", NOW] {
            for header in [
                date,
                signed,
                sealed,
                "",
                "Date: nonsense\r\n",
                "ARC-Seal: t=x\r\n",
            ] {
                assert_eq!(arrived(said, header), said, "{header}");
            }
        }
        assert_eq!(arrived("", date), NOW);
    }

    #[test]
    fn a_mail_that_was_written_since_did_not_arrive_long_ago() {
        let limit = "2026-03-01T12:00:00Z";
        let is_young = |date: &str, said: Option<&str>| {
            is_written_since(
                format!("Date: {date}\r\n\r\n").as_bytes(),
                said.map(|said| said.parse().unwrap()),
                limit.parse().unwrap(),
                NOW.parse().unwrap(),
            )
        };
        let new = "Mon, 2 Mar 2026 11:59:50 +0000";
        for said in [
            None,
            Some("1980-01-01T00:00:00Z"),
            Some("2026-03-01T11:00:00Z"),
        ] {
            assert!(is_young(new, said), "{said:?}");
        }
        for (date, said) in [
            ("Sun, 1 Mar 2026 11:59:59 +0000", None),
            (
                "Mon, 3 Mar 2025 12:00:00 +0000",
                Some("1980-01-01T00:00:00Z"),
            ),
            // So small a difference may be that of two clocks.
            (
                "Sun, 1 Mar 2026 12:30:00 +0000",
                Some("2026-03-01T11:59:00Z"),
            ),
            (
                "Fri, 1 Jan 2038 00:00:00 +0000",
                Some("1980-01-01T00:00:00Z"),
            ),
            ("nonsense", Some("1993-01-02T00:00:00Z")),
        ] {
            assert!(!is_young(date, said), "{date} {said:?}");
        }
        assert!(is_young("nonsense", None), "nobody says anything");
    }

    #[test]
    fn an_old_mail_stays_old() {
        let old = "Date: Mon, 3 Mar 2025 12:00:00 +0000\r\n";
        assert_eq!(arrived("2000-01-01T00:00:00Z", old), NOW);
        assert_eq!(arrived("2026-03-01T12:00:00Z", old), "2026-03-01T12:00:00Z");
        let ahead = "Date: Tue, 2 Mar 2027 12:00:00 +0000\r\n";
        assert_eq!(
            arrived("2026-03-01T12:00:00Z", ahead),
            NOW,
            "never later than now"
        );
    }
}
