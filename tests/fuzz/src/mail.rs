//! Whole mails: MIME, header and HTML, by way of the extractor.

use alertbridge::{
    extract::{Extracted, Extraction, Extractor, MAX_PAYLOAD, NoAlert},
    validate::Validator,
};
use serde_json::Value;
use std::sync::OnceLock;

const SENDER: &str = "no-reply@am.atlassian.com";

/// `lol_html` may take 64 MiB for tags alone, 128 bytes for each of theirs; beside it the HTML is
/// held decoded.
const MEMORY: (usize, usize) = (16 << 20, 256);

/// Reads a mail and checks all that is promised of it.
pub fn check(data: &[u8]) {
    let extraction = super::within_bounds(data.len(), MEMORY.0, MEMORY.1, || extract(data));
    sound(&extraction);
    if matches!(
        extraction.found,
        Extracted::Json(_) | Extracted::NoAlert(NoAlert::NoPayload(_))
    ) {
        assert!(
            sender_in(data),
            "taken for the sender's: {}",
            data.escape_ascii()
        );
    }
    same_after_another_hop(data, &extraction);
}

/// What the bridge reads of a mail.
pub fn extract(data: &[u8]) -> Extraction {
    static EXTRACTOR: OnceLock<Extractor> = OnceLock::new();
    EXTRACTOR
        .get_or_init(|| Extractor::new(&[SENDER.into()]))
        .extract(data)
}

/// The bounds of what is read, whatever the mail.
pub fn sound(extraction: &Extraction) {
    if let Some(subject) = &extraction.subject {
        let characters = subject.chars().count();
        assert!(
            (1..=250).contains(&characters) && !subject.contains(char::is_control),
            "{subject:?}"
        );
    }
    match &extraction.found {
        Extracted::Json(json) => valid_or_told(json),
        Extracted::Unreadable { reason, key } => {
            assert!(!reason.is_empty() && reason.len() < 1_000, "{reason}");
            assert!(key.starts_with("unparsed-") && key.len() == 41, "{key}");
        }
        Extracted::NoAlert(NoAlert::OtherSender(reason) | NoAlert::NoPayload(reason)) => {
            assert!(!reason.is_empty() && reason.len() < 1_000, "{reason}");
        }
    }
}

/// The validator's promises of any JSON that the extractor lets through.
pub fn valid_or_told(json: &Value) {
    static VALIDATOR: OnceLock<Validator> = OnceLock::new();
    let validator = VALIDATOR.get_or_init(|| Validator::built_in().unwrap());
    assert!(depth(json) <= 128);
    // An escape is six bytes for one character, and a character no more than four.
    assert!(json.to_string().len() <= 6 * MAX_PAYLOAD);
    match validator.check(json.clone()) {
        Ok(valid) => {
            let incident = &valid.alert;
            for text in [
                &incident.incident_id,
                &incident.app_key,
                &incident.status,
                &incident.metric,
            ] {
                assert!(!text.contains('\0'), "{text:?}");
            }
            assert!(
                (1..=255).contains(&incident.incident_id.chars().count()),
                "{:?}",
                incident.incident_id
            );
            assert!(valid.unknown.len() <= 20);
            assert_eq!(incident.json, *json);
            for number in [
                incident.sli_value,
                incident.slo_value,
                incident.window_seconds,
            ]
            .into_iter()
            .flatten()
            {
                assert!(number.is_finite());
            }
        }
        Err(violation) => {
            assert!(
                !violation.reason.is_empty() && violation.reason.len() < 5_000,
                "{}",
                violation.reason
            );
            assert_eq!(violation.json, *json);
        }
    }
}

fn depth(json: &Value) -> usize {
    match json {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// What a suspicious reader sees: the sender's names stand in the mail, whatever stands around
/// them.
fn sender_in(data: &[u8]) -> bool {
    // A NUL may stand anywhere, as in UTF-16.
    let text: Vec<u8> = data
        .iter()
        .filter(|byte| **byte != 0)
        .map(u8::to_ascii_lowercase)
        .collect();
    let has = |name: &[u8]| text.windows(name.len()).any(|window| window == name);
    SENDER.as_bytes().split(|byte| *byte == b'@').all(has)
}

/// A server on the way adds a line at the top: what the mail says stays the same.
fn same_after_another_hop(data: &[u8], extraction: &Extraction) {
    // Where the mail's first line would become part of the new one, or is passed over only because
    // it is the first, or where its lines end as no server ends them.
    let line = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    if name.len() == line.len()
        || name.is_empty()
        || !name.iter().all(u8::is_ascii_graphic)
        || line.len() == data.len()
    {
        return;
    }
    let hop =
        b"Received: from mx.example.net by mx.example.com; Fri, 15 Jan 2027 12:00:00 +0000\r\n";
    let passed_on = extract(&[&hop[..], data].concat());
    let full = data.len() > 200 << 10 || data.split(|byte| *byte == b'\n').nth(999).is_some();
    match (&extraction.found, &passed_on.found) {
        // Its sentence may count lines; and the header may have had as many of them, or bytes, as
        // there may be.
        (_, Extracted::NoAlert(NoAlert::OtherSender(_))) => {
            let was = matches!(
                extraction.found,
                Extracted::NoAlert(NoAlert::OtherSender(_))
            );
            assert!(was || full);
        }
        // One line more is one too many, and the sentence says how long the header has become.
        (_, Extracted::Unreadable { .. }) if full => {}
        // Where nothing ends the header, what the alert is known by holds the header too.
        (
            Extracted::Unreadable { reason: before, .. },
            Extracted::Unreadable { reason: after, .. },
        ) if before.contains("no empty line") => {
            assert_eq!(before, after);
        }
        (before, after) => assert_eq!(before, after),
    }
    assert_eq!(
        (extraction.date, &extraction.subject),
        (passed_on.date, &passed_on.subject)
    );
}
