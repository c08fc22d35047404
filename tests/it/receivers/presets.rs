//! The presets: each against a fake that holds its vendor's documented rules. The real program
//! tells all ten of an incident, its end and the next; whatever an alert says, no rule is broken.

use std::{fs, path::Path};

use alertbridge::{
    config::{Config, Files, Source},
    delivery::{Action, Notification, Step, Verdict},
    receiver::{Body, Keys, Parcel, Receivers, Reply, webhook::preset::PRESETS},
};
use proptest::prelude::*;

use super::{only, parcel, requests::notifications, resolve, trigger};
use crate::{
    delivery::{aged, post, start},
    harness::{Bridge, PATIENCE},
    vendors::{
        Call, Fake, GoAlert, GoogleChat, IncidentIo, Mattermost, Memory, Ntfy, OnCall, Rootly,
        Splunk, Telegram, Vendor, Zenduty,
    },
};

const TOKEN: &str = "0123456789abcdef01234567";

/// What is given with each preset, where its vendor answers at `https://vendor.example`.
fn given(name: &str) -> String {
    let origin = "https://vendor.example";
    match name {
        "ntfy" => format!("url: {origin}/on-call_7, bearer: {TOKEN}"),
        "goalert" => format!("url: '{origin}/api/v2/generic/incoming?token={TOKEN}'"),
        "grafana-oncall" => format!("url: {origin}/integrations/v1/formatted_webhook/{TOKEN}/"),
        "incident-io" => format!(
            "url: {origin}/v2/alert_events/http/01GW2G3V0S59R238FAHPDS1R66, bearer: {TOKEN}"
        ),
        "rootly" => format!("bearer: {TOKEN}"),
        "telegram" => {
            format!("url: '{origin}/bot{TOKEN}/sendMessage?chat_id=-1001234567890'")
        }
        "google-chat" => format!(
            "url: '{origin}/v1/spaces/AAAA/messages?key=AIza&token={TOKEN}\
             &messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD'"
        ),
        "mattermost" => format!("url: {origin}/hooks/{TOKEN}"),
        "zenduty" => format!("url: {origin}/integration/abc12/generic/{TOKEN}/"),
        "splunk-oncall" => {
            format!("url: {origin}/integrations/generic/20131114/alert/{TOKEN}/database")
        }
        other => panic!("say what is given with {other}"),
    }
}

fn vendor(name: &str) -> Box<dyn Vendor> {
    match name {
        "ntfy" => Box::new(Ntfy::new(TOKEN)),
        "goalert" => Box::new(GoAlert::new(TOKEN)),
        "grafana-oncall" => Box::new(OnCall::new(TOKEN)),
        "incident-io" => Box::new(IncidentIo::new(TOKEN)),
        "rootly" => Box::new(Rootly::new(TOKEN)),
        "telegram" => Box::new(Telegram::new(TOKEN)),
        "google-chat" => Box::new(GoogleChat::new(TOKEN)),
        "mattermost" => Box::new(Mattermost::new(TOKEN)),
        "zenduty" => Box::new(Zenduty::new(TOKEN)),
        "splunk-oncall" => Box::new(Splunk::new(TOKEN)),
        other => panic!("{other} has no fake"),
    }
}

/// A configuration whose receiver `oncall` uses one preset.
fn using(name: &str, more: &str) -> Result<Receivers, String> {
    loaded(&format!("use: {name}, {}{more}", given(name)))
}

/// A configuration whose receiver `oncall` has this webhook.
fn loaded(webhook: &str) -> Result<Receivers, String> {
    let text = format!(
        "route: {{ receiver: oncall }}\nreceivers:\n  - name: oncall\n    webhook_configs: [{{ \
         {webhook} }}]\n"
    );
    let place = "http://127.0.0.1:9/of/the/environment";
    let environment = |name: &str| (name == "PLACE").then(|| place.to_owned());
    Config::parse(Source::Embedded, &text, Files::Unneeded, &environment)
        .map(|loaded| std::sync::Arc::into_inner(loaded.rules).unwrap())
        .map(|rules| std::sync::Arc::into_inner(rules.receivers).unwrap())
        .map_err(|errors| errors.to_string())
}

/// What the vendor says to a trigger and its resolve, each as the one before it leaves it.
fn told(name: &str, pages: &[&Notification]) -> (Memory, Vec<String>) {
    let receivers = using(name, "").unwrap_or_else(|errors| panic!("{name}: {errors}"));
    let (_, receiver) = receivers.of("oncall").next().unwrap();
    let keys = Keys::read(receiver).unwrap();
    let (mut vendor, mut memory, mut receipt) = (vendor(name), Memory::default(), None);

    for page in pages {
        let step = Step::Send;
        let parcel = Parcel {
            receipt: receipt.as_deref(),
            ..parcel(page, &step)
        };
        let request = receiver.request(&parcel, &keys).unwrap();
        let answer = vendor.answer(&Call::of(&request), &mut memory);
        let reply = Reply {
            status: answer.status,
            headers: answer.headers.into_iter().collect(),
            body: answer.body.into_bytes(),
            ..Reply::default()
        };
        match receiver.judge(&parcel, &reply) {
            Verdict::Delivered { receipt: known } => receipt = known,
            verdict => memory.violations.push(format!("{verdict:?}")),
        }
    }

    (memory, vendor.open())
}

#[test]
fn every_preset_opens_an_alert_at_its_vendor_and_ends_it() {
    assert_eq!(PRESETS.len(), 10);
    for (name, _) in PRESETS {
        let (memory, open) = told(name, &[&trigger()]);
        assert_eq!(memory.violations, Vec::<String>::new(), "{name}");
        assert_eq!(open.len(), 1, "{name}: {:?}", memory.pages);

        let (memory, open) = told(name, &[&trigger(), &resolve()]);
        assert_eq!(memory.violations, Vec::<String>::new(), "{name}");
        assert_eq!(open, Vec::<String>::new(), "{name}: {:?}", memory.pages);
        let actions: Vec<_> = memory.pages.iter().map(|page| &page.action).collect();
        assert_eq!(actions, ["trigger", "resolve"], "{name}");
        let said = "AppName: Jira Installation Callback Success Rate 60% (objective 99%)";
        assert_eq!(memory.pages[0].title, said, "{name}");
    }
}

/// A sign-in in between answers with a page and 200: nobody was paged.
#[test]
fn a_web_page_in_the_place_of_a_preset_s_vendor_is_no_delivery() {
    let pages = [
        ("<!DOCTYPE html><html>", None),
        ("\u{FEFF}<!-- SSO -->\n<HTML lang=en>", None),
        ("<script>location = '/login'</script>", None),
        ("<form action='/login'>", Some("text/html; charset=utf-8")),
    ];
    let receivers = PRESETS.iter().map(|(name, _)| using(name, "").unwrap());
    let alertmanager = only(
        "alertmanager",
        serde_json::json!({ "url": "http://127.0.0.1:9093" }),
    );
    for receivers in receivers.chain([alertmanager]) {
        let (_, receiver) = receivers.of("oncall").next().unwrap();
        for notification in [trigger(), resolve()] {
            let step = Step::Send;
            let parcel = Parcel {
                receipt: Some("7"),
                ..parcel(&notification, &step)
            };
            for (body, media_type) in pages {
                let media_type = media_type.map(str::to_owned);
                let page = Reply {
                    status: 200,
                    headers: media_type
                        .map(|it| ("content-type".into(), it))
                        .into_iter()
                        .collect(),
                    body: body.into(),
                    ..Reply::default()
                };
                let verdict = receiver.judge(&parcel, &page);
                assert!(
                    matches!(verdict, Verdict::Retry { .. }),
                    "{body}: {verdict:?}"
                );
            }
            for body in ["", "ok", "{}"] {
                let reply = Reply {
                    status: 200,
                    body: body.into(),
                    ..Reply::default()
                };
                let verdict = receiver.judge(&parcel, &reply);
                assert!(
                    matches!(verdict, Verdict::Delivered { .. }),
                    "{body}: {verdict:?}"
                );
            }
        }
    }
}

#[test]
fn every_preset_shows_no_credential_and_marks_what_may_not_be_genuine() {
    for (name, _) in PRESETS {
        let receivers = using(name, "").unwrap_or_else(|errors| panic!("{name}: {errors}"));
        let (_, receiver) = receivers.of("oncall").next().unwrap();
        let mut doubted = trigger();
        doubted.doubt = Some(alertbridge::delivery::Doubt::Unverified);
        let step = Step::Send;
        let shown = receiver
            .request(&parcel(&doubted, &step), &Keys::Hidden)
            .unwrap();
        assert!(!format!("{shown:?}").contains(TOKEN), "{name}: {shown:?}");
        assert!(
            format!("{shown:?}").contains("[UNVERIFIED] AppName"),
            "{name}: {shown:?}"
        );
    }
}

#[test]
fn the_resolve_of_every_preset_can_be_shown_before_anything_was_told() {
    for (name, _) in PRESETS {
        let receivers = using(name, "").unwrap_or_else(|errors| panic!("{name}: {errors}"));
        let (_, receiver) = receivers.of("oncall").next().unwrap();
        let notification = resolve();
        let shown = Parcel {
            receipt: receiver.example_receipt(Action::Resolve),
            ..parcel(&notification, &Step::Send)
        };
        let request = receiver.request(&shown, &Keys::Hidden);
        assert!(request.is_ok(), "{name}: {request:?}");
    }
}

#[test]
fn what_is_written_beside_a_preset_is_laid_over_it() {
    let own = "headers: { Tags: mine, X-Own: '{{ app_key }}' }";
    let receivers = using("ntfy", &format!(", {own}, success: [200]")).unwrap();
    let (_, receiver) = receivers.of("oncall").next().unwrap();
    let notification = trigger();
    let request = receiver
        .request(
            &parcel(&notification, &Step::Send),
            &Keys::read(receiver).unwrap(),
        )
        .unwrap();
    let header = |wanted: &str| {
        let found = request.headers.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(header("Tags"), Some("mine"));
    assert_eq!(header("X-Own"), Some("com.example.appkey"));
    assert_eq!(header("Priority"), Some("urgent"), "the preset's own stays");
    assert!(matches!(&request.body, Body::Text(text) if text.contains("incident_id")));
}

#[test]
fn what_is_told_at_another_address_than_the_preset_s_ends_there_too() {
    let addresses = [
        ("http://127.0.0.1:9/fake", "http://127.0.0.1:9/fake"),
        ("'http://127.0.0.1:9/fake/'", "http://127.0.0.1:9/fake"),
        ("'http://127.0.0.1:9/fake?a=b'", "http://127.0.0.1:9/fake"),
        (
            "' http://127.0.0.1:9/fake/?a=b '",
            "http://127.0.0.1:9/fake",
        ),
        (
            "'http://127.0.0.1:9/{{ app_key }}'",
            "http://127.0.0.1:9/com.example.appkey",
        ),
        ("'${PLACE}'", "http://127.0.0.1:9/of/the/environment"),
        (
            "'${PLACE}/below'",
            "http://127.0.0.1:9/of/the/environment/below",
        ),
    ];
    for (name, yaml) in PRESETS {
        for (url, expected) in addresses {
            let own = format!("use: {name}, url: {url}, bearer: {TOKEN}");
            let [opens, ends] = addresses_of(&own).unwrap();
            assert!(opens.starts_with(expected), "{name} {url}: {opens}");
            assert!(ends.starts_with(expected), "{name} {url}: {ends}");
            assert_eq!(
                opens.contains("a=b"),
                ends.contains("a=b"),
                "{name}: {ends}"
            );
            assert_eq!(ends == opens, *name != "rootly", "{name}: {ends}");

            let own = format!("{own}, resolved: {{ url: 'https://end.example/x' }}");
            let [_, ends] = addresses_of(&own).unwrap();
            assert_eq!(
                ends, "https://end.example/x",
                "{name}: what is written stays"
            );
        }
        let hosts = yaml
            .lines()
            .filter(|line| line.contains("url: ") && !line.starts_with('#'));
        assert_eq!(
            hosts.count(),
            if *name == "rootly" { 2 } else { 0 },
            "{name}"
        );
    }
    let [opens, ends] = addresses_of(&format!("use: rootly, bearer: {TOKEN}")).unwrap();
    assert_eq!(opens, "https://api.rootly.com/v1/alerts");
    assert_eq!(ends, "https://api.rootly.com/v1/alerts/4711/resolve");
}

/// Where a webhook's trigger and resolve go.
fn addresses_of(own: &str) -> Result<[String; 2], String> {
    let receivers = loaded(own)?;
    let (_, receiver) = receivers.of("oncall").next().unwrap();
    let keys = Keys::read(receiver).unwrap();
    Ok([trigger(), resolve()].map(|page| {
        let parcel = Parcel {
            receipt: Some("4711"),
            ..parcel(&page, &Step::Send)
        };
        receiver.request(&parcel, &keys).unwrap().url
    }))
}

#[test]
fn who_hides_the_address_of_a_preset_whose_end_goes_elsewhere_is_told() {
    for (name, _) in PRESETS {
        for (more, warns) in [
            ("", *name == "rootly"),
            (
                ", resolved: { url: 'https://end.example/{{ alias }}' }",
                false,
            ),
        ] {
            let own = format!("use: {name}, url_file: place, bearer: {TOKEN}{more}");
            let said = format!("{:?}", loaded(&own).unwrap().warnings);
            assert_eq!(said.contains("url_file"), warns, "{name}: {said}");
        }
    }
}

#[test]
fn a_preset_that_is_none_is_told_with_those_that_are() {
    let text = "route: { receiver: oncall }\nreceivers:\n  - name: oncall\n    \
                webhook_configs:\n      - use: nfty\n        url: https://a.example\n";
    let errors = Config::parse(Source::Embedded, text, Files::Unneeded, &|_| None)
        .err()
        .unwrap()
        .to_string();
    assert!(
        errors.contains("receivers[0].webhook_configs[0].use") && errors.contains("`nfty`"),
        "{errors}"
    );
    assert!(errors.contains("ntfy, rootly"), "{errors}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None,
                                        ..ProptestConfig::default() })]

    #[test]
    fn whatever_an_alert_says_no_vendor_s_rule_is_broken(first in notifications()) {
        let over = Notification { action: Action::Resolve, ..first.clone() };
        let opened = Notification { action: Action::Trigger, ..first };
        for (name, _) in PRESETS {
            let (memory, open) = told(name, &[&opened, &over]);
            prop_assert_eq!(memory.violations, Vec::<String>::new(), "{}", name);
            prop_assert_eq!(open, Vec::<String>::new(), "{}", name);
        }
    }
}

/// All ten vendors.
struct All {
    ntfy: Fake<Ntfy>,
    goalert: Fake<GoAlert>,
    oncall: Fake<OnCall>,
    incident_io: Fake<IncidentIo>,
    rootly: Fake<Rootly>,
    telegram: Fake<Telegram>,
    google_chat: Fake<GoogleChat>,
    mattermost: Fake<Mattermost>,
    zenduty: Fake<Zenduty>,
    splunk: Fake<Splunk>,
}

impl All {
    async fn start() -> Self {
        Self {
            ntfy: Ntfy::start().await,
            goalert: GoAlert::start().await,
            oncall: OnCall::start().await,
            incident_io: IncidentIo::start().await,
            rootly: Rootly::start().await,
            telegram: Telegram::start().await,
            google_chat: GoogleChat::start().await,
            mattermost: Mattermost::start().await,
            zenduty: Zenduty::start().await,
            splunk: Splunk::start().await,
        }
    }

    /// A bridge with one receiver that tells them all; what is secret lies in files.
    fn bridge(&self, folder: &Path) -> Bridge {
        let rootly = self.rootly.url();
        let mut integrations = vec![format!(
            "{{ use: rootly, url: {rootly}, bearer_file: rootly, resolved: {{ url: '{rootly}/{{{{ \
             receipt }}}}/resolve' }} }}"
        )];
        fs::write(folder.join("rootly"), self.rootly.key()).unwrap();

        for (name, url, token) in [
            ("ntfy", self.ntfy.url(), Some(self.ntfy.key())),
            ("goalert", self.goalert.url(), None),
            ("grafana-oncall", self.oncall.url(), None),
            (
                "incident-io",
                self.incident_io.url(),
                Some(self.incident_io.key()),
            ),
            ("telegram", self.telegram.url(), None),
            ("google-chat", self.google_chat.url(), None),
            ("mattermost", self.mattermost.url(), None),
            ("zenduty", self.zenduty.url(), None),
            ("splunk-oncall", self.splunk.url(), None),
        ] {
            fs::write(folder.join(format!("{name}-url")), url).unwrap();
            let mut bearer = String::new();
            if let Some(token) = token {
                fs::write(folder.join(format!("{name}-token")), token).unwrap();
                bearer = format!(", bearer_file: {name}-token");
            }
            integrations.push(format!("{{ use: {name}, url_file: {name}-url{bearer} }}"));
        }

        let list = integrations.join("\n      - ");
        start(
            folder,
            &format!(
                "route: {{ receiver: all }}\nreceivers:\n  - name: all\n    \
                 webhook_configs:\n      - {list}"
            ),
        )
    }

    /// Waits for one page at each, and gives the keys of what is open.
    async fn all_told(&self, action: &str) -> Vec<(&'static str, usize)> {
        macro_rules! each {
            ($($fake:ident),*) => {
                vec![$({
                    let page = self.$fake.next_page_within(PATIENCE).await;
                    assert_eq!(page.action, action, "{}", stringify!($fake));
                    self.$fake.assert_quiet();
                    (stringify!($fake), self.$fake.open_alerts().len())
                }),*]
            };
        }
        each!(
            ntfy,
            goalert,
            oncall,
            incident_io,
            rootly,
            telegram,
            google_chat,
            mattermost,
            zenduty,
            splunk
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_its_end_and_the_next_reach_all_ten_vendors_once() {
    let folder = tempfile::tempdir().unwrap();
    let all = All::start().await;
    all.telegram.fail_next_with(
        1,
        429,
        &[],
        r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 1",
            "parameters":{"retry_after":1}}"#,
    );
    all.splunk
        .fail_next_with(1, 200, &[], r#"{"result":"failure","message":"try again"}"#);
    all.rootly.fail_next(1, 503, &[]);
    let bridge = all.bridge(folder.path());

    let mail = |status, minute| aged("a", status, minute, jiff::SignedDuration::ZERO);
    post(&bridge, &mail("ANOMALOUS", 0)).await;
    let open = all.all_told("trigger").await;
    assert!(open.iter().all(|(_, open)| *open == 1), "{open:?}");

    post(&bridge, &mail("OK", 5)).await;
    let open = all.all_told("resolve").await;
    assert!(open.iter().all(|(_, open)| *open == 0), "{open:?}");

    post(&bridge, &mail("ANOMALOUS", 9)).await;
    let open = all.all_told("trigger").await;
    assert!(open.iter().all(|(_, open)| *open == 1), "{open:?}");
    bridge.settled(3).await;

    for secret in [all.ntfy.key(), all.telegram.key(), all.splunk.key()] {
        assert!(!bridge.log().contains(secret), "{}", bridge.log());
    }
}
