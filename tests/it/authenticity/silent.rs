//! A flood of questions that nobody answers: neither another door, nor another client, nor the mail
//! behind it goes unproven for it.

use std::{io, net::Ipv4Addr, sync::Arc, thread};

use futures_util::future::join_all;
use tokio::net::TcpSocket;

use super::{trouble::zone_with_holes, *};
use crate::harness::{self, Bridge, PATIENCE};

/// Forged mail whose key is at a name of its own that nobody answers for.
fn silent(number: usize) -> Vec<u8> {
    altered(&GENUINE, "s=s1", &format!("s=n{number}.dead"))
}

static GENUINE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(genuine);

fn signed_alert(incident: &str) -> Vec<u8> {
    let alert = sample::mail("ANOMALOUS", Some(incident), now());
    signed(alert.as_bytes(), DOMAIN, json!({}))
}

fn config(dns: &str) -> String {
    format!(
        "store: {{ url: 'sqlite:state.db' }}
admin: {{ listen: '127.0.0.1:0' }}
ingress:
  http: {{ listen: '127.0.0.1:0' }}
  webhook: [{{ name: mail }}]
  smtp: [{{ name: smtp, listen: '127.0.0.1:0', recipients: ['alerts@example.com'] }}]
alerts: {{ authenticity: {{ dns: ['{dns}'] }} }}
route: {{ receiver: people }}
receivers: [{{ name: people, stdout_configs: [{{}}] }}]
"
    )
}

/// Sends mails over a connection from this address, one after the other, until none is taken.
fn send(from: Ipv4Addr, to: std::net::SocketAddr, mail: &[u8]) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stream = runtime.block_on(socket.connect(to))?.into_std()?;
    stream.set_nonblocking(false)?;
    harness::smtp_over(&stream, mail)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_silent_names_keeps_no_genuine_mail_from_being_proven_right_after_the_start() {
    let (zone, hole) = zone_with_holes();
    let folder = tempfile::tempdir().unwrap();
    let (by_http, by_smtp) = (signed_alert("by-http"), signed_alert("by-smtp"));
    let forged: Arc<Vec<_>> = Arc::new((0..400).map(silent).collect());
    let bridge = Bridge::start(folder.path(), &config(&zone.address));
    let smtp = bridge.smtp.unwrap();
    for first in 0..100 {
        let forged = Arc::clone(&forged);
        thread::spawn(move || {
            for mail in forged[first..].iter().step_by(100) {
                if send(Ipv4Addr::LOCALHOST, smtp, mail).is_err() {
                    return;
                }
            }
        });
    }
    // It has begun: as many are asked for as one client may ask for at once.
    hole.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..16 {
        hole.recv(&mut [0; 512]).unwrap();
    }

    let begun = Instant::now();
    let other = tokio::task::spawn_blocking(move || {
        send(Ipv4Addr::new(127, 0, 0, 2), smtp, &by_smtp).unwrap();
    });
    let (posted, sent) = tokio::join!(bridge.post(&by_http), other);
    assert_eq!(posted.unwrap(), 202);
    sent.unwrap();
    for incident in ["by-http", "by-smtp"] {
        let page = &bridge.printed(incident, 1).await[0];
        assert!(!page.contains("UNVERIFIED"), "{page}");
    }
    let took = begun.elapsed();
    println!("both are told after {took:?}");
    assert!(took < Duration::from_secs(8), "{took:?}");
    let passed = bridge
        .metric("alertbridge_authenticity_total", "verdict=\"pass\"")
        .await;
    assert!((passed - 2.0).abs() < 0.5, "{passed} are proven");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_a_place_behind_silent_names_is_not_of_the_time_that_a_mail_has() {
    let (zone, _silent) = zone_with_holes();
    let at_one_door = |mail: &[u8], peer: Option<&str>| Message {
        envelope: peer.map(|peer| Envelope {
            peer: Some(peer.parse().unwrap()),
            mail_from: String::new(),
            ..Envelope::default()
        }),
        ..message("smtp", mail)
    };
    // Through a mailbox, which has no clients, and from one client.
    let flooded = async |peer: Option<&str>, count: usize| {
        let judge = judge_by(&zone.address);
        let flood: Vec<_> = (0..count)
            .map(|number| at_one_door(&silent(number), peer))
            .collect();
        let real = at_one_door(&GENUINE, peer);
        let (all, real) = tokio::join!(
            join_all(flood.iter().map(|mail| judge.judge(mail))),
            judge.judge(&real),
        );
        assert_eq!(real.verdict, Verdict::Pass, "{peer:?}: {real:?}");
        for judged in all {
            assert_eq!(judged.verdict, Verdict::Fail, "{judged:?}");
        }
    };
    tokio::join!(flooded(None, 160), flooded(Some("192.0.2.1"), 40));
}
