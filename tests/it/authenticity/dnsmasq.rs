//! A real name server on a loopback port of its own: Debian's dnsmasq, which knows the records
//! given and nothing else.

use std::{
    fs::{self, File},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::port::free_port;

/// A running dnsmasq. Dropping it stops it.
pub struct Dnsmasq {
    child: Child,
    folder: TempDir,
    pub address: String,
}

impl Dnsmasq {
    /// With TXT records, kept for a minute. Of their domains there is nothing else (NXDOMAIN); it
    /// refuses all others.
    pub fn start(records: &[(&str, &str)]) -> Self {
        Self::start_on(free_port(), records)
    }

    /// On a port where one may have been before.
    pub fn start_on(port: u16, records: &[(&str, &str)]) -> Self {
        Self::start_with(port, records, "")
    }

    /// With more lines of configuration.
    pub fn start_with(port: u16, records: &[(&str, &str)], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kept = if more.contains("local-ttl") {
            ""
        } else {
            "local-ttl=60\n"
        };
        let mut conf = format!(
            "port={port}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\n\
             {kept}log-queries\n\
             local=/atlassian.com/\nlocal=/example/\nlocal=/google.com/\n{more}\n"
        );
        for (name, text) in records {
            let parts: Vec<&str> = text
                .as_bytes()
                .chunks(200)
                .map(|part| str::from_utf8(part).unwrap())
                .collect();
            conf += &format!(
                "txt-record={name},{}\n",
                parts
                    .iter()
                    .map(|part| format!("\"{part}\""))
                    .collect::<Vec<_>>()
                    .join(",")
            );
        }
        fs::write(folder.path().join("conf"), conf).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new("dnsmasq")
            .env(
                "PATH",
                format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()),
            )
            .args([
                "--keep-in-foreground",
                "--user=",
                "--group=",
                "--pid-file=",
                "--log-facility=-",
            ])
            .arg("--conf-file=conf")
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("dnsmasq cannot be run: install Debian's package dnsmasq-base");
        let dnsmasq = Self {
            child,
            folder,
            address: format!("127.0.0.1:{port}"),
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&dnsmasq.address).is_err() {
            assert!(
                Instant::now() < deadline,
                "dnsmasq does not listen:\n{}",
                dnsmasq.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        dnsmasq
    }

    /// How many TXT records it was asked for whose name begins so.
    pub fn asked(&self, name: &str) -> usize {
        self.log().matches(&format!("query[TXT] {name}")).count()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
