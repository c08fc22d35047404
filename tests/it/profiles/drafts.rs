//! `profiles draft` over the starters' own mails.

use std::{fs, path::PathBuf};

use alertbridge::{
    config::Config,
    profile::{Found, Meaning, Profiles, draft},
};

use super::{folder, sequence::sender::SENDERS};

fn mail(profile: &str, name: &str) -> Vec<u8> {
    let path: PathBuf = folder().join(profile).join(format!("{name}.eml"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The key that a draft gives both mails, or why it does not work as it is.
fn tried(opening: &[u8], closing: &[u8]) -> Result<String, String> {
    let document = draft::document(opening, Some(closing));
    let settings = Config::profiles_of(&document).map_err(|errors| errors.to_string())?;
    let profiles = Profiles::compile(&settings).map_err(|found| format!("{found:?}"))?;
    let profile = profiles.iter().next().unwrap();
    let alert = |raw: &[u8], meaning| match profile.read(raw).remove(0) {
        Found::Alert(alert) if alert.meaning == meaning => Ok(alert.key),
        other => Err(format!("{other:?}\n{document}")),
    };
    let key = alert(opening, Meaning::Trigger)?;
    let other = alert(closing, Meaning::Resolve)?;
    if key == other {
        Ok(key)
    } else {
        Err(format!("{key} and {other}\n{document}"))
    }
}

#[test]
fn a_draft_works_without_an_edit() {
    let failed: Vec<_> = SENDERS
        .iter()
        .filter_map(|sender| {
            let (opening, closing) = (sender.on, sender.over?);
            let why = tried(&mail(sender.name, opening), &mail(sender.name, closing)).err()?;
            Some(format!("{}: {why}", sender.name))
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // smartd never says that it is over.
    assert_eq!(SENDERS.iter().filter(|one| one.over.is_none()).count(), 1);
}

#[test]
fn a_draft_of_one_mail_opens() {
    for sender in &SENDERS {
        let (profile, raw) = (sender.name, mail(sender.name, sender.on));
        let document = draft::document(&raw, None);
        let settings = Config::profiles_of(&document).unwrap();
        let profiles = Profiles::compile(&settings).unwrap_or_else(|found| panic!("{found:?}"));
        let found = profiles.iter().next().unwrap().read(&raw);
        assert!(
            matches!(&found[0], Found::Alert(alert) if alert.meaning == Meaning::Trigger),
            "{profile}: {found:?}\n{document}"
        );
    }
}

/// Mails that no vendor wrote: of a backup job, a UPS, and a boiler in German and ISO-8859-1.
const IN_HOUSE: [(&str, &str, &str); 3] = [
    ("backup-failed", "backup-done", "[borg] vault7: backup"),
    ("ups-on-battery", "ups-on-line", "rack4"),
    ("boiler-fault", "boiler-mended", "Kessel 2/Große Halle"),
];

fn in_house(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/profiles/in_house");
    fs::read(format!("{folder}/{name}.eml")).unwrap()
}

#[test]
fn a_draft_of_in_house_mails_works_without_an_edit() {
    for (opening, closing, key) in IN_HOUSE {
        let (opening, closing) = (in_house(opening), in_house(closing));
        assert_eq!(tried(&opening, &closing), Ok(key.to_owned()));
    }
}

/// As the guide has it of a table with a row for each.
#[test]
fn rows_of_a_digest_are_incidents() {
    let profile = r"profiles:
- name: crm
  match: { from: [noreply@crm.corp.example] }
  each: { text: '(?m)^(?<id>\d+)\t(?<name>[^\t\n]+)\t(?<state>[^\t\n]+)$' }
  fields: { key: '{{ item.id }}', status: '{{ item.state }}', title: '{{ item.name }} is {{ item.state }}' }
  status: { trigger: [stuck], resolve: [running again], otherwise: unparsed }
";
    let profiles = Profiles::compile(&Config::profiles_of(profile).unwrap()).unwrap();
    let profile = profiles.iter().next().unwrap();
    let read = |name: &str| -> Vec<(String, Meaning)> {
        let found = profile.read(&in_house(name)).into_iter();
        let alert = |found| match found {
            Found::Alert(alert) => (alert.labels["title"].clone(), alert.meaning),
            other => panic!("{other:?}"),
        };
        found.map(alert).collect()
    };
    let on = |title: &str| (title.to_owned(), Meaning::Trigger);
    assert_eq!(
        read("crm-stuck"),
        [on("Lead import is stuck"), on("Invoice sync is stuck")]
    );
    assert_eq!(
        read("crm-running"),
        [("Lead import is running again".to_owned(), Meaning::Resolve)]
    );
}

/// A mail with these fields of the header and this text.
fn mail_of(header: &str, text: &str) -> Vec<u8> {
    format!("From: mon@example.com\r\n{header}\r\n\r\n{text}\r\n").into_bytes()
}

fn attached(json: &str) -> Vec<u8> {
    mail_of(
        "Subject: Alarm\r\nContent-Type: multipart/mixed; boundary=b",
        &format!(
            "--b\r\n\r\nSee it.\r\n--b\r\nContent-Type: application/json; name=ALARM.json\r\n\
             Content-Disposition: attachment\r\n\r\n{json}\r\n--b--"
        ),
    )
}

#[test]
fn a_draft_goes_by_what_both_mails_share() {
    for (on, over, key) in [
        // An id that the header alone holds.
        (
            mail_of(
                "Subject: Maintenance\r\nX-SM-TYPE: OPEN\r\nX-SM-DEDUPING-ID: a-1",
                "x",
            ),
            mail_of(
                "Subject: Maintenance is over\r\nX-SM-TYPE: CLOSED\r\nX-SM-DEDUPING-ID: a-1",
                "x",
            ),
            "a-1",
        ),
        // A number says more than the service that it is about.
        (
            mail_of("Subject: x", "Incident: 4711\nService: Shop\nStatus: Open"),
            mail_of(
                "Subject: x",
                "Incident: 4711\nService: Shop\nStatus: Closed",
            ),
            "4711",
        ),
        (
            mail_of("Subject: x", "Incident: Disk full\nHost: db1\nStatus: Open"),
            mail_of(
                "Subject: x",
                "Incident: Disk full\nHost: db1\nStatus: Closed",
            ),
            "db1",
        ),
        // What stands around the status, without its brackets.
        (
            mail_of("Subject: [FIRING] web1 unreachable", "x"),
            mail_of("Subject: [OK] web1 unreachable", "x"),
            "web1 unreachable",
        ),
        // JSON, wherever it lies.
        (
            mail_of(
                "Subject: Alarm",
                r#"{"alert": {"alert_id": "a-7"}, "state": "ALARM"}"#,
            ),
            mail_of(
                "Subject: Alarm",
                r#"{"alert": {"alert_id": "a-7"}, "state": "OK"}"#,
            ),
            "a-7",
        ),
        (
            attached(r#"{"incidentId": 12, "status": "open"}"#),
            attached(r#"{"incidentId": 12, "status": "closed"}"#),
            "12",
        ),
        // What carriers add says nothing of an alert.
        (
            mail_of(
                "Subject: DOWN: web1\r\nX-Gm-Message-State: AOJu0Yx\r\n\
                 X-MS-Exchange-CrossTenant-id: 7",
                "x",
            ),
            mail_of(
                "Subject: UP: web1\r\nX-Gm-Message-State: AOJu0Zq\r\n\
                 X-MS-Exchange-CrossTenant-id: 7",
                "x",
            ),
            "web1",
        ),
    ] {
        assert_eq!(tried(&on, &over).as_deref(), Ok(key));
    }
}
