//! PagerDuty Events API v2. <https://developer.pagerduty.com/docs/events-api-v2-overview>

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Body, Credential, Keys, Parcel, Receiver, RenderError, Reply, Request,
    address::Address,
    credential::Shape,
    denial,
    escape::Escape,
    http_url,
    options::{Options, compile_options},
    page::{self, Page},
    site::Site,
    status,
    template::Template,
    text::{cut, units},
    transport::Tls,
    wording::{self, Severity},
};
use crate::{
    delivery::{FailureReason, Verdict},
    settings::{self, DefaultOn, SecretText},
};

// The API's limits: units of the summary, bytes of the whole event.
const SUMMARY: usize = 1024;
const EVENT: usize = 512_000;
// A limit of this bridge where the API defines none, so that an event without its details always
// fits.
const WORD: usize = 1024;
const HREF: usize = 2048;
const LINKS: usize = 20;

/// Events in PagerDuty, by the Events API v2 (`pagerduty_configs[]`).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The routing key of the Events API v2 integration.
    pub routing_key: Option<SecretText>,
    /// A file that contains the routing key, in place of `routing_key`. It is read at each attempt,
    /// so that rotating it needs no reload.
    pub routing_key_file: Option<PathBuf>,
    /// The complete address to which events are posted. The default is
    /// `https://events.pagerduty.com/v2/enqueue`; the address for the EU is
    /// `https://events.eu.pagerduty.com/v2/enqueue`.
    pub url: String,
    /// The severity, `critical`, `error`, `warning` or `info`, or a template that yields one. The
    /// default follows from the severity of the alert.
    pub severity: Option<String>,
    /// A template of the summary of the event. The default is the built-in title.
    pub summary: Option<String>,
    /// Details that are added to those that every event carries; one of the same name replaces a
    /// built-in one. Each value is a template.
    pub details: IndexMap<String, String>,
    /// The links of the event, at most 20. The default is the link that the alert itself has, if
    /// any.
    pub links: Vec<Link>,
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
            routing_key: None,
            routing_key_file: None,
            url: "https://events.pagerduty.com/v2/enqueue".into(),
            severity: None,
            summary: None,
            details: IndexMap::new(),
            links: Vec::new(),
            send_resolved: DefaultOn::default(),
            rate_limit: None,
            timeout: None,
            proxy_url: None,
            tls: None,
        }
    }
}

/// A link of an event.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// A template of the address, of at most 2,048 bytes. If it is not a valid address, the link is
    /// left out.
    pub href: String,
    /// A template of the text of the link. The default is the address.
    pub text: Option<String>,
}

/// A `pagerduty_configs` entry, compiled.
pub struct PagerDuty {
    key: Credential,
    url: Address,
    severity: Option<Template>,
    summary: Option<Template>,
    details: Vec<(String, Template)>,
    links: Vec<(Template, Option<Template>)>,
    options: Options,
}

impl PagerDuty {
    pub(super) fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
        if settings.links.len() > LINKS {
            site.problem(
                "links",
                format!("there are more than {LINKS}"),
                "shorten the list",
            );
        }

        let severity = severity(settings, site);
        let details = site.details(&settings.details);
        let links = links(settings, site);
        let url = url(settings, site);
        let summary = site.template("summary", settings.summary.as_ref(), Escape::No);
        let options = compile_options!(settings, site);

        Some(Self {
            key: site.secret(
                "routing_key",
                Shape::RoutingKey,
                settings.routing_key.as_deref(),
                settings.routing_key_file.as_deref(),
            )?,
            url: url?,
            severity,
            summary,
            details,
            links,
            options,
        })
    }

    fn event(&self, parcel: &Parcel<'_>, key: &str) -> Value {
        let page = Page::new(parcel);
        let notification = parcel.notification;
        let summary = page.headline(self.summary.as_ref());
        let summary = summary.unwrap_or_else(|| wording::title(notification, SUMMARY));
        let mut payload = json!({
            "summary": cut(&summary, SUMMARY),
            "source": "alertbridge",
            "severity": self.severity(&page).as_str(),
            "timestamp": notification.time.unwrap_or(notification.arrived_at).to_string(),
        });

        for (field, label) in [
            ("source", "app_key"),
            ("component", "app_name"),
            ("group", "partner"),
            ("class", "sli"),
        ] {
            let word = cut(&wording::one(notification, label), WORD);
            if !word.is_empty() {
                payload[field] = word.into();
            }
        }

        let links = self.links(&page);
        payload["custom_details"] = Value::Object(self.details(&page, &summary));

        let mut event = json!({
            "routing_key": key,
            "event_action": notification.action.told_as(),
            "dedup_key": parcel.alias,
            "client": "alertbridge",
            "payload": payload,
        });

        let pages = [parcel.incident_url(), parcel.external_url.map(Into::into)];
        if let Some(page) = pages
            .into_iter()
            .flatten()
            .find(|url| url.len() <= HREF && http_url::parse(url).is_ok())
        {
            event["client_url"] = page.into();
        }
        if !links.is_empty() {
            event["links"] = links.into();
        }

        // An event that is too large is refused, and the page with it.
        if event.to_string().len() > EVENT
            && let Some(payload) = event["payload"].as_object_mut()
        {
            payload.remove("custom_details");
        }

        event
    }

    /// Returns everything known about the alert. The team's own details replace built-in ones of
    /// the same name.
    fn details(&self, page: &Page<'_>, summary: &str) -> Map<String, Value> {
        let mut details: Map<String, Value> = wording::details(page.notification())
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();

        if let Some(reason) = &page.notification().reason {
            details.insert("reason".into(), super::text::clean(reason).into());
        }

        if units(summary) > SUMMARY {
            details.insert("summary".into(), summary.into());
        }

        for (name, template) in &self.details {
            if let Some(value) = page.text(Some(template)) {
                details.insert(name.clone(), value.into());
            }
        }

        if let Some(notes) = page.notes() {
            details.insert("alertbridge_note".into(), notes.into());
        }

        details
    }

    fn links(&self, page: &Page<'_>) -> Vec<Value> {
        let mut links = Vec::new();
        for (href, text) in &self.links {
            let Some(href) = page.line(Some(href)) else {
                continue;
            };
            if href.len() > HREF || http_url::parse(&href).is_err() {
                page.note(format!("a link is not a valid address: {}", cut(&href, 80)));
                continue;
            }
            let text = page.line(text.as_ref()).unwrap_or_else(|| href.clone());
            links.push(json!({ "href": href, "text": cut(&text, WORD) }));
        }

        // The sender's own page, if the team configures no other.
        let own = wording::one(page.notification(), "url");
        if self.links.is_empty() && own.len() <= HREF && http_url::parse(&own).is_ok() {
            links.push(json!({ "href": own, "text": cut(&own, WORD) }));
        }

        links
    }

    fn severity(&self, page: &Page<'_>) -> Severity {
        if let Some(said) = page.line(self.severity.as_ref()) {
            if let Some(severity) = Severity::parse(&said) {
                return severity;
            }
            page.note(format!("`{}` is not a valid severity", cut(&said, 40)));
        }
        Severity::of(page.notification())
    }
}

fn severity(settings: &Settings, site: &mut Site<'_>) -> Option<Template> {
    let severity = site.template("severity", settings.severity.as_ref(), Escape::No);
    for said in page::said_of_samples(severity.as_ref())
        .iter()
        .filter(|said| Severity::parse(said).is_none())
    {
        let mend = "the severities are critical, error, warning and info";
        site.problem(
            "severity",
            format!("`{said}` is not a valid severity"),
            mend,
        );
    }

    severity
}

fn links(settings: &Settings, site: &mut Site<'_>) -> Vec<(Template, Option<Template>)> {
    let mut links = Vec::new();
    for (index, link) in settings.links.iter().enumerate() {
        let mut template = |part: &str, source: &str| {
            let place = format!("links[{index}].{part}");
            site.template_at(&place, "links", source, Escape::No)
        };
        let href = template("href", &link.href);
        let text = link.text.as_deref();
        let text = text.and_then(|text| template("text", text));
        links.extend(href.map(|href| (href, text)));
    }

    links
}

fn url(settings: &Settings, site: &mut Site<'_>) -> Option<Address> {
    let address = site.address("url", &settings.url, false);
    let is_elsewhere = http_url::parse(&settings.url).is_ok_and(|url| {
        let host = url.host_str();
        host.is_some_and(|host| host.ends_with("pagerduty.com"))
            && url.path().trim_end_matches('/') != "/v2/enqueue"
    });
    if is_elsewhere {
        let mend = "write https://events.pagerduty.com/v2/enqueue, in the EU \
                    https://events.eu.pagerduty.com/v2/enqueue";
        site.problem("url", "it is not PagerDuty's address for events", mend);
    }

    address
}

impl Receiver for PagerDuty {
    fn secrets(&self) -> Vec<&Credential> {
        [&self.key]
            .into_iter()
            .chain(self.url.credential())
            .collect()
    }

    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError> {
        Ok(Request {
            method: "POST",
            url: self.url.reveal(keys),
            headers: vec![("content-type".into(), "application/json".into())],
            body: Body::Json(self.event(parcel, keys.reveal(&self.key))),
        })
    }

    fn judge(&self, _: &Parcel<'_>, reply: &Reply) -> Verdict {
        let json = reply.json();
        let delivered = || Verdict::Delivered {
            receipt: json["dedup_key"].as_str().map(|key| cut(key, 255)),
        };
        let throttled = json["status"] == "throttle exceeded";
        match reply.status {
            200..=299 if json["status"] == "success" => delivered(),
            // If its body contradicts the 202, the event is sent again under the same key.
            202 => match denial::judge_keyed(reply) {
                Verdict::Delivered { .. } => delivered(),
                verdict => verdict,
            },
            200..=299 => status::unexpected(reply),
            // PagerDuty also reports throttling with 400.
            400..=499 if throttled => status::as_if(429, reply),
            400 if json["errors"].is_array() => {
                let errors = json["errors"].as_array().into_iter().flatten();
                let errors: Vec<&str> = errors.filter_map(Value::as_str).collect();
                if errors.is_empty() {
                    return denial::judge_keyed(reply);
                }
                Verdict::Permanent {
                    reason: FailureReason::Rejected,
                    detail: status::quoted(400, &errors.join("; ")),
                }
            }
            _ => denial::judge_keyed(reply),
        }
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
}
