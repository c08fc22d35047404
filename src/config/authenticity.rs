//! The part of the configuration that determines how authenticity is judged.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Config;
use crate::{
    authenticate::{Authenticator, NoResolver, Settings, Whose, unverified},
    label::Matcher,
    profile::{self, OverlayUnverified, Profile, Profiles},
    route,
};

impl Config {
    /// Builds the stage that judges authenticity. A profile's mail is judged by the profile's own
    /// settings.
    pub fn authenticator(&self, profiles: &Arc<Profiles>) -> Result<Authenticator, NoResolver> {
        let trusted = self
            .ingress
            .trusted_hosts()
            .map(|(_, _, name, host)| (name, host));

        Authenticator::new(
            &self.alerts.authenticity,
            &self.alerts.from,
            trusted,
            self.global.max_age,
        )?
        .with_others(
            self.of_profiles(profiles),
            self.global.max_age,
            whose(Arc::clone(profiles), routed(&self.route)),
        )
    }

    fn of_profiles(&self, profiles: &Profiles) -> Vec<(String, Settings, Option<String>)> {
        let one = |(place, profile): (usize, &Arc<Profile>)| {
            let domain = profile.settings().authenticity.domain.as_deref();
            (
                format!("profiles[{place}].authenticity"),
                profile.authenticity(&self.alerts.authenticity, ""),
                domain.map(str::to_ascii_lowercase),
            )
        };
        profiles.iter().enumerate().map(one).collect()
    }

    /// Returns whether the other configuration's [`Config::authenticator`] gives the same verdicts,
    /// because it is built from the same settings.
    pub fn judges_like(&self, other: &Self) -> bool {
        let made_of = |config: &Self| {
            let freshness = Some(
                config
                    .alerts
                    .authenticity
                    .freshness
                    .unwrap_or(config.global.max_age),
            );
            // The treatment of unproven mail does not concern the authenticator.
            let unverified = unverified::Settings::default();
            let settings = Settings {
                freshness,
                unverified,
                ..config.alerts.authenticity.clone()
            };
            let trusted = config.ingress.trusted_hosts();
            let trusted =
                trusted.map(|(_, _, name, host)| (name.to_owned(), host.map(str::to_owned)));
            (
                settings,
                config.alerts.from.clone(),
                of_profiles(config),
                routed(&config.route),
                trusted.collect::<BTreeMap<_, _>>(),
            )
        };
        made_of(self) == made_of(other)
    }
}

/// Returns the function that finds the profile that takes a mail, by its header, and the parts of
/// the mail that it reads.
fn whose(profiles: Arc<Profiles>, routed: BTreeSet<String>) -> Whose {
    Box::new(move |header| profiles.reads(header, &routed))
}

/// Returns the labels that routes use.
fn routed(route: &route::Settings) -> BTreeSet<String> {
    let own = route
        .matchers
        .iter()
        .flat_map(|text| Matcher::parse_list(text).unwrap_or_default())
        .map(|matcher| matcher.name().to_owned());
    own.chain(route.routes.iter().flat_map(routed)).collect()
}

/// Returns the profiles' settings, as far as a verdict can depend on them.
fn of_profiles(config: &Config) -> Vec<profile::Settings> {
    let of_one = |profile: &profile::Settings| {
        let mut profile = profile.clone();
        profile.authenticity.unverified = OverlayUnverified::default();
        profile
    };
    config.profiles.iter().map(of_one).collect()
}

#[cfg(test)]
mod tests {
    use crate::{config::Config, message::Evidence, settings::Duration};

    #[test]
    fn what_decides_the_verdict_is_compared_and_what_follows_from_it_is_not() {
        let like = |change: fn(&mut Config)| {
            let mut other = Config::default();
            change(&mut other);
            Config::default().judges_like(&other)
        };
        assert!(like(|other| other
            .alerts
            .authenticity
            .unverified
            .max_per_hour += 1));
        assert!(like(
            |other| other.alerts.authenticity.freshness = Some(other.global.max_age)
        ));
        assert!(!like(|other| other.global.max_age = Duration::from_secs(1)));
        assert!(!like(
            |other| other.alerts.authenticity.require = vec![Evidence::Dkim]
        ));
        assert!(!like(|other| other
            .alerts
            .from
            .push("me@example.com".into())));
    }
}
