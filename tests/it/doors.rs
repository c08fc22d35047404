//! What several doors owe each other, and what each refuses: seen in the metrics of the real
//! program.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use crate::harness::{self, Bridge};

const CONFIG: &str = "
store: { url: 'sqlite:alertbridge.db' }
admin: { listen: '127.0.0.1:0' }
ingress:
  http: { listen: '127.0.0.1:0' }
  webhook: [{ name: http }, { name: guarded, token: s3cret }]
  smtp:
    - { name: closed, listen: '127.0.0.1:0', recipients: ['alerts@example.com'], allow_from: \
    ['192.0.2.0/24'] }
    - { name: smtp, listen: '127.0.0.1:0', recipients: ['alerts@example.com'], max_message_size: \
    64KiB }
route: { receiver: stdout }
receivers: [{ name: stdout, stdout_configs: [{}] }]
";

/// What a counter says, summed over the labels that are not given.
async fn count(bridge: &Bridge, metric: &str, labels: &str) -> i64 {
    bridge
        .metric(&format!("alertbridge_{metric}"), labels)
        .await
        .to_string()
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_alert_by_two_doors_is_one_incident_and_the_late_door_shows() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), CONFIG);
    let late = async |door| count(&bridge, "mail_late_seconds_count", door).await;
    let mail = harness::run(folder.path(), &["sample"]).stdout;
    assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    bridge.settled(1).await;
    harness::smtp_try(bridge.smtp.unwrap(), &mail).unwrap();
    bridge.settled(2).await;
    assert_eq!((late("\"smtp\"").await, late("\"http\"").await), (1, 0));
    // Again by the door that was first: a copy, and not late.
    assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    bridge.settled(3).await;
    assert_eq!((late("\"smtp\"").await, late("\"http\"").await), (1, 0));

    assert_eq!(count(&bridge, "mails_total", "outcome=\"opened\"").await, 1);
    assert_eq!(
        count(&bridge, "mails_total", "outcome=\"duplicate\"").await,
        2
    );
    assert_eq!(bridge.pages().len(), 1, "{:?}", bridge.pages());
    let incidents = bridge.command(&["incidents", "list", "--json"]).stdout;
    let incidents: Vec<serde_json::Value> = serde_json::from_slice(&incidents).unwrap();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
}

/// What a server says to all of this, sent at once.
fn says(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(harness::PATIENCE)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_counted_by_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), CONFIG);
    let log = bridge.log();
    let closed = log
        .lines()
        .find_map(|line| line.trim().strip_prefix("SMTP"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(says(closed, "").starts_with("554 5.7.1"));
    let open = "HELO c\r\nMAIL FROM:<a@b.test>\r\n";
    let begun = format!("{open}RCPT TO:<alerts@example.com>\r\nDATA\r\n");
    for (text, reply) in [
        (
            format!("{open}RCPT TO:<a@elsewhere.test>\r\nRCPT TO:<a@example.com>\r\nQUIT\r\n"),
            "550 5.7.1",
        ),
        (
            "HELO c\r\nMAIL FROM:<> SIZE=99999999\r\nQUIT\r\n".into(),
            "552 5.3.4",
        ),
        (
            format!("{begun}a: b\r\n\r\n{}\r\n.\r\nQUIT\r\n", "x".repeat(80_000)),
            "552 5.3.4",
        ),
        (format!("{begun}a: b\n\r\n.\r\nQUIT\r\n"), "550 5.6.11"),
        ("NONSENSE\r\n".repeat(20), "421 4.7.0 Too many errors"),
        ("NOOP\r\n".repeat(1001), "421 4.7.0 Too many commands"),
    ] {
        let heard = says(bridge.smtp.unwrap(), &text);
        assert!(heard.contains(reply), "{heard}");
    }
    let guarded = bridge.http.replace("/ingress/http", "/ingress/guarded");
    let request = harness::client()
        .post(guarded)
        .header("content-type", "message/rfc822")
        .body("a: b\r\n\r\n");
    assert_eq!(request.send().await.unwrap().status(), 401);

    for (metric, labels, expected) in [
        (
            "connections",
            "ingress=\"closed\",reason=\"not_allowed\"",
            1,
        ),
        (
            "connections",
            "ingress=\"smtp\",reason=\"too_many_errors\"",
            1,
        ),
        (
            "connections",
            "ingress=\"smtp\",reason=\"too_many_commands\"",
            1,
        ),
        ("mails", "ingress=\"smtp\",reason=\"recipient\"", 2),
        ("mails", "ingress=\"smtp\",reason=\"too_large\"", 2),
        ("mails", "ingress=\"smtp\",reason=\"bare_line_break\"", 1),
        ("mails", "ingress=\"guarded\",reason=\"unauthorized\"", 1),
    ] {
        let counted = count(&bridge, &format!("{metric}_refused_total"), labels).await;
        assert_eq!(counted, expected, "{metric} {labels}");
    }
    assert_eq!(
        count(&bridge, "mails_total", "").await,
        0,
        "what is refused is no mail"
    );
}

/// Mails near the size limit that are made to be dear.
fn dear_mails() -> Vec<String> {
    const SIZE: usize = 9 << 20;
    let header = "From: no-reply@am.atlassian.com\r\nMIME-Version: 1.0\r\n";
    let html = |body: &str| format!("{header}Content-Type: text/html\r\n\r\n{body}");
    let element = "<script type=application/json id=incident-data>{";
    let fill = |unit: &str| unit.repeat(SIZE / unit.len());
    let mut nested = header.to_owned();
    for level in 0..100_000 {
        write!(
            nested,
            "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
        )
        .unwrap();
    }
    vec![
        html(&(fill("<div>") + element)),
        html(&fill("<script id=incident-data>x</script>")),
        html(&(element.to_owned() + &fill("\"a\":{"))),
        format!(
            "{header}Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
            fill("PGE+\r\n")
        ),
        format!(
            "{header}Content-Type: text/html\r\nContent-Transfer-Encoding: \
             quoted-printable\r\n\r\n{}",
            fill("=3Ca=\r\n>")
        ),
        format!(
            "{header}Content-Type: text/html; charset=windows-1252\r\n\r\n{}",
            fill("\u{e9}<")
        ),
        format!("{header}{}\r\n{element}", fill("X: y\r\n")),
        nested,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_sent_the_memory_of_the_program_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), CONFIG);
    let mails = dear_mails();
    // Eight mails of 9 MiB come at once, and up to 16 are decided together, one after the other: of
    // all that is sent in these rounds the program may hold no more than a part at any time.
    let (rounds, most) = (6, 400 << 20);
    for round in 1..=rounds {
        let posted =
            futures_util::future::join_all(mails.iter().map(|mail| bridge.post(mail.as_bytes())))
                .await;
        assert!(
            posted.iter().all(|status| matches!(status, Ok(202))),
            "{posted:?}"
        );
        bridge
            .settled(round * u32::try_from(mails.len()).unwrap())
            .await;
    }
    let sent = u64::from(rounds) * mails.iter().map(|mail| mail.len() as u64).sum::<u64>();
    let peak = bridge.peak_memory();
    assert!(sent > most && peak < most, "{peak} bytes for {sent}");
}
