//! Pages that a silence holds until it ends.

use jiff::Timestamp;

use super::{Kind, Subject};
use crate::{
    delivery::{Action, Notification},
    incident::{ATLASSIAN_SLI, Series},
    silence::SilenceId,
};

/// What becomes of the page that a silence holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Silencing {
    /// The page stays as it is, if there is one.
    #[default]
    AsItIs,
    /// The page is no longer held: it is sent now, or never.
    Over,
    /// This page is held from now on.
    Held(Box<Silenced>),
}

/// A page that a silence holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Silenced {
    /// The last silence to end of those that cover the page.
    pub silence: SilenceId,
    /// When that silence ends.
    pub until: Timestamp,
    /// The page. A trigger is told to everybody whom the routes reach. A change is told to those
    /// who know of the incident, if it still differs from what they were told.
    pub page: Notification,
}

impl Silenced {
    /// Returns whether the page is told even if the incident is as it was told before.
    pub(crate) fn is_page(&self) -> bool {
        self.page.action == Action::Trigger
    }

    /// Returns the same page, held as a change of what was told.
    #[must_use]
    pub(crate) fn into_change(mut self) -> Self {
        self.page.action = Action::Change;
        self
    }
}

/// An incident with a page that a silence held, where the silence has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsilenced {
    pub kind: Kind,
    pub incident_id: String,
}

impl Unsilenced {
    /// Names the incident that a mail is about.
    pub(crate) fn of(subject: &Subject) -> Self {
        Self {
            kind: subject.kind,
            incident_id: subject.incident_id.clone(),
        }
    }

    /// Returns what the store must know to decide about the incident.
    pub fn subject(&self) -> Subject {
        Subject {
            kind: self.kind,
            incident_id: self.incident_id.clone(),
            status: String::new(),
            time: None,
            profile: ATLASSIAN_SLI.into(),
            series: Series::default(),
            ingress: String::new(),
            verified: true,
        }
    }
}
