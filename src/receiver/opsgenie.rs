//! Opsgenie Alert API v2, and Jira Service Management Operations, which takes the same wire format
//! at another base. <https://docs.opsgenie.com/docs/alert-api>

use std::{path::PathBuf, time::Duration};

use indexmap::IndexMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Body, Credential, Keys, Parcel, Receiver, RenderError, Reply, Request,
    address::Address,
    credential::Shape,
    escape::Escape,
    options::{Options, compile_options},
    page::{self, Page},
    site::Site,
    template::Template,
    text::{below, cut, units},
    transport::Tls,
    wording::{self, Severity},
};
use crate::{
    delivery::{Action, Step, Verdict},
    settings::{self, DefaultOn, SecretText},
};

mod answer;
mod responder;

use responder::Called;
pub use responder::Responder;

/// The default of `api_url` for Opsgenie.
const OPSGENIE: &str = "https://api.opsgenie.com";
/// The default of `api_url` for Jira Service Management.
const JSM: &str = "https://api.atlassian.com/jsm/ops/integration";

// The API's limits.
const MESSAGE: usize = 130;
const DESCRIPTION: usize = 15_000;
const TAGS: usize = 20;
const TAG: usize = 50;
const DETAILS: usize = 8_000;
const ENTITY: usize = 512;
const NOTE: usize = 25_000;
const RESPONDERS: usize = 50;

/// The characters that a path segment may contain unencoded (RFC 3986, 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Alerts in Opsgenie (`opsgenie_configs[]`) or in Jira Service Management (`jsm_configs[]`).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The API key of the integration.
    pub api_key: Option<SecretText>,
    /// A file that contains the API key, in place of `api_key`. It is read at each attempt, so that
    /// rotating it needs no reload.
    pub api_key_file: Option<PathBuf>,
    /// The base address of the API. The default is `https://api.opsgenie.com` (EU:
    /// `https://api.eu.opsgenie.com`), and for JSM `https://api.atlassian.com/jsm/ops/integration`.
    pub api_url: Option<String>,
    /// A template of the message of the alert, which is cut at 130 characters. The default is the
    /// built-in title.
    pub message: Option<String>,
    /// A template of the description of the alert. The default is the built-in text.
    pub description: Option<String>,
    /// The priority, `P1` to `P5`, or a template that yields one. The default follows from the
    /// severity.
    pub priority: Option<String>,
    /// The responders of the alert, at most 50.
    pub responders: Vec<Responder>,
    /// The tags of the alert, at most 20; each is a template.
    pub tags: Vec<String>,
    /// Details that are added to those that every alert carries. Each value is a template.
    pub details: IndexMap<String, String>,
    /// How long an accepted request may stay unconfirmed before it counts as failed. The default is
    /// 60s.
    pub confirm_timeout: settings::Duration,
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
            api_key: None,
            api_key_file: None,
            api_url: None,
            message: None,
            description: None,
            priority: None,
            responders: Vec::new(),
            tags: Vec::new(),
            details: IndexMap::new(),
            confirm_timeout: settings::Duration::from_secs(60),
            send_resolved: DefaultOn::default(),
            rate_limit: None,
            timeout: None,
            proxy_url: None,
            tls: None,
        }
    }
}

/// An `opsgenie_configs` or `jsm_configs` entry, compiled.
pub struct Opsgenie {
    key: Credential,
    base: Address,
    message: Option<Template>,
    description: Option<Template>,
    priority: Option<Template>,
    responders: Vec<Called>,
    tags: Vec<Template>,
    details: Vec<(String, Template)>,
    confirm_timeout: Duration,
    options: Options,
}

/// Compiles an entry of `opsgenie_configs`.
pub(super) fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Opsgenie> {
    Opsgenie::compile(settings, OPSGENIE, site)
}

/// Compiles an entry of `jsm_configs`, which differs only by its address.
pub(super) fn compile_jsm(settings: &Settings, site: &mut Site<'_>) -> Option<Opsgenie> {
    Opsgenie::compile(settings, JSM, site)
}

impl Opsgenie {
    /// Compiles the settings. `base` is the default address.
    fn compile(settings: &Settings, base: &str, site: &mut Site<'_>) -> Option<Self> {
        let responders: Vec<_> = settings
            .responders
            .iter()
            .enumerate()
            .filter_map(|(index, who)| who.compile(index, site))
            .collect();

        for (field, given, most) in [
            ("responders", settings.responders.len(), RESPONDERS),
            ("tags", settings.tags.len(), TAGS),
        ] {
            if given > most {
                site.problem(
                    field,
                    format!("there are {given}, and the API takes at most {most}"),
                    "shorten the list",
                );
            }
        }

        let tags = settings.tags.iter().enumerate();
        let tags = tags
            .filter_map(|(i, tag)| site.template_at(&format!("tags[{i}]"), "tags", tag, Escape::No))
            .collect();
        let details = site.details(&settings.details);
        let priority = compile_priority(settings, site);

        let base = site.base(
            "api_url",
            settings.api_url.as_deref().unwrap_or(base),
            Some(base),
            &["/v2/alerts", "/v2"],
        );

        let message = site.template("message", settings.message.as_ref(), Escape::No);
        let description = site.template("description", settings.description.as_ref(), Escape::No);
        let options = compile_options!(settings, site);

        Some(Self {
            key: site.secret(
                "api_key",
                Shape::Key,
                settings.api_key.as_deref(),
                settings.api_key_file.as_deref(),
            )?,
            base: base?,
            message,
            description,
            priority,
            responders,
            tags,
            details,
            confirm_timeout: settings.confirm_timeout.as_std(),
            options,
        })
    }

    fn create(&self, parcel: &Parcel<'_>) -> Value {
        let page = Page::new(parcel);
        let notification = parcel.notification;
        let message = page.headline(self.message.as_ref());
        let message = message.unwrap_or_else(|| wording::title(notification, MESSAGE));
        let description = page
            .text(self.description.as_ref())
            .unwrap_or_else(|| wording::body(notification));
        let description = below(&message, MESSAGE, description, "\n\n");
        let priority = self.priority(&page);

        let mut tags: Vec<String> = Vec::new();
        for tag in self.tags.iter().filter_map(|tag| page.line(Some(tag))) {
            let tag = cut(&tag, TAG);
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }

        let responders: Vec<Value> = self
            .responders
            .iter()
            .filter_map(|who| who.on(&page))
            .collect();
        let entity = cut(&wording::one(notification, "app_key"), ENTITY);

        let mut alert = json!({
            "message": cut(&message, MESSAGE),
            "alias": parcel.alias,
            "description": cut(&description, DESCRIPTION),
            "priority": priority,
            "source": "alertbridge",
            "details": self.details(&page, parcel),
        });

        for (field, value) in [
            ("entity", json!(entity)),
            ("tags", json!(tags)),
            ("responders", json!(responders)),
        ] {
            if value.as_str() != Some("") && value.as_array().is_none_or(|list| !list.is_empty()) {
                alert[field] = value;
            }
        }

        alert
    }

    /// Returns the details as far as there is room: the bridge's own notes first, then those of the
    /// settings, then those that every alert carries.
    fn details(&self, page: &Page<'_>, parcel: &Parcel<'_>) -> Map<String, Value> {
        let mut details: Vec<(String, String)> = self
            .details
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), page.text(Some(value))?)))
            .collect();

        if let Some(url) = parcel.incident_url() {
            details.insert(0, ("alertbridge_url".into(), url));
        }
        if let Some(notes) = page.notes() {
            details.insert(0, ("alertbridge_note".into(), notes));
        }

        details.extend(wording::details(parcel.notification));
        fit(details, DETAILS)
    }

    fn priority(&self, page: &Page<'_>) -> &'static str {
        if let Some(said) = page.line(self.priority.as_ref()) {
            if let Some(priority) = priority_of(&said) {
                return priority;
            }
            page.note(format!("`{}` is not a valid priority", cut(&said, 40)));
        }

        match Severity::of(page.notification()) {
            Severity::Critical => "P1",
            Severity::Error => "P2",
            Severity::Warning => "P3",
            Severity::Info => "P5",
        }
    }
}

impl Receiver for Opsgenie {
    fn secrets(&self) -> Vec<&Credential> {
        [&self.key]
            .into_iter()
            .chain(self.base.credential())
            .collect()
    }

    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError> {
        let mut headers = vec![(
            "authorization".into(),
            format!("GenieKey {}", keys.reveal(&self.key)),
        )];

        let segment = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
        let (method, path, body) = match (parcel.step, parcel.notification.action) {
            (Step::Confirm { request_id, .. }, _) => (
                "GET",
                format!("/v2/alerts/requests/{}", segment(request_id)),
                Body::Empty,
            ),
            (_, Action::Trigger) | (Step::Apart, Action::Change) => {
                ("POST", "/v2/alerts".into(), Body::Json(self.create(parcel)))
            }
            (step, Action::Change) => {
                let part = if *step == Step::Message {
                    "message"
                } else {
                    "priority"
                };
                let path = format!(
                    "/v2/alerts/{}/{part}?identifierType=alias",
                    segment(parcel.alias)
                );
                let alert = self.create(parcel);
                ("PUT", path, Body::Json(json!({ part: alert[part] })))
            }
            (_, Action::Resolve) => {
                let note = cut(&wording::body(parcel.notification), NOTE);
                // Without identifierType, the alias is taken for an id, and nothing is closed.
                let path = format!(
                    "/v2/alerts/{}/close?identifierType=alias",
                    segment(parcel.alias)
                );
                (
                    "POST",
                    path,
                    Body::Json(json!({ "source": "alertbridge", "note": note })),
                )
            }
        };

        if body != Body::Empty {
            headers.push(("content-type".into(), "application/json".into()));
        }

        Ok(Request {
            method,
            url: format!("{}{path}", self.base.reveal(keys)),
            headers,
            body,
        })
    }

    fn judge(&self, parcel: &Parcel<'_>, reply: &Reply) -> Verdict {
        let action = match (parcel.notification.action, parcel.step) {
            // The alert no longer existed, so a new one is created.
            (Action::Change, Step::Apart) => Action::Trigger,
            (Action::Change, Step::Confirm { of, .. }) if **of == Step::Apart => Action::Trigger,
            (action, _) => action,
        };

        let verdict = match parcel.step {
            Step::Confirm { .. } => answer::to_question(action, reply),
            _ => answer::to_request(action, reply),
        };

        match (action, parcel.step, verdict) {
            (Action::Change, Step::Confirm { of, .. }, Verdict::Delivered { .. })
                if **of == Step::Send =>
            {
                let detail = "the alert has its new priority; its message is next".to_owned();
                Verdict::Partly {
                    next: Step::Message,
                    detail,
                }
            }
            // Somebody closed the alert, and the incident did not get worse.
            (
                Action::Change,
                _,
                Verdict::Partly {
                    next: Step::Apart, ..
                },
            ) if !parcel.notification.rings() => Verdict::Delivered { receipt: None },
            (.., verdict) => verdict,
        }
    }

    /// An alert's priority and message are changed one after the other.
    fn second_step(&self, action: Action) -> Option<Step> {
        (action == Action::Change).then_some(Step::Message)
    }

    fn knows_repeats(&self) -> bool {
        true
    }

    fn updates(&self) -> bool {
        true
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn confirm_timeout(&self) -> Duration {
        self.confirm_timeout
    }
}

fn compile_priority(settings: &Settings, site: &mut Site<'_>) -> Option<Template> {
    let priority = site.template("priority", settings.priority.as_ref(), Escape::No);
    for said in page::said_of_samples(priority.as_ref())
        .iter()
        .filter(|said| priority_of(said).is_none())
    {
        site.problem(
            "priority",
            format!("`{said}` is not a valid priority"),
            "the priorities are P1 to P5",
        );
    }

    priority
}

fn priority_of(said: &str) -> Option<&'static str> {
    ["P1", "P2", "P3", "P4", "P5"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(said.trim()))
}

/// Keeps as many of the details as fit into `room` units, including their names. The first detail
/// of a name wins. No value takes more than half of the remaining space, so that one long text
/// leaves space for the rest.
fn fit(details: Vec<(String, String)>, mut room: usize) -> Map<String, Value> {
    let mut fitted = Map::new();
    for (name, value) in details {
        let name = cut(&name, 256);
        let taken = units(&name);
        if fitted.contains_key(&name) || room < taken + 2 {
            continue;
        }
        let value = cut(&value, (room - taken).div_ceil(2));
        room -= taken + units(&value);
        fitted.insert(name, value.into());
    }

    fitted
}
