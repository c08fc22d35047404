//! `alertbridge doctor` against real servers: a sound deployment, and the same with one thing
//! wrong.

use std::{
    fs::{self, Permissions},
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    ops::Deref,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use alertbridge::ingress::imap::Tls;
use futures_util::future::join_all;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    authenticity::dnsmasq::Dnsmasq,
    dovecot::{Dovecot, PASSWORD},
    harness::{Bridge, PATIENCE, PROGRAM},
    port::free_port,
    vendors::{Fake, Opsgenie, SlackBot},
};

/// What a deployment leads to: every server is real, or a vendor's fake.
struct Servers {
    dovecot: Dovecot,
    genie: Fake<Opsgenie>,
    slack: Fake<SlackBot>,
    dns: Dnsmasq,
}

/// A deployment in a folder of its own.
struct Ward {
    folder: TempDir,
    servers: Arc<Servers>,
}

impl Servers {
    async fn start() -> Arc<Self> {
        let record = "k1._domainkey.am.atlassian.com";
        let servers = Self {
            dovecot: Dovecot::start(),
            genie: Opsgenie::start().await,
            slack: SlackBot::start().await,
            dns: Dnsmasq::start(&[(record, "v=DKIM1; p=")]),
        };
        servers.dovecot.deliver(b"Subject: x\r\n\r\nx\r\n");
        Arc::new(servers)
    }

    fn assert_nobody_told(&self) {
        assert!(self.genie.pages().is_empty() && self.slack.pages().is_empty());
    }
}

impl Deref for Ward {
    type Target = Servers;

    fn deref(&self) -> &Servers {
        &self.servers
    }
}

impl Ward {
    async fn start() -> Self {
        Self::at(&Servers::start().await)
    }

    fn at(servers: &Arc<Servers>) -> Self {
        let ward = Self {
            folder: tempfile::tempdir().unwrap(),
            servers: Arc::clone(servers),
        };
        for (name, secret) in [
            ("genie", ward.genie.key()),
            ("slack", ward.slack.key()),
            ("password", PASSWORD),
        ] {
            ward.secret(name, secret);
        }
        ward
    }

    fn secret(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    fn config(&self) -> String {
        let mailbox = self.dovecot.settings(Tls::Implicit);
        format!(
            r#"
store: {{ url: "sqlite:state.db" }}
admin: {{ listen: "127.0.0.1:{admin}" }}
ingress:
  imap:
  - name: mailbox
    host: localhost
    port: {port}
    ca_file: {ca}
    username: alerts
    password_file: password
    folder: INBOX
alerts: {{ app_keys: [com.example.app], authenticity: {{ dns: ["{dns}"] }} }}
route: {{ receiver: oncall }}
receivers:
- name: oncall
  opsgenie_configs: [{{ api_key_file: genie, api_url: "{genie}" }}]
  slack_configs: [{{ bot_token_file: slack, channel: alerts, bot_api_url: "{slack}" }}]
  webhook_configs: [{{ url: "{slack}/hook" }}]
"#,
            admin = free_port(),
            port = mailbox.port.unwrap(),
            ca = mailbox.ca_file.unwrap().display(),
            dns = self.dns.address,
            genie = self.genie.url(),
            slack = self.slack.url(),
        )
    }

    /// Off the runtime's threads, which the fakes need.
    async fn examine(&self, config: &str) -> (Option<i32>, Value) {
        self.examine_with(config, &[]).await
    }

    async fn examine_with(
        &self,
        config: &str,
        environment: &[(&str, &str)],
    ) -> (Option<i32>, Value) {
        fs::write(self.folder.path().join("alertbridge.yaml"), config).unwrap();
        let mut command = doctor(self.folder.path());
        command.envs(environment.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        read(&output.await.unwrap())
    }
}

fn doctor(folder: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(["doctor", "--json"])
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

fn read(output: &Output) -> (Option<i32>, Value) {
    let said = String::from_utf8_lossy(&output.stderr);
    let json =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.code(), json)
}

/// The checks of a list in a state, in words.
fn told(json: &Value, state: &str) -> Vec<String> {
    let list = if state == "ok" { "passed" } else { "findings" };
    let findings = json[list].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["state"] == state)
        .map(|finding| {
            format!(
                "{}: {}",
                finding["check"].as_str().unwrap(),
                finding["what"].as_str().unwrap()
            )
        })
        .collect()
}

#[tokio::test]
async fn a_sound_deployment_passes_and_nothing_in_it_changes() {
    let ward = Ward::start().await;
    let mails = ward.dovecot.files("INBOX");
    let (status, json) = ward.examine(&ward.config()).await;

    assert_eq!(told(&json, "wrong"), [""; 0], "{json:#}");
    assert_eq!((status, &json["ok"]), (Some(0), &Value::Bool(true)));
    let passed = told(&json, "ok").join("\n");
    for check in [
        "configuration: it is right",
        "dns: a name server answers for am.atlassian.com",
        "mailbox: alerts is logged in at localhost and opened INBOX, which holds 1 mail",
        "receiver: 127.0.0.1 accepts the credential",
        "receiver: 127.0.0.1 answers",
        "store: state.db does not exist yet, and `serve` can create it",
        "disk: ",
        "clock: it agrees with that of 127.0.0.1",
    ] {
        assert!(passed.contains(check), "{check} is not in:\n{passed}");
    }

    let warnings = told(&json, "warning").join("\n");
    assert!(
        warnings.contains("opsgenie: Opsgenie ends on 2027-04-05"),
        "{warnings}"
    );
    for finding in json["findings"].as_array().unwrap() {
        assert!(!finding["mend"].as_str().unwrap().is_empty(), "{finding:#}");
    }

    assert_eq!(ward.dovecot.files("INBOX"), mails, "a flag was set");
    assert!(!ward.folder.path().join("state.db").exists());
    ward.assert_nobody_told();
}

/// How a sound deployment is spoilt: its configuration, and the files beside it.
type Spoil = fn(&Ward, String) -> String;

/// What is wrong, how it came to be, and how the finding begins.
const SPOILT: [(&str, Spoil, &str); 18] = [
    (
        "a key that nobody knows",
        |_, config| config + "recievers: []\n",
        "configuration: recievers",
    ),
    (
        "a secret that is not there",
        |ward, config| {
            fs::remove_file(ward.folder.path().join("slack")).unwrap();
            config
        },
        "configuration: receivers[0].slack_configs[0].bot_token_file",
    ),
    (
        "a secret that everybody may read",
        |ward, config| {
            let path = ward.folder.path().join("genie");
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
            config
        },
        "permissions: others can read or change the secret",
    ),
    (
        "a mailbox's host without an address",
        |_, config| config.replace("host: localhost", "host: nowhere.invalid"),
        "dns: cannot reach nowhere.invalid",
    ),
    (
        "a mailbox's port where nobody listens",
        |ward, config| {
            let port = ward.dovecot.settings(Tls::Implicit).port.unwrap();
            config.replace(&format!("port: {port}"), &format!("port: {}", free_port()))
        },
        "mailbox: cannot reach localhost",
    ),
    (
        "a mailbox's certificate by nobody known",
        |_, config| {
            let kept = |line: &&str| !line.contains("ca_file");
            config.lines().filter(kept).collect::<Vec<_>>().join("\n")
        },
        "tls: no secure connection to localhost",
    ),
    (
        "a wrong password",
        |ward, config| {
            ward.secret("password", "wrong");
            config
        },
        "mailbox: the server refused the login of alerts",
    ),
    (
        "a folder that is not there",
        |_, config| config.replace("folder: INBOX", "folder: Alerts"),
        "mailbox: the folder `Alerts` cannot be opened",
    ),
    (
        "a canary's mail server that is gone",
        |_, config| {
            let port = free_port();
            format!(
                "{config}canary: {{ send_via: {{ smtp: 127.0.0.1, port: {port}, tls: none, \
                 from: a@example.com, to: a@example.com }} }}\n"
            )
        },
        "canary: 127.0.0.1: ",
    ),
    (
        "a name server that is gone",
        |ward, config| {
            let port = free_port();
            config.replace(&ward.dns.address, &format!("127.0.0.1:{port}"))
        },
        "dns: no name server answers for am.atlassian.com",
    ),
    (
        "a key that the vendor does not know",
        |ward, config| {
            ward.secret("genie", "0b5c7a1e-0000-4000-8000-000000000000");
            config
        },
        "receiver: 127.0.0.1 does not accept pages: HTTP 401",
    ),
    (
        "a bot that was removed",
        |ward, config| {
            ward.secret("slack", "xoxb-1-1-qJ8k2mXw0pZr4tVy6uB9sLdN");
            config
        },
        "receiver: 127.0.0.1 does not accept pages: HTTP 200",
    ),
    (
        "a receiver's port where nobody listens",
        |ward, config| {
            let gone = format!("http://127.0.0.1:{}", free_port());
            config.replace(&ward.genie.url(), &gone)
        },
        "receiver: 127.0.0.1 cannot be reached",
    ),
    (
        "a store of a newer version",
        |ward, config| {
            store(ward, &config);
            let path = ward.folder.path().join("state.db");
            let connection = rusqlite::Connection::open(path).unwrap();
            let newer = "UPDATE refinery_schema_history SET version = version + 1000 \
                         WHERE version = (SELECT max(version) FROM refinery_schema_history)";
            assert_eq!(connection.execute(newer, []).unwrap(), 1);
            config
        },
        "store: state.db has schema version",
    ),
    (
        "a store that everybody may read",
        |ward, config| {
            store(ward, &config);
            let path = ward.folder.path().join("state.db");
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
            config
        },
        "permissions: any user of this machine can read state.db",
    ),
    (
        "a folder that is not there for the store",
        |_, config| config.replace("sqlite:state.db", "sqlite:gone/state.db"),
        "store: gone/state.db: there is no folder gone",
    ),
    (
        "mail that nothing proves, from a mailbox that strangers write to",
        |_, config| {
            config
                .replace("dns: [", "require: [], dns: [")
                .replace("host: localhost", "host: 127.0.0.2")
        },
        "exposure: nothing checks that mail comes from its sender",
    ),
    (
        "another program where the admin listener is to be",
        |_, config| {
            // Never accepts: it keeps the port until the program ends.
            let taken = Box::leak(Box::new(TcpListener::bind("127.0.0.1:0").unwrap()));
            let at = taken.local_addr().unwrap();
            let (before, after) = config.split_once("admin: { listen: \"").unwrap();
            let (_, after) = after.split_once('"').unwrap();
            format!("{before}admin: {{ listen: \"{at}\"{after}")
        },
        "listen: nothing can listen on",
    ),
];

/// Makes the store of this version.
fn store(ward: &Ward, config: &str) {
    fs::write(ward.folder.path().join("alertbridge.yaml"), config).unwrap();
    let made = Command::new(PROGRAM)
        .args(["store", "migrate"])
        .current_dir(ward.folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_mend_and_all_else_is_tried_still() {
    let servers = Servers::start().await;
    let tried = SPOILT.map(async |(name, spoil, expected)| {
        let ward = Ward::at(&servers);
        let (status, json) = ward.examine(&spoil(&ward, ward.config())).await;
        let wrong = told(&json, "wrong");
        assert!(
            wrong.iter().any(|what| what.starts_with(expected)),
            "{name}: {expected} is not in {wrong:#?}"
        );
        assert_eq!(
            (status, &json["ok"]),
            (Some(1), &Value::Bool(false)),
            "{name}"
        );

        for finding in json["findings"].as_array().unwrap() {
            let mend = finding["mend"].as_str().unwrap_or_default();
            assert!(!mend.is_empty(), "{name}: {finding:#}");
        }

        let is_unreadable = expected.starts_with("configuration: recievers");
        let tried = told(&json, "ok");
        let goes_on = tried.iter().any(|what| what.starts_with("exposure"));
        assert!(
            goes_on || is_unreadable || expected.starts_with("exposure"),
            "{name}: {json:#}"
        );
    });

    join_all(tried).await;
    servers.assert_nobody_told();
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_by_the_servers_own() {
    let ward = Ward::start().await;
    let file = ward.folder.path().join("clock");
    for (ahead, state) in [("30", "warning"), ("-3600", "wrong")] {
        fs::write(&file, ahead).unwrap();
        let environment = [("ALERTBRIDGE_CLOCK", file.to_str().unwrap())];
        let (_, json) = ward.examine_with(&ward.config(), &environment).await;
        let told = told(&json, state);
        assert!(
            told.iter()
                .any(|what| what.starts_with("clock: this machine's clock is ")),
            "{told:#?}"
        );
    }
}

/// Refuses every request in its own words.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // One that only looks whether somebody listens says nothing.
            std::thread::spawn(move || echoed(stream.unwrap()));
        }
    });
    url
}

fn echoed(mut stream: TcpStream) -> io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    // What is not read when the connection closes takes the answer with it.
    let text = String::from_utf8_lossy(&head).to_lowercase();
    let mut lines = text.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body)?;

    let said = serde_json::json!({ "message": String::from_utf8_lossy(&head) }).to_string();
    let length = said.len();
    let head = format!("HTTP/1.1 401 No\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + &said).as_bytes())
}

#[tokio::test]
async fn a_key_that_a_vendor_echoes_is_not_shown() {
    let ward = Ward::start().await;
    let url = echo();
    let config = ward
        .config()
        .replace(&format!("\"{}", ward.genie.url()), &format!("\"{url}"))
        .replace(&format!("\"{}", ward.slack.url()), &format!("\"{url}"));
    let both = "  alertmanager_configs: [{ url: ECHO, basic_auth: { username: ana, \
                password: Xq7dkPm2wa } }]\n  webhook_configs:";
    let config = config.replace("  webhook_configs:", &both.replace("ECHO", &url));
    let (status, json) = ward.examine(&config).await;
    assert_eq!(status, Some(1), "{json:#}");
    let wrong = told(&json, "wrong").join("\n");
    assert_eq!(wrong.matches("HTTP 401").count(), 3, "{wrong}");
    assert!(wrong.contains("<secret>"), "{wrong}");
    // `ana:Xq7dkPm2wa` in Base64.
    for secret in [
        ward.genie.key(),
        ward.slack.key(),
        "Xq7dkPm2wa",
        "YW5hOlhxN2RrUG0yd2E=",
    ] {
        assert!(!json.to_string().contains(secret), "{secret}: {json:#}");
    }
}

#[tokio::test]
async fn a_receiver_that_never_answers_keeps_nobody_waiting_for_long() {
    let ward = Ward::start().await;
    ward.genie.hang(1);
    let config = ward.config() + "delivery: { timeout: 2s }\n";
    let begun = Instant::now();
    let (status, json) = ward.examine(&config).await;
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(status, Some(1), "{json:#}");
    let wrong = told(&json, "wrong");
    assert_eq!(wrong.len(), 1, "{wrong:#?}");
    assert!(wrong[0].contains("no reply in time"), "{wrong:#?}");
}

#[tokio::test]
async fn a_bridge_that_runs_is_asked_and_its_store_tried_beside_it() {
    let ward = Ward::start().await;
    let config = ward.config();
    let bridge = Bridge::start(ward.folder.path(), &config);
    let deadline = Instant::now() + PATIENCE;
    while bridge.ready().await.0 != 200 {
        assert!(Instant::now() < deadline, "never ready:\n{}", bridge.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let (status, json) = ward.examine(&config).await;
    let passed = told(&json, "ok").join("\n");
    assert!(
        passed.contains("bridge: the bridge that runs on this machine is ready"),
        "{passed}"
    );
    assert!(passed.contains("is writable"), "{passed}");
    assert_eq!(status, Some(0), "{json:#}");
    assert_eq!(bridge.stop().code(), Some(0));
}

#[test]
fn people_read_each_finding_with_its_mend_below() {
    let folder = tempfile::tempdir().unwrap();
    let config = "route: { receiver: a }\nreceivers: [{ name: a, stdout_configs: [{}] }]\n\
                  store: { url: 'sqlite:gone/state.db' }\ningress: { webhook: [{ name: mail }] }\n\
                  alerts: { authenticity: { require: [] } }\n";
    fs::write(folder.path().join("alertbridge.yaml"), config).unwrap();
    let output = Command::new(PROGRAM)
        .arg("doctor")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.starts_with("WRONG    store"), "{text}");
    assert!(
        text.lines().nth(1).unwrap().starts_with("         mend: "),
        "{text}"
    );
    assert!(output.stderr.is_empty(), "progress in a pipe");
}
