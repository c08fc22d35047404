//! The recovery drill: a bridge at work is backed up, its machine is lost, and another goes on from
//! the backup. What was acknowledged before the backup is there; what came to the mailbox since is
//! read again; nobody has two open alerts of an incident.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::{Duration, Instant},
};

use alertbridge::{delivery::alias, ingress::imap::Tls};

use crate::{
    crash::at_rest,
    dovecot::Dovecot,
    e2e::{DOORS, HOOK_SECRET, aliases, open_at_the_end},
    generator::{self, Generated, Outcome},
    harness::{Bridge, PATIENCE, run, tail, unless_judged},
    vendors::{Fake, Hook, PagerDuty},
};

/// Over SMTP or HTTP before the backup; then through the mailbox before it, and after it.
const PUSHED: usize = 60;
const BEFORE: usize = 120;
const AFTER: usize = 90;

struct Drill {
    dovecot: Dovecot,
    pager: Fake<PagerDuty>,
    hook: Fake<Hook>,
}

impl Drill {
    async fn begin() -> Self {
        Self {
            dovecot: Dovecot::start(),
            pager: PagerDuty::start().await,
            hook: Hook::start(HOOK_SECRET).await,
        }
    }

    /// The same on both machines.
    fn config(&self) -> String {
        let mailbox = self.dovecot.settings(Tls::None);
        format!(
            "{DOORS}
ingress:
  http: {{ listen: '127.0.0.1:0' }}
  webhook: [{{ name: http }}]
  imap: [{{ name: mailbox, host: localhost, port: {}, tls: none, username: {}, password_file: '{}', backfill: 1d }}]
route: {{ receiver: oncall }}
receivers:
  - name: oncall
    pagerduty_configs: [{{ routing_key: '{}', url: '{}' }}]
    webhook_configs: [{{ url: '{}', secret: '{HOOK_SECRET}' }}]",
            mailbox.port.unwrap(),
            mailbox.username,
            mailbox.password_file.unwrap().display(),
            self.pager.key(),
            self.pager.url(),
            self.hook.url(),
        )
    }

    fn mailed(&self, mails: &[Generated]) {
        for mail in mails {
            self.dovecot.deliver(&mail.eml);
        }
    }

    /// Waits until the bridge has decided so many mails of the mailbox.
    async fn read(&self, bridge: &Bridge, mails: usize) {
        let mails = f64::from(u32::try_from(mails).unwrap());
        let deadline = Instant::now() + PATIENCE;
        while bridge
            .metric("alertbridge_mails_total", "{ingress=\"mailbox\"")
            .await
            < mails
        {
            assert!(Instant::now() < deadline, "{}", tail(&bridge.log()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn succeeds(folder: &Path, arguments: &[&str]) {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

/// How often an incident's receivers are to hear of its opening.
fn openings(mails: &[Generated]) -> BTreeMap<&str, usize> {
    let mut openings = BTreeMap::new();
    for mail in mails {
        if let (Some(id), Outcome::Opened | Outcome::Reopened) =
            (mail.truth.incident_id.as_deref(), mail.truth.outcome)
        {
            *openings.entry(id).or_default() += 1;
        }
    }
    openings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_machine_is_replaced_from_its_backup_and_the_mailbox() {
    let drill = Drill::begin().await;
    let [lost, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let backup = other.path().join("backup.db");
    let mails = generator::generate(3141, PUSHED + BEFORE + AFTER);
    let (pushed, mailed) = mails.split_at(PUSHED);
    let (before, after) = mailed.split_at(BEFORE);

    // A bridge at work, and a backup in the midst of it.
    let mut bridge = Bridge::start(lost.path(), &drill.config());
    for mail in pushed {
        assert_eq!(bridge.post(&mail.eml).await.unwrap(), 202);
    }
    drill.mailed(&before[..BEFORE / 2]);
    drill.read(&bridge, BEFORE / 2).await;
    drill.mailed(&before[BEFORE / 2..]);
    let begun = Instant::now();
    let made = bridge.command(&["store", "backup", backup.to_str().unwrap()]);
    let backing_up = begun.elapsed();
    assert!(made.status.success(), "{made:?}");
    drill.mailed(after);
    drill.read(&bridge, BEFORE + AFTER).await;
    at_rest(&bridge).await;

    // The machine is lost.
    bridge.kill();
    drop(bridge);
    lost.close().unwrap();

    let begun = Instant::now();
    fs::write(
        other.path().join("alertbridge.yaml"),
        unless_judged(&drill.config()),
    )
    .unwrap();
    succeeds(other.path(), &["store", "restore", "backup.db"]);
    let bridge = Bridge::start(other.path(), &drill.config());
    let serving = begun.elapsed();
    bridge.settled_in_store(mails.len()).await;
    at_rest(&bridge).await;
    let caught_up = begun.elapsed();
    eprintln!(
        "backed up in {backing_up:?}; mail is taken {serving:?} after the loss, all is caught up after {caught_up:?}"
    );

    // Each mail is there once, those of before the backup as they were.
    let listed = bridge.command(&["mails", "list", "--limit", "100000", "--json"]);
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(
        listed.len(),
        mails.len(),
        "no mail is lost, none is there twice"
    );
    for (mail, stored) in mails.iter().zip(listed.iter().rev()) {
        assert_eq!(stored["outcome"], mail.truth.outcome.as_str(), "{stored}");
    }
    succeeds(other.path(), &["store", "check"]);

    // The vendors have what is open, once each.
    let open = aliases(&open_at_the_end(&mails), &["oncall"]);
    let incidents = |open: Vec<String>| -> BTreeSet<String> {
        let known = open.into_iter();
        known.filter(|key| !key.starts_with("unparsed-")).collect()
    };
    assert_eq!(incidents(drill.pager.open_alerts()), open);
    assert_eq!(incidents(drill.hook.open_alerts()), open);
    assert_eq!(drill.pager.violations(), [""; 0]);

    // Told once more is at most what was told between the backup and the loss.
    let (all, since) = (openings(&mails), openings(after));
    let pages = drill.pager.pages();
    for (id, times) in all {
        let key = alias("incident", id, "oncall");
        let told = pages
            .iter()
            .filter(|page| page.key == key && page.action == "trigger")
            .count();
        let again = since.get(id).copied().unwrap_or_default()
            + openings(&before[BEFORE / 2..])
                .get(id)
                .copied()
                .unwrap_or_default();
        assert!(
            (times..=times + again).contains(&told),
            "{id} opened {times} times, {again} of them after the backup, and was told {told} times"
        );
    }
    assert!(caught_up < Duration::from_secs(30), "{caught_up:?}");
}
