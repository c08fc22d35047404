//! The map of `src/lib.rs`, held: which module may use which.

use std::{
    fs,
    path::{Path, PathBuf},
};

const WORDS: [&str; 7] = [
    "clock", "delivery", "incident", "label", "message", "settings", "silence",
];

/// What each module may use beside the words and itself.
fn allowed(module: &str) -> Option<&'static [&'static str]> {
    Some(match module {
        _ if WORDS.contains(&module) => &[],
        // A stage knows no other stage: only what joins them puts them in sequence.
        "authenticate" | "extract" | "validate" | "route" | "receiver" | "crash" => &[],
        "ingress" => &["telemetry"],
        "store" => &["crash"],
        "telemetry" => &["store"],
        "deliver" => &["crash", "receiver", "store", "telemetry"],
        "pipeline" => &[
            "authenticate",
            "crash",
            "deliver",
            "extract",
            "ingress",
            "receiver",
            "route",
            "store",
            "telemetry",
            "validate",
        ],
        "watch" => &["ingress", "pipeline", "store", "telemetry"],
        "web" => &["ingress", "store", "telemetry"],
        "config" => &[
            "authenticate",
            "deliver",
            "extract",
            "ingress",
            "pipeline",
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
