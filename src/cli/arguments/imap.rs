//! `alertbridge imap`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum Imap {
    Login(Login),
}

/// Get the refresh token of a mailbox with `oauth2`, by giving consent in a browser
#[derive(Debug, Args)]
#[command(after_help = "\
A code that is typed into any browser (RFC 8628) is taken where the provider
has it, else a browser on this machine. On a terminal it asks before it
writes `refresh_token_file`; elsewhere, or where that is not configured, it
prints the token.

Exit status: 0 there is a token, 1 there is none, 2 wrong usage.

Examples:
  alertbridge imap login mailbox
  alertbridge imap login mailbox --write
  alertbridge imap login mailbox > refresh-token")]
pub struct Login {
    /// The ingress's name in the configuration
    pub name: String,
    /// With a code that is typed into any browser
    #[arg(long, conflicts_with = "browser")]
    pub device: bool,
    /// With a browser on this machine
    #[arg(long)]
    pub browser: bool,
    /// Where the browser is sent back to on 127.0.0.1 [default: any port that is free]
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
