//! Atlassian's own mail: the code that reads it and the profile that says the same.

use std::{fs, path::Path};

use alertbridge::{
    config::Config,
    extract::{Extracted, Extractor},
    profile::{Found, Profiles, Settings, starters::ATLASSIAN_SLI},
    validate::Validator,
};

fn profiles() -> Profiles {
    // A profile of this name is refused in a file: it is read as one of another name is.
    let text = ATLASSIAN_SLI.replace("name: atlassian-sli", "name: sli");
    let settings: Vec<Settings> = Config::profiles_of(&text).unwrap();
    Profiles::built_in(&settings).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// A value as a field has it: without blanks around it and control characters in it.
fn plain(value: &str) -> String {
    let shown = value.trim().replace(['\n', '\t'], " ");
    shown.chars().filter(|c| !c.is_control()).collect()
}

#[test]
fn code_and_profile_read_the_same_in_every_mail() {
    let profiles = profiles();
    let profile = profiles.get("sli").unwrap();
    let extractor = Extractor::new(&["no-reply@am.atlassian.com".into()]);
    let validator = Validator::built_in().unwrap();

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail");
    let (mut compared, mut differ) = (0, Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        let raw = fs::read(&path).unwrap();
        let Extracted::Json(json) = extractor.extract(&raw).found else {
            continue;
        };
        let Ok(valid) = validator.check(json) else {
            continue;
        };
        let found = profile.read(&raw);
        let is_odd = path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("odd-");
        let alert = match &found[..] {
            [Found::Alert(alert)] => alert,
            // The code also mends what transport broke; a profile says that it cannot be read.
            [Found::Unparsed { .. }] if is_odd => continue,
            found => panic!("{}: {found:?}", path.display()),
        };
        let expected = &valid.alert;
        let mut labels = expected.labels();
        labels.retain(|name, _| !matches!(name.as_ref(), "incident_id" | "url"));
        let same = alert.key == plain(&expected.incident_id)
            && alert.status == plain(&expected.status)
            && alert.time == Some(expected.time)
            && alert.labels.len() == labels.len()
            && labels
                .iter()
                .all(|(name, value)| alert.labels[name] == plain(value));
        if !same {
            differ.push(format!("{}: {alert:?}\nand {labels:?}", path.display()));
        }
        compared += 1;
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert!(compared >= 40, "{compared}");
}
