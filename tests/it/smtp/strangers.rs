//! What clients from the open network may take: told apart by the addresses a load balancer names
//! for them.

use std::num::NonZeroU32;

use alertbridge::ingress::listener::{Budget, Capacity};

use super::*;

/// A server behind a load balancer on loopback.
fn behind_a_balancer(
    inbox: &Arc<RecordingInbox>,
    settings: Settings,
    limits: Limits,
) -> (Running, std::net::SocketAddr) {
    let settings = Settings {
        proxy_protocol: vec!["127.0.0.0/8".into()],
        ..settings
    };
    let smtp = Smtp::bind("ingress.smtp[0]", &settings, Clock::system())
        .unwrap()
        .with_limits(limits);
    let address = smtp.local_addr();
    (Running::start(smtp, inbox), address)
}

/// The header for a client at 198.51.100.`last`.
fn header(last: u8) -> Vec<u8> {
    [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..],
        &[198, 51, 100, last, 10, 0, 0, 1, 0xc0, 0, 0, 25],
    ]
    .concat()
}

async fn connect(address: std::net::SocketAddr, first: &[u8]) -> Client {
    let mut client = Client(BufReader::new(TcpStream::connect(address).await.unwrap()));
    client.sends(first).await;
    client
}

fn ours() -> Settings {
    settings(&["alerts@example.com"])
}

#[tokio::test]
async fn the_client_a_balancer_names_is_the_peer() {
    let inbox = RecordingInbox::new();
    let allowed = Settings {
        allow_from: vec!["198.51.100.7".into()],
        ..ours()
    };
    let (running, address) = behind_a_balancer(&inbox, allowed, limits());
    // Header and commands at once, and byte by byte.
    let mut client = connect(address, &[&header(7)[..], b"HELO c\r\n"].concat()).await;
    client.hears("220").await;
    client.hears("250").await;
    let mut slow = connect(address, b"").await;
    for byte in header(7) {
        slow.sends([byte]).await;
    }
    slow.hears("220").await;
    slow.opens_data().await;
    slow.sends("a\r\n.\r\n").await;
    slow.hears("250 2.0.0 Stored").await;
    connect(address, &header(8)).await.hears("554 5.7.1").await;
    drop((client, slow));
    running.stop().await;
    let peer = inbox.stored()[0].envelope.as_ref().unwrap().peer.unwrap();
    assert_eq!(peer.to_string(), "198.51.100.7");
}

/// Sends a mail of each kind that is refused for good or for now, and returns the reasons that the
/// operator is told.
async fn told_of_refusals(address: std::net::SocketAddr, last: u8, running: &Running) -> String {
    let mut told = Vec::new();
    let large = "x\r\n".repeat(40_000);
    let by_data = |text: &str| format!("DATA\r\na: b\r\n\r\n{text}.\r\n");
    for (mail, reply) in [
        ("MAIL FROM:<a@b.test> SIZE=90000".into(), "552"),
        (by_data(&large), "552"),
        (format!("BDAT 90000 LAST\r\n{}", "x".repeat(90_000)), "552"),
        ("BDAT 99999999999 LAST\r\n".into(), "552"),
        (by_data("a lone\nline feed\r\n"), "550"),
        (by_data("well\r\n"), "250"),
    ] {
        running.health.elsewhere("mx");
        let mut client = connect(address, &header(last)).await;
        client.hears("220").await;
        client.sends("HELO c\r\n").await;
        client.hears("250").await;
        if !mail.starts_with("MAIL") {
            client.sends("MAIL FROM:<a@b.test>\r\n").await;
            client.hears("250").await;
            client.sends("RCPT TO:<alerts@example.com>\r\n").await;
            client.hears("250").await;
        }
        client.sends(mail.as_bytes()).await;
        client.sends("\r\n").await;
        if mail.starts_with("DATA") {
            client.hears("354").await;
        }
        client.hears(reply).await;
        let conditions = running.health.conditions();
        let refused = conditions.get("mx").and_then(|its| its.refused);
        told.push(match refused {
            Some((why, _)) if why.contains("max_message_size") => 's',
            Some((why, _)) if why.contains("CRLF") => 'l',
            Some(_) => '?',
            None => '.',
        });
    }

    told.into_iter().collect()
}

#[tokio::test]
async fn the_operator_is_told_of_mail_that_a_known_client_will_not_send_again() {
    for (allow_from, told) in [
        (vec!["198.51.100.7".to_owned()], "ssssl."),
        (Vec::new(), "......"),
    ] {
        let settings = Settings {
            allow_from,
            max_message_size: "64KiB".parse().unwrap(),
            ..ours()
        };
        let (running, address) = behind_a_balancer(&RecordingInbox::new(), settings, limits());
        assert_eq!(told_of_refusals(address, 7, &running).await, told);
        running.stop().await;
    }
}

#[tokio::test]
async fn a_balancer_must_send_a_header_and_a_good_one() {
    let (running, address) = behind_a_balancer(
        &RecordingInbox::new(),
        ours(),
        Limits {
            handshake: Duration::from_millis(200),
            ..limits()
        },
    );
    let broken = [&header(7)[..12], b"\x31\x11\0\x0c", &header(7)[16..]].concat();
    for bad in [
        &b""[..],
        b"EHLO client.example\r\n",
        b"PROXY TCP4 198.51.100.7 10.0.0.1 1 25\r\n",
        &header(7)[..20],
        &broken,
    ] {
        connect(address, bad).await.is_closed().await;
    }
    // It asks for itself whether the server is there.
    connect(address, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")
        .await
        .hears("220")
        .await;
    running.stop().await;
}

#[tokio::test]
async fn a_header_from_anybody_else_is_no_header() {
    let inbox = RecordingInbox::new();
    let settings = Settings {
        proxy_protocol: vec!["192.0.2.0/24".into()],
        ..ours()
    };
    let smtp = Smtp::bind("ingress.smtp[0]", &settings, Clock::system())
        .unwrap()
        .with_limits(limits());
    let address = smtp.local_addr();
    let running = Running::start(smtp, &inbox);
    let mut client = connect(address, &[&header(7)[..], b"\r\n"].concat()).await;
    client.hears("220").await;
    // With the LF in its address it is six lines that are no command.
    for _ in 0..6 {
        client.hears("500").await;
    }
    client.opens_data().await;
    client.sends("a\r\n.\r\n").await;
    client.hears("250").await;
    drop(client);
    running.stop().await;
    assert_eq!(
        inbox.stored()[0]
            .envelope
            .as_ref()
            .unwrap()
            .peer
            .unwrap()
            .to_string(),
        "127.0.0.1"
    );
}

#[tokio::test]
async fn one_client_has_so_many_connections_and_others_theirs() {
    let bounds = Bounds {
        client_connections: 2,
        ..limits().bounds
    };
    let limits = Limits { bounds, ..limits() };
    let (running, address) = behind_a_balancer(&RecordingInbox::new(), ours(), limits);
    let (mut first, mut second) = (
        connect(address, &header(1)).await,
        connect(address, &header(1)).await,
    );
    first.hears("220").await;
    second.hears("220").await;
    let mut third = connect(address, &header(1)).await;
    third.hears("421 4.7.0").await;
    third.is_closed().await;
    connect(address, &header(2)).await.hears("220").await;
    first.sends("QUIT\r\n").await;
    first.hears("221").await;
    first.is_closed().await;
    let again = timeout(PATIENCE, async {
        while !connect(address, &header(1))
            .await
            .line()
            .await
            .starts_with("220")
        {}
    });
    again.await.expect("the place becomes free");
    drop(second);
    running.stop().await;
}

#[tokio::test]
async fn one_client_sends_so_many_mails_a_minute_and_those_we_know_as_many_as_they_like() {
    let limits = Limits {
        client_mails: NonZeroU32::new(2).unwrap(),
        ..limits()
    };
    let inbox = RecordingInbox::new();
    let known = Settings {
        allow_from: vec!["198.51.100.0/28".into(), "0.0.0.0/0".into()],
        ..ours()
    };
    for (settings, refused) in [(ours(), true), (known, false)] {
        let (running, address) = behind_a_balancer(&inbox, settings, limits.clone());
        let mut client = connect(address, &header(1)).await;
        client.hears("220").await;
        for _ in 0..2 {
            client.opens_data().await;
            client.sends("a\r\n.\r\n").await;
            client.hears("250").await;
        }
        client.sends("MAIL FROM:<a@b.test>\r\n").await;
        client
            .hears(if refused { "450 4.7.1" } else { "250" })
            .await;
        let mut other = connect(address, &header(2)).await;
        other.hears("220").await;
        other.opens_data().await;
        drop((client, other));
        running.stop().await;
    }
    assert_eq!(inbox.stored().len(), 4);
}

#[tokio::test]
async fn large_mails_share_a_budget_and_small_ones_are_always_taken() {
    let limits = Limits {
        capacity: Capacity::new(usize::MAX, Budget::new(1 << 20)),
        ..limits()
    };
    let inbox = RecordingInbox::new();
    let smtp = Smtp::bind("ingress.smtp[0]", &ours(), Clock::system())
        .unwrap()
        .with_limits(limits);
    let address = smtp.local_addr();
    let running = Running::start(smtp, &inbox);
    let mut large = connect(address, b"").await;
    large.hears("220").await;
    large.opens_data().await;
    // By doubling from 128 KiB its buffer is 1 MiB then: all but a part that is free.
    let mut line = "x".repeat(98).into_bytes();
    line.extend(b"\r\n");
    let most = line.repeat(7000);
    large.sends(&most).await;

    let mut second = connect(address, b"").await;
    second.hears("220").await;
    second.sends("HELO c\r\n").await;
    second.hears("250").await;
    let full = timeout(PATIENCE, async {
        loop {
            second.sends("MAIL FROM:<a@b.test> SIZE=900000\r\n").await;
            if second.line().await.starts_with("452 4.3.1") {
                break;
            }
            second.sends("RSET\r\n").await;
            second.hears("250").await;
        }
    });
    full.await.expect("the large mail takes its room");
    // One that does not say how large it is learns it in the end; by chunks, too; and the
    // connection lives.
    second.opens_data().await;
    second.sends(&most).await;
    second.sends(".\r\n").await;
    second.hears("452 4.3.1").await;
    second
        .sends("MAIL FROM:<a@b.test>\r\nRCPT TO:<alerts@example.com>\r\nBDAT 700000\r\n")
        .await;
    second.sends(&most).await;
    for reply in ["250", "250", "452 4.3.1"] {
        second.hears(reply).await;
    }
    second.opens_data().await;
    second.sends(line.repeat(1000)).await;
    second.sends(".\r\n").await;
    second.hears("250 2.0.0 Stored").await;

    large.sends(".\r\n").await;
    large.hears("250 2.0.0 Stored").await;
    second.sends("MAIL FROM:<a@b.test> SIZE=900000\r\n").await;
    second.hears("250").await;
    drop((large, second));
    running.stop().await;
    assert_eq!(inbox.raw(), [line.repeat(1000), most]);
}
