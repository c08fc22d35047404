//! The headers that the configuration adds to a webhook's requests.

use std::borrow::Cow;

use super::settings::Settings;
use crate::receiver::{
    Keys, RenderError, escape::Escape, is_sensitive, page::Page, site::Site, template::Template,
    text::one_line,
};

/// The headers that are derived from the request itself.
const OWN: [&str; 11] = [
    "alertbridge-mark",
    "connection",
    "content-length",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

#[derive(Default)]
pub(super) struct Headers(Vec<(String, Template)>);

impl Headers {
    /// Compiles the configured headers. A custom body may be of any type, whereas the event is
    /// always JSON.
    pub(super) fn compile(settings: &Settings, site: &mut Site<'_>) -> Self {
        let mut headers = Self::default();
        let own_body = settings.body.is_some() || settings.resolved.body.is_some();
        let authorized = settings.bearer.is_some()
            || settings.bearer_file.is_some()
            || settings.basic_auth.is_some();

        for (name, source) in &settings.headers {
            let place = format!("headers.{name}");
            let lower = name.to_ascii_lowercase();
            if name.is_empty() || !name.bytes().all(is_token) {
                site.problem(
                    &place,
                    "it is not a valid header name",
                    "write it like X-Scope-OrgID",
                );
            } else if OWN.contains(&lower.as_str()) || (lower == "content-type" && !own_body) {
                site.problem(
                    &place,
                    "the request's own headers are not replaced",
                    "drop it",
                );
            } else if authorized && lower == "authorization" {
                site.problem(
                    &place,
                    "`bearer` and `basic_auth` make this header",
                    "keep one of them",
                );
            } else if headers
                .0
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
            {
                site.problem(&place, "the header is given twice", "keep one of them");
            } else if let Some(template) = site.template_at(&place, "headers", source, Escape::No) {
                site.leads_by(&place, source);
                headers.0.push((name.clone(), template));
            }
        }

        headers
    }

    pub(super) fn speak_of(&self, name: &str) -> bool {
        self.0.iter().any(|(_, value)| value.speaks_of(name))
    }

    /// Renders the headers. Each value is a single line whatever an alert says, so that no value
    /// can begin another header.
    pub(super) fn render(
        &self,
        page: &Page<'_>,
        keys: &Keys,
    ) -> Result<Vec<(Cow<'static, str>, String)>, RenderError> {
        self.0
            .iter()
            .map(|(name, value)| {
                let value = one_line(&value.render(&page.context())?);
                let hidden = keys.hidden() && is_sensitive(name);
                let value = if hidden { "<secret>".into() } else { value };
                Ok((name.clone().into(), value))
            })
            .collect()
    }
}

/// Whether a byte may occur in the name of a header (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
