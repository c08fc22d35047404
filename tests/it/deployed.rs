//! What `deploy/` ships beside the program, by the programs that read it.

mod exported;
mod helm;
mod image;
mod prometheus;
mod systemd;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::harness::piped;

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(file)
}

/// The documents of a YAML text, as another program reads them.
fn documents(text: &[u8]) -> Vec<Value> {
    const READ: &str = "import json, sys, yaml; json.dump([d for d in \
                        yaml.safe_load_all(sys.stdin.buffer) if d], sys.stdout)";
    let read = piped("/usr/bin/python3", &["-c", READ], text);
    assert!(
        read.status.success(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
    serde_json::from_slice(&read.stdout).unwrap()
}

/// A file of `deploy/` that is one document.
fn yaml(file: &str) -> Value {
    documents(&fs::read(deploy(file)).unwrap()).remove(0)
}
