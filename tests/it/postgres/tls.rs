//! TLS to a real server: whom the bridge trusts with what it stores, and what it says of whom it
//! does not.

use std::{fs, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};

use super::{Database, Server};
use crate::{
    e2e::DOORS,
    generator::{self, Outcome},
    harness::{Bridge, run},
};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for `localhost`, and its key.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &self.0)
            .unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// A server with a certificate, in whose folder `ca.pem` is the one to trust and `other.pem` is
/// not.
async fn server(authority: Authority, (certificate, key): (String, String)) -> Arc<Server> {
    let (trusted, other) = (authority.0.pem(), Authority::new("somebody's").0.pem());
    let start = move || {
        let settings = "ssl = on\nssl_cert_file = '../server.pem'\nssl_key_file = '../server.key'";
        let files = [
            ("server.pem", &certificate),
            ("server.key", &key),
            ("ca.pem", &trusted),
            ("other.pem", &other),
        ];
        Server::start(
            settings,
            &files.map(|(name, content)| (name, content.as_str())),
        )
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}

async fn server_for_localhost() -> Arc<Server> {
    let authority = Authority::new("the database's");
    let issued = authority.issue();
    server(authority, issued).await
}

const FOREIGN: &str = "no trusted authority issued its certificate; name the issuing authority";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_trusted_as_far_as_sslmode_says() {
    let encrypted = Database::create_in(server_for_localhost().await).await;
    let plain = Database::create().await;
    // As `openssl req -x509` makes one.
    let authority = Authority::new("the database itself");
    let own = (authority.0.pem(), authority.0.key().serialize_pem());
    let self_signed = Database::create_in(server(authority, own).await).await;
    let file = |name: &str| encrypted.server().folder().join(name).display().to_string();
    let itself = self_signed
        .server()
        .folder()
        .join("ca.pem")
        .display()
        .to_string();
    let (right, wrong, none) = (file("ca.pem"), file("other.pem"), file("none.pem"));
    let folder = tempfile::tempdir().unwrap();
    let migrate = |database: &Database, host: &str, parameters: &str| {
        let url = format!("{}?{parameters}", database.url().replace("127.0.0.1", host));
        let config = format!(
            "store: {{ url: '{url}' }}\nroute: {{ receiver: out }}\nreceivers: [{{ name: out, \
             stdout_configs: [{{}}] }}]"
        );
        fs::write(folder.path().join("alertbridge.yaml"), config).unwrap();
        let output = run(folder.path(), &["store", "migrate"]);
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap()
                + std::str::from_utf8(&output.stderr).unwrap(),
        )
    };
    // Whom, by which name, how far, and what is said; nothing where all is well.
    let cases = [
        (&encrypted, "localhost", "sslmode=disable".to_owned(), ""),
        (&encrypted, "localhost", "sslmode=require".to_owned(), ""),
        (
            &encrypted,
            "127.0.0.1",
            format!("sslmode=verify-ca&sslrootcert={right}"),
            "",
        ),
        (
            &encrypted,
            "127.0.0.1",
            format!("sslmode=require&sslrootcert={right}"),
            "",
        ),
        (
            &encrypted,
            "localhost",
            format!("sslmode=verify-full&sslrootcert={right}"),
            "",
        ),
        (
            &encrypted,
            "127.0.0.1",
            format!("sslmode=verify-full&sslrootcert={right}"),
            "for another host: certificate not valid for name \"127.0.0.1\"",
        ),
        (
            &encrypted,
            "localhost",
            format!("sslmode=require&sslrootcert={wrong}"),
            FOREIGN,
        ),
        (
            &encrypted,
            "localhost",
            format!("sslmode=verify-ca&sslrootcert={wrong}"),
            FOREIGN,
        ),
        (
            &encrypted,
            "localhost",
            format!("sslmode=verify-full&sslrootcert={wrong}"),
            FOREIGN,
        ),
        (
            &encrypted,
            "localhost",
            "sslmode=verify-full".to_owned(),
            FOREIGN,
        ),
        (
            &encrypted,
            "localhost",
            format!("sslmode=verify-full&sslrootcert={none}"),
            "none.pem",
        ),
        (&self_signed, "localhost", "sslmode=require".to_owned(), ""),
        (
            &self_signed,
            "localhost",
            format!("sslmode=verify-ca&sslrootcert={itself}"),
            "an authority's own",
        ),
        (&plain, "localhost", "sslmode=prefer".to_owned(), ""),
        (
            &plain,
            "localhost",
            "sslmode=require".to_owned(),
            "server does not support TLS",
        ),
        (
            &plain,
            "localhost",
            format!("sslmode=verify-full&sslrootcert={right}"),
            "server does not support TLS",
        ),
    ];
    for (database, host, parameters, expected) in cases {
        let (status, said) = migrate(database, host, &parameters);
        assert!(
            !said.contains("pass%20word") && !said.contains("pass word"),
            "{said}"
        );
        assert_eq!(
            status,
            Some(i32::from(!expected.is_empty())),
            "{host} {parameters}: {said}"
        );
        assert!(said.contains(expected), "{host} {parameters}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_a_bridge_stores_goes_over_tls_where_it_is_required() {
    let database = Database::create_in(server_for_localhost().await).await;
    let folder = tempfile::tempdir().unwrap();
    let root = database.server().folder().join("ca.pem");
    let url = format!(
        "{}?sslmode=verify-full&sslrootcert={}",
        database.url().replace("127.0.0.1", "localhost"),
        root.display()
    );
    let config = format!(
        "{}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
route: {{ receiver: out }}
receivers: [{{ name: out, stdout_configs: [{{}}] }}]",
        DOORS.replace("sqlite:alertbridge.db", &url)
    );
    let bridge = Bridge::start(folder.path(), &config);
    let mail = generator::generate(1, 50)
        .into_iter()
        .find(|mail| mail.truth.outcome == Outcome::Opened)
        .unwrap();
    assert_eq!(bridge.post(&mail.eml).await.unwrap(), 202);
    bridge.settled(1).await;
    let connections =
        "SELECT count(*) FILTER (WHERE ssl) AS encrypted, count(*) FILTER (WHERE NOT \
                       ssl) AS plain
                       FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = \
                       'alertbridge'";
    let row = database
        .client()
        .await
        .query_one(connections, &[])
        .await
        .unwrap();
    let (encrypted, plain): (i64, i64) = (row.get("encrypted"), row.get("plain"));
    // One of them hears of what the others owe.
    assert!(encrypted >= 2, "{encrypted} encrypted connections");
    assert_eq!(plain, 0);
}
