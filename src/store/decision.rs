//! What follows from what was found in a mail: everything that its second commit writes.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Arrival, Claim, Heard, Memory, Mutes, Silencing, Subject};
use crate::{
    delivery::NewDelivery,
    incident::{Phase, State},
    label::Labels,
    message::{Hold, MailId, Outcome},
};

/// One thing that was found in a mail: what it is about, and what is concluded of it.
pub struct Item {
    /// What the store must know to remember it by; none where it is no alert.
    pub subject: Option<Subject>,
    pub decide: Decide,
    /// What holds on to the incident's pages that are held until now.
    pub mutes: Mutes,
}

impl Item {
    /// What is concluded about an incident without a mail.
    pub fn about(subject: Subject, decide: Decide, mutes: Mutes) -> Self {
        Self {
            subject: Some(subject),
            decide,
            mutes,
        }
    }
}

/// What is concluded from what is known.
pub type Decide = Box<dyn FnOnce(&Memory) -> Decision + Send>;

/// What follows from one thing that was found in a mail: everything that is written when it is
/// decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The profile that took the mail, where one did.
    pub profile: Option<Arc<str>>,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub labels: Labels,
    /// The incident's new state, where it changes.
    pub state: Option<State>,
    /// Whether the mail's status and time now count as applied.
    pub applied: bool,
    /// Who is to be told.
    pub deliveries: Vec<NewDelivery>,
    /// The receivers told now, in the routes' order, one without integrations included. Not stored:
    /// the deliveries are.
    pub receivers: Vec<String>,
    /// When the mail's authenticity is checked again.
    pub check_at: Option<Timestamp>,
    /// Why a quarantined mail is held, where the bridge tells of it.
    pub hold: Option<Hold>,
    /// Whether an unverified trigger is told: there are so many an hour of each ingress.
    pub marked: bool,
    /// Of a duplicate that came another way than the first: how that one came. Not stored.
    pub late: Option<Heard>,
    /// Those of the deliveries that were leased with the decision. The store fills it in.
    pub claims: Vec<Claim>,
    /// Whether what a mute still holds of the incident is dropped: something newer is told in its
    /// stead.
    pub supersedes: bool,
    /// What becomes of the page that a silence holds of the incident.
    pub silencing: Silencing,
    /// When the mail came, where it says that its incident goes on; none: where the state changes,
    /// now.
    pub heard_at: Option<Timestamp>,
    /// The mail that its profile expects.
    pub arrival: Option<Arrival>,
}

impl Decision {
    /// A decision that changes nothing and tells nobody.
    pub fn nothing(outcome: Outcome, reason: &str, labels: Labels) -> Self {
        Self {
            profile: None,
            outcome,
            reason: Some(reason.to_owned()),
            labels,
            state: None,
            applied: false,
            deliveries: Vec::new(),
            receivers: Vec::new(),
            check_at: None,
            hold: None,
            marked: false,
            late: None,
            claims: Vec::new(),
            supersedes: false,
            silencing: Silencing::AsItIs,
            heard_at: None,
            arrival: None,
        }
    }

    /// Whether anybody is told, now or when a mute ends.
    pub fn tells(&self) -> bool {
        !self.receivers.is_empty() || !self.deliveries.is_empty()
    }

    /// Whether its mail begins an episode, or is the first that proves it.
    pub(super) fn begins_episode(&self, memory: &Memory) -> bool {
        let (before, proven) = memory
            .known
            .state
            .as_ref()
            .map_or((0, false), |state| (state.episode, state.verified));
        self.state.as_ref().is_some_and(|state| {
            state.phase == Phase::Firing && state.verified && (state.episode > before || !proven)
        }) && self.outcome != Outcome::Duplicate
    }

    /// Why what is held of the incident is told to nobody any more; none where it stays held.
    pub(super) fn discards_held(&self, state: &State) -> Option<&'static str> {
        match state.phase {
            Phase::Resolved => Some("resolved while held"),
            Phase::Firing => self
                .supersedes
                .then_some("what is newer is told in its stead"),
        }
    }

    /// Whether the mail is left undecided until what a silence held is told: one that waits for its
    /// authenticity is checked again at some time.
    pub(crate) fn waits_for_silenced(&self) -> bool {
        self.outcome == Outcome::Pending && self.check_at.is_none()
    }

    /// How many deliveries are made under the mail's own number: `store check` finds them by it.
    pub(super) fn owed_under(&self, mail: MailId) -> u64 {
        self.deliveries
            .iter()
            .filter(|delivery| delivery.notification.mail == Some(mail))
            .count() as u64
    }
}
