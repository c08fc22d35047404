//! Logs in to every mailbox and opens its folder, without changing anything in it.

use std::time::Duration;

use super::{
    Deployment,
    finding::{Checked, Finding},
};
use crate::{
    cli::table,
    ingress::imap::{
        Settings, Timeouts,
        trial::{self, Opened, Stopped, Unreadable},
    },
};

pub async fn check(deployment: &Deployment, place: usize) -> Checked {
    let settings = &deployment.config.ingress.imap[place];
    let key = format!("ingress.imap[{place}]");
    let about = format!("{key} `{}`", settings.name);

    let tried = trial::try_out(&key, settings, deployment.clock.clone(), timeouts()).await;
    let finding = match tried {
        Ok(opened) => well(about, settings, opened),
        Err(Unreadable { at, what, mend }) => Finding::wrong(name(at), about, what, mend),
    };

    vec![finding].into()
}

fn well(about: String, settings: &Settings, opened: Opened) -> Finding {
    let Settings {
        username,
        host,
        folder,
        ..
    } = settings;

    let holds = opened.mails.map_or_else(String::new, |mails| {
        format!(", which holds {}", table::count(u64::from(mails), "mail"))
    });

    let what = format!("{username} is logged in at {host} and opened {folder}{holds}");
    if settings.idle && !opened.tells {
        return Finding::warning(
            "mailbox",
            about,
            format!(
                "{what}; the server does not announce new mail (IDLE), so it is polled once a \
                 minute"
            ),
            "if a minute is too long, use a provider with IDLE",
        );
    }

    Finding::ok("mailbox", about, what)
}

fn name(at: Stopped) -> &'static str {
    match at {
        Stopped::Name => "dns",
        Stopped::Tls => "tls",
        Stopped::Connection | Stopped::Login | Stopped::Folder => "mailbox",
    }
}

/// Returns time limits that are short, because a person waits.
fn timeouts() -> Timeouts {
    let secs = Duration::from_secs;
    Timeouts {
        connect: secs(8),
        command: secs(8),
        ..Timeouts::default()
    }
}
