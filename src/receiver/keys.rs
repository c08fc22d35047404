//! The values of a receiver's credentials during one attempt, and the removal of these values from
//! texts that are shown.

use std::{collections::BTreeMap, path::PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::{
    Receiver,
    credential::Credential,
    redaction::{self, Parts},
};
use crate::settings::{Secret, SecretError};

/// The credentials of one attempt, or stand-ins for them.
#[derive(Debug, Clone)]
pub enum Keys {
    /// Credentials that were read for a real request.
    Read(Texts),
    /// Stand-ins for display: every secret is shown as `<secret>`.
    Hidden,
}

/// The values of the credentials.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    /// The values from files.
    by_file: BTreeMap<PathBuf, SecretString>,
    /// Texts that must not be shown: see [`Parts::telling`].
    telling: Vec<SecretString>,
    /// Texts that must not be shown as words of their own: see [`Parts::brief`].
    brief: Vec<SecretString>,
}

impl Keys {
    /// Reads the credentials of a receiver.
    pub fn read(receiver: &dyn Receiver) -> Result<Self, SecretError> {
        let mut texts = Texts::default();
        let proxy = receiver
            .transport()
            .and_then(|transport| transport.proxy.as_ref());

        for Credential { secret, .. } in receiver.secrets().into_iter().chain(proxy) {
            let text = secret.read()?;
            texts.hide(text.expose_secret());
            if let Secret::File(path) = secret {
                texts.by_file.insert(path.clone(), text);
            }
        }

        Ok(Self::Read(texts))
    }

    /// Returns the keys with more texts that must not be shown: the proxy's address, and a
    /// request's own headers.
    #[must_use]
    pub fn hiding<'a>(mut self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        if let Self::Read(texts) = &mut self {
            secrets.into_iter().for_each(|secret| texts.hide(secret));
        }
        self
    }

    /// Returns the text of one of the receiver's [`Receiver::secrets`].
    pub fn reveal<'a>(&'a self, credential: &'a Credential) -> &'a str {
        match (self, &credential.secret) {
            (Self::Hidden, _) => "<secret>",
            (Self::Read(_), Secret::Inline(text)) => text.expose_secret(),
            (Self::Read(texts), Secret::File(path)) => texts
                .by_file
                .get(path)
                .map_or("", ExposeSecret::expose_secret),
        }
    }

    /// Returns the text without any credential, and without the telling parts of a credential that
    /// is an address. The result may be judged; [`Keys::shown`] makes it fit to be shown.
    pub fn scrub(&self, text: &str) -> String {
        match self {
            Self::Hidden => text.to_owned(),
            Self::Read(texts) => texts.telling.iter().fold(text.to_owned(), |text, part| {
                redaction::without_escaped(&text, part.expose_secret())
            }),
        }
    }

    /// Returns the text without any part of a credential, even the briefest. The result may be
    /// shown, but must not be judged any more.
    pub fn shown(&self, text: &str) -> String {
        let scrubbed = self.scrub(text);
        match self {
            Self::Hidden => scrubbed,
            Self::Read(texts) => texts.brief.iter().fold(scrubbed, |text, part| {
                redaction::without(&text, part.expose_secret())
            }),
        }
    }

    /// Whether requests are made for display only.
    pub fn hidden(&self) -> bool {
        matches!(self, Self::Hidden)
    }
}

impl Texts {
    fn hide(&mut self, secret: &str) {
        let Parts { telling, brief } = Parts::of(secret);
        for (known, parts) in [(&mut self.telling, telling), (&mut self.brief, brief)] {
            known.extend(parts.into_iter().map(SecretString::from));
            // Replace longer texts first, because a part of another text must be replaced after it.
            known.sort_by_key(|part| std::cmp::Reverse(part.expose_secret().len()));
        }
    }
}
