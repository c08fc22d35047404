//! `delivery:` of the configuration: how long an attempt may take, the pauses between attempts, and
//! when a delivery is given up.

use std::time::Duration;

use backon::BackoffBuilder as _;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::settings::{
    self, Problem,
    bounds::{self, DAY, YEAR},
};

/// How long an attempt to deliver a page may take, how long the pauses between attempts are, and
/// when a delivery is given up (`delivery`).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long one attempt may take, from 1s to 5m. The default is 20s.
    pub timeout: settings::Duration,
    /// The pauses between attempts.
    pub backoff: Backoff,
    /// How long a delivery is tried, from 1s to 365d. After that, and no fewer than five failed
    /// attempts, it becomes a dead letter. The default is 24h.
    pub give_up_after: settings::Duration,
    /// The fewest failed attempts after which a delivery is given up. With fewer it never is,
    /// because a clock that jumps makes a page look old that was tried only once.
    #[serde(skip)]
    pub fewest_failures: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: settings::Duration::from_secs(20),
            backoff: Backoff::default(),
            give_up_after: settings::Duration::from_secs(24 * 3600),
            fewest_failures: 5,
        }
    }
}

impl Settings {
    /// Returns the problems of the settings; `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let Backoff { initial, max } = self.backoff;
        let mut found: Vec<_> = [
            ("timeout", self.timeout, 300),
            ("backoff.initial", initial, 3600),
            ("backoff.max", max, DAY),
            ("give_up_after", self.give_up_after, YEAR),
        ]
        .into_iter()
        .filter_map(|(name, value, most)| {
            bounds::duration(&format!("{key}.{name}"), value, 1, most)
        })
        .collect();

        if initial > max {
            found.push(Problem::new(
                format!("{key}.backoff.initial"),
                format!("the first pause, {initial}, is longer than the longest, {max}"),
                "make `initial` the smaller one",
            ));
        }

        found
    }
}

/// The pauses between attempts, which grow exponentially: a time that doubles after each failure,
/// plus up to as much again at random, but never more than `max`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backoff {
    /// The pause after the first failure, from 1s to 1h and no longer than `max`. The default is
    /// 1s.
    pub initial: settings::Duration,
    /// The longest pause, from 1s to 1d. The default is 5m.
    pub max: settings::Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: settings::Duration::from_secs(1),
            max: settings::Duration::from_secs(300),
        }
    }
}

impl Backoff {
    /// Returns the pause after `failures` failures in a row (at least one).
    pub fn pause(&self, failures: u32) -> Duration {
        backon::ExponentialBuilder::new()
            .with_min_delay(self.initial.as_std())
            .with_max_delay(self.max.as_std())
            .without_max_times()
            .with_jitter()
            .build()
            .nth(failures.saturating_sub(1).min(64) as usize)
            .unwrap_or(self.max.as_std())
            .min(self.max.as_std())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_no_further() {
        let backoff = Backoff::default();
        for failures in 1..40_u32 {
            let pause = backoff.pause(failures).as_secs_f64();
            let base = f64::from(1_u32 << (failures - 1).min(9)).min(300.0);
            assert!(
                pause >= base.min(300.0) && pause <= 300.0,
                "after {failures} failures {pause} s, base {base} s"
            );
        }
    }
}
