//! The client that sends requests, and the errors that can occur. It never retries, follows no
//! redirect, and puts no secret in an error.

use std::{borrow::Cow, collections::BTreeMap, error::Error as _, time::Duration};

use reqwest::{Method, RequestBuilder, header::CONTENT_TYPE};
use tokio::time::Instant;

use super::{
    body::{self, LONGEST_REPLY},
    failure::Failure,
    print::Printer,
    smtp,
    transport::{self, Clients, Environment},
};
use crate::{
    delivery::{FailureReason, Target},
    receiver::{Body, Receivers, Reply, Request, is_sensitive, sink},
    settings::Problem,
};

/// The clients for requests, and the output for printed pages.
#[derive(Debug, Clone)]
pub struct Client {
    by_target: BTreeMap<Target, reqwest::Client>,
    /// The mail servers of the integrations whose pages are mail.
    mail: BTreeMap<Target, smtp::Way>,
    /// The addresses of the environment's proxies, which may contain a password.
    proxies: Vec<String>,
    printer: Printer,
    /// How long a printed page may take.
    timeout: Duration,
    /// The transport that replaces the network in tests.
    #[cfg(test)]
    wire: Option<std::sync::Arc<dyn Wire>>,
}

/// A network for tests, in which vendors are plain values.
#[cfg(test)]
#[async_trait::async_trait]
pub(crate) trait Wire: Send + Sync {
    async fn carry(&self, target: &Target, request: Request) -> Result<Reply, Failure>;
}

#[cfg(test)]
impl std::fmt::Debug for dyn Wire {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Wire")
    }
}

impl Client {
    /// Creates the clients for these receivers. `timeout` bounds one request, from the resolution
    /// of the name to the last byte of the reply, unless its integration has a time-out of its own.
    pub fn new(
        receivers: &Receivers,
        timeout: Duration,
        environment: Environment<'_>,
    ) -> Result<Self, Unusable> {
        let Clients {
            by_target,
            mail,
            proxies,
        } = transport::clients(receivers, timeout, environment).map_err(Unusable)?;
        Ok(Self {
            by_target,
            mail,
            proxies,
            printer: Printer::output(),
            timeout,
            #[cfg(test)]
            wire: None,
        })
    }

    /// Creates a client that sends everything over a test's own wire.
    #[cfg(test)]
    pub(crate) fn over(wire: std::sync::Arc<dyn Wire>) -> Self {
        Self {
            by_target: BTreeMap::new(),
            mail: BTreeMap::new(),
            proxies: Vec::new(),
            printer: Printer::output(),
            timeout: Duration::ZERO,
            wire: Some(wire),
        }
    }

    /// Returns the client, which prints pages to standard error if `aside` is set: for a command
    /// that writes JSON to standard output.
    #[must_use]
    pub fn printing_aside(self, aside: bool) -> Self {
        if aside {
            let printer = Printer::error();
            return Self { printer, ..self };
        }
        self
    }

    /// Returns the parts of a request's route and headers that must not be shown when they are
    /// echoed.
    pub(super) fn hidden<'a>(&'a self, request: &'a Request) -> impl Iterator<Item = &'a str> {
        let headers = request
            .headers
            .iter()
            .filter(|(name, _)| is_sensitive(name))
            .map(|(_, value)| value.as_str());
        self.proxies.iter().map(String::as_str).chain(headers)
    }

    /// Sends a mail through the integration's server, as the user of `login`. It waits no longer
    /// than `until`.
    pub(super) async fn mail(
        &self,
        target: &Target,
        login: Option<(&str, &str)>,
        request: &Request,
        until: Instant,
    ) -> Result<Reply, Failure> {
        match (self.mail.get(target), &request.body) {
            (Some(way), Body::Mail(mail)) => {
                // A conversation with a mail server is several times as large as a request's
                // future, and each page's task would have room for both.
                Box::pin(way.send(login, request, mail, until)).await
            }
            _ => Err(Failure::unsent(
                FailureReason::Configuration,
                "this program has a fault: the integration sends no mail",
            )),
        }
    }

    pub(super) async fn send(&self, target: &Target, request: Request) -> Result<Reply, Failure> {
        let taken = Reply {
            status: 200,
            ..Reply::default()
        };
        if request.method == sink::METHOD {
            return Ok(taken);
        }
        if request.method == "PRINT" {
            let page = request.body.text();
            self.printer.print(&page, self.timeout).await?;
            return Ok(taken);
        }

        #[cfg(test)]
        if let Some(wire) = &self.wire {
            return wire.carry(target, request).await;
        }

        let Some(client) = self.by_target.get(target) else {
            let detail = "this program has a fault: the integration has no client";
            return Err(Failure::unsent(FailureReason::Configuration, detail));
        };
        let response = built(client, &request).send().await;
        let mut response = response.map_err(|error| failure(&error))?;

        let status = response.status().as_u16();
        let headers: BTreeMap<String, String> = response
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();

        // The status has arrived. Judge a reply that breaks off, or does not end in time, by the
        // part that arrived: a receiver that took the page must not get a second one.
        let (body, broke_off) = body_of(&mut response).await;
        let body = body::read(&headers, body);

        Ok(Reply {
            status,
            headers,
            body,
            broke_off,
        })
    }
}

/// Reads the body, as far as it is read, and returns it with whether it broke off.
async fn body_of(response: &mut reqwest::Response) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while body.len() < LONGEST_REPLY {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_REPLY - body.len())]);
            }
            Ok(None) => return (body, false),
            Err(_) => return (body, true),
        }
    }
    (body, false)
}

fn built(client: &reqwest::Client, request: &Request) -> RequestBuilder {
    let method = Method::from_bytes(request.method.as_bytes()).unwrap_or(Method::POST);
    let mut builder = client.request(method, &request.url);

    for (name, value) in &request.headers {
        builder = builder.header(name.as_ref(), value.as_bytes());
    }

    let is_typed = |(name, _): &(Cow<'_, str>, String)| name.eq_ignore_ascii_case("content-type");
    if matches!(request.body, Body::Json(_)) && !request.headers.iter().any(is_typed) {
        builder = builder.header(CONTENT_TYPE, "application/json");
    }

    if matches!(request.body, Body::Empty) {
        builder
    } else {
        builder.body(request.body.text().into_owned())
    }
}

/// Transport settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", listed(.0))]
pub struct Unusable(pub Vec<Problem>);

fn listed(problems: &[Problem]) -> String {
    let texts = problems
        .iter()
        .map(|problem| format!("{}: {}; {}", problem.key, problem.what, problem.mend));
    texts.collect::<Vec<_>>().join("; ")
}

/// Describes the error in words for the operator. The error's own text contains the URL, which may
/// be a secret.
///
/// A request may have been taken unless no connection was made, or the connection ended before the
/// request was written. A kept-alive connection may have been closed before the server read what
/// was written to it. If the client had not begun to write a request to it, it has sent that
/// request over another connection by itself; about any other request, no more is known than on a
/// new connection.
fn failure(error: &reqwest::Error) -> Failure {
    let mut causes = Vec::new();
    let (mut certificate, mut unreadable) = (false, false);
    let mut unwritten = error.is_connect() || error.is_builder();
    let mut cause = error.source();

    while let Some(error) = cause {
        certificate |= is_tls(error);
        unreadable |= is_unreadable(error);
        unwritten |= is_unwritten(error);
        causes.push(error.to_string());
        cause = error.source();
    }

    let deepest = causes
        .pop()
        .unwrap_or_else(|| "the request failed".to_owned());
    let (reason, what) = if error.is_timeout() {
        (FailureReason::Timeout, "no reply in time")
    } else if certificate {
        (
            FailureReason::Tls,
            "its certificate or TLS handshake was rejected",
        )
    } else if error.is_connect() {
        (FailureReason::Network, "no connection")
    } else if error.is_builder() {
        (
            FailureReason::Configuration,
            "the request could not be made",
        )
    } else if unreadable {
        (
            FailureReason::UnexpectedReply,
            "its reply cannot be read, so it is not known whether the page was accepted",
        )
    } else {
        (FailureReason::Network, "the connection broke")
    };

    Failure {
        reason,
        may_be_taken: !unwritten,
        detail: format!("{what}: {deepest}"),
    }
}

/// Whether a reply arrived whose status line or headers cannot be read.
fn is_unreadable(error: &(dyn std::error::Error + 'static)) -> bool {
    error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_parse)
}

/// Whether the connection ended before the whole request was written.
fn is_unwritten(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_canceled = |error: &hyper::Error| error.is_canceled();
    // Only a write to a closed connection fails with this error.
    let is_broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.downcast_ref().is_some_and(is_canceled) || error.downcast_ref().is_some_and(is_broken)
}

/// Whether the error comes from TLS. Wrapped I/O errors do not expose the error that they wrap as
/// their source, so it is unwrapped here.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let wrapped = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|wrapped| is_tls(wrapped))
}
