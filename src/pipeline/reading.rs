//! What the reading stages make of one mail: extracted and validated. Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::rules::Rules;
use crate::{
    delivery::sha256_hex,
    extract::{Extracted, NoAlert},
    incident::Incident,
    message::Message,
};

/// What the reading stages made of one mail.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub finding: Finding,
    /// The mail's Date.
    pub date: Option<Timestamp>,
    pub subject_line: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    Incident {
        incident: Box<Incident>,
        /// JSON pointers the schema does not know.
        unknown: Vec<String>,
    },
    /// An alert that cannot be read, under a key made from its payload; with the JSON where it is
    /// JSON.
    Unreadable {
        key: String,
        reason: String,
        json: Value,
    },
    Quarantined {
        reason: String,
    },
    Ignored {
        reason: String,
    },
}

impl Reading {
    /// An alert that could not even be looked at; copies of it page once.
    pub fn unreadable(message: &Message, reason: &str) -> Self {
        let key = unparsed_key(&message.raw);
        Self {
            finding: Finding::Unreadable {
                key,
                reason: reason.to_owned(),
                json: Value::Null,
            },
            date: None,
            subject_line: None,
        }
    }

    /// The incident it is about, where the order of its mails matters.
    pub(super) fn incident_id(&self) -> Option<&str> {
        match &self.finding {
            Finding::Incident { incident, .. } => Some(&incident.incident_id),
            _ => None,
        }
    }

    /// What in the mail the schema does not know.
    pub fn drift(&self) -> Vec<String> {
        match &self.finding {
            Finding::Incident { unknown, .. } => unknown.clone(),
            _ => Vec::new(),
        }
    }
}

/// The key of an alert that has no id of its own.
fn unparsed_key(payload: &[u8]) -> String {
    format!("unparsed-{}", &sha256_hex(payload)[..32])
}

impl Rules {
    /// Extracts and validates.
    pub fn read(&self, message: &Message) -> Reading {
        let extraction = self.extractor.extract(&message.raw);
        if let Some(finding) = message
            .withheld
            .as_deref()
            .and_then(|reason| self.withheld(message, reason))
        {
            return Reading {
                finding,
                date: extraction.date,
                subject_line: extraction.subject,
            };
        }

        let finding = match (extraction.found, message.cut_from) {
            (Extracted::NoAlert(NoAlert::OtherSender(reason)), _) => Finding::Ignored { reason },
            (_, Some(size)) => Finding::Quarantined {
                reason: format!(
                    "the mail is over the size limit ({size} bytes): only its header was kept"
                ),
            },
            (Extracted::NoAlert(NoAlert::NoPayload(reason)), None)
                if self.notify_missing_payload =>
            {
                Finding::Unreadable {
                    key: unparsed_key(&message.raw),
                    reason,
                    json: Value::Null,
                }
            }
            (Extracted::NoAlert(NoAlert::NoPayload(reason)), None) => Finding::Ignored { reason },
            (Extracted::Unreadable { reason, key }, None) => Finding::Unreadable {
                key,
                reason,
                json: Value::Null,
            },
            (Extracted::Json(json), None) => self.validated(json),
        };

        Reading {
            finding,
            date: extraction.date,
            subject_line: extraction.subject,
        }
    }

    /// Whether a mail is proven to be no alert: a readable header names another sender.
    pub fn is_another_senders(&self, raw: &[u8]) -> bool {
        matches!(
            self.extractor.extract(raw).found,
            Extracted::NoAlert(NoAlert::OtherSender(_))
        )
    }

    /// A mail that its server did not give may be an alert, unless its header names another sender.
    /// The reason names the mail, so that each is told.
    fn withheld(&self, message: &Message, reason: &str) -> Option<Finding> {
        let is_known = !message.raw.is_empty() && self.extractor.is_anothers(&message.raw);
        let key = || {
            unparsed_key(&[message.ingress.as_bytes(), reason.as_bytes(), &message.raw].concat())
        };
        (!is_known).then(|| Finding::Unreadable {
            key: key(),
            reason: reason.to_owned(),
            json: Value::Null,
        })
    }

    fn validated(&self, json: Value) -> Finding {
        match self.validator.check(json) {
            Ok(valid) => Finding::Incident {
                incident: Box::new(valid.incident),
                unknown: valid.unknown,
            },
            Err(violation) => Finding::Unreadable {
                key: unparsed_key(violation.json.to_string().as_bytes()),
                reason: violation.reason,
                json: violation.json,
            },
        }
    }
}
