//! The map of `src/lib.rs`, held: which module may use which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;

const WORDS: [&str; 10] = [
    "canary",
    "clock",
    "delivery",
    "incident",
    "label",
    "message",
    "objective",
    "settings",
    "silence",
    "template",
];

/// What each module may use beside the words and itself.
fn allowed(module: &str) -> Option<&'static [&'static str]> {
    Some(match module {
        _ if WORDS.contains(&module) => &[],
        // A stage knows no other stage: only what joins them puts them in sequence.
        "authenticate" | "extract" | "validate" | "route" | "receiver" | "crash" | "mailer"
        | "vital" => &[],
        // It says how the stages that read mail are to read it.
        "profile" => &["authenticate", "extract", "validate"],
        "ingress" => &["telemetry"],
        "store" => &["crash", "vital"],
        "telemetry" => &["store"],
        "deliver" => &["crash", "mailer", "receiver", "store", "telemetry", "vital"],
        "pipeline" => &[
            "authenticate",
            "crash",
            "deliver",
            "extract",
            "ingress",
            "profile",
            "receiver",
            "route",
            "store",
            "telemetry",
            "validate",
        ],
        "watch" => &["ingress", "mailer", "pipeline", "store", "telemetry"],
        "trial" => &["authenticate", "deliver", "pipeline", "receiver", "store"],
        "web" => &["ingress", "store", "telemetry"],
        "config" => &[
            "authenticate",
            "deliver",
            "extract",
            "ingress",
            "pipeline",
            "profile",
            "receiver",
            "route",
            "store",
            "telemetry",
            "validate",
        ],
        // They see everything, and nothing sees them.
        "cli" | "serve" | "main" | "lib" => return None,
        _ => panic!("{module} is not on the map: say in tests/it/arrows.rs what it may use"),
    })
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_import_runs_against_the_arrows() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 50, "{} sources found", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let place = file.strip_prefix(&src).unwrap();
        let module = place
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        // What tests use is their own affair.
        let of_tests = place.ends_with("tests.rs");
        let Some(allowed) = allowed(&module).filter(|_| !of_tests) else {
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        let mut grouped = false;
        for (number, line) in text.lines().enumerate() {
            if line.contains("#[cfg(test)]") {
                break;
            }
            let line = line.trim();
            let mut used: Vec<&str> = line
                .match_indices("crate::")
                .map(|(at, _)| &line[at + 7..])
                .collect();
            if grouped {
                used.push(line);
            }
            grouped = line == "use crate::{" || (grouped && line != "};");
            for name in used {
                let name = name
                    .split(|c: char| !c.is_ascii_lowercase())
                    .next()
                    .unwrap();
                let known = WORDS.contains(&name)
                    || name == module
                    || allowed.contains(&name)
                    || !is_module(&src, name);
                if !known {
                    wrong.push(format!(
                        "src/{}:{}: {module} may not use {name}",
                        place.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_module(src: &Path, name: &str) -> bool {
    src.join(format!("{name}.rs")).exists()
}

/// Pairs that are one thing in two files: each of them is told here, and no other.
const PAIRS: [[&str; 2]; 2] = [
    // serde's walk over a tree, and what it walks with.
    ["config/access", "config/shape"],
    // The places that listeners have, and who stands in one.
    ["ingress/listener/crowd", "ingress/listener/place"],
];

/// The names that follow `super::` in a file's imports and paths, without those of its tests.
fn siblings_used(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut parts = text.split("\nuse super::");
    let mut code = parts.next().unwrap().to_owned();
    let mut names = Vec::new();
    for part in parts {
        let (import, rest) = part.split_once(';').unwrap();
        code += rest;
        let (mut depth, mut name) = (0, String::new());
        // At each comma of the outermost braces another name begins.
        for c in import.chars().chain([',']) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth <= 1 => names.push(std::mem::take(&mut name)),
                c if !c.is_whitespace() => name.push(c),
                _ => {}
            }
        }
    }

    let first = |name: &String| name.split("::").next().unwrap().to_owned();
    names.iter().map(first).chain(called(&code)).collect()
}

/// The modules in the paths of code that begin with `super::`. Where a macro writes `super::$module`,
/// they are those that its lines name after `=>`.
fn called(code: &str) -> Vec<String> {
    // `super::super::` leads out of the room.
    static PATH: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?:^|[^:])\bsuper::([a-z0-9_]+)::").unwrap());
    static LINE: LazyLock<Regex> = LazyLock::new(|| Regex::new("=> ([a-z0-9_]+)").unwrap());
    let code: Vec<_> = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n");

    let of = |names: &Regex| -> Vec<String> {
        let found = names.captures_iter(&code);
        found.map(|name| name[1].to_owned()).collect()
    };
    let mut names = of(&PATH);
    if code.contains("super::$") {
        names.extend(of(&LINE));
    }

    names
}

/// What of `from` is reached, `from` itself only where something leads back to it.
fn reached<'a>(from: &'a str, uses: &'a BTreeMap<String, Vec<String>>) -> BTreeSet<&'a str> {
    let (mut found, mut ahead) = (BTreeSet::new(), vec![from]);
    while let Some(file) = ahead.pop() {
        for next in uses.get(file).into_iter().flatten() {
            if found.insert(next.as_str()) {
                ahead.push(next);
            }
        }
    }

    found
}

#[test]
fn no_two_files_of_a_room_need_each_other() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let name = |file: &Path| {
        let place = file.strip_prefix(&src).unwrap().with_extension("");
        place.to_str().unwrap().to_owned()
    };
    let known: BTreeSet<_> = files.iter().map(|file| name(file)).collect();

    let mut uses = BTreeMap::new();
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        let this = name(file);
        let Some((room, _)) = this.rsplit_once('/') else {
            continue;
        };
        let beside = siblings_used(&fs::read_to_string(file).unwrap())
            .into_iter()
            .map(|sibling| format!("{room}/{sibling}"))
            .filter(|sibling| known.contains(sibling))
            .collect::<Vec<_>>();
        uses.insert(this, beside);
    }

    assert!(uses.values().map(Vec::len).sum::<usize>() > 300, "{uses:?}");
    let circles: Vec<_> = uses
        .keys()
        .filter(|file| reached(file, &uses).contains(file.as_str()))
        .filter(|file| !PAIRS.as_flattened().contains(&file.as_str()))
        .collect();
    assert!(
        circles.is_empty(),
        "these lead back to themselves: {circles:?}"
    );
}
