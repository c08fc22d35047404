//! Sending requests, and what can go wrong with them. No retry, no redirect, no secret in an error.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    error::Error as _,
    io::{Read as _, Write as _},
    time::Duration,
};

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use reqwest::{Method, header::CONTENT_TYPE};
use tokio::time::Instant;

use super::{
    failure::Failure,
    smtp,
    transport::{self, Clients, Environment},
};
use crate::{
    delivery::{FailureReason, Target},
    receiver::{Body, Receivers, Reply, Request, is_sensitive, sink},
    settings::Problem,
};

/// The most bytes of a reply that are read.
const LONGEST_REPLY: usize = 1 << 20;

/// The clients for requests, and the output for printed pages.
#[derive(Debug, Clone)]
pub struct Client {
    by_target: BTreeMap<Target, reqwest::Client>,
    /// The connections of integrations whose pages are mail.
    mail: BTreeMap<Target, smtp::Way>,
    /// The addresses of the environment's proxies, which may contain a password.
    proxies: Vec<String>,
    /// Standard error instead of standard output.
    on_stderr: bool,
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
            on_stderr: false,
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
            on_stderr: false,
            wire: Some(wire),
        }
    }

    /// The same, with pages printed to standard error if `aside` is set: for a command whose JSON
    /// goes to standard output.
    #[must_use]
    pub fn printing_aside(self, aside: bool) -> Self {
        Self {
            on_stderr: aside,
            ..self
        }
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
            _ => Err(Failure {
                reason: FailureReason::Configuration,
                detail: "this program has a fault: the integration sends no mail".to_owned(),
            }),
        }
    }

    pub(super) async fn send(&self, target: &Target, request: Request) -> Result<Reply, Failure> {
        if request.method == sink::METHOD {
            return Ok(Reply {
                status: 200,
                ..Reply::default()
            });
        }

        if request.method == "PRINT" {
            return self.print(&request.body);
        }

        #[cfg(test)]
        if let Some(wire) = &self.wire {
            return wire.carry(target, request).await;
        }

        let method = Method::from_bytes(request.method.as_bytes()).unwrap_or(Method::POST);
        let Some(client) = self.by_target.get(target) else {
            let detail = "this program has a fault: the integration has no client".to_owned();
            return Err(Failure {
                reason: FailureReason::Configuration,
                detail,
            });
        };

        let mut builder = client.request(method, &request.url);

        for (name, value) in &request.headers {
            builder = builder.header(name.as_ref(), value.as_bytes());
        }

        let is_typed =
            |(name, _): &(Cow<'_, str>, String)| name.eq_ignore_ascii_case("content-type");
        if matches!(request.body, Body::Json(_)) && !request.headers.iter().any(is_typed) {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        if !matches!(request.body, Body::Empty) {
            builder = builder.body(request.body.text().into_owned());
        }

        let mut response = builder.send().await.map_err(|error| failure(&error))?;
        let status = response.status().as_u16();
        let headers: BTreeMap<String, String> = response
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();

        let mut body = Vec::new();

        // The status was heard. A reply that breaks off, or does not end in time, is judged by what
        // came of it: whoever took the page gets no second one.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_REPLY - body.len())]);
            if body.len() == LONGEST_REPLY {
                break;
            }
        }

        let body = headers
            .get("content-encoding")
            .and_then(|encoding| unpacked(encoding, &body))
            .unwrap_or(body);

        Ok(Reply {
            status,
            headers,
            body,
        })
    }

    fn print(&self, body: &Body) -> Result<Reply, Failure> {
        let line = body.text();
        let printed = if self.on_stderr {
            writeln!(std::io::stderr(), "{line}")
        } else {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{line}").and_then(|()| out.flush())
        };

        let stream = if self.on_stderr { "error" } else { "output" };
        printed
            .map(|()| Reply {
                status: 200,
                ..Reply::default()
            })
            .map_err(|error| Failure {
                reason: FailureReason::Network,
                detail: format!("standard {stream} cannot be written: {error}"),
            })
    }
}

/// A body that was compressed although no compression was asked for, as far as it can be read;
/// `None` where it is none.
fn unpacked(encoding: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let most = u64::try_from(LONGEST_REPLY).unwrap_or(u64::MAX);
    // Its end may be missing.
    let _ = match encoding.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => MultiGzDecoder::new(body).take(most).read_to_end(&mut plain),
        "deflate" => ZlibDecoder::new(body).take(most).read_to_end(&mut plain),
        _ => return None,
    };
    (!plain.is_empty()).then_some(plain)
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
fn failure(error: &reqwest::Error) -> Failure {
    let mut causes = Vec::new();
    let (mut certificate, mut unreadable) = (false, false);
    let mut cause = error.source();

    while let Some(error) = cause {
        certificate |= is_tls(error);
        unreadable |= is_unreadable(error);
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
        detail: format!("{what}: {deepest}"),
    }
}

/// Whether a reply came of which the status line or the headers cannot be read.
fn is_unreadable(error: &(dyn std::error::Error + 'static)) -> bool {
    error
        .downcast_ref::<hyper::Error>()
        .is_some_and(hyper::Error::is_parse)
}

/// Whether the error is one of TLS; wrapped I/O errors do not expose what they wrap as their
/// source.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let wrapped = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|wrapped| is_tls(wrapped))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };

    use super::{LONGEST_REPLY, unpacked};

    #[test]
    fn a_reply_that_is_compressed_unasked_is_read_as_far_as_it_goes() {
        let refusal = b"{\"ok\":false}";
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(refusal).unwrap();
        let gzip = gzip.finish().unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(refusal).unwrap();
        let zlib = zlib.finish().unwrap();

        assert_eq!(unpacked("gzip", &gzip).as_deref(), Some(&refusal[..]));
        assert_eq!(unpacked(" X-GZip", &gzip).as_deref(), Some(&refusal[..]));
        assert_eq!(unpacked("deflate", &zlib).as_deref(), Some(&refusal[..]));
        // Its checksum is missing.
        let cut = &gzip[..gzip.len() - 4];
        assert_eq!(unpacked("gzip", cut).as_deref(), Some(&refusal[..]));
        for (encoding, body) in [
            ("gzip", &refusal[..]),
            ("identity", refusal),
            ("br", refusal),
        ] {
            assert_eq!(unpacked(encoding, body), None);
        }

        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&vec![b'x'; 4 * LONGEST_REPLY]).unwrap();
        let bomb = unpacked("gzip", &bomb.finish().unwrap());
        assert_eq!(bomb.map(|plain| plain.len()), Some(LONGEST_REPLY));
    }
}
