//! Reads Atlassian's own mail, by the settings of `alerts:`. Pure.

use std::sync::Arc;

use serde_json::Value;

use super::finding::{Finding, unparsed_key};
use crate::{
    extract::{self, Extracted, Extraction, Extractor, NoAlert},
    incident::{Incident, Series, Statuses},
    validate::{SliAlert, Validator},
};

/// Reads Atlassian's own mail.
pub struct SliReader {
    /// The profile's name.
    pub profile: Arc<str>,
    pub extractor: Extractor,
    pub validator: Validator,
    pub statuses: Statuses,
    /// Whether mail of the sender that lacks the JSON element notifies somebody.
    pub notify_missing_payload: bool,
}

impl SliReader {
    /// Turns the extraction of a mail into a finding; `raw` is the mail.
    pub(super) fn finding(&self, extraction: Extracted, raw: &[u8]) -> Finding {
        match extraction {
            Extracted::Json(json) => self.validated(json, raw),
            Extracted::Unreadable { reason, key } => Finding::Unreadable {
                key,
                reason,
                json: Value::Null,
            },
            Extracted::NoAlert(NoAlert::NoPayload(reason)) if self.notify_missing_payload => {
                Finding::Unreadable {
                    key: unparsed_key(raw),
                    reason,
                    json: Value::Null,
                }
            }
            Extracted::NoAlert(NoAlert::NoPayload(reason) | NoAlert::OtherSender(reason)) => {
                Finding::Ignored { reason }
            }
        }
    }

    fn validated(&self, json: Value, raw: &[u8]) -> Finding {
        match self.validator.check(json) {
            Ok(valid) => Finding::Incident {
                incident: Box::new(self.incident(valid.alert)),
                unknown: valid.unknown,
            },
            Err(violation) => {
                let mut evidence = violation.json.to_string().into_bytes();
                // An alert that names no incident may be the same in every mail, so the mail's
                // identity is added.
                if violation.json["incidentId"]
                    .as_str()
                    .is_none_or(str::is_empty)
                {
                    evidence.extend(extract::identity(raw));
                }
                Finding::Unreadable {
                    key: unparsed_key(&evidence),
                    reason: violation.reason,
                    json: violation.json,
                }
            }
        }
    }

    fn incident(&self, alert: SliAlert) -> Incident {
        Incident {
            labels: alert.labels(),
            signal: self.statuses.signal(&alert.status),
            incident_id: alert.incident_id,
            status: alert.status,
            time: alert.time,
            by_date: false,
            series: Series {
                of: alert.app_key.clone(),
                what: alert.metric,
            },
            app: Some(alert.app_key),
            json: alert.json,
        }
    }

    /// Returns whether the header proves that a mail is another sender's.
    pub(super) fn is_anothers(extraction: &Extraction) -> bool {
        matches!(
            extraction.found,
            Extracted::NoAlert(NoAlert::OtherSender(_))
        )
    }
}
