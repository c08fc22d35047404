//! One request: checked in the order that tells a stranger least, stored, answered.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    http::{
        HeaderMap, Method, Request,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, ORIGIN},
    },
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::{
    Door, Limits,
    answer::{self, Refusal},
    token,
};
use crate::{
    clock::Clock,
    ingress::{Health, Inbox},
    message::{MailId, Message},
    settings::Secret,
};

/// What all requests of the listener share.
pub(super) struct Doors {
    pub(super) by_path: BTreeMap<String, Door>,
    pub(super) max_body: u64,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) health: Health,
}

impl Doors {
    /// Says of each webhook that it listens, or that its token cannot be read.
    pub(super) fn report_health(&self) {
        for door in self.by_path.values() {
            match door.token.as_ref().map(Secret::read) {
                Some(Err(error)) => self.health.failed(&door.name, &error.to_string(), false),
                _ => self.health.succeeded(&door.name, self.clock.now()),
            }
        }
    }

    /// Answers a request. A refusal waits for what is left of the body, within bounds: a client still sending when the
    /// connection closes sees a reset in place of the answer.
    pub(super) async fn answer(&self, request: Request<Body>) -> Response {
        let (head, body) = request.into_parts();
        let mut body = Incoming { chunks: body.into_data_stream(), left: self.max_body };
        let waits_for_100 = head.headers.contains_key(EXPECT);
        let answered = match self.admit(head.uri.path(), &head.method, &head.headers) {
            Ok(door) => self.receive(door, &mut body).await,
            Err(refusal) => Err(refusal),
        };
        match answered {
            Ok(id) => answer::stored(id),
            Err(refusal) => {
                tracing::info!(path = head.uri.path(), ?refusal, "request refused");
                // To read on is to ask for the body (RFC 9110, 10.1.1).
                if !waits_for_100 && refusal != Refusal::TooSlow {
                    body.drain(self.max_body, self.limits.drain).await;
                }
                refusal.into_response()
            }
        }
    }

    /// Finds the webhook and lets the request in by its head alone.
    fn admit(&self, path: &str, method: &Method, headers: &HeaderMap) -> Result<&Door, Refusal> {
        let door = self.by_path.get(path).ok_or(Refusal::UnknownPath)?;
        if method != Method::POST {
            return Err(Refusal::WrongMethod);
        }
        match &door.token {
            Some(secret) => token::check(secret, headers).unwrap_or_else(|error| {
                self.health.failed(&door.name, &error.to_string(), false);
                Err(Refusal::NoToken)
            })?,
            // Without a token whatever runs on this machine is trusted, but a browser runs everybody's pages. It names
            // the page in Origin at every POST, to its own origin too, so a rebound DNS name does not help.
            None if headers.contains_key(ORIGIN) => return Err(Refusal::CrossSite),
            None => {}
        }
        if !is_raw_mail(headers) {
            return Err(Refusal::WrongType);
        }
        if headers.contains_key(CONTENT_ENCODING) {
            return Err(Refusal::Encoded);
        }
        let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|declared| declared > self.max_body) {
            return Err(Refusal::TooLarge);
        }
        Ok(door)
    }

    /// Reads the mail and stores it. Anything that is not empty is stored: what looks like no mail is for the stages
    /// to judge, where it has an outcome and can be seen, and not lost to a sender that never looks at its answers.
    async fn receive(&self, door: &Door, body: &mut Incoming) -> Result<MailId, Refusal> {
        let raw = timeout(self.limits.body, body.read()).await.map_err(|_| Refusal::TooSlow)??;
        if raw.is_empty() {
            return Err(Refusal::Empty);
        }
        let (ingress, size) = (&door.name, raw.len());
        let arrived_at = self.clock.now();
        let message = Message { ingress: ingress.clone(), arrived_at, raw, cut_from: None, envelope: None };
        match timeout(self.limits.store, self.inbox.accept(vec![message], None)).await {
            Ok(Ok(ids)) => {
                let id = ids.first().copied().ok_or(Refusal::NotStored)?;
                tracing::debug!(ingress, size, id, "mail stored");
                Ok(id)
            }
            Ok(Err(refused)) => {
                tracing::warn!(ingress, size, %refused, "mail put off");
                Err(Refusal::NotStored)
            }
            Err(_) => {
                tracing::warn!(ingress, size, "mail put off: the store did not answer in time");
                Err(Refusal::NotStored)
            }
        }
    }
}

/// A body that is read up to a limit.
struct Incoming {
    chunks: BodyDataStream,
    left: u64,
}

impl Incoming {
    async fn read(&mut self) -> Result<Bytes, Refusal> {
        let mut read = Vec::new();
        while let Some(chunk) = self.chunks.next().await {
            let chunk = chunk.map_err(|_| Refusal::Broken)?;
            self.left = self.left.checked_sub(chunk.len() as u64).ok_or(Refusal::TooLarge)?;
            read.extend_from_slice(&chunk);
        }
        Ok(read.into())
    }

    /// Reads and forgets up to `limit` bytes, for at most `time`.
    async fn drain(&mut self, mut limit: u64, time: Duration) {
        let all = async {
            while let Some(Ok(chunk)) = self.chunks.next().await
                && limit > 0
            {
                limit = limit.saturating_sub(chunk.len() as u64);
            }
        };
        // Either way the answer is sent next.
        let _ = timeout(time, all).await;
    }
}

/// `message/rfc822`, in any case and with any parameters (RFC 2046, 5.2.1).
fn is_raw_mail(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok()?.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("message/rfc822"))
}
