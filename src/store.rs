//! The storage of everything that must survive: a dozen domain verbs, no CRUD.
//!
//! Nothing is trusted but the three commits: the mail (`record`), the transition with its
//! deliveries (`decide`), and the attempt with the next state (`settle`). The row is the queue.
//!
//! Each caller has a trait of its own: [`Intake`] is for the pipeline, [`Lanes`] for delivery,
//! [`Desk`] for the commands and pages, [`Browse`] and [`Ledger`] for the API and the pages,
//! [`Upkeep`] for `serve` and `watch`, and [`Canaries`] for the code that sends canaries and sees
//! them arrive. The values that they exchange are in the files of this folder, one subject a file.
//! [`sqlite`] and [`postgres`] implement all the traits, and use the same file names for the same
//! work.

pub mod audit;
mod browse;
mod canary;
mod claim;
mod concern;
mod decision;
mod desk;
mod error;
mod expected;
mod held;
mod intake;
mod kept;
mod lanes;
mod ledger;
mod look;
mod mail;
mod memory;
mod naming;
mod part;
pub mod place;
pub mod postgres;
mod refusal;
mod retention;
mod settlement;
mod silenced;
mod spare;
pub mod sqlite;
mod subject;
mod summary;
mod upkeep;

pub use browse::{
    Backlog, Browse, Course, Courses, DeliveryFilter, IncidentFilter, Lately, MailFilter, Pulse,
    SCANNED, Span, Stretch, Taken, ToldRow,
};
pub use canary::Canaries;
pub use claim::{Agenda, Claim, Standing};
pub use concern::{
    Alarm, Concerns, DEAD_LETTERS, Died, HELD_RESOLVES, HELD_TRIGGERS, NO_MAIL, QUARANTINE_FULL,
    REFUSED_MAIL, Room, SILENT_INGRESS, STORE_SPACE, TAKEN_MAIL, UNEXPECTED_APP,
};
pub use decision::{Decide, Decision, Item};
pub use desk::Desk;
pub use error::StoreError;
pub use expected::{Arrival, ExpectedMail};
pub use held::{Held, Mutes};
use held::{PASSED_ON, Turn};
pub use intake::Intake;
pub use lanes::Lanes;
pub use ledger::{Answer, Answered, Deed, DeedRow, Ledger, Session};
pub use look::{DeliveryRow, Depth, Event, IncidentRow, MailRow, Totals};
use mail::FARTHEST_CHECK;
pub(crate) use mail::READ_BACK;
pub use mail::StoredMail;
use memory::HOUR;
pub use memory::{Heard, Memory, Told};
pub(crate) use memory::{RECURRENCE, hour};
pub use naming::Outstanding;
pub use retention::{Horizon, Pruned, Sweep};
pub use settlement::{Attempt, Escalated, Fallback, Next, Settled, Settlement};
pub use silenced::{Silenced, Silencing, Unsilenced};
pub use spare::{Cut, Excess, Spare};
pub use subject::{Kind, Subject};
pub use summary::most_notable;
pub use upkeep::Upkeep;

pub use crate::delivery::NewDelivery;

/// Everything that a store does: the sum of the traits of its callers. Each caller takes the trait
/// that it needs.
pub trait Store: Intake + Lanes + Desk + Browse + Ledger + Upkeep + Canaries {}

impl<S: Intake + Lanes + Desk + Browse + Ledger + Upkeep + Canaries> Store for S {}
