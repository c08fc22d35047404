//! `deploy/cloudflare-worker.js`, run by Node as Cloudflare runs it: each mail to the door for raw
//! mail, or back.

use std::{path::Path, process::Command};

use alertbridge::{
    clock::Clock,
    ingress::webhook::{HttpSettings, Settings, Webhooks},
};

use crate::{
    harness,
    inbox::{RecordingInbox, Running},
};

/// What Cloudflare's runtime has beside the web's own.
const CLOUDFLARE: &str = r#"
import { readFileSync } from "node:fs";
const [worker, file, url, token] = process.argv.slice(2);
globalThis.FixedLengthStream = class extends TransformStream {
  constructor(length) {
    let left = length;
    super({
      transform(chunk, out) {
        left -= chunk.byteLength;
        if (left < 0) throw new TypeError("more than was announced");
        out.enqueue(chunk);
      },
      flush() {
        if (left !== 0) throw new TypeError("less than was announced");
      },
    });
  }
};
// Node asks that a body that is a stream be called one; workers know.
const fetch = globalThis.fetch;
globalThis.fetch = (url, init) => fetch(url, { ...init, duplex: "half" });
const mail = readFileSync(file);
const source = readFileSync(worker).toString("base64");
const { default: handler } = await import("data:text/javascript;base64," + source);
await handler.email(
  { raw: new Blob([mail]).stream(), rawSize: mail.length },
  { ALERTBRIDGE_URL: url, ALERTBRIDGE_TOKEN: token },
);
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_worker_hands_each_mail_over_whole_or_returns_it() {
    if Command::new("node").arg("--version").output().is_err() {
        harness::skipped("the example worker for Cloudflare, because node is not here");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("cloudflare.mjs");
    std::fs::write(&script, CLOUDFLARE).unwrap();
    let (file, worker) = (
        root.join("tests/providers/mail.eml"),
        root.join("deploy/cloudflare-worker.js"),
    );
    let inbox = RecordingInbox::refusing(1);
    let http = HttpSettings {
        listen: "127.0.0.1:0".into(),
        ..HttpSettings::default()
    };
    let door = Settings {
        name: "mail".into(),
        token: Some("s3cret".into()),
        ..Settings::default()
    };
    let webhooks = Webhooks::bind(&http, &[door], Clock::system()).unwrap();
    let url = format!("http://{}/ingress/mail", webhooks.local_addr());
    let running = Running::start(webhooks, &inbox);
    let work = async |token: &'static str| {
        let mut node = Command::new("node");
        node.arg(&script)
            .arg(&worker)
            .arg(&file)
            .args([url.as_str(), token]);
        let ended = tokio::task::spawn_blocking(move || node.output().unwrap())
            .await
            .unwrap();
        (
            ended.status.success(),
            String::from_utf8_lossy(&ended.stderr).into_owned(),
        )
    };
    let (taken, said) = work("s3cret").await;
    assert!(
        !taken && said.contains("alertbridge answered 503"),
        "the store refused it: {said}"
    );
    let (taken, said) = work("another").await;
    assert!(
        !taken && said.contains("alertbridge answered 401"),
        "{said}"
    );
    let (taken, said) = work("s3cret").await;
    assert!(taken, "{said}");
    assert_eq!(inbox.raw(), [std::fs::read(&file).unwrap()]);
    running.stop().await;
}
