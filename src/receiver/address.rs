//! Addresses of integrations that are not secret as a whole.

use url::{Position, Url};

use super::{
    Keys,
    credential::{Credential, Shape},
    http_url::parse,
};
use crate::settings::Secret;

/// An address that is not secret, except for a user, a password and a query that it may contain.
#[derive(Debug, Clone, PartialEq)]
pub struct Address {
    text: String,
    credential: Option<Credential>,
}

impl Address {
    /// Creates an address. `field` is its name in the configuration.
    pub(super) fn new(field: &'static str, text: String) -> Self {
        let told = parse(&text).is_ok_and(|url| has_user(&url) || url.query().is_some());
        let secret = || Secret::Inline(text.clone().into());
        let credential = told.then(|| Credential {
            name: field,
            shape: Shape::Address,
            secret: secret(),
        });
        Self { text, credential }
    }

    /// Returns the address without user and password.
    pub(super) fn without_user(self) -> Self {
        let Ok(mut url) = parse(&self.text) else {
            return self;
        };
        // This cannot fail for http and https.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        Self {
            text: url.as_str().trim_end_matches('/').to_owned(),
            ..self
        }
    }

    /// Returns the address; for display, without anything that may be a credential.
    pub(super) fn reveal(&self, keys: &Keys) -> String {
        if keys.hidden() && self.credential.is_some() {
            shown(&self.text)
        } else {
            self.text.clone()
        }
    }

    pub(super) fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }
}

/// Returns the address without user, password and query.
fn shown(text: &str) -> String {
    let Ok(url) = parse(text) else {
        return "<secret>".into();
    };
    let user = if has_user(&url) { "<secret>@" } else { "" };
    let query = if url.query().is_some() {
        "?<secret>"
    } else {
        ""
    };

    // Paths are appended to a base, so a base ends without a slash.
    let place = &url[Position::BeforeHost..Position::AfterPath];
    let place = if query.is_empty() && !text.ends_with('/') {
        place.trim_end_matches('/')
    } else {
        place
    };

    format!("{}://{user}{place}{query}", url.scheme())
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}
