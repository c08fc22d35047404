//! How a canary is handed in: as a page by mail is, whatever the server says and however.

use std::{fs, path::Path, sync::atomic::Ordering, time::Duration};

use tokio::{
    io::{AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::{
    email::{MailServer, asks_for_login, ends_oddly, greets_without_end},
    harness::Bridge,
    inbox::eventually,
    mailbox::Mailbox,
};

/// A bridge that sends its canaries by this, to an address whose mail nobody brings back.
fn sends(folder: &Path, via: &str) -> Bridge {
    beside(folder, via, "")
}

/// The same, which also has this ingress.
fn beside(folder: &Path, via: &str, ingress: &str) -> Bridge {
    Bridge::start(folder, &sending(via, ingress))
}

fn sending(via: &str, ingress: &str) -> String {
    format!(
        "store: {{ url: 'sqlite:state.db' }}
admin: {{ listen: '127.0.0.1:0' }}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}], {ingress} }}
canary:
  every: 1h
  deadline: 1m
  send_via: {{ {via}, from: bridge@example.org, to: alerts@example.com }}
route: {{ receiver: out }}
receivers: [{{ name: out, stdout_configs: [{{}}] }}]
"
    )
}

/// Whether the first canary was sent, and why it was not; neither as long as nobody knows.
fn known(folder: &Path) -> (bool, String) {
    let store = rusqlite::Connection::open(folder.join("state.db")).unwrap();
    let asked = "SELECT sent_at IS NOT NULL, coalesce(failure, '') FROM canaries ORDER BY number";
    store
        .query_row(asked, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap_or_default()
}

async fn settled(folder: &Path) -> (bool, String) {
    let is_known = || known(folder) != (false, String::new());
    eventually("the canary to be sent, or not", is_known).await;
    known(folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_the_server_took_is_sent_however_the_server_says_so() {
    for said in [
        &b"250 \xFF\xFE\x00\r\n"[..],
        b"250-one\n250-\xFF\r\n250\n",
        b"250 and away",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (port, mails) = ends_oddly(said, Duration::ZERO).await;
        let via = format!(
            "smtp: 127.0.0.1, port: {port}, tls: none, username: user, password: password-9"
        );
        let bridge = sends(folder.path(), &via);
        let said = String::from_utf8_lossy(said);
        assert_eq!(
            settled(folder.path()).await,
            (true, String::new()),
            "{said}"
        );
        assert_eq!(mails.load(Ordering::SeqCst), 1, "{said}");
        drop(bridge);
    }
}

/// A server that is busy (RFC 5321: 421, 450, or no answer) is asked again, so that nobody is paged
/// for it; one that refuses for good is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_is_handed_in_again_within_its_deadline_unless_it_is_refused_for_good() {
    for (greeting, is_final) in [
        ("421 4.3.2 too busy\r\n", false),
        ("", false),
        ("554 5.7.1 not you\r\n", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let clock = folder.path().join("clock");
        fs::write(&clock, "0").unwrap();
        let (behind, mails) = ends_oddly(b"250 ok\r\n", Duration::ZERO).await;
        let port = busy_once(greeting, behind).await;
        let via = format!("smtp: 127.0.0.1, port: {port}, tls: none");
        let clock_of_test = [("ALERTBRIDGE_CLOCK", clock.to_str().unwrap())];
        let bridge = Bridge::start_with(folder.path(), &sending(&via, ""), &clock_of_test);
        let (sent, why) = settled(folder.path()).await;
        assert!(!sent && why.starts_with("127.0.0.1: "), "{why}");

        let pass = |seconds: &str| {
            let new = folder.path().join("clock.new");
            fs::write(&new, seconds).unwrap();
            fs::rename(new, &clock).unwrap();
        };
        // In its time and once more after it.
        pass("11");
        if is_final {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            assert_eq!(known(folder.path()), (false, why), "{}", bridge.log());
        } else {
            let is_sent = || known(folder.path()) == (true, String::new());
            eventually("the canary to be sent", is_sent).await;
        }
        pass("22");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let taken = usize::from(!is_final);
        assert_eq!(mails.load(Ordering::SeqCst), taken, "{greeting}");
    }
}

/// A server that says this to the first who comes and hangs up, and passes the others on.
async fn busy_once(greeting: &'static str, behind: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        first.write_all(greeting.as_bytes()).await.unwrap();
        drop(first);
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            let mut to = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut from, &mut to).await });
        }
    });
    port
}

/// A mailbox that is begun is read from its first look on, however late that is: a canary before it
/// would be missing. One that cannot be looked at shows by its canary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_canary_waits_for_the_first_look_at_every_mailbox() {
    for is_slow in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (port, _) = ends_oddly(b"250 ok\r\n", Duration::ZERO).await;
        let mailbox = Mailbox::start().await;
        if is_slow {
            mailbox.state().slow_at = Some(("UID SEARCH", Duration::from_secs(3)));
        } else {
            mailbox.state().logins = vec!["NO [AUTHENTICATIONFAILED] no"; 9];
        }
        mailbox.deliver(b"Subject: old\r\n\r\n");
        let imap = format!(
            "imap: [{{ name: mailbox, host: 127.0.0.1, port: {}, tls: none, username: alerts, \
             password: p }}]",
            mailbox.port
        );
        let via = format!(
            "smtp: 127.0.0.1, port: {port}, tls: none, username: user, password: password-9"
        );
        let bridge = beside(folder.path(), &via, &imap);
        let count = |table: &str| {
            let store = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
            let count = store.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                row.get::<_, u32>(0)
            });
            count.unwrap_or(0)
        };
        eventually("the first canary", || count("canaries") == 1).await;
        let is_read = count("bookmarks WHERE mailbox LIKE 'imap:%'") > 0;
        assert_eq!(is_read, is_slow, "{}", bridge.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_greeting_without_end_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (port, longest) = greets_without_end().await;
    let via = format!("smtp: 127.0.0.1, port: {port}, tls: none");
    let bridge = sends(folder.path(), &via);
    let (sent, why) = settled(folder.path()).await;
    assert!(!sent, "{why}");
    assert_eq!(
        why,
        "127.0.0.1: the server's reply makes no sense: a line of its reply has no end"
    );
    eventually("the end of the line", || longest.load(Ordering::SeqCst) > 0).await;
    // What the sockets' buffers hold is written, too.
    assert!(longest.load(Ordering::SeqCst) < 32 << 20);
    drop(bridge);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_refused_is_told_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (port, heard) = asks_for_login("hunter2-hunter2").await;
    let via = format!(
        "smtp: 127.0.0.1, port: {port}, tls: none, username: bridge, password: wrong-wrong"
    );
    let bridge = sends(folder.path(), &via);
    let (sent, why) = settled(folder.path()).await;
    assert!(!sent && why.contains("535 5.7.8"), "{why}");
    assert!(!heard.lock().unwrap().join("\n").contains("MAIL FROM"));
    assert!(!bridge.log().contains("wrong-wrong"), "{}", bridge.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_goes_encrypted_to_a_server_whose_certificate_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = MailServer::start(folder.path()).await else {
        return;
    };
    let port = server.postfix.submission.port();
    let via = format!("smtp: localhost, port: {port}, tls: starttls");
    let elsewhere = tempfile::tempdir().unwrap();
    let distrustful = sends(elsewhere.path(), &via);
    let (sent, why) = settled(elsewhere.path()).await;
    assert!(!sent && why.contains("certificate"), "{why}");

    let authority = folder.path().join("ca.pem");
    let via = format!("{via}, ca_file: '{}'", authority.display());
    let bridge = sends(folder.path(), &via);
    assert_eq!(settled(folder.path()).await, (true, String::new()));
    let mails = server.mails(1).await;
    assert!(mails[0].contains("alertbridge canary "), "{}", mails[0]);
    drop((bridge, distrustful));
    server.stop().await;
}
