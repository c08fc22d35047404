//! What the bridge may have to tell of itself, as far as the store knows.

use jiff::Timestamp;

/// The incident by which the bridge tells of its dead letters.
pub const DEAD_LETTERS: &str = "self:dead-letters";
/// What begins the incident by which it tells of mail of an app that is not expected; the app's key
/// follows.
pub const UNEXPECTED_APP: &str = "self:app-key:";

/// What the bridge may have to tell of itself, read at each look; every list is cut at a few.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Concerns {
    /// Deliveries in the dead letters, those that tell of dead letters not counted; at most 1000.
    pub dead: u64,
    /// Open incidents of which a resolve is held.
    pub held_resolves: Vec<String>,
    /// When an unverified trigger was last held because there were too many.
    pub flooded_at: Option<Timestamp>,
    /// Apps that are not expected, mail of which is held.
    pub unexpected_apps: Vec<String>,
    /// When only the header of a quarantined mail was kept, to make room, the last time.
    pub quarantine_cut_at: Option<Timestamp>,
    /// What is left where the store is; none where it is in no file.
    pub room: Option<Room>,
    /// What the bridge tells of itself now.
    pub alarms: Vec<Alarm>,
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
    /// A mute kept it from everybody.
    pub untold: bool,
}

/// A store is near full below this much, or below a twentieth of a small file system.
const LITTLE: u64 = 256 << 20;
const PLENTY: u64 = 2 << 30;

impl Room {
    /// Of a store that has none left, however large it is.
    pub const NONE: Self = Self {
        free: 0,
        total: u64::MAX,
    };

    /// The store is near full below this much.
    pub fn little(self) -> u64 {
        (self.total / 20).clamp(LITTLE, PLENTY)
    }

    /// What is left is kept for alerts: mail that is no sender's is refused. Of a small file system
    /// that is a tenth, so that there is room for both.
    pub fn is_for_alerts_alone(self) -> bool {
        self.free < self.little().min(self.total / 10)
    }
}
