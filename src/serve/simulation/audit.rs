//! The checks of what must hold at the end of a day.

use std::collections::BTreeMap;

use super::{
    blocking::block_on,
    mail::{Mails, Told},
    replica::Fleet,
    shared::About,
    world::{World, lock},
};
use crate::{
    delivery::{DeliveryState, Target, alias, sha256_hex},
    message::Outcome,
    store::{DeliveryRow, Desk as _, audit::Extent, sqlite},
};

/// A limit above the number of rows that a day has.
const ALL: u32 = 1_000_000;

type Heard = BTreeMap<(Target, String), Vec<&'static str>>;

/// Checks a day against the promise.
pub(super) async fn audit(world: &World, fleet: &Fleet, mails: &Mails) {
    world.assert_whole();
    let sqlite = &fleet.shared.sqlite;
    let deliveries = block_on(sqlite.deliveries(None, ALL)).unwrap();
    let heard = fleet.vendors.told();

    keeps_its_mails(world, fleet, mails);
    for incident in &mails.incidents {
        is_told_as_it_was(world, &heard, &deliveries, incident);
    }
    tells_nobody_twice(world, fleet, &deliveries);
    is_well_again(world, fleet);

    let checked = sqlite::check(&fleet.store, world.time(), Extent::Everything, |_, _| {});
    let (findings, _) = checked.unwrap();
    if !findings.is_empty() {
        world.broken(&format!("store check: {findings:#?}"));
    }
}

/// Checks that every acknowledged mail is stored, and that every stored mail is decided.
fn keeps_its_mails(world: &World, fleet: &Fleet, mails: &Mails) {
    let stored = block_on(fleet.shared.sqlite.mails(None, ALL)).unwrap();
    let undecided = stored.iter().find(|mail| mail.outcome == Outcome::Pending);
    if let Some(mail) = undecided {
        world.broken(&format!("mail {} is undecided", mail.id));
    }
    for raw in lock(&mails.acknowledged).iter() {
        let hash = sha256_hex(raw);
        if stored.iter().all(|mail| mail.sha256 != hash) {
            world.broken("an acknowledged mail is gone");
        }
    }
}

/// Returns the receivers to which an incident's app leads.
fn receivers(app: &str) -> &'static [(&'static str, &'static str)] {
    match app {
        "com.example.team" => &[("team", "opsgenie/0")],
        "com.example.muted" => &[("muted", "webhook/0")],
        _ => &[("oncall", "pagerduty/0"), ("oncall", "webhook/0")],
    }
}

/// Checks that everybody heard of every opening once, and then of its end. A receiver that may not
/// have been told, because of a mute, a silence, an unchecked mail or a page that was given up,
/// must at least know the present state.
fn is_told_as_it_was(world: &World, heard: &Heard, deliveries: &[DeliveryRow], incident: &Told) {
    let truth = lock(&incident.truth).clone();
    let (id, app) = (&incident.id, incident.app);
    for (receiver, integration) in receivers(app) {
        let target = Target {
            receiver: (*receiver).to_owned(),
            integration: (*integration).to_owned(),
        };
        let key = (target, alias("incident", id, receiver));
        let told = heard.get(&key).cloned().unwrap_or_default();
        let given_up = deliveries
            .iter()
            .any(|row| row.alias == key.1 && row.state != DeliveryState::Delivered);
        let may_differ = ["com.example.muted", "com.example.silenced"].contains(&app)
            || world.was_doubted(id)
            || given_up;

        if may_differ {
            let is_open = told.last() == Some(&"trigger");
            if is_open != incident.is_open() && !(given_up && is_open) {
                world.broken(&format!(
                    "{id} stands as {:?}, and {receiver} ({integration}) heard {told:?}",
                    truth.last()
                ));
            }
        } else if told != truth {
            world.broken(&format!(
                "{id} is {truth:?}, and {receiver} ({integration}) heard {told:?}"
            ));
        }
    }
}

/// Checks that one request is made for each page, unless something came between the request and its
/// record.
fn tells_nobody_twice(world: &World, fleet: &Fleet, deliveries: &[DeliveryRow]) {
    let mut owed: BTreeMap<About, (usize, usize)> = BTreeMap::new();
    for row in deliveries {
        let target = Target {
            receiver: row.receiver.clone(),
            integration: row.integration.clone(),
        };
        let about = (target, row.alias.clone(), row.action.as_str());
        let (all, delivered) = owed.entry(about).or_default();
        *all += 1;
        *delivered += usize::from(row.state == DeliveryState::Delivered);
    }

    let mut sent: BTreeMap<About, (usize, usize)> = BTreeMap::new();
    for flight in fleet.lives().iter().flat_map(|life| life.flights()) {
        let (all, excused) = sent.entry(flight.about).or_default();
        *all += 1;
        *excused += usize::from(flight.excuse.is_some());
    }

    for (about, (all, excused)) in &sent {
        let owed = owed.get(about).map_or(0, |(all, _)| *all);
        if all - excused > owed {
            world.broken(&format!(
                "{about:?} was sent {all} times, {excused} of them with an excuse; owed were {owed}"
            ));
        }
    }
    for (about, (_, delivered)) in &owed {
        let sent = sent.get(about).map_or(0, |(all, _)| *all);
        if sent < *delivered {
            world.broken(&format!(
                "{about:?} is said to be delivered {delivered} times, and was sent {sent} times"
            ));
        }
    }
}

/// Checks that all alarms of the bridge are over, and that everybody who was told of one knows it.
fn is_well_again(world: &World, fleet: &Fleet) {
    for ((target, alias), told) in fleet.vendors.told() {
        let is_own = alias.starts_with("self:");
        if is_own && told.last() != Some(&"resolve") {
            world.broken(&format!("{alias} does not end at {target:?}: {told:?}"));
        }
        if told.windows(2).any(|pair| pair[0] == pair[1]) || told.first() == Some(&"resolve") {
            world.broken(&format!("{target:?} heard of {alias}: {told:?}"));
        }
    }
}
