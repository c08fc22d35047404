//! `ingress` of the configuration: the ways in, of every kind.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{imap, smtp, webhook};

/// `ingress:` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The listener all webhooks share.
    pub http: webhook::HttpSettings,
    pub imap: Vec<imap::Settings>,
    pub webhook: Vec<webhook::Settings>,
    pub smtp: Vec<smtp::Settings>,
}

impl Settings {
    /// What the ways in are called.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.imap.iter().map(|imap| imap.name.as_str());
        names
            .chain(self.webhook.iter().map(|hook| hook.name.as_str()))
            .chain(self.smtp.iter().map(|smtp| smtp.name.as_str()))
    }

    /// How many bytes a mail that comes over a listener may have.
    pub fn largest_mail(&self) -> usize {
        let of_servers = self
            .smtp
            .iter()
            .map(|smtp| smtp.max_message_size.as_usize());
        of_servers
            .chain([self.http.max_body.as_usize()])
            .max()
            .unwrap_or_default()
    }

    /// Every ingress: its list and its place there, its name, and the host whose
    /// Authentication-Results count for it.
    pub fn trusted_hosts(&self) -> impl Iterator<Item = (&'static str, usize, &str, Option<&str>)> {
        let imap = self
            .imap
            .iter()
            .map(|imap| (imap.name.as_str(), imap.trusted_authserv_id.as_deref()));
        let webhook = self.webhook.iter().map(|webhook| {
            (
                webhook.name.as_str(),
                webhook.trusted_authserv_id.as_deref(),
            )
        });
        let smtp = self
            .smtp
            .iter()
            .map(|smtp| (smtp.name.as_str(), smtp.trusted_authserv_id.as_deref()));
        let imap = imap
            .enumerate()
            .map(|(place, (name, host))| ("imap", place, name, host));
        let webhook = webhook
            .enumerate()
            .map(|(place, (name, host))| ("webhook", place, name, host));
        let smtp = smtp
            .enumerate()
            .map(|(place, (name, host))| ("smtp", place, name, host));
        imap.chain(webhook).chain(smtp)
    }
}
