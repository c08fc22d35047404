//! The target of a command: the store of the configuration, or a running bridge.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use secrecy::SecretString;

use super::{asker, options, remote::Remote, store, table};
use crate::{
    config::{Config, Files},
    delivery::{DeliveryId, DeliveryState},
    message::{MailId, Outcome, Release},
    silence::{Plan, Silence, SilenceId},
    store::{Deed, DeliveryRow, Desk, Event, IncidentRow, MailRow, Store, StoreError, StoredMail},
};

// There is no doc comment here because the help shows the command's own.
#[derive(Debug, Args)]
pub struct At<C: Subcommand> {
    #[command(subcommand)]
    pub command: C,
    #[command(flatten)]
    pub server: Server,
}

// Nor is there one here: it would be the help of every command with these options.
#[derive(Debug, Clone, Default, Args)]
pub struct Server {
    /// Use a running bridge, by the address of its admin listener, instead of the store
    #[arg(long, global = true, value_name = "URL", display_order = options::LAST)]
    pub server: Option<String>,
    /// The file with its bearer token [default: the token in `ALERTBRIDGE_TOKEN`]
    #[arg(long, global = true, value_name = "FILE", display_order = options::LAST)]
    pub token_file: Option<PathBuf>,
}

impl Server {
    /// Returns the named bridge, or `None` if the store is meant.
    pub fn remote(&self) -> anyhow::Result<Option<Remote>> {
        let Some(server) = &self.server else {
            return Ok(None);
        };
        if !server.starts_with("http://") && !server.starts_with("https://") {
            bail!("--server: `{server}` is not an address: write it like http://127.0.0.1:8026");
        }

        let token = match &self.token_file {
            Some(path) => {
                let read = std::fs::read_to_string(path);
                Some(read.with_context(|| format!("--token-file: {}", path.display()))?)
            }
            None => std::env::var("ALERTBRIDGE_TOKEN").ok(),
        };
        let token = token.map(|token| token.trim_start_matches('\u{feff}').trim().to_owned());
        let token = token.filter(|token| !token.is_empty());

        Remote::new(server, token.map(SecretString::from)).map(Some)
    }

    /// Returns the desk for commands: the bridge, or the store, which records their actions.
    pub async fn desk(&self, config: Option<&Path>) -> anyhow::Result<Arc<dyn Desk>> {
        if let Some(remote) = self.remote()? {
            return Ok(Arc::new(remote));
        }
        let store = open_store(config).await?;
        Ok(Arc::new(OnRecord { store }))
    }
}

/// Opens the store of the configuration, which must exist: only `serve` and `store migrate` create
/// one.
pub async fn open_store(config: Option<&Path>) -> anyhow::Result<Arc<dyn Store>> {
    let loaded = Config::load(config, Files::Unneeded)?;
    let place = store::there(&loaded.config).await?;
    let store = place
        .open()
        .await
        .with_context(|| format!("store.url: {place}"))?;
    Ok(store)
}

/// Performs an action and records it as a command's.
pub async fn recorded<T>(
    store: &dyn Store,
    action: &str,
    subject: String,
    now: Timestamp,
    work: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    let deed = Deed {
        at: now,
        by: asker::user_at_host(),
        via: "command".to_owned(),
        action: action.to_owned(),
        subject,
    };
    let deed = store.begin_deed(deed).await?;
    let done = work.await;
    let outcome = match &done {
        Ok(_) => "done".to_owned(),
        Err(error) => error.to_string(),
    };
    store.end_deed(deed, outcome).await?;
    done
}

/// A store that records actions in its ledger.
struct OnRecord {
    store: Arc<dyn Store>,
}

fn numbers(ids: &[i64]) -> String {
    let ids = ids.iter().map(ToString::to_string);
    ids.collect::<Vec<_>>().join(" ")
}

#[async_trait]
impl Desk for OnRecord {
    async fn incidents(&self, open_only: bool, limit: u32) -> Result<Vec<IncidentRow>, StoreError> {
        self.store.incidents(open_only, limit).await
    }

    async fn timeline(
        &self,
        incident_id: &str,
    ) -> Result<Option<(IncidentRow, Vec<Event>)>, StoreError> {
        self.store.timeline(incident_id).await
    }

    async fn deliveries(
        &self,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        self.store.deliveries(state, limit).await
    }

    async fn retry(
        &self,
        ids: Option<Vec<DeliveryId>>,
        now: Timestamp,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let subject = ids.as_deref().map_or("all".to_owned(), numbers);
        let work = self.store.retry(ids, now);
        recorded(&*self.store, "deliveries.retry", subject, now, work).await
    }

    async fn discard(&self, id: DeliveryId, now: Timestamp) -> Result<(), StoreError> {
        let work = self.store.discard(id, now);
        recorded(
            &*self.store,
            "deliveries.discard",
            id.to_string(),
            now,
            work,
        )
        .await
    }

    async fn mails(
        &self,
        outcome: Option<Outcome>,
        limit: u32,
    ) -> Result<Vec<MailRow>, StoreError> {
        self.store.mails(outcome, limit).await
    }

    async fn items(&self, mail: MailId) -> Result<Vec<MailRow>, StoreError> {
        self.store.items(mail).await
    }

    async fn mail(&self, id: MailId) -> Result<Option<(MailRow, StoredMail)>, StoreError> {
        self.store.mail(id).await
    }

    async fn release_mail(&self, id: MailId, release: Release) -> Result<(), StoreError> {
        let now = release.at;
        let work = self.store.release_mail(id, release);
        recorded(&*self.store, "mails.release", id.to_string(), now, work).await
    }

    async fn quarantined(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        self.store.quarantined(after, limit).await
    }

    async fn discard_mails(&self, ids: Vec<MailId>, now: Timestamp) -> Result<u64, StoreError> {
        let mails = table::count(ids.len() as u64, "mail");
        let subject = format!("{mails}: {}", numbers(&ids));
        let work = self.store.discard_mails(ids, now);
        recorded(&*self.store, "mails.discard", subject, now, work).await
    }

    async fn discard_mail(&self, id: MailId, now: Timestamp) -> Result<(), StoreError> {
        let work = self.store.discard_mail(id, now);
        recorded(&*self.store, "mails.discard", id.to_string(), now, work).await
    }

    async fn stored(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        after: (Timestamp, MailId),
        limit: u32,
    ) -> Result<Vec<StoredMail>, StoreError> {
        self.store.stored(since, until, after, limit).await
    }

    async fn add_silence(&self, plan: Plan, now: Timestamp) -> Result<Silence, StoreError> {
        let subject = format!("{{{}}}", plan.matchers.join(", "));
        let work = self.store.add_silence(plan, now);
        recorded(&*self.store, "silences.add", subject, now, work).await
    }

    async fn silences(
        &self,
        expired: bool,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Silence>, StoreError> {
        self.store.silences(expired, now, limit).await
    }

    async fn expire_silences(&self, ids: Vec<SilenceId>, now: Timestamp) -> Result<(), StoreError> {
        let subject = numbers(&ids);
        let work = self.store.expire_silences(ids, now);
        recorded(&*self.store, "silences.expire", subject, now, work).await
    }
}
