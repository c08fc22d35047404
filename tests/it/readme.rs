//! The README's promises about configuration and commands hold: its examples are tried as they
//! stand.

use std::{fs, path::Path};

use crate::harness;

/// The fenced blocks of one language, with the line of the README each begins on.
fn blocks(language: &str) -> Vec<(usize, String)> {
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut found = Vec::new();
    let mut lines = readme.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(fence) = line.strip_prefix("```") {
            let block: Vec<_> = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| *line != "```")
                .collect();
            if fence == language {
                found.push((number + 2, block.join("\n")));
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
            "webhook_url" => "https://example.com/workflows/0000000000/invoke",
            "secret" => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            // As long as a PagerDuty routing key has to be.
            _ => "0123456789abcdef0123456789abcdef",
        };
        let file = folder.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, secret).unwrap();
    }
}

#[test]
fn every_configuration_in_the_readme_is_a_valid_one() {
    let configs = blocks("yaml");
    assert!(
        configs.len() >= 5,
        "the README's examples were not found: {}",
        configs.len()
    );
    for (line, config) in configs {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("alertbridge.yaml"), &config).unwrap();
        lay_out_secrets(folder.path(), &config);
        let output = harness::run(folder.path(), &["check", "--config", "alertbridge.yaml"]);
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "the example at README.md:{line} is refused:\n{said}"
        );
    }
}

#[test]
fn every_command_in_the_readme_exists_with_its_arguments() {
    let mut tried = 0;
    for (line, block) in blocks("sh") {
        let commands = block
            .lines()
            .map(|line| line.split('#').next().unwrap())
            .flat_map(|line| line.split('|'));
        for command in commands {
            let words: Vec<_> = command
                .replace("cargo run --release --", "alertbridge")
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
                "`{program} {}` at README.md:{line} is none:\n{said}",
                arguments.join(" ")
            );
            tried += 1;
        }
    }
    assert!(tried >= 10, "the README's commands were not found: {tried}");
}
