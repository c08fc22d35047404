//! Trigger and resolve in the chats: the real program against vendors that know their limits.

use std::{fs, path::Path};

use crate::{
    delivery::{post, resolve, start, trigger},
    harness::{Bridge, PATIENCE},
    vendors::{Discord, Teams},
};

/// A bridge with one receiver `chat`, whose credential lies in the file `secret`.
fn chat(folder: &Path, secret: &str, integration: &str) -> Bridge {
    fs::write(folder.join("secret"), secret).unwrap();
    start(folder, &format!("route: {{ receiver: chat }}\nreceivers:\n  - name: chat\n    {integration}"))
}

/// `receivers test` says that trigger and resolve were delivered.
fn tested(bridge: &Bridge) {
    let output = bridge.command(&["receivers", "test", "chat"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.matches("delivered").count(), 2, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn teams_gets_a_card_for_the_trigger_and_one_for_the_resolve() {
    let folder = tempfile::tempdir().unwrap();
    let teams = Teams::start().await;
    let bridge = chat(folder.path(), &teams.url(), "teams_configs: [{ webhook_url_file: secret }]");
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
    assert!(teams.pages()[2..].iter().all(|page| page.title.starts_with("[TEST] ")), "{:?}", teams.pages());
    assert_eq!((teams.cards().len(), teams.violations()), (4, vec![]));
    assert!(!bridge.log().contains(teams.key()), "{}", bridge.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discord_gets_a_message_for_each_and_more_than_it_takes_at_once_a_little_later() {
    let folder = tempfile::tempdir().unwrap();
    let discord = Discord::start().await;
    let bridge = chat(folder.path(), &discord.url(), "discord_configs: [{ webhook_url_file: secret }]");
    post(&bridge, &trigger("a")).await;
    let title = discord.next_page_within(PATIENCE).await.title;
    assert_eq!(title, "com.example.app: Jira App Availability 90.5% (objective 99.9%)");
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
    assert!(discord.history().iter().any(|call| call.status == 429), "nothing was limited");
    assert_eq!(discord.messages().len(), 8, "nothing was posted twice");
    tested(&bridge);
    assert_eq!((discord.messages().len(), discord.violations()), (10, vec![]));
    assert!(!bridge.log().contains(discord.key()), "{}", bridge.log());
}
