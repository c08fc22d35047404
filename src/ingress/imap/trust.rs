//! Decides which certificate is accepted: one that a trusted CA signed, one that `ca_file`
//! contains, or the one whose fingerprint is pinned.

use std::sync::Arc;

use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use tokio_rustls::TlsConnector;

use super::{Settings, Tls};
use crate::{delivery::sha256_hex, settings::Problem};

/// Returns the TLS configuration for connections; without TLS, no certificates are read.
pub(super) fn connector(
    key: &str,
    settings: &Settings,
    authorities: &[CertificateDer<'static>],
) -> Result<TlsConnector, Problem> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();

    if settings.tls != Tls::None {
        // A system certificate that cannot be read does not prevent the start: what it signed will
        // be refused.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for certificate in authorities {
            roots.add(certificate.clone()).map_err(|_| {
                Problem::new(
                    format!("{key}.ca_file"),
                    "it holds a certificate that cannot be used",
                    "name a file with the CA's certificate, or the server's own",
                )
            })?;
        }
    }

    let trust = Trust {
        // Without a single root, there is nothing to check against.
        web: WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .ok(),
        own: authorities.to_vec(),
        pinned: settings.tls_fingerprint.as_deref().map(plain_fingerprint),
        provider: Arc::clone(&provider),
    };

    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Problem::new(key, "TLS is not available", "report this as a bug"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust))
        .with_no_client_auth();

    Ok(TlsConnector::from(Arc::new(config)))
}

/// Returns a fingerprint as [`sha256_hex`] writes it.
fn plain_fingerprint(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_hexdigit)
        .collect::<String>()
        .to_ascii_lowercase()
}

/// Returns whether a text is the SHA-256 of a certificate in hex, with or without colons.
pub(super) fn is_fingerprint(text: &str) -> bool {
    let known = text
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b' ');
    known && plain_fingerprint(text).len() == 64
}

#[derive(Debug)]
struct Trust {
    web: Option<Arc<WebPkiServerVerifier>>,
    /// The certificates of `ca_file`: a server's own certificate among them is accepted for its
    /// name, whoever signed it.
    own: Vec<CertificateDer<'static>>,
    pinned: Option<String>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(pinned) = &self.pinned {
            let seen = sha256_hex(end_entity);
            return if seen == *pinned {
                Ok(ServerCertVerified::assertion())
            } else {
                Err(Error::General(format!(
                    "the server's certificate has the fingerprint {seen}, which is not that of \
                     `tls_fingerprint`: if the server has a new certificate, write its fingerprint"
                )))
            };
        }

        if self.own.iter().any(|own| own == end_entity) {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            return verify_server_name(&certificate, server_name)
                .map(|()| ServerCertVerified::assertion());
        }

        match &self.web {
            Some(web) => {
                web.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Returns why TLS failed, in words for operators: the library's texts are for programmers.
pub(super) fn reason(error: &Error) -> String {
    use CertificateError as Bad;
    match error {
        Error::General(said) => said.clone(),
        Error::InvalidCertificate(bad) => match bad {
            Bad::UnknownIssuer => {
                "the server's certificate is not signed by a trusted CA: name its CA's certificate \
                 in `ca_file`, or the server's own if it is self-signed"
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "the server's certificate is for another \
                 name: write the name it has in `host`, or pin it with `tls_fingerprint`"
            }
            Bad::Expired | Bad::ExpiredContext { .. } => {
                "the server's certificate has expired: \
                renew it on the server"
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet: check the clocks of both machines"
            }
            Bad::Revoked => "the server's certificate is revoked: renew it on the server",
            _ => {
                "the server's certificate cannot be verified: name it in `ca_file`, or pin it \
                  with `tls_fingerprint`"
            }
        }
        .into(),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => {
            "the server does not speak TLS here: check `port` and `tls`".into()
        }
        Error::PeerIncompatible(_) => "the server offers no secure TLS version or cipher".into(),
        Error::AlertReceived(
            AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity,
        ) => "the server accepts no secure TLS version or cipher".into(),
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            "the server knows no host of this name: check `host`".into()
        }
        Error::AlertReceived(_) => "the server refused the connection".into(),
        _ => "the handshake failed".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_taken_in_both_spellings() {
        let plain = "0aF1".repeat(16);
        let colons = plain
            .as_bytes()
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).unwrap())
            .collect::<Vec<_>>();
        let colons = colons.join(":");
        assert!(is_fingerprint(&plain) && is_fingerprint(&colons));
        assert_eq!(plain_fingerprint(&colons), plain.to_ascii_lowercase());
        for wrong in [
            "",
            "0a",
            &plain[1..],
            &format!("{plain}00"),
            &plain.replace('F', "g"),
        ] {
            assert!(!is_fingerprint(wrong), "{wrong}");
        }
    }

    #[test]
    fn no_reason_is_written_for_programmers() {
        for error in [
            Error::InvalidCertificate(CertificateError::BadEncoding),
            Error::InvalidCertificate(CertificateError::InvalidPurpose),
            Error::AlertReceived(AlertDescription::HandshakeFailure),
            Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
            Error::HandshakeNotComplete,
        ] {
            let said = reason(&error);
            assert!(
                !said.contains('(') && !said.contains("::") && said.contains(' '),
                "{said}"
            );
        }
    }
}
