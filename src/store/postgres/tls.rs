//! TLS to the database, by rustls, and how far the server's certificate is trusted: libpq's
//! `sslmode`.

use std::{
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio_rustls::{TlsConnector, client};

use crate::store::StoreError;

/// The certificates that are accepted. The roots are those of the file, or the system's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// Any certificate: the connection is encrypted, but open to an attacker in between.
    Anybody,
    /// A certificate issued by the authority, for any name.
    Authority(Option<PathBuf>),
    /// A certificate issued for the host.
    Host(Option<PathBuf>),
}

/// Makes TLS connections to databases.
#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    pub(super) fn new(trust: &Trust) -> Result<Self, StoreError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let failed = |error: Error| StoreError::Failed(format!("TLS cannot be set up: {error}"));
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(failed)?;
        let schemes = provider.signature_verification_algorithms;
        let config = match trust {
            Trust::Anybody => config
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Lenient {
                    root: None,
                    schemes,
                })),
            Trust::Authority(file) => {
                let roots = Arc::new(roots(file.as_deref())?);
                let root = WebPkiServerVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(|error| {
                        StoreError::Failed(format!("TLS cannot be set up: {error}"))
                    })?;
                config
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(Lenient {
                        root: Some(root),
                        schemes,
                    }))
            }
            Trust::Host(file) => config.with_root_certificates(roots(file.as_deref())?),
        };

        Ok(Self(TlsConnector::from(Arc::new(
            config.with_no_client_auth(),
        ))))
    }
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, StoreError> {
    let mut store = RootCertStore::empty();
    if let Some(file) = file {
        let unusable =
            |why: String| StoreError::Failed(format!("sslrootcert {}: {why}", file.display()));
        let certificates =
            CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            store
                .add(certificate)
                .map_err(|error| unusable(error.to_string()))?;
        }
    } else {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }

    Ok(store)
}

/// Returns what is wrong with the server's certificate, and how to fix it; `None` if something else
/// is wrong.
pub(super) fn distrust(error: &tokio_postgres::Error) -> Option<String> {
    let cause = std::error::Error::source(error)?
        .downcast_ref::<io::Error>()?
        .get_ref()?
        .downcast_ref::<Error>()?;

    let Error::InvalidCertificate(wrong) = cause else {
        return None;
    };
    let (what, mend) = match wrong {
        CertificateError::UnknownIssuer => (
            "no trusted authority issued its certificate".to_owned(),
            "name the issuing authority's file in `sslrootcert`",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            format!("its certificate is for another host: {wrong}"),
            "write the host name that is in its certificate",
        ),
        CertificateError::Other(other)
            if other.0.downcast_ref::<webpki::Error>()
                == Some(&webpki::Error::CaUsedAsEndEntity) =>
        {
            (
                "its certificate is an authority's own".to_owned(),
                "have that authority issue one for the host, and name the authority's file in \
                 `sslrootcert`",
            )
        }
        _ => (
            format!("its certificate is not valid: {wrong}"),
            "renew it, and look at this machine's clock",
        ),
    };

    Some(format!("{what}; {mend}"))
}

/// A verifier that does not check the host name: it checks the authority alone, or nothing.
#[derive(Debug)]
struct Lenient {
    root: Option<Arc<WebPkiServerVerifier>>,
    schemes: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(root) = &self.root else {
            return Ok(ServerCertVerified::assertion());
        };
        match root.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.supported_schemes()
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Stream;
    type TlsConnect = Handshake;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Self::Error> {
        // A Unix socket has neither a host name nor TLS.
        let host = if host.is_empty() || host.starts_with('/') {
            "localhost"
        } else {
            host
        };

        Ok(Handshake {
            connector: self.0.clone(),
            host: ServerName::try_from(host.to_owned())?,
        })
    }
}

pub(super) struct Handshake {
    connector: TlsConnector,
    host: ServerName<'static>,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            self.connector
                .connect(self.host, socket)
                .await
                .map(Box::new)
                .map(Stream)
        })
    }
}

pub(super) struct Stream(Box<client::TlsStream<Socket>>);

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(context)
    }
}
