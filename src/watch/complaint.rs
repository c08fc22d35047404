//! The bridge's own troubles in words: each with its fix, and with the text of its end. Pure.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::{SignedDuration, Timestamp};

use crate::{
    canary,
    ingress::{Condition, OVERDUE},
    store::{
        Alarm, Concerns, DEAD_LETTERS, Died, HELD_RESOLVES, HELD_TRIGGERS, NO_MAIL,
        QUARANTINE_FULL, REFUSED_MAIL, Room, SILENT_INGRESS, STORE_SPACE, TAKEN_MAIL,
        UNEXPECTED_APP,
    },
};

/// The most unexpected apps that are reported at a time. An attacker who invents apps must not
/// flood a pager.
const MOST_APPS: usize = 5;
/// How long after the last held trigger the alarm ends. Unverified triggers are counted by the
/// hour, so after an hour without a held one they page again. The alarm of a full quarantine ends
/// after the same time.
const CALM: SignedDuration = SignedDuration::from_hours(1);
/// How long after the last mail was taken away, or kept out, the alarm ends.
const LATELY: SignedDuration = SignedDuration::from_hours(24);

/// The least time between two pages about dead letters of the same receivers.
const AGAIN: SignedDuration = SignedDuration::from_mins(15);
/// The most receivers of dead letters that a page names.
const MOST_RECEIVERS: usize = 5;

/// A single trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) incident_id: String,
    /// The description of the trouble, and how to fix it.
    pub(super) text: String,
}

impl Complaint {
    /// Returns the label that names the trouble's subject, for routes.
    pub(super) fn about(&self) -> Option<(&'static str, &str)> {
        let ingress = ingress_of(&self.incident_id).map(|(_, name)| ("ingress", name));

        ingress.or_else(|| {
            self.incident_id
                .strip_prefix(UNEXPECTED_APP)
                .map(|key| ("app_key", key))
        })
    }
}

/// Returns the severity. A trouble is critical if it may keep a page from somebody.
pub(super) fn severity(incident_id: &str) -> &'static str {
    let harmless = [HELD_RESOLVES, QUARANTINE_FULL].contains(&incident_id)
        || incident_id.starts_with(UNEXPECTED_APP);
    if harmless { "warning" } else { "critical" }
}

/// Returns every present trouble. `shared` are the ingresses that other replicas serve as well, and
/// `since` is when the bridge began to look.
pub(super) fn complaints(
    concerns: &Concerns,
    health: &BTreeMap<String, Condition>,
    shared: &[String],
    since: Timestamp,
    now: Timestamp,
) -> Vec<Complaint> {
    let mut found = Vec::new();
    let mut complain =
        |incident_id: String, text: String| found.push(Complaint { incident_id, text });

    for (name, condition) in health {
        let trouble = trouble(name, condition, since, now);
        if let Some(text) = trouble.filter(|_| !shared.contains(name)) {
            complain(format!("{SILENT_INGRESS}{name}"), text);
        }
        if let Some(text) = taken_away(name, condition, now) {
            complain(format!("{TAKEN_MAIL}{name}"), text);
        }
        if let Some(text) = refused(name, condition, now) {
            complain(format!("{REFUSED_MAIL}{name}"), text);
        }
        if let Some(text) = no_mail(name, condition, now) {
            complain(format!("{NO_MAIL}{name}"), text);
        }
    }

    for (incident_id, text) in standing(concerns, now) {
        complain(incident_id.to_owned(), text);
    }

    for (incident_id, text) in unexpected_apps(concerns) {
        complain(incident_id, text);
    }

    let is_open = is_reported(concerns, STORE_SPACE);
    if let Some(room) = concerns.room.filter(|room| is_scarce(*room, is_open)) {
        complain(
            STORE_SPACE.into(),
            format!(
                "the store has {} MiB left: mail of other senders is refused first, alerts once it \
                 is full; free some space on its file system, or shorten store.mail_retention",
                room.free >> 20
            ),
        );
    }

    found
}

/// Decides whether an open alarm is told again, because it has become worse: more pages were given
/// up since it was told. Those of a receiver that had none then may have another cause, so they do
/// not wait.
pub(super) fn is_worse(alarm: &Alarm, concerns: &Concerns, now: Timestamp) -> bool {
    let is_later = |at: Timestamp| at > alarm.told_at;
    let mut died = concerns.died.iter();

    alarm.incident_id == DEAD_LETTERS
        && if now.duration_since(alarm.told_at) < AGAIN {
            died.any(|died| is_later(died.first))
        } else {
            died.any(|died| is_later(died.last))
        }
}

/// Decides whether the alarm of an ingress stays open because another replica, which serves the
/// ingress as well, may know of a loss that this one does not know of.
pub(super) fn may_go_on_elsewhere(alarm: &Alarm, shared: &[String], now: Timestamp) -> bool {
    let is_shared = |(_, name): (_, &str)| shared.iter().any(|shared| shared == name);
    ingress_of(&alarm.incident_id).is_some_and(is_shared)
        && now.duration_since(alarm.told_at) < LATELY
}

fn is_reported(concerns: &Concerns, incident_id: &str) -> bool {
    concerns
        .alarms
        .iter()
        .any(|alarm| alarm.incident_id == incident_id)
}

/// Returns the apps whose mail is held: those that are already reported, and as many others as
/// there is room for.
fn unexpected_apps(concerns: &Concerns) -> Vec<(String, String)> {
    let reported = concerns
        .alarms
        .iter()
        .filter(|alarm| alarm.incident_id.starts_with(UNEXPECTED_APP))
        .count();
    let mut room_for = MOST_APPS.saturating_sub(reported);
    let mut found = Vec::new();

    for key in &concerns.unexpected_apps {
        let incident_id = format!("{UNEXPECTED_APP}{key}");
        if !is_reported(concerns, &incident_id) {
            if room_for == 0 {
                continue;
            }
            room_for -= 1;
        }
        found.push((
            incident_id,
            format!(
                "mail of the app {key} is held, because alerts.app_keys does not list it: add it \
                 there and run `alertbridge mails release ID`, or run `mails discard ID`; \
                 `alertbridge mails list --outcome quarantined` lists the mail"
            ),
        ));
    }

    found
}

/// Returns the troubles that the store knows of: pages that were given up, and mail that is held.
fn standing(concerns: &Concerns, now: Timestamp) -> Vec<(&'static str, String)> {
    let is_recent = |at: Option<Timestamp>| at.is_some_and(|at| now.duration_since(at) < CALM);
    let mut found = Vec::new();

    if concerns.dead > 0 {
        let (many, whom) = match concerns.dead {
            1 => ("1 page is".to_owned(), "its receiver"),
            dead => (format!("{dead} pages are"), "their receivers"),
        };
        let receivers = receivers(&concerns.died);
        found.push((
            DEAD_LETTERS,
            format!(
                "{many} given up and never reached {whom}{receivers}; the fallback, if there is \
                 one, is notified instead: `alertbridge deliveries list --state dead` says why; \
                 fix the cause, then run `alertbridge deliveries retry --dead`"
            ),
        ));
    }

    if !concerns.held_resolves.is_empty() {
        found.push((
            HELD_RESOLVES,
            format!(
                "a resolve of {} is held, because nothing proves that it is genuine, and the \
                 incident stays open: see `alertbridge mails list --outcome quarantined`, then run \
                 `mails release ID` or `mails discard ID`",
                named(&concerns.held_resolves)
            ),
        ));
    }

    if is_recent(concerns.flooded_at) {
        found.push((
            HELD_TRIGGERS,
            "unverified triggers are held: more arrived through an ingress than may page in an \
             hour (alerts.authenticity.unverified.max_per_hour), they could not be checked \
             (unverified.trigger: quarantine), or they report a higher severity in open alerts \
             that only proven mail can change; genuine ones page as soon as they are proven; see \
             `alertbridge mails list --outcome quarantined`, then run `mails release ID` or `mails \
             discard ID`"
                .into(),
        ));
    }

    if is_recent(concerns.quarantine_cut_at) {
        found.push((
            QUARANTINE_FULL,
            "mail that is not proven, or not expected, takes more than \
             store.quarantine.max_size, so the oldest mails in the quarantine are cut to their \
             headers and can no longer be released: see `alertbridge mails list --outcome \
             quarantined`, and discard unwanted mail, for example with `alertbridge mails \
             discard --from ADDRESS`"
                .into(),
        ));
    }

    found
}

/// Names the receivers of dead letters, the last to have one first: ` (oncall, backup)`.
fn receivers(died: &[Died]) -> String {
    let mut died: Vec<&Died> = died.iter().collect();
    died.sort_by_key(|died| Reverse(died.last));

    let mut names: Vec<&str> = died.iter().map(|died| died.receiver.as_str()).collect();
    if names.len() > MOST_RECEIVERS {
        names.truncate(MOST_RECEIVERS);
        names.push("and others");
    }
    if names.is_empty() {
        return String::new();
    }
    format!(" ({})", names.join(", "))
}

/// Describes the trouble of an ingress, if it has one.
fn trouble(name: &str, condition: &Condition, since: Timestamp, now: Timestamp) -> Option<String> {
    let why = condition.failure.as_deref().unwrap_or("it gives no reason");
    if condition.login_refused {
        return Some(format!(
            "ingress {name} cannot log in, and receives no mail until its credentials are \
             corrected: {why}"
        ));
    }

    let lately = condition.last_success.map_or(since, |at| at.max(since));
    (now.duration_since(lately) > OVERDUE).then(|| {
        let minutes = OVERDUE.as_mins();
        format!(
            "ingress {name} has not worked for {minutes} minutes, and receives no mail until it \
             does: {why}"
        )
    })
}

/// Describes that mail is taken out of a mailbox before it is read. An alert may be among it.
fn taken_away(name: &str, condition: &Condition, now: Timestamp) -> Option<String> {
    let (mails, last) = condition.taken_away?;
    let mails = match mails {
        1 => "a mail".to_owned(),
        mails => format!("{mails} mails"),
    };
    (now.duration_since(last) < LATELY).then(|| {
        format!(
            "another mail program, or a rule, took {mails} out of the folder of ingress {name} \
             before they could be read, the last at {last:.0}: an alert may be among them; let the \
             bridge read the folder to which they go, or a mailbox of its own"
        )
    })
}

/// Describes that mail of a known client is refused for good. An alert may be among it.
fn refused(name: &str, condition: &Condition, now: Timestamp) -> Option<String> {
    let (why, last) = condition.refused?;
    (now.duration_since(last) < LATELY).then(|| {
        format!(
            "ingress {name} refused mail of a client that it knows, the last at {last:.0}, and an \
             alert may be among it: {why}"
        )
    })
}

/// Describes that a provider posts requests that hold no mail. An alert may be lost by each.
fn no_mail(name: &str, condition: &Condition, now: Timestamp) -> Option<String> {
    let (why, last) = condition.no_mail?;
    (now.duration_since(last) < LATELY).then(|| {
        format!(
            "the provider of ingress {name} posts requests that hold no mail, the last at \
             {last:.0}, and an alert may be lost by each: {why}"
        )
    })
}

/// Decides whether space is scarce. Once reported, the shortage lasts until a quarter more than the
/// limit is free, so that it does not flap with every mail.
fn is_scarce(room: Room, told: bool) -> bool {
    let limit = room.little();
    room.free < if told { limit / 4 * 5 } else { limit }
}

/// Names up to three incidents by their ids. An id of an unusual form is left out, because a mail
/// may have made it up.
fn named(incidents: &[String]) -> String {
    let plain = |id: &&String| {
        id.len() <= 64
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };

    let names: Vec<&str> = incidents
        .iter()
        .filter(plain)
        .take(3)
        .map(String::as_str)
        .collect();

    match (incidents.len(), names.len()) {
        (1, 1) => format!("incident {}", names.concat()),
        (many, some) if many == some => format!("incidents {}", names.join(", ")),
        (many, 0) => format!("{many} open incident{}", if many == 1 { "" } else { "s" }),
        (many, some) => format!("incidents {} and {} more", names.join(", "), many - some),
    }
}

/// Returns the text for the end of an alarm whose cause is gone, or `None` if that is not known
/// yet. `ingresses` are the configured ones, with their conditions.
pub(super) fn over(
    incident_id: &str,
    ingresses: &BTreeMap<&str, Option<&Condition>>,
) -> Option<String> {
    if let Some((prefix, name)) = ingress_of(incident_id) {
        return match ingresses.get(name) {
            None => Some(format!("ingress {name} is no longer configured")),
            Some(condition) => condition.and_then(|its| over_at_ingress(prefix, name, its)),
        };
    }

    // The watch of the canary reports the end of this alarm.
    if incident_id == canary::INCIDENT {
        return None;
    }

    Some(match incident_id {
        DEAD_LETTERS => "there are no more dead letters".into(),
        HELD_RESOLVES => "no resolve of an open incident is held".into(),
        HELD_TRIGGERS => "no unverified trigger was held for an hour".into(),
        QUARANTINE_FULL => "no mail in the quarantine was cut to its header for an hour".into(),
        STORE_SPACE => "the store has enough space again".into(),
        _ => match incident_id.strip_prefix(UNEXPECTED_APP) {
            Some(key) => format!("no more mail of the app {key} is held"),
            None => "it is over".into(),
        },
    })
}

/// Returns the same for the alarm of an ingress, by the prefix of the alarm.
fn over_at_ingress(prefix: &str, name: &str, condition: &Condition) -> Option<String> {
    let has_worked = condition.last_success.is_some();
    match prefix {
        SILENT_INGRESS => (has_worked && condition.failure.is_none())
            .then(|| format!("ingress {name} works again")),
        TAKEN_MAIL => has_worked.then(|| {
            format!(
                "no other program took mail from ingress {name} for a day, or since the bridge \
                 started"
            )
        }),
        REFUSED_MAIL => has_worked.then(|| {
            format!(
                "ingress {name} refused no mail of a client that it knows for a day, or since the \
                 bridge started"
            )
        }),
        _ => (condition.has_mail || condition.no_mail.is_some())
            .then(|| format!("a mail came through ingress {name}, or none was kept out for a day")),
    }
}

/// Returns the prefix and the name if the incident reports the trouble of an ingress.
fn ingress_of(incident_id: &str) -> Option<(&'static str, &str)> {
    [SILENT_INGRESS, TAKEN_MAIL, REFUSED_MAIL, NO_MAIL]
        .into_iter()
        .find_map(|prefix| Some((prefix, incident_id.strip_prefix(prefix)?)))
}

#[cfg(test)]
mod tests;
