//! `ingress` of the configuration: ingresses of every kind.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{imap, smtp, webhook};
use crate::settings::{
    Problem,
    host::{self, is_domain},
};

/// How mail arrives: over IMAP, over SMTP or by webhooks (`ingress`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The HTTP listener that all webhooks share.
    pub http: webhook::HttpSettings,
    /// The mailboxes that are read over IMAP.
    pub imap: Vec<imap::Settings>,
    /// The webhooks to which mail providers, or other programs, post mail.
    pub webhook: Vec<webhook::Settings>,
    /// The SMTP listeners that accept mail.
    pub smtp: Vec<smtp::Settings>,
}

impl Settings {
    /// Returns the names of the mailboxes, which keep mail until it is read.
    pub fn mailboxes(&self) -> Vec<String> {
        let names = self.imap.iter().map(|mailbox| mailbox.name.clone());
        names.collect()
    }

    /// Returns the names of the ingresses.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.imap.iter().map(|imap| imap.name.as_str());
        names
            .chain(self.webhook.iter().map(|hook| hook.name.as_str()))
            .chain(self.smtp.iter().map(|smtp| smtp.name.as_str()))
    }

    /// Returns the most bytes of a mail that a listener accepts.
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

    /// Returns, for every ingress, its list and its index there, its name, and the host whose
    /// Authentication-Results it trusts.
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

    /// Returns the problems of the settings; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        self.check_names(key, &mut found);
        self.check_mailboxes(key, &mut found);
        self.check_paths(key, &mut found);
        self.check_webhooks(key, &mut found);

        let imap = self.imap.iter().enumerate();
        found.extend(imap.flat_map(|(index, imap)| imap.check(&format!("{key}.imap[{index}]"))));

        let smtp = self.smtp.iter().enumerate();
        found.extend(smtp.flat_map(|(index, smtp)| smtp.check(&format!("{key}.smtp[{index}]"))));

        found
    }

    /// Checks that each ingress has a unique name, which identifies its health and its mails.
    fn check_names(&self, key: &str, found: &mut Vec<Problem>) {
        let mut seen: BTreeMap<&str, String> = BTreeMap::new();
        for (list, index, name, id) in self.trusted_hosts() {
            let place = format!("{key}.{list}[{index}]");
            if let Some(id) = id.filter(|id| *id != "exchange" && !is_domain(id)) {
                found.push(Problem::new(
                    format!("{place}.trusted_authserv_id"),
                    format!("`{id}` is not a valid host name"),
                    "write the name that begins its Authentication-Results: `mx.google.com`; or \
                     `exchange`",
                ));
            }
            if name.trim().is_empty() {
                found.push(Problem::new(
                    place,
                    "the ingress has no name",
                    "add `name: …`",
                ));
            } else if let Some(first) = seen.get(name) {
                found.push(Problem::new(
                    format!("{place}.name"),
                    format!("another ingress is called `{name}`: {first}"),
                    "give each a name of its own",
                ));
            } else {
                seen.insert(name, place);
            }
        }
    }

    /// Checks that no two ingresses read the same folder: they would share a bookmark, and each
    /// would miss the other's mail.
    fn check_mailboxes(&self, key: &str, found: &mut Vec<Problem>) {
        let mut mailboxes: BTreeMap<String, usize> = BTreeMap::new();
        for (index, imap) in self.imap.iter().enumerate() {
            if let Some(first) = mailboxes.insert(imap.mailbox(), index) {
                found.push(Problem::new(
                    format!("{key}.imap[{index}]"),
                    format!("it reads the same folder of the same account as {key}.imap[{first}]"),
                    "drop one of them",
                ));
            }
        }
    }

    /// Checks that no two webhooks have the same path: they could not be told apart.
    fn check_paths(&self, key: &str, found: &mut Vec<Problem>) {
        let mut paths: BTreeMap<String, usize> = BTreeMap::new();
        let usable = |(_, webhook): &(usize, &webhook::Settings)| webhook.has_path();

        for (index, webhook) in self.webhook.iter().enumerate().filter(usable) {
            let path = webhook.path();
            if let Some(first) = paths.insert(path.clone(), index)
                && self.webhook[first].name != webhook.name
            {
                found.push(Problem::new(
                    format!("{key}.webhook[{index}].path"),
                    format!("the path `{path}` is already that of {key}.webhook[{first}]"),
                    "give each webhook a path of its own",
                ));
            }
        }
    }

    /// Checks the webhooks, and the listener that they share.
    fn check_webhooks(&self, key: &str, found: &mut Vec<Problem>) {
        let listen = &self.http.listen;
        found.extend(self.http.check(&format!("{key}.http")));
        if !self.webhook.is_empty() {
            found.extend(host::listen(&format!("{key}.http.listen"), listen));
        }

        for (index, webhook) in self.webhook.iter().enumerate() {
            let key = format!("{key}.webhook[{index}]");
            found.extend(webhook.check(&key));
            if webhook.is_open() && !host::private(listen) {
                found.push(Problem::new(
                    key,
                    format!(
                        "the webhook listens on {listen}, where others can reach it, and requires \
                         no token"
                    ),
                    "add `token_file: /run/secrets/…`, or listen on 127.0.0.1",
                ));
            }
        }
    }
}
