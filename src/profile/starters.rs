//! Profiles for well-known senders, off until a configuration names one by `use`. Each is a file of
//! the configuration's own grammar under `schema/profiles/`, with its mails beside it.

/// Name and file of each.
pub const STARTERS: [(&str, &str); 0] = [];

/// The file of a starter.
pub fn named(name: &str) -> Option<&'static str> {
    STARTERS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}
