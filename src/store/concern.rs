//! The bridge's own troubles, as far as the store knows of them.

use jiff::Timestamp;

/// The incident that reports dead letters.
pub const DEAD_LETTERS: &str = "self:dead-letters";
/// The prefix of the incident that reports mail of an unexpected app; the app's key follows.
pub const UNEXPECTED_APP: &str = "self:app-key:";

/// The prefix of the incident that reports an ingress without mail; the ingress follows.
pub const SILENT_INGRESS: &str = "self:ingress:";
/// The prefix of the incident that reports mail that is taken from an ingress; the ingress follows.
pub const TAKEN_MAIL: &str = "self:taken-mail:";
/// The prefix of the incident that reports mail of a known client that is refused for good; the
/// ingress follows.
pub const REFUSED_MAIL: &str = "self:refused-mail:";
/// The prefix of the incident that reports requests of a provider that hold no mail; the ingress
/// follows.
pub const NO_MAIL: &str = "self:no-mail:";
/// The incidents that report unproven mail that is kept back.
pub const HELD_RESOLVES: &str = "self:held-resolves";
pub const HELD_TRIGGERS: &str = "self:held-triggers";
pub const QUARANTINE_FULL: &str = "self:quarantine-full";
/// The incident that reports a lack of disk space.
pub const STORE_SPACE: &str = "self:store-space";

/// Everything that may be a reason for an alarm, read at each round of `watch`. Every list is
/// bounded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Concerns {
    /// The number of dead letters, at most 1000. Dead letters that themselves report dead letters
    /// do not count.
    pub dead: u64,
    /// The receivers of these dead letters, in the order of their names.
    pub died: Vec<Died>,
    /// Open incidents with a held resolve.
    pub held_resolves: Vec<String>,
    /// When an unverified trigger was last held because there were too many.
    pub flooded_at: Option<Timestamp>,
    /// Unexpected apps whose mail is held.
    pub unexpected_apps: Vec<String>,
    /// When a quarantined mail was last cut to its header to free space.
    pub quarantine_cut_at: Option<Timestamp>,
    /// The free space of the store; `None` if the store is not in a file.
    pub room: Option<Room>,
    /// The alarms that are open now.
    pub alarms: Vec<Alarm>,
}

/// The dead letters of a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Died {
    pub receiver: String,
    pub pages: u64,
    /// When the first and the last of them were given up.
    pub first: Timestamp,
    pub last: Timestamp,
}

/// The space of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub free: u64,
    pub total: u64,
}

/// An open incident of the bridge itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    pub incident_id: String,
    /// Whether nobody was told of it, because of a mute.
    pub untold: bool,
    /// When it was last told.
    pub told_at: Timestamp,
}

/// The bounds, in bytes, of the free space below which a store counts as nearly full: a twentieth
/// of the file system, but no less than `LITTLE` and no more than `PLENTY`.
const LITTLE: u64 = 256 << 20;
const PLENTY: u64 = 2 << 30;

impl Room {
    /// No space at all, on a file system of any size.
    pub const NONE: Self = Self {
        free: 0,
        total: u64::MAX,
    };

    /// Returns the free space, in bytes, below which the store counts as nearly full.
    pub fn little(self) -> u64 {
        (self.total / 20).clamp(LITTLE, PLENTY)
    }

    /// Returns whether the remaining space is reserved for alerts, so that mail from other senders
    /// is refused. On a small file system that is the last tenth, so that both have space.
    pub fn is_for_alerts_alone(self) -> bool {
        self.free < self.little().min(self.total / 10)
    }
}
