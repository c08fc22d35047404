//! Amazon SNS's own host: it serves the certificate it signs with, and takes confirmations. Its TLS
//! is of the test's CA. It is its own proxy as well, so that a program that knows no more than its
//! environment comes here.

use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

use aws_lc_rs::{rand::SystemRandom, signature};
use axum::body::{Body, Bytes};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, ClientBuilder};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

const HOST: &str = "sns.us-east-1.amazonaws.com";
const CERTIFICATE: &str = "/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem";

pub struct Sns {
    address: SocketAddr,
    ca: Certificate,
    pem: String,
    shared: Arc<Shared>,
}

struct Shared {
    certificate: Vec<u8>,
    asked: Mutex<Vec<String>>,
    /// The status that answers every request; 0 for none.
    failing: AtomicU16,
}

impl Sns {
    /// Serves the recorded certificate under the address that the recordings name.
    pub async fn start() -> Self {
        let certificate = recorded("sns.pem");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![HOST.to_owned()])
            .unwrap()
            .signed_by(&key, &ca)
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let tls = tls
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            certificate,
            asked: Mutex::default(),
            failing: 0.into(),
        });
        tokio::spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(tls)),
            shared.clone(),
        ));
        Self {
            address,
            ca: Certificate::from_der(ca.der()).unwrap(),
            pem: ca.pem(),
            shared,
        }
    }

    /// The environment in which a program finds this host under SNS's name, and trusts the CA in
    /// this file.
    pub fn environment(&self, ca_file: &Path) -> [(&'static str, String); 2] {
        fs::write(ca_file, &self.pem).unwrap();
        [
            ("HTTPS_PROXY", format!("http://{}", self.address)),
            ("SSL_CERT_FILE", ca_file.display().to_string()),
        ]
    }

    /// A client that finds this host under SNS's name, and trusts its CA.
    pub fn trusted(&self, client: ClientBuilder) -> ClientBuilder {
        client
            .no_proxy()
            .resolve(HOST, self.address)
            .tls_certs_only([self.ca.clone()])
    }

    /// Path and query of each request.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Answers every request with a status from now on.
    pub fn fail(&self, status: u16) {
        self.shared.failing.store(status, Ordering::SeqCst);
    }

    /// Answers as it should again.
    pub fn recover(&self) {
        self.fail(0);
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, shared) = (tls.clone(), shared.clone());
        tokio::spawn(async move {
            let Some(stream) = tunnelled(stream).await else {
                return;
            };
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let service = service_fn(|request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(answer(&request, &shared)) }
            });
            // A client that leaves ends it too.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// The stream behind a CONNECT, or as it came.
async fn tunnelled(mut stream: TcpStream) -> Option<TcpStream> {
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 0 || first != *b"C" {
        return Some(stream);
    }
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        asked.push(stream.read_u8().await.ok()?);
    }
    if !asked.starts_with(format!("CONNECT {HOST}:443 ").as_bytes()) {
        return None;
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
    Some(stream)
}

/// A message of the topic, signed as SNS does; `when` is its id and its time.
pub fn envelope(
    kind: &str,
    topic: &str,
    when: (&str, &str),
    message: &str,
    subscribe_url: Option<&str>,
) -> Vec<u8> {
    let pem = String::from_utf8(recorded("sns.key.pem")).unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key = signature::RsaKeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap();
    let (id, time) = when;
    let signed = match subscribe_url {
        None => format!(
            "Message\n{message}\nMessageId\n{id}\nTimestamp\n{time}\nTopicArn\n{topic}\nType\n\
             {kind}\n"
        ),
        Some(url) => format!(
            "Message\n{message}\nMessageId\n{id}\nSubscribeURL\n{url}\nTimestamp\n{time}\nToken\n\
             2336412f\n\
             TopicArn\n{topic}\nType\n{kind}\n"
        ),
    };
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &signature::RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    let mut body = json!({
        "Type": kind, "MessageId": id, "TopicArn": topic, "Message": message, "Timestamp": time,
        "SignatureVersion": "2", "Signature": STANDARD.encode(signature),
        "SigningCertURL": format!("https://{HOST}{CERTIFICATE}"),
    });
    if let Some(url) = subscribe_url {
        body["Token"] = "2336412f".into();
        body["SubscribeURL"] = url.into();
    }
    body.to_string().into_bytes()
}

/// A file among the recordings.
fn recorded(name: &str) -> Vec<u8> {
    fs::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/providers")).join(name)).unwrap()
}

fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Body> {
    let asked = request.uri().to_string();
    shared.asked.lock().unwrap().push(asked.clone());
    let failing = shared.failing.load(Ordering::SeqCst);
    let (status, body) = if failing > 0 {
        (failing, Bytes::new())
    } else if asked == CERTIFICATE {
        (200, shared.certificate.clone().into())
    } else if asked.starts_with("/?Action=ConfirmSubscription&") {
        (200, Bytes::from_static(b"<ConfirmSubscriptionResponse/>"))
    } else {
        (404, Bytes::new())
    };
    Response::builder()
        .status(status)
        .body(Body::from(body))
        .unwrap()
}
