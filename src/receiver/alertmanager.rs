//! Alertmanager, by its API v2.
//! <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>
//!
//! Alertmanager knows an alert by its labels. The resolve of an incident therefore carries the
//! labels of the incident's last page, which are that page's receipt. Alertmanager forgets an alert
//! whose `endsAt` has passed, and all alerts when it is restarted, so an open alert is posted again
//! and again.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Body, Credential, Keys, Parcel, Receiver, RenderError, Reply, Request,
    address::Address,
    authorization::{Authorization, BasicAuth},
    denial,
    options::{Options, compile_options},
    site::Site,
    text::{cut, one_line},
    transport::Tls,
    wording,
};
use crate::{
    delivery::{Action, Doubt, Notification, Verdict},
    label,
    settings::{self, DefaultOn, SecretText, bounds},
};

/// How long an alert stays open at Alertmanager without being posted again. If the bridge is down
/// for longer, an open alert counts as resolved.
const OUTLIVES: SignedDuration = SignedDuration::from_mins(30);

/// The longest value of a label or annotation, in units: a limit of this bridge, because the API
/// names none.
const LABEL: usize = 1024;
const ANNOTATION: usize = 8192;

/// The labels that the annotations contain, or that are set here. Like [`label::CHANGING`], they
/// are no part of an alert's identity.
const NO_IDENTITY: [&str; 3] = ["summary", label::STAGE, "alertname"];

/// Alerts in Alertmanager, by its API v2 (`alertmanager_configs[]`).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The base address, `http://alertmanager.example.com:9093`, with the route prefix if
    /// Alertmanager has one.
    pub url: String,
    /// How often an alert is posted again until its incident is over, from 1s to 10m, because
    /// Alertmanager forgets an alert that is not posted again. The default is 1m.
    pub resend_delay: settings::Duration,
    /// A token that is sent as `Authorization: Bearer …`. It excludes `basic_auth`.
    pub bearer: Option<SecretText>,
    /// A file that contains the token, in place of `bearer`. It is read at each attempt, so that
    /// rotating it needs no reload.
    pub bearer_file: Option<PathBuf>,
    /// A user name and a password for HTTP basic authentication. They exclude `bearer`.
    pub basic_auth: Option<BasicAuth>,
    /// Whether the integration is notified when an incident is resolved. The default is `true`.
    pub send_resolved: DefaultOn,
    /// The most requests in a second, minute or hour: `1/s`, `60/m`, `1000/h`. By default requests
    /// are not paced; a 429 is honoured in any case.
    pub rate_limit: Option<String>,
    /// How long one attempt may take, from 1s to 5m. The default is `delivery.timeout`.
    pub timeout: Option<settings::Duration>,
    /// The HTTP proxy for the requests, such as `http://proxy.example.com:3128`, in place of the
    /// environment's `HTTPS_PROXY` and `NO_PROXY`. SOCKS is not supported.
    pub proxy_url: Option<SecretText>,
    /// The certificates that are trusted, and the client's own.
    pub tls: Option<Tls>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: String::new(),
            resend_delay: settings::Duration::from_secs(60),
            bearer: None,
            bearer_file: None,
            basic_auth: None,
            send_resolved: DefaultOn::default(),
            rate_limit: None,
            timeout: None,
            proxy_url: None,
            tls: None,
        }
    }
}

/// An `alertmanager_configs` entry, compiled.
pub struct Alertmanager {
    base: Address,
    authorization: Option<Authorization>,
    resend_delay: Duration,
    options: Options,
}

/// The labels by which Alertmanager knows an alert.
type Identity = BTreeMap<String, String>;

impl Alertmanager {
    pub(super) fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
        let out_of_bounds = bounds::duration(
            &site.at("resend_delay"),
            settings.resend_delay,
            1,
            OUTLIVES.as_secs().unsigned_abs() / 3,
        );
        site.problems(out_of_bounds);

        let authorization = Authorization::compile(
            (settings.bearer.as_ref(), settings.bearer_file.as_ref()),
            settings.basic_auth.as_ref(),
            site,
        );

        let options = compile_options!(settings, site);

        if settings.url.is_empty() {
            site.problem(
                "url",
                "it is not given",
                "write it like http://alertmanager.example.com:9093",
            );
            return None;
        }

        Some(Self {
            base: site.base(
                "url",
                &settings.url,
                None,
                &["/api/v2/alerts", "/api/v1/alerts", "/api/v2", "/api/v1"],
            )?,
            authorization,
            resend_delay: settings.resend_delay.as_std(),
            options,
        })
    }

    fn post(&self, alerts: Vec<Value>, keys: &Keys) -> Request {
        let authorization = self
            .authorization
            .as_ref()
            .map(|how| ("authorization".into(), how.header(keys)));
        Request {
            method: "POST",
            url: format!("{}/api/v2/alerts", self.base.reveal(keys)),
            headers: [("content-type".into(), "application/json".into())]
                .into_iter()
                .chain(authorization)
                .collect(),
            body: Body::Json(Value::Array(alerts)),
        }
    }
}

impl Receiver for Alertmanager {
    fn secrets(&self) -> Vec<&Credential> {
        let authorization = self.authorization.as_ref().map(Authorization::credential);
        self.base
            .credential()
            .into_iter()
            .chain(authorization)
            .collect()
    }

    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError> {
        let before = parcel.receipt.and_then(read);
        let alerts = match parcel.notification.action {
            Action::Trigger | Action::Change => {
                // To Alertmanager, an alert with other labels is another alert, so the previous one
                // is resolved.
                let now = identity(parcel);
                let replaced = before.filter(|before| *before != now);
                replaced
                    .map(|before| over(&before, parcel))
                    .into_iter()
                    .chain([standing(parcel, &now)])
                    .collect()
            }
            Action::Resolve => vec![over(&before.unwrap_or_else(|| identity(parcel)), parcel)],
        };
        Ok(self.post(alerts, keys))
    }

    fn judge(&self, parcel: &Parcel<'_>, reply: &Reply) -> Verdict {
        match denial::judge_keyed(reply) {
            Verdict::Delivered { .. } => Verdict::Delivered {
                receipt: match parcel.notification.action {
                    Action::Resolve => None,
                    Action::Trigger | Action::Change => {
                        serde_json::to_string(&identity(parcel)).ok()
                    }
                },
            },
            verdict => verdict,
        }
    }

    fn knows_repeats(&self) -> bool {
        true
    }

    fn updates(&self) -> bool {
        true
    }

    fn resend_delay(&self) -> Option<Duration> {
        Some(self.resend_delay)
    }

    fn resend(&self, told: &[Parcel<'_>], still_open: bool, keys: &Keys) -> Option<Request> {
        let alert = |parcel: &Parcel<'_>| {
            let identity = parcel.receipt.and_then(read);
            let identity = identity.unwrap_or_else(|| self::identity(parcel));
            if still_open {
                standing(parcel, &identity)
            } else {
                over(&identity, parcel)
            }
        };
        let alerts: Vec<_> = told.iter().map(alert).collect();
        (!alerts.is_empty()).then(|| self.post(alerts, keys))
    }

    fn options(&self) -> &Options {
        &self.options
    }
}

/// Reads the labels with which the previous page was posted.
fn read(receipt: &str) -> Option<Identity> {
    serde_json::from_str(receipt).ok()
}

/// Returns the labels that stay the same for as long as it is the same alert, and the name that the
/// alert had first. A title may describe the current state, and another name would make another
/// alert.
fn identity(parcel: &Parcel<'_>) -> Identity {
    let notification = parcel.notification;
    let first = parcel.receipt.and_then(read);
    let first = first.and_then(|mut before| before.remove("alertname"));
    let name = first
        .filter(|name| mark_of(name) == wording::mark(notification))
        .unwrap_or_else(|| cut(&alertname(notification), LABEL));
    let mut labels: Identity = notification
        .labels
        .iter()
        .filter(|(name, _)| {
            !label::CHANGING.contains(&name.as_ref()) && !NO_IDENTITY.contains(&name.as_ref())
        })
        .map(|(name, value)| (label_name(name), cut(&one_line(value), LABEL)))
        .filter(|(_, value)| !value.is_empty())
        .collect();

    labels.insert("alertname".to_owned(), name);
    labels.insert("alias".to_owned(), parcel.alias.to_owned());
    labels
}

/// Returns the name of the alert, marked if the page may not be genuine.
fn alertname(notification: &Notification) -> String {
    let named = ["metric", "title", "kind"]
        .iter()
        .map(|name| wording::one(notification, name))
        .find(|name| !name.is_empty());
    wording::mark(notification) + &named.unwrap_or_else(|| "alert".to_owned())
}

/// Returns the mark with which such a name begins.
fn mark_of(name: &str) -> String {
    [Doubt::Unverified, Doubt::Unchecked]
        .map(|doubt| format!("[{}] ", doubt.mark()))
        .into_iter()
        .find(|mark| name.starts_with(mark))
        .unwrap_or_default()
}

/// Returns a label name that every version accepts: `[a-zA-Z_][a-zA-Z0-9_]*`.
fn label_name(name: &str) -> String {
    let mut plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) {
        plain.insert(0, '_');
    }
    plain
}

fn standing(parcel: &Parcel<'_>, identity: &Identity) -> Value {
    let notification = parcel.notification;
    let seen = notification.time.unwrap_or(notification.arrived_at);
    let mut alert = json!({
        "labels": identity,
        "annotations": annotations(parcel),
        "startsAt": seen.min(parcel.now).to_string(),
        "endsAt": parcel.now.saturating_add(OUTLIVES).unwrap_or(Timestamp::MAX).to_string(),
    });
    link(&mut alert, parcel);
    alert
}

/// Renders a resolved alert, without its start, which Alertmanager knows.
fn over(identity: &Identity, parcel: &Parcel<'_>) -> Value {
    let mut alert = json!({
        "labels": identity,
        "annotations": annotations(parcel),
        "endsAt": parcel.now.to_string(),
    });
    link(&mut alert, parcel);
    alert
}

fn annotations(parcel: &Parcel<'_>) -> Value {
    json!({
        "summary": wording::title(parcel.notification, LABEL),
        "description": cut(&wording::below(parcel.notification), ANNOTATION),
    })
}

/// Adds the address of the page that says more: the sender's own, or the bridge's.
fn link(alert: &mut Value, parcel: &Parcel<'_>) {
    let own = wording::label(parcel.notification, "url").to_owned();
    let link = [Some(own), parcel.incident_url()]
        .into_iter()
        .flatten()
        .filter_map(|link| super::http_url::parse(&link).ok())
        .find(|link| is_taken(link.as_str()));
    if let Some(link) = link {
        alert["generatorURL"] = link.as_str().into();
    }
}

/// Whether Alertmanager takes an address. It refuses the whole request if one contains a `%` that
/// begins no escape, as Go's `url.ParseRequestURI` does, except in the query.
fn is_taken(link: &str) -> bool {
    let before_query = link.split('?').next().unwrap_or_default();
    let mut escapes = before_query.split('%').skip(1);
    escapes.all(|rest| {
        let digits = rest.bytes().take(2).filter(u8::is_ascii_hexdigit);
        digits.count() == 2
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::sample;

    #[test]
    fn the_end_carries_the_labels_of_the_trigger_whatever_its_own_are() {
        let [(_, trigger), (_, resolve), _] = sample::notifications();
        let told = sample::parcel(&trigger, identity);
        assert_eq!(told["alertname"], "Jira Installation Callback Success Rate");
        assert_eq!(told["severity"], "critical");
        assert!(!told.contains_key("sli_value") && !told.contains_key("status"));

        let mut resolve = resolve;
        resolve.labels.insert("severity".into(), "info".into());
        let receipt = serde_json::to_string(&told).unwrap();
        sample::parcel(&resolve, |parcel| {
            let parcel = Parcel {
                receipt: Some(&receipt),
                ..*parcel
            };
            let labels = parcel.receipt.and_then(read);
            assert_eq!(labels, Some(told.clone()));
            let over = over(&told, &parcel);
            assert_eq!(over["labels"], json!(told));
            assert_eq!(over["endsAt"], parcel.now.to_string());
        });
    }

    #[test]
    fn a_start_in_the_future_is_now_and_a_name_is_one_of_prometheus() {
        let (_, mut trigger) = sample::notifications().into_iter().next().unwrap();
        trigger.time = Some(Timestamp::MAX);
        sample::parcel(&trigger, |parcel| {
            let alert = standing(parcel, &identity(parcel));
            assert_eq!(alert["startsAt"], parcel.now.to_string());
        });
        for (name, plain) in [
            ("a-b.c", "a_b_c"),
            ("9a", "_9a"),
            ("é", "_"),
            ("a_1", "a_1"),
        ] {
            assert_eq!(label_name(name), plain);
        }
    }
}
