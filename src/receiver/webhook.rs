//! Any HTTP endpoint, by Standard Webhooks 1.0 or in the endpoint's own format by templates.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
//!
//! The event and its `webhook-id` are the same however often it is sent. Each attempt is signed
//! anew, since verifiers refuse a signature that is older than 300 s.

use std::{borrow::Cow, time::Duration};

use regex::Regex;
use serde_json::Value;

use super::{
    Credential, Keys, Parcel, Receiver, RenderError, Reply, Request,
    authorization::Authorization,
    denial,
    options::Options,
    page::Page,
    sample,
    signature::{sign, signing_key},
    status,
};
use crate::delivery::{Action, Doubt, FailureReason, Verdict};

mod compile;
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

/// The pause after an endpoint reported that it has too much to do, without saying for how long.
const THROTTLE: Duration = Duration::from_secs(5);

/// The header that marks a page which may not be genuine.
const MARK: &str = "alertbridge-mark";

/// The longest receipt, in bytes. A longer value is not taken for one.
const LONGEST_RECEIPT: usize = 1024;

/// A `webhook_configs` entry, compiled.
pub struct Webhook {
    url: Destination,
    method: Method,
    content: Content,
    /// The differences of the resolve's request from the trigger's.
    resolved: ResolvedCall,
    headers: Headers,
    success: Vec<Statuses>,
    /// The expression that the body of a success matches.
    success_body: Option<Regex>,
    /// Whether the settings use a preset, whose vendor documents its replies.
    is_preset: bool,
    /// The JSON pointer to the receipt in a reply.
    receipt: Option<String>,
    /// Whether the endpoint recognises a page that it gets twice.
    deduplicates: bool,
    /// The signing secrets, the newest first.
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

    /// Returns the signature by each secret, separated by spaces as Standard Webhooks defines, so
    /// that a verifier that knows one of the secrets accepts it.
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
        let own = self.headers.render(&page, keys)?;
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

        // If a body names the alert nowhere, only this header says that the page may not be
        // genuine.
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
            url: self.url(action).render(&page, keys)?,
            headers,
            body,
        })
    }

    /// Returns the verdict on a reply whose status is a success, by what its body matches.
    fn judge_by(&self, words: &Regex, parcel: &Parcel<'_>, reply: &Reply) -> Verdict {
        if words.is_match(&String::from_utf8_lossy(&reply.body)) {
            return Verdict::Delivered {
                receipt: self.receipt(parcel, reply),
            };
        }
        // The rest of the body might have matched, as after a lost reply.
        let is_doubtful = reply.broke_off && !self.deduplicates;
        let (reason, why) = if is_doubtful {
            let why = "it broke off before `success_body` matched it";
            (FailureReason::Unconfirmed, why)
        } else {
            let why = "`success_body` does not match it";
            (FailureReason::UnexpectedReply, why)
        };
        Verdict::Retry {
            reason,
            detail: format!("{}: {why}", status::detail(reply)),
            after: status::retry_after(reply),
        }
    }

    /// Returns the id of the alert from the reply, unless the page is a resolve.
    fn receipt(&self, parcel: &Parcel<'_>, reply: &Reply) -> Option<String> {
        let pointer = self
            .receipt
            .as_ref()
            .filter(|_| parcel.notification.action != Action::Resolve)?;
        let receipt = match reply.json().pointer(pointer)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (!receipt.is_empty() && receipt.len() <= LONGEST_RECEIPT).then_some(receipt)
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
                    "the reply to its trigger has nothing at {pointer} in its first 1 MiB"
                ))
            }
            error => error,
        })
    }

    fn judge(&self, parcel: &Parcel<'_>, reply: &Reply) -> Verdict {
        let taken = Statuses::take(&self.success, reply.status);
        if let Some(words) = self.success_body.as_ref().filter(|_| taken) {
            return self.judge_by(words, parcel, reply);
        }
        if taken && !(200..300).contains(&reply.status) {
            return Verdict::Delivered {
                receipt: self.receipt(parcel, reply),
            };
        }

        let sent = || self.rendered(parcel, &Keys::Hidden).ok();
        let verdict = if self.is_preset {
            denial::judge_api(reply, sent)
        } else {
            denial::judge(reply, sent)
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
                detail: format!(
                    "{}: the endpoint asks for no more requests",
                    status::detail(reply)
                ),
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

    /// Whether this is a resolve that cannot be rendered without a receipt.
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

    fn knows_repeats(&self) -> bool {
        self.deduplicates
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

/// Returns the pause that the JSON of a refusal names, as Telegram's and Discord's do.
fn said_pause(reply: &Reply) -> Option<Duration> {
    let json = reply.json();
    ["/retry_after", "/parameters/retry_after"]
        .into_iter()
        .find_map(|pointer| json.pointer(pointer)?.as_f64())
        .and_then(status::pause)
}
