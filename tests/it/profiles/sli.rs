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

#[test]
fn code_and_profile_read_the_same_in_every_mail() {
    let profiles = profiles();
    let profile = profiles.get("sli").unwrap();
    let extractor = Extractor::new(&["no-reply@am.atlassian.com".into()]);
    let validator = Validator::built_in().unwrap();

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail");
    let mut compared = 0;
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
        assert_eq!(alert.key, expected.incident_id, "{}", path.display());
        assert_eq!(alert.status, expected.status, "{}", path.display());
        assert_eq!(alert.time, Some(expected.time), "{}", path.display());
        let mut labels = expected.labels();
        labels.retain(|name, _| !matches!(name.as_ref(), "incident_id" | "url"));
        assert_eq!(alert.labels, labels, "{}", path.display());
        compared += 1;
    }
    assert!(compared >= 40, "{compared}");
}
