//! An endpoint that verifies Standard Webhooks 1.0.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::{Answer, Call, Fake, Memory, Page, Vendor};

/// What verifiers put up with between a signature's time and theirs, in seconds.
const TOLERANCE: i64 = 300;

/// What came, once each by its webhook-id.
pub struct Hook {
    secret: String,
    seen: BTreeSet<String>,
    /// By alias: whether the last word was a trigger.
    alerts: BTreeMap<String, bool>,
}

impl Hook {
    /// `secret` is `whsec_` + base64.
    pub async fn start(secret: &str) -> Fake<Self> {
        Fake::serve(
            Self {
                secret: secret.into(),
                seen: BTreeSet::new(),
                alerts: BTreeMap::new(),
            },
            secret,
        )
        .await
    }
}

impl Vendor for Hook {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        #[expect(
            clippy::disallowed_methods,
            reason = "a verifier has a clock of its own"
        )]
        let now = jiff::Timestamp::now().as_second();
        let event =
            match verify(&self.secret, &call.headers, &call.body, now).and_then(|()| call.json()) {
                Ok(event) => event,
                Err(why) => {
                    memory.violations.push(why.clone());
                    return Answer::new(400, why);
                }
            };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let data = &event["data"];
        let (action, key) = (text(&data["action"]), text(&data["alias"]));
        if !self.seen.insert(call.header("webhook-id").to_owned()) {
            memory.repeats.push(format!("{action} {key}"));
            return Answer::new(204, "");
        }
        let was_open = self.alerts.insert(key.clone(), action != "resolve");
        if action == "change" && was_open != Some(true) {
            memory
                .violations
                .push(format!("a change of {key}, which is not open"));
        }
        if action == "resolve" && was_open.is_none() {
            memory
                .violations
                .push(format!("a resolve of {key}, which was never triggered"));
        }
        if action == "trigger" && was_open == Some(true) {
            memory
                .violations
                .push(format!("a second trigger of {key} under another id"));
        }
        memory.pages.push(Page {
            action,
            key,
            title: text(&data["title"]),
        });
        Answer::new(204, "")
    }

    fn open(&self) -> Vec<String> {
        self.alerts
            .iter()
            .filter(|(_, open)| **open)
            .map(|(key, _)| key.clone())
            .collect()
    }
}

impl Fake<Hook> {
    /// The endpoint's address.
    pub fn url(&self) -> String {
        format!("{}/hook", self.origin())
    }
}

/// The check every Standard Webhooks library makes.
pub fn verify(
    secret: &str,
    headers: &BTreeMap<String, String>,
    body: &[u8],
    now: i64,
) -> Result<(), String> {
    let header = |name: &str| {
        headers
            .get(name)
            .map(String::as_str)
            .ok_or(format!("no {name}"))
    };
    let id = header("webhook-id")?;
    let timestamp = header("webhook-timestamp")?;
    let age = now
        - timestamp
            .parse::<i64>()
            .map_err(|_| "the timestamp is not a number")?;
    if age.abs() > TOLERANCE {
        return Err(format!("the signature is {age} s old"));
    }
    let key = BASE64_STANDARD
        .decode(secret.trim_start_matches("whsec_"))
        .map_err(|error| error.to_string())?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    let genuine = header("webhook-signature")?.split(' ').any(|signature| {
        let signature = signature
            .strip_prefix("v1,")
            .and_then(|text| BASE64_STANDARD.decode(text).ok());
        signature.is_some_and(|signature| hmac::verify(&key, &signed, &signature).is_ok())
    });
    if genuine {
        Ok(())
    } else {
        Err("the signature does not fit".into())
    }
}
