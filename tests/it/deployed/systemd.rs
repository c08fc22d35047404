//! The unit, as systemd itself reads it; and what the program tells systemd.

use std::{fs, os::unix::net::UnixDatagram, path::Path, process::Command, time::Instant};

use crate::harness::{self, Bridge, PATIENCE};

fn unit() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd/alertbridge.service");
    fs::read_to_string(path).unwrap()
}

/// The unit in a folder of its own, where the programs that it names are there.
fn staged() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alertbridge.service");
    let text = unit().replace("/usr/bin/alertbridge", harness::PROGRAM);
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn analyze(arguments: &[&str], unit: &Path) -> Option<(bool, String)> {
    let run = Command::new("systemd-analyze")
        .args(arguments)
        .arg(unit)
        .output();
    let Ok(output) = run else {
        harness::skipped("the unit, which systemd-analyze reads");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), said))
}

#[test]
fn systemd_takes_the_unit_without_a_word() {
    let (_folder, path) = staged();
    let Some((taken, said)) = analyze(&["verify", "--man=no"], &path) else {
        return;
    };
    let about_it: Vec<_> = said
        .lines()
        .filter(|line| line.contains("alertbridge.service"))
        .collect();
    assert!(taken || about_it.is_empty(), "{said}");
    assert_eq!(about_it, [""; 0]);
}

#[test]
fn the_service_is_exposed_as_little_as_systemd_can_measure() {
    let (_folder, path) = staged();
    let Some((within, said)) = analyze(
        &["security", "--offline=true", "--threshold=20", "--no-pager"],
        &path,
    ) else {
        return;
    };
    assert!(within, "{said}");
}

#[test]
fn it_says_when_it_takes_mail_that_it_lives_and_that_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut buffer = [0; 1024];
        let read = systemd.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    };

    let config = "admin: { listen: '127.0.0.1:0' }
ingress: { http: { listen: '127.0.0.1:0' }, webhook: [{ name: mail }] }
store: { url: 'sqlite:state.db' }
route: { receiver: a }
receivers: [{ name: a, stdout_configs: [{}] }]
";
    let bridge = Bridge::start_with(
        folder.path(),
        config,
        &[
            ("NOTIFY_SOCKET", path.to_str().unwrap()),
            ("WATCHDOG_USEC", "200000"),
        ],
    );
    assert!(heard().contains("READY=1"));
    for _ in 0..3 {
        assert_eq!(heard().trim(), "WATCHDOG=1");
    }

    bridge.signal("TERM");
    let deadline = Instant::now() + PATIENCE;
    while !heard().contains("STOPPING=1") {
        assert!(Instant::now() < deadline);
    }
}
