//! Names of the contract whose meaning comes with a later version: taken only where they mean
//! "off", refused otherwise, because a file that asks for them and runs without is a false promise.

use super::Config;
use crate::settings::Problem;

/// Every such name in use.
pub fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut refuse = |used: bool, key: String, now: &str| {
        if used {
            let name = key.rsplit('.').next().unwrap_or_default().to_owned();
            found.push(Problem::new(
                key,
                format!("`{name}` comes with a later version"),
                now,
            ));
        }
    };

    refuse(config.canary.is_some(), "canary".into(), "drop it");
    found
}
