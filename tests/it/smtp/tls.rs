//! STARTTLS and TLS from the first byte, with certificates made here.

use std::{fs, path::PathBuf};

use alertbridge::{config::Config, ingress::smtp::Tls};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tempfile::TempDir;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;

/// A folder with a certificate, and who trusts it.
struct Certified {
    folder: TempDir,
    certificate: rcgen::CertifiedKey<rcgen::KeyPair>,
}

impl Certified {
    fn new() -> Self {
        let certified = Self {
            folder: tempfile::tempdir().unwrap(),
            certificate: issue(),
        };
        certified.write();
        certified
    }

    /// Puts another certificate in the place of the first.
    fn renew(&mut self) {
        self.certificate = issue();
        self.write();
    }

    fn write(&self) {
        fs::write(self.path("cert.pem"), self.certificate.cert.pem()).unwrap();
        fs::write(
            self.path("key.pem"),
            self.certificate.signing_key.serialize_pem(),
        )
        .unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self, implicit: bool) -> Settings {
        let tls = Tls {
            cert_file: self.path("cert.pem"),
            key_file: self.path("key.pem"),
            implicit: implicit.then_some(true),
        };
        Settings {
            tls: Some(tls),
            ..settings(&["alerts@example.com"])
        }
    }

    /// Trusts the certificate as it was last written, and no other.
    async fn encrypt(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
        let name = ServerName::try_from("mx.example.com").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }
}

fn issue() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(["mx.example.com".to_owned()]).unwrap()
}

fn serve(settings: &Settings, inbox: &Arc<RecordingInbox>) -> (Running, std::net::SocketAddr) {
    let smtp = Smtp::bind("ingress.smtp[0]", settings, Clock::system())
        .unwrap()
        .with_limits(limits());
    let address = smtp.local_addr();
    (Running::start(smtp, inbox), address)
}

async fn says<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    line: &str,
    replies: &[&str],
) {
    stream.write_all(line.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    for start in replies {
        let mut reply = String::new();
        timeout(PATIENCE, stream.read_line(&mut reply))
            .await
            .expect("a reply in time")
            .unwrap();
        assert!(
            reply.starts_with(start),
            "expected `{start}…`, got `{reply:?}`"
        );
    }
}

const PLAIN: [&str; 8] = [
    "250-mx",
    "250-PIPELINING",
    "250-SIZE",
    "250-8BITMIME",
    "250-STARTTLS",
    "250-CHUNKING",
    "250-SMTPUTF8",
    "250 ",
];
const ENCRYPTED: [&str; 7] = [
    "250-mx",
    "250-PIPELINING",
    "250-SIZE",
    "250-8BITMIME",
    "250-CHUNKING",
    "250-SMTPUTF8",
    "250 ",
];
const MAIL: &str = "MAIL FROM:<a@b.test>\r\nRCPT TO:<alerts@example.com>\r\nDATA\r\n";

#[tokio::test]
async fn after_starttls_the_conversation_begins_anew_and_what_was_put_before_it_is_forgotten() {
    let (inbox, certified) = (RecordingInbox::new(), Certified::new());
    let (running, address) = serve(&certified.settings(false), &inbox);
    let mut plain = BufReader::new(TcpStream::connect(address).await.unwrap());
    says(&mut plain, "", &["220 "]).await;
    says(&mut plain, "EHLO c\r\n", &PLAIN).await;
    says(&mut plain, "STARTTLS now\r\n", &["501 5.5.4"]).await;
    says(&mut plain, "MAIL FROM:<plain@b.test>\r\n", &["250"]).await;
    // What somebody in between puts behind STARTTLS, in the hope that it is read as if it had come
    // encrypted.
    let injected = format!("STARTTLS\r\nEHLO evil\r\n{MAIL}evil\r\n.\r\n");
    says(&mut plain, &injected, &["220 2.0.0"]).await;
    let mut client = BufReader::new(certified.encrypt(plain.into_inner()).await.unwrap());
    says(
        &mut client,
        "MAIL FROM:<a@b.test>\r\n",
        &["503 5.5.1 EHLO first"],
    )
    .await;
    says(&mut client, "EHLO c\r\n", &ENCRYPTED).await;
    says(&mut client, "STARTTLS\r\n", &["502 5.5.1"]).await;
    says(&mut client, MAIL, &["250", "250", "354"]).await;
    says(
        &mut client,
        "genuine\r\n.\r\nQUIT\r\n",
        &["250 2.0.0 Stored", "221"],
    )
    .await;
    running.stop().await;
    assert_eq!(inbox.raw(), [b"genuine\r\n"]);
    assert_eq!(
        inbox.stored()[0].envelope.as_ref().unwrap().mail_from,
        "a@b.test"
    );
}

#[tokio::test]
async fn implicit_tls_greets_after_the_handshake() {
    let (inbox, certified) = (RecordingInbox::new(), Certified::new());
    let (running, address) = serve(&certified.settings(true), &inbox);
    let stream = TcpStream::connect(address).await.unwrap();
    let mut client = BufReader::new(certified.encrypt(stream).await.unwrap());
    says(&mut client, "", &["220 "]).await;
    says(&mut client, "EHLO c\r\n", &ENCRYPTED).await;
    says(&mut client, MAIL, &["250", "250", "354"]).await;
    let mail = format!("{}\r\n", "x".repeat(300_000));
    says(&mut client, &format!("{mail}.\r\n"), &["250 2.0.0 Stored"]).await;
    // A client that speaks no TLS hears nothing it could take for SMTP.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"EHLO c\r\n").await.unwrap();
    let mut heard = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut heard))
        .await
        .expect("an end in time");
    assert!(!heard.starts_with(b"2"), "{}", heard.escape_ascii());
    drop(client);
    running.stop().await;
    assert_eq!(inbox.raw(), [mail.into_bytes()]);
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_ended() {
    let (inbox, certified) = (RecordingInbox::new(), Certified::new());
    let smtp = Smtp::bind(
        "ingress.smtp[0]",
        &certified.settings(true),
        Clock::system(),
    )
    .unwrap();
    let smtp = smtp.with_limits(Limits {
        handshake: Duration::from_millis(50),
        ..limits()
    });
    let mut client = Client(BufReader::new(
        TcpStream::connect(smtp.local_addr()).await.unwrap(),
    ));
    let running = Running::start(smtp, &inbox);
    client.is_closed().await;
    running.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let mut certified = Certified::new();
    let (running, address) = serve(&certified.settings(true), &RecordingInbox::new());
    let connect = async |certified: &Certified| {
        let stream = TcpStream::connect(address).await.unwrap();
        certified.encrypt(stream).await
    };
    connect(&certified).await.unwrap();
    certified.renew();
    connect(&certified).await.expect("the new certificate");
    // As between the writing of the one file and of the other.
    fs::write(
        certified.path("key.pem"),
        issue().signing_key.serialize_pem(),
    )
    .unwrap();
    connect(&certified)
        .await
        .expect("still the certificate before");
    fs::remove_file(certified.path("cert.pem")).unwrap();
    connect(&certified)
        .await
        .expect("still the certificate before");
    certified.renew();
    connect(&certified).await.expect("the newest certificate");
    running.stop().await;
}

#[test]
fn what_is_wrong_with_a_certificate_is_told_with_its_file_and_mend() {
    let certified = Certified::new();
    let good = certified.settings(false);
    assert_eq!(good.check_files("k"), None);
    let other = Certified::new();
    let encrypted = certified.path("encrypted.pem");
    let made = Command::new("openssl")
        .args(["pkcs8", "-topk8", "-passout", "pass:x", "-in"])
        .arg(certified.path("key.pem"))
        .arg("-out")
        .arg(&encrypted)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let paths = |cert_file: PathBuf, key_file: PathBuf| Settings {
        tls: Some(Tls {
            cert_file,
            key_file,
            implicit: None,
        }),
        ..settings(&[])
    };
    let (cert, key) = (certified.path("cert.pem"), certified.path("key.pem"));
    for (settings, place, what) in [
        (
            paths(certified.path("none.pem"), key.clone()),
            "cert_file",
            "none.pem: No such file",
        ),
        (
            paths(cert.clone(), certified.path("none.pem")),
            "key_file",
            "none.pem: No such file",
        ),
        (
            paths(key.clone(), key.clone()),
            "cert_file",
            "there is no certificate in",
        ),
        (paths(cert.clone(), cert.clone()), "key_file", "is missing"),
        (paths(cert.clone(), encrypted), "key_file", "is encrypted"),
        (
            paths(cert.clone(), other.path("key.pem")),
            "key_file",
            "does not belong to",
        ),
    ] {
        let problem = settings.check_files("k").unwrap();
        assert_eq!(problem.key, format!("k.tls.{place}"), "{problem:?}");
        assert!(problem.what.contains(what), "{problem:?}");
        assert!(!problem.mend.is_empty(), "{problem:?}");
    }
}

#[test]
fn a_certificate_that_ends_soon_is_told_before_it_does() {
    let certified = Certified::new();
    let day = |days: i16| rcgen::date_time_ymd(2026, 6, u8::try_from(days).unwrap());
    let mut parameters = rcgen::CertificateParams::new(["mx.example.com".to_owned()]).unwrap();
    (parameters.not_before, parameters.not_after) = (day(1), day(30));
    let certificate = parameters
        .self_signed(&certified.certificate.signing_key)
        .unwrap();
    fs::write(certified.path("cert.pem"), certificate.pem()).unwrap();
    let settings = certified.settings(false);
    let told = |now: &str| {
        settings
            .warnings("k", now.parse().unwrap())
            .map(|problem| problem.what)
    };
    assert_eq!(told("2026-06-10T00:00:00Z"), None);
    assert!(
        told("2026-06-16T01:00:00Z")
            .unwrap()
            .ends_with("expires on 2026-06-30T00:00:00Z")
    );
    assert!(
        told("2026-06-30T00:00:00Z")
            .unwrap()
            .ends_with("has expired, on 2026-06-30T00:00:00Z")
    );
    assert!(
        told("2026-05-31T00:00:00Z")
            .unwrap()
            .ends_with("is not valid before 2026-06-01T00:00:00Z")
    );
}

#[test]
fn port_465_begins_with_tls_unless_told_otherwise() {
    let certified = Certified::new();
    let with = |listen: &str, implicit| {
        let mut settings = Settings {
            listen: listen.into(),
            ..certified.settings(false)
        };
        settings.tls.as_mut().unwrap().implicit = implicit;
        settings.implicit_tls()
    };
    assert!(with("0.0.0.0:465", None) && with("0.0.0.0:25", Some(true)));
    assert!(
        !with("0.0.0.0:25", None)
            && !with("0.0.0.0:465", Some(false))
            && !with("0.0.0.0:1465", None)
    );
}

#[test]
fn check_reads_the_certificate() {
    let certified = Certified::new();
    fs::write(certified.path("key.pem"), "x").unwrap();
    let path = certified.path("alertbridge.yaml");
    let text = "ingress: { smtp: [{ name: mx, tls: { cert_file: cert.pem, key_file: key.pem } }] \
                }\n\
                route: { receiver: a }\nreceivers: [{ name: a, stdout_configs: [{}] }]\n";
    fs::write(&path, text).unwrap();
    let load = || Config::load(Some(&path), alertbridge::config::Files::Needed);
    let told = load().err().expect("a problem").to_string();
    assert!(
        told.contains("ingress.smtp[0].tls.key_file: the private key in")
            && told.contains("mend: "),
        "{told}"
    );
    assert_eq!(told.matches("mend: ").count(), 1, "{told}");
    certified.write();
    assert!(load().is_ok());
}

// Real clients.

#[tokio::test]
async fn swaks_delivers_encrypted() {
    let (inbox, certified) = (RecordingInbox::new(), Certified::new());
    for (implicit, option) in [(false, "-tls"), (true, "-tlsc")] {
        let (running, address) = serve(&certified.settings(implicit), &inbox);
        let server = address.to_string();
        let output = run(
            "swaks",
            [
                "--server",
                &server,
                option,
                "--from",
                "a@b.test",
                "--to",
                "alerts@example.com",
                "--body",
                "x",
            ],
        );
        let output = output.await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(said.contains("TLS started with cipher TLSv1.3"), "{said}");
        running.stop().await;
    }
    assert_eq!(inbox.stored().len(), 2);
}

#[tokio::test]
async fn openssl_verifies_the_certificate() {
    let certified = Certified::new();
    let (running, address) = serve(&certified.settings(false), &RecordingInbox::new());
    let (server, ca) = (
        address.to_string(),
        certified.path("cert.pem").display().to_string(),
    );
    for version in ["-tls1_2", "-tls1_3"] {
        let output = run(
            "openssl",
            [
                "s_client",
                "-starttls",
                "smtp",
                "-connect",
                &server,
                "-CAfile",
                &ca,
                "-verify_hostname",
                "mx.example.com",
                "-verify_return_error",
                "-brief",
                version,
            ],
        );
        let output = output.await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains("Verification: OK"),
            "{said}"
        );
    }
    let output = run(
        "openssl",
        [
            "s_client",
            "-starttls",
            "smtp",
            "-connect",
            &server,
            "-tls1_1",
        ],
    )
    .await;
    assert!(
        !output.status.success(),
        "what is older than TLS 1.2 is not spoken"
    );
    running.stop().await;
}

#[tokio::test]
async fn pythons_smtplib_speaks_tls_and_utf_8() {
    let (inbox, certified) = (RecordingInbox::new(), Certified::new());
    let listed = Settings {
        recipients: vec!["störung@bücher.example".into()],
        ..certified.settings(false)
    };
    let (running, address) = serve(&listed, &inbox);
    let (port, ca) = (
        address.port().to_string(),
        certified.path("cert.pem").display().to_string(),
    );
    let script = "
import smtplib, ssl, sys
from email.message import EmailMessage
context = ssl.create_default_context(cafile=sys.argv[2])
context.check_hostname = False
with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as smtp:
    smtp.ehlo()
    assert smtp.has_extn('starttls')
    smtp.starttls(context=context)
    smtp.ehlo()
    assert not smtp.has_extn('starttls') and smtp.has_extn('smtputf8') and smtp.has_extn('chunking')
    mail = EmailMessage()
    mail['From'], mail['To'], mail['Subject'] = 'jürgen@b.test', 'störung@bücher.example', \
    'Störung'
    mail.set_content('Straße')
    smtp.send_message(mail)
    assert smtp.mail('a@b.test') [0] == 250 and \
    smtp.rcpt('x@bücher.example'.encode().decode('latin-1'))[0] >= 500
    smtp.rset()
    smtp.sock.sendall(b'MAIL FROM:<> SMTPUTF8\\r\\nRCPT \
    TO:<st\\xc3\\xb6rung@b\\xc3\\xbccher.example>\\r\\nBDAT 6 LAST\\r\\nhi!!\\r\\n')
    assert [smtp.getreply()[0] for _ in range(3)] == [250, 250, 250]
";
    let output = run("python3", ["-c", script, &port, &ca]).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    running.stop().await;
    let [first, second] = inbox.stored().try_into().expect("two mails");
    let envelope = first.envelope.unwrap();
    assert_eq!(
        (envelope.mail_from.as_str(), &envelope.rcpt_to[..]),
        ("jürgen@b.test", &["störung@bücher.example".into()][..])
    );
    assert!(String::from_utf8_lossy(&first.raw).contains("Subject: Störung\r\n"));
    assert_eq!(&second.raw[..], b"hi!!\r\n");
}
