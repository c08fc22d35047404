//! Holds the certificates that SNS signs with: they are fetched from its own host, kept for a day,
//! and checked at every use.
//!
//! The trust is in the host: TLS to it is verified by the web PKI, and Amazon serves the
//! certificate there without its chain. Of the certificate itself, the name and the validity are
//! checked, as Amazon's SDKs do.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::{CertificateDer, UnixTime, pem::PemObject as _};
use tokio::{sync::Semaphore, time::timeout};
use webpki::{EndEntityCert, Error, KeyUsage, aws_lc_rs::RSA_PKCS1_2048_8192_SHA256};

use super::{
    super::fetch::{Fetch, FetchError},
    topic::Topic,
};

/// How long a certificate is kept. Amazon changes its certificates about once a year.
const KEEP: SignedDuration = SignedDuration::from_hours(24);
const MAX_KEPT: usize = 16;
/// The most fetches at a time, so that a flood of requests does not cause a flood of fetches.
const FETCHES: usize = 4;
/// The time limit of a fetch; SNS waits 15 seconds for the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The fetched certificates, by address. A cached one is available at once, whatever is being
/// fetched.
pub(super) struct Certificates {
    kept: Mutex<HashMap<String, (Timestamp, Arc<Certificate>)>>,
    /// The lock of each address, which allows one fetch at a time.
    under_way: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    fetches: Semaphore,
}

impl Default for Certificates {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            under_way: Mutex::default(),
            fetches: Semaphore::new(FETCHES),
        }
    }
}

impl Certificates {
    /// Returns the certificate at an address, which the caller has checked.
    pub(super) async fn get(
        &self,
        url: &str,
        fetch: &dyn Fetch,
        now: Timestamp,
    ) -> Result<Arc<Certificate>, FetchError> {
        if let Some(certificate) = self.kept(url, now) {
            return Ok(certificate);
        }

        let turn = self.turn(url);
        let _turn = turn.lock().await;

        // The previous holder of the lock may have fetched it.
        if let Some(certificate) = self.kept(url, now) {
            return Ok(certificate);
        }

        let permit = timeout(PATIENCE, self.fetches.acquire())
            .await
            .map_err(|_| FetchError::TooMany)?;
        let certificate = Arc::new(Certificate(fetch.get(url).await?));
        drop(permit);
        self.keep(url, &certificate, now);

        Ok(certificate)
    }

    fn kept(&self, url: &str, now: Timestamp) -> Option<Arc<Certificate>> {
        let kept = lock(&self.kept);
        let (fetched_at, certificate) = kept.get(url)?;
        (now.duration_since(*fetched_at).abs() < KEEP).then(|| Arc::clone(certificate))
    }

    /// Keeps a certificate. The oldest one is dropped to make room.
    fn keep(&self, url: &str, certificate: &Arc<Certificate>, now: Timestamp) {
        let mut kept = lock(&self.kept);
        if kept.len() >= MAX_KEPT
            && let Some(oldest) = kept
                .iter()
                .min_by_key(|(_, (fetched_at, _))| *fetched_at)
                .map(|(url, _)| url.clone())
        {
            kept.remove(&oldest);
        }
        kept.insert(url.to_owned(), (now, Arc::clone(certificate)));
    }

    fn turn(&self, url: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut under_way = lock(&self.under_way);
        under_way.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = under_way.get(url).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        under_way.insert(url.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A certificate in PEM.
pub(super) struct Certificate(Vec<u8>);

/// Why a message is not trusted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unproven {
    #[error("the certificate cannot be read")]
    Unreadable,
    #[error("the certificate is not for SNS")]
    WrongName,
    #[error("the certificate cannot be used: {0}")]
    Unusable(Error),
    #[error("the signature does not match the certificate")]
    WrongSignature,
}

impl Certificate {
    /// Checks the certificate, and that it signed the message.
    pub(super) fn verify(
        &self,
        topic: &Topic,
        message: &[u8],
        signature: &[u8],
        now: Timestamp,
    ) -> Result<(), Unproven> {
        let der = CertificateDer::from_pem_slice(&self.0).map_err(|_| Unproven::Unreadable)?;
        let certificate = EndEntityCert::try_from(&der).map_err(|_| Unproven::Unreadable)?;

        if !certificate
            .valid_dns_names()
            .any(|name| topic.is_signers_name(name))
        {
            return Err(Unproven::WrongName);
        }

        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().unsigned_abs()));

        // Without any root to chain to, the first error found is the certificate's own: its
        // validity or its usage.
        match certificate.verify_for_usage(&[], &[], &[], now, KeyUsage::server_auth(), None, None)
        {
            Err(Error::UnknownIssuer) => {}
            Err(error) => return Err(Unproven::Unusable(error)),
            Ok(_) => return Err(Unproven::Unreadable),
        }

        certificate
            .verify_signature(RSA_PKCS1_2048_8192_SHA256, message, signature)
            .map_err(|_| Unproven::WrongSignature)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use async_trait::async_trait;

    use super::*;

    /// A host that answers some addresses, and others never.
    #[derive(Default)]
    struct Host {
        hangs: HashSet<String>,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Fetch for Host {
        async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
            lock(&self.asked).push(url.to_owned());
            if self.hangs.contains(url) {
                std::future::pending::<()>().await;
            }
            tokio::task::yield_now().await;
            Ok(url.into())
        }
    }

    #[tokio::test]
    async fn no_fetch_holds_up_others_and_one_address_is_fetched_once() {
        let certificates = Arc::new(Certificates::default());
        let host = Arc::new(Host {
            hangs: HashSet::from(["stuck".to_owned()]),
            ..Host::default()
        });
        let now = Timestamp::UNIX_EPOCH;
        let get = |url: &'static str| {
            let (certificates, host) = (Arc::clone(&certificates), Arc::clone(&host));
            tokio::spawn(async move { certificates.get(url, &*host, now).await.unwrap().0.clone() })
        };
        assert_eq!(get("kept").await.unwrap(), b"kept");
        let stuck = [get("stuck"), get("stuck"), get("stuck")];
        while !lock(&host.asked).contains(&"stuck".to_owned()) {
            tokio::task::yield_now().await;
        }
        assert_eq!(get("kept").await.unwrap(), b"kept");
        let together = futures_util::future::join_all(["new"; 50].map(get)).await;
        assert!(together.into_iter().all(|got| got.unwrap() == b"new"));
        assert_eq!(*lock(&host.asked), ["kept", "stuck", "new"]);
        stuck.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn the_oldest_makes_room() {
        let (certificates, host) = (Certificates::default(), Host::default());
        for number in 0..20_i64 {
            let now = Timestamp::from_second(number).unwrap();
            certificates
                .get(&number.to_string(), &host, now)
                .await
                .unwrap();
        }
        let kept = lock(&certificates.kept);
        assert!(kept.len() == MAX_KEPT && kept.contains_key("19") && !kept.contains_key("3"));
    }
}
