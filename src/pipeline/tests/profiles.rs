//! Tests other senders' mail from arrival to page: `profiles:` decide it like Atlassian's own.

use std::fmt::Write as _;

use super::*;
use crate::{message::Outcome, store::MailRow};

pub(super) const PROFILES: &str = "
alerts: { authenticity: { require: [] } }
ingress: { webhook: [{ name: hook }] }
profiles:
  - name: disk
    match: { from: [root@db1.example.com] }
    fields:
      key: \"{{ pairs['Device'] }}\"
      status: \"{{ pairs['State'] }}\"
      severity: \"{{ pairs['Level'] }}\"
      title: \"{{ subject }}\"
    status: { resolve: [OK], update: [ACK.*], ignore: [INFO] }
  - name: many
    match: { from: [am@example.com] }
    each: { text: '(?m)^- (?<name>\\S+) (?<state>\\S+)$' }
    fields: { key: '{{ item.name }}', status: '{{ item.state }}' }
    status: { trigger: [firing], resolve: [resolved], otherwise: unparsed }
  - name: strict
    match: { from: [mail@strict.example] }
    authenticity: { require: [dkim], unverified: { max_per_hour: 3 } }
    each: { text: '(?m)^- (?<name>\\S+) (?<state>\\S+)$' }
    fields: { key: '{{ item.name }}', status: '{{ item.state }}' }
    status: { trigger: [firing], resolve: [resolved] }
route:
  receiver: chat
  routes:
    - { receiver: pager, matchers: ['severity=critical'], continue: true }
    - { receiver: chat }
receivers:
  - { name: chat, webhook_configs: [{ url: 'http://127.0.0.1:9/chat' }] }
  - name: pager
    pagerduty_configs: [{ routing_key: 0123456789abcdef0123456789abcdef, url: \
    'http://127.0.0.1:9/pager' }]
";

/// Returns a mail of a sender at a second after midnight.
pub(super) fn from(sender: &str, subject: &str, second: i64, body: &str) -> Vec<u8> {
    let date = (midnight() + SignedDuration::from_secs(second)).strftime("%a, %d %b %Y %T +0000");
    let id = crate::delivery::sha256_hex(format!("{sender}{subject}{second}{body}").as_bytes());
    format!(
        "From: {sender}\r\nSubject: {subject}\r\nDate: {date}\r\nMessage-ID: \
         <{id}@x>\r\n\r\n{body}\r\n"
    )
    .into_bytes()
}

fn disk(second: i64, state: &str, level: &str) -> Vec<u8> {
    let body = format!("Device: sda\r\nState: {state}\r\nLevel: {level}");
    from("root@db1.example.com", "disk", second, &body)
}

fn list(sender: &str, second: i64, items: &[(&str, &str)]) -> Vec<u8> {
    let mut body = String::new();
    for (name, state) in items {
        write!(body, "- {name} {state}\r\n").unwrap();
    }
    from(sender, "list", second, &body)
}

impl Night {
    async fn row(&self, id: MailId) -> MailRow {
        self.store.mail(id).await.unwrap().unwrap().0
    }

    async fn outcome(&self, raw: Vec<u8>) -> Outcome {
        let id = self.take(raw).await;
        self.row(id).await.outcome
    }

    async fn told(&self) -> Vec<(String, Action, String)> {
        let told = self.delivered().await.into_iter();
        told.map(|page| (page.receiver, page.action, page.incident))
            .collect()
    }
}

fn page(receiver: &str, action: Action, incident: &str) -> (String, Action, String) {
    (receiver.into(), action, incident.into())
}

#[tokio::test]
async fn an_incident_of_a_profile_goes_the_way_of_any_other() {
    let night = Night::under(PROFILES);
    assert_eq!(
        night.outcome(disk(0, "BAD", "warning")).await,
        Outcome::Opened
    );
    assert_eq!(
        night.told().await,
        [page("chat", Action::Trigger, "disk:sda")]
    );

    for (mail, expected) in [
        (disk(10, "BAD", "warning"), Outcome::Duplicate),
        (disk(5, "OK", "warning"), Outcome::Stale),
        (disk(11, "INFO", "warning"), Outcome::Ignored),
        (disk(12, "ACKNOWLEDGED", "warning"), Outcome::Updated),
        (disk(20, "BAD", "critical"), Outcome::Changed),
        (disk(30, "OK", "critical"), Outcome::Resolved),
        (disk(31, "ACKNOWLEDGED", "critical"), Outcome::Ignored),
        (disk(40, "BAD", "warning"), Outcome::Reopened),
        (disk(40, "OK", "warning"), Outcome::Resolved),
        // Another mail of the same second, which arrived later.
        (
            from(
                "root@db1.example.com",
                "again",
                40,
                "Device: sda\r\nState: BAD\r\nLevel: warning",
            ),
            Outcome::Reopened,
        ),
        // A copy of a mail that was applied.
        (disk(40, "OK", "warning"), Outcome::Duplicate),
        (
            from(
                "root@db1.example.com",
                "disk",
                50,
                "Device: sda\r\nLevel: x",
            ),
            Outcome::Unparsed,
        ),
        (
            from("x@example.com", "disk", 60, "Device: sda"),
            Outcome::Ignored,
        ),
    ] {
        let text = String::from_utf8_lossy(&mail).into_owned();
        assert_eq!(night.outcome(mail).await, expected, "{text}");
    }
}

#[tokio::test]
async fn a_resolve_of_what_nobody_was_told_tells_nobody() {
    let night = Night::under(PROFILES);
    assert_eq!(night.outcome(disk(0, "OK", "x")).await, Outcome::Resolved);
    assert!(night.told().await.is_empty());
}

#[tokio::test]
async fn every_alert_of_a_mail_is_decided_by_itself_and_in_order() {
    let night = Night::under(PROFILES);
    night
        .take(list("am@example.com", 0, &[("a", "firing")]))
        .await;
    night.told().await;

    let items = [
        ("a", "resolved"),
        ("b", "firing"),
        ("c", "odd"),
        ("b", "firing"),
        ("b", "resolved"),
    ];
    let id = night.take(list("am@example.com", 10, &items)).await;
    let row = night.row(id).await;
    assert_eq!(row.outcome, Outcome::Unparsed, "what is most worth a look");
    assert_eq!(
        row.reason.as_deref(),
        Some("5 alerts: 1 unparsed, 1 opened, 2 resolved, 1 duplicate")
    );

    let mut told = night.told().await;
    let unparsed = told.iter().position(|(.., id)| id.starts_with("unparsed-"));
    told.remove(unparsed.unwrap());
    assert_eq!(
        told,
        [
            page("chat", Action::Resolve, "many:a"),
            page("chat", Action::Trigger, "many:b"),
            page("chat", Action::Resolve, "many:b"),
        ]
    );

    let (incident, events) = night.store.timeline("many:b").await.unwrap().unwrap();
    assert_eq!(incident.phase, crate::incident::Phase::Resolved);
    let outcomes: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            crate::store::Event::Mail(mail) => Some((mail.item, mail.outcome)),
            _ => None,
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            (Some(2), Outcome::Opened),
            (Some(4), Outcome::Duplicate),
            (Some(5), Outcome::Resolved)
        ]
    );
}

#[tokio::test]
async fn what_is_not_proven_counts_by_the_alert_and_is_let_out_as_a_whole() {
    let night = Night::under(PROFILES);
    let items = [
        ("a", "firing"),
        ("b", "firing"),
        ("c", "firing"),
        ("d", "firing"),
        ("a", "resolved"),
    ];
    let id = night.take(list("mail@strict.example", 0, &items)).await;
    let row = night.row(id).await;
    assert_eq!(row.outcome, Outcome::Quarantined);
    assert_eq!(
        row.reason.as_deref(),
        Some("5 alerts: 2 quarantined, 3 opened"),
        "so many unverified triggers an hour, and no unverified resolve"
    );
    let held = night.store.concerns().await.unwrap();
    assert_eq!(held.held_resolves, ["strict:a"]);
    assert!(held.flooded_at.is_some());
    let told = night.told().await;
    assert_eq!(told.len(), 3, "{told:?}");

    // The limits of one profile do not apply to another.
    assert_eq!(night.outcome(disk(1, "BAD", "x")).await, Outcome::Opened);
    night.told().await;

    let release = Release {
        by: "ann@desk".into(),
        at: night.now(),
    };
    night.store.release_mail(id, release).await.unwrap();
    night.sweep().await;
    assert_eq!(
        night.told().await,
        [
            page("chat", Action::Trigger, "strict:d"),
            page("chat", Action::Resolve, "strict:a"),
        ],
        "nobody is told twice"
    );
    let held = night.store.concerns().await.unwrap();
    assert!(held.held_resolves.is_empty() && held.flooded_at.is_none());
}

#[tokio::test]
async fn what_anybody_may_have_sent_is_kept_of_a_few_alerts_until_it_is_let_out() {
    let night = Night::under(PROFILES);
    let names: Vec<String> = (0..200).map(|number| format!("n{number}")).collect();
    let items: Vec<_> = names.iter().map(|name| (name.as_str(), "firing")).collect();
    let id = night.take(list("mail@strict.example", 0, &items)).await;
    let row = night.row(id).await;
    let reason = row.reason.unwrap();
    assert!(reason.starts_with("51 alerts: "), "{reason}");
    let before = night.told().await.len();

    let release = Release {
        by: "ann@desk".into(),
        at: night.now(),
    };
    night.store.release_mail(id, release).await.unwrap();
    night.sweep().await;
    let mut told = before;
    loop {
        let more = night.told().await.len();
        if more == 0 {
            break;
        }
        told += more;
        night.sweep().await;
    }
    assert!((200..=201).contains(&told), "{told}");
}

#[tokio::test]
async fn a_silence_that_held_one_alert_of_a_mail_is_told_before_all_of_it() {
    let night = Night::under(PROFILES);
    let end = night.now() + SignedDuration::from_mins(5);
    night.silence("incident_id=many:a", night.now(), end).await;
    night
        .take(list(
            "am@example.com",
            0,
            &[("a", "firing"), ("b", "firing")],
        ))
        .await;
    assert_eq!(
        night.told().await,
        [page("chat", Action::Trigger, "many:b")]
    );

    night.pass(10);
    night
        .take(list(
            "am@example.com",
            1,
            &[("b", "resolved"), ("a", "resolved")],
        ))
        .await;
    assert_eq!(
        night.told().await,
        [
            page("chat", Action::Trigger, "many:a"),
            page("chat", Action::Resolve, "many:b"),
            page("chat", Action::Resolve, "many:a"),
        ]
    );
}

#[tokio::test]
async fn a_change_names_what_changed_whether_it_is_the_severity_or_not() {
    let telling = PROFILES.replacen(
        "    status: { resolve: [OK]",
        "    notify_on_change: [severity, title]\n    status: { resolve: [OK]",
        1,
    );
    let night = Night::under(&telling);
    night.outcome(disk(0, "BAD", "warning")).await;

    let fuller = |second, level: &str| {
        let body = format!("Device: sda\r\nState: BAD\r\nLevel: {level}");
        from("root@db1.example.com", "fuller", second, &body)
    };
    for (mail, reason) in [
        (fuller(10, "warning"), "the title was disk and is fuller"),
        (
            fuller(20, "critical"),
            "the severity was warning and is critical",
        ),
        (
            disk(30, "BAD", "warning"),
            "the severity was critical and is warning, the title was fuller and is disk",
        ),
    ] {
        let id = night.take(mail).await;
        let row = night.row(id).await;
        assert_eq!(
            (row.outcome, row.reason.as_deref()),
            (Outcome::Changed, Some(reason))
        );
    }
}
