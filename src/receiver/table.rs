//! The kinds of integration, one line each: their names, the order in which a receiver's
//! integrations are notified, and the function that compiles the `Settings` of their module.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Fallback, Receiver, site::Site};

/// A function that compiles one integration's settings; `None` if they are wrong.
type Compile<'a> = &'a dyn Fn(&mut Site<'_>) -> Option<Arc<dyn Receiver>>;

macro_rules! integrations {
    ($($kind:ident, $configs:ident => $module:ident::$($compile:ident)::+;)*) => {
        /// A receiver: a name to which routes lead, with the integrations that are notified under
        /// it (`receivers[]`). Without an integration, it notifies nobody.
        #[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct Settings {
            /// The name of the receiver, by which routes and fallbacks refer to it.
            pub name: String,
            /// The receiver that is notified as well if this one cannot be reached. By default none
            /// is.
            pub fallback: Option<Fallback>,
            $(pub $configs: Vec<super::$module::Settings>,)*
        }

        impl Settings {
            /// Returns how many integrations the receiver has.
            pub fn integrations(&self) -> usize {
                [$(self.$configs.len()),*].iter().sum()
            }

            /// Calls `take` for each integration, with its kind, its index among those of its kind,
            /// and the function that compiles it.
            pub(super) fn each(&self, mut take: impl FnMut(&'static str, usize, Compile<'_>)) {
                $(for (index, settings) in self.$configs.iter().enumerate() {
                    take(stringify!($kind), index, &|site| {
                        Some(Arc::new(super::$module::$($compile)::+(settings, site)?))
                    });
                })*
            }
        }

        /// Every kind, in the order of this table.
        pub const KINDS: &[&str] = &[$(stringify!($kind)),*];

        #[cfg(test)]
        const CONFIGS: &[&str] = &[$(stringify!($configs)),*];
    };
}

integrations! {
    opsgenie, opsgenie_configs => opsgenie::compile;
    jsm, jsm_configs => opsgenie::compile_jsm;
    pagerduty, pagerduty_configs => pagerduty::PagerDuty::compile;
    slack, slack_configs => slack::Slack::compile;
    webhook, webhook_configs => webhook::Webhook::compile;
    teams, teams_configs => teams::Teams::compile;
    discord, discord_configs => discord::Discord::compile;
    alertmanager, alertmanager_configs => alertmanager::Alertmanager::compile;
    email, email_configs => email::Email::compile;
    stdout, stdout_configs => stdout::Stdout::compile;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kinds_settings_are_named_after_it() {
        let named: Vec<_> = KINDS.iter().map(|kind| format!("{kind}_configs")).collect();
        assert_eq!(named, CONFIGS);
    }
}
