//! The admin listener of the real program: to whom it answers, and what.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::harness::{Bridge, PATIENCE};

const ROUTES: [(&str, &str); 6] = [
    ("GET", "/"),
    ("GET", "/-/healthy"),
    ("GET", "/-/ready"),
    ("GET", "/metrics"),
    ("POST", "/-/reload"),
    ("GET", "/no/such/page"),
];

fn config(admin: &str) -> String {
    format!(
        "
store: {{ url: 'sqlite:alertbridge.db' }}
admin: {{ {admin} }}
ingress:
  http: {{ listen: '127.0.0.1:0' }}
  webhook: [{{ name: http }}]
  imap: [{{ name: mailbox, host: 127.0.0.1, port: 1, tls: none, username: u, password: p }}]
route: {{ receiver: stdout }}
receivers: [{{ name: stdout, stdout_configs: [{{}}] }}]
"
    )
}

fn start(folder: &std::path::Path, admin: &str) -> (Bridge, SocketAddr) {
    let bridge = Bridge::start(folder, &config(admin));
    let address = bridge
        .admin
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    (bridge, address)
}

/// The status and the body of an answer to a request as it is written.
fn ask(address: SocketAddr, method: &str, path: &str, headers: &[&str]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let headers: String = headers
        .iter()
        .map(|header| format!("{header}\r\n"))
        .collect();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_name_or_page_is_answered_by_no_route() {
    let folder = tempfile::tempdir().unwrap();
    let (_bridge, address) = start(
        folder.path(),
        "listen: '127.0.0.1:0', hosts: [alerts.example.com]",
    );
    let own = format!("host: {address}");
    for (method, path) in ROUTES {
        for foreign in [
            "host: evil.test",
            "host: evil.test:8026",
            "host: 192.0.2.1",
            "host: localhost.evil.test",
        ] {
            assert_eq!(
                ask(address, method, path, &[foreign]).0,
                421,
                "{method} {path} {foreign}"
            );
        }
        assert_eq!(
            ask(address, method, path, &[]).0,
            400,
            "{method} {path} without Host"
        );
        assert_eq!(
            ask(address, method, path, &[&own, "host: evil.test"]).0,
            400,
            "{method} {path} with two"
        );
        for page in ["http://evil.test", "null", "http://127.0.0.1:1"] {
            assert_eq!(
                ask(address, method, path, &[&own, &format!("origin: {page}")]).0,
                403,
                "{path} {page}"
            );
        }
        for named in [
            &*own,
            "host: localhost",
            "host: alerts.example.com",
            "host: 127.0.0.1",
        ] {
            let status = ask(address, method, path, &[named]).0;
            // Its mailbox is not there.
            assert!(
                matches!(status, 200 | 404) || (path, status) == ("/-/ready", 503),
                "{method} {path} {named}: {status}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_told_to_who_is_signed_in() {
    for (admin, signed_in) in [
        ("listen: '127.0.0.1:0'", &[][..]),
        (
            "listen: '127.0.0.1:0', token: s3cret",
            &["authorization: bearer s3cret"],
        ),
        (
            "listen: '0.0.0.0:0', token: s3cret",
            &["authorization: BEARER s3cret"],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (bridge, mut address) = start(folder.path(), admin);
        address.set_ip([127, 0, 0, 1].into());
        let host = format!("host: {address}");
        let ask = |path: &str, headers: &[&str]| {
            ask(address, "GET", path, &[&[&*host], headers].concat())
        };
        // Nobody listens there.
        let deadline = Instant::now() + PATIENCE;
        while ask("/-/ready", signed_in).0 == 200 {
            assert!(Instant::now() < deadline, "it is ready without its mailbox");
            std::thread::sleep(Duration::from_millis(20));
        }
        let (status, told) = ask("/-/ready", signed_in);
        assert!(
            status == 503 && told.starts_with("ingress mailbox: "),
            "{status} {told}"
        );
        if !signed_in.is_empty() {
            for wrong in [
                &[][..],
                &["authorization: bearer s3cre"],
                &["authorization: Basic s3cret"],
            ] {
                assert_eq!(
                    ask("/-/ready", wrong),
                    (503, "not ready\n".into()),
                    "{wrong:?}"
                );
                assert_eq!(ask("/metrics", wrong).0, 401, "{wrong:?}");
            }
        }
        assert_eq!(ask("/metrics", signed_in).0, 200);
        assert_eq!(ask("/-/healthy", &[]), (200, "ok\n".into()));
        drop(bridge);
    }
}
