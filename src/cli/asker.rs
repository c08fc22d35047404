//! The user who runs a command, for the record.

use std::env;

/// Returns the user who logged in, if `sudo` says so; otherwise the present user.
pub fn user() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| env::var(name).ok().filter(|user| !user.is_empty()));
    user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// Returns `user@host`.
pub fn user_at_host() -> String {
    format!(
        "{}@{}",
        user(),
        rustix::system::uname().nodename().to_string_lossy()
    )
}
