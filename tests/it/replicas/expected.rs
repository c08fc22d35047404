//! Mail that does not come, looked out for by replicas.

use super::*;
use crate::{e2e::HOOK_SECRET, vendors::Hook};

fn mail(number: usize) -> Vec<u8> {
    format!(
        "From: backup@example.com\r\nTo: alerts@example.com\r\nSubject: backup\r\n\
         Message-ID: <{number}@example.com>\r\n\r\nState: done\r\n"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_tell_once_that_mail_is_missing_and_once_that_it_came() {
    let database = Database::create().await;
    let hook = Hook::start(HOOK_SECRET).await;
    let config = format!(
        "{}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: http }}] }}
route: {{ receiver: out }}
receivers: [{{ name: out, webhook_configs: [{{ url: '{}', secret: {HOOK_SECRET} }}] }}]
profiles:
  - name: backup
    match: {{ from: [backup@example.com] }}
    fields: {{ key: disk, status: \"{{{{ pairs['State'] }}}}\" }}
    status: {{ ignore: [done] }}
    expect: {{ every: 1s, grace: 0s, key: nightly }}",
        DOORS.replace("sqlite:alertbridge.db", &database.url()),
        hook.url(),
    );
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let bridges = folders
        .each_ref()
        .map(|folder| Bridge::start(folder.path(), &config));

    // They start together and look every few seconds: each finds at once what the other is about to
    // tell, or has told.
    hook.wait_until("that the mail is missing", |hook| !hook.pages().is_empty())
        .await;
    let deadline = Instant::now() + PATIENCE;
    let mut number = 0;
    while hook.pages().len() < 2 {
        assert!(Instant::now() < deadline, "{:?}", hook.pages());
        number += 1;
        assert_eq!(bridges[number % 2].post(&mail(number)).await.unwrap(), 202);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }

    let told = hook.pages();
    let actions: Vec<&str> = told.iter().map(|page| &*page.action).collect();
    assert_eq!(actions, ["trigger", "resolve"]);
    assert_eq!(told[0].key, told[1].key);
    assert!(told[0].title.contains("no mail of backup"), "{told:?}");
    assert!(hook.repeats().is_empty(), "{:?}", hook.repeats());
}
