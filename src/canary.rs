//! The canary: a mail of the bridge's own that takes the path of every alert mail, and proves by
//! coming back that the path is open.
//!
//! This module defines how canaries are named and signed, the stages that they pass, and what their
//! flights say of the bridge. Pure.

use aws_lc_rs::hmac;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use jiff::{SignedDuration, Timestamp};
use memchr::memmem;
use serde::Serialize;

use crate::message::{MailId, header};

mod settings;

pub use settings::{SendVia, Settings, Tls};

/// The header that carries the token of a canary.
pub const HEADER: &str = "X-Alertbridge-Canary";
/// The beginning of a canary's subject. The token follows it, because some providers drop unknown
/// headers.
pub const SUBJECT: &str = "alertbridge canary ";
/// The receiver of canaries: it exists, but notifies nobody.
pub const SINK: &str = "self:canary";
/// The incident that reports a missing canary.
pub const INCIDENT: &str = "canary:missing";
/// The incident whose lane contains the canaries' own deliveries.
pub const LANE: &str = "canary:sink";

/// The number of newest flights that the store keeps; older ones are forgotten.
pub const KEPT: u32 = 1000;

/// How much later than `every` a canary may be begun after the one before: a canary that is being
/// handed in keeps the next one waiting, and the clocks of replicas differ.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(1);

/// A mail that the bridge sends to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canary {
    /// Increases by one with each canary.
    pub number: u64,
    /// The time at which the canary was begun, to the second.
    pub begun_at: Timestamp,
}

/// The stages of a canary, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// A mail server accepted the canary.
    Sent,
    /// The canary came back through an ingress.
    Arrived,
    Judged,
    Read,
    Decided,
    /// The delivery of the canary is settled.
    Delivered,
}

impl Stage {
    pub const ALL: [Self; 6] = [
        Self::Sent,
        Self::Arrived,
        Self::Judged,
        Self::Read,
        Self::Decided,
        Self::Delivered,
    ];

    /// Returns the word used in labels and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Arrived => "arrived",
            Self::Judged => "judged",
            Self::Read => "read",
            Self::Decided => "decided",
            Self::Delivered => "delivered",
        }
    }
}

/// The key that signs canaries; replicas share it through the store.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl Key {
    pub fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Returns the token of a canary: its number, its time, and an HMAC that proves both.
    pub fn token(&self, canary: Canary) -> String {
        let text = text(canary);
        let tag = hmac::sign(&self.0, signed(&text).as_bytes());
        format!("{text}.{}", HEXLOWER.encode(tag.as_ref()))
    }

    /// Returns the canary in a mail; `None` if there is none, or if its token is not proven.
    pub fn recognise(&self, raw: &[u8]) -> Option<Canary> {
        let (head, _) = header::split(raw);
        // Nearly all mails are not canaries, and a single pass over the head rules them out.
        memmem::find(head, b"lertbridge")?;

        let field = |name: &str| {
            let value = header::first(head, name.as_bytes())?;
            Some(String::from_utf8_lossy(value).trim().to_owned())
        };
        let named = field(HEADER).and_then(|token| self.proven(&token));
        named.or_else(|| self.proven(field("Subject")?.strip_prefix(SUBJECT)?.trim()))
    }

    fn proven(&self, token: &str) -> Option<Canary> {
        let (text, tag) = token.rsplit_once('.')?;
        let (number, seconds) = text.split_once('.')?;
        let canary = Canary {
            number: number.parse().ok()?,
            begun_at: Timestamp::from_second(seconds.parse().ok()?).ok()?,
        };
        let tag = HEXLOWER_PERMISSIVE.decode(tag.as_bytes()).ok()?;
        hmac::verify(&self.0, signed(text).as_bytes(), &tag).ok()?;
        Some(canary)
    }
}

fn text(canary: Canary) -> String {
    format!("{}.{}", canary.number, canary.begun_at.as_second())
}

/// Returns the text to sign. It names its purpose, so that a signature is valid for nothing else.
fn signed(text: &str) -> String {
    format!("alertbridge canary {text}")
}

/// The progress of a canary.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flight {
    pub number: u64,
    pub begun_at: Timestamp,
    /// The time at which it passed each stage, in the order of [`Stage::ALL`].
    pub passed: [Option<Timestamp>; 6],
    /// The mail that brought it back.
    pub mail: Option<MailId>,
    /// Why it could not be sent.
    pub failure: Option<String>,
    /// Whether the heartbeat was pinged for it.
    pub is_pinged: bool,
}

impl Flight {
    /// Returns the time at which it completed every stage.
    pub fn completed_at(&self) -> Option<Timestamp> {
        self.passed[Stage::Delivered as usize]
    }

    /// Returns the first stage that it has not passed; `None` if it came through.
    pub fn stopped_at(&self) -> Option<Stage> {
        Stage::ALL
            .into_iter()
            .find(|stage| self.passed[*stage as usize].is_none())
    }

    /// Returns the stages that it has passed, with their times.
    pub fn stages(&self) -> impl Iterator<Item = (Stage, Timestamp)> + '_ {
        Stage::ALL
            .into_iter()
            .filter_map(|stage| Some((stage, self.passed[stage as usize]?)))
    }
}

/// What the flights of the canaries show about the path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Standing {
    /// No canary shows anything: none has come through yet and none is overdue, or none was sent
    /// for a while.
    #[default]
    Unknown,
    /// The newest flight that had its time came through within the deadline.
    Well(Flight),
    /// The newest flight that had its time did not come through, or came through too late.
    Missing(Flight),
}

/// Decides what `flights`, the newest first, show about the path.
///
/// A flight that came through late shows that the path is too slow, and one still in progress shows
/// nothing. Nor does a missing or late one that another should have followed long since: no canary
/// was sent in between, because the bridge was stopped or canaries were switched off, and whoever
/// is paged now would look for a fault of that time. The flights before it are not asked, because
/// one that came through would end an alarm that is still open.
pub fn standing(flights: &[Flight], settings: &Settings, now: Timestamp) -> Standing {
    let deadline = settings.deadline.as_signed();
    let topical = settings.every.as_signed().saturating_add(deadline);
    let topical = topical.saturating_add(TOLERANCE);

    for flight in flights {
        let age = now.duration_since(flight.begun_at);
        let missing = || {
            if age > topical {
                Standing::Unknown
            } else {
                Standing::Missing(flight.clone())
            }
        };
        match flight.completed_at() {
            Some(at) if at.duration_since(flight.begun_at) <= deadline => {
                return Standing::Well(flight.clone());
            }
            Some(_) => return missing(),
            None if age > deadline => return missing(),
            None => {}
        }
    }

    Standing::Unknown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::Duration;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn canary() -> Canary {
        Canary {
            number: 7,
            begun_at: at(0),
        }
    }

    fn mail(token: &str) -> Vec<u8> {
        format!("From: a@example.com\r\n{HEADER}: {token}\r\nSubject: x\r\n\r\nx\r\n").into_bytes()
    }

    #[test]
    fn a_canary_is_known_by_its_header_or_its_subject_and_by_no_other_key() {
        let key = Key::new(&[1; 32]);
        let token = key.token(canary());
        assert_eq!(key.recognise(&mail(&token)), Some(canary()));
        let subject = format!("Subject: {SUBJECT}{token}\r\n\r\n");
        assert_eq!(key.recognise(subject.as_bytes()), Some(canary()));
        let body = format!("Subject: x\r\n\r\n{HEADER}: {token}\r\n");
        assert_eq!(key.recognise(body.as_bytes()), None);
        assert_eq!(Key::new(&[2; 32]).recognise(&mail(&token)), None);

        // Parsing ignores a plus sign in place of a zero, so the number would stay the same.
        for (at, _) in token.match_indices('0') {
            let forged = format!("{}+{}", &token[..at], &token[at + 1..]);
            assert_eq!(key.recognise(&mail(&forged)), None, "{forged}");
        }
    }

    proptest! {
        /// Changing any byte of a token invalidates it.
        #[test]
        fn what_is_forged_is_no_canary(place in 0_usize..80, byte in b'!'..=b'~') {
            let key = Key::new(&[1; 32]);
            let mut token = key.token(canary()).into_bytes();
            let place = place % token.len();
            prop_assume!(!token[place].eq_ignore_ascii_case(&byte));
            token[place] = byte;
            let token = String::from_utf8(token).unwrap();
            prop_assert_eq!(key.recognise(&mail(&token)), None);
        }

        #[test]
        fn no_text_in_its_place_does_harm(text in ".{0,80}") {
            prop_assert_eq!(Key::new(&[1; 32]).recognise(&mail(&text)), None);
        }
    }

    fn flight(number: u64, begun: i64, stages: usize, done: i64) -> Flight {
        let mut passed = [None; 6];
        passed[..stages].fill(Some(at(done)));
        Flight {
            number,
            begun_at: at(begun),
            passed,
            ..Flight::default()
        }
    }

    /// Returns what flights show if a canary is sent every five minutes and may take one.
    fn told(flights: &[Flight], now: i64) -> String {
        let settings = Settings {
            every: Duration::from_secs(300),
            deadline: Duration::from_secs(60),
            ..Settings::default()
        };
        match standing(flights, &settings, at(now)) {
            Standing::Unknown => "unknown".to_owned(),
            Standing::Well(flight) => format!("well {}", flight.number),
            Standing::Missing(flight) => format!(
                "missing {} at {:?}",
                flight.number,
                flight.stopped_at().map(Stage::as_str)
            ),
        }
    }

    #[test]
    fn the_newest_that_had_its_time_decides() {
        assert_eq!(told(&[], 0), "unknown");
        let under_way = flight(2, 100, 1, 101);
        assert_eq!(told(std::slice::from_ref(&under_way), 130), "unknown");
        assert_eq!(
            told(std::slice::from_ref(&under_way), 161),
            r#"missing 2 at Some("arrived")"#
        );
        let before = flight(1, 0, 6, 10);
        assert_eq!(told(&[under_way.clone(), before.clone()], 130), "well 1");
        assert_eq!(
            told(&[under_way, before], 161),
            r#"missing 2 at Some("arrived")"#
        );
        let unsent = flight(3, 0, 0, 0);
        assert_eq!(told(&[unsent], 61), r#"missing 3 at Some("sent")"#);
        let late = flight(4, 0, 6, 61);
        assert_eq!(told(&[late], 62), "missing 4 at None");
    }

    #[test]
    fn a_missing_one_shows_nothing_once_others_should_have_followed_it_and_a_good_one_always_does()
    {
        let (unsent, late) = (flight(3, 0, 0, 0), flight(3, 0, 6, 61));
        assert_eq!(told(std::slice::from_ref(&late), 420), "missing 3 at None");
        for missing in [unsent, late] {
            assert_ne!(told(std::slice::from_ref(&missing), 420), "unknown");
            assert_eq!(told(std::slice::from_ref(&missing), 421), "unknown");
            // Neither the one under way nor the good one before it changes that.
            let flights = [flight(4, 1000, 1, 1001), missing, flight(2, -300, 6, -290)];
            assert_eq!(told(&flights, 1002), "unknown");
            assert_eq!(told(&flights, 1061), r#"missing 4 at Some("arrived")"#);
        }
        assert_eq!(told(&[flight(5, 0, 6, 10)], 100_000), "well 5");
    }
}
