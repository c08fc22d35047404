//! Mailboxes that are read with access tokens: a real Dovecot that checks them, and a token server
//! of our own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Lines, Read as _},
    path::PathBuf,
    process::{Child, ChildStderr, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use alertbridge::ingress::imap::{
    Settings, Tls,
    oauth::{Oauth2, Provider},
};
use axum::http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    dovecot::Dovecot,
    harness::{self, Bridge},
    imap::{Running, mail},
    inbox::eventually,
    token_server::{CLIENT_ID, CLIENT_SECRET, TokenServer},
};

/// A mailbox, the server of its tokens, and the secrets' files.
struct Setting {
    dovecot: Dovecot,
    server: TokenServer,
    folder: TempDir,
}

impl Setting {
    async fn new(mechanisms: &str) -> Self {
        let (dovecot, server) = (
            Dovecot::with_mechanisms(mechanisms),
            TokenServer::start().await,
        );
        let folder = tempfile::tempdir().unwrap();
        let setting = Self {
            dovecot,
            server,
            folder,
        };
        fs::write(setting.folder.path().join("client-secret"), CLIENT_SECRET).unwrap();
        fs::write(setting.refresh_token_file(), "refresh-t0ken-1\n").unwrap();
        setting
    }

    fn refresh_token_file(&self) -> PathBuf {
        self.folder.path().join("refresh-token")
    }

    fn oauth2(&self, provider: Provider) -> Oauth2 {
        Oauth2 {
            provider,
            token_url: Some(self.server.url("/token")),
            client_id: CLIENT_ID.into(),
            client_secret_file: Some(self.folder.path().join("client-secret")),
            refresh_token_file: Some(self.refresh_token_file()),
            ..Oauth2::default()
        }
    }

    fn settings(&self, oauth2: Oauth2) -> Settings {
        let settings = Settings {
            password_file: None,
            oauth2: Some(oauth2),
            ..self.dovecot.settings(Tls::None)
        };
        assert_eq!(settings.check("ingress.imap[0]"), []);
        settings
    }

    /// For the whole program.
    fn config(&self, more: &str) -> String {
        let Settings {
            host,
            port,
            username,
            ..
        } = self.dovecot.settings(Tls::None);
        let (port, folder) = (port.unwrap(), self.folder.path().display());
        format!(
            "
store: {{ url: 'sqlite:{folder}/alertbridge.db' }}
admin: {{ listen: '127.0.0.1:0' }}
ingress:
  imap:
    - name: mailbox
      host: {host}
      port: {port}
      tls: none
      username: {username}
      oauth2:
        token_url: {}
        client_id: {CLIENT_ID}
        client_secret_file: client-secret
        refresh_token_file: refresh-token
        {more}
route: {{ receiver: stdout }}
receivers: [{{ name: stdout, stdout_configs: [{{}}] }}]
",
            self.server.url("/token")
        )
    }
}

#[tokio::test]
async fn mail_comes_with_a_token_shown_in_either_way() {
    for mechanisms in ["xoauth2", "oauthbearer", "plain xoauth2 oauthbearer"] {
        let setting = Setting::new(mechanisms).await;
        let running = Running::start(&setting.settings(setting.oauth2(Provider::Google)));
        running.is_well().await;
        setting.dovecot.deliver(&mail(1));
        running.has(1).await;
        running.end().await;
        let state = setting.server.state.lock().unwrap();
        let [asked] = state.asked.as_slice() else {
            panic!("{mechanisms}: {:?}", state.asked)
        };
        assert_eq!(
            (asked["grant_type"].as_str(), asked["scope"].as_str()),
            ("refresh_token", "https://mail.google.com/")
        );
    }
}

#[tokio::test]
async fn an_application_reads_a_mailbox_of_microsofts_in_its_own_name() {
    let setting = Setting::new("xoauth2").await;
    setting
        .server
        .set(|given| given.scope = Some("https://outlook.office365.com/.default"));
    let oauth2 = Oauth2 {
        refresh_token_file: None,
        ..setting.oauth2(Provider::Microsoft)
    };
    let running = Running::start(&setting.settings(oauth2));
    setting.dovecot.deliver(&mail(1));
    running.is_well().await;
    running.end().await;
    let state = setting.server.state.lock().unwrap();
    assert_eq!(state.asked[0]["grant_type"], "client_credentials");
}

#[tokio::test]
async fn a_session_that_ends_with_its_token_goes_on_with_a_new_one_and_is_no_failure() {
    let setting = Setting::new("xoauth2").await;
    setting.server.set(|given| given.lifetime = 2);
    let running = Running::start(&setting.settings(setting.oauth2(Provider::Google)));
    running.is_well().await;
    for round in 0..2 {
        // Past its end: Dovecot refuses it from here on, and ends no session by itself.
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let before = setting.server.asked();
        eventually("a session to end", || {
            setting.dovecot.signal("TERM", "imap") > 0
        })
        .await;
        setting.dovecot.deliver(&mail(round));
        eventually("the mail, and no failure", || {
            assert_eq!(running.condition().failure, None);
            running.inbox.bodies().len() > round
        })
        .await;
        assert!(setting.server.asked() > before);
    }
    running.end().await;
}

#[tokio::test]
async fn a_token_that_is_good_for_long_serves_many_logins() {
    let setting = Setting::new("oauthbearer").await;
    let running = Running::start(&setting.settings(setting.oauth2(Provider::Custom)));
    for round in 1..=3 {
        running.is_well().await;
        setting.dovecot.deliver(&mail(round));
        running.has(round).await;
        eventually("a session to end", || {
            setting.dovecot.signal("TERM", "imap") > 0
        })
        .await;
        running.fails_with("closed the connection").await;
    }
    running.is_well().await;
    running.end().await;
    assert_eq!(setting.server.asked(), 1);
}

#[tokio::test]
async fn a_token_withdrawn_before_its_end_is_replaced_without_a_word() {
    let setting = Setting::new("xoauth2").await;
    // Dovecot goes by the token, the ingress by what it was told: as if withdrawn after two
    // seconds.
    setting.server.set(|given| {
        let short = crate::token_server::access_token(&given.subject, 2);
        given.answer = Some((
            StatusCode::OK,
            format!(
                "{{\"access_token\":\"{short}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}"
            ),
        ));
    });
    let running = Running::start(&setting.settings(setting.oauth2(Provider::Google)));
    running.is_well().await;
    setting.server.set(|given| given.answer = None);
    tokio::time::sleep(Duration::from_millis(3100)).await;
    eventually("a session to end", || {
        setting.dovecot.signal("TERM", "imap") > 0
    })
    .await;
    setting.dovecot.deliver(&mail(1));
    eventually("the mail, and no refused login", || {
        assert!(!running.condition().login_refused);
        running.inbox.bodies().len() == 1
    })
    .await;
    assert_eq!(setting.server.asked(), 2);
    running.end().await;
}

#[tokio::test]
async fn a_refresh_token_that_is_replaced_is_kept_for_the_next_start() {
    let setting = Setting::new("xoauth2").await;
    setting.server.set(|given| given.rotates = true);
    let settings = setting.settings(setting.oauth2(Provider::Microsoft));
    for _ in 0..3 {
        let before = fs::read_to_string(setting.refresh_token_file()).unwrap();
        let running = Running::start(&settings);
        running.is_well().await;
        running.end().await;
        let after = fs::read_to_string(setting.refresh_token_file()).unwrap();
        assert_ne!(before, after);
        assert_eq!(
            after.trim(),
            setting.server.state.lock().unwrap().refresh_token
        );
    }
}

#[tokio::test]
async fn a_new_refresh_token_that_cannot_be_stored_serves_until_a_person_gives_another() {
    let setting = Setting::new("xoauth2").await;
    setting
        .server
        .set(|given| (given.rotates, given.lifetime) = (true, 1));
    let inline = Oauth2 {
        refresh_token: Some("refresh-t0ken-1".into()),
        refresh_token_file: None,
        ..setting.oauth2(Provider::Google)
    };
    let running = Running::start(&setting.settings(inline));
    for asked in 1..=3 {
        eventually("a token asked for", || setting.server.asked() >= asked).await;
        running.is_well().await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        eventually("a session to end", || {
            setting.dovecot.signal("TERM", "imap") > 0
        })
        .await;
    }
    assert!(!running.condition().login_refused);
    running.end().await;
}

#[tokio::test]
async fn a_refresh_token_that_is_no_longer_good_is_a_refused_login_and_mended_by_its_file_alone() {
    let setting = Setting::new("xoauth2").await;
    fs::write(setting.refresh_token_file(), "refresh-t0ken-of-last-year").unwrap();
    let running = Running::start(&setting.settings(setting.oauth2(Provider::Google)));
    let condition = running.fails_with("invalid_grant").await;
    assert!(condition.login_refused);
    let failure = condition.failure.unwrap();
    assert_eq!(
        failure,
        "127.0.0.1 refused a token: invalid_grant (about invalid_grant); the refresh token is no \
         longer valid: get a new one with `alertbridge imap login`"
    );
    fs::write(setting.refresh_token_file(), "refresh-t0ken-1").unwrap();
    running.is_well().await;
    assert!(!running.condition().login_refused);
    running.end().await;
}

#[tokio::test]
async fn every_refusal_names_what_mends_it_and_no_secret() {
    let setting = Setting::new("xoauth2").await;
    let unlike = |change: fn(&mut Oauth2)| {
        let mut oauth2 = setting.oauth2(Provider::Google);
        change(&mut oauth2);
        setting.settings(oauth2)
    };
    setting
        .server
        .set(|given| given.scope = Some("https://mail.google.com/"));
    let cases = [
        (
            unlike(|oauth2| oauth2.scopes = vec!["mail".into()]),
            "invalid_scope (about invalid_scope); check `scopes`",
        ),
        (
            unlike(|oauth2| oauth2.client_id = "another".into()),
            "invalid_client; check `client_id`",
        ),
    ];
    for (settings, words) in cases {
        let running = Running::start(&settings);
        let condition = running.fails_with(words).await;
        assert!(condition.login_refused);
        running.end().await;
    }

    // Some servers repeat what they were sent.
    let echo = r#"{"error":"invalid_grant","error_description":"no such token: refresh-t0ken-1"}"#;
    setting
        .server
        .set(|given| given.answer = Some((StatusCode::BAD_REQUEST, echo.into())));
    let running = Running::start(&setting.settings(setting.oauth2(Provider::Google)));
    let condition = running.fails_with("invalid_grant").await;
    assert!(!condition.failure.unwrap().contains("t0ken"));
    running.end().await;
}

#[tokio::test]
async fn a_token_for_another_account_is_a_refused_login() {
    let setting = Setting::new("oauthbearer").await;
    setting
        .server
        .set(|given| given.subject = "somebody".into());
    let running = Running::start(&setting.settings(setting.oauth2(Provider::Google)));
    let condition = running
        .fails_with("the server refused the login of alerts")
        .await;
    assert!(condition.login_refused);
    let failure = condition.failure.unwrap();
    assert!(failure.contains("(status "), "{failure}");
    for secret in setting.server.secrets() {
        assert!(!failure.contains(&secret), "{failure}");
    }
    setting.server.set(|given| given.subject = "alerts".into());
    running.is_well().await;
    running.end().await;
}

#[tokio::test]
async fn a_server_that_takes_no_tokens_is_told_as_such_and_shown_none() {
    let setting = Setting::new("plain login").await;
    let running = Running::start(&setting.settings(setting.oauth2(Provider::Google)));
    let condition = running
        .fails_with("the server accepts no access token")
        .await;
    assert!(condition.login_refused);
    running.end().await;
}

#[tokio::test]
async fn trouble_at_the_token_server_passes_and_counts_as_a_refused_login_only_when_it_lasts() {
    let setting = Setting::new("xoauth2").await;
    for (status, answer, words) in [
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "no token from 127.0.0.1: it answers HTTP 503",
        ),
        (
            StatusCode::TOO_MANY_REQUESTS,
            "{\"error\":\"slow_down\"}",
            "it answers HTTP 429",
        ),
        (StatusCode::NOT_FOUND, "<html>", "it answers HTTP 404"),
        (
            StatusCode::BAD_REQUEST,
            "{\"error\":\"temporarily_unavailable\"}",
            "temporarily_unavailable",
        ),
        (
            StatusCode::OK,
            "{\"access_token\":7}",
            "its answer is not valid OAuth 2.0",
        ),
    ] {
        setting
            .server
            .set(|given| given.answer = Some((status, answer.into())));
        let running = Running::start(&setting.settings(setting.oauth2(Provider::Google)));
        running.fails_with(words).await;
        eventually("it lasts", || running.condition().login_refused).await;
        setting.server.set(|given| given.answer = None);
        running.is_well().await;
        assert!(!running.condition().login_refused);
        running.end().await;
    }
}

/// The token server behind TLS, under a certificate of an authority that nobody knows; the port.
async fn encrypted(setting: &Setting) -> u16 {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    fs::write(setting.folder.path().join("ca.pem"), authority.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let tls = tls
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    let (tls, listener) = (
        TlsAcceptor::from(Arc::new(tls)),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let port = listener.local_addr().unwrap().port();
    let plain = setting
        .server
        .url("")
        .trim_start_matches("http://")
        .to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(mut client) = tls.accept(client).await else {
                continue;
            };
            let mut server = TcpStream::connect(&plain).await.unwrap();
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut client, &mut server).await },
            );
        }
    });
    port
}

#[tokio::test]
async fn ca_file_vouches_for_the_token_server_as_well() {
    let setting = Setting::new("xoauth2").await;
    let port = encrypted(&setting).await;
    let token_url = Some(format!("https://localhost:{port}/token"));
    let settings = setting.settings(Oauth2 {
        token_url,
        ..setting.oauth2(Provider::Custom)
    });
    let running = Running::start(&settings);
    running.fails_with("no token from localhost").await;
    assert_eq!(
        setting.server.asked(),
        0,
        "no secret is told to a server that nobody vouches for"
    );
    running.end().await;
    let trusting = Settings {
        ca_file: Some(setting.folder.path().join("ca.pem")),
        ..settings
    };
    let running = Running::start(&trusting);
    running.is_well().await;
    setting.dovecot.deliver(&mail(1));
    running.has(1).await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_token_server_dies_readiness_says_so_and_no_log_ever_shows_a_secret() {
    let mut setting = Setting::new("xoauth2").await;
    setting
        .server
        .set(|given| (given.rotates, given.lifetime) = (true, 2));
    let config = setting.config("");
    let bridge = Bridge::start_with(setting.folder.path(), &config, &[("RUST_LOG", "trace")]);
    let ready = format!("{}/-/ready", bridge.admin);
    let answers = async |status: u16, words: &str| {
        for _ in 0..1000 {
            let answer = reqwest::get(&ready).await.unwrap();
            if answer.status() == status && answer.text().await.unwrap().contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!(
            "no {status} with `{words}`:\n{}",
            harness::tail(&bridge.log())
        );
    };
    answers(200, "ready").await;
    // It is ready as long as nothing has failed: a session may still be to come.
    eventually("a session", || setting.dovecot.signal("CONT", "imap") > 0).await;
    setting.server.die().await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    eventually("a session to end", || {
        setting.dovecot.signal("TERM", "imap") > 0
    })
    .await;
    answers(503, "ingress mailbox: no token from 127.0.0.1").await;
    setting.server.come_back().await;
    answers(200, "ready").await;
    let log = bridge.log();
    assert!(log.contains("no token from 127.0.0.1"));
    for secret in setting.server.secrets() {
        assert!(!log.contains(&secret), "{secret}");
    }
    assert!(bridge.stop().success());
}

// ---- alertbridge imap login ----

struct LoggingIn {
    child: Child,
    told: Lines<BufReader<ChildStderr>>,
    all: String,
}

impl LoggingIn {
    fn start(setting: &Setting, more: &str, arguments: &[&str]) -> Self {
        fs::write(
            setting.folder.path().join("alertbridge.yaml"),
            setting.config(more),
        )
        .unwrap();
        let mut child = Command::new(harness::PROGRAM)
            .args(["imap", "login", "mailbox"])
            .args(arguments)
            .current_dir(setting.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stderr.take().unwrap()).lines();
        Self {
            child,
            told,
            all: String::new(),
        }
    }

    /// The next line with these words.
    fn tells(&mut self, words: &str) -> String {
        for line in self.told.by_ref().map(Result::unwrap) {
            self.all += &format!("{line}\n");
            if line.contains(words) {
                return line;
            }
        }
        panic!("no `{words}` in:\n{}", self.all);
    }

    /// Whether it worked, what it printed, and what it told.
    fn end(mut self) -> (bool, String, String) {
        for line in self.told.by_ref().map(Result::unwrap) {
            self.all += &format!("{line}\n");
        }
        assert!(!self.all.contains("s3cret"), "{}", self.all);
        let mut printed = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut printed)
            .unwrap();
        (
            self.child.wait().unwrap().success(),
            printed,
            std::mem::take(&mut self.all),
        )
    }
}

impl Drop for LoggingIn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_types_a_code_and_the_refresh_token_is_in_its_file() {
    let setting = Setting::new("xoauth2").await;
    fs::remove_file(setting.refresh_token_file()).unwrap();
    setting.server.set(|given| given.pending = 1);
    let more = format!("device_url: {}", setting.server.url("/device"));
    let mut login = LoggingIn::start(&setting, &more, &["--write"]);
    login.tells("https://login.example.com/device");
    login.tells("WDJB-MJHT");
    let (well, printed, told) = login.end();
    assert!(well, "{told}");
    assert_eq!((printed.as_str(), told.contains("t0ken")), ("", false));
    assert_eq!(
        fs::read_to_string(setting.refresh_token_file()).unwrap(),
        "refresh-t0ken-1\n"
    );

    // Where nobody agrees to have it written it is printed, and told where it belongs.
    let (well, printed, told) = LoggingIn::start(&setting, &more, &["--device"]).end();
    assert!(well, "{told}");
    assert_eq!(printed, "refresh-t0ken-1\n");
    assert!(
        told.contains("Put it into ") && told.contains("refresh-token"),
        "{told}"
    );

    setting.server.set(|given| given.agrees = false);
    let (well, _, told) = LoggingIn::start(&setting, &more, &[]).end();
    assert!(!well && told.contains("access_denied"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_comes_back_with_a_code_that_only_this_login_can_use() {
    let setting = Setting::new("xoauth2").await;
    let more = format!("auth_url: {}", setting.server.url("/authorize"));
    for agrees in [true, false] {
        setting.server.set(|given| given.agrees = agrees);
        let mut login = LoggingIn::start(&setting, &more, &["--browser"]);
        let url = login.tells("/authorize?");
        let back = url::Url::parse(&visit(url.trim()).await.expect("a way back")).unwrap();
        // Whoever guesses the port, but not the state, changes nothing.
        let forged = format!(
            "{}?code=forged&state=forged",
            &back[..url::Position::AfterPath]
        );
        assert_eq!(visit(&forged).await, None);
        visit(back.as_str()).await;
        let (well, printed, told) = login.end();
        assert_eq!(well, agrees, "{told}");
        let expected = if agrees { "refresh-t0ken-1\n" } else { "" };
        assert_eq!(printed, expected);
        assert!(
            agrees || told.contains("consent was refused: access_denied"),
            "{told}"
        );
    }
}

/// A browser's GET; returned is where it is sent on to.
async fn visit(url: &str) -> Option<String> {
    let url = url::Url::parse(url).unwrap();
    let mut stream = TcpStream::connect((url.host_str().unwrap(), url.port().unwrap()))
        .await
        .unwrap();
    let path = &url[url::Position::BeforePath..];
    let host = url.host_str().unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
        .lines()
        .find_map(|line| line.strip_prefix("location: "))
        .map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_of_a_login_is_told() {
    let setting = Setting::new("xoauth2").await;
    let (well, _, told) = LoggingIn::start(&setting, "", &[]).end();
    assert!(
        !well
            && told.contains("ingress.imap[0].oauth2.device_url")
            && told.contains("add `device_url"),
        "{told}"
    );
    let (well, _, told) = LoggingIn::start(
        &setting,
        "",
        &["--config", "alertbridge.yaml", "--port", "x"],
    )
    .end();
    assert!(!well && told.contains("--port"), "{told}");
}
