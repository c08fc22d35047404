//! Mail servers that word things otherwise than RFC 5321 has it. A mail that one took is not sent
//! again for that, and one that says nothing of it gets it four times at most.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
};

use crate::delivery::{listed, post, start, trigger};

/// What a server says, in place of what others do: to a command, to a line of a login, at first
/// (`hello`), and to a mail (`.`). Where that is nothing, or ends in no line feed, it hangs up.
type Says = &'static [(&'static str, &'static str)];

/// Such a server, and how many mails it was given.
async fn server(says: Says) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mails = Arc::new(AtomicUsize::new(0));
    let given = Arc::clone(&mails);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let given = Arc::clone(&given);
            tokio::spawn(async move {
                let (reader, mut writer) = stream.into_split();
                let mut lines = BufReader::new(reader).lines();
                let mut command = "hello".to_owned();
                loop {
                    let own = says.iter().find(|(said, _)| *said == command);
                    let own = own.or_else(|| {
                        let verb = command.split(' ').next().unwrap_or_default();
                        says.iter().find(|(said, _)| *said == verb)
                    });
                    let usual = match command.split(' ').next().unwrap_or_default() {
                        "hello" => "220 hello\r\n",
                        "EHLO" => "250-hello\r\n250 8BITMIME\r\n",
                        "AUTH" => "235 known\r\n",
                        "DATA" => "354 go\r\n",
                        "MAIL" | "RCPT" | "HELO" | "." => "250 ok\r\n",
                        "QUIT" => "221 bye\r\n",
                        _ => "500 what\r\n",
                    };
                    let reply = own.map_or(usual, |(_, reply)| reply);
                    let in_data = command == "DATA" && reply.starts_with("354");
                    if writer.write_all(reply.as_bytes()).await.is_err() || !reply.ends_with('\n') {
                        return;
                    }
                    command = loop {
                        match lines.next_line().await {
                            Ok(Some(line)) if in_data && line != "." => {}
                            Ok(Some(line)) => break line,
                            _ => return,
                        }
                    };
                    if in_data {
                        given.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    (port, mails)
}

/// Tells these servers, which know the user, of an alert; for each the delivery, and how many mails
/// it was given.
async fn told(servers: &[(&'static str, Says)]) -> BTreeMap<&'static str, (Value, usize)> {
    told_as(servers, ", username: user, password: password-9").await
}

async fn told_as(
    servers: &[(&'static str, Says)],
    login: &str,
) -> BTreeMap<&'static str, (Value, usize)> {
    let mut running = Vec::new();
    for (name, says) in servers {
        running.push((*name, server(says).await));
    }
    let each = running.iter().map(|(_, (port, _))| {
        format!(
            "      - {{ to: a@example.com, from: b@example.net, smarthost: {{ host: 127.0.0.1, \
             port: {port}, tls: none{login} }} }}\n"
        )
    });
    let rest = format!(
        "delivery: {{ timeout: 1s, backoff: {{ initial: 1s, max: 1s }} }}\nroute: {{ receiver: sink, \
         routes: [{{ receiver: oncall, matchers: ['kind=incident'] }}] }}\nreceivers:\n  - name: sink\n  - name: oncall\n    email_configs:\n{}",
        each.collect::<String>()
    );
    let folder = tempfile::tempdir().unwrap();
    let bridge = start(folder.path(), &rest);
    post(&bridge, &trigger("a")).await;
    bridge.settled(1).await;
    let rows = listed(&bridge, &["deliveries", "list", "--json"]);
    let of = |at: usize| {
        let integration = format!("email/{at}");
        rows.iter().find(|row| row["integration"] == integration)
    };
    running
        .into_iter()
        .enumerate()
        .map(|(at, (name, (_, mails)))| {
            let row = of(at).unwrap().clone();
            (name, (row, mails.load(Ordering::SeqCst)))
        })
        .collect()
}

const EHLO: (&str, &str) = ("EHLO", "250-hello\r\n250-AUTH PLAIN LOGIN\r\n250 ok\r\n");
// A login by LOGIN, step by step.
const BEGIN: (&str, &str) = ("AUTH LOGIN", "334 VXNlcm5hbWU6\r\n");
const USER: (&str, &str) = ("dXNlcg==", "334 UGFzc3dvcmQ6\r\n");
const PASSWORD: (&str, &str) = ("cGFzc3dvcmQtOQ==", "235 known\r\n");
/// A refusal of the mail.
const REFUSED: (&str, &str) = (".", "552 too large\r\n");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_is_sent_once_however_the_server_words_its_replies() {
    let servers: [(&str, Says); 9] = [
        (
            "two greetings",
            &[EHLO, ("hello", "220 hello\r\n220 welcome\r\n")],
        ),
        ("two of 354", &[EHLO, ("DATA", "354 go\r\n354 go on\r\n")]),
        ("a blank line", &[EHLO, (".", "\r\n250 ok\r\n")]),
        ("a space", &[EHLO, (".", " 250 ok\r\n")]),
        (
            "a line of text",
            &[EHLO, (".", "warning: slow\r\n250 ok\r\n")],
        ),
        ("354 again", &[EHLO, (".", "354 hm\r\n250 ok\r\n")]),
        ("no last line", &[EHLO, (".", "250-queued\r\n250-as 1")]),
        (
            "354 on lines",
            &[EHLO, ("DATA", "354-go\r\n\r\n354 on\r\n")],
        ),
        (
            "a blank in between",
            &[EHLO, (".", "250-a\r\n\r\n250 b\r\n")],
        ),
    ];
    for (name, (row, mails)) in told(&servers).await {
        assert_eq!(row["state"], "delivered", "{name}: {row}");
        assert_eq!(mails, 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_behind_a_surplus_reply_is_seen() {
    let servers: [(&str, Says); 2] = [
        (
            "two greetings",
            &[EHLO, REFUSED, ("hello", "220 a\r\n220 b\r\n")],
        ),
        (
            "two of 354",
            &[EHLO, REFUSED, ("DATA", "354 a\r\n354 b\r\n")],
        ),
    ];
    for (name, (row, mails)) in told(&servers).await {
        assert_eq!(row["state"], "dead", "{name}: {row}");
        assert!(row.to_string().contains("SMTP 552"), "{name}: {row}");
        assert_eq!(mails, 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_of_which_the_server_says_nothing_is_sent_four_times() {
    let servers: [(&str, Says); 3] = [
        ("nothing", &[EHLO, (".", "")]),
        ("a half of it", &[EHLO, (".", "25")]),
        ("text", &[EHLO, (".", "what a mail")]),
    ];
    for (name, (row, mails)) in told(&servers).await {
        assert_eq!(row["state"], "dead", "{name}: {row}");
        assert!(
            row.to_string().contains("may have been accepted"),
            "{name}: {row}"
        );
        assert_eq!(mails, 4, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bridge_logs_in_however_the_server_offers_and_asks_for_it() {
    let servers: [(&str, Says); 5] = [
        (
            "two lines",
            &[
                (
                    "EHLO",
                    "250-a\r\n250-AUTH CRAM-MD5\r\n250-AUTH LOGIN\r\n250 b\r\n",
                ),
                BEGIN,
                USER,
                PASSWORD,
            ],
        ),
        (
            "two spellings",
            &[
                (
                    "EHLO",
                    "250-a\r\n250-AUTH GSSAPI\r\n250-auth=login\r\n250 b\r\n",
                ),
                BEGIN,
                USER,
                PASSWORD,
            ],
        ),
        (
            "PLAIN refused",
            &[
                EHLO,
                ("AUTH", "504 not this one\r\n"),
                BEGIN,
                USER,
                PASSWORD,
            ],
        ),
        (
            "PLAIN on two lines",
            &[
                EHLO,
                ("AUTH", "334 \r\n"),
                ("AHVzZXIAcGFzc3dvcmQtOQ==", "235 known\r\n"),
            ],
        ),
        ("PLAIN", &[EHLO]),
    ];
    for (name, (row, mails)) in told(&servers).await {
        assert_eq!(row["state"], "delivered", "{name}: {row}");
        assert_eq!(mails, 1, "{name}");
    }

    // A wrong password is not tried by another mechanism: it would count twice at the server.
    let servers: [(&str, Says); 1] = [(
        "wrong",
        &[
            EHLO,
            ("AUTH", "535 no\r\n"),
            ("AUTH LOGIN", "235 known\r\n"),
        ],
    )];
    let (row, _) = &told(&servers).await["wrong"];
    assert_eq!(row["state"], "dead", "{row}");
}

/// A server that is of before 1995, or pretends to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_extensions_is_greeted_in_the_old_way() {
    let servers: [(&str, Says); 2] = [
        ("500", &[("EHLO", "500 what\r\n")]),
        ("502", &[("EHLO", "502 5.5.1 not implemented\r\n")]),
    ];
    for (name, (row, mails)) in told_as(&servers, "").await {
        assert_eq!(row["state"], "delivered", "{name}: {row}");
        assert_eq!(mails, 1, "{name}");
    }
}
