//! Any HTTP endpoint: by Standard Webhooks 1.0, or in the endpoint's own words by templates.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
//!
//! The event and its `webhook-id` are the same however often it is sent; the signature is of each
//! attempt, since verifiers refuse one older than 300 s.

use std::{borrow::Cow, time::Duration};

use serde_json::Value;

use super::{
    Body, Credential, Keys, Parcel, Receiver, RenderError, Reply, Request,
    authorization::Authorization,
    credential::Shape,
    denial,
    options::{Options, compile_options},
    page::Page,
    sample,
    signature::{sign, signing_key},
    site::Site,
    status,
    template::Occasion,
};
use crate::delivery::{Action, Doubt, FailureReason, Notification, Verdict};

mod content;
mod destination;
mod event;
mod headers;
pub mod preset;
mod settings;
mod success;

use content::Content;
use destination::Destination;
use headers::Headers;
pub use settings::{Method, Resolved, Settings};
pub use success::Statuses;

/// The pause after an endpoint said it has too much to do and not how long.
const THROTTLE: Duration = Duration::from_secs(5);

/// The header of a page that may not be genuine.
const MARK: &str = "alertbridge-mark";

/// A longer name for an alert is none.
const LONGEST_RECEIPT: usize = 1024;

/// A `webhook_configs` entry, compiled.
pub struct Webhook {
    url: Destination,
    method: Method,
    content: Content,
    /// As far as the end of an incident is told otherwise.
    resolved: ResolvedCall,
    headers: Headers,
    success: Vec<Statuses>,
    /// Whether its vendor documents what it replies.
    is_preset: bool,
    /// The pointer to it.
    receipt: Option<String>,
    /// The signing secrets: the newest first.
    secrets: Vec<Credential>,
    authorization: Option<Authorization>,
    options: Options,
}

struct ResolvedCall {
    url: Option<Destination>,
    method: Method,
    content: Option<Content>,
}

impl Webhook {
    pub(super) fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
        let secrets = signing_secrets(settings, site);
        let headers = Headers::compile(settings, site);
        let authorization = Authorization::compile(
            (settings.bearer.as_ref(), settings.bearer_file.as_ref()),
            settings.basic_auth.as_ref(),
            site,
        );
        let options = compile_options!(settings, site);

        let media_type = settings
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map(|(_, value)| value.as_str());

        let method = settings.method.unwrap_or_default();
        let content = match &settings.body {
            None => Some(Content::of(method)),
            Some(body) => {
                site.leads_by("body", body);
                Content::compile("body", body, media_type, Occasion::Any, site)
            }
        };

        let resolved = ResolvedCall::compile(settings, media_type, site);
        let url = destination(settings, site);
        check_receipt(settings, site);
        check_end_of_preset(settings, site);

        let webhook = Self {
            url: url?,
            method,
            content: content?,
            resolved: resolved?,
            headers,
            success: settings.success.clone(),
            is_preset: settings.preset.is_some(),
            receipt: settings.receipt.clone(),
            secrets,
            authorization,
            options,
        };

        if webhook.receipt.is_none() && webhook.speaks_of_receipt(Action::Resolve) {
            site.problem(
                "receipt",
                "the templates of the resolve use `receipt`, but nothing says where the trigger's \
                 reply holds it",
                "name its place as a JSON pointer: `receipt: /data/id`",
            );
        }

        if !webhook.is_marked() {
            let place = if method.has_body() { "body" } else { "url" };
            site.warn(
                place,
                "it has no text in which a page that may not be genuine could be marked: only the \
                 header alertbridge-mark says UNVERIFIED",
                "put `{{ headline }}` into it, or see to that header where it is received",
            );
        }

        if webhook.begins_by_receipt() {
            site.warn(
                "url",
                "the address of the trigger holds `receipt`, which nobody knows before the reply \
                 to it: its place stays empty",
                "write the resolve's address as `resolved: { url: … }`",
            );
        }

        Some(webhook)
    }

    /// Whether a page that may not be genuine says so in what people read.
    fn is_marked(&self) -> bool {
        let [(_, trigger), ..] = sample::notifications();
        let doubtful = Notification {
            doubt: Some(Doubt::Unverified),
            ..trigger
        };
        let mark = Doubt::Unverified.mark();
        let request = sample::parcel(&doubtful, |parcel| self.rendered(parcel, &Keys::Hidden));
        request.is_ok_and(|request| {
            let headers = request.headers.iter().filter(|(name, _)| name != MARK);
            request.url.contains(mark)
                || request.body.text().contains(mark)
                || headers.into_iter().any(|(_, value)| value.contains(mark))
        })
    }

    /// Whether the address of the trigger has a place for what only its reply says. One that is
    /// left out while it is unknown is none.
    fn begins_by_receipt(&self) -> bool {
        const RECEIPT: &str = "4711081547110815";
        let [(_, trigger), ..] = sample::notifications();
        let with = |receipt| {
            sample::parcel(&trigger, |parcel| {
                let parcel = Parcel {
                    receipt: Some(receipt),
                    ..*parcel
                };
                let context = Page::new(&parcel).context();
                self.url.render(&context, &Keys::Hidden).ok()
            })
        };
        self.url.speaks_of("receipt")
            && with(RECEIPT).is_some_and(|url| {
                url.contains(RECEIPT) && Some(url.replace(RECEIPT, "")) == with("")
            })
    }

    fn url(&self, action: Action) -> &Destination {
        match (action, &self.resolved.url) {
            (Action::Resolve, Some(url)) => url,
            _ => &self.url,
        }
    }

    fn method(&self, action: Action) -> Method {
        match action {
            Action::Resolve => self.resolved.method,
            Action::Trigger | Action::Change => self.method,
        }
    }

    fn content(&self, action: Action) -> &Content {
        match (action, &self.resolved.content) {
            (Action::Resolve, Some(content)) => content,
            _ => &self.content,
        }
    }

    fn speaks_of_receipt(&self, action: Action) -> bool {
        self.url(action).speaks_of("receipt")
            || self.content(action).speaks_of("receipt")
            || self.headers.speak_of("receipt")
    }

    /// The signature of each secret, parted by spaces as Standard Webhooks has it, so that a
    /// verifier that knows one of them is content.
    fn signatures(
        &self,
        keys: &Keys,
        id: &str,
        timestamp: i64,
        body: &[u8],
    ) -> Result<String, RenderError> {
        let wrong = || RenderError::Secret {
            name: "secret",
            message: "it is not `whsec_` and its bytes in base64",
        };

        let each = |secret: &Credential| {
            if keys.hidden() {
                return Ok("v1,<secret>".to_owned());
            }
            Ok(sign(
                &signing_key(keys.reveal(secret)).ok_or_else(wrong)?,
                id,
                timestamp,
                body,
            ))
        };

        Ok(self
            .secrets
            .iter()
            .map(each)
            .collect::<Result<Vec<_>, _>>()?
            .join(" "))
    }

    fn rendered(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError> {
        let action = parcel.notification.action;
        let page = Page::new(parcel);
        let content = self.content(action);
        let body = content.render(parcel, &page)?;
        let own = self.headers.render(&page.context(), keys)?;
        let id = event::id(parcel);
        let timestamp = parcel.now.as_second();

        let mut headers: Vec<(Cow<'static, str>, String)> = Vec::new();
        let media_type = content.media_type().filter(|_| {
            !own.iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        });
        headers.extend(media_type.map(|media_type| ("content-type".into(), media_type.into())));
        headers.push(("webhook-id".into(), id.clone()));
        headers.push(("webhook-timestamp".into(), timestamp.to_string()));

        // Of what names the alert nowhere, nothing else says that it may not be genuine.
        let mark = parcel.notification.doubt.map(Doubt::mark);
        headers.extend(mark.map(|mark| (MARK.into(), mark.to_owned())));

        if !self.secrets.is_empty() {
            let signatures = self.signatures(keys, &id, timestamp, body.text().as_bytes())?;
            headers.push(("webhook-signature".into(), signatures));
        }

        headers.extend(
            self.authorization
                .as_ref()
                .map(|how| ("authorization".into(), how.header(keys))),
        );

        headers.extend(own);

        Ok(Request {
            method: self.method(action).as_str(),
            url: self.url(action).render(&page.context(), keys)?,
            headers,
            body,
        })
    }

    /// What the reply to a trigger calls the alert.
    fn receipt(&self, parcel: &Parcel<'_>, reply: &Reply) -> Option<String> {
        let pointer = self
            .receipt
            .as_ref()
            .filter(|_| parcel.notification.action != Action::Resolve)?;
        let json: Value = serde_json::from_slice(&reply.body).ok()?;
        let receipt = match json.pointer(pointer)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (!receipt.is_empty() && receipt.len() <= LONGEST_RECEIPT).then_some(receipt)
    }
}

impl ResolvedCall {
    fn compile(settings: &Settings, media_type: Option<&str>, site: &mut Site<'_>) -> Option<Self> {
        let Resolved { url, method, body } = &settings.resolved;
        let content = match (body, method) {
            (Some(body), _) => Some(Content::compile(
                "resolved.body",
                body,
                media_type,
                Occasion::Resolve,
                site,
            )?),
            (None, Some(method)) if !method.has_body() => Some(Content::Nothing),
            (None, _) => None,
        };

        let url = match url.as_deref() {
            Some(url) => Some(Destination::compile(
                "resolved.url",
                url,
                Occasion::Resolve,
                site,
            )?),
            None => None,
        };

        Some(Self {
            url,
            method: method.or(settings.method).unwrap_or_default(),
            content,
        })
    }
}

impl Receiver for Webhook {
    fn secrets(&self) -> Vec<&Credential> {
        let authorization = self.authorization.as_ref().map(Authorization::credential);
        let resolved = self.resolved.url.as_ref().map(Destination::credential);
        [self.url.credential()]
            .into_iter()
            .chain(resolved)
            .chain(&self.secrets)
            .chain(authorization)
            .collect()
    }

    fn request(&self, parcel: &Parcel<'_>, keys: &Keys) -> Result<Request, RenderError> {
        let action = parcel.notification.action;
        let lacks_receipt =
            action == Action::Resolve && parcel.receipt.is_none() && self.speaks_of_receipt(action);

        self.rendered(parcel, keys).map_err(|error| match error {
            RenderError::Template { .. } if lacks_receipt => {
                let pointer = self
                    .receipt
                    .as_deref()
                    .unwrap_or("the place of the receipt");
                RenderError::Impossible(format!(
                    "the reply to its trigger held nothing at {pointer}"
                ))
            }
            error => error,
        })
    }

    fn judge(&self, parcel: &Parcel<'_>, reply: &Reply) -> Verdict {
        let taken = Statuses::take(&self.success, reply.status);
        if taken && !(200..300).contains(&reply.status) {
            return Verdict::Delivered {
                receipt: self.receipt(parcel, reply),
            };
        }

        let action = parcel.notification.action;
        let sent = || {
            let content = self.content(action).render(parcel, &Page::new(parcel));
            content.unwrap_or(Body::Empty)
        };
        let verdict = if self.is_preset {
            denial::judge_api(reply, sent)
        } else {
            denial::judge_echo(reply, sent)
        };

        match (reply.status, verdict) {
            (_, Verdict::Delivered { .. }) if taken => Verdict::Delivered {
                receipt: self.receipt(parcel, reply),
            },
            (_, Verdict::Delivered { .. }) => Verdict::Permanent {
                reason: FailureReason::UnexpectedReply,
                detail: format!("{}: `success` does not list it", status::detail(reply)),
            },
            (410, _) => Verdict::Permanent {
                reason: FailureReason::Rejected,
                detail: format!("{}: the endpoint wants no more", status::detail(reply)),
            },
            (
                429 | 502 | 504,
                Verdict::Retry {
                    reason,
                    detail,
                    after,
                },
            ) => Verdict::Retry {
                reason,
                detail,
                after: after.or_else(|| said_pause(reply)).or(Some(THROTTLE)),
            },
            (_, verdict) => verdict,
        }
    }

    /// Where the resolve cannot be made without a receipt.
    fn ends_each(&self, parcel: &Parcel<'_>) -> bool {
        let without = Parcel {
            receipt: None,
            ..*parcel
        };
        parcel.notification.action == Action::Resolve
            && self.receipt.is_some()
            && self.speaks_of_receipt(Action::Resolve)
            && self.rendered(&without, &Keys::Hidden).is_err()
    }

    fn example_receipt(&self, action: Action) -> Option<&'static str> {
        self.receipt
            .as_ref()
            .filter(|_| action != Action::Trigger)
            .map(|_| sample::RECEIPT)
    }

    fn options(&self) -> &Options {
        &self.options
    }
}

fn signing_secrets(settings: &Settings, site: &mut Site<'_>) -> Vec<Credential> {
    let newest = site.secret_if_any(
        "secret",
        Shape::Signing,
        settings.secret.as_deref(),
        settings.secret_file.as_deref(),
    );

    let previous = site.secret_if_any(
        "previous_secret",
        Shape::Signing,
        settings.previous_secret.as_deref(),
        settings.previous_secret_file.as_deref(),
    );

    if previous.is_some() && settings.secret.is_none() && settings.secret_file.is_none() {
        site.problem(
            "previous_secret",
            "there is no secret that follows it",
            "name the new one `secret_file`",
        );
    }

    newest.into_iter().chain(previous).collect()
}

/// Written out or in a file, and then without a template: a secret is none.
fn destination(settings: &Settings, site: &mut Site<'_>) -> Option<Destination> {
    match (settings.url.as_deref(), settings.url_file.as_deref()) {
        (Some(url), None) if !url.trim().is_empty() => {
            Destination::compile("url", url, Occasion::Any, site)
        }
        (url, file) => site
            .secret("url", Shape::Address, url, file)
            .map(Destination::plain),
    }
}

fn check_receipt(settings: &Settings, site: &mut Site<'_>) {
    let is_pointer = |text: &String| text.starts_with('/');
    if settings
        .receipt
        .as_ref()
        .is_some_and(|text| !is_pointer(text))
    {
        site.problem(
            "receipt",
            "it is not a valid JSON pointer (RFC 6901)",
            "write the way to it like /data/id",
        );
    }
}

/// What is in a file is read as it is needed: the end does not follow it.
fn check_end_of_preset(settings: &Settings, site: &mut Site<'_>) {
    let is_a_preset_s = |url| preset::PRESETS.iter().any(|(_, yaml)| yaml.contains(url));
    if settings.url_file.is_some() && settings.resolved.url.as_deref().is_some_and(is_a_preset_s) {
        site.warn(
            "url_file",
            "the end of an incident goes to the address of the preset, whatever the file holds",
            "write the address as `url`, which the end follows, or that of the end as `resolved: { \
             url: … }`",
        );
    }
}

/// The pause that the JSON of a refusal names, as Telegram's and Discord's do.
fn said_pause(reply: &Reply) -> Option<Duration> {
    let json: Value = serde_json::from_slice(&reply.body).ok()?;
    ["/retry_after", "/parameters/retry_after"]
        .into_iter()
        .find_map(|pointer| json.pointer(pointer)?.as_f64())
        .and_then(status::pause)
}
