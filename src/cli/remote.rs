//! The desk of a running bridge: performs the commands' operations on its store through its API.

use std::{collections::BTreeSet, error::Error, pin::pin, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, Response, StatusCode, redirect::Policy};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{sync::OnceCell, time::timeout};

use crate::{
    delivery::{DeliveryId, DeliveryState},
    message::{MailId, Message, Outcome, Release},
    silence::{Plan, Silence as Kept, SilenceId},
    store::{DeliveryRow, Desk, Event, IncidentRow, MailRow, StoreError, StoredMail},
    web::{
        list::List,
        problem::Problem,
        views::{
            deliveries::sort_for_retry,
            mails::{ListedMail, Mail},
            silences::{NewSilence, Silence, SilenceState},
        },
    },
};

/// The time limit for an answer. A test page alone may take 20 s.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long an answer may take before people are told that it is awaited.
const SLOW: Duration = Duration::from_secs(5);
/// The time limit for a connection.
const REACHED: Duration = Duration::from_secs(10);
/// The longest page of a list.
const PAGE: u32 = 1000;

/// A running bridge.
pub struct Remote {
    client: Client,
    base: String,
    token: Option<SecretString>,
    /// The order of arrival, for `stored`. It is requested once.
    by_arrival: OnceCell<Vec<MailRow>>,
}

impl Remote {
    pub fn new(server: &str, token: Option<SecretString>) -> anyhow::Result<Self> {
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .connect_timeout(REACHED)
            .build()
            .context("no HTTP client can be made")?;
        let base = server.trim_end_matches('/').to_owned();
        Ok(Self {
            client,
            base,
            token,
            by_arrival: OnceCell::new(),
        })
    }

    /// Sends a request, and accepts only a 2xx answer.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response, StoreError> {
        let mut request = self
            .client
            .request(method, format!("{}/api/v1/{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = body {
            request = request.body(body);
        }

        let response = self.told_if_slow(request.send()).await.map_err(|error| {
            let error = error.without_url();
            let mut first: &dyn Error = &error;
            while let Some(cause) = first.source() {
                first = cause;
            }
            StoreError::Refused(format!(
                "--server: {} cannot be reached: {first}; is a bridge running there, and is this \
                 its `admin.listen`?",
                self.base
            ))
        })?;
        if response.status().is_success() {
            return Ok(response);
        }

        let status = response.status();
        let problem = response.json::<Problem>().await;
        let why = problem.map_or_else(
            |_| format!("{} answers {status}", self.base),
            |problem| problem.detail,
        );
        Err(match status {
            StatusCode::NOT_FOUND => StoreError::Missing(why),
            StatusCode::UNAUTHORIZED => StoreError::Refused(format!(
                "{why}; give its token in ALERTBRIDGE_TOKEN or --token-file"
            )),
            status if status.is_client_error() => StoreError::Refused(why),
            _ => StoreError::Failed(why),
        })
    }

    /// Waits for an answer, and says so if it does not come soon.
    async fn told_if_slow<T>(&self, asked: impl Future<Output = T>) -> T {
        let mut asked = pin!(asked);
        if let Ok(answer) = timeout(SLOW, &mut asked).await {
            return answer;
        }
        tell!("note: {} does not answer yet", self.base);
        asked.await
    }

    pub async fn get<T: DeserializeOwned + Send>(&self, path: &str) -> Result<T, StoreError> {
        read(self.ask(Method::GET, path, None).await?).await
    }

    pub async fn post<T: DeserializeOwned + Send>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, StoreError> {
        let body = serde_json::to_vec(body).map_err(unreadable)?;
        read(self.ask(Method::POST, path, Some(body)).await?).await
    }

    /// Reads the beginning of a list, page by page.
    async fn list<T: DeserializeOwned + Send>(
        &self,
        path: &str,
        filter: &[(&str, &str)],
        limit: u32,
    ) -> Result<Vec<T>, StoreError> {
        let mut items: Vec<T> = Vec::new();
        let mut cursor = String::new();
        loop {
            let left = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(limit));
            if left == 0 {
                return Ok(items);
            }

            let path = asked(path, filter, left.min(PAGE), &cursor);
            let page: List<T> = self.get(&path).await?;

            items.extend(page.items);
            match page.next {
                Some(next) => cursor = next,
                None => return Ok(items),
            }
        }
    }

    /// Lists mails, the newest first. Those in the quarantine come with what their headers say.
    pub async fn listed(
        &self,
        outcome: Option<Outcome>,
        from: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ListedMail>, StoreError> {
        let outcome = outcome.iter().map(|one| ("outcome", one.as_str()));
        let sender = from.iter().map(|from| ("from", *from));
        let filter: Vec<_> = outcome.chain(sender).collect();
        self.list("mails", &filter, limit).await
    }

    async fn stored_mail(&self, id: MailId) -> Result<(MailRow, StoredMail), StoreError> {
        let mail: Mail = self.get(&format!("mails/{id}")).await?;
        let path = format!("mails/{id}/raw");
        let raw = self.ask(Method::GET, &path, None).await?.bytes().await;
        let raw: Bytes = raw.map_err(|error| unreadable(error.without_url()))?;

        let stored = StoredMail {
            id,
            message: Message {
                ingress: mail.row.ingress.clone(),
                arrived_at: mail.row.arrived_at,
                raw,
                cut_from: mail.cut_from,
                withheld: None,
                envelope: mail.envelope,
            },
            authenticity: mail.row.authenticity.clone(),
            checks: 0,
            released: mail.row.released.clone(),
            decided_at: None,
            cut_at: None,
        };

        Ok((mail.row, stored))
    }

    async fn stored_mails(&self, ids: Vec<MailId>) -> Result<Vec<StoredMail>, StoreError> {
        let mut mails = Vec::with_capacity(ids.len());
        for id in ids {
            match self.stored_mail(id).await {
                Ok((_, mail)) => mails.push(mail),
                // Retention has deleted the mail in the meantime.
                Err(StoreError::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(mails)
    }
}

/// Returns a list's path with its query.
fn asked(path: &str, filter: &[(&str, &str)], limit: u32, cursor: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(filter)
        .append_pair("limit", &limit.to_string())
        .append_pair("cursor", cursor)
        .finish();
    format!("{path}?{query}")
}

async fn read<T: DeserializeOwned + Send>(response: Response) -> Result<T, StoreError> {
    let read = response.json().await;
    read.map_err(|error| unreadable(error.without_url()))
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(format!("the answer cannot be read: {error}"))
}

/// Encodes a segment of a path.
pub fn encoded(part: &str) -> String {
    utf8_percent_encode(part, NON_ALPHANUMERIC).to_string()
}

#[async_trait]
impl Desk for Remote {
    async fn incidents(&self, open_only: bool, limit: u32) -> Result<Vec<IncidentRow>, StoreError> {
        let filter: &[_] = if open_only { &[("state", "open")] } else { &[] };
        self.list("incidents", filter, limit).await
    }

    async fn timeline(
        &self,
        incident_id: &str,
    ) -> Result<Option<(IncidentRow, Vec<Event>)>, StoreError> {
        let path = format!("incidents/{}", encoded(incident_id));
        let mut story: Value = match self.get(&path).await {
            Err(StoreError::Missing(_)) => return Ok(None),
            story => story?,
        };
        let timeline = story["timeline"].take();
        let timeline = serde_json::from_value(timeline).map_err(unreadable)?;
        let incident = serde_json::from_value(story).map_err(unreadable)?;
        Ok(Some((incident, timeline)))
    }

    async fn deliveries(
        &self,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let filter: Vec<_> = state
            .iter()
            .map(|state| ("state", state.as_str()))
            .collect();
        self.list("deliveries", &filter, limit).await
    }

    async fn retry(
        &self,
        ids: Option<Vec<DeliveryId>>,
        _: Timestamp,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let all = ids.is_none();
        let mut ids = if let Some(ids) = ids {
            ids
        } else {
            let dead = self.deliveries(Some(DeliveryState::Dead), u32::MAX).await?;
            dead.into_iter().map(|delivery| delivery.id).collect()
        };
        sort_for_retry(&mut ids);

        let mut retried = Vec::new();
        for id in ids {
            let path = format!("deliveries/{id}/retry");
            match self.post::<Value>(&path, &Value::Null).await {
                Ok(_) => retried.push(id),
                Err(StoreError::Refused(_)) if all => {}
                Err(error) => return Err(midway(error, "became pending again", &retried)),
            }
        }
        retried.sort_unstable();

        Ok(retried)
    }

    async fn discard(&self, id: DeliveryId, _: Timestamp) -> Result<(), StoreError> {
        let path = format!("deliveries/{id}/discard");
        self.post::<Value>(&path, &Value::Null).await.map(drop)
    }

    async fn mails(
        &self,
        outcome: Option<Outcome>,
        limit: u32,
    ) -> Result<Vec<MailRow>, StoreError> {
        let listed = self.listed(outcome, None, limit).await?;
        Ok(listed.into_iter().map(|mail| mail.row).collect())
    }

    async fn items(&self, mail: MailId) -> Result<Vec<MailRow>, StoreError> {
        let mail: Mail = self.get(&format!("mails/{mail}")).await?;
        Ok(mail.items)
    }

    async fn mail(&self, id: MailId) -> Result<Option<(MailRow, StoredMail)>, StoreError> {
        match self.stored_mail(id).await {
            Err(StoreError::Missing(_)) => Ok(None),
            found => found.map(Some),
        }
    }

    async fn release_mail(&self, id: MailId, _: Release) -> Result<(), StoreError> {
        let path = format!("mails/{id}/release");
        self.post::<Value>(&path, &Value::Null).await.map(drop)
    }

    async fn quarantined(&self, after: MailId, limit: u32) -> Result<Vec<StoredMail>, StoreError> {
        let held = self.mails(Some(Outcome::Quarantined), u32::MAX).await?;
        let held = held.into_iter().rev().map(|mail| mail.id);
        let ids = held.filter(|id| *id > after).take(limit as usize);
        self.stored_mails(ids.collect()).await
    }

    async fn discard_mails(&self, ids: Vec<MailId>, now: Timestamp) -> Result<u64, StoreError> {
        let mut discarded = 0;
        for id in ids {
            match self.discard_mail(id, now).await {
                Ok(()) => discarded += 1,
                Err(StoreError::Refused(_) | StoreError::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(discarded)
    }

    async fn discard_mail(&self, id: MailId, _: Timestamp) -> Result<(), StoreError> {
        let path = format!("mails/{id}/discard");
        self.post::<Value>(&path, &Value::Null).await.map(drop)
    }

    async fn stored(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        after: (Timestamp, MailId),
        limit: u32,
    ) -> Result<Vec<StoredMail>, StoreError> {
        let rows = self.by_arrival.get_or_try_init(|| async {
            let mut rows: Vec<MailRow> = self.mails(None, u32::MAX).await?;
            rows.sort_by_key(|row| (row.arrived_at, row.id));
            Ok::<_, StoreError>(rows)
        });
        let rows = rows.await?.iter();
        let wanted = rows.filter(|row| {
            (row.arrived_at, row.id) > after
                && since.is_none_or(|since| row.arrived_at >= since)
                && until.is_none_or(|until| row.arrived_at < until)
        });
        let ids = wanted.take(limit as usize).map(|row| row.id).collect();
        self.stored_mails(ids).await
    }

    async fn add_silence(&self, plan: Plan, _: Timestamp) -> Result<Kept, StoreError> {
        let new = NewSilence::from(plan);
        self.post::<Silence>("silences", &new).await.map(Kept::from)
    }

    async fn silences(
        &self,
        expired: bool,
        _: Timestamp,
        limit: u32,
    ) -> Result<Vec<Kept>, StoreError> {
        let all: Vec<Silence> = self.list("silences", &[], u32::MAX).await?;
        let mut found: Vec<Kept> = all
            .into_iter()
            .filter(|silence| (silence.state == SilenceState::Expired) == expired)
            .map(Kept::from)
            .collect();

        found.sort_by_key(|silence| (silence.ends_at, silence.id));
        if expired {
            found.reverse();
        }
        found.truncate(limit as usize);

        Ok(found)
    }

    async fn expire_silences(&self, ids: Vec<SilenceId>, _: Timestamp) -> Result<(), StoreError> {
        let mut expired = Vec::new();
        for id in ids.into_iter().collect::<BTreeSet<_>>() {
            let path = format!("silences/{id}");
            if let Err(error) = self.ask(Method::DELETE, &path, None).await {
                return Err(midway(error, "expired", &expired));
            }
            expired.push(id);
        }
        Ok(())
    }
}

/// Adds to an error what was done before it, because the API takes one id at a time.
fn midway(error: StoreError, done: &str, ids: &[impl ToString]) -> StoreError {
    if ids.is_empty() {
        return error;
    }
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let said = format!("{error}; before that, {} {done}", ids.join(", "));
    match error {
        StoreError::Missing(_) => StoreError::Missing(said),
        _ => StoreError::Refused(said),
    }
}
