//! The path of a mail: the `Received` field that each host added (RFC 5321, 4.4).

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use serde::Serialize;

use super::when::{When, span};
use crate::message::header;

/// The largest number of hops that are shown. A stranger may write any number of them.
const MOST: usize = 30;

/// The path of a mail, the first host first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hops {
    pub summary: String,
    list: Vec<Hop>,
}

/// A host that received the mail.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Hop {
    by: String,
    from: String,
    at: When,
    /// The time since the previous host.
    delay: String,
}

struct Received {
    by: String,
    from: String,
    at: Timestamp,
}

impl Hops {
    /// Reads the path from a mail's header, and adds its arrival here. Returns `None` if no field
    /// can be read.
    pub fn new(
        raw: &[u8],
        (ingress, arrived_at): (&str, Timestamp),
        now: Timestamp,
    ) -> Option<Self> {
        let (header, _) = header::split(raw);
        let written: Vec<_> = header::fields(header)
            .flatten()
            .filter(|field| field.is(b"Received"))
            .take(MOST)
            .filter_map(|field| received(&String::from_utf8_lossy(field.value)))
            .collect();
        if written.is_empty() {
            return None;
        }

        // The newest field is on top.
        let mut way: Vec<_> = written.into_iter().rev().collect();
        way.push(Received {
            by: format!("alertbridge ({ingress})"),
            from: String::new(),
            at: arrived_at,
        });

        let delays = way
            .windows(2)
            .map(|pair| pair[1].at.duration_since(pair[0].at));
        let delays: Vec<_> = delays.collect();
        let whole = delays.iter().fold(SignedDuration::ZERO, |sum, delay| {
            sum.saturating_add(*delay)
        });
        let slowest = delays
            .iter()
            .zip(&way[1..])
            .max_by_key(|(delay, _)| **delay);

        let mut summary = format!("{} hops in {}", way.len(), delay(whole));
        if let Some((slow, hop)) = slowest.filter(|(slow, _)| slow.as_secs() > 0) {
            summary += &format!(", the slowest {} to {}", delay(*slow), hop.by);
        }

        let before = std::iter::once(None).chain(delays.iter().map(Some));
        let list = way.iter().zip(before).map(|(hop, since)| Hop {
            by: hop.by.clone(),
            from: hop.from.clone(),
            at: When::new(hop.at, now),
            delay: since.map_or_else(String::new, |since| delay(*since)),
        });

        Some(Self {
            summary,
            list: list.collect(),
        })
    }
}

/// Formats a delay, which is negative if the clocks of two hosts differ.
fn delay(length: SignedDuration) -> String {
    if length.is_negative() {
        format!("−{} (their clocks differ)", span(-length))
    } else {
        span(length)
    }
}

/// Parses a field of the form `from A by B with …; DATE`.
fn received(value: &str) -> Option<Received> {
    let (said, date) = value.rsplit_once(';')?;
    let date = date.split('(').next().unwrap_or(date).trim();
    let at = rfc2822::DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(date)
        .ok()?;

    let mut words = said.split_whitespace();
    let (mut by, mut from) = (String::new(), String::new());
    while let Some(word) = words.next() {
        match word.to_ascii_lowercase().as_str() {
            "from" if from.is_empty() => words.next().unwrap_or_default().clone_into(&mut from),
            "by" if by.is_empty() => words.next().unwrap_or_default().clone_into(&mut by),
            _ => {}
        }
    }

    Some(Received { by, from, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] = b"Received: from relay.example.net (relay.example.net [192.0.2.7])\r\n\
        \tby mx.example.com (Postfix) with ESMTPS id 4X;\r\n\
        \tSun, 1 Mar 2026 03:18:57 +0000 (UTC)\r\n\
        Received: by relay.example.net; Sun, 01 Mar 2026 04:18:50 +0100\r\n\
        Received: nonsense\r\n\
        Subject: x\r\n\r\n";

    #[test]
    fn each_hop_has_its_delay() {
        let arrived: Timestamp = "2026-03-01T03:19:00Z".parse().unwrap();
        let hops = Hops::new(MAIL, ("mailbox", arrived), arrived).unwrap();
        assert_eq!(
            hops.summary,
            "3 hops in 10 s, the slowest 7 s to mx.example.com"
        );
        let way: Vec<_> = hops
            .list
            .iter()
            .map(|hop| (hop.by.as_str(), hop.from.as_str(), hop.delay.as_str()))
            .collect();
        assert_eq!(
            way,
            [
                ("relay.example.net", "", ""),
                ("mx.example.com", "relay.example.net", "7 s"),
                ("alertbridge (mailbox)", "", "3 s"),
            ]
        );
        assert_eq!(
            Hops::new(b"Subject: x\r\n\r\n", ("m", arrived), arrived),
            None
        );
    }

    #[test]
    fn clocks_that_differ_are_told_and_add_up_to_nothing_odd() {
        let arrived: Timestamp = "2026-03-01T03:18:00Z".parse().unwrap();
        let hops = Hops::new(MAIL, ("mailbox", arrived), arrived).unwrap();
        assert_eq!(hops.list[2].delay, "\u{2212}57 s (their clocks differ)");
    }
}
