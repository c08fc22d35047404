//! Matches the alerts of a mail under one configuration with those under another. Pure.

use crate::{message::Outcome, trial::Told};

/// Groups the results of alerts by mail.
pub fn by_mail(told: Vec<Told>) -> Vec<Vec<Told>> {
    let mut mails: Vec<Vec<Told>> = Vec::new();
    for alert in told {
        match mails.last_mut() {
            Some(mail) if alert.item > 1 => mail.push(alert),
            _ => mails.push(vec![alert]),
        }
    }
    mails
}

/// Pairs the alerts of one mail: first those about the same incident, then the rest in order.
///
/// An alert that only one configuration finds is paired with an empty result.
pub fn pairs(before: Vec<Told>, after: Vec<Told>) -> Vec<(Told, Told)> {
    let mut left = after;
    let (mut pairs, mut apart) = (Vec::new(), Vec::new());

    for one in before {
        let same = left
            .iter()
            .position(|other| other.incident_id == one.incident_id);
        match same {
            Some(place) => pairs.push((one, left.remove(place))),
            None => apart.push(one),
        }
    }

    let mut left = left.into_iter();
    for one in apart {
        let other = left.next().unwrap_or_else(|| nothing_like(&one));
        pairs.push((one, other));
    }
    pairs.extend(left.map(|other| (nothing_like(&other), other)));

    pairs
}

fn nothing_like(alert: &Told) -> Told {
    Told {
        mail: alert.mail.clone(),
        item: alert.item,
        at: alert.at,
        subject_line: alert.subject_line.clone(),
        incident_id: None,
        outcome: Outcome::Ignored,
        reason: Some("the mail has no such alert".to_owned()),
        pages: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn told(item: usize, incident: &str) -> Told {
        Told {
            mail: "m".into(),
            item,
            at: Timestamp::UNIX_EPOCH,
            subject_line: None,
            incident_id: Some(incident.into()),
            outcome: Outcome::Opened,
            reason: None,
            pages: Vec::new(),
        }
    }

    fn paired(before: &[&str], after: &[&str]) -> Vec<(Option<String>, Option<String>)> {
        let told = |ids: &[&str]| {
            (1..)
                .zip(ids)
                .map(|(item, id)| told(item, id))
                .collect::<Vec<_>>()
        };
        pairs(told(before), told(after))
            .into_iter()
            .map(|(one, other)| (one.incident_id, other.incident_id))
            .collect()
    }

    #[test]
    fn alerts_of_a_mail_are_paired_by_incident_and_then_in_order() {
        let some = |id: &str| Some(id.to_owned());
        assert_eq!(
            paired(&["a", "b", "c"], &["b", "x", "c", "y"]),
            [
                (some("b"), some("b")),
                (some("c"), some("c")),
                (some("a"), some("x")),
                (None, some("y")),
            ]
        );
        assert_eq!(paired(&["a"], &["b"]), [(some("a"), some("b"))]);
        assert_eq!(
            paired(&["a", "b"], &["a"]),
            [(some("a"), some("a")), (some("b"), None)]
        );
    }

    #[test]
    fn a_mail_begins_with_its_first_alert() {
        let mails = by_mail(vec![told(1, "a"), told(2, "b"), told(1, "a"), told(1, "c")]);
        let sizes: Vec<_> = mails.iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1, 1]);
    }
}
