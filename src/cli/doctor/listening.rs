//! Checks whether the bridge that runs here is ready or, if none runs, whether one could listen.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    time::Duration,
};

use secrecy::ExposeSecret as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    Deployment,
    finding::{Checked, Finding},
};
use crate::{config::Config, settings::Secret};

/// The time limit for the bridge's answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes of the answer that are read.
const LONGEST: u64 = 64 << 10;

pub async fn check(deployment: &Deployment) -> Checked {
    let config = &deployment.config;
    let answer = ready(config).await;
    let findings = match answer {
        Some((200, _)) => vec![Finding::ok(
            "bridge",
            "admin.listen",
            "the bridge that runs on this machine is ready",
        )],
        Some((503, words)) => troubles(&words),
        Some((status, _)) => vec![Finding::warning(
            "bridge",
            "admin.listen",
            format!(
                "{} answers {status} when asked for its readiness",
                config.admin.listen
            ),
            "check whether the program that listens there is alertbridge",
        )],
        None => not_running(config),
    };
    findings.into()
}

/// Turns each line of the answer of a bridge that is not ready into a finding.
fn troubles(words: &str) -> Vec<Finding> {
    let trouble = |line: &str| {
        let mend = "fix what it names; the runbook (deploy/RUNBOOK.md) has an entry for each";
        Finding::wrong("bridge", "admin.listen", line, mend)
    };
    words
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(trouble)
        .collect()
}

fn not_running(config: &Config) -> Vec<Finding> {
    let mut found = vec![Finding::warning(
        "bridge",
        "admin.listen",
        format!("no bridge answers at {}", config.admin.listen),
        "start it: `alertbridge serve`, or `systemctl start alertbridge`",
    )];

    let mut listeners = vec![("admin.listen".to_owned(), config.admin.listen.as_str())];
    if !config.ingress.webhook.is_empty() {
        let listen = config.ingress.http.listen.as_str();
        listeners.push(("ingress.http.listen".to_owned(), listen));
    }
    for (place, smtp) in config.ingress.smtp.iter().enumerate() {
        listeners.push((format!("ingress.smtp[{place}].listen"), &smtp.listen));
    }

    found.extend(
        listeners
            .into_iter()
            .filter_map(|(key, listen)| taken(key, listen)),
    );
    found
}

/// Reports why nothing can listen at an address.
fn taken(key: String, listen: &str) -> Option<Finding> {
    let address: SocketAddr = listen.parse().ok()?;
    let error = TcpListener::bind(address).err()?;
    let mend = match error.kind() {
        ErrorKind::AddrInUse => "stop the program that listens there, or use another port",
        ErrorKind::PermissionDenied => {
            "use a port from 1024 on, or give the program CAP_NET_BIND_SERVICE"
        }
        _ => "write an address that this machine has",
    };
    Some(Finding::wrong(
        "listen",
        key,
        format!("nothing can listen on {listen}: {error}"),
        mend,
    ))
}

/// Returns the status and the text of `/-/ready`, or `None` if nobody answers.
async fn ready(config: &Config) -> Option<(u16, String)> {
    let at = here(config.admin.listen.parse().ok()?);
    let token = Secret::optional(
        "admin",
        "token",
        config.admin.token.as_deref(),
        config.admin.token_file.as_deref(),
    );
    let token = token.ok().flatten().and_then(|token| token.read().ok());
    let authorization = token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {}\r\n", token.expose_secret())
    });
    let request =
        format!("GET /-/ready HTTP/1.1\r\nHost: {at}\r\n{authorization}Connection: close\r\n\r\n");

    let asked = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    read(&String::from_utf8_lossy(&answer))
}

fn read(answer: &str) -> Option<(u16, String)> {
    let status = answer.split_whitespace().nth(1)?.parse().ok()?;
    let words = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Some((status, words.to_owned()))
}

/// Returns the address at which a listener on all addresses is reached from this machine.
fn here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
