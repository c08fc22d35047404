//! Handles one request: checks it in the order that reveals the least to a stranger, stores the
//! mail, and answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    http::{
        HeaderMap, Method, Request,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRANSFER_ENCODING},
        request::Parts,
    },
    response::Response,
};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::{
    answer::{self, Fault, Refusal},
    fetch::Fetch,
    limits::Limits,
    protocol::{Opened, Posted, Protocol},
};
use crate::{
    clock::Clock,
    ingress::{
        Health, Inbox, Refused,
        listener::{Budget, Buffer, Full, Place, Room},
    },
    message::{MailId, Message},
    settings::Secret,
    telemetry,
};

/// One webhook.
pub(super) struct Door {
    pub(super) name: String,
    pub(super) protocol: Box<dyn Protocol>,
}

/// The state that all requests of the listener share.
pub(super) struct Doors {
    pub(super) by_path: BTreeMap<String, Door>,
    pub(super) max_body: u64,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) health: Health,
}

impl Doors {
    /// Reports for each webhook that it listens, or that its secret cannot be read.
    pub(super) fn report_health(&self) {
        for door in self.by_path.values() {
            match door.protocol.credential().secret().map(Secret::read) {
                Some(Err(error)) => self.health.failed(&door.name, &error.to_string(), false),
                _ => self.health.succeeded(&door.name, self.clock.now()),
            }
        }
    }

    /// Answers a request. A refusal waits for the rest of the body, within bounds, because a client
    /// that is still sending when the connection closes sees a reset instead of the answer.
    pub(super) async fn answer(&self, request: Request<Body>, place: &Place) -> Response {
        let (head, body) = request.into_parts();
        let mut body = Incoming {
            chunks: body.into_data_stream(),
            limit: self.max_body,
        };

        let waits_for_100 = head.headers.contains_key(EXPECT);
        let door = self.by_path.get(head.uri.path());
        let answered = match door {
            Some(door) => self.take(door, &head, &mut body, place).await,
            None => Err(Refusal::UnknownPath.into()),
        };

        let refusal = match answered {
            Ok(response) => return response,
            Err(Fault::Refused(refusal)) => refusal,
            Err(Fault::Secret(error)) => {
                door.inspect(|door| self.health.failed(&door.name, &error.to_string(), false));
                Refusal::NoSecret
            }
        };

        let status = door.map_or(refusal.status(), |door| door.protocol.refused(refusal));

        if let Some(door) = door {
            telemetry::mail_refused(&door.name, None, &refusal.reason(), &status);
            if let Some(why) = refusal.keeps_mail_out(door.protocol.credential()) {
                telemetry::request_without_mail(&door.name, why);
                self.health.held_no_mail(&door.name, why, self.clock.now());
            }
            if let Some(why) = refusal.refuses_mail(door.protocol.credential()) {
                self.health.refused(&door.name, why, self.clock.now());
            }
        } else {
            tracing::info!(
                path = head.uri.path(),
                "request refused: no webhook has this path"
            );
        }

        // Reading on would ask the client for the body (RFC 9110, 10.1.1).
        if !waits_for_100 && !matches!(refusal, Refusal::TooSlow | Refusal::Displaced) {
            body.drain(self.max_body, self.limits.drain).await;
        }

        answer::refused(refusal, status)
    }

    async fn take(
        &self,
        door: &Door,
        head: &Parts,
        body: &mut Incoming,
        place: &Place,
    ) -> Result<Response, Fault> {
        self.admit(door, &head.method, &head.headers)?;
        let (body, mut room) = self.read(body, place).await?;
        let _working = place.working();

        if door.protocol.copies() && !room.grow(body.len().saturating_mul(2)) {
            return Err(Refusal::NoRoom.into());
        }

        let posted = Posted {
            headers: &head.headers,
            body,
            now: self.clock.now(),
            fetch: &*self.fetch,
        };

        match door.protocol.open(posted).await? {
            Opened::Mail(raw, claim) => {
                let id = self.store(door, &head.headers, raw).await?;
                if let Some(claim) = claim {
                    claim.stored();
                }
                self.health.held_mail(&door.name);
                Ok(answer::stored(id, door.protocol.stored()))
            }
            Opened::Settled => Ok(answer::settled()),
            Opened::Ended(why) => {
                self.health.held_no_mail(&door.name, why, self.clock.now());
                Ok(answer::settled())
            }
        }
    }

    /// Admits the request by its head alone.
    fn admit(&self, door: &Door, method: &Method, headers: &HeaderMap) -> Result<(), Fault> {
        if method != Method::POST {
            return Err(Refusal::WrongMethod.into());
        }

        door.protocol.admit(headers)?;

        let content_type = content_type(headers);
        if !door.protocol.posts(&content_type) {
            return Err(Refusal::WrongType(door.protocol.posts_instead(&content_type)).into());
        }

        // hyper decodes `chunked` only, so what remains of `gzip, chunked` is not a mail.
        let codings = |name, plain: &str| {
            headers
                .get_all(name)
                .iter()
                .flat_map(|codings| codings.as_bytes().split(|&byte| byte == b','))
                .any(|coding| {
                    let coding = coding.trim_ascii();
                    !coding.is_empty() && !coding.eq_ignore_ascii_case(plain.as_bytes())
                })
        };
        if codings(CONTENT_ENCODING, "identity") || codings(TRANSFER_ENCODING, "chunked") {
            return Err(Refusal::Encoded.into());
        }

        let declared = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|declared| declared > self.max_body) {
            return Err(Refusal::TooLarge.into());
        }

        if declared.is_some_and(|declared| !self.limits.capacity.budget.has(declared)) {
            return Err(Refusal::NoRoom.into());
        }

        Ok(())
    }

    /// Reads the body within its time limit, as long as the connection keeps its place.
    async fn read(&self, body: &mut Incoming, place: &Place) -> Result<(Bytes, Room), Refusal> {
        place.mail_begins();
        let read = tokio::select! {
            read = timeout(self.limits.body, body.read(&self.limits.capacity.budget)) => read,
            () = place.lost() => return Err(Refusal::Displaced),
        };
        place.mail_ends();
        read.map_err(|_| Refusal::TooSlow)?
    }

    async fn store(&self, door: &Door, headers: &HeaderMap, raw: Bytes) -> Result<MailId, Refusal> {
        let (ingress, size) = (&door.name, raw.len());
        let arrived_at = self.clock.now();
        let message = Message {
            ingress: ingress.clone(),
            arrived_at,
            raw,
            cut_from: None,
            withheld: None,
            envelope: None,
        };

        match timeout(self.limits.store, self.inbox.accept(vec![message], None)).await {
            Ok(Ok(ids)) => {
                let id = ids.first().copied().ok_or(Refusal::NotStored)?;
                let traceparent = headers.get("traceparent");
                let traceparent = traceparent.and_then(|value| value.to_str().ok());
                telemetry::mail_posted(ingress, id, arrived_at, self.clock.now(), traceparent);
                Ok(id)
            }
            Ok(Err(refused)) => {
                tracing::warn!(ingress, size, %refused, "mail deferred");
                Err(match refused {
                    Refused::NoRoom => Refusal::DiskNearlyFull,
                    Refused::Failed(_) => Refusal::NotStored,
                })
            }
            Err(_) => {
                tracing::warn!(
                    ingress,
                    size,
                    "mail deferred: the store did not answer in time"
                );
                Err(Refusal::NotStored)
            }
        }
    }
}

/// A body that is read up to a limit.
struct Incoming {
    chunks: BodyDataStream,
    limit: u64,
}

impl Incoming {
    async fn read(&mut self, budget: &Budget) -> Result<(Bytes, Room), Refusal> {
        let mut read = Buffer::new(self.limit, 0, budget);
        while let Some(chunk) = self.chunks.next().await {
            let chunk = chunk.map_err(|_| Refusal::Broken)?;
            read.extend(&chunk).map_err(|full| match full {
                Full::Limit => Refusal::TooLarge,
                Full::Budget => Refusal::NoRoom,
            })?;
        }

        let (bytes, room) = read.finish();
        Ok((bytes.into(), room))
    }

    /// Reads and discards up to `limit` bytes, for at most `time`.
    async fn drain(&mut self, mut limit: u64, time: Duration) {
        let all = async {
            while let Some(Ok(chunk)) = self.chunks.next().await
                && limit > 0
            {
                limit = limit.saturating_sub(chunk.len() as u64);
            }
        };
        // Whether or not the body has ended, the answer is sent next.
        let _ = timeout(time, all).await;
    }
}

/// Returns the media type alone, in lower case; empty if there is none.
fn content_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();

    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}
