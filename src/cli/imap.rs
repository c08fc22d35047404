//! `alertbridge imap login NAME`: guides a person to a mailbox's refresh token, and stores it.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    config::{Config, Files},
    ingress::imap::{
        Settings,
        oauth::{self, Flow, Oauth2, Step},
    },
};

/// Log in to mailboxes that use OAuth
#[derive(Debug, Subcommand)]
pub enum Imap {
    Login(Login),
}

/// Get the refresh token of a mailbox with `oauth2`, by giving consent in a browser
#[derive(Debug, Args)]
#[command(after_help = "\
It uses a code that is typed into any browser (RFC 8628) if the provider
supports that, otherwise a browser on this machine. On a terminal it asks
before it writes `refresh_token_file`; without a terminal, or if that file is
not configured, it prints the token.

Exit status: 0 there is a token, 1 there is none, 2 wrong usage.

Examples:
  alertbridge imap login mailbox
  alertbridge imap login mailbox --write
  alertbridge imap login mailbox > refresh-token")]
pub struct Login {
    /// The name of the ingress in the configuration
    pub name: String,
    /// Use a code that is typed into any browser
    #[arg(long, conflicts_with = "browser")]
    pub device: bool,
    /// Use a browser on this machine
    #[arg(long)]
    pub browser: bool,
    /// The port on 127.0.0.1 to which the browser is redirected [default: any free port]
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        hide_default_value = true,
        conflicts_with = "device"
    )]
    pub port: u16,
    /// Write the refresh token to its file without asking
    #[arg(long)]
    pub write: bool,
}

impl Imap {
    pub async fn run(self, config: Option<&Path>) -> anyhow::Result<ExitCode> {
        let Self::Login(arguments) = self;
        let loaded = Config::load(config, Files::Unneeded)?;
        login(&loaded.config, &arguments, &mut io::stdout()).await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Obtains a refresh token. If it is written to its file, it is not printed; otherwise, it is the
/// only output on `out`.
async fn login(config: &Config, arguments: &Login, out: &mut impl Write) -> anyhow::Result<()> {
    let (key, settings, oauth2) = find(config, &arguments.name)?;
    let file = oauth2.refresh_token_file.as_deref();

    if arguments.write && file.is_none() {
        bail!("{key}: there is no `refresh_token_file` to write to; add it, or drop --write");
    }

    let flow = arguments
        .device
        .then_some(Flow::Device)
        .or(arguments.browser.then_some(Flow::Browser));

    let login = settings
        .authorities(key.trim_end_matches(".oauth2"))
        .and_then(|authorities| oauth::Login::new(&key, oauth2, &authorities, flow, arguments.port))
        .map_err(|problem| anyhow!("{}: {}; {}", problem.key, problem.what, problem.mend))?;

    tell!(
        "A refresh token for {} at {}: log in as this account.",
        settings.username,
        settings.host
    );

    let token = login.run(tell).await.with_context(|| key.clone())?;
    let Some(file) = file else {
        tell!(
            "\nThe refresh token follows. Put it into a file that only alertbridge may read and \
             write, and name"
        );
        tell!("the file as {key}.refresh_token_file");
        return print(&token, out);
    };

    if arguments.write || agreed(&format!("\nWrite the refresh token to {}?", file.display()))? {
        oauth::keep(file, &token).with_context(|| format!("cannot write {}", file.display()))?;
        tell!(
            "The refresh token is in {}: alertbridge must be able to read and write it.",
            file.display()
        );
        tell!("A running bridge uses it at its next login.");
        return Ok(());
    }

    tell!(
        "\nThe refresh token follows. Put it into {}",
        file.display()
    );

    print(&token, out)
}

fn find<'a>(config: &'a Config, name: &str) -> anyhow::Result<(String, &'a Settings, &'a Oauth2)> {
    let mailboxes = &config.ingress.imap;
    let Some(place) = mailboxes.iter().position(|mailbox| mailbox.name == name) else {
        let known: Vec<&str> = mailboxes
            .iter()
            .map(|mailbox| mailbox.name.as_str())
            .collect();
        let known = if known.is_empty() {
            "there is none".to_owned()
        } else {
            format!("there are: {}", known.join(", "))
        };
        bail!("no mailbox under ingress.imap is called `{name}`; {known}");
    };

    let key = format!("ingress.imap[{place}].oauth2");
    let oauth2 = mailboxes[place].oauth2.as_ref();
    let oauth2 =
        oauth2.with_context(|| format!("{key} is missing: `{name}` logs in with its password"))?;

    Ok((key, &mailboxes[place], oauth2))
}

fn tell(step: Step<'_>) {
    match step {
        Step::Enter { url, code } => {
            tell!(
                "\nOpen this page in any browser and type the code:\n\n  \
                 {url}\n  {code}\n\nWaiting…"
            );
        }
        Step::Open { url, port } => {
            tell!("\nOpen this page in a browser on this machine:\n\n  {url}\n");
            tell!(
                "For a browser on another machine, first run there: ssh -L {port}:127.0.0.1:{port} \
                 THIS-MACHINE\n\nWaiting…"
            );
        }
    }
}

/// Asks for confirmation on a terminal. Without one, the answer is no.
fn agreed(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(false);
    }

    eprint!("{question} [y/N] ");

    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("cannot read the answer")?;

    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

fn print(token: &SecretString, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "{}", token.expose_secret())?;
    Ok(())
}
