//! The `tests` of a profile: mails, and what must be read in them.

use std::{fs, io, path::Path};

use jiff::tz::TimeZone;
use serde::Serialize;

use super::{
    Alert, Found, Meaning, Profile, Profiles,
    settings::{Expected, Test},
};
use crate::{
    message::{Mended, header},
    settings::Problem,
    template::written,
};

/// The largest mail that a test may name, in bytes.
const MAX_MAIL: u64 = 10 << 20;

/// The result of one test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    pub profile: String,
    /// The number of the test, from 1, in the order of the profile's `tests`.
    pub test: usize,
    pub mail: String,
    /// What is wrong; empty if the mail is read as it must be.
    pub wrong: Vec<Wrong>,
}

/// One thing that is not read as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// The key of the test: `mail`, `outcome`, `item`, `fields.key`.
    pub key: String,
    pub what: String,
}

/// Runs the tests of a profile.
pub fn run(profile: &Profile) -> Vec<Tried> {
    let tests = profile.settings().tests.iter().enumerate();
    tests
        .map(|(index, test)| Tried {
            profile: profile.name.to_string(),
            test: index + 1,
            mail: test.mail.display().to_string(),
            wrong: tried(profile, test).err().unwrap_or_default(),
        })
        .collect()
}

/// Returns the failures among the tests of all profiles, as problems of the configuration.
pub fn problems(profiles: &Profiles) -> Vec<Problem> {
    let mut found = Vec::new();
    for (place, profile) in profiles.iter().enumerate() {
        for tried in run(profile) {
            let Tried {
                profile,
                test,
                mail,
                wrong,
            } = tried;
            for Wrong { key, what } in wrong {
                let name = Path::new(&mail)
                    .file_name()
                    .map_or_else(|| mail.clone().into(), |name| name.to_string_lossy());
                found.push(Problem::new(
                    format!("profiles[{place}].tests[{}].{key}", test - 1),
                    format!("test {test} of the profile `{profile}`, with {name}, fails: {what}"),
                    "correct the profile or the test; `alertbridge explain` shows everything that \
                     the mail contains",
                ));
            }
        }
    }
    found
}

type Outcome = Result<(), Vec<Wrong>>;

fn wrong(key: impl Into<String>, what: impl Into<String>) -> Vec<Wrong> {
    vec![Wrong {
        key: key.into(),
        what: what.into(),
    }]
}

fn tried(profile: &Profile, test: &Test) -> Outcome {
    let raw = read(&test.mail)
        .map_err(|error| wrong("mail", format!("{}: {error}", test.mail.display())))?;
    judge(profile, test, &raw)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let size = fs::metadata(path)?.len();
    if size > MAX_MAIL {
        return Err(io::Error::other("the mail is larger than 10 MiB"));
    }
    fs::read(path)
}

/// Checks whether a mail is read as a test says.
fn judge(profile: &Profile, test: &Test, raw: &[u8]) -> Outcome {
    let mail = Mended::of(raw);
    let found = match profile.matching.miss(mail.header()) {
        None => profile.read(raw),
        Some(reason) if test.outcome == Some(Expected::Ignored) => vec![Found::Ignored { reason }],
        Some(reason) => {
            return Err(wrong(
                "mail",
                format!("the profile does not take the mail: {reason}"),
            ));
        }
    };

    let Some(item) = test.item.checked_sub(1).and_then(|item| found.get(item)) else {
        let there = match found.len() {
            1 => "one incident".to_owned(),
            many => format!("{many} incidents"),
        };
        let item = test.item;
        return Err(wrong(
            "item",
            format!("the mail reports {there}, but no item {item}"),
        ));
    };

    let mut all = Vec::new();
    all.extend(outcome(test.outcome, item));
    match item {
        Found::Alert(alert) => {
            all.extend(test.fields.iter().filter_map(|(name, expected)| {
                field(profile, alert, mail.header(), name, expected)
            }));
        }
        Found::Unparsed { reason, .. } | Found::Ignored { reason } if all.is_empty() => {
            all.extend(test.fields.keys().map(|name| Wrong {
                key: format!("fields.{name}"),
                what: format!("there is no alert with this field: {reason}"),
            }));
        }
        _ => {}
    }

    if all.is_empty() { Ok(()) } else { Err(all) }
}

fn outcome(expected: Option<Expected>, found: &Found) -> Option<Wrong> {
    let (actual, why) = match found {
        Found::Alert(alert) => (
            match alert.meaning {
                Meaning::Trigger => Expected::Opened,
                Meaning::Resolve => Expected::Resolved,
                Meaning::Update => Expected::Updated,
            },
            format!("its status is `{}`", alert.status),
        ),
        Found::Unparsed { reason, .. } => (Expected::Unparsed, reason.clone()),
        Found::Ignored { reason } => (Expected::Ignored, reason.clone()),
    };

    let holds = match expected {
        None => actual != Expected::Unparsed,
        // An update is ignored while nothing is open.
        Some(Expected::Ignored) if actual == Expected::Updated => true,
        Some(expected) => expected == actual,
    };
    (!holds).then(|| Wrong {
        key: if expected.is_some() {
            "outcome"
        } else {
            "mail"
        }
        .to_owned(),
        what: format!(
            "the mail is {}{}: {why}",
            actual.as_str(),
            expected.map_or_else(String::new, |expected| format!(
                ", not {}",
                expected.as_str()
            ))
        ),
    })
}

fn field(
    profile: &Profile,
    alert: &Alert,
    header: &[u8],
    name: &str,
    expected: &str,
) -> Option<Wrong> {
    let key = format!("fields.{name}");
    let actual = match name {
        "key" => Some(alert.key.clone()),
        "time" => {
            let time = alert.time.or_else(|| header::date(header));
            let same = written::parse(expected, None, &TimeZone::UTC).ok() == time;
            if same && time.is_some() {
                return None;
            }
            time.map(|time| time.to_string())
        }
        "severity" => Some(profile.severities.of(&alert.labels).to_owned()),
        name => alert.labels.get(name).cloned(),
    };

    match actual {
        Some(actual) if actual == expected => None,
        Some(actual) => Some(Wrong {
            key,
            what: format!("the field `{name}` is `{actual}`, not `{expected}`"),
        }),
        None => Some(Wrong {
            key,
            what: format!("the profile has no field `{name}`"),
        }),
    }
}
