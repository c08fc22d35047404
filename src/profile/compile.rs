//! Compiles settings into profiles that are ready to read mail, or returns everything that is wrong
//! with them.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::{
    Profile,
    fields::{Fields, LONGEST_KEY, Speakable},
    items::Each,
    json::Source,
    matching::Matching,
    reading::{Recipe, names},
    settings::{self, Settings},
    status::{Statuses, expression},
};
use crate::{
    authenticate, incident,
    label::Severities,
    settings::{
        Problem,
        bounds::{self, YEAR},
    },
};

/// The maximum length of a profile's name, in characters.
const LONGEST_NAME: usize = 60;

/// The names that an item of a text has besides the groups of its expression.
const OF_ITEMS: [&str; 2] = ["pairs", "section"];

/// Compiles the profiles. Those that are `built_in` may have the name of the bridge's own profile
/// and give its labels.
pub(super) fn profiles(all: &[Settings], built_in: bool) -> Result<Vec<Profile>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut compiled = Vec::with_capacity(all.len());
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();

    for (index, settings) in all.iter().enumerate() {
        let key = format!("profiles[{index}]");
        problems.extend(misnamed(&key, &settings.name).filter(|_| !built_in));
        if let Some(first) = known.insert(&settings.name, index) {
            problems.push(Problem::new(
                format!("{key}.name"),
                format!("profiles[{first}] is called `{}` as well", settings.name),
                "give each profile a name of its own",
            ));
        }
        compiled.extend(profile(&key, settings, built_in, &mut problems));
    }

    if problems.is_empty() {
        Ok(compiled)
    } else {
        Err(problems)
    }
}

fn misnamed(key: &str, name: &str) -> Option<Problem> {
    let is_plain = !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let what = if name.is_empty() {
        "the profile has no name".to_owned()
    } else if !is_plain {
        format!("`{name}` is not a valid profile name")
    } else if name == incident::ATLASSIAN_SLI {
        format!("`{name}` is a name that the bridge uses itself")
    } else {
        return None;
    };

    Some(Problem::new(
        format!("{key}.name"),
        what,
        format!(
            "use lower-case letters, digits and `-`, {LONGEST_NAME} at most: `name: cloudwatch`"
        ),
    ))
}

fn profile(
    key: &str,
    settings: &Settings,
    built_in: bool,
    problems: &mut Vec<Problem>,
) -> Option<Profile> {
    let before = problems.len();
    let matching = Matching::compile(&format!("{key}.match"), &settings.r#match, problems);
    let recipe = recipe(key, settings, &matching, built_in, problems);

    let is_said = settings.fields.contains_key("severity");
    let severities =
        Severities::compile_at(&format!("{key}.severity"), &settings.severity, is_said)
            .map_err(|found| problems.extend(found))
            .unwrap_or_default();
    problems.extend(terms(key, settings));

    (problems.len() == before).then(|| Profile {
        name: settings.name.as_str().into(),
        recipe,
        matching,
        severities,
        settings: settings.clone(),
    })
}

/// Compiles how the mail is read, as far as the settings have no problem.
fn recipe(
    key: &str,
    settings: &Settings,
    matching: &Matching,
    built_in: bool,
    problems: &mut Vec<Problem>,
) -> Recipe {
    let json = settings
        .json
        .as_ref()
        .and_then(|json| Source::compile(&format!("{key}.json"), json, problems));

    let mut regex = |name: &str, text: Option<&String>| {
        pattern(&format!("{key}.regex.{name}"), text?, problems)
    };
    let subject = regex("subject", settings.regex.subject.as_ref());
    let text = regex("text", settings.regex.text.as_ref());
    let each = settings.each.as_ref().and_then(|each| {
        self::each(
            &format!("{key}.each"),
            each,
            settings.json.is_some(),
            problems,
        )
    });

    let speakable = Speakable {
        groups: subject.iter().chain(&text).flat_map(names).collect(),
        item: each.as_ref().and_then(item_names),
        section: each.as_ref().map(section_names).unwrap_or_default(),
        json: settings.json.is_some(),
        each: settings.each.is_some(),
        built_in,
    };
    let fields = Fields::compile(
        &format!("{key}.fields"),
        &settings.fields,
        &speakable,
        problems,
    );
    let statuses = Statuses::compile(&format!("{key}.status"), &settings.status, problems);

    Recipe {
        subjects: matching.subjects(),
        json,
        subject,
        text,
        each,
        fields,
        statuses,
    }
}

fn pattern(key: &str, text: &str, problems: &mut Vec<Problem>) -> Option<Regex> {
    expression(text)
        .map_err(|reason| {
            problems.push(Problem::new(
                key,
                format!("`{text}` is not a valid regular expression: {reason}"),
                "look-around and back-references are not supported, because their run time has no \
                 bound; the syntax is that of https://docs.rs/regex",
            ));
        })
        .ok()
}

fn each(
    key: &str,
    settings: &settings::Each,
    has_json: bool,
    problems: &mut Vec<Problem>,
) -> Option<Each> {
    match settings {
        settings::Each {
            text: Some(text),
            section,
            json: None,
        } => each_in_text(key, text, section.as_deref(), problems),
        settings::Each {
            json: Some(pointer),
            text: None,
            section: None,
        } => Some(each_in_json(key, pointer, has_json, problems)),
        _ => {
            problems.push(Problem::new(
                key,
                "an incident is either a match in the text or an element of a list in JSON",
                "give `text`, with `section` if need be, or `json`",
            ));
            None
        }
    }
}

fn each_in_text(
    key: &str,
    text: &str,
    section: Option<&str>,
    problems: &mut Vec<Problem>,
) -> Option<Each> {
    let item = pattern(&format!("{key}.text"), text, problems);
    let section = section.and_then(|section| pattern(&format!("{key}.section"), section, problems));
    let item = item?;

    if let Some(taken) = names(&item)
        .iter()
        .find(|name| OF_ITEMS.contains(&name.as_str()))
    {
        problems.push(Problem::new(
            format!("{key}.text"),
            format!("a group is named `{taken}`, which every item already has"),
            "give the group another name",
        ));
    }
    if item.is_match("") {
        problems.push(Problem::new(
            format!("{key}.text"),
            "the expression matches the empty text, so every position would be an incident",
            "let it match the text of one incident",
        ));
    }

    Some(Each::Text { item, section })
}

fn each_in_json(key: &str, pointer: &str, has_json: bool, problems: &mut Vec<Problem>) -> Each {
    if !(pointer.is_empty() || pointer.starts_with('/')) {
        problems.push(Problem::new(
            format!("{key}.json"),
            format!("`{pointer}` is not a valid JSON Pointer (RFC 6901)"),
            "begin each step with a slash: `/alerts`; the whole is `''`",
        ));
    }
    if !has_json {
        problems.push(Problem::new(
            format!("{key}.json"),
            "the profile does not say where its JSON is",
            "add `json: { attachment: \"*.json\" }`",
        ));
    }

    Each::Json {
        pointer: pointer.to_owned(),
    }
}

/// Returns the names that may follow `item.`; `None` if that is whatever its JSON has.
fn item_names(each: &Each) -> Option<BTreeSet<String>> {
    let Each::Text { item, .. } = each else {
        return None;
    };
    let mut all = names(item);
    all.extend(OF_ITEMS.map(str::to_owned));
    Some(all)
}

/// Returns the names that may follow `item.section.`.
fn section_names(each: &Each) -> BTreeSet<String> {
    match each {
        Each::Text {
            section: Some(section),
            ..
        } => names(section),
        _ => BTreeSet::new(),
    }
}

/// Returns the problem with the key of the incident that reports missing mail. No mail exists from
/// which a template could be filled.
fn misnamed_absence(key: &str, named: &str) -> Option<Problem> {
    let what = if named.trim().is_empty() {
        "the incident for a missing mail has no key".to_owned()
    } else if named.len() > LONGEST_KEY {
        format!("it is longer than {LONGEST_KEY} bytes")
    } else if named.contains("{{") || named.contains("{%") {
        format!("`{named}` is a template, and without a mail there is nothing to fill it with")
    } else {
        return None;
    };
    Some(Problem::new(
        key,
        what,
        "write a text, `key: nightly`, or drop the key: the incident is then `PROFILE:missing`",
    ))
}

/// Returns what is wrong with the settings that say how the alerts are treated.
fn terms(key: &str, settings: &Settings) -> Vec<Problem> {
    let mut found = Vec::new();
    let alerts = authenticate::Settings::default();
    let whole = settings.authenticity.over(&alerts, &alerts.domain);
    found.extend(whole.check(&format!("{key}.authenticity")));

    found.extend(
        settings
            .resolve_after
            .and_then(|after| bounds::duration(&format!("{key}.resolve_after"), after, 1, YEAR)),
    );
    if let Some(expect) = &settings.expect {
        found.extend(bounds::duration(
            &format!("{key}.expect.every"),
            expect.every,
            1,
            YEAR,
        ));
        found.extend(bounds::duration(
            &format!("{key}.expect.grace"),
            expect.grace,
            0,
            YEAR,
        ));
        if let Some(named) = &expect.key {
            found.extend(misnamed_absence(&format!("{key}.expect.key"), named));
        }
    }

    for (index, test) in settings.tests.iter().enumerate() {
        if test.item == 0 {
            found.push(Problem::new(
                format!("{key}.tests[{index}].item"),
                "items are counted from 1",
                "write `item: 1`, or drop the key",
            ));
        }
    }
    found
}
