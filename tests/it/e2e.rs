//! Mails in, pages out: the real program, every door, every vendor.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use alertbridge::{delivery::alias, ingress::imap::Tls};

use crate::{
    dovecot::{Dovecot, PASSWORD},
    generator::{self, Generated, Outcome},
    harness::{self, Bridge, tail},
    vendors::{Fake, Hook, Opsgenie, PagerDuty, Slack},
};

/// All vendors, faked as state.
pub struct Vendors {
    pub opsgenie: Fake<Opsgenie>,
    pub pagerduty: Fake<PagerDuty>,
    pub slack: Fake<Slack>,
    pub hook: Fake<Hook>,
}

pub const HOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

impl Vendors {
    pub async fn start() -> Self {
        Self {
            opsgenie: Opsgenie::start().await,
            pagerduty: PagerDuty::start().await,
            slack: Slack::start().await,
            hook: Hook::start(HOOK_SECRET).await,
        }
    }

    /// The receivers' part of a configuration; the secrets lie in files of `folder`.
    pub fn receivers(&self, folder: &Path) -> String {
        for (name, secret) in [
            ("opsgenie", self.opsgenie.key()),
            ("pagerduty", self.pagerduty.key()),
            ("slack", self.slack.url().as_str()),
            ("hook", HOOK_SECRET),
        ] {
            fs::write(folder.join(name), secret).unwrap();
        }
        format!(
            "
receivers:
  - name: oncall
    opsgenie_configs: [{{ api_key_file: opsgenie, api_url: '{}' }}]
    pagerduty_configs: [{{ routing_key_file: pagerduty, url: '{}' }}]
    slack_configs: [{{ api_url_file: slack }}]
    webhook_configs: [{{ url: '{}', secret_file: hook }}]
  - name: jsm
    jsm_configs: [{{ api_key_file: opsgenie, api_url: '{}' }}]
",
            self.opsgenie.url(),
            self.pagerduty.url(),
            self.hook.url(),
            self.opsgenie.jsm_url(),
        )
    }

    /// Fails on anything a vendor would have refused.
    pub fn assert_no_violation(&self) {
        for (vendor, violations) in [
            ("opsgenie", self.opsgenie.violations()),
            ("pagerduty", self.pagerduty.violations()),
            ("slack", self.slack.violations()),
            ("hook", self.hook.violations()),
        ] {
            assert!(
                violations.is_empty(),
                "{vendor}: {} violations: {:?}",
                violations.len(),
                violations.first()
            );
        }
    }
}

/// The incidents whose last applied mail opens them: what must be open at the end.
pub fn open_at_the_end(mails: &[Generated]) -> BTreeSet<String> {
    let mut open = BTreeSet::new();
    for mail in mails {
        let Some(id) = &mail.truth.incident_id else {
            continue;
        };
        match mail.truth.outcome {
            Outcome::Opened | Outcome::Reopened => {
                open.insert(id.clone());
            }
            Outcome::Resolved => {
                open.remove(id);
            }
            _ => {}
        }
    }
    open
}

pub fn aliases(incidents: &BTreeSet<String>, receivers: &[&str]) -> BTreeSet<String> {
    incidents
        .iter()
        .flat_map(|id| {
            receivers
                .iter()
                .map(move |receiver| alias("incident", id, receiver))
        })
        .collect()
}

pub const DOORS: &str = "
global: { max_age: 0s }
store: { url: 'sqlite:alertbridge.db' }
admin: { listen: '127.0.0.1:0' }
";

/// The open alerts of a vendor that are incidents'; alerts that could not be read stay open beside
/// them.
fn incidents_among(open: Vec<String>) -> BTreeSet<String> {
    open.into_iter()
        .filter(|alias| !alias.starts_with("unparsed-"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_mails_come_out_as_they_should_and_every_request_is_valid_for_its_vendor() {
    let folder = tempfile::tempdir().unwrap();
    let vendors = Vendors::start().await;
    let config = format!(
        "{DOORS}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: mail }}] }}
route: {{ receiver: oncall, routes: [{{ receiver: jsm, continue: true }}, {{ receiver: oncall }}] }}
{}",
        vendors.receivers(folder.path())
    );
    fs::write(
        folder.path().join("replay.yaml"),
        harness::unless_judged(&config),
    )
    .unwrap();
    let mails = generator::generate(42, 5000);
    let store = folder.path().join("mails");
    fs::create_dir(&store).unwrap();
    for (number, mail) in mails.iter().enumerate() {
        fs::write(store.join(format!("{number:05}.eml")), &mail.eml).unwrap();
    }
    let replayed = harness::run(
        folder.path(),
        &["replay", "--config", "replay.yaml", "--json", "mails"],
    );
    let said = String::from_utf8_lossy(&replayed.stderr);
    assert_eq!(
        replayed.status.code(),
        Some(1),
        "a tenth cannot be read: {said}"
    );
    let lines: Vec<serde_json::Value> = replayed
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), mails.len());
    let mut requests = 0;
    for (line, mail) in lines.iter().zip(&mails) {
        let truth = &mail.truth;
        assert_eq!(
            line["outcome"],
            truth.outcome.as_str(),
            "{}: {}",
            line["mail"],
            line["reason"]
        );
        let told: Vec<_> = line["receivers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        match truth.outcome {
            Outcome::Opened | Outcome::Reopened | Outcome::Unparsed => {
                assert_eq!(told, ["jsm", "oncall"]);
            }
            Outcome::Resolved => assert!(told.is_empty() || told == ["jsm", "oncall"], "{told:?}"),
            _ => assert!(told.is_empty(), "{told:?}"),
        }
        for request in line["requests"].as_array().unwrap() {
            let action = if line["labels"]["state"] == "resolved" {
                alertbridge::delivery::Action::Resolve
            } else {
                alertbridge::delivery::Action::Trigger
            };
            let mut body = request["body"].clone();
            if body["routing_key"] == "<secret>" {
                body["routing_key"] = "0".repeat(32).into();
            }
            crate::vendors::check(request["integration"].as_str().unwrap(), action, &body)
                .unwrap_or_else(|why| {
                    panic!(
                        "{}: {}: {why}: {}",
                        line["mail"], request["integration"], request["body"]
                    )
                });
            requests += 1;
        }
    }
    assert!(requests > 5000, "{requests} requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_door_at_once_opens_one_alert_an_incident_at_each_vendor_and_its_resolve_closes_it() {
    let folder = tempfile::tempdir().unwrap();
    let vendors = Vendors::start().await;
    let dovecot = Dovecot::start();
    let mailbox = dovecot.settings(Tls::Implicit);
    let config = format!(
        "{DOORS}
ingress:
  http: {{ listen: '127.0.0.1:0' }}
  webhook: [{{ name: http }}]
  smtp: [{{ name: smtp, listen: '127.0.0.1:0', recipients: ['alerts@example.com'] }}]
  imap: [{{ name: imap, host: localhost, port: {}, ca_file: '{}', username: {}, password_file: \
  '{}' }}]
route: {{ receiver: oncall, routes: [{{ receiver: jsm, continue: true }}, {{ receiver: oncall }}] }}
{}",
        mailbox.port.unwrap(),
        mailbox.ca_file.unwrap().display(),
        mailbox.username,
        mailbox.password_file.unwrap().display(),
        vendors.receivers(folder.path())
    );
    let mut bridge = Bridge::start(folder.path(), &config);
    wait_for_imap(&bridge).await;
    // The mails of one incident keep to one door, as they would: doors have no order among them.
    let mails = generator::generate(7, 300);
    let mut sent = 0_u32;
    for mail in &mails {
        let door = mail
            .truth
            .incident_id
            .as_ref()
            .map_or(0, |id| id.bytes().map(usize::from).sum::<usize>() % 3);
        match door {
            0 => assert_eq!(bridge.post(&mail.eml).await.unwrap(), 202),
            1 => {
                let (address, eml) = (bridge.smtp.unwrap(), mail.eml.clone());
                tokio::task::spawn_blocking(move || harness::smtp_try(address, &eml))
                    .await
                    .unwrap()
                    .unwrap();
            }
            _ => dovecot.deliver(&mail.eml),
        }
        sent += 1;
    }
    bridge.settled(sent).await;
    let open = open_at_the_end(&mails);
    assert!(open.len() > 10, "{} stay open", open.len());
    assert_eq!(
        incidents_among(vendors.opsgenie.open_alerts()),
        aliases(&open, &["oncall", "jsm"])
    );
    assert_eq!(
        incidents_among(vendors.pagerduty.open_alerts()),
        aliases(&open, &["oncall"])
    );
    vendors.assert_no_violation();
    assert!(
        vendors.opsgenie.repeats().is_empty(),
        "{:?}",
        vendors.opsgenie.repeats()
    );
    assert!(
        vendors.pagerduty.repeats().is_empty(),
        "{:?}",
        vendors.pagerduty.repeats()
    );
    let notifying = mails
        .iter()
        .filter(|mail| {
            matches!(
                mail.truth.outcome,
                Outcome::Opened | Outcome::Reopened | Outcome::Resolved | Outcome::Unparsed
            )
        })
        .count();
    let untold = bridge.command(&["mails", "list", "--outcome", "resolved", "--json"]);
    let untold: Vec<serde_json::Value> = serde_json::from_slice(&untold.stdout).unwrap();
    let untold = untold
        .iter()
        .filter(|mail| mail["reason"].is_string())
        .count();
    assert_eq!(
        vendors.hook.pages().len(),
        notifying - untold,
        "one call for each notification"
    );
    assert_eq!(vendors.slack.messages().len(), notifying - untold);
    assert!(!bridge.ended());
    let log = bridge.log();
    for secret in [
        vendors.opsgenie.key(),
        vendors.pagerduty.key(),
        HOOK_SECRET,
        &vendors.slack.url(),
        PASSWORD,
    ] {
        assert!(
            !log.contains(secret),
            "a secret is in the log:\n{}",
            tail(&log)
        );
    }
    assert!(bridge.stop().success());
}

pub async fn wait_for_imap(bridge: &Bridge) {
    let deadline = std::time::Instant::now() + harness::PATIENCE;
    while bridge
        .metric(
            "alertbridge_ingress_last_success_timestamp_seconds",
            "\"imap\"",
        )
        .await
        == 0.0
    {
        assert!(
            std::time::Instant::now() < deadline,
            "no mailbox:\n{}",
            tail(&bridge.log())
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
