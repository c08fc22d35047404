//! What no single stage can see: names given twice, listeners that collide, doors left open, files
//! that are missing.

use std::{
    collections::{BTreeMap, HashSet},
    net::{IpAddr, SocketAddr},
};

use super::{Config, values, yaml::Node};
use crate::{
    incident::normalize_status,
    settings::{Duration, Problem, Secret},
    store::place::Place,
};

const YEAR: u64 = 365 * 86_400;

/// Everything wrong with the settings as a whole.
pub fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Vec::new();
    names(config, &mut found);
    listeners(config, &mut found);
    doors(config, &mut found);
    store(config, &mut found);
    alerts(config, &mut found);
    durations(config, &mut found);
    found
}

fn names(config: &Config, found: &mut Vec<Problem>) {
    let ingress = &config.ingress;
    let ingresses = numbered("ingress.imap", ingress.imap.iter().map(|imap| &imap.name))
        .chain(numbered(
            "ingress.webhook",
            ingress.webhook.iter().map(|webhook| &webhook.name),
        ))
        .chain(numbered(
            "ingress.smtp",
            ingress.smtp.iter().map(|smtp| &smtp.name),
        ));
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    for (place, name) in ingresses {
        if name.trim().is_empty() {
            found.push(Problem::new(
                place,
                "the ingress has no name",
                "add `name: …`",
            ));
        } else if let Some(first) = seen.get(name) {
            let what = format!("another ingress is called `{name}`: {first}");
            found.push(Problem::new(
                format!("{place}.name"),
                what,
                "give each a name of its own",
            ));
        } else {
            seen.insert(name, place);
        }
    }

    // Two that read one folder would share the memory of how far it was read, and each would miss
    // the other's mail.
    let mut mailboxes: BTreeMap<String, usize> = BTreeMap::new();
    for (index, imap) in ingress.imap.iter().enumerate() {
        if let Some(first) = mailboxes.insert(imap.mailbox(), index) {
            found.push(Problem::new(
                format!("ingress.imap[{index}]"),
                format!("it reads the same folder of the same account as ingress.imap[{first}]"),
                "drop one of them",
            ));
        }
    }

    let mut paths: BTreeMap<String, usize> = BTreeMap::new();
    for (index, webhook) in ingress.webhook.iter().enumerate() {
        let key = format!("ingress.webhook[{index}].path");
        let path = webhook
            .path
            .clone()
            .unwrap_or_else(|| format!("/ingress/{}", webhook.name));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
        if !path.starts_with('/') || !path.bytes().all(plain) {
            let mend = "begin it with `/`, and use letters, digits and `/ - _ . ~` only";
            found.push(Problem::new(key, format!("`{path}` is no path"), mend));
        } else if let Some(first) = paths.insert(path.clone(), index)
            && ingress.webhook[first].name != webhook.name
        {
            found.push(Problem::new(
                key,
                format!("the path `{path}` is already that of ingress.webhook[{first}]"),
                "give each webhook a path of its own",
            ));
        }
    }
}

fn numbered<'a>(
    list: &'a str,
    names: impl Iterator<Item = &'a String> + 'a,
) -> impl Iterator<Item = (String, &'a str)> + 'a {
    names
        .enumerate()
        .map(move |(index, name)| (format!("{list}[{index}]"), name.as_str()))
}

fn listeners(config: &Config, found: &mut Vec<Problem>) {
    let mut taken: Vec<(SocketAddr, String)> = Vec::new();
    let mut listeners = vec![("admin.listen".to_owned(), config.admin.listen.as_str())];
    if !config.ingress.webhook.is_empty() {
        listeners.push(("ingress.http.listen".into(), &config.ingress.http.listen));
    }
    for (index, smtp) in config.ingress.smtp.iter().enumerate() {
        listeners.push((format!("ingress.smtp[{index}].listen"), &smtp.listen));
    }
    for (key, listen) in listeners {
        let Ok(address) = listen.parse::<SocketAddr>() else {
            let mend =
                "write an IP address and a port: `127.0.0.1:8025`, `0.0.0.0:8025` or `[::]:8025`";
            found.push(Problem::new(
                key,
                format!("`{listen}` is no address to listen on"),
                mend,
            ));
            continue;
        };
        let collides = |other: &SocketAddr| {
            other.port() == address.port()
                && address.port() != 0
                && (other.ip() == address.ip()
                    || other.ip().is_unspecified()
                    || address.ip().is_unspecified())
        };
        match taken.iter().find(|(other, _)| collides(other)) {
            Some((_, first)) => found.push(Problem::new(
                key,
                format!("`{listen}` collides with {first}"),
                "give each listener a port of its own",
            )),
            None => taken.push((address, key)),
        }
    }
}

/// Whether only this machine reaches the address. One that does not parse is told elsewhere.
fn private(listen: &str) -> bool {
    listen
        .parse::<SocketAddr>()
        .is_ok_and(|address| address.ip().to_canonical().is_loopback())
        || listen.parse::<SocketAddr>().is_err()
}

fn doors(config: &Config, found: &mut Vec<Problem>) {
    let admin = &config.admin;
    for (place, name) in admin.hosts.iter().enumerate() {
        if !is_host(name) {
            found.push(Problem::new(
                format!("admin.hosts[{place}]"),
                format!("`{name}` is no name of a host"),
                "write the name alone, without scheme and port: `hosts: [alerts.example.com]`",
            ));
        }
    }
    let mut needs = |key: &str,
                     who: &str,
                     inline: Option<&str>,
                     file: Option<&std::path::Path>,
                     listen: &str| {
        match Secret::optional(key, "token", inline, file) {
            Err(problem) => found.push(problem),
            Ok(None) if !private(listen) => found.push(Problem::new(
                key,
                format!("{who} listens on {listen}, where others reach it, and asks for no token"),
                "add `token_file: /run/secrets/…`, or listen on 127.0.0.1",
            )),
            Ok(_) if inline.is_some_and(|token| token.trim().is_empty()) => {
                found.push(Problem::new(
                    format!("{key}.token"),
                    "the token is empty",
                    "give one, or drop the key",
                ));
            }
            Ok(_) => {}
        }
    };
    needs(
        "admin",
        "the admin listener",
        admin.token.as_deref(),
        admin.token_file.as_deref(),
        &admin.listen,
    );
    for (index, webhook) in config.ingress.webhook.iter().enumerate() {
        let key = format!("ingress.webhook[{index}]");
        let listen = &config.ingress.http.listen;
        if webhook.is_open() {
            needs(&key, "the webhook", None, None, listen);
        }
    }
    for (index, webhook) in config.ingress.webhook.iter().enumerate() {
        found.extend(webhook.problem(&format!("ingress.webhook[{index}]")));
    }
    for (index, smtp) in config.ingress.smtp.iter().enumerate() {
        let key = format!("ingress.smtp[{index}]");
        if smtp.recipients.is_empty() && !private(&smtp.listen) {
            found.push(Problem::new(
                &key,
                format!(
                    "it listens on {}, where others reach it, and takes mail for anybody",
                    smtp.listen
                ),
                "add `recipients: [alerts@example.com]`, or listen on 127.0.0.1",
            ));
        }
        // Whoever may send mail may write the field, and the signature that it speaks of.
        if let Some(id) = &smtp.trusted_authserv_id
            && smtp.is_open()
            && !private(&smtp.listen)
        {
            found.push(Problem::new(
                format!("{key}.trusted_authserv_id"),
                format!("whoever reaches {} can write an Authentication-Results in the name of {id}", smtp.listen),
                "name the relay that may send here, `allow_from: [192.0.2.7]`, or listen on 127.0.0.1, or drop the key",
            ));
        }
        for (place, recipient) in smtp.recipients.iter().enumerate() {
            // Letters beyond ASCII are compared as they are (RFC 6531): whether they make a name is
            // not judged here.
            let plain = recipient.replace(|c: char| !c.is_ascii() && c.is_alphanumeric(), "x");
            let whole_domain = plain.strip_prefix('@').is_some_and(is_domain);
            if !whole_domain && !is_address(&plain) {
                found.push(Problem::new(
                    format!("{key}.recipients[{place}]"),
                    format!("`{recipient}` is no mail address"),
                    "write `alerts@example.com`, or `@example.com` for the whole domain",
                ));
            }
        }
    }
}

fn store(config: &Config, found: &mut Vec<Problem>) {
    let store = &config.store;
    match (&store.url, &store.url_file) {
        (Some(_), Some(_)) => {
            found.push(Problem::new(
                "store.url",
                "`url` and `url_file` exclude each other",
                "keep one of them",
            ));
        }
        (Some(url), None) => found.extend(Place::parse("store.url", url).err()),
        _ => {}
    }
}

fn alerts(config: &Config, found: &mut Vec<Problem>) {
    let alerts = &config.alerts;
    if alerts.from.is_empty() {
        let mend = "add the sender: `from: [no-reply@am.atlassian.com]`";
        found.push(Problem::new(
            "alerts.from",
            "without a sender no mail is an alert",
            mend,
        ));
    }
    for (door, index, _, id) in config.ingress.trusted_hosts() {
        if let Some(id) = id.filter(|id| *id != "exchange" && !is_domain(id)) {
            let key = format!("ingress.{door}[{index}].trusted_authserv_id");
            let mend = "write the name that begins its Authentication-Results: `mx.google.com`; or `exchange`";
            found.push(Problem::new(key, format!("`{id}` is no host"), mend));
        }
    }
    for (index, from) in alerts.from.iter().enumerate() {
        if !is_address(from) {
            let mend = "write the bare address: `no-reply@am.atlassian.com`";
            found.push(Problem::new(
                format!("alerts.from[{index}]"),
                format!("`{from}` is no mail address"),
                mend,
            ));
        }
    }
    let statuses = &alerts.status;
    if statuses.trigger.is_empty() {
        let mend = "add one: `trigger: [ANOMALOUS]`";
        found.push(Problem::new(
            "alerts.status.trigger",
            "without a status nothing opens an incident",
            mend,
        ));
    }
    let triggers: HashSet<String> = statuses
        .trigger
        .iter()
        .map(|status| normalize_status(status))
        .collect();
    for (index, status) in statuses.resolve.iter().enumerate() {
        if triggers.contains(&normalize_status(status)) {
            found.push(Problem::new(
                format!("alerts.status.resolve[{index}]"),
                format!("`{status}` stands in `trigger` as well"),
                "a status either opens an incident or ends it: keep it in one list",
            ));
        }
    }
    if let Some(url) = &config.global.external_url
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        let mend = "write the whole address: `https://alertbridge.example.com`";
        found.push(Problem::new(
            "global.external_url",
            format!("`{url}` is no web address"),
            mend,
        ));
    }
}

fn durations(config: &Config, found: &mut Vec<Problem>) {
    let mut within = |key: String, value: Duration, least: u64, most: u64| {
        let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
        if value < least || value > most {
            let mend = format!("give something from {least} to {most}");
            found.push(Problem::new(key, format!("{value} is out of bounds"), mend));
        }
    };
    let delivery = &config.delivery;
    within("global.max_age".into(), config.global.max_age, 0, 10 * YEAR);
    if let Some(freshness) = config.alerts.authenticity.freshness {
        within(
            "alerts.authenticity.freshness".into(),
            freshness,
            0,
            10 * YEAR,
        );
    }
    within(
        "store.mail_retention".into(),
        config.store.mail_retention,
        0,
        100 * YEAR,
    );
    within(
        "store.ignored_mail.keep".into(),
        config.store.ignored_mail.keep,
        0,
        100 * YEAR,
    );
    within("delivery.timeout".into(), delivery.timeout, 1, 300);
    within(
        "delivery.backoff.initial".into(),
        delivery.backoff.initial,
        1,
        3600,
    );
    within(
        "delivery.backoff.max".into(),
        delivery.backoff.max,
        1,
        86_400,
    );
    within(
        "delivery.give_up_after".into(),
        delivery.give_up_after,
        1,
        YEAR,
    );
    for (index, receiver) in config.receivers.iter().enumerate() {
        if let Some(fallback) = &receiver.fallback {
            within(
                format!("receivers[{index}].fallback.after"),
                fallback.after,
                0,
                7 * 86_400,
            );
        }
    }
    if delivery.backoff.initial > delivery.backoff.max {
        found.push(Problem::new(
            "delivery.backoff.initial",
            format!(
                "the first pause, {}, is longer than the longest, {}",
                delivery.backoff.initial, delivery.backoff.max
            ),
            "make `initial` the smaller one",
        ));
    }
    let mut sizes = vec![(
        "ingress.http.max_body".to_owned(),
        config.ingress.http.max_body,
    )];
    for (index, smtp) in config.ingress.smtp.iter().enumerate() {
        sizes.push((
            format!("ingress.smtp[{index}].max_message_size"),
            smtp.max_message_size,
        ));
    }
    for (key, size) in sizes {
        if !(64 << 10..=256 << 20).contains(&size.bytes()) {
            found.push(Problem::new(
                key,
                format!("{size} is out of bounds"),
                "give something from 64KiB to 256MiB",
            ));
        }
    }
}

fn is_address(text: &str) -> bool {
    text.len() <= 254
        && text.rsplit_once('@').is_some_and(|(local, domain)| {
            let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
            !local.is_empty()
                && local.chars().all(atom)
                && (is_domain(domain) || domain == "localhost")
        })
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    text.contains('.') && text.split('.').all(label)
}

/// A name, of the local network perhaps, or an address.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    text.parse::<IpAddr>().is_ok() || text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

/// The files named by the tree that cannot be read, or hold nothing.
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

fn unreadable(key: String, error: &crate::settings::SecretError) -> Problem {
    let mend = if key.ends_with(".oauth2.refresh_token_file") {
        "get it with `alertbridge imap login NAME --write`, as the user alertbridge runs as"
    } else {
        "put the file there, readable by the user alertbridge runs as"
    };
    Problem::new(key, error.to_string(), mend)
}
