//! The destination of an integration's pages, and the fingerprint by which the integration's entry
//! is recognised wherever it stands in the configuration.

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{
    credential::{Credential, Shape},
    http_url,
};
use crate::{delivery::naming::Fingerprint, settings::Secret};

/// The settings of an entry that decide where its pages go, in the order in which they are found.
#[derive(Default)]
pub(super) struct Destination(Vec<(String, Part)>);

enum Part {
    /// An address, or a recipient there.
    Open(String),
    /// A text that may contain credentials.
    Text(String),
    Credential(Secret),
}

impl Destination {
    pub(super) fn to(&mut self, field: &str, whom: &str) {
        self.0.push((field.to_owned(), Part::Open(whom.to_owned())));
    }

    pub(super) fn with(&mut self, field: &str, text: &str) {
        self.0.push((field.to_owned(), Part::Text(text.to_owned())));
    }

    /// Adds a credential, unless it is a password or a signing secret. These open a door without
    /// saying which, and may be so short that they could be guessed.
    pub(super) fn by(
        &mut self,
        Credential {
            name,
            shape,
            secret,
        }: &Credential,
    ) {
        if !matches!(shape, Shape::Password | Shape::Signing) {
            let part = Part::Credential(secret.clone());
            self.0.push(((*name).to_owned(), part));
        }
    }

    /// Returns the fingerprint under a key of the store. The files of credentials are read; in the
    /// address, a file counts by its name, so that one which cannot be read or has other content is
    /// still recognised.
    pub(super) fn fingerprint(&self, kind: &str, key: &hmac::Key) -> Fingerprint {
        let sign = |told: Vec<(&str, String)>| {
            let told = json!(["alertbridge destination", kind, told]).to_string();
            BASE64_STANDARD.encode(hmac::sign(key, told.as_bytes()))
        };
        let parts = || self.0.iter().map(|(field, part)| (field.as_str(), part));
        let is_said = |part: &Part| matches!(part, Part::Text(_));
        let site = parts().filter(|(_, part)| !is_said(part));
        let address = parts().filter_map(|(field, part)| Some((field, part.address()?)));
        Fingerprint {
            whole: sign(parts().map(|(field, part)| (field, part.whole())).collect()),
            site: sign(site.map(|(field, part)| (field, part.whole())).collect()),
            address: sign(address.collect()),
        }
    }
}

impl Part {
    fn whole(&self) -> String {
        match self {
            Self::Open(text) | Self::Text(text) => text.clone(),
            Self::Credential(secret) => secret.read().map_or_else(
                |error| error.to_string(),
                |text| text.expose_secret().to_owned(),
            ),
        }
    }

    fn address(&self) -> Option<String> {
        match self {
            Self::Open(text) => Some(text.clone()),
            Self::Text(_) => None,
            Self::Credential(Secret::File(path)) => Some(path.display().to_string()),
            // Anything beyond the origin of an address may be the credential.
            Self::Credential(Secret::Inline(text)) => http_url::parse(text.expose_secret())
                .ok()
                .map(|url| url.origin().ascii_serialization()),
        }
    }
}
