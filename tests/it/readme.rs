//! What the README and the guides promise about configuration and commands holds: their examples
//! are tried as they stand, and their links lead somewhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::harness;

/// A fenced block, and where it stands.
struct Block {
    place: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page of prose that ships, from the root of the repository.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = [
        "README.md",
        "CHANGELOG.md",
        "src/README.md",
        "deploy/RUNBOOK.md",
        ".github/CONTRIBUTING.md",
        ".github/SECURITY.md",
    ]
    .map(PathBuf::from)
    .into();
    for entry in fs::read_dir(root().join("deploy/guides")).unwrap() {
        let page = Path::new("deploy/guides").join(entry.unwrap().file_name());
        // Pictures stand beside them.
        if page.extension().is_some_and(|extension| extension == "md") {
            pages.push(page);
        }
    }
    pages
}

/// The fenced blocks of one language.
fn blocks(language: &str) -> Vec<Block> {
    let mut found = Vec::new();
    // What CONTRIBUTING adds is not there yet: `contributing.rs` tries it.
    for page in pages()
        .into_iter()
        .filter(|page| !page.ends_with("CONTRIBUTING.md"))
    {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let indent = &line[..line.len() - line.trim_start().len()];
            let Some(fence) = line.trim_start().strip_prefix("```") else {
                continue;
            };
            let block: Vec<_> = lines
                .by_ref()
                .map(|(_, line)| line.strip_prefix(indent).unwrap_or(line))
                .take_while(|line| *line != "```")
                .collect();
            if fence == language {
                found.push(Block {
                    place: format!("{}:{}", page.display(), number + 2),
                    text: block.join("\n"),
                });
            }
        }
    }
    found
}

/// Puts a secret of the right shape where each `*_file` of the configuration says.
fn lay_out_secrets(folder: &Path, config: &str) {
    let keys = config.match_indices("_file: ").map(|(at, _)| {
        let key = config[..at].rsplit([' ', '{']).next().unwrap();
        let path = config[at + "_file: ".len()..]
            .split([' ', '}', ',', '\n'])
            .next()
            .unwrap();
        (key, path)
    });
    for (key, path) in keys {
        let secret = match key {
            "api_url" => {
                "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
            }
            "webhook_url" | "url" => "https://example.com/workflows/0000000000/invoke",
            "secret" => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "headers" => "Authorization: Bearer 0123456789abcdef",
            // As long as a PagerDuty routing key has to be.
            _ => "0123456789abcdef0123456789abcdef",
        };
        let file = folder.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, secret).unwrap();
    }
}

#[test]
fn every_configuration_in_the_guides_is_a_valid_one() {
    let configs = blocks("yaml");
    assert!(
        configs.len() >= 8,
        "the guides' examples were not found: {}",
        configs.len()
    );
    for Block {
        place,
        text: config,
    } in configs
    {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("alertbridge.yaml"), &config).unwrap();
        lay_out_secrets(folder.path(), &config);
        let output = harness::run(folder.path(), &["check", "--config", "alertbridge.yaml"]);
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "the example at {place} is refused:\n{said}"
        );
    }
}

#[test]
fn every_command_in_the_guides_exists_with_its_arguments() {
    let mut tried = 0;
    for Block { place, text: block } in blocks("sh") {
        let commands = block
            .lines()
            .map(|line| line.split('#').next().unwrap())
            .flat_map(|line| line.split('|'));
        for command in commands {
            let words: Vec<_> = command
                .replace("cargo run --", "alertbridge")
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            let Some((program, arguments)) = words
                .split_first()
                .filter(|(program, _)| *program == "alertbridge")
            else {
                continue;
            };
            // With `--help` the arguments are read and the command is not run.
            let arguments: Vec<_> = arguments
                .iter()
                .map(String::as_str)
                .chain(["--help"])
                .collect();
            let output = harness::run(Path::new("."), &arguments);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "`{program} {}` at {place} is none:\n{said}",
                arguments.join(" ")
            );
            tried += 1;
        }
    }
    assert!(tried >= 40, "the guides' commands were not found: {tried}");
}

/// The name of a heading in a link, as GitHub makes it.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let link = regex::Regex::new(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)").unwrap();
    let mut followed = 0;
    for page in pages() {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        for found in link.captures_iter(&text) {
            let target = &found[1];
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let file = match target {
                "" => root().join(&page),
                target => root().join(page.parent().unwrap()).join(target),
            };
            assert!(file.exists(), "{}: {target} is not there", page.display());
            if let Some(name) = found.get(2) {
                let there = fs::read_to_string(&file).unwrap();
                assert!(
                    there
                        .lines()
                        .filter(|line| line.starts_with('#'))
                        .any(|heading| anchor(heading) == name.as_str()),
                    "{}: {target} has no heading #{}",
                    page.display(),
                    name.as_str()
                );
            }
            followed += 1;
        }
    }
    assert!(
        followed >= 20,
        "the guides' links were not found: {followed}"
    );
}

#[test]
fn the_readme_is_read_in_one_sitting() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(text.lines().count() <= 200);
}
