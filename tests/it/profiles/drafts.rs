//! `profiles draft` over the starters' own mails.

use std::{fs, path::PathBuf};

use alertbridge::{
    config::Config,
    profile::{Found, Meaning, Profiles, draft, starters::STARTERS},
};

use super::folder;

/// An opening mail and its closing one; smartd has no closing one.
const MAILS: [(&str, &str, &str); 14] = [
    ("forge-alert", "open", "closed"),
    ("cloudwatch", "alarm", "ok"),
    ("alertmanager", "one", "resolved"),
    ("grafana", "firing", "resolved"),
    ("nagios", "problem", "recovery"),
    ("icinga", "problem", "recovery"),
    ("zabbix", "problem", "resolved"),
    ("librenms", "alert", "recovered"),
    ("healthchecks", "down", "up"),
    ("uptime-kuma", "down", "up"),
    ("jenkins", "failure", "fixed"),
    ("github-actions", "failed", "succeeded"),
    ("azure-monitor", "fired", "resolved"),
    ("smartd", "pending", "pending-again"),
];

fn mail(profile: &str, name: &str) -> Vec<u8> {
    let path: PathBuf = folder().join(profile).join(format!("{name}.eml"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Why a draft does not work as it is.
fn tried(opening: &[u8], closing: &[u8]) -> Result<(), String> {
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
        Ok(())
    } else {
        Err(format!("{key} and {other}\n{document}"))
    }
}

#[test]
fn a_draft_works_without_an_edit() {
    assert_eq!(MAILS.map(|(name, ..)| name), STARTERS.map(|(name, _)| name));
    let failed: Vec<_> = MAILS
        .iter()
        .filter_map(|(profile, opening, closing)| {
            let why = tried(&mail(profile, opening), &mail(profile, closing)).err()?;
            Some((profile, why))
        })
        .collect();
    for (profile, why) in &failed {
        println!("{profile}: {why}");
    }
    let failed: Vec<_> = failed.iter().map(|(profile, _)| **profile).collect();
    assert_eq!(failed, ["smartd"], "it never says that it is over");
}

#[test]
fn a_draft_of_one_mail_opens() {
    for (profile, opening, _) in MAILS {
        let raw = mail(profile, opening);
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
