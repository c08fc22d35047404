//! Names of the contract whose meaning comes with a later version: taken only where they mean "off", refused otherwise,
//! because a file that asks for them and runs without is a false promise.

use super::Config;
use crate::settings::Problem;

/// Every such name in use.
pub fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut refuse = |used: bool, key: String, now: &str| {
        if used {
            let name = key.rsplit('.').next().unwrap_or_default().to_owned();
            found.push(Problem::new(key, format!("`{name}` comes with a later version"), now));
        }
    };
    for (index, receiver) in config.receivers.iter().enumerate() {
        let key = |name: &str| format!("receivers[{index}].{name}");
        for (place, slack) in receiver.slack_configs.iter().enumerate() {
            let key = |name: &str| key(&format!("slack_configs[{place}].{name}"));
            let now = "use an incoming webhook for now: `api_url_file`";
            refuse(slack.bot_token.is_some(), key("bot_token"), now);
            refuse(slack.bot_token_file.is_some(), key("bot_token_file"), now);
            refuse(slack.channel.is_some(), key("channel"), "drop it: an incoming webhook belongs to one channel");
            refuse(slack.bot_api_url.is_some(), key("bot_api_url"), now);
            refuse(
                slack.update_message == Some(true),
                key("update_message"),
                "an incoming webhook cannot edit: drop it",
            );
        }
    }
    refuse(config.canary.is_some(), "canary".into(), "drop it");
    found
}
