//! Pages by mail: the real program hands them to a real Postfix, which brings them to a mailbox.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alertbridge::{
    clock::Clock,
    delivery::{Action, Notification, Step, Verdict},
    ingress::smtp::{Settings as ServerSettings, Smtp},
    receiver::{Body, Keys, Parcel, Receivers, Reply, Settings, sample},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use crate::{
    delivery::{aged, delivery, listed, pagerduty, post, resolve, said, start, trigger},
    harness::run,
    inbox::{RecordingInbox, Running, eventually},
    postfix::Postfix,
    vendors::PagerDuty,
};

/// Postfix with STARTTLS before a mailbox that takes mail for example.com.
pub struct MailServer {
    pub postfix: Postfix,
    inbox: Arc<RecordingInbox>,
    running: Running,
}

impl MailServer {
    /// Its certificate lies in `ca.pem` of the folder. None where Postfix cannot be started.
    pub async fn start(folder: &Path) -> Option<Self> {
        let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(folder.join("ca.pem"), certificate.cert.pem()).unwrap();
        let files = tempfile::tempdir().unwrap();
        fs::write(files.path().join("cert.pem"), certificate.cert.pem()).unwrap();
        let key = certificate.signing_key.serialize_pem();
        fs::write(files.path().join("key.pem"), key).unwrap();

        let inbox = RecordingInbox::new();
        let settings = ServerSettings {
            name: "mx".into(),
            listen: "127.0.0.1:0".into(),
            recipients: vec!["@example.com".into()],
            ..ServerSettings::default()
        };
        let server = Smtp::bind("ingress.smtp[0]", &settings, Clock::system()).unwrap();
        let address = server.local_addr();
        let running = Running::start(server, &inbox);
        let more = format!(
            "smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {0}/cert.pem
smtpd_tls_key_file = {0}/key.pem
smtpd_recipient_restrictions = check_recipient_access inline:{{ \
             {{ gone@example.com = 550 5.1.1 No such user here }}, \
             {{ later@example.com = 450 4.2.0 Come again }} }}",
            files.keep().display()
        );
        let Some(postfix) = Postfix::with(
            &format!("{{ example.com = plain:[127.0.0.1]:{} }}", address.port()),
            &more,
        ) else {
            running.stop().await;
            return None;
        };
        Some(Self {
            postfix,
            inbox,
            running,
        })
    }

    /// An entry of `email_configs` that hands its mail to it.
    fn config(&self, to: &str) -> String {
        format!(
            "{{ to: {to}, from: 'alertbridge <bridge@example.net>', tls: {{ ca_file: ca.pem }}, \
             smarthost: {{ host: localhost, port: {}, tls: starttls }} }}",
            self.postfix.submission.port()
        )
    }

    /// Waits for so many mails, and gives them.
    pub async fn mails(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} mails"), || {
            self.inbox.stored().len() >= count
        })
        .await;
        let mails = self.inbox.raw();
        assert_eq!(mails.len(), count, "{}", self.postfix.log());
        mails
            .iter()
            .map(|raw| String::from_utf8_lossy(raw).replace("\r\n ", " "))
            .collect()
    }

    pub async fn stop(self) {
        drop(self.postfix);
        self.running.stop().await;
    }
}

/// A field of a mail's header.
fn field<'a>(mail: &'a str, name: &str) -> &'a str {
    let header = mail.split("\r\n\r\n").next().unwrap();
    let found = header
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}: ")));
    found.unwrap_or_else(|| panic!("no {name} in {header}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_is_a_thread_of_mails_and_its_next_opening_joins_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = MailServer::start(folder.path()).await else {
        return;
    };
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: oncall }}\nreceivers:\n  - name: oncall\n    email_configs: [{}]",
            server.config("'On call <oncall@example.com>, second@example.com'")
        ),
    );

    post(&bridge, &trigger("a")).await;
    server.mails(1).await;
    post(&bridge, &resolve("a")).await;
    server.mails(2).await;
    let again = aged("a", "ANOMALOUS", 9, jiff::SignedDuration::ZERO);
    post(&bridge, &again).await;
    let mails = server.mails(3).await;

    let title = "com.example.app: Jira App Availability 90.5% (objective 99.9%)";
    assert_eq!(field(&mails[0], "Subject"), title);
    assert_eq!(field(&mails[1], "Subject"), format!("[RESOLVED] {title}"));
    for mail in &mails {
        assert_eq!(field(mail, "From"), "alertbridge <bridge@example.net>");
        assert_eq!(field(mail, "Auto-Submitted"), "auto-generated");
        let to = field(mail, "To");
        assert!(
            to.contains("oncall@example.com") && to.contains("second@example.com"),
            "{to}"
        );
        assert!(mail.contains("incident_id: a"), "{mail}");
    }
    let recipients = &server.inbox.stored()[0].envelope.clone().unwrap().rcpt_to;
    assert_eq!(recipients.len(), 2, "{recipients:?}");

    let ids: BTreeSet<_> = mails.iter().map(|mail| field(mail, "Message-ID")).collect();
    assert_eq!(ids.len(), 3, "each mail has its own: {ids:?}");
    let root = field(&mails[0], "References").to_owned();
    assert_eq!(
        field(&mails[1], "In-Reply-To"),
        field(&mails[0], "Message-ID")
    );
    for mail in &mails {
        assert!(field(mail, "References").starts_with(&root), "{mail}");
    }

    // `receivers test` speaks to it too.
    let output = bridge.command(&["receivers", "test", "oncall"]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.matches("delivered").count() == 2,
        "{told}"
    );
    let mails = server.mails(5).await;
    assert!(field(&mails[3], "Subject").starts_with("[TEST] "));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_is_the_fallback_of_a_pager_that_is_dead() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = MailServer::start(folder.path()).await else {
        return;
    };
    let pager = PagerDuty::start().await;
    pager.fail_next(1, 400, &[]);
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: pager }}\nreceivers:\n  - name: pager\n    fallback: {{ receiver: \
             mail, after: 5m }}\n    {}\n  - name: mail\n    email_configs: [{}]",
            pagerduty(folder.path(), &pager),
            server.config("oncall@example.com")
        ),
    );

    post(&bridge, &trigger("a")).await;
    let mails = server.mails(1).await;
    assert!(field(&mails[0], "Subject").contains("Jira App Availability"));
    post(&bridge, &resolve("a")).await;
    let mails = server.mails(2).await;
    assert!(field(&mails[1], "Subject").starts_with("[RESOLVED] "));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_5xx_is_final_a_4xx_is_tried_again_and_neither_keeps_the_mail_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = MailServer::start(folder.path()).await else {
        return;
    };
    let bridge = start(
        folder.path(),
        &format!(
            "route: {{ receiver: oncall }}\nreceivers:\n  - name: oncall\n    \
             email_configs:\n      - {}\n      - {}",
            server.config("[oncall@example.com, gone@example.com]"),
            server.config("later@example.com"),
        ),
    );
    post(&bridge, &trigger("a")).await;

    let mails = server.mails(1).await;
    let recipients = server.inbox.stored()[0].envelope.clone().unwrap().rcpt_to;
    assert_eq!(recipients, ["oncall@example.com"]);
    assert!(field(&mails[0], "To").contains("gone@example.com"));

    let dead = delivery(&bridge, "the refused recipient", |row| {
        row["state"] == "dead"
    })
    .await;
    assert!(
        said(&dead, "SMTP 550") && said(&dead, "No such user here"),
        "{dead}"
    );
    let waiting = delivery(&bridge, "the one to come again for", |row| {
        row["state"] == "pending" && said(row, "SMTP 450")
    })
    .await;
    assert_eq!(waiting["integration"], "email/1");
    server.mails(1).await;
    server.stop().await;
}

/// A server that asks for a login in plain text: what it was told, line by line.
pub async fn asks_for_login(password: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (reader, mut writer) = stream.into_split();
            let mut lines = BufReader::new(reader).lines();
            let mut in_data = false;
            let mut known = false;
            writer
                .write_all(b"220 mail.example ESMTP\r\n")
                .await
                .unwrap();
            while let Ok(Some(line)) = lines.next_line().await {
                shared.lock().unwrap().push(line.clone());
                let reply = match line.split_whitespace().next().unwrap_or_default() {
                    _ if in_data && line != "." => continue,
                    _ if in_data => {
                        in_data = false;
                        "250 2.0.0 Ok: queued as 4ABC"
                    }
                    "EHLO" => "250-mail.example\r\n250-AUTH PLAIN\r\n250 8BITMIME",
                    "AUTH" => {
                        let login = line.rsplit(' ').next().unwrap();
                        let login = BASE64_STANDARD.decode(login).unwrap();
                        known = login == format!("\0bridge\0{password}").as_bytes();
                        if known {
                            "235 2.7.0 Authentication successful"
                        } else {
                            "535 5.7.8 Error: authentication failed"
                        }
                    }
                    "MAIL" if !known => "530 5.7.0 Authentication required",
                    "DATA" => {
                        in_data = true;
                        "354 End data with <CR><LF>.<CR><LF>"
                    }
                    "QUIT" => "221 2.0.0 Bye",
                    _ => "250 2.1.0 Ok",
                };
                let reply = format!("{reply}\r\n");
                if writer.write_all(reply.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    (port, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bridge_logs_in_and_a_password_that_is_refused_is_told_and_never_shown() {
    for (given, delivered) in [("hunter2-hunter2", true), ("wrong-wrong-wrong", false)] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("password"), given).unwrap();
        let (port, heard) = asks_for_login("hunter2-hunter2").await;
        let bridge = start(
            folder.path(),
            &format!(
                "route: {{ receiver: oncall }}\nreceivers:\n  - name: oncall\n    \
                 email_configs:\n      - {{ to: a@example.com, from: b@example.net, subject: 'On \
                 call: {{{{ metric }}}}', text: '{{{{ details }}}}', smarthost: {{ host: \
                 127.0.0.1, port: {port}, tls: none, username: bridge, password_file: password }} \
                 }}"
            ),
        );
        post(&bridge, &trigger("a")).await;
        let state = if delivered { "delivered" } else { "dead" };
        let row = delivery(&bridge, state, |row| row["state"] == state).await;
        let heard = heard.lock().unwrap().join("\n");
        if delivered {
            assert!(
                heard.contains("Subject: On call: Jira App Availability"),
                "{heard}"
            );
        } else {
            assert!(said(&row, "SMTP 535"), "{row}");
            assert!(!heard.contains("MAIL FROM"), "{heard}");
        }
        assert!(!bridge.log().contains(given), "{}", bridge.log());
        assert!(!row.to_string().contains(given), "{row}");
    }
}

/// A server that says this after a mail, so much later, and then no farewell; how many it took.
pub async fn ends_oddly(said: &'static [u8], later: Duration) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mails = Arc::new(AtomicUsize::new(0));
    let taken = Arc::clone(&mails);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let taken = Arc::clone(&taken);
            tokio::spawn(async move {
                let (reader, mut writer) = stream.into_split();
                let mut lines = BufReader::new(reader).lines();
                let mut in_data = false;
                writer.write_all(b"220 \xFF hello\n").await.unwrap();
                while let Ok(Some(line)) = lines.next_line().await {
                    let reply: &[u8] = match line.split(' ').next().unwrap_or_default() {
                        _ if in_data && line != "." => continue,
                        _ if in_data => {
                            in_data = false;
                            taken.fetch_add(1, Ordering::SeqCst);
                            tokio::time::sleep(later).await;
                            said
                        }
                        "EHLO" => b"250-odd\r\n250-AUTH=LOGIN\r\n250-AUTH LOGIN\r\n250\r\n",
                        "AUTH" => b"334 VXNlcm5hbWU6\r\n",
                        "dXNlcg==" => b"334\r\n",
                        "cGFzc3dvcmQtOQ==" => b"235\r\n",
                        "MAIL" => b"250\r\n",
                        "RCPT" => b"250-yes\n250 yes\n",
                        "DATA" => {
                            in_data = true;
                            b"354\r\n"
                        }
                        "QUIT" => std::future::pending().await,
                        other => panic!("{other}"),
                    };
                    writer.write_all(reply).await.unwrap();
                    if !said.ends_with(b"\n") && reply == said {
                        return;
                    }
                }
            });
        }
    });
    (port, mails)
}

/// What follows on the mail's last byte is the server's word that it has it, however that is put.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_the_server_took_is_not_sent_again_for_how_the_server_says_so() {
    let mut servers = Vec::new();
    for (said, later) in [
        (&b"250 2.0.0 Ok\r\n"[..], 0),
        (b"250\r\n", 0),
        (b"250 \xFF\xFE\x00\r\n", 0),
        (b"299 taken\r\n", 0),
        (b"250 ok\n", 0),
        (b"250-one\n250-\xFF\r\n250\n", 0),
        (b"250 and away", 0),
        (b"250 ok\r\n421 and away\r\n", 0),
        (b"250 after a while\r\n", 3),
    ] {
        servers.push((said, ends_oddly(said, Duration::from_secs(later)).await));
    }

    let folder = tempfile::tempdir().unwrap();
    let each = servers.iter().map(|(_, (port, _))| {
        format!(
            "      - {{ to: a@example.com, from: b@example.net, timeout: 1s, smarthost: {{ host: \
             127.0.0.1, port: {port}, tls: none, username: user, password: password-9 }} }}\n"
        )
    });
    let rest = format!(
        "route: {{ receiver: oncall }}\nreceivers:\n  - name: oncall\n    email_configs:\n{}",
        each.collect::<String>()
    );
    let bridge = start(folder.path(), &rest);
    post(&bridge, &trigger("a")).await;
    bridge.settled(1).await;
    for row in listed(&bridge, &["deliveries", "list", "--json"]) {
        assert_eq!(row["state"], "delivered", "{row}");
    }
    for (said, (_, mails)) in servers {
        let said = String::from_utf8_lossy(said);
        assert_eq!(mails.load(Ordering::SeqCst), 1, "{said}");
    }
}

/// A server whose greeting has no end; how many bytes of it were written to one client at most.
pub async fn greets_without_end() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let longest = Arc::new(AtomicUsize::new(0));
    let written = Arc::clone(&longest);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut bytes, endless) = (0, vec![b'2'; 65_536]);
            while stream.write_all(&endless).await.is_ok() {
                bytes += endless.len();
            }
            written.fetch_max(bytes, Ordering::SeqCst);
        }
    });
    (port, longest)
}

/// In plain text, whoever is in between could let the bridge read until its memory is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_without_end_is_not_read_to_its_end() {
    let (port, longest) = greets_without_end().await;
    let folder = tempfile::tempdir().unwrap();
    let rest = format!(
        "route: {{ receiver: oncall }}\nreceivers:\n  - name: oncall\n    email_configs: [{{ to: \
         a@example.com, from: b@example.net, smarthost: {{ host: 127.0.0.1, port: {port}, tls: none \
         }} }}]\n"
    );
    let bridge = start(folder.path(), &rest);
    post(&bridge, &trigger("a")).await;
    let told = |row: &Value| said(row, "a line of its reply has no end");
    delivery(&bridge, "a refusal to read on", told).await;
    eventually("the end of the line", || longest.load(Ordering::SeqCst) > 0).await;
    // What the sockets' buffers hold is written, too.
    assert!(longest.load(Ordering::SeqCst) < 32 << 20);
}

#[test]
fn explain_shows_the_mail_and_neither_user_nor_password() {
    let folder = tempfile::tempdir().unwrap();
    let config = "alerts: { authenticity: { require: [] } }\nroute: { receiver: oncall \
                  }\nreceivers:\n  - name: oncall\n    email_configs:\n      - { to: \
                  a@example.com, from: b@example.net, smarthost: { host: smtp.example.com, tls: \
                  implicit, username: robot, password: hunter2 } }\n";
    fs::write(folder.path().join("alertbridge.yaml"), config).unwrap();
    fs::write(folder.path().join("a.eml"), trigger("a")).unwrap();
    let output = run(folder.path(), &["explain", "a.eml", "--json", "--trust"]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let request = &shown["requests"][0];
    assert_eq!(request["integration"], "email");
    assert_eq!(request["method"], "SMTP");
    assert_eq!(request["url"], "smtp://smtp.example.com:465");
    assert_eq!(request["headers"]["Auto-Submitted"], "auto-generated");
    assert!(request["body"].as_str().unwrap().contains("incident_id: a"));
    let text = shown.to_string();
    assert!(
        !text.contains("hunter2") && !text.contains("robot"),
        "{text}"
    );
}

fn compiled(settings: &Value) -> Result<Receivers, String> {
    let settings: Vec<Settings> =
        serde_json::from_value(json!([{ "name": "oncall", "email_configs": [settings] }])).unwrap();
    Receivers::compile(&settings, &[]).map_err(|problems| format!("{problems:#?}"))
}

fn of(notification: &Notification, step: &Step, reply: Option<(u16, &str)>) -> (Body, Verdict) {
    let receivers = compiled(&json!({
        "to": ["a@example.com", "b@example.com"], "from": "c@example.net",
        "smarthost": { "host": "smtp.example.com" },
    }))
    .unwrap();
    let (_, receiver) = receivers.of("oncall").next().unwrap();
    let parcel = Parcel {
        delivery: 1,
        alias: "a:oncall",
        notification,
        step,
        receipt: None,
        now: "2026-01-02T03:04:05Z".parse().unwrap(),
        external_url: None,
    };
    let (status, body) = reply.unwrap_or((250, "{}"));
    let reply = Reply {
        status,
        body: body.as_bytes().to_vec(),
        ..Reply::default()
    };
    let request = receiver.request(&parcel, &Keys::Hidden).unwrap();
    (request.body, receiver.judge(&parcel, &reply))
}

#[test]
fn whom_the_server_refuses_is_tried_apart() {
    let trigger = sample::notifications()[0].1.clone();
    assert_eq!(trigger.action, Action::Trigger);
    let partly = r#"{"said":"queued","refused":["b@example.com"]}"#;
    let (_, verdict) = of(&trigger, &Step::Send, Some((250, partly)));
    let Verdict::Partly { next, detail } = verdict else {
        panic!("{verdict:?}")
    };
    assert!(detail.contains("b@example.com"), "{detail}");
    let (body, _) = of(&trigger, &next, None);
    assert!(
        matches!(&body, Body::Mail(mail) if mail.recipients == ["b@example.com"]),
        "{body:?}"
    );
    for status in [421, 450, 451, 452, 454] {
        let (_, verdict) = of(&trigger, &Step::Send, Some((status, "later")));
        assert!(matches!(verdict, Verdict::Retry { .. }), "{status}");
    }
    for status in [500, 535, 550, 552, 554] {
        let (_, verdict) = of(&trigger, &Step::Send, Some((status, "no")));
        assert!(matches!(verdict, Verdict::Permanent { .. }), "{status}");
    }
}

#[test]
fn what_is_no_address_or_no_server_is_told() {
    let good = json!({ "to": "a@example.com", "from": "b@example.net",
                       "smarthost": { "host": "smtp.example.com" } });
    assert!(compiled(&good).is_ok());
    for (field, value, says) in [
        ("to", json!([]), "there are 0 addresses"),
        ("to", json!("a"), "`a` is not a valid address"),
        (
            "to",
            json!("a@example.com\r\nBcc: x@example.com"),
            "is not a valid address",
        ),
        (
            "to",
            json!("{{ app_key }}@example.com"),
            "is not a valid address",
        ),
        ("from", json!(""), "`` is not a valid address"),
        (
            "from",
            json!("x\"y <a@example.com>"),
            "is not a valid address",
        ),
        ("smarthost", json!(null), "no mail server is given"),
        (
            "smarthost",
            json!({ "host": "a b" }),
            "it is not a valid host name",
        ),
        (
            "smarthost",
            json!({ "host": "a", "username": "u" }),
            "a user name is given without a password",
        ),
        (
            "smarthost",
            json!({ "host": "a", "password": "p" }),
            "a password is given without a user name",
        ),
        ("subject", json!("{{ metrik }}"), "which is not a label"),
    ] {
        let mut settings = good.clone();
        settings[field] = value;
        let found = compiled(&settings).err().unwrap_or_default();
        assert!(found.contains(says), "{field}: {says}: {found}");
    }
}
