//! The certificates SNS signs with: fetched from its own host, kept for a day, checked at every use.
//!
//! What is trusted is the host: TLS to it is verified by the web PKI, and Amazon serves the certificate there without
//! the chain above it. Of the certificate itself name and time are checked, as Amazon's SDKs do.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::{CertificateDer, UnixTime, pem::PemObject as _};
use tokio::sync::Mutex;
use webpki::{EndEntityCert, Error, KeyUsage, aws_lc_rs::RSA_PKCS1_2048_8192_SHA256};

use super::{
    super::fetch::{Fetch, FetchError},
    topic::Topic,
};

/// Amazon changes them about once a year.
const KEEP: SignedDuration = SignedDuration::from_hours(24);
const MAX_KEPT: usize = 16;

/// Those fetched, by address. One is fetched at a time, so that a flood of requests is no flood of fetches.
#[derive(Default)]
pub(super) struct Certificates(Mutex<HashMap<String, (Timestamp, Arc<Certificate>)>>);

impl Certificates {
    /// The address has been checked.
    pub(super) async fn get(
        &self,
        url: &str,
        fetch: &dyn Fetch,
        now: Timestamp,
    ) -> Result<Arc<Certificate>, FetchError> {
        let mut kept = self.0.lock().await;
        if let Some((fetched_at, certificate)) = kept.get(url)
            && now.duration_since(*fetched_at).abs() < KEEP
        {
            return Ok(certificate.clone());
        }
        let certificate = Arc::new(Certificate(fetch.get(url).await?));
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(url.to_owned(), (now, certificate.clone()));
        Ok(certificate)
    }
}

/// A certificate in PEM.
pub(super) struct Certificate(Vec<u8>);

/// Why a message is not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unproven {
    #[error("the certificate cannot be read")]
    Unreadable,
    #[error("the certificate is not for SNS")]
    WrongName,
    #[error("the certificate is not to be used: {0}")]
    Unusable(Error),
    #[error("the signature is not the certificate's")]
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
        if !certificate.valid_dns_names().any(|name| topic.is_signers_name(name)) {
            return Err(Unproven::WrongName);
        }
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.as_second().unsigned_abs()));
        // With no root to lead to, what is found wrong first is the certificate's own: its time, its use.
        match certificate.verify_for_usage(&[], &[], &[], now, KeyUsage::server_auth(), None, None) {
            Err(Error::UnknownIssuer) => {}
            Err(error) => return Err(Unproven::Unusable(error)),
            Ok(_) => return Err(Unproven::Unreadable),
        }
        certificate
            .verify_signature(RSA_PKCS1_2048_8192_SHA256, message, signature)
            .map_err(|_| Unproven::WrongSignature)
    }
}
