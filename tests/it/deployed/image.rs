//! The image, as far as it can be looked at without building it: what the Dockerfile names is
//! there, and who uses the image agrees with it.

use std::{fs, path::Path};

use super::{deploy, yaml};
use crate::harness::run;

/// What follows an instruction of the Dockerfile, each time it is there.
fn instructions(name: &str) -> Vec<String> {
    let file = fs::read_to_string(deploy("Dockerfile")).unwrap();
    let lines = file
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    lines.map(str::to_owned).collect()
}

#[test]
fn compose_and_the_chart_start_the_image_as_it_is_made() {
    let command: Vec<String> = serde_json::from_str(&instructions("CMD")[0]).unwrap();
    let bridge = &yaml("compose.yaml")["services"]["alertbridge"];
    assert_eq!(bridge["command"], serde_json::json!(command));
    assert_eq!(
        bridge["build"],
        serde_json::json!({ "context": "..", "dockerfile": "deploy/Dockerfile" })
    );
    let config = command.last().unwrap();
    assert!(
        bridge["volumes"][0]
            .as_str()
            .unwrap()
            .ends_with(&format!(":{config}:ro")),
        "{bridge}"
    );
    let helpers = fs::read_to_string(deploy("helm/alertbridge/templates/_helpers.tpl")).unwrap();
    let pod = fs::read_to_string(deploy("helm/alertbridge/templates/_pod.tpl")).unwrap();
    assert!(
        pod.contains(&format!("args: [{}]", command.join(", "))),
        "{pod}"
    );
    assert!(helpers.contains(&format!("mountPath: {config}")));
    assert!(pod.contains(&format!("mountPath: {} }}", instructions("VOLUME")[0])));
    let (user, group) = instructions("USER")[0]
        .split_once(':')
        .map(|(u, g)| (u.to_owned(), g.to_owned()))
        .unwrap();
    assert!(
        user.parse::<u32>().unwrap() > 0,
        "no name: Kubernetes must see that it is not root's"
    );
    assert!(
        helpers.contains(&format!("runAsUser: {user}\n"))
            && helpers.contains(&format!("fsGroup: {group}\n"))
    );
    let words: Vec<_> = command
        .iter()
        .map(String::as_str)
        .chain(["--help"])
        .collect();
    assert!(run(Path::new("."), &words).status.success(), "{words:?}");
}

#[test]
fn the_program_of_the_image_is_built_from_what_docker_is_given() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let given = fs::read_to_string(deploy("Dockerfile.dockerignore")).unwrap();
    let given: Vec<_> = given
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    for path in &given {
        assert!(root.join(path).exists(), "{path} is not here");
    }
    // Cargo wants every target that is named, built or not.
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let named = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
    for path in named.chain([
        "src/main.rs",
        "benches/parse.rs",
        "schema/migrations",
        ".cargo/config.toml",
    ]) {
        assert!(
            given.iter().any(|folder| path.starts_with(folder)),
            "Docker is not given {path}"
        );
    }
    let (major, minor) = env!("CARGO_PKG_RUST_VERSION").split_once('.').unwrap();
    let from = &instructions("FROM")[0];
    assert!(from.contains(&format!("rust:{major}.{minor}-")), "{from}");
}
