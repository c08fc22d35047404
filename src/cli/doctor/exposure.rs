//! Checks ingresses that strangers can reach, and the proof that their mail needs.

use super::{
    Deployment,
    finding::{Checked, Finding},
};
use crate::{config::Config, settings::host};

pub fn check(deployment: &Deployment) -> Checked {
    let config = &deployment.config;
    let open = open(config);
    let mut found = Vec::new();

    if let Some(first) = open.first()
        && config.alerts.authenticity.require.is_empty()
    {
        let what = format!(
            "nothing checks that mail comes from its sender, and {first}: anybody who can reach it \
             can page and resolve"
        );
        found.push(Finding::wrong(
            "exposure",
            "alerts.authenticity.require",
            what,
            "write `require: [dkim, authentication_results, arc]`, the default",
        ));
    }

    for (place, smtp) in config.ingress.smtp.iter().enumerate() {
        if !smtp.is_private() && smtp.tls.is_none() {
            found.push(Finding::warning(
                "exposure",
                format!("ingress.smtp[{place}].tls"),
                format!("mail arrives at {} unencrypted", smtp.listen),
                "add `tls: {cert_file, key_file}`",
            ));
        }
    }

    if found.is_empty() {
        let what = match open.first() {
            Some(first) => format!("{first}, and its mail is authenticated"),
            None => "no ingress is reachable from other machines".to_owned(),
        };
        found.push(Finding::ok("exposure", "ingress", what));
    }

    found.into()
}

/// Lists, in words, the ingresses that other machines can reach.
fn open(config: &Config) -> Vec<String> {
    let ingress = &config.ingress;
    let smtp = ingress.smtp.iter().enumerate();
    let smtp = smtp
        .filter(|(_, smtp)| !smtp.is_private())
        .map(|(place, smtp)| format!("ingress.smtp[{place}] listens on {}", smtp.listen));

    let http = (!ingress.webhook.is_empty() && !host::private(&ingress.http.listen))
        .then(|| format!("ingress.http listens on {}", ingress.http.listen));

    let imap = ingress.imap.iter().enumerate();
    let imap = imap
        .filter(|(_, imap)| !["localhost", "127.0.0.1", "::1"].contains(&imap.host.as_str()))
        .map(|(place, imap)| format!("ingress.imap[{place}] reads a mailbox at {}", imap.host));

    smtp.chain(http).chain(imap).collect()
}
