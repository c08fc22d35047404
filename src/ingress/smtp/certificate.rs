//! The server's certificate and its key, which are read from their files at the start, and again
//! whenever the files change.
//!
//! A change that cannot be used, such as half-written files, leaves the present certificate in use.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use jiff::{Timestamp, Unit};
use rustls::{
    InconsistentKeys, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{Error as PemError, PemObject as _},
    },
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_rustls::TlsAcceptor;

use crate::settings::Problem;

/// The days before its expiry within which a certificate is warned about: renewing by hand takes a
/// while.
const WARN_DAYS: i32 = 14;

/// The certificate of an SMTP listener, in PEM files. They are read again when they change.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The file of the server's certificate, followed by the intermediate certificates up to the
    /// root.
    pub cert_file: PathBuf,
    /// The file of the certificate's private key.
    pub key_file: PathBuf,
    /// Whether connections begin with TLS (`true`), or change to it by STARTTLS (`false`). The
    /// default is `true` on port 465, and `false` on any other.
    pub implicit: Option<bool>,
}

/// The certificate in use.
pub(super) struct Certificate {
    files: Tls,
    /// The path of the settings that name the files.
    key: String,
    current: Mutex<Current>,
}

struct Current {
    /// The state of the files when they were last examined, whether they could be used or not.
    stamps: [Option<Stamp>; 2],
    acceptor: TlsAcceptor,
}

/// The identity of a file's content, which differs once the file has changed or a link leads to
/// another.
type Stamp = (Option<SystemTime>, u64, u64);

impl Certificate {
    pub(super) fn new(files: &Tls, key: &str) -> Result<Self, Problem> {
        let stamps = stamps(files);
        let acceptor = acceptor(read(files, key)?);
        Ok(Self {
            files: files.clone(),
            key: key.to_owned(),
            current: Mutex::new(Current { stamps, acceptor }),
        })
    }

    /// Returns the acceptor for the next handshake, from the present files if they can be used.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(&self.files);

        if stamps != current.stamps {
            current.stamps = stamps;
            match read(&self.files, &self.key) {
                Ok(config) => {
                    tracing::info!(
                        certificate = %self.files.cert_file.display(),
                        "certificate reloaded"
                    );
                    current.acceptor = acceptor(config);
                }
                Err(Problem { key, what, mend }) => {
                    tracing::error!("{key}: {what}; {mend}. The previous certificate stays in use");
                }
            }
        }

        current.acceptor.clone()
    }
}

fn acceptor(config: ServerConfig) -> TlsAcceptor {
    TlsAcceptor::from(Arc::new(config))
}

fn stamps(files: &Tls) -> [Option<Stamp>; 2] {
    [&files.cert_file, &files.key_file].map(|path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok(), metadata.len(), metadata.ino()))
    })
}

/// Reads both files; `key` is the path of the settings that name them.
pub(super) fn read(files: &Tls, key: &str) -> Result<ServerConfig, Problem> {
    let chain = chain(&files.cert_file, &format!("{key}.cert_file"))?;
    let private = private_key(&files.key_file, &format!("{key}.key_file"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, private)
        });

    config.map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Problem::new(
            format!("{key}.key_file"),
            format!(
                "the key in {} does not belong to the first certificate in {}",
                files.key_file.display(),
                files.cert_file.display()
            ),
            "name the key that belongs to the certificate; the server's own certificate must come \
             first in its file",
        ),
        rustls::Error::InvalidCertificate(reason) => Problem::new(
            format!("{key}.cert_file"),
            format!(
                "the first certificate in {} cannot be used: {reason}",
                files.cert_file.display()
            ),
            "have it issued again",
        ),
        other => Problem::new(
            format!("{key}.key_file"),
            format!(
                "the key in {} cannot be used: {other}",
                files.key_file.display()
            ),
            "make an RSA key of 2048 bits or more, an ECDSA key on P-256 or P-384, or an Ed25519 \
             key",
        ),
    })
}

fn chain(path: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let pem = fs::read(path).map_err(|error| unreadable(path, key, &error))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();

    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(Problem::new(
            key,
            format!("there is no certificate in {}", path.display()),
            "put it there in PEM (`-----BEGIN CERTIFICATE-----`), the server's own first, then \
             those above it",
        )),
    }
}

/// Reads the private key. A problem never quotes the file.
fn private_key(path: &Path, key: &str) -> Result<PrivateKeyDer<'static>, Problem> {
    let pem = fs::read(path).map_err(|error| unreadable(path, key, &error))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        let encrypted = memchr::memmem::find(&pem, b"ENCRYPTED").is_some();
        let (what, mend) = match error {
            PemError::NoItemsFound | PemError::Base64Decode(_) if encrypted => (
                "is encrypted",
                "decrypt it: `openssl pkey -in encrypted.pem -out key.pem`",
            ),
            PemError::NoItemsFound => (
                "is missing",
                "put it there in PEM (`-----BEGIN PRIVATE KEY-----`)",
            ),
            _ => (
                "is damaged",
                "put it there again, in PEM (`-----BEGIN PRIVATE KEY-----`)",
            ),
        };
        Problem::new(
            key,
            format!("the private key in {} {what}", path.display()),
            mend,
        )
    })
}

fn unreadable(path: &Path, key: &str, error: &io::Error) -> Problem {
    Problem::new(
        key,
        format!("cannot read {}: {error}", path.display()),
        "put the file there, readable by the user alertbridge runs as",
    )
}

/// Returns the warning about the validity of the certificate, if there is one.
pub(super) fn warning(files: &Tls, key: &str, now: Timestamp) -> Option<Problem> {
    let key = format!("{key}.cert_file");
    let chain = chain(&files.cert_file, &key).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
    let validity = certificate.validity();
    let begins = Timestamp::from_second(validity.not_before.timestamp()).ok()?;
    let ends = Timestamp::from_second(validity.not_after.timestamp()).ok()?;
    let days = ends.since((Unit::Hour, now)).ok()?.get_hours() / 24;
    let path = files.cert_file.display();
    let what = if now < begins {
        format!("the certificate in {path} is not valid before {begins}")
    } else if now >= ends {
        format!("the certificate in {path} has expired, on {ends}")
    } else if days < WARN_DAYS {
        format!("the certificate in {path} expires on {ends}")
    } else {
        return None;
    };

    Some(Problem::new(
        key,
        what,
        "renew it; the files are read again when they change, without a restart",
    ))
}
