//! What fails in a day, and when.

use std::time::Duration;

use tokio::time::Instant;

/// Something that fails for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A vendor, by its number, answers 503.
    Down(usize),
    /// It answers 429.
    Limits(usize),
    /// It answers nothing until the client gives up.
    Hangs(usize),
    /// It breaks connections before it reads.
    Breaks(usize),
    /// It does what it is asked, and breaks the connection before it says so.
    LosesReplies(usize),
    /// The disk of the store is full.
    Full,
    /// The store takes seconds.
    Slow,
    /// Now and then the store fails, before or after it has done what it was asked.
    Flickers,
    /// Name servers do not answer.
    NoDns,
    /// The mailbox's server is away.
    NoMailbox,
    /// A replica, by its number, stands still: its machine is suspended.
    Frozen(usize),
}

pub(super) const VENDORS: usize = 3;
pub(super) const REPLICAS: usize = 3;

impl Trouble {
    fn any(rng: &mut fastrand::Rng) -> Self {
        let vendor = rng.usize(..VENDORS);
        match rng.u8(..12) {
            0 => Self::Down(vendor),
            1 => Self::Limits(vendor),
            2 => Self::Hangs(vendor),
            3 => Self::Breaks(vendor),
            4 | 5 => Self::LosesReplies(vendor),
            6 => Self::Full,
            7 => Self::Slow,
            8 => Self::Flickers,
            9 => Self::NoDns,
            10 => Self::NoMailbox,
            _ => Self::Frozen(rng.usize(..REPLICAS)),
        }
    }

    /// How long it may last, in seconds: the store is what all else leans on.
    fn most(self) -> u64 {
        match self {
            Self::Full | Self::Slow | Self::Flickers => 600,
            Self::Frozen(_) => 240,
            Self::NoDns | Self::NoMailbox => 3_600,
            _ => 9_000,
        }
    }
}

/// A trouble, from when until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spell {
    pub(super) trouble: Trouble,
    pub(super) from: Instant,
    pub(super) until: Instant,
}

/// The troubles of a day: of some days none, of others several at once.
pub(super) fn forecast(rng: &mut fastrand::Rng, begins: Instant, ends: Instant) -> Vec<Spell> {
    let length = (ends - begins).as_secs();
    let most = usize::try_from(length / 900).unwrap_or(1);
    let spell = |rng: &mut fastrand::Rng| {
        let trouble = Trouble::any(rng);
        let from = begins + Duration::from_secs(rng.u64(..length));
        // Short ones are more frequent than long ones.
        let lasts = 5 + rng.u64(..trouble.most()).min(rng.u64(..trouble.most()));
        Spell {
            trouble,
            from,
            until: (from + Duration::from_secs(lasts)).min(ends),
        }
    };
    (0..rng.usize(..=most)).map(|_| spell(rng)).collect()
}
