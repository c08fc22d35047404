//! What the reading stages make of one mail: which profile took it, and the alerts in it. Pure.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    finding::{Finding, unparsed_key},
    rules::Rules,
    sli::SliReader,
};
use crate::message::Message;

/// What the reading stages made of one mail.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The profile that took it, where one did.
    pub profile: Option<Arc<str>>,
    /// What was found, in the mail's order: never empty, and more than one only where a mail tells
    /// of several incidents.
    pub findings: Vec<Finding>,
    /// The mail's Date.
    pub date: Option<Timestamp>,
    pub subject_line: Option<String>,
    /// The Message-ID of a mail whose Date alone says when it was, to tell it from others of that
    /// second.
    pub message_id: Option<String>,
}

impl Reading {
    /// An alert that could not even be looked at; copies of it page once.
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

    /// The incidents it is about, where the order of their mails matters.
    pub(super) fn incident_ids(&self) -> impl Iterator<Item = &str> {
        self.findings.iter().filter_map(|finding| match finding {
            Finding::Incident { incident, .. } => Some(incident.incident_id.as_str()),
            _ => None,
        })
    }
}

impl Rules {
    /// Extracts and validates.
    pub fn read(&self, message: &Message) -> Reading {
        let extraction = self.sli.extractor.extract(&message.raw);
        let is_anothers = SliReader::is_anothers(&extraction);
        let (date, subject_line) = (extraction.date, extraction.subject);

        let withheld = message.withheld.as_deref();
        let finding = match (
            withheld.and_then(|reason| self.withheld(message, reason)),
            message.cut_from,
        ) {
            (Some(finding), _) => finding,
            (None, Some(size)) if !is_anothers => Finding::Quarantined {
                reason: format!(
                    "the mail is over the size limit ({size} bytes): only its header was kept"
                ),
            },
            (None, _) => self.sli.finding(extraction.found, &message.raw),
        };

        Reading {
            profile: (!is_anothers).then(|| Arc::clone(&self.sli.profile)),
            findings: vec![finding],
            date,
            subject_line,
            message_id: None,
        }
    }

    /// Whether a mail is proven to be no alert: a readable header names another sender.
    pub fn is_another_senders(&self, raw: &[u8]) -> bool {
        SliReader::is_anothers(&self.sli.extractor.extract(raw))
    }

    /// A mail that its server did not give may be an alert, unless its header names another sender.
    /// The reason names the mail, so that each is told.
    fn withheld(&self, message: &Message, reason: &str) -> Option<Finding> {
        let is_known = !message.raw.is_empty() && self.sli.extractor.is_anothers(&message.raw);
        let key = || {
            unparsed_key(&[message.ingress.as_bytes(), reason.as_bytes(), &message.raw].concat())
        };
        (!is_known).then(|| Finding::Unreadable {
            key: key(),
            reason: reason.to_owned(),
            json: Value::Null,
        })
    }
}
