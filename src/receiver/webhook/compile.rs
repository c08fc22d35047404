//! Compilation of a webhook's settings, and the problems and doubts that they raise.

use regex::Regex;

use super::{
    MARK, ResolvedCall, Webhook,
    content::Content,
    destination::Destination,
    headers::Headers,
    preset,
    settings::{Resolved, Settings},
};
use crate::{
    delivery::{Action, Doubt, Notification},
    receiver::{
        Credential, Keys, Parcel,
        authorization::Authorization,
        credential::Shape,
        options::{Options, compile_options},
        page::Page,
        sample,
        site::Site,
        template::Occasion,
    },
    settings::expression,
};

impl Webhook {
    pub(in crate::receiver) fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
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
        let success_body = success_body(settings, site);
        check_receipt(settings, site);
        check_end_of_preset(settings, site);

        let webhook = Self {
            url: url?,
            method,
            content: content?,
            resolved: resolved?,
            headers,
            success: settings.success.clone(),
            success_body,
            is_preset: settings.preset.is_some(),
            receipt: settings.receipt.clone(),
            deduplicates: settings.deduplicates,
            secrets,
            authorization,
            options,
        };

        webhook.warn(site);
        Some(webhook)
    }

    /// Reports settings that are valid but do not do what was meant.
    fn warn(&self, site: &mut Site<'_>) {
        if self.receipt.is_none() && self.speaks_of_receipt(Action::Resolve) {
            site.problem(
                "receipt",
                "the templates of the resolve use `receipt`, but nothing says where the trigger's \
                 reply holds it",
                "name its place as a JSON pointer: `receipt: /data/id`",
            );
        }

        if !self.is_marked() {
            let place = if self.method.has_body() {
                "body"
            } else {
                "url"
            };
            site.warn(
                place,
                "it has no text in which a page that may not be genuine could be marked: only the \
                 header alertbridge-mark says UNVERIFIED",
                "put `{{ headline }}` into it, or evaluate that header where it is received",
            );
        }

        if self.begins_by_receipt() {
            site.warn(
                "url",
                "the trigger's address uses `receipt`, which is known only after the reply to the \
                 trigger: here it is empty",
                "write the resolve's address as `resolved: { url: … }`",
            );
        }
    }

    /// Whether the text that people read says that a page may not be genuine.
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

    /// Whether the address of the trigger has a place for the receipt, which only its reply
    /// contains. A place that is left out while the receipt is unknown does not count.
    fn begins_by_receipt(&self) -> bool {
        const RECEIPT: &str = "4711081547110815";
        let [(_, trigger), ..] = sample::notifications();
        let with = |receipt| {
            sample::parcel(&trigger, |parcel| {
                let parcel = Parcel {
                    receipt: Some(receipt),
                    ..*parcel
                };
                let page = Page::new(&parcel);
                self.url.render(&page, &Keys::Hidden).ok()
            })
        };
        self.url.speaks_of("receipt")
            && with(RECEIPT).is_some_and(|url| {
                url.contains(RECEIPT) && Some(url.replace(RECEIPT, "")) == with("")
            })
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
            "there is no new secret",
            "give the new one as `secret_file`",
        );
    }

    newest.into_iter().chain(previous).collect()
}

/// Compiles the address, which is written out or in a file. The file cannot hold a template,
/// because a secret is none.
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

fn success_body(settings: &Settings, site: &mut Site<'_>) -> Option<Regex> {
    let pattern = settings.success_body.as_deref()?;
    let (what, mend) = match Regex::new(pattern) {
        Ok(_) if pattern.trim().is_empty() => (
            "it is empty, so it matches every reply".to_owned(),
            "write what the body of a success holds, like '^100$'",
        ),
        Ok(regex) => return Some(regex),
        Err(error) => (
            format!(
                "`{pattern}` is not a valid regular expression: {}",
                expression::reason(&error)
            ),
            "look-around and back-references are not supported; the syntax is that of \
             https://docs.rs/regex",
        ),
    };
    site.problem("success_body", what, mend);
    None
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

/// Warns if the resolve goes to the preset's address although the trigger's address is in a file. A
/// file is read only when it is needed, so the resolve's address cannot follow it.
fn check_end_of_preset(settings: &Settings, site: &mut Site<'_>) {
    let is_a_preset_s = |url| preset::PRESETS.iter().any(|(_, yaml)| yaml.contains(url));
    if settings.url_file.is_some() && settings.resolved.url.as_deref().is_some_and(is_a_preset_s) {
        site.warn(
            "url_file",
            "resolves go to the address in the preset, whatever the file holds",
            "write the address as `url`, which resolves follow, or give the address for resolves \
             as `resolved: { url: … }`",
        );
    }
}
