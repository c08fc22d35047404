//! The only network access of a webhook: small documents of Amazon SNS, at addresses that have been
//! checked.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, ClientBuilder, redirect::Policy};
use tokio::sync::OnceCell;

/// The most bytes of a document: a certificate has 2 KB, and the answer to a confirmation less.
const MAX_SIZE: usize = 64 << 10;
/// The time limit for connecting and for the whole request. SNS waits 15 seconds for the answer to
/// its own request.
const TIME: Duration = Duration::from_secs(5);

/// Gets a document over HTTPS.
#[async_trait]
pub trait Fetch: Send + Sync {
    async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError>;
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the server answered {0}")]
    Status(u16),
    #[error("too many documents are being fetched")]
    TooMany,
    #[error("the document is larger than 64 KiB")]
    TooLarge,
    #[error("the server cannot be reached: {0}")]
    Unreachable(#[from] reqwest::Error),
}

impl FetchError {
    /// Returns whether the server refused, and another attempt does not change that. A request that
    /// took too long, came too early or is one of too many may succeed later (RFC 9110, RFC 8470,
    /// RFC 6585).
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Status(status @ 400..500) if ![408, 425, 429].contains(status))
    }
}

/// Network access with verified certificates, no redirects, and bounds on time and size.
pub struct Https(Client);

impl Https {
    /// Creates the client. `builder` may add trusted roots or addresses of hosts, but nothing that
    /// weakens it.
    pub fn new(builder: ClientBuilder) -> Result<Self, FetchError> {
        let client = builder
            .https_only(true)
            .redirect(Policy::none())
            .connect_timeout(TIME)
            .timeout(TIME)
            .build()?;
        Ok(Self(client))
    }
}

/// Network access whose client is built at its first use: few webhooks ever need it.
#[derive(Default)]
pub(super) struct Lazy(OnceCell<Https>);

#[async_trait]
impl Fetch for Lazy {
    async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let https = self
            .0
            .get_or_try_init(async || Https::new(Client::builder()))
            .await?;
        https.get(url).await
    }
}

#[async_trait]
impl Fetch for Https {
    async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let mut response = self
            .0
            .get(url)
            .send()
            .await
            .map_err(reqwest::Error::without_url)?;

        if !response.status().is_success() {
            return Err(FetchError::Status(response.status().as_u16()));
        }

        let mut document = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(reqwest::Error::without_url)?
        {
            document.extend_from_slice(&chunk);
            if document.len() > MAX_SIZE {
                return Err(FetchError::TooLarge);
            }
        }

        Ok(document)
    }
}
