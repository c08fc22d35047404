//! The HTTP client for the provider. It bounds the size of answers; the underlying client bounds
//! the time, follows no redirect and names no secret in an error.

use futures_util::future::BoxFuture;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

use crate::settings::cause::innermost;

/// The longest answer that is read, in bytes. Documents and tokens have a few KiB.
const LONGEST_ANSWER: usize = 256 << 10;

/// The client that asks the provider.
#[derive(Debug, Clone)]
pub struct Http(pub reqwest::Client);

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    #[error("{0}")]
    Unreachable(String),
    #[error("it answers HTTP {0}")]
    Status(u16),
    #[error("its answer is longer than {} KiB", LONGEST_ANSWER >> 10)]
    TooLong,
}

impl From<reqwest::Error> for Unanswered {
    /// Uses the innermost cause, because the error's own text contains the whole address.
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Unreachable("no answer in time".to_owned());
        }
        let cause = innermost(&error);
        Self::Unreachable(cause.unwrap_or_else(|| "the request failed".to_owned()))
    }
}

impl<'a> AsyncHttpClient<'a> for Http {
    type Error = Unanswered;
    type Future = BoxFuture<'a, Result<HttpResponse, Unanswered>>;

    fn call(&'a self, request: HttpRequest) -> Self::Future {
        Box::pin(send(&self.0, request))
    }
}

async fn send(client: &reqwest::Client, request: HttpRequest) -> Result<HttpResponse, Unanswered> {
    let (parts, body) = request.into_parts();
    let request = client
        .request(parts.method, parts.uri.to_string())
        .headers(parts.headers)
        .body(body);

    let mut response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    if status.is_server_error() || status.is_redirection() || status.as_u16() == 429 {
        return Err(Unanswered::Status(status.as_u16()));
    }

    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err(Unanswered::TooLong);
        }
        body.extend_from_slice(&chunk);
    }

    let mut answer = HttpResponse::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}
