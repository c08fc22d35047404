//! The presets: each is a vendor's webhook in the grammar of the configuration. The configuration
//! merges it below what is written there.

use schemars::JsonSchema;
use serde::Deserialize;

macro_rules! presets {
    ($($variant:ident $name:literal,)*) => {
        /// The preset of a vendor on which a webhook can be based (`use` of a webhook).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
        pub enum Preset {
            $(#[serde(rename = $name)] $variant,)*
        }

        /// Every preset: its name and its YAML.
        pub const PRESETS: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../schema/receivers/", $name, ".yaml"))),)*
        ];
    };
}

presets! {
    GoAlert "goalert",
    GoogleChat "google-chat",
    GrafanaOncall "grafana-oncall",
    IncidentIo "incident-io",
    Mattermost "mattermost",
    Ntfy "ntfy",
    Rootly "rootly",
    SplunkOncall "splunk-oncall",
    Telegram "telegram",
    Zenduty "zenduty",
}

/// The preset of this name.
pub fn named(name: &str) -> Option<&'static str> {
    PRESETS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, yaml)| *yaml)
}
