//! What a mail may do, given what is known of its sender. Pure.
//!
//! The rules are asymmetric: a forged trigger costs sleep, and a forged resolve hides an outage.
//! Unproven mail may therefore page, marked, a limited number of times an hour, but it never ends
//! anything. The same applies to mail that could not be checked yet.

use jiff::{SignedDuration, Timestamp};

use crate::{
    authenticate::unverified::{ForResolve, ForTrigger, Settings},
    delivery::Doubt,
    incident::Signal,
    message::{Hold, Verdict},
    settings,
    store::StoredMail,
};

/// The pause before the first repeated check. It doubles each time.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(30);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(15);
/// The longest prefix of an app's key, in bytes, that is stored with a held mail.
const LONGEST_APP: usize = 200;

/// The settings that decide what a mail may do.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub unverified: Settings,
    /// The app keys that are expected; if empty, any.
    pub app_keys: Vec<String>,
    /// How long a resolve that cannot be checked waits (`alerts.authenticity.freshness`).
    pub patience: settings::Duration,
}

/// What a mail may do.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It does what genuine mail does.
    Genuine,
    /// It notifies, marked, and changes nothing that is verified.
    Doubtful {
        doubt: Doubt,
        check_at: Option<Timestamp>,
    },
    /// It does nothing yet and is checked again.
    Waits { check_at: Timestamp },
    /// It does nothing unless a person releases it.
    Held(Held),
}

/// Why a mail is held back.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// What the alarm about it says; `None` if it is held without an alarm.
    pub hold: Option<Hold>,
    pub reason: String,
    pub check_at: Option<Timestamp>,
}

impl Standing {
    /// Returns the time at which the mail is checked again.
    pub fn check_at(&self) -> Option<Timestamp> {
        match self {
            Self::Genuine => None,
            Self::Doubtful { check_at, .. } | Self::Held(Held { check_at, .. }) => *check_at,
            Self::Waits { check_at } => Some(*check_at),
        }
    }
}

impl Policy {
    /// Returns what a mail with this signal about this app may do. `app` is `None` for an alert
    /// that could not be read.
    pub fn standing(
        &self,
        mail: &StoredMail,
        signal: Signal,
        app: Option<&str>,
        now: Timestamp,
    ) -> Standing {
        if mail.released.is_some() {
            return Standing::Genuine;
        }

        let verdict = mail.authenticity.verdict;
        let trusted = self.trusts(verdict, signal);
        let check_at = match verdict {
            Verdict::TempError => self.next_check(mail.checks, now),
            _ => None,
        };

        if let Some(app) = app.filter(|app| self.is_unexpected(app)) {
            return Standing::Held(unexpected(app, trusted, check_at));
        }
        if trusted {
            return Standing::Genuine;
        }

        let why = mail.authenticity.detail.as_deref();
        let why = why.unwrap_or("nothing proves that it is genuine");
        let unchecked = verdict == Verdict::TempError;
        match signal {
            Signal::Resolve => self.unproven_resolve(unchecked, check_at, why),
            _ => self.unproven_trigger(unchecked, check_at, why),
        }
    }

    /// Returns whether mail with this verdict and signal acts as genuine mail.
    fn trusts(&self, verdict: Verdict, signal: Signal) -> bool {
        let accepted = match signal {
            Signal::Trigger | Signal::Update | Signal::Unknown => {
                self.unverified.trigger == ForTrigger::Accept
            }
            Signal::Resolve => self.unverified.resolve == ForResolve::Accept,
        };
        accepted || matches!(verdict, Verdict::Pass | Verdict::Off)
    }

    fn unproven_resolve(
        &self,
        unchecked: bool,
        check_at: Option<Timestamp>,
        why: &str,
    ) -> Standing {
        let reason = match (unchecked, check_at) {
            (true, Some(check_at)) => return Standing::Waits { check_at },
            (true, None) => format!(
                "it could not be checked for {}, and an unverified resolve closes nothing: {why}",
                self.patience
            ),
            (false, _) => format!("an unverified resolve closes nothing: {why}"),
        };
        Standing::Held(Held {
            hold: Some(Hold::Resolve),
            reason,
            check_at: None,
        })
    }

    fn unproven_trigger(
        &self,
        unchecked: bool,
        check_at: Option<Timestamp>,
        why: &str,
    ) -> Standing {
        if self.unverified.trigger == ForTrigger::Quarantine {
            return Standing::Held(Held {
                // Mail that may be genuine is not held silently.
                hold: unchecked.then_some(Hold::Flood),
                reason: format!(
                    "an unverified trigger is held (unverified.trigger: quarantine): {why}"
                ),
                check_at,
            });
        }

        let doubt = if unchecked {
            Doubt::Unchecked
        } else {
            Doubt::Unverified
        };
        Standing::Doubtful { doubt, check_at }
    }

    /// Returns why an unverified trigger that would notify is held, if `told` triggers of its
    /// ingress have notified in the last hour; `None` while that is below the limit.
    ///
    /// A trigger that could not be checked is checked again at `check_at`.
    pub fn over_the_limit(&self, told: u64, check_at: Option<Timestamp>) -> Option<Held> {
        let most = self.unverified.max_per_hour;
        (told >= u64::from(most)).then(|| Held {
            hold: Some(Hold::Flood),
            reason: format!(
                "{told} unverified triggers of this ingress were told in the last hour \
                 (unverified.max_per_hour: {most})"
            ),
            check_at,
        })
    }

    fn is_unexpected(&self, app: &str) -> bool {
        !self.app_keys.is_empty() && !self.app_keys.iter().any(|expected| expected == app)
    }

    /// Returns the time of the next check of a mail that was checked `checks` times; `None` once
    /// `patience` is used up.
    ///
    /// Time in which the bridge did not run does not count.
    fn next_check(&self, checks: u32, now: Timestamp) -> Option<Timestamp> {
        let waited: SignedDuration = (0..checks).map(pause).sum();
        let left = self.patience.as_signed() - waited;
        if left <= SignedDuration::ZERO {
            None
        } else {
            now.checked_add(pause(checks).min(left)).ok()
        }
    }
}

/// Holds mail about an app that nobody expects, however well the mail is proven.
fn unexpected(app: &str, trusted: bool, check_at: Option<Timestamp>) -> Held {
    let app = &app[..app.floor_char_boundary(LONGEST_APP)];
    let (hold, what) = if trusted {
        (Some(Hold::App(app.to_owned())), "")
    } else {
        (None, "unverified, and ")
    };
    Held {
        hold,
        reason: format!("{what}the app {app} is not in alerts.app_keys"),
        check_at: check_at.filter(|_| !trusted),
    }
}

fn pause(checks: u32) -> SignedDuration {
    FIRST_PAUSE
        .saturating_mul(1 << checks.min(10))
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
