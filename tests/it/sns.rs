//! Amazon SNS's own host: it serves the certificate it signs with, and takes confirmations. Its TLS is of the test's CA.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::body::{Body, Bytes};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, ClientBuilder};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const HOST: &str = "sns.us-east-1.amazonaws.com";

pub struct Sns {
    address: SocketAddr,
    ca: Certificate,
    shared: Arc<Shared>,
}

struct Shared {
    certificate: Vec<u8>,
    asked: Mutex<Vec<String>>,
    failing: AtomicBool,
}

impl Sns {
    /// Serves this certificate under the address that the fixtures name.
    pub async fn start(certificate: Vec<u8>) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![HOST.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let tls = tls.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { certificate, asked: Mutex::default(), failing: false.into() });
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), shared.clone()));
        Self { address, ca: Certificate::from_der(ca.der()).unwrap(), shared }
    }

    /// A client that finds this host under SNS's name, and trusts its CA.
    pub fn trusted(&self, client: ClientBuilder) -> ClientBuilder {
        client.no_proxy().resolve(HOST, self.address).tls_certs_only([self.ca.clone()])
    }

    /// Path and query of each request.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub fn fail(&self, failing: bool) {
        self.shared.failing.store(failing, Ordering::SeqCst);
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, shared) = (tls.clone(), shared.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(|request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(answer(&request, &shared)) }
            });
            // A client that leaves ends it too.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Body> {
    let asked = request.uri().to_string();
    shared.asked.lock().unwrap().push(asked.clone());
    let (status, body) = if shared.failing.load(Ordering::SeqCst) {
        (500, Bytes::new())
    } else if asked == "/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem" {
        (200, shared.certificate.clone().into())
    } else if asked.starts_with("/?Action=ConfirmSubscription&") {
        (200, Bytes::from_static(b"<ConfirmSubscriptionResponse/>"))
    } else {
        (404, Bytes::new())
    };
    Response::builder().status(status).body(Body::from(body)).unwrap()
}
