//! The failures of a day, and when they happen.

use std::time::Duration;

use tokio::time::Instant;

/// Something that fails for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A vendor, given by its number, answers 503.
    Down(usize),
    /// A vendor answers 429.
    Limits(usize),
    /// A vendor answers nothing until the client gives up.
    Hangs(usize),
    /// A vendor breaks connections before it reads.
    Breaks(usize),
    /// A vendor does what it is asked, and breaks the connection before it replies.
    LosesReplies(usize),
    /// The disk of the store is full.
    Full,
    /// The store takes seconds to answer.
    Slow,
    /// Now and then the store fails, before or after it has done what it was asked.
    Flickers,
    /// Name servers do not answer.
    NoDns,
    /// The mailbox's server cannot be reached.
    NoMailbox,
    /// A replica, given by its number, stands still because its machine is suspended.
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

    /// Returns the longest time that the trouble may last, in seconds. Those of the store are
    /// short, because everything else depends on it.
    fn most(self) -> u64 {
        match self {
            Self::Full | Self::Slow | Self::Flickers => 600,
            Self::Frozen(_) => 240,
            Self::NoDns | Self::NoMailbox => 3_600,
            _ => 9_000,
        }
    }
}

/// A period in which there is trouble.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spell {
    pub(super) trouble: Trouble,
    pub(super) from: Instant,
    pub(super) until: Instant,
}

/// Returns the troubles of a day. Some days have none, others have several at once.
pub(super) fn forecast(rng: &mut fastrand::Rng, begins: Instant, ends: Instant) -> Vec<Spell> {
    let length = (ends - begins).as_secs();
    let most = usize::try_from(length / 900).unwrap_or(1);
    let spell = |rng: &mut fastrand::Rng| {
        let trouble = Trouble::any(rng);
        let from = begins + Duration::from_secs(rng.u64(..length));
        // Short troubles are more frequent than long ones.
        let lasts = 5 + rng.u64(..trouble.most()).min(rng.u64(..trouble.most()));
        Spell {
            trouble,
            from,
            until: (from + Duration::from_secs(lasts)).min(ends),
        }
    };
    (0..rng.usize(..=most)).map(|_| spell(rng)).collect()
}
