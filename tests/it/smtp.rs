//! The SMTP server, by conversations written as text and by real clients.
//!
//! A conversation is a file in `tests/smtp`, a line of it one of `# …` what the case shows; `!
//! recipients A B`, `! max_message_size 1KiB`, `! refuse 2` the server's settings and how often its
//! store fails; `C: …` the client sends a line; `B: …` it sends bytes (`\r \n \0 \\ \xHH`); `R:
//! 9 ab` it sends `ab` nine times; `S: …` how a line of a reply starts; `E:` the server closes;
//! `X:` the client vanishes; `= …` the bytes of a stored mail: all that are stored, in order, and
//! no other.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use alertbridge::{
    clock::Clock,
    ingress::{
        listener::{BindError, Bounds},
        smtp::{Limits, Settings, Smtp},
    },
    settings::ByteSize,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::inbox::{PATIENCE, RecordingInbox, Running, eventually};

mod strangers;
mod tls;

fn settings(recipients: &[&str]) -> Settings {
    Settings {
        name: "mx".into(),
        listen: "127.0.0.1:0".into(),
        hostname: Some("mx.example.com".into()),
        recipients: recipients
            .iter()
            .map(|&recipient| recipient.to_owned())
            .collect(),
        ..Settings::default()
    }
}

fn limits() -> Limits {
    Limits {
        bounds: Bounds {
            grace: PATIENCE,
            ..Bounds::default()
        },
        ..Limits::default()
    }
}

/// A server for `alerts@example.com`, and a client that was greeted.
async fn greeted(inbox: &Arc<RecordingInbox>, limits: Limits) -> (Running, Client) {
    let smtp = Smtp::bind(
        "ingress.smtp[0]",
        &settings(&["alerts@example.com"]),
        Clock::system(),
    )
    .unwrap()
    .with_limits(limits);
    let address = smtp.local_addr();
    let running = Running::start(smtp, inbox);
    let mut client = Client(BufReader::new(TcpStream::connect(address).await.unwrap()));
    client.hears("220 ").await;
    (running, client)
}

struct Client(BufReader<TcpStream>);

impl Client {
    async fn sends(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let Ok(read) = timeout(PATIENCE, self.0.read_line(&mut line)).await else {
            return "(silence)".into();
        };
        // A reset is as much an end as an end of file.
        read.unwrap_or(0);
        line
    }

    #[track_caller]
    fn assert_starts(line: &str, start: &str) {
        assert!(
            line.starts_with(start) && line.ends_with("\r\n"),
            "expected `{start}…`, got `{line:?}`"
        );
    }

    async fn hears(&mut self, start: &str) {
        Self::assert_starts(&self.line().await, start);
    }

    /// From the greeting to the 354.
    async fn opens_data(&mut self) {
        self.sends("HELO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<alerts@example.com>\r\nDATA\r\n")
            .await;
        for reply in ["250", "250", "250", "354"] {
            self.hears(reply).await;
        }
    }

    async fn is_closed(&mut self) {
        assert_eq!(
            self.line().await,
            "",
            "expected the connection to be closed"
        );
    }
}

// Conversations.

#[tokio::test]
async fn every_conversation_goes_as_it_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smtp");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 20, "{} conversations", files.len());
    let mut failures = Vec::new();
    for file in files {
        if let Err(failure) = converse(&fs::read_to_string(&file).unwrap()).await {
            failures.push(format!("{}:{failure}", file.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

async fn converse(script: &str) -> Result<(), String> {
    let mut settings = settings(&["alerts@example.com", "@ops.example.com"]);
    let mut inbox = RecordingInbox::new();
    let mut expected = Vec::new();
    let mut steps = Vec::new();
    for (number, line) in (1..).zip(script.lines()) {
        let (mark, rest) = line.split_at_checked(2).unwrap_or((line, ""));
        let text = rest.strip_prefix(' ').unwrap_or(rest);
        match mark {
            "! " => match rest.split_once(' ').unwrap() {
                ("recipients", list) => {
                    settings.recipients = list.split(' ').map(str::to_owned).collect();
                }
                ("max_message_size", size) => settings.max_message_size = size.parse().unwrap(),
                ("refuse", times) => inbox = RecordingInbox::refusing(times.parse().unwrap()),
                other => return Err(format!("{number}: no such setting: {other:?}")),
            },
            "= " | "=" => expected.push(bytes(rest)),
            "# " | "#" | "" => {}
            _ => steps.push((number, mark, text)),
        }
    }
    let smtp = Smtp::bind("ingress.smtp[0]", &settings, Clock::system())
        .unwrap()
        .with_limits(limits());
    let mut client = Client(BufReader::new(
        TcpStream::connect(smtp.local_addr()).await.unwrap(),
    ));
    let running = Running::start(smtp, &inbox);
    // What is sent between two replies is sent at once: that is pipelining.
    let mut unsent = Vec::new();
    for (number, mark, text) in steps {
        if matches!(mark, "S:" | "E:" | "X:") {
            // The server may have closed already; what it said still counts.
            let _ = client.0.write_all(&std::mem::take(&mut unsent)).await;
        }
        match mark {
            "C:" => unsent.extend_from_slice(format!("{text}\r\n").as_bytes()),
            "B:" => unsent.extend(bytes(text)),
            "R:" => {
                let (times, what) = text.split_once(' ').unwrap();
                unsent.extend(bytes(what).repeat(times.parse().unwrap()));
            }
            "S:" => {
                let line = client.line().await;
                if !(line.starts_with(text) && line.ends_with("\r\n")) {
                    return Err(format!("{number}: expected `{text}…`, got {line:?}"));
                }
            }
            "E:" => {
                let line = client.line().await;
                if !line.is_empty() {
                    return Err(format!("{number}: expected the end, got {line:?}"));
                }
            }
            "X:" => break,
            _ => return Err(format!("{number}: no such step: {mark}")),
        }
    }
    drop(client);
    running.stop().await;
    let stored = inbox.raw();
    let shown = |mails: &[Vec<u8>]| {
        mails
            .iter()
            .map(|mail| mail.escape_ascii().to_string())
            .collect::<Vec<_>>()
    };
    if stored != expected {
        return Err(format!(
            " stored {:?}, expected {:?}",
            shown(&stored),
            shown(&expected)
        ));
    }
    Ok(())
}

/// Bytes written with `\r \n \0 \\ \xHH`.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&escape, after) = rest.split_first().expect("something after the backslash");
        rest = after;
        bytes.push(match escape {
            b'r' => b'\r',
            b'n' => b'\n',
            b'0' => 0,
            b'x' => {
                let (digits, after) = rest.split_at(2);
                rest = after;
                u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    bytes
}

// What a text cannot say.

#[tokio::test]
async fn a_mail_is_stored_to_the_byte_with_its_envelope() {
    let inbox = RecordingInbox::new();
    let (running, mut client) = greeted(&inbox, limits()).await;
    // Every byte there is, but for the two that only come in pairs; dots at line starts; a line far
    // over 1000 bytes.
    let mut mail = b"Subject: a\xc3\xa9\r\n\r\n.\r\n..\r\n.a\r\n".to_vec();
    for byte in (0..=255).filter(|byte| !b"\r\n".contains(byte)) {
        mail.extend_from_slice(&[byte, b'.', byte, b'\r', b'\n']);
    }
    mail.extend_from_slice(&b"x".repeat(200_000));
    mail.extend_from_slice(b"\r\n\r\n");
    let mut sent = Vec::new();
    for line in mail.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b".") {
            sent.push(b'.');
        }
        sent.extend_from_slice(line);
    }
    client
        .sends(
            "EHLO [192.0.2.1]\r\nMAIL FROM:<> SIZE=201000 BODY=8BITMIME\r\nRCPT \
                TO:<Alerts@example.com>\r\n",
        )
        .await;
    for reply in [
        "250-", "250-", "250-", "250-", "250-", "250-", "250 ", "250", "250",
    ] {
        client.hears(reply).await;
    }
    client.sends("DATA\r\n").await;
    client.hears("354").await;
    client.sends(&sent).await;
    client.sends(".\r\n").await;
    client.hears("250 2.0.0").await;
    running.stop().await;

    let [message] = inbox.stored().try_into().expect("one mail");
    assert!(message.raw == mail, "the bytes differ");
    assert_eq!((message.ingress.as_str(), message.cut_from), ("mx", None));
    let envelope = message.envelope.unwrap();
    assert_eq!(envelope.peer.unwrap().to_string(), "127.0.0.1");
    assert_eq!(
        (envelope.helo.as_str(), envelope.mail_from.as_str()),
        ("[192.0.2.1]", "")
    );
    assert_eq!(envelope.rcpt_to, ["Alerts@example.com"]);
}

#[tokio::test]
async fn nothing_is_acknowledged_before_it_is_stored_and_a_stop_waits_for_that() {
    let inbox = RecordingInbox::blocked();
    let (running, mut client) = greeted(&inbox, limits()).await;
    client.opens_data().await;
    client.sends("a: b\r\n\r\nc\r\n.\r\n").await;
    inbox.entered().await;
    let early = timeout(Duration::from_millis(100), client.0.fill_buf()).await;
    assert!(early.is_err(), "said before the mail was stored: {early:?}");
    running.stop.cancel();
    inbox.open();
    client.hears("250 2.0.0").await;
    client.hears("421 4.3.2").await;
    client.is_closed().await;
    running.ended().await;
    assert_eq!(inbox.raw(), [b"a: b\r\n\r\nc\r\n"]);
}

#[tokio::test]
async fn a_stop_sends_idle_clients_away_and_lets_a_mail_under_way_finish() {
    let inbox = RecordingInbox::new();
    let (running, mut client) = greeted(&inbox, limits()).await;
    client.opens_data().await;
    client.sends("a: b\r\n").await;
    running.stop.cancel();
    client.sends("\r\nc\r\n.\r\n").await;
    client.hears("250 2.0.0").await;
    client.hears("421 4.3.2").await;
    running.ended().await;
    assert_eq!(inbox.stored().len(), 1);

    let (running, mut client) = greeted(&inbox, limits()).await;
    running.stop.cancel();
    client.hears("421 4.3.2").await;
    client.is_closed().await;
    running.ended().await;
}

#[tokio::test]
async fn a_client_that_hangs_at_the_stop_is_cut_off_after_the_grace() {
    let bounds = Bounds {
        grace: Duration::from_millis(50),
        ..Bounds::default()
    };
    let (running, mut client) =
        greeted(&RecordingInbox::new(), Limits { bounds, ..limits() }).await;
    client.opens_data().await;
    running.stop().await;
    client.is_closed().await;
}

#[tokio::test]
async fn silence_and_dripping_end_a_connection() {
    let inbox = RecordingInbox::new();
    let (silent, mut client) = greeted(
        &inbox,
        Limits {
            idle: Duration::from_millis(50),
            ..limits()
        },
    )
    .await;
    client.hears("421 4.4.2").await;
    client.is_closed().await;
    silent.stop().await;

    let (dripping, mut client) = greeted(
        &inbox,
        Limits {
            data: Duration::from_millis(100),
            ..limits()
        },
    )
    .await;
    client.opens_data().await;
    let (mut read, mut write) = client.0.into_inner().into_split();
    let drip = tokio::spawn(async move { while write.write_all(b"x\r\n").await.is_ok() {} });
    let mut heard = Vec::new();
    let _ = timeout(PATIENCE, read.read_to_end(&mut heard))
        .await
        .expect("an end in time");
    assert!(
        heard.starts_with(b"421 4.4.2") || heard.is_empty(),
        "{}",
        heard.escape_ascii()
    );
    drop(read);
    let _ = drip.await;
    dripping.stop().await;
    assert!(inbox.stored().is_empty());
}

#[tokio::test]
async fn a_store_that_never_answers_puts_the_mail_off() {
    let inbox = RecordingInbox::blocked();
    let (running, mut client) = greeted(
        &inbox,
        Limits {
            store: Duration::from_millis(50),
            ..limits()
        },
    )
    .await;
    client.opens_data().await;
    client.sends(".\r\n").await;
    client.hears("451 4.3.0").await;
    client.sends("QUIT\r\n").await;
    client.hears("221").await;
    running.stop().await;
}

#[tokio::test]
async fn a_mail_without_end_is_cut_off() {
    let inbox = RecordingInbox::new();
    let smtp = Smtp::bind(
        "ingress.smtp[0]",
        &Settings {
            max_message_size: ByteSize::from_mib(1),
            ..settings(&["alerts@example.com"])
        },
        Clock::system(),
    );
    let smtp = smtp.unwrap().with_limits(Limits {
        swallow: 1 << 20,
        ..limits()
    });
    let mut client = Client(BufReader::new(
        TcpStream::connect(smtp.local_addr()).await.unwrap(),
    ));
    let running = Running::start(smtp, &inbox);
    client.hears("220").await;
    client.opens_data().await;
    let (mut read, mut write) = client.0.into_inner().into_split();
    let flood = tokio::spawn(async move {
        let chunk = vec![b'x'; 64 << 10];
        let mut sent = 0_u64;
        while sent < (1 << 30) && write.write_all(&chunk).await.is_ok() {
            sent += chunk.len() as u64;
        }
        sent
    });
    let mut heard = Vec::new();
    let _ = timeout(PATIENCE, read.read_to_end(&mut heard))
        .await
        .expect("an end in time");
    assert!(
        heard.starts_with(b"552 5.3.4") || heard.is_empty(),
        "{}",
        heard.escape_ascii()
    );
    drop(read);
    assert!(
        flood.await.unwrap() < 64 << 20,
        "the kernel's buffers aside, little is taken"
    );
    running.stop().await;
    assert!(inbox.stored().is_empty());
}

#[tokio::test]
async fn one_connection_too_many_is_told_to_come_again() {
    let bounds = Bounds {
        connections: 1,
        ..limits().bounds
    };
    let smtp = Smtp::bind(
        "ingress.smtp[0]",
        &settings(&["alerts@example.com"]),
        Clock::system(),
    )
    .unwrap();
    let address = smtp.local_addr();
    let running = Running::start(
        smtp.with_limits(Limits { bounds, ..limits() }),
        &RecordingInbox::new(),
    );
    let connect = async || Client(BufReader::new(TcpStream::connect(address).await.unwrap()));
    let mut first = connect().await;
    first.hears("220").await;
    let mut second = connect().await;
    second.hears("421 4.3.2").await;
    second.is_closed().await;
    first.sends("QUIT\r\n").await;
    first.hears("221").await;
    first.is_closed().await;
    // The place is free once the first session's task is gone, a moment after its last word.
    let again = timeout(PATIENCE, async {
        while !connect().await.line().await.starts_with("220") {}
    });
    again.await.expect("the place becomes free");
    running.stop().await;
}

#[tokio::test]
async fn a_client_from_elsewhere_is_sent_away() {
    let settings = Settings {
        allow_from: vec!["192.0.2.0/24".into()],
        ..settings(&["alerts@example.com"])
    };
    let smtp = Smtp::bind("ingress.smtp[0]", &settings, Clock::system()).unwrap();
    let mut client = Client(BufReader::new(
        TcpStream::connect(smtp.local_addr()).await.unwrap(),
    ));
    let running = Running::start(smtp, &RecordingInbox::new());
    client.hears("554 5.7.1").await;
    client.is_closed().await;
    running.stop().await;
}

#[tokio::test]
async fn an_unsafe_or_unreadable_setting_is_refused_with_its_key() {
    let everywhere = |settings| Settings {
        listen: "0.0.0.0:0".into(),
        ..settings
    };
    for (settings, key) in [
        (everywhere(settings(&[])), "recipients"),
        (settings(&["alerts"]), "recipients[0]"),
        (
            Settings {
                allow_from: vec!["10/8".into()],
                ..settings(&[])
            },
            "allow_from[0]",
        ),
        (
            Settings {
                hostname: Some("mx\r\n250 x".into()),
                ..settings(&[])
            },
            "hostname",
        ),
    ] {
        match Smtp::bind("ingress.smtp[0]", &settings, Clock::system()) {
            Err(BindError::Settings(problem)) => {
                assert_eq!(problem.key, format!("ingress.smtp[0].{key}"));
            }
            Err(other) => panic!("{key}: {other}"),
            Ok(_) => panic!("{key}: bound"),
        }
    }
    assert!(
        Smtp::bind(
            "ingress.smtp[0]",
            &everywhere(settings(&["alerts@example.com"])),
            Clock::system()
        )
        .is_ok()
    );
}

#[tokio::test]
async fn a_port_in_use_is_an_error_at_the_start() {
    let first = Smtp::bind("ingress.smtp[0]", &settings(&[]), Clock::system()).unwrap();
    let listen = first.local_addr().to_string();
    let second = Smtp::bind(
        "ingress.smtp[0]",
        &Settings {
            listen: listen.clone(),
            ..settings(&[])
        },
        Clock::system(),
    );
    let Err(error @ BindError::Address { .. }) = second else {
        panic!("bound twice")
    };
    assert!(error.to_string().contains(&listen), "{error}");
}

#[tokio::test]
async fn health_tells_that_it_listens_and_goes_on_telling() {
    let bounds = Bounds {
        heartbeat: Duration::from_millis(5),
        ..limits().bounds
    };
    let (running, _client) = greeted(&RecordingInbox::new(), Limits { bounds, ..limits() }).await;
    let last = || {
        running
            .health
            .conditions()
            .get("mx")
            .and_then(|condition| condition.last_success)
    };
    eventually("the first heartbeat", || last().is_some()).await;
    let first = last();
    eventually("another heartbeat", || last() > first).await;
    running.stop().await;
}

// Real clients.

/// Runs a program, which Debian's package of the same name brings, to its end.
async fn run<const N: usize>(program: &'static str, arguments: [&str; N]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap();
    output.unwrap_or_else(|error| panic!("{program}: {error}"))
}

#[tokio::test]
async fn swaks_delivers() {
    let inbox = RecordingInbox::new();
    let smtp = Smtp::bind(
        "ingress.smtp[0]",
        &settings(&["alerts@example.com"]),
        Clock::system(),
    )
    .unwrap();
    let server = smtp.local_addr().to_string();
    let running = Running::start(smtp, &inbox);
    let swaks = |to| {
        run(
            "swaks",
            [
                "--server",
                &server,
                "--from",
                "a@b.test",
                "--to",
                to,
                "--body",
                "Straße\n.dot\n",
            ],
        )
    };
    let output = swaks("alerts@example.com").await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let output = swaks("other@example.com").await;
    assert!(String::from_utf8_lossy(&output.stdout).contains("550 5.1.1"));
    running.stop().await;
    let [raw] = inbox.raw().try_into().expect("one mail");
    assert!(
        String::from_utf8(raw)
            .unwrap()
            .contains("\r\nStraße\r\n.dot\r\n")
    );
}

#[tokio::test]
async fn pythons_smtplib_delivers_many_mails_on_one_connection() {
    let inbox = RecordingInbox::new();
    let smtp = Smtp::bind(
        "ingress.smtp[0]",
        &settings(&["alerts@example.com"]),
        Clock::system(),
    )
    .unwrap();
    let port = smtp.local_addr().port().to_string();
    let running = Running::start(smtp, &inbox);
    let script = "
import smtplib, sys
with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as smtp:
    smtp.ehlo()
    assert smtp.has_extn('size') and smtp.has_extn('8bitmime') and smtp.has_extn('pipelining')
    assert smtp.has_extn('chunking') and smtp.has_extn('smtputf8') and not smtp.has_extn('starttls')
    for i in range(100):
        smtp.sendmail('a@b.test', ['alerts@example.com'], f'Subject: {i}\\r\\n\\r\\n.{i}\\r\\n')
    try:
        smtp.sendmail('a@b.test', ['alerts@example.com'], 'x' * (11 << 20))
        sys.exit('too large a mail was taken')
    except smtplib.SMTPSenderRefused as refused:
        assert refused.smtp_code == 552, refused
";
    let output = run("python3", ["-c", script, &port]).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    running.stop().await;
    let expected: Vec<_> = (0..100)
        .map(|i| format!("Subject: {i}\r\n\r\n.{i}\r\n").into_bytes())
        .collect();
    assert_eq!(inbox.raw(), expected);
}
