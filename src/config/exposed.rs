//! What others can reach, and need not, and what nobody has filled in: reported at the start and by
//! `check`.

use std::{
    net::{IpAddr, SocketAddr},
    os::unix::fs::MetadataExt as _,
};

use super::{Config, values, yaml::Node};
use secrecy::ExposeSecret as _;

use crate::settings::{Problem, Secret, placeholder::is_placeholder};

/// Keys ending in `_file` whose files anybody may read.
const PUBLIC: [&str; 3] = ["ca_file", "cert_file", "schema_file"];

/// The ingresses through which a genuine alert of another app can come.
pub fn to_other_apps(config: &Config) -> Option<String> {
    if !config.alerts.app_keys.is_empty() {
        return None;
    }

    let ingress = &config.ingress;
    let http = (!ingress.webhook.is_empty() && !is_loopback(&ingress.http.listen))
        .then(|| format!("ingress.http listens on {}", ingress.http.listen));
    let smtp = ingress
        .smtp
        .iter()
        .enumerate()
        .filter(|(_, smtp)| !smtp.is_private());

    let smtp =
        smtp.map(|(place, smtp)| format!("ingress.smtp[{place}] listens on {}", smtp.listen));
    let imap = ingress
        .imap
        .iter()
        .enumerate()
        .filter(|(_, imap)| !is_loopback(&imap.host));

    let imap =
        imap.map(|(place, imap)| format!("ingress.imap[{place}] reads a mailbox at {}", imap.host));
    let first = http.into_iter().chain(smtp).chain(imap).next()?;

    Some(format!(
        "alerts.app_keys is empty, and {first}: a genuine alert of another partner's app, sent on \
         to you, pages unmarked; \
         list your apps, `app_keys: [com.example.app]`"
    ))
}

fn is_loopback(place: &str) -> bool {
    let address = place
        .parse::<SocketAddr>()
        .map(|address| address.ip())
        .or_else(|_| place.parse::<IpAddr>());
    address.map_or(place == "localhost", |address| {
        address.to_canonical().is_loopback()
    })
}

/// The secrets' files that users other than this program's may read. A group may read one that is
/// another user's, since the program needs that itself, and one that root gave to a group: root
/// asks on behalf of the service, whose group it is.
pub fn files(tree: &Node) -> Vec<Problem> {
    let own = rustix::process::geteuid().as_raw();
    let exposed = |(key, path): (String, String)| {
        let name = key.rsplit('.').next().unwrap_or(&key);
        let metadata = std::fs::metadata(&path)
            .ok()
            .filter(|_| !PUBLIC.contains(&name))?;
        let mode = metadata.mode() & 0o777;
        let group = match (metadata.uid() == own, own == 0 && metadata.gid() != 0) {
            (true, false) => 0o060,
            (true, true) => 0o020,
            (false, _) => 0,
        };
        (mode & (group | 0o006) != 0).then(|| {
            Problem::new(
                &key,
                format!("others can read or change the secret in {path} (its mode is {mode:04o})"),
                // The program must own what nobody else may read.
                match metadata.uid() {
                    0 if own == 0 => {
                        format!("`chmod 600 {path}`, and let the user that runs alertbridge own it")
                    }
                    user if user == own => format!("`chmod 600 {path}`"),
                    _ => format!("as root, `chown {own} {path}` and `chmod 600 {path}`"),
                },
            )
        })
    };

    values::files(tree)
        .into_iter()
        .filter_map(exposed)
        .collect()
}

/// The secrets' files that still hold what an example had in the secret's place.
pub fn placeholders(tree: &Node) -> Vec<Problem> {
    let unfilled = |(key, path): (String, String)| {
        let secret = Secret::File(path.clone().into()).read().ok()?;
        is_placeholder(secret.expose_secret()).then(|| {
            Problem::new(
                &key,
                format!("the file {path} holds a placeholder and not the secret"),
                "put the secret itself there",
            )
        })
    };

    values::files(tree)
        .into_iter()
        .filter_map(unfilled)
        .collect()
}
