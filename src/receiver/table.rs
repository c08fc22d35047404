//! The kinds of integration, one line each: their names, the order in which a receiver's are
//! notified, and what compiles the `Settings` of their module.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Fallback, Receiver, site::Site};
use crate::delivery::Target;

/// Compiles one integration's settings; `None` if they are wrong.
type Compile<'a> = &'a dyn Fn(&mut Site<'_>) -> Option<Box<dyn Receiver>>;

macro_rules! integrations {
    ($($kind:ident, $configs:ident => $module:ident::$($compile:ident)::+;)*) => {
        /// `receivers[]` of the configuration.
        #[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct Settings {
            pub name: String,
            /// The receiver that is notified instead if this one cannot be reached.
            pub fallback: Option<Fallback>,
            $(pub $configs: Vec<super::$module::Settings>,)*
        }

        impl Settings {
            /// How many integrations the receiver has.
            pub fn integrations(&self) -> usize {
                [$(self.$configs.len()),*].iter().sum()
            }

            /// The entries that stood at another place `before`: their list, that place, and this.
            ///
            /// What is owed to an integration, and the end of what it was told, is known by its
            /// place.
            pub fn moved(&self, before: &Self) -> Vec<(&'static str, usize, usize)> {
                let mut all = Vec::new();
                $(all.extend(
                    moved(&before.$configs, &self.$configs)
                        .map(|(was, is)| (stringify!($configs), was, is)),
                );)*
                all
            }

            /// Passes on each integration: its kind, its index among those of its kind, and its
            /// compilation.
            pub(super) fn each(&self, mut take: impl FnMut(&'static str, usize, Compile<'_>)) {
                $(for (index, settings) in self.$configs.iter().enumerate() {
                    take(stringify!($kind), index, &|site| {
                        Some(Box::new(super::$module::$($compile)::+(settings, site)?))
                    });
                })*
            }
        }

        /// Every kind, in this order.
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

fn moved<T: PartialEq>(before: &[T], now: &[T]) -> impl Iterator<Item = (usize, usize)> {
    before.iter().enumerate().filter_map(|(was, entry)| {
        let is = now.iter().position(|other| other == entry)?;
        (now.get(was) != Some(entry)).then_some((was, is))
    })
}

/// The position of an integration within its receiver: the index of its kind, and its own index
/// within the kind.
pub(super) fn place(target: &Target) -> (usize, usize) {
    let kind = KINDS
        .iter()
        .position(|kind| *kind == target.kind())
        .unwrap_or(KINDS.len());

    let index = target
        .integration
        .rsplit('/')
        .next()
        .and_then(|index| index.parse().ok())
        .unwrap_or(usize::MAX);

    (kind, index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_stands_elsewhere_has_moved() {
        for (before, now, expected) in [
            ("ab", "ab", vec![]),
            ("ab", "abc", vec![]),
            ("ab", "a", vec![]),
            ("ab", "cab", vec![(0, 1), (1, 2)]),
            ("ab", "ba", vec![(0, 1), (1, 0)]),
            ("abc", "bc", vec![(1, 0), (2, 1)]),
            ("aa", "aa", vec![]),
            ("ab", "xb", vec![]),
        ] {
            let (before, now): (Vec<char>, Vec<char>) =
                (before.chars().collect(), now.chars().collect());
            assert_eq!(
                moved(&before, &now).collect::<Vec<_>>(),
                expected,
                "{now:?}"
            );
        }
    }

    #[test]
    fn a_kinds_settings_are_named_after_it() {
        let named: Vec<_> = KINDS.iter().map(|kind| format!("{kind}_configs")).collect();
        assert_eq!(named, CONFIGS);
    }
}
