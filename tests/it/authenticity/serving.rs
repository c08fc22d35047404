//! The stage in the program: judged when it arrives, stored, shown.

use serde_json::Value;

use super::*;
use crate::harness::{Bridge, run_with};

fn config(dns: &str) -> String {
    format!(
        "store: {{ url: 'sqlite:state.db' }}
admin: {{ listen: '127.0.0.1:0' }}
ingress: {{ http: {{ listen: '127.0.0.1:0' }}, webhook: [{{ name: mail, trusted_authserv_id: \
mx.google.com }}] }}
alerts: {{ authenticity: {{ dns: ['{dns}'] }} }}
route: {{ receiver: people }}
receivers: [{{ name: people, stdout_configs: [{{}}] }}]
"
    )
}

#[tokio::test]
async fn a_mail_is_judged_when_it_arrives_and_keeps_its_verdict() {
    let zone = zone();
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), &config(&zone.address));
    assert!(
        !bridge.log().contains("authenticity.require is empty"),
        "{}",
        bridge.log()
    );
    let (mail, forged) = (genuine(), alert());
    for sent in [&mail, &forged] {
        assert_eq!(bridge.post(sent).await.unwrap(), 202);
    }
    bridge.settled(2).await;
    let show = |id: &str| -> Value {
        let output = bridge.command(&["mails", "show", id, "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    };
    let stored = &show("1")["authenticity"];
    assert_eq!(
        (&stored["verdict"], &stored["evidence"]),
        (&"pass".into(), &"dkim".into()),
        "{stored}"
    );
    assert_eq!(
        (&stored["domain"], &stored["selector"]),
        (&DOMAIN.into(), &"s1".into()),
        "{stored}"
    );
    assert!(
        stored["detail"].as_str().unwrap().contains("verifies"),
        "{stored}"
    );
    assert_eq!(show("2")["authenticity"]["verdict"], "none");
    for having in ["verdict=\"pass\"", "evidence=\"dkim\"", "verdict=\"none\""] {
        let counted = bridge
            .metric("alertbridge_authenticity_total", having)
            .await;
        assert!((counted - 1.0).abs() < f64::EPSILON, "{having}: {counted}");
    }

    // The key is withdrawn: what was judged stays judged, and what comes now is not.
    drop(zone);
    let empty = Dnsmasq::start(&[]);
    std::fs::write(
        folder.path().join("alertbridge.yaml"),
        config(&empty.address),
    )
    .unwrap();
    let replayed = bridge.command(&["replay", "--stored", "--json"]);
    let first: Value =
        serde_json::from_slice(replayed.stdout.split(|byte| *byte == b'\n').next().unwrap())
            .unwrap();
    assert_eq!(first["authenticity"]["verdict"], "pass");
    let explained = run_with(folder.path(), &["explain", "-", "--json"], &mail);
    let explained: Value = serde_json::from_slice(&explained.stdout).unwrap();
    assert_eq!(explained["authenticity"]["verdict"], "fail", "{explained}");
    let trusted = run_with(folder.path(), &["explain", "-", "--json", "--trust"], &mail);
    let trusted: Value = serde_json::from_slice(&trusted.stdout).unwrap();
    assert_eq!(trusted["authenticity"]["verdict"], "pass");
}

#[tokio::test]
async fn explain_says_in_words_what_was_looked_at() {
    let zone = zone();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("alertbridge.yaml"),
        config(&zone.address),
    )
    .unwrap();
    let walk = |mail: &[u8]| {
        String::from_utf8(run_with(folder.path(), &["explain", "-"], mail).stdout).unwrap()
    };
    let said = walk(&genuine());
    assert!(
        said.contains(
            "\nauthenticate  pass: DKIM: the signature of am.atlassian.com (selector s1) verifies\n"
        ),
        "{said}"
    );
    let said = walk(&alert());
    let tried = "none: DKIM: the mail is not signed. Authentication-Results: the mail has none. \
                 ARC: the mail has no chain of seals";
    assert!(said.contains(tried), "{said}");
}

#[tokio::test]
async fn a_file_is_tried_as_if_it_had_come_through_an_ingress() {
    let zone = zone();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("alertbridge.yaml"),
        config(&zone.address),
    )
    .unwrap();
    let said = "Authentication-Results: mx.google.com; dkim=pass header.d=am.atlassian.com\n";
    let mail = below(
        said,
        &altered(&genuine(), "Message-ID: <", "Message-ID: <x"),
    );
    let verdict = |more: &[&str]| {
        let output = run_with(
            folder.path(),
            &[&["explain", "-", "--json"], more].concat(),
            &mail,
        );
        let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
        explained["authenticity"]["evidence"].clone()
    };
    assert_eq!(verdict(&[]), "authentication_results");
    assert_eq!(verdict(&["--ingress", "mail"]), "authentication_results");
}
