//! Which mail is whose, and how it is read: compiled from YAML.
//!
//! A profile takes mail by its header alone ([`Profiles::taking`]), so that a mail's authenticity
//! can be judged by its own profile's rules when it arrives. What the mail holds is then read into
//! the alerts it tells of ([`Profile::read`]), one for each item, or into what is wrong with it.
//!
//! ```text
//! header ─▶ matching ─▶ the profile
//! mail ─▶ extract::Contents ─▶ context ─▶ fields ─▶ status ─▶ Found
//! ```
//!
//! Everything is bounded: expressions are linear in the text, templates have fuel and an end, and a
//! mail has at most [`MAX_ITEMS`] items. Starters ([`starters`]) are files of the same grammar,
//! laid under a profile that names one before its settings are read (`config::starter`).

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    authenticate::{self, Read},
    label::{self, Labels, Severities},
    settings::{Duration, Problem},
};

mod compile;
mod context;
pub mod draft;
pub mod examples;
mod fields;
mod items;
mod json;
mod matching;
mod reading;
mod settings;
pub mod starters;
mod status;
#[cfg(test)]
mod tests;
mod trace;

pub use matching::Taking;
pub use settings::{Expect, Match, Overlay, OverlayUnverified, Settings};
pub use status::Meaning;
pub use trace::{Miss, Trace};

/// How many incidents one mail may tell of.
pub const MAX_ITEMS: usize = 500;

/// All profiles of a configuration, in order.
#[derive(Debug, Default)]
pub struct Profiles(Vec<Arc<Profile>>);

/// One sender's mail, and what it means.
#[derive(Debug)]
pub struct Profile {
    pub name: Arc<str>,
    matching: matching::Matching,
    recipe: reading::Recipe,
    /// `severity`: the first rule that matches, else the field.
    pub severities: Severities,
    settings: Settings,
}

/// What one item of a mail turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    Alert(Box<Alert>),
    /// An alert that cannot be read, under a key made from its payload, so that copies page once.
    Unparsed {
        /// Names the field and its expression.
        reason: String,
        key: String,
        json: Value,
    },
    /// It is no alert, by the profile's own word.
    Ignored {
        reason: String,
    },
}

/// An alert as a mail tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// What trigger and resolve share.
    pub key: String,
    /// As the mail says it.
    pub status: String,
    pub meaning: Meaning,
    /// None: the mail's Date.
    pub time: Option<Timestamp>,
    /// `status`, `title`, `url`, `summary`, `severity` where the field gives one, and the profile's
    /// own fields.
    pub labels: Labels,
    /// What templates get as `incident`: fields, pairs, and the item's JSON where it is JSON.
    pub json: Value,
}

impl Profiles {
    /// Compiles what `profiles:` holds, or says all that is wrong with it.
    pub fn compile(settings: &[Settings]) -> Result<Self, Vec<Problem>> {
        Self::of(compile::profiles(settings, false))
    }

    /// The same of profiles that may give the labels of Atlassian's own mail.
    pub fn built_in(settings: &[Settings]) -> Result<Self, Vec<Problem>> {
        Self::of(compile::profiles(settings, true))
    }

    fn of(compiled: Result<Vec<Profile>, Vec<Problem>>) -> Result<Self, Vec<Problem>> {
        compiled.map(|profiles| Self(profiles.into_iter().map(Arc::new).collect()))
    }

    /// Which of them takes a mail, by its header (of [`crate::message::Mended`]).
    pub fn taking(&self, header: &[u8]) -> Taking<'_> {
        matching::taking(&self.0, header)
    }

    /// The place of the one that takes a mail for certain, and what of the header makes it this
    /// one's, and that alert. `routed` are the labels that routes go by.
    pub fn reads(&self, header: &[u8], routed: &BTreeSet<String>) -> Option<(usize, Vec<Read>)> {
        let Taking::Taken(taker) = self.taking(header) else {
            return None;
        };
        let place = self.0.iter().position(|one| Arc::ptr_eq(one, taker))?;
        let passed_on = matching::looked_at(&self.0[..place], header);
        let reads: BTreeSet<Read> = taker.reads(routed).chain(passed_on).collect();
        Some((place, reads.into_iter().collect()))
    }

    /// Why each of them does not take a mail.
    pub fn misses(&self, header: &[u8]) -> Vec<Miss> {
        matching::misses(&self.0, header)
    }

    /// Every label that an alert may have: the bridge's own, and those of the profiles.
    pub fn labels(&self) -> BTreeSet<&str> {
        let summary = (!self.is_empty()).then_some("summary");
        let own = self.own_labels().into_iter();
        own.chain(summary).chain(label::NAMES).collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.0.iter()
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Profile>> {
        self.0.iter().find(|profile| *profile.name == *name)
    }

    /// One of them.
    #[must_use]
    pub fn only(&self, name: &str) -> Self {
        Self(self.get(name).cloned().into_iter().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The labels that profiles alone give.
    pub fn own_labels(&self) -> BTreeSet<&str> {
        let own = self.0.iter().flat_map(|profile| profile.own_labels());
        own.filter(|label| !label::NAMES.contains(label)).collect()
    }
}

impl Profile {
    /// Reads a mail that the profile takes: what it tells of, in its order, and at least one thing.
    /// Never fails, and takes time linear in the mail's size.
    pub fn read(&self, raw: &[u8]) -> Vec<Found> {
        reading::read(&self.name, &self.recipe, raw)
    }

    /// Everything that was found in a mail, for whoever writes the profile.
    pub fn trace(&self, raw: &[u8]) -> Trace {
        reading::trace(&self.recipe, raw)
    }

    /// An alert that is told though the header's sender is in doubt.
    pub fn doubtful(&self, raw: &[u8], reason: &str) -> Found {
        reading::doubtful(&self.name, &self.recipe, raw, reason)
    }

    /// What of the mail its match, key, status, time, severity and labels are made of. A title, a
    /// summary and an address decorate, unless the severity or a route goes by them, or a change of
    /// them is told.
    fn reads(&self, routed: &BTreeSet<String>) -> impl Iterator<Item = Read> {
        let decides = |name: &str| {
            !matches!(name, "title" | "summary" | "url")
                || routed.contains(name)
                || self.notify_on_change().iter().any(|told| told == name)
                || self.severities.look_at(name)
        };
        self.matching.looks_at().chain(self.recipe.reads(decides))
    }

    /// How mail must prove that it is the sender's. `from_domain` is the domain of its From.
    pub fn authenticity(
        &self,
        alerts: &authenticate::Settings,
        from_domain: &str,
    ) -> authenticate::Settings {
        self.settings.authenticity.over(alerts, from_domain)
    }

    /// The senders of `match.from`; empty where any may send.
    pub fn from(&self) -> &[String] {
        &self.settings.r#match.from
    }

    pub fn notify_on_change(&self) -> &[String] {
        &self.settings.notify_on_change
    }

    pub fn resolve_after(&self) -> Option<Duration> {
        self.settings.resolve_after
    }

    pub fn expect(&self) -> Option<&Expect> {
        self.settings.expect.as_ref()
    }

    /// The labels that this profile alone gives.
    pub fn own_labels(&self) -> impl Iterator<Item = &str> {
        self.recipe.own_labels()
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
