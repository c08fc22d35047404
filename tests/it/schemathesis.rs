//! The API under schemathesis: what its document says is tried by a program that is not ours, for
//! some seconds; `tests/run` installs it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    api::{CONFIG, sample},
    harness::{Bridge, PROGRAM, skipped},
};

/// How long it tries, in seconds.
const SECONDS: &str = "15";

/// Where it is: on the path, or beside the build.
fn program() -> Option<PathBuf> {
    let build = Path::new(PROGRAM).parent().unwrap().parent().unwrap();
    let installed = build.join("tools/schemathesis/bin/schemathesis");
    let found = [PathBuf::from("schemathesis"), installed];
    found.into_iter().find(|program| {
        let said = Command::new(program).arg("--version").output();
        said.is_ok_and(|said| said.status.success())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_answer_that_the_document_does_not_describe() {
    let Some(program) = program() else {
        skipped("schemathesis is not here: tests/run installs it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), CONFIG);
    for incident in ["1", "open", "a/b"] {
        let mail = sample(folder.path(), incident, &[]);
        assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    }
    bridge.settled_in_store(3).await;

    // Events have no end, a test page takes its time, and any bytes are a mail to explain: each has
    // tests of its own. A text may fit its schema and be no matcher, which is refused.
    let checks = [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
        "unsupported_method",
    ];
    let mut command = Command::new(program);
    command
        .args(["run", &format!("{}/api/v1/openapi.json", bridge.admin)])
        .args(["--exclude-path-regex", "/events|/test|/explain"])
        .args(["--checks", &checks.join(",")])
        .args(["--max-time", SECONDS, "--no-shrink", "--warnings", "off"])
        .current_dir(folder.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.unwrap().unwrap();

    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Seed: "), "{said}");
}
