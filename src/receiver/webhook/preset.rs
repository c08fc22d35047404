//! The presets. Each is a vendor's webhook in the grammar of the configuration, which merges it
//! below the operator's own settings.

use schemars::JsonSchema;
use serde::Deserialize;

macro_rules! presets {
    ($($variant:ident $name:literal,)*) => {
        /// The preset of a vendor on which a webhook can be based (`use` of a webhook).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
        pub enum Preset {
            $(#[serde(rename = $name)] $variant,)*
        }

        /// Every preset, by its name and its YAML.
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

/// Returns the YAML of the preset of this name.
pub fn named(name: &str) -> Option<&'static str> {
    PRESETS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, yaml)| *yaml)
}
