//! The outcome of a mail as a whole, if it reports several incidents.

use std::sync::Arc;

use jiff::Timestamp;

use super::Decision;
use crate::{
    label::Labels,
    message::{MailId, Outcome},
};

/// The outcome of a mail as a whole, and what is stored with it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Summary {
    pub(super) profile: Option<Arc<str>>,
    pub(super) outcome: Outcome,
    pub(super) reason: String,
    /// The labels that all its alerts have in common.
    pub(super) labels: Labels,
    /// When the first of its alerts is checked again.
    pub(super) check_at: Option<Timestamp>,
    pub(super) owed: u64,
}

/// Returns the outcome of a mail: the most notable of its alerts' outcomes.
pub fn most_notable(decisions: &[Decision]) -> Outcome {
    let is_there = |outcome: &&Outcome| {
        decisions
            .iter()
            .any(|decision| decision.outcome == **outcome)
    };
    Outcome::NOTABLE
        .iter()
        .find(is_there)
        .copied()
        .unwrap_or(Outcome::Ignored)
}

impl Summary {
    pub(super) fn of(mail: MailId, decisions: &[Decision]) -> Self {
        Self {
            profile: decisions.first().and_then(|first| first.profile.clone()),
            outcome: most_notable(decisions),
            reason: counted(decisions),
            labels: in_common(decisions),
            check_at: decisions
                .iter()
                .filter_map(|decision| decision.check_at)
                .min(),
            owed: decisions
                .iter()
                .map(|decision| decision.owed_under(mail))
                .sum(),
        }
    }
}

/// Summarises the outcomes, as in `3 alerts: 2 opened, 1 resolved`.
fn counted(decisions: &[Decision]) -> String {
    let count = |outcome: &Outcome| {
        let many = decisions
            .iter()
            .filter(|decision| decision.outcome == *outcome)
            .count();
        (many > 0).then(|| format!("{many} {outcome}"))
    };
    let outcomes: Vec<String> = Outcome::NOTABLE.iter().filter_map(count).collect();

    format!("{} alerts: {}", decisions.len(), outcomes.join(", "))
}

fn in_common(decisions: &[Decision]) -> Labels {
    let Some((first, others)) = decisions.split_first() else {
        return Labels::new();
    };
    let mut labels = first.labels.clone();
    labels.retain(|name, value| {
        others
            .iter()
            .all(|other| other.labels.get(name) == Some(value))
    });
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(outcome: Outcome, host: &str) -> Decision {
        let labels = [("kind", "incident"), ("host", host)];
        let labels = labels.map(|(name, value)| (name.into(), value.to_owned()));
        Decision::nothing(outcome, "", labels.into())
    }

    #[test]
    fn a_mail_of_several_alerts_has_the_outcome_most_worth_a_look() {
        let decisions = [
            decision(Outcome::Duplicate, "a"),
            decision(Outcome::Opened, "b"),
            decision(Outcome::Opened, "c"),
        ];
        let summary = Summary::of(1, &decisions);
        assert_eq!(summary.outcome, Outcome::Opened);
        assert_eq!(summary.reason, "3 alerts: 2 opened, 1 duplicate");
        assert_eq!(summary.labels.len(), 1, "what they have in common");
    }

    #[test]
    fn what_waits_for_a_person_or_for_proof_comes_before_what_was_told() {
        for (other, expected) in [
            (Outcome::Quarantined, Outcome::Quarantined),
            (Outcome::Pending, Outcome::Pending),
            (Outcome::Ignored, Outcome::Opened),
        ] {
            let decisions = [decision(Outcome::Opened, "a"), decision(other, "b")];
            assert_eq!(most_notable(&decisions), expected);
        }
    }
}
