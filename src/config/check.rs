//! Problems that concern two sections, such as listeners that collide, and files that are missing.

use std::net::SocketAddr;

use super::{Config, values, yaml::Node};
use crate::{
    settings::{Problem, Secret, SecretError},
    store::place::Place,
};

/// Returns every problem of the settings, of single sections and of two together.
pub fn problems(config: &Config) -> Vec<Problem> {
    let mut found = config.global.check("global");
    found.extend(config.store.check("store"));
    found.extend(config.admin.check("admin"));
    found.extend(config.ingress.check("ingress"));
    found.extend(config.alerts.check("alerts"));
    found.extend(config.delivery.check("delivery"));

    let receivers = config.receivers.iter().enumerate();
    found.extend(
        receivers.flat_map(|(index, receiver)| receiver.check(&format!("receivers[{index}]"))),
    );
    let objectives = config.objectives.iter().enumerate();
    found.extend(objectives.flat_map(|(index, one)| one.check(&format!("objectives[{index}]"))));
    if let Some(canary) = &config.canary {
        let names: Vec<_> = config
            .receivers
            .iter()
            .map(|receiver| receiver.name.as_str())
            .collect();
        found.extend(canary.check("canary", &names));
    }

    found.extend(config.telemetry.check("telemetry"));
    listeners(config, &mut found);
    own_mail(config, &mut found);
    found.extend(way_back(config));

    found
}

/// Returns a problem if the identity provider cannot send browsers back because the address that
/// people use is not known.
fn way_back(config: &Config) -> Option<Problem> {
    let by_provider = config
        .admin
        .login
        .as_ref()
        .is_some_and(|login| login.oidc.is_some());
    (by_provider && config.global.external_url.is_none()).then(|| {
        Problem::new(
            "global.external_url",
            "the identity provider of `admin.login.oidc` has no address to send people back to",
            "add the address that browsers reach the admin listener by, \
             `global: { external_url: https://alerts.example.com }`, and register its \
             `/sign-in/oidc/callback` with the provider",
        )
    })
}

/// Reports addresses of the bridge's own mail that would make it an alert if it came back.
fn own_mail(config: &Config, found: &mut Vec<Problem>) {
    let is_sender = |from: &str| {
        let read = |sender: &String| sender.eq_ignore_ascii_case(from);
        config.alerts.from.iter().any(read)
    };

    for (place, receiver) in config.receivers.iter().enumerate() {
        for (index, email) in receiver.email_configs.iter().enumerate() {
            if is_sender(email.sender()) {
                found.push(Problem::new(
                    format!("receivers[{place}].email_configs[{index}].from"),
                    "mail from this address is read as an alert (`alerts.from`), so the bridge \
                     could read its own",
                    "send from an address of your own",
                ));
            }
        }
    }
}

/// Reports listeners that use the same address.
fn listeners(config: &Config, found: &mut Vec<Problem>) {
    let (admin, ingress) = (&config.admin, &config.ingress);
    let mut listeners = vec![("admin.listen".to_owned(), &admin.listen)];

    if !ingress.webhook.is_empty() {
        listeners.push(("ingress.http.listen".to_owned(), &ingress.http.listen));
    }

    for (index, smtp) in ingress.smtp.iter().enumerate() {
        listeners.push((format!("ingress.smtp[{index}].listen"), &smtp.listen));
    }

    let mut taken: Vec<(SocketAddr, String)> = Vec::new();

    for (key, listen) in listeners {
        // An invalid address is reported with its own section.
        let Ok(address) = listen.parse::<SocketAddr>() else {
            continue;
        };
        match taken.iter().find(|(other, _)| collide(*other, address)) {
            Some((_, first)) => found.push(Problem::new(
                key,
                format!("`{listen}` collides with {first}"),
                "give each listener a port of its own",
            )),
            None => taken.push((address, key)),
        }
    }
}

fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let (ip, other_ip) = (one.ip(), other.ip());
    one.port() == other.port()
        && one.port() != 0
        && (ip == other_ip || ip.is_unspecified() || other_ip.is_unspecified())
}

/// Returns the problems of files named in the tree that cannot be read, or are empty.
pub fn files(tree: &Node) -> Vec<Problem> {
    let problem = |(key, path): (String, String)| {
        if key == "store.url_file" {
            return match Secret::File(path.into()).read() {
                Ok(url) => Place::parse(&key, secrecy::ExposeSecret::expose_secret(&url)).err(),
                Err(error) => Some(unreadable(key, &error)),
            };
        }
        Secret::File(path.into())
            .read()
            .err()
            .map(|error| unreadable(key, &error))
    };

    values::files(tree)
        .into_iter()
        .filter_map(problem)
        .collect()
}

fn unreadable(key: String, error: &SecretError) -> Problem {
    let mend = if key.ends_with(".oauth2.refresh_token_file") {
        "get it with `alertbridge imap login NAME --write`, as the user alertbridge runs as"
    } else {
        "put the file there, readable by the user alertbridge runs as"
    };
    Problem::new(key, error.to_string(), mend)
}
