//! The result of the reading stages for one mail: the profile that took it, and its alerts. Pure.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    declared,
    finding::{Finding, unparsed_key},
    rules::Rules,
    sli::SliReader,
};
use crate::{
    extract::{self, Extraction},
    message::{Mended, Message, header},
    profile::Taking,
    store::StoredMail,
};

/// The maximum number of incidents that unproven mail may report.
const MOST_OF_ANYBODY: usize = 50;

/// The result of the reading stages for one mail.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The profile that took the mail, if any.
    pub profile: Option<Arc<str>>,
    /// What was found, in the mail's order. Never empty, and more than one only if the mail reports
    /// several incidents.
    pub findings: Vec<Finding>,
    /// The mail's Date.
    pub date: Option<Timestamp>,
    pub subject_line: Option<String>,
    /// The Message-ID of a mail whose only time is its Date, to tell it from others of the same
    /// second.
    pub message_id: Option<String>,
}

impl Reading {
    /// Returns the reading of an alert that could not even be examined. Copies of it page once.
    pub fn unreadable(message: &Message, reason: &str) -> Self {
        let key = unparsed_key(&message.raw);
        Self {
            profile: None,
            findings: vec![Finding::Unreadable {
                key,
                reason: reason.to_owned(),
                json: Value::Null,
            }],
            date: None,
            subject_line: None,
            message_id: None,
        }
    }

    /// Limits the reading of a mail that anybody may have sent, since each finding is kept for as
    /// long as the mail is.
    ///
    /// The rest is read once the mail is proven or released.
    pub(super) fn of_anybody(self, message: &Message) -> Self {
        if self.findings.len() <= MOST_OF_ANYBODY {
            return self;
        }

        let mut findings = self.findings;
        findings.truncate(MOST_OF_ANYBODY);
        findings.push(Finding::Unreadable {
            key: unparsed_key(&message.raw),
            reason: format!(
                "the mail is not proven and reports more than {MOST_OF_ANYBODY} incidents: the \
                 rest is read once it is proven or released"
            ),
            json: Value::Null,
        });
        Self { findings, ..self }
    }

    /// Returns the ids of the incidents that the mail is about, for which the order of mails
    /// matters.
    pub(super) fn incident_ids(&self) -> impl Iterator<Item = &str> {
        self.findings.iter().filter_map(|finding| match finding {
            Finding::Incident { incident, .. } => Some(incident.incident_id.as_str()),
            _ => None,
        })
    }
}

impl Rules {
    /// Extracts and validates the alerts of a mail.
    ///
    /// Mail that Atlassian's own settings do not take is tried by the profiles of `profiles:`.
    pub fn read(&self, mail: &StoredMail) -> Reading {
        let message = &mail.message;
        let extraction = self.sli.extractor.extract(&message.raw);
        if SliReader::is_anothers(&extraction)
            && let Some(reading) = self.read_declared(mail, &extraction)
        {
            return reading;
        }

        let is_anothers = SliReader::is_anothers(&extraction);
        let (date, subject_line) = (extraction.date, extraction.subject);
        let is_known = is_anothers && !message.raw.is_empty();
        let finding = match (&message.withheld, message.cut_from) {
            (Some(reason), _) if !is_known => withheld(message, reason),
            (_, Some(size)) if !is_anothers => without_body(message, size, mail.cut_at),
            _ => self.distinct(self.sli.finding(extraction.found, &message.raw)),
        };

        Reading {
            profile: (!is_anothers).then(|| Arc::clone(&self.sli.profile)),
            findings: vec![finding],
            date,
            subject_line,
            message_id: None,
        }
    }

    /// Reads a mail that is not Atlassian's by the profile of its sender; `None` if no profile
    /// takes it.
    fn read_declared(&self, stored: &StoredMail, extraction: &Extraction) -> Option<Reading> {
        if self.profiles.is_empty() {
            return None;
        }

        let message = &stored.message;
        let mail = Mended::of(&message.raw);
        if self.receivers.sent(mail.header()) {
            let reason = "it is a page that this bridge sent itself (email_configs)".to_owned();
            return Some(Reading {
                profile: None,
                findings: vec![Finding::Ignored { reason }],
                date: extraction.date,
                subject_line: extraction.subject.clone(),
                message_id: None,
            });
        }

        let sent_at = extraction.date.unwrap_or(message.arrived_at);
        let (profile, findings) = match self.profiles.taking(mail.header()) {
            Taking::Nobodys => return None,
            Taking::Unmatched(_, reason) => (None, vec![Finding::Ignored { reason }]),
            Taking::Doubtful(profile, odd) => {
                let found = profile.doubtful(&message.raw, &odd);
                (
                    Some(profile),
                    vec![declared::finding(profile, found, sent_at)],
                )
            }
            Taking::Taken(profile) => {
                let findings = match (&message.withheld, message.cut_from) {
                    (Some(reason), _) => vec![withheld(message, reason)],
                    (None, Some(size)) => vec![without_body(message, size, stored.cut_at)],
                    (None, None) => declared::findings(profile, &message.raw, sent_at),
                };
                (Some(profile), findings)
            }
        };

        Some(Reading {
            profile: profile.map(|profile| Arc::clone(&profile.name)),
            findings,
            date: extraction.date,
            subject_line: extraction.subject.clone(),
            message_id: message_id(mail.header()),
        })
    }

    /// Writes an id of Atlassian's in full if it looks like another profile's.
    fn distinct(&self, mut finding: Finding) -> Finding {
        if let Finding::Incident { incident, .. } = &mut finding
            && let Some((first, _)) = incident.incident_id.split_once(':')
            && self.profiles.get(first).is_some()
        {
            let full = format!("{}:{}", self.sli.profile, incident.incident_id);
            incident.labels.insert("incident_id".into(), full.clone());
            incident.incident_id = full;
        }
        finding
    }

    /// Returns whether a mail is proven not to be an alert: a readable header names another sender.
    pub fn is_another_senders(&self, raw: &[u8]) -> bool {
        SliReader::is_anothers(&self.sli.extractor.extract(raw)) && {
            let mail = Mended::of(raw);
            matches!(
                self.profiles.taking(mail.header()),
                Taking::Nobodys | Taking::Unmatched(..)
            )
        }
    }
}

/// Returns the finding for a mail that its server did not return: it may be an alert, unless its
/// header names another sender.
///
/// The reason identifies the mail, so that each one is announced.
fn withheld(message: &Message, reason: &str) -> Finding {
    let evidence = [message.ingress.as_bytes(), reason.as_bytes(), &message.raw].concat();
    Finding::Unreadable {
        key: unparsed_key(&evidence),
        reason: reason.to_owned(),
        json: Value::Null,
    }
}

/// Returns the finding for a sender's mail of which only the header is left.
///
/// A mail that was over the size limit may be an alert, and its sender does not hear that it was
/// not read, so somebody is told. Copies of it are told once. A mail whose body was dropped later
/// was decided when the body was there.
fn without_body(message: &Message, size: u64, cut_at: Option<Timestamp>) -> Finding {
    if let Some(at) = cut_at {
        return Finding::Quarantined {
            reason: format!(
                "only the mail's header is kept: its body was dropped at {at:.0} to free space \
                 (it had {size} bytes)"
            ),
        };
    }

    Finding::Unreadable {
        key: unparsed_key(&extract::identity(&message.raw)),
        reason: format!(
            "the mail is over the size limit ({size} bytes), so only its header was read: look \
             into the mailbox, and raise max_message_size"
        ),
        json: Value::Null,
    }
}

fn message_id(header: &[u8]) -> Option<String> {
    let id = header::first(header, b"Message-ID")?;
    let id = String::from_utf8_lossy(id.trim_ascii()).into_owned();
    (!id.is_empty()).then_some(id)
}
