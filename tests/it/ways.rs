//! How pages travel: through a proxy, with a client's certificate, with headers of their own; and
//! what of it never shows.

use std::{fs, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, pki_types::pem::PemObject as _, server::WebPkiClientVerifier,
};
use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
        BufReader,
    },
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use crate::delivery::{delivery, post, said, start, trigger};

/// The head of a request, its body read and left.
pub async fn request<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(
            stream.read_line(&mut head).await.unwrap() > 0,
            "cut short: {head}"
        );
    }
    let length = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    stream
        .read_exact(&mut vec![0; length.unwrap_or(0)])
        .await
        .unwrap();
    head
}

pub async fn answer<S: AsyncWrite + Unpin>(stream: &mut S, status: u16, body: &str) {
    let said = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(said.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// A server that asks for a certificate of its own authority; gives its port and the requests it
/// gets.
async fn mutual(folder: &Path) -> (u16, mpsc::UnboundedReceiver<String>) {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    for name in ["localhost", "client"] {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        fs::write(folder.join(format!("{name}.pem")), leaf.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    let certificate =
        |name: &str| rustls::pki_types::CertificateDer::from_pem_file(folder.join(name)).unwrap();
    let key =
        rustls::pki_types::PrivateKeyDer::from_pem_file(folder.join("localhost.key")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let tls = tls
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate("localhost.pem")], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (acceptor, tell) = (acceptor.clone(), tell.clone());
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(tcp).await else {
                    return;
                };
                let mut stream = BufReader::new(tls);
                let _ = tell.send(request(&mut stream).await);
                answer(&mut stream, 204, "").await;
            });
        }
    });
    (port, told)
}

/// A proxy that joins whoever says CONNECT with whom they name, and echoes every other request with
/// 407 the first time.
async fn proxy() -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut refused = false;
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(tcp);
            let head = request(&mut stream).await;
            let _ = tell.send(head.clone());
            let Some(rest) = head.strip_prefix("CONNECT ") else {
                let status = if std::mem::replace(&mut refused, true) {
                    200
                } else {
                    407
                };
                answer(&mut stream, status, if status == 200 { "" } else { &head }).await;
                continue;
            };
            let mut there = TcpStream::connect(rest.split(' ').next().unwrap())
                .await
                .unwrap();
            stream
                .write_all(b"HTTP/1.1 200 Connected\r\n\r\n")
                .await
                .unwrap();
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut stream, &mut there).await },
            );
        }
    });
    (port, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_goes_through_the_proxy_to_a_server_that_asks_for_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (port, mut served) = mutual(folder.path()).await;
    let (proxy, mut passed) = proxy().await;
    fs::write(folder.path().join("password"), "p w0rd:{}").unwrap();
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: r }}\nreceivers:\n  - name: r\n    webhook_configs:\n      - url: \
             https://localhost:{port}/hook\n        proxy_url: \
             http://robot:hunter2@127.0.0.1:{proxy}\n        timeout: 5s\n        tls: {{ ca_file: \
             ca.pem, cert_file: client.pem, key_file: client.key }}\n        basic_auth: {{ \
             username: bridge, password_file: password }}\n        headers: {{ X-Incident: '{{{{ \
             incident_id }}}}' }}\n        secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n        \
             previous_secret: whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVg==\n"
        ),
    );
    post(&bridge, &trigger("a")).await;
    delivery(&bridge, "delivered", |row| row["state"] == "delivered").await;
    let connect = passed.recv().await.unwrap();
    assert!(
        connect.starts_with(&format!("CONNECT localhost:{port} ")),
        "{connect}"
    );
    assert!(connect.contains("Basic cm9ib3Q6aHVudGVyMg=="), "{connect}");
    let head = served.recv().await.unwrap().to_ascii_lowercase();
    assert!(
        head.contains("x-incident: a\r\n") && head.contains("authorization: basic "),
        "{head}"
    );
    let signatures = head
        .lines()
        .find_map(|line| line.strip_prefix("webhook-signature: "))
        .unwrap();
    assert_eq!(
        signatures
            .split(' ')
            .filter(|signature| signature.starts_with("v1,"))
            .count(),
        2,
        "{signatures}"
    );
    assert!(!bridge.log().contains("hunter2"), "{}", bridge.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_s_407_is_tried_again_and_its_echo_shows_no_credential() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, mut passed) = proxy().await;
    let bridge = start(
        folder.path(),
        &format!(
            "delivery: {{ timeout: 1s, backoff: {{ initial: 3s, max: 4s }} }}\nroute: {{ receiver: \
             r }}\nreceivers:\n  - name: r\n    webhook_configs: [{{ url: \
             'http://user1:hunter2@far.example/hook?key=qsecret', bearer: tok12345, proxy_url: \
             'http://robot:pr0xyword@127.0.0.1:{proxy}', headers: {{ X-Api-Key: hdrsecret }} }}]\n"
        )
        .replace("bearer: tok12345, ", ""),
    );
    post(&bridge, &trigger("a")).await;
    let waiting = delivery(&bridge, "refused once", |row| row["failures"] == 1).await;
    assert!(said(&waiting, "HTTP 407"), "{waiting}");
    let shown = format!("{waiting}{}", bridge.log());
    for secret in [
        "hunter2",
        "qsecret",
        "pr0xyword",
        "hdrsecret",
        "dXNlcjE6aHVudGVyMg",
        "cm9ib3Q6cHIweHl3b3Jk",
    ] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    delivery(&bridge, "delivered", |row| row["state"] == "delivered").await;
    assert!(
        passed
            .recv()
            .await
            .unwrap()
            .starts_with("POST http://far.example/hook?key=qsecret ")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_counters_of_every_receiver_stand_at_0_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = start(
        folder.path(),
        "route: { receiver: r }\nreceivers:\n  - name: r\n    webhook_configs: [{ url: \
         'http://127.0.0.1:9/x' }]\n",
    );
    let text = crate::harness::client()
        .get(format!("{}/metrics", bridge.admin))
        .send()
        .await
        .unwrap();
    let text = text.text().await.unwrap();
    for name in [
        "notifications_total",
        "notifications_failed_total",
        "attempts_total",
        "notifications_dead_total",
    ] {
        let is_zero = |line: &&str| {
            line.contains("receiver=\"r\"") && line.contains("\"webhook\"") && line.ends_with(" 0")
        };
        let series = text
            .lines()
            .filter(|line| line.starts_with(&format!("alertbridge_{name}{{")))
            .filter(is_zero);
        let expected = if name == "notifications_failed_total" {
            11
        } else {
            1
        };
        assert_eq!(series.count(), expected, "{name}: {text}");
    }
}
