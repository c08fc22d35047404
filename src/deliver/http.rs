//! Sending requests, and what can go wrong with them. No retry, no redirect, no secret in an error.

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
    /// The connections of integrations whose pages are mail.
    mail: BTreeMap<Target, smtp::Way>,
    /// The addresses of the environment's proxies, which may contain a password.
    proxies: Vec<String>,
    printer: Printer,
    /// How long a printed page may take.
    timeout: Duration,
    /// What carries requests in the network's place.
    #[cfg(test)]
    wire: Option<std::sync::Arc<dyn Wire>>,
}

/// A network for tests: vendors that are values.
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
    /// `timeout` bounds one request, from the name's resolution to the reply's last byte, unless
    /// its integration has its own.
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

    /// Sends everything over a wire of the test's own.
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

    /// The same, with pages printed to standard error if `aside` is set: for a command whose JSON
    /// goes to standard output.
    #[must_use]
    pub fn printing_aside(self, aside: bool) -> Self {
        if aside {
            let printer = Printer::error();
            return Self { printer, ..self };
        }
        self
    }

    /// The parts of a request's route, and of its headers, that must not be shown when echoed.
    pub(super) fn hidden<'a>(&'a self, request: &'a Request) -> impl Iterator<Item = &'a str> {
        let headers = request
            .headers
            .iter()
            .filter(|(name, _)| is_sensitive(name))
            .map(|(_, value)| value.as_str());
        self.proxies.iter().map(String::as_str).chain(headers)
    }

    /// Sends a mail through its server, as the user that logs in there. It is not waited for
    /// longer than `until`.
    pub(super) async fn mail(
        &self,
        target: &Target,
        login: Option<(&str, &str)>,
        request: &Request,
        until: Instant,
    ) -> Result<Reply, Failure> {
        match (self.mail.get(target), &request.body) {
            (Some(way), Body::Mail(mail)) => way.send(login, request, mail, until).await,
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

        // The status was heard. A reply that breaks off, or does not end in time, is judged by what
        // came of it: whoever took the page gets no second one.
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_REPLY - body.len())]);
            if body.len() == LONGEST_REPLY {
                break;
            }
        }
        let body = body::read(&headers, body);

        Ok(Reply {
            status,
            headers,
            body,
        })
    }
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

/// The error in words for the operator. Its own text contains the URL, which may be a secret.
///
/// A request may have been taken unless no connection was made, or it ended before the request was
/// written. A kept connection may have been closed before the server read what was written to it;
/// what had not begun to be written the client has sent over another by itself, and of the rest
/// nobody knows more than of a new connection's.
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
            "its TLS certificate or handshake is refused",
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
            "its reply cannot be read, so whether it took the page is not known",
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

/// Whether a reply came of which the status line or the headers cannot be read.
fn is_unreadable(error: &(dyn std::error::Error + 'static)) -> bool {
    error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_parse)
}

/// Whether the connection ended before the request was written to its end.
fn is_unwritten(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_canceled = |error: &hyper::Error| error.is_canceled();
    // Only what writes to a closed connection fails so.
    let is_broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.downcast_ref().is_some_and(is_canceled) || error.downcast_ref().is_some_and(is_broken)
}

/// Whether the error is one of TLS; wrapped I/O errors do not expose what they wrap as their
/// source.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let wrapped = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|wrapped| is_tls(wrapped))
}
