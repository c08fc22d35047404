//! The providers, one line each: the name in the configuration, which is also the name of the file,
//! and its module.

use schemars::JsonSchema;
use serde::Deserialize;

use super::protocol::Kind;

macro_rules! providers {
    ($($(#[$attribute:meta])* $provider:ident => $module:ident;)*) => {
        /// The mail provider whose format the posts of a webhook have.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum Provider {
            $($(#[$attribute])* $provider,)*
        }

        impl Provider {
            pub const ALL: &[Self] = &[$(Self::$provider),*];

            /// Returns the provider's name in the configuration.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$provider => stringify!($module),)*
                }
            }

            pub(super) fn kind(self) -> &'static Kind {
                match self {
                    $(Self::$provider => &super::$module::KIND,)*
                }
            }
        }
    };
}

providers! {
    /// No provider: each post is the mail itself, as `message/rfc822`.
    #[default]
    Raw => raw;
    Mailgun => mailgun;
    Sendgrid => sendgrid;
    Postmark => postmark;
    Ses => ses;
    Cloudmailin => cloudmailin;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_named_as_its_file_is() {
        for provider in Provider::ALL {
            let read: Provider = serde_json::from_str(&format!("\"{}\"", provider.name())).unwrap();
            assert_eq!(read, *provider);
        }
    }
}
