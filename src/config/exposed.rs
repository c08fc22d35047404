//! Reports what others can reach without need, and placeholders that nobody has filled in. `check`
//! and the start show these problems.

use std::{
    net::{IpAddr, SocketAddr},
    os::unix::fs::MetadataExt as _,
};

use super::{
    Config, values,
    yaml::{Node, Value},
};
use secrecy::ExposeSecret as _;

use crate::settings::{Problem, Secret, placeholder::is_placeholder};

/// The keys ending in `_file` whose files anybody may read.
const PUBLIC: [&str; 3] = ["ca_file", "cert_file", "schema_file"];

/// Names the ingresses through which a genuine alert of another app can come.
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

/// Returns the problems of files of secrets that users other than this program's may read.
///
/// A group may read a file that belongs to another user, since the program itself needs that
/// access. It may also read a file that root gave to a group: root then acts on behalf of the
/// service, whose group it is.
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
                // The program must own a file that nobody else may read.
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

/// The keys whose values are secrets, each of which has a variant that ends in `_file`.
///
/// Addresses are included, since their path may be a secret.
const SECRETS: [&str; 16] = [
    "api_key",
    "api_url",
    "bearer",
    "bot_token",
    "client_secret",
    "heartbeat_url",
    "password",
    "previous_secret",
    "proxy_url",
    "refresh_token",
    "routing_key",
    "secret",
    "signing_key",
    "token",
    "url",
    "webhook_url",
];

/// Returns the secrets that still hold an example's placeholder, in the configuration or in a file.
pub fn placeholders(tree: &Node) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Value::Map(entries) = &tree.value {
        // The fields of profiles may have the same names as secrets.
        for entry in entries.iter().filter(|entry| entry.key != "profiles") {
            unfilled_values(&entry.value, &entry.key, &entry.key, &mut found);
        }
    }
    found.extend(unfilled_files(tree));
    found
}

/// Collects the placeholders below a node; `key` is the last name of `path`.
fn unfilled_values(node: &Node, path: &str, key: &str, found: &mut Vec<Problem>) {
    match &node.value {
        Value::Scalar(scalar) if SECRETS.contains(&key) && is_placeholder(&scalar.text) => {
            found.push(Problem::new(
                path,
                "it holds a placeholder, not the secret",
                format!("write the secret itself, or name its file, `{key}_file`"),
            ));
        }
        Value::Scalar(_) => {}
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                unfilled_values(item, &format!("{path}[{index}]"), key, found);
            }
        }
        Value::Map(entries) => {
            // The keys of `details` and `headers` are the user's own.
            let ours = |key: &str| !["details", "headers"].contains(&key);
            for entry in entries.iter().filter(|entry| ours(&entry.key)) {
                let path = format!("{path}.{}", entry.key);
                unfilled_values(&entry.value, &path, &entry.key, found);
            }
        }
    }
}

fn unfilled_files(tree: &Node) -> Vec<Problem> {
    let unfilled = |(key, path): (String, String)| {
        let secret = Secret::File(path.clone().into()).read().ok()?;
        is_placeholder(secret.expose_secret()).then(|| {
            Problem::new(
                &key,
                format!("the file {path} holds a placeholder, not the secret"),
                "put the secret itself there",
            )
        })
    };

    values::files(tree)
        .into_iter()
        .filter_map(unfilled)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value as Json;

    use super::*;
    use crate::config::yaml;

    #[test]
    fn a_secret_in_the_configuration_that_nobody_filled_in_is_named() {
        let tree = yaml::parse(
            "admin: { token: changeme }\n\
             ingress: { imap: [{ name: a, password: <password> }] }\n\
             receivers:\n\
             - name: a\n\
             \x20 slack_configs: [{ api_url: 'https://hooks.slack.com/services/XXX/YYY/ZZZ' }]\n\
             - { name: b, opsgenie_configs: [{ api_key: '${API_KEY}' }] }\n\
             - name: c\n\
             \x20 pagerduty_configs: [{ routing_key: R0UT1NGKEY, details: { token: changeme } }]\n\
             profiles: [{ name: p, fields: { token: changeme } }]\n",
        );
        let tree = tree.unwrap_or_else(|_| panic!("it is YAML"));
        let found: Vec<String> = placeholders(&tree)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found.len(), 4, "{found:?}");
        for (place, said) in [
            "admin.token: it holds a placeholder",
            "ingress.imap[0].password: it holds a placeholder",
            "receivers[0].slack_configs[0].api_url: it holds a placeholder",
            "receivers[1].opsgenie_configs[0].api_key: it holds a placeholder",
        ]
        .iter()
        .enumerate()
        {
            assert!(found[place].starts_with(said), "{found:?}");
        }
        assert!(found[0].contains("`token_file`"), "{found:?}");
    }

    /// Every key with a `_file` variant is a secret.
    #[test]
    fn every_key_of_a_secret_is_known() {
        fn walk(schema: &Json, known: &mut BTreeSet<String>) {
            if let Some(properties) = schema.get("properties").and_then(Json::as_object) {
                let secret = |name: &&String| properties.contains_key(&format!("{name}_file"));
                known.extend(properties.keys().filter(secret).cloned());
            }
            match schema {
                Json::Object(members) => members.values().for_each(|one| walk(one, known)),
                Json::Array(items) => items.iter().for_each(|one| walk(one, known)),
                _ => {}
            }
        }
        let schema = include_str!("../../schema/config.schema.json");
        let mut known = BTreeSet::new();
        walk(&serde_json::from_str(schema).unwrap(), &mut known);
        let unknown: Vec<_> = known
            .iter()
            .filter(|name| !SECRETS.contains(&name.as_str()))
            .collect();
        assert_eq!(unknown, [""; 0]);
    }
}
