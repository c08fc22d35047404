//! What was found in a mail, and why no profile took it, for the author of a profile.

use serde::Serialize;

use crate::{
    message::Mended,
    profile::{Miss, Profiles, Trace},
};

#[derive(Debug, Serialize)]
pub struct Sight {
    /// Every pair, group and JSON value.
    #[serde(flatten)]
    pub found: Trace,
    /// Why each profile did not take the mail; empty if one did.
    pub misses: Vec<Miss>,
}

impl Sight {
    /// Returns what the profile that took the mail sees in it.
    ///
    /// The groups and the JSON are missing if no profile took it, or if Atlassian's own settings
    /// did.
    pub fn of(profiles: &Profiles, taker: Option<&str>, raw: &[u8]) -> Self {
        let profile = taker.and_then(|name| profiles.get(name));
        Self {
            found: profile.map_or_else(|| Trace::of(raw), |profile| profile.trace(raw)),
            misses: match taker {
                Some(_) => Vec::new(),
                None => profiles.misses(Mended::of(raw).header()),
            },
        }
    }
}
