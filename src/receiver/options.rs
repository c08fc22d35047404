//! The options that every integration has besides its own settings.

use super::{RateLimit, Transport, site::Site, transport::Tls};
use crate::settings::{self, DefaultOn, SecretText};

/// The options that all integrations share, compiled.
pub struct Options {
    /// Whether the integration is notified when an incident is resolved.
    pub send_resolved: bool,
    /// The rate limit, if pacing is wanted.
    pub rate_limit: Option<RateLimit>,
    /// How requests travel; `None` if they do not leave the program.
    pub transport: Option<Transport>,
}

impl Options {
    pub(super) fn compile(
        send_resolved: DefaultOn,
        rate_limit: Option<&String>,
        timeout: Option<settings::Duration>,
        proxy_url: Option<&SecretText>,
        tls: Option<&Tls>,
        site: &mut Site<'_>,
    ) -> Self {
        Self {
            send_resolved: send_resolved.is_on(),
            rate_limit: site.rate_limit(rate_limit),
            transport: Some(Transport::compile(timeout, proxy_url, tls, site)),
        }
    }

    /// Returns the options of an integration whose requests do not leave the program.
    pub(super) fn local(send_resolved: DefaultOn) -> Self {
        Self {
            send_resolved: send_resolved.is_on(),
            rate_limit: None,
            transport: None,
        }
    }
}

/// Compiles the options of an integration from those of its settings that have the same names.
macro_rules! compile_options {
    ($settings:expr, $site:expr) => {
        Options::compile(
            $settings.send_resolved,
            $settings.rate_limit.as_ref(),
            $settings.timeout,
            $settings.proxy_url.as_ref(),
            $settings.tls.as_ref(),
            $site,
        )
    };
}

pub(super) use compile_options;
