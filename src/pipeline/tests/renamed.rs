//! Tests that renaming receivers while their incidents are open changes nothing of what anybody is
//! told.

use super::*;

/// Returns a configuration that routes warnings to `night`, which sleeps for the first hour, and
/// critical alerts to `pager`.
fn configuration() -> String {
    let route = "route:
  receiver: pager
  routes:
    - { receiver: chat, continue: true }
    - { receiver: night, matchers: ['severity=warning'], mute_time_intervals: [sleep] }
    - { receiver: pager }
";
    let whole = sleeping(&[(0, 60)]);
    let (before, rest) = whole.split_once("route:").unwrap();
    let (_, receivers) = rest.split_once("receivers:").unwrap();
    format!("{before}{route}receivers:{receivers}")
}

/// The names before and after the renaming.
const NAMES: [(&str, &str); 3] = [("chat", "gossip"), ("night", "nacht"), ("pager", "beeper")];

/// Returns every sequence of two to four mails that begins with an alert.
fn histories() -> impl Iterator<Item = Vec<(&'static str, &'static str)>> {
    const MAILS: [(&str, &str); 3] = [
        ("ANOMALOUS", "warning"),
        ("ANOMALOUS", "critical"),
        ("OK", "warning"),
    ];
    (2..=4_u32).flat_map(|length| {
        (0..2 * 3_usize.pow(length - 1)).map(move |number| {
            let first = MAILS[number % 2];
            let later = (0..length - 1).map(move |at| MAILS[number / 2 / 3_usize.pow(at) % 3]);
            std::iter::once(first).chain(later).collect()
        })
    })
}

/// Puts a configuration into force as `serve` does, with the stored names of its receivers.
async fn reload(night: &Night, configuration: &str) {
    let loaded = loaded(configuration);
    let entries = loaded.rules.receivers.entries(b"secret");
    let names = night.store.name(entries).await.unwrap();
    let Loaded { config, rules, .. } = loaded.under(&names).unwrap();
    night.in_force.send_replace(Arc::new(InForce {
        authenticator: config.authenticator(&rules.profiles).unwrap(),
        rules,
        canary: None,
    }));
    night.store.look_at_held(night.now()).await.unwrap();
}

/// Returns what is told after each mail of a history and at the end of the mute, by the receivers'
/// original names. They are renamed after `renamed_after` mails.
async fn told(history: &[(&str, &str)], renamed_after: Option<usize>) -> Vec<Vec<Page>> {
    let mut night = Night::under(&configuration());
    reload(&night, &configuration()).await;
    let mut told = Vec::new();
    let mut sweep = async |night: &Night| {
        night.sweep().await;
        let mut pages = night.delivered().await;
        for page in &mut pages {
            let name = NAMES.iter().find(|(_, after)| *after == page.receiver);
            page.receiver = name.map_or(page.receiver.clone(), |(before, _)| (*before).into());
        }
        pages.sort_by_key(|page| (page.receiver.clone(), page.mail));
        told.push(pages);
    };
    for (at, (status, severity)) in history.iter().enumerate() {
        let mail = night.mail("a", status, severity, "com.example.known");
        night.take(mail).await;
        night.pass(1);
        sweep(&night).await;
        if renamed_after == Some(at + 1) {
            let renamed = NAMES.iter().fold(configuration(), |text, (before, after)| {
                text.replace(
                    &format!("receiver: {before}"),
                    &format!("receiver: {after}"),
                )
                .replace(&format!("name: {before}"), &format!("name: {after}"))
            });
            reload(&night, &renamed).await;
        }
    }
    night.pass(60);
    sweep(&night).await;
    told
}

#[tokio::test]
async fn whoever_is_told_of_an_incident_hears_of_it_alike_when_receivers_are_renamed() {
    for history in histories() {
        let expected = told(&history, None).await;
        for at in 1..=history.len() {
            let renamed = told(&history, Some(at)).await;
            assert_eq!(renamed, expected, "{history:?}, renamed after {at}");
        }
    }
}
