//! The conclusion drawn from a mail's content: everything that its second commit writes.

use std::{borrow::Cow, sync::Arc};

use jiff::Timestamp;

use super::{Arrival, Claim, Heard, Memory, Mutes, Silencing, Subject};
use crate::{
    delivery::{Action, NewDelivery},
    incident::{Phase, State},
    label::Labels,
    message::{Hold, MailId, Outcome},
};

/// One thing found in a mail: its subject, and the conclusion drawn from it.
pub struct Item {
    /// What the store must know to remember it; `None` if it is not an alert.
    pub subject: Option<Subject>,
    pub decide: Decide,
    /// The mutes that may further hold pages of the incident whose hold ends now.
    pub mutes: Mutes,
}

impl Item {
    /// Makes an item for a conclusion about an incident that comes from no mail.
    pub fn about(subject: Subject, decide: Decide, mutes: Mutes) -> Self {
        Self {
            subject: Some(subject),
            decide,
            mutes,
        }
    }
}

/// A function that draws the conclusion from what the store knows.
pub type Decide = Box<dyn FnOnce(&Memory) -> Decision + Send>;

/// The decision about one thing found in a mail: everything that is written when it is decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The profile that took the mail, if any.
    pub profile: Option<Arc<str>>,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub labels: Labels,
    /// The incident's new state, if it changes.
    pub state: Option<State>,
    /// Whether the mail's status and time now count as applied.
    pub applied: bool,
    /// The deliveries that this decision owes.
    pub deliveries: Vec<NewDelivery>,
    /// The receivers to notify now, in the order of the routes, including one without integrations.
    /// This is not stored, because the deliveries are.
    pub receivers: Vec<String>,
    /// When the mail's authenticity is checked again.
    pub check_at: Option<Timestamp>,
    /// Why a quarantined mail is held, if the bridge raises an alarm about it.
    pub hold: Option<Hold>,
    /// Whether this is an unverified trigger that notifies somebody. Their number in an hour is
    /// limited for each ingress and profile.
    pub marked: bool,
    /// For a duplicate from another ingress: where the first copy arrived, and when it was decided.
    /// Not stored.
    pub late: Option<Heard>,
    /// The deliveries that were leased together with the decision. The store fills it in.
    pub claims: Vec<Claim>,
    /// Whether pages of the incident that a mute still holds are dropped, because a newer page
    /// replaces them.
    pub supersedes: bool,
    /// What becomes of a page of the incident that a silence holds.
    pub silencing: Silencing,
    /// When the mail arrived, if it says that its incident continues. If the state changes, `None`
    /// means the time of the decision.
    pub heard_at: Option<Timestamp>,
    /// The mail that its profile expects, if this is it.
    pub arrival: Option<Arrival>,
}

impl Decision {
    /// Returns a decision that changes nothing and notifies nobody.
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

    /// Returns whether anybody is notified, now or when a mute ends.
    pub fn tells(&self) -> bool {
        !self.receivers.is_empty() || !self.deliveries.is_empty()
    }

    /// Returns whether the mail begins an episode, or is the first to prove one.
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

    /// Returns the number of the episode that a delivery is about, if the incident has this state
    /// from now on. A resolve belongs to the episode that was open, also if another one begins.
    pub(super) fn episode_of(delivery: &NewDelivery, state: &State, memory: &Memory) -> i64 {
        let before = memory.known.state.as_ref();
        match delivery.notification.action {
            Action::Resolve => before.map_or(state.episode, |before| before.episode),
            Action::Trigger | Action::Change => state.episode,
        }
    }

    /// Returns the labels that the incident has from now on. An incident that is over keeps the
    /// title and severity that it had while it was open: lists say what broke and how badly, not
    /// that it is well again.
    pub(super) fn labels_of_incident(&self, memory: &Memory) -> Cow<'_, Labels> {
        let is_over = |state: &State| state.phase == Phase::Resolved;
        if !self.state.as_ref().is_some_and(is_over) {
            return Cow::Borrowed(&self.labels);
        }

        let mut labels = self.labels.clone();
        for name in ["title", "severity"] {
            if let Some(was) = memory.labels.get(name) {
                labels.insert(name.into(), was.clone());
            }
        }
        Cow::Owned(labels)
    }

    /// Returns why the held pages of the incident are never sent, or `None` if they stay held.
    pub(super) fn discards_held(&self, state: &State) -> Option<&'static str> {
        match state.phase {
            Phase::Resolved => Some("resolved while held"),
            Phase::Firing => self.supersedes.then_some("a newer page is sent instead"),
        }
    }

    /// Returns whether the mail stays undecided until the page that a silence held has been sent. A
    /// mail that waits for its authenticity has a time for its next check instead.
    pub(crate) fn waits_for_silenced(&self) -> bool {
        self.outcome == Outcome::Pending && self.check_at.is_none()
    }

    /// Returns the number of deliveries stored under the mail's own number, which `store check`
    /// counts.
    pub(super) fn owed_under(&self, mail: MailId) -> u64 {
        self.deliveries
            .iter()
            .filter(|delivery| delivery.notification.mail == Some(mail))
            .count() as u64
    }
}
