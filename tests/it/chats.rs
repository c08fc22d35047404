//! Trigger and resolve in the chats: the real program against vendors that know their limits.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, sync::Arc, sync::Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    delivery::{delivery, listed, post, resolve, said, start, trigger},
    harness::{Bridge, PATIENCE},
    vendors::{Discord, Fake, Slack, SlackBot, Teams},
};

/// A bridge with one receiver `chat`, whose credential lies in the file `secret`.
fn chat(folder: &Path, secret: &str, integration: &str) -> Bridge {
    fs::write(folder.join("secret"), secret).unwrap();
    start(
        folder,
        &format!("route: {{ receiver: chat }}\nreceivers:\n  - name: chat\n    {integration}"),
    )
}

/// `receivers test` says that trigger and resolve were delivered.
fn tested(bridge: &Bridge) {
    let output = bridge.command(&["receivers", "test", "chat"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(said.matches("delivered").count(), 2, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn teams_gets_a_card_for_the_trigger_and_one_for_the_resolve() {
    let folder = tempfile::tempdir().unwrap();
    let teams = Teams::start().await;
    let bridge = chat(
        folder.path(),
        &teams.url(),
        "teams_configs: [{ webhook_url_file: secret }]",
    );
    teams.fail_next(1, 429, &[("retry-after", "1")]);
    post(&bridge, &trigger("a")).await;
    assert_eq!(
        teams.next_page_within(PATIENCE).await.title,
        "com.example.app: Jira App Availability 90.5% (objective 99.9%)"
    );
    post(&bridge, &resolve("a")).await;
    assert_eq!(teams.next_page_within(PATIENCE).await.action, "resolve");
    teams.assert_quiet();
    tested(&bridge);
    assert!(
        teams.pages()[2..]
            .iter()
            .all(|page| page.title.starts_with("[TEST] ")),
        "{:?}",
        teams.pages()
    );
    assert_eq!((teams.cards().len(), teams.violations()), (4, vec![]));
    assert!(!bridge.log().contains(teams.key()), "{}", bridge.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discord_gets_a_message_for_each_and_more_than_it_takes_at_once_a_little_later() {
    let folder = tempfile::tempdir().unwrap();
    let discord = Discord::start().await;
    let bridge = chat(
        folder.path(),
        &discord.url(),
        "discord_configs: [{ webhook_url_file: secret }]",
    );
    post(&bridge, &trigger("a")).await;
    let title = discord.next_page_within(PATIENCE).await.title;
    assert_eq!(
        title,
        "com.example.app: Jira App Availability 90.5% (objective 99.9%)"
    );
    post(&bridge, &resolve("a")).await;
    assert_eq!(discord.next_page_within(PATIENCE).await.action, "resolve");
    for incident in ["b", "c", "d", "e", "f", "g"] {
        post(&bridge, &trigger(incident)).await;
    }
    for _ in 0..6 {
        assert_eq!(discord.next_page_within(PATIENCE).await.action, "trigger");
    }
    bridge.settled(8).await;
    discord.assert_quiet();
    assert!(
        discord.history().iter().any(|call| call.status == 429),
        "nothing was limited"
    );
    assert_eq!(discord.messages().len(), 8, "nothing was posted twice");
    tested(&bridge);
    assert_eq!(
        (discord.messages().len(), discord.violations()),
        (10, vec![])
    );
    assert!(!bridge.log().contains(discord.key()), "{}", bridge.log());
}

/// A bridge whose bot posts to `#alerts`.
fn bot(folder: &Path, slack: &Fake<SlackBot>, more: &str) -> Bridge {
    let integration = format!(
        "slack_configs: [{{ bot_token_file: secret, channel: '#alerts', bot_api_url: '{}'{more} \
         }}]",
        slack.url()
    );
    chat(folder, slack.key(), &integration)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_is_one_message_at_slack_edited_and_answered_when_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let slack = SlackBot::start().await;
    let bridge = bot(folder.path(), &slack, ", update_message: true");
    slack.fail_next_with(1, 200, &[], r#"{"ok":false,"error":"internal_error"}"#);
    slack.fail_next_with(
        1,
        429,
        &[("retry-after", "1")],
        r#"{"ok":false,"error":"ratelimited"}"#,
    );
    post(&bridge, &trigger("a")).await;
    assert_eq!(slack.next_page_within(PATIENCE).await.action, "trigger");
    bridge.settled(1).await;
    // It is edited, and nobody hears of it: it is edited once more, and answered once.
    slack.lose_reply(1);
    post(&bridge, &resolve("a")).await;
    assert_eq!(slack.next_page_within(PATIENCE).await.action, "resolve");
    bridge.settled(2).await;
    slack.assert_quiet();
    let messages = slack.messages();
    assert_eq!(messages.len(), 2, "{messages:#?}");
    assert!(
        messages[0].text.starts_with("[RESOLVED] ") && messages[0].edits == 2,
        "{messages:#?}"
    );
    assert_eq!(messages[1].thread.as_ref(), Some(&messages[0].ts));
    tested(&bridge);
    assert_eq!((slack.messages().len(), slack.violations()), (4, vec![]));
    assert_eq!(
        slack.messages()[3].thread.as_ref(),
        Some(&slack.messages()[2].ts)
    );
    assert!(!bridge.log().contains(slack.key()), "{}", bridge.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_whose_trigger_has_no_message_any_more_or_is_not_to_edit_it_is_a_message_of_its_own()
{
    for (more, deleted) in [(", update_message: true", true), ("", false)] {
        let folder = tempfile::tempdir().unwrap();
        let slack = SlackBot::start().await;
        let bridge = bot(folder.path(), &slack, more);
        post(&bridge, &trigger("a")).await;
        assert_eq!(slack.next_page_within(PATIENCE).await.action, "trigger");
        bridge.settled(1).await;
        if deleted {
            slack.delete_all();
        }
        post(&bridge, &resolve("a")).await;
        assert_eq!(slack.next_page_within(PATIENCE).await.action, "resolve");
        slack.assert_quiet();
        let last = slack.messages().pop().unwrap();
        assert!(
            last.text.starts_with("[RESOLVED] ") && last.thread.is_none() && last.edits == 0,
            "{last:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_incoming_webhook_told_ends_in_a_message_of_the_bots() {
    let folder = tempfile::tempdir().unwrap();
    let (hook, slack) = (Slack::start().await, SlackBot::start().await);
    let bridge = chat(
        folder.path(),
        &hook.url(),
        "slack_configs: [{ api_url_file: secret }]",
    );
    post(&bridge, &trigger("a")).await;
    assert_eq!(hook.next_page_within(PATIENCE).await.action, "trigger");
    bridge.settled(1).await;
    assert!(bridge.stop().success());
    let bridge = bot(folder.path(), &slack, ", update_message: true");
    post(&bridge, &resolve("a")).await;
    assert_eq!(slack.next_page_within(PATIENCE).await.action, "resolve");
    slack.assert_quiet();
    hook.assert_quiet();
    assert!(slack.messages()[0].thread.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_slack_refuses_with_status_200_is_a_dead_letter_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let slack = SlackBot::start().await;
    let bridge = bot(folder.path(), &slack, "");
    slack.fail_next_with(1, 200, &[], r#"{"ok":false,"error":"not_in_channel"}"#);
    post(&bridge, &trigger("a")).await;
    let dead = delivery(&bridge, "the dead letter", |row| row["state"] == "dead").await;
    assert!(
        said(&dead, "not_in_channel: invite the bot to the channel"),
        "{dead}"
    );
    assert!(slack.messages().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_that_took_it_in_its_own_words_gets_no_second_message() {
    let folder = tempfile::tempdir().unwrap();
    let slack = Slack::start().await;
    let bridge = chat(
        folder.path(),
        &slack.url(),
        "slack_configs: [{ api_url_file: secret }]",
    );
    let odd = [
        (200, r#"{"success":true}"#),
        (204, ""),
        (200, "Accepted"),
        (201, "1"),
        (200, ""),
        (202, "{}"),
    ];
    for (place, (status, body)) in odd.into_iter().enumerate() {
        slack.fail_next_with(1, status, &[], body);
        post(&bridge, &trigger(&format!("taken-{place}"))).await;
        let done = |row: &serde_json::Value| {
            row["incident_id"] == format!("taken-{place}") && row["state"] == "delivered"
        };
        delivery(&bridge, "taken", done).await;
        assert_eq!(slack.history().len(), place + 1, "{status} {body}");
    }
    slack.fail_next_with(1, 200, &[], r#"{"success":false,"error":"no such room"}"#);
    post(&bridge, &trigger("refused")).await;
    slack.next_page().await;
    delivery(&bridge, "sent again", |row| {
        row["incident_id"] == "refused" && row["state"] == "delivered"
    })
    .await;
    assert_eq!(slack.history().len(), odd.len() + 2);
    slack.assert_quiet();
}

/// A chat that takes what is posted, and whose reply breaks off or never ends; how often each of its
/// addresses was posted to.
async fn interrupted() -> (SocketAddr, Arc<Mutex<BTreeMap<String, usize>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let posts = Arc::new(Mutex::new(BTreeMap::new()));
    let taken = Arc::clone(&posts);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let taken = Arc::clone(&taken);
            tokio::spawn(async move {
                let mut read = Vec::new();
                while !read.ends_with(b"}") {
                    if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let request = String::from_utf8_lossy(&read);
                let path = request
                    .split(' ')
                    .nth(1)
                    .unwrap()
                    .trim_matches('/')
                    .to_owned();
                *taken.lock().unwrap().entry(path.clone()).or_default() += 1;
                let many = "x-a: a\r\n".repeat(300);
                let long = format!(
                    "{{\"trace\":\"{}\",\"error\":\"no_text\"}}",
                    "x".repeat(70_000)
                );
                let reply = match path.as_str() {
                    "broken-chunk" => "transfer-encoding: chunked\r\n\r\n5\r\no",
                    "space" => "x-a : a\r\ncontent-length : 2\r\n\r\nok",
                    "folded" => "x-a: a\r\n b\r\ncontent-length: 2\r\n\r\nok",
                    "warning" => "Warning in a.php\r\ncontent-length: 2\r\n\r\nok",
                    "name" => "X-Ünï: a\r\ncontent-length: 2\r\n\r\nok",
                    "control" => "x-a: a\0b\r\ncontent-length: 2\r\n\r\nok",
                    "many" => &format!("{many}content-length: 2\r\n\r\nok"),
                    "lengths" => "content-length: 2\r\ncontent-length: 5\r\n\r\nok",
                    "long" => &format!("content-length: {}\r\n\r\n{long}", long.len()),
                    "length" => "content-length: abc\r\n\r\nok",
                    _ => "content-length: 100\r\n\r\nok",
                };
                let line = match path.as_str() {
                    "icy" => "ICY 200 OK\r\n",
                    "http2" => "HTTP/2 200\r\n",
                    "status" => "HTTP/1.1 1000 OK\r\n",
                    "bare" => "ok\r\n",
                    _ => "HTTP/1.1 200 OK\r\n",
                };
                let reply = format!("{line}{reply}");
                stream.write_all(reply.as_bytes()).await.unwrap();
                if path == "endless" {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (address, posts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_breaks_off_or_never_ends_is_no_reason_to_post_again() {
    let names = ["cut", "broken-chunk", "endless"];
    assert_eq!(posted_once_to(&names).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_with_odd_headers_is_no_reason_to_post_again() {
    let names = ["space", "folded", "warning", "name", "many"];
    assert_eq!(posted_once_to(&names).await, 0);
    // Whether it was taken is not known: the fallback is told.
    assert_eq!(posted_once_to(&["lengths", "length", "control"]).await, 3);
    assert_eq!(posted_once_to(&["icy", "http2", "status", "bare"]).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_at_the_end_of_a_long_reply_is_read() {
    assert_eq!(posted_once_to(&["long"]).await, 1);
}

/// Tells a chat at each of these addresses of an alert, once; how many of the pages are dead.
async fn posted_once_to(names: &[&str]) -> usize {
    let (address, posts) = interrupted().await;
    let folder = tempfile::tempdir().unwrap();
    let receiver = |path: &str| {
        format!("    slack_configs: [{{ api_url: 'http://{address}/{path}', timeout: 1s }}]\n")
    };
    let receivers: String = names
        .iter()
        .map(|name| format!("  - name: {name}\n{}", receiver(name)))
        .collect();
    let routes: Vec<_> = names
        .iter()
        .map(|name| format!("{{ receiver: {name}, matchers: ['kind=incident'], continue: true }}"))
        .collect();
    let rest = format!(
        "route: {{ receiver: sink, routes: [{}] }}\nreceivers:\n{receivers}  - name: sink\n",
        routes.join(", ")
    );
    let bridge = start(folder.path(), &rest);
    post(&bridge, &trigger("a")).await;
    bridge.settled(1).await;
    let once: BTreeMap<_, _> = names.iter().map(|name| ((*name).to_owned(), 1)).collect();
    assert_eq!(*posts.lock().unwrap(), once);
    listed(
        &bridge,
        &["deliveries", "list", "--state", "dead", "--json"],
    )
    .len()
}
