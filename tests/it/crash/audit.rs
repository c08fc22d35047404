//! What must hold after any number of crashes: at the vendors, and in the store.

use alertbridge::store::{audit::Extent, sqlite};

use super::*;

/// What each incident's receivers are to hear, in order.
fn truth(mails: &[Generated]) -> BTreeMap<String, Vec<&'static str>> {
    let mut told: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for mail in mails {
        let Some(id) = &mail.truth.incident_id else {
            continue;
        };
        match mail.truth.outcome {
            Outcome::Opened | Outcome::Reopened => {
                told.entry(id.clone()).or_default().push("trigger");
            }
            Outcome::Resolved => told.entry(id.clone()).or_default().push("resolve"),
            _ => {}
        }
    }
    told
}

fn heard(pages: &[Page], key: &str) -> Vec<String> {
    pages
        .iter()
        .filter(|page| page.key == key)
        .map(|page| page.action.clone())
        .collect()
}

/// Slack's messages, and what each tells.
fn said(vendors: &Vendors) -> Vec<(String, String)> {
    let actions = vendors.slack.pages().into_iter().map(|page| page.action);
    vendors
        .slack
        .messages()
        .iter()
        .map(ToString::to_string)
        .zip(actions)
        .collect()
}

/// Whether it is a mail that moved its incident, and no copy of one.
fn moves(mail: &serde_json::Value) -> bool {
    ["opened", "reopened", "resolved"]
        .iter()
        .any(|outcome| mail["outcome"] == *outcome)
}

/// Everything promised, but for what may be told twice.
pub fn audit(vendors: &Vendors, bridge: &Bridge, mails: &[Generated], numbers: &[i64]) {
    let stored = listed(bridge, &["mails", "list", "--limit", "100000", "--json"]);
    let ids: BTreeSet<i64> = stored
        .iter()
        .map(|mail| mail["id"].as_i64().unwrap())
        .collect();
    assert!(
        numbers.iter().all(|number| ids.contains(number)),
        "an acknowledged mail is gone"
    );
    assert!(
        stored.len() >= mails.len(),
        "{} of {} mails are stored",
        stored.len(),
        mails.len()
    );
    assert!(listed(bridge, &["deliveries", "list", "--state", "dead", "--json"]).is_empty());

    vendors.assert_no_violation();
    let open = open_at_the_end(mails);
    let incidents = |open: Vec<String>| -> BTreeSet<String> {
        open.into_iter()
            .filter(|alias| !alias.starts_with("unparsed-"))
            .collect()
    };
    assert_eq!(
        incidents(vendors.opsgenie.open_alerts()),
        aliases(&open, &["oncall", "jsm"])
    );
    assert_eq!(
        incidents(vendors.pagerduty.open_alerts()),
        aliases(&open, &["oncall"])
    );
    assert_eq!(
        incidents(vendors.hook.open_alerts()),
        aliases(&open, &["oncall"])
    );
    let (opsgenie, pagerduty, hook) = (
        vendors.opsgenie.pages(),
        vendors.pagerduty.pages(),
        vendors.hook.pages(),
    );
    let slack = said(vendors);
    for (incident, told) in truth(mails) {
        let decided = stored
            .iter()
            .filter(|mail| mail["incident_id"] == incident.as_str() && moves(mail))
            .count();
        assert_eq!(
            decided,
            told.len(),
            "what became of the mails of {incident}"
        );
        let oncall = alias("incident", &incident, "oncall");
        assert_eq!(heard(&opsgenie, &oncall), told, "Opsgenie, {oncall}");
        assert_eq!(
            heard(&opsgenie, &alias("incident", &incident, "jsm")),
            told,
            "JSM, {incident}"
        );
        assert_eq!(heard(&pagerduty, &oncall), told, "PagerDuty, {oncall}");
        assert_eq!(heard(&hook, &oncall), told, "the webhook, {oncall}");
        let about_it = slack
            .iter()
            .filter(|(message, _)| message.contains(&incident));
        let mut said: Vec<_> = about_it.map(|(_, action)| action.as_str()).collect();
        // What is said twice is said in a row.
        said.dedup();
        assert_eq!(said, told, "Slack, {incident}");
    }
    let unread = mails
        .iter()
        .filter(|mail| mail.truth.outcome == Outcome::Unparsed)
        .count();
    let told = pagerduty
        .iter()
        .filter(|page| page.key.starts_with("unparsed-"))
        .count();
    assert_eq!(told, unread, "each alert that cannot be read is told once");
}

/// What crashes may double, and how often: of vendors without keys each page that was on its way,
/// by the kind of its integration, its action and its alias.
#[derive(Debug, Default)]
pub struct Doubled(BTreeMap<(String, String, String), usize>);

impl Doubled {
    fn allowed(&self, kind: &str, action: &str, alias: &str) -> usize {
        self.0
            .get(&(kind.into(), action.into(), alias.into()))
            .copied()
            .unwrap_or_default()
    }

    /// Without a key at the other end, what was on its way at a crash may be seen again, and
    /// nothing else.
    pub fn audit(&self, vendors: &Vendors, mails: &[Generated]) {
        let mut repeats: BTreeMap<String, usize> = BTreeMap::new();
        for repeat in vendors.hook.repeats() {
            *repeats.entry(repeat).or_default() += 1;
        }
        for (repeat, times) in repeats {
            let (action, alias) = repeat.split_once(' ').unwrap();
            let allowed = self.allowed("webhook", action, alias);
            assert!(
                times <= allowed,
                "the webhook saw {repeat} again {times} times, {allowed} allowed"
            );
        }
        let slack = said(vendors);
        for (incident, told) in truth(mails) {
            for action in ["trigger", "resolve"] {
                let times = slack
                    .iter()
                    .filter(|(message, said)| said == action && message.contains(&incident))
                    .count();
                let once = told.iter().filter(|told| **told == action).count();
                let allowed =
                    self.allowed("slack", action, &alias("incident", &incident, "oncall"));
                assert!(
                    times <= once + allowed,
                    "Slack: {action} of {incident} {times} times for {once}, {allowed} allowed"
                );
            }
        }
        let once = vendors.pagerduty.pages().len();
        let of_slack = self
            .0
            .iter()
            .filter(|((kind, ..), _)| kind == "slack")
            .map(|(_, times)| times)
            .sum::<usize>();
        assert!(
            slack.len() <= once + of_slack,
            "{} messages at Slack where PagerDuty has {once} events",
            slack.len()
        );
    }

    /// Adds what was on its way when the bridge died.
    pub fn allow(&mut self, store: &Path) {
        let store = Connection::open(store).unwrap();
        let mut leased = store
            .prepare("SELECT integration, action, alias FROM deliveries WHERE lease IS NOT NULL")
            .unwrap();
        let leased = leased
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap();
        for (integration, action, alias) in
            leased.map(rusqlite::Result::<(String, String, String)>::unwrap)
        {
            let kind = integration.split('/').next().unwrap().to_owned();
            *self.0.entry((kind, action, alias)).or_default() += 1;
        }
    }
}

/// The store as the dead bridge left it keeps every promise.
pub fn assert_sound(store: &Path, after: &str) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the store was written by the machine's clock"
    )]
    let (found, _) =
        sqlite::check(store, jiff::Timestamp::now(), Extent::Everything, |_, _| {}).unwrap();
    assert_eq!(found, [], "after {after}");
}
