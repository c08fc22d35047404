//! Profiles: the starters against their own mails, and the commands.

use std::{fs, path::Path};

use alertbridge::{
    config::{Config, Files, Loaded, Source},
    profile::starters::{ATLASSIAN_SLI, STARTERS},
};

mod commands;
mod drafts;
mod sequence;
mod sli;

const REST: &str = "\nroute: { receiver: out }\nreceivers: [{ name: out, stdout_configs: [{}] }]\n";

/// The folder of the starters.
fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/profiles")
}

/// A configuration beside the starters, whose mails it may name.
fn loaded(profiles: &str) -> Loaded {
    let source = Source::File(folder().join("test.yaml"));
    let text = format!("{profiles}{REST}");
    Config::parse(source, &text, Files::Needed, &|_| None)
        .unwrap_or_else(|errors| panic!("{errors}\n{profiles}"))
}

#[test]
fn every_starter_passes_its_own_tests() {
    for (name, text) in STARTERS {
        let loaded = loaded(text);
        let profile = loaded.profiles.get(name).unwrap();
        let outcomes: Vec<String> = profile
            .settings()
            .tests
            .iter()
            .map(|test| format!("{:?}", test.outcome.unwrap()))
            .collect();
        let count = |outcome: &str| outcomes.iter().filter(|it| *it == outcome).count();
        assert!(
            count("Opened") >= 2 && count("Ignored") >= 1,
            "{name} has an opening, a repeat and a mail that is none: {outcomes:?}"
        );
        assert!(
            count("Resolved") >= 1 || name == "smartd",
            "{name}: {outcomes:?}"
        );
        assert!(
            profile.settings().authenticity.require.is_none(),
            "no starter weakens what must be proven"
        );
    }
}

#[test]
fn every_mail_of_a_starter_is_in_a_test() {
    for (name, text) in STARTERS {
        let mails = fs::read_dir(folder().join(name)).unwrap();
        let unnamed: Vec<String> = mails
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|mail| !text.contains(&format!("mail: {name}/{mail}")))
            .collect();
        assert!(unnamed.is_empty(), "{name}: {unnamed:?}");
    }
    assert!(ATLASSIAN_SLI.contains("name: atlassian-sli"));
}

#[test]
fn a_profile_that_uses_a_starter_changes_what_it_says_and_keeps_the_rest() {
    let mine = "profiles:\n- name: mine\n  use: cloudwatch\n  match: { from: [me@example.com] }\n  \
                fields: { title: 'mine: {{ re.alarm }}' }\n  status: { resolve: [] }\n";
    let loaded = loaded(mine);
    let profile = loaded.profiles.get("mine").unwrap();
    let settings = profile.settings();
    assert_eq!(settings.r#match.from, ["me@example.com"]);
    assert_eq!(settings.r#match.matchers.len(), 1, "the starter's");
    assert_eq!(settings.fields["title"], "mine: {{ re.alarm }}");
    assert!(settings.fields["key"].starts_with("{{ re.region }}/{{ pairs['Name'] "));
    assert_eq!(settings.status.trigger, [".* -> ALARM"]);
    assert!(settings.status.resolve.is_empty() && settings.tests.is_empty());
}
