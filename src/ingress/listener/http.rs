//! HTTP/1.1 on an accepted connection. This is the only user of hyper's server.

use std::{convert::Infallible, time::Duration};

use axum::{body::Body, response::Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Place, Stream, crowd::TooMany};

/// The largest head of a request, in bytes, which is also how far ahead a client's input is read.
const BUFFER: usize = 64 << 10;
/// How long the answer to a client that has lost its place may take.
const PARTING: Duration = Duration::from_millis(500);

/// Serves one connection until the client closes it, takes longer than `head` from an answer to the
/// end of the next request's head, or loses its place, or until a stop finds it between requests.
pub async fn serve<A>(
    stream: Stream,
    place: &Place,
    head: Duration,
    stop: &CancellationToken,
    answer: impl Fn(hyper::Request<Body>) -> A,
) where
    A: Future<Output = Response>,
{
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let answered = answer(request.map(Body::new));
        async { Ok::<_, Infallible>(answered.await) }
    });

    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);

    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = place.lost() => {
            connection.as_mut().graceful_shutdown();
            timeout(PARTING, connection).await.unwrap_or(Ok(()))
        }
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };

    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Returns the answer to a connection without a place, before any request.
pub fn busy(why: TooMany) -> Vec<u8> {
    let error = match why {
        TooMany::InAll => "Too many connections; try again later.",
        TooMany::OfClient => "Too many connections from your address; try again later.",
    };
    let body = format!("{{\"error\":\"{error}\"}}");
    let headers = [("content-type", "application/json"), ("retry-after", "30")];
    reply("503 Service Unavailable", &headers, &body)
}

/// Returns a whole reply for a connection that hyper does not serve, and that is closed after it.
pub fn reply(status: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n\
         {body}"
    )
    .into_bytes()
}
