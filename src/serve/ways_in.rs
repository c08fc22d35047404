//! The ingresses, which are bound before the first mail is accepted.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::sync::watch::Sender;

use super::{called::first_mail, mailbox::Mailbox};
use crate::{
    clock::Clock,
    config::Config,
    ingress::{
        self, Ingress,
        listener::{BindError, Capacity},
        smtp::{self, Smtp},
        webhook::{self, Webhooks},
    },
    pipeline::InForce,
};

/// An ingress, and its description for people.
pub(super) struct WayIn {
    pub(super) about: String,
    /// The command that a first mail can be piped into, if it needs no credential.
    try_with: Option<String>,
    pub(super) door: Door,
}

impl WayIn {
    /// Returns the commands that send a first mail, and the mail that ends its incident, through
    /// this ingress, if there is a command to try it with.
    pub(super) fn first_mail(&self) -> Option<[String; 2]> {
        self.try_with.as_deref().map(first_mail)
    }
}

pub(super) enum Door {
    /// An ingress that every replica serves.
    Everywhere(Box<dyn Ingress>),
    /// A mailbox, which one replica reads at a time.
    Mailbox(Box<Mailbox>),
}

/// The reason why the bridge does not start without an ingress.
pub(super) const NO_WAY_IN: &str =
    "no ingress is configured, so no mail can arrive; add one under `ingress:`";

pub(super) fn ingresses(
    config: &Config,
    clock: &Clock,
    in_force: &Sender<Arc<InForce>>,
    capacity: &Capacity,
) -> anyhow::Result<Vec<WayIn>> {
    let settings = &config.ingress;
    let mut ways_in = Vec::new();

    if !settings.webhook.is_empty() {
        ways_in.push(webhooks(settings, clock, capacity)?);
    }

    for (place, settings) in settings.smtp.iter().enumerate() {
        let key = format!("ingress.smtp[{place}]");
        ways_in.push(smtp(&key, settings, clock, capacity)?);
    }

    for (place, settings) in settings.imap.iter().enumerate() {
        let mailbox = Mailbox::new(settings, clock.clone(), in_force.subscribe());
        let mailbox = mailbox.map_err(|problem| {
            anyhow::anyhow!("ingress.imap[{place}]: {}; {}", problem.what, problem.mend)
        })?;
        let about = format!(
            "IMAP   {} at {}, folder {}",
            settings.username, settings.host, settings.folder
        );
        ways_in.push(WayIn {
            about,
            try_with: None,
            door: Door::Mailbox(Box::new(mailbox)),
        });
    }

    if ways_in.is_empty() {
        bail!(NO_WAY_IN);
    }

    Ok(ways_in)
}

/// Binds all webhooks, which share a listener.
fn webhooks(
    settings: &ingress::Settings,
    clock: &Clock,
    capacity: &Capacity,
) -> anyhow::Result<WayIn> {
    let webhooks = Webhooks::bind(&settings.http, &settings.webhook, clock.clone())
        .context("ingress.http.listen")?
        .within(capacity);
    let at = webhooks.local_addr();
    let url = |webhook: &webhook::Settings| format!("http://{at}{}", webhook.path());

    let about: Vec<_> = settings
        .webhook
        .iter()
        .map(|webhook| format!("HTTP   {}", url(webhook)))
        .collect();
    let open = settings.webhook.iter().find(|webhook| webhook.is_open());

    Ok(WayIn {
        about: about.join("\n  "),
        try_with: open.map(|webhook| {
            let url = url(webhook);
            format!("curl --data-binary @- -H 'Content-Type: message/rfc822' {url}")
        }),
        door: Door::Everywhere(Box::new(webhooks)),
    })
}

fn smtp(
    key: &str,
    settings: &smtp::Settings,
    clock: &Clock,
    capacity: &Capacity,
) -> anyhow::Result<WayIn> {
    let smtp = Smtp::bind(key, settings, clock.clone()).map_err(|error| match error {
        // The error contains the key itself.
        BindError::Settings(_) => error.into(),
        BindError::Address { .. } => anyhow::Error::new(error).context(format!("{key}.listen")),
    })?;
    let smtp = smtp.within(capacity);
    let at = smtp.local_addr();

    Ok(WayIn {
        about: format!("SMTP   {at}"),
        try_with: Some(format!(
            "swaks --server {at} --to alerts@localhost --data -"
        )),
        door: Door::Everywhere(Box::new(smtp)),
    })
}

/// Returns the names of the ingresses that every replica serves. A mailbox is read by one replica
/// only.
pub(super) fn everywhere(config: &Config) -> Vec<String> {
    let is_mailbox = |name: &&str| config.ingress.imap.iter().any(|imap| imap.name == *name);
    config
        .ingress
        .names()
        .filter(|name| !is_mailbox(name))
        .map(ToOwned::to_owned)
        .collect()
}
