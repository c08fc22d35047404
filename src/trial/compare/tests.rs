use jiff::Timestamp;
use serde_json::{Map, json};

use super::*;
use crate::trial::told::Rendered;

fn page(receiver: &str, kind: &str, body: &str) -> Page {
    Page {
        action: Action::Trigger,
        target: Target {
            receiver: receiver.into(),
            integration: format!("{kind}/0"),
        },
        request: Rendered {
            receiver: receiver.into(),
            integration: kind.into(),
            method: "POST",
            url: "https://example.com/".into(),
            headers: Map::new(),
            body: json!({ "alias": format!("inc-1:{receiver}"), "text": body }),
        },
        held_until: None,
    }
}

fn told(pages: Vec<Page>) -> Told {
    Told {
        item: 1,
        mail: "a.eml".into(),
        at: Timestamp::UNIX_EPOCH,
        subject_line: None,
        incident_id: Some("inc-1".into()),
        outcome: Outcome::Opened,
        reason: None,
        pages,
    }
}

/// Describes each change, as in `moved oncall/opsgenie team/opsgenie`.
fn said(before: Vec<Page>, after: Vec<Page>) -> Vec<String> {
    let difference = compare(told(before), told(after), |_, _| true);
    let name = |page: &Option<Page>| {
        page.as_ref()
            .map(|page| format!(" {}/{}", page.request.receiver, page.request.integration))
            .unwrap_or_default()
    };
    let changes = difference
        .map(|difference| difference.changes)
        .unwrap_or_default();
    changes
        .iter()
        .map(|one| {
            format!(
                "{}{}{}",
                one.kind.as_str(),
                name(&one.before),
                name(&one.after)
            )
        })
        .collect()
}

#[test]
fn the_same_pages_in_any_order_are_no_difference() {
    let (one, other) = (page("oncall", "opsgenie", "x"), page("chat", "slack", "x"));
    assert_eq!(
        said(vec![one.clone(), other.clone()], vec![other, one]),
        [""; 0]
    );
    assert_eq!(said(vec![], vec![]), [""; 0]);
}

#[test]
fn a_page_to_another_receiver_has_moved_and_only_what_is_left_over_is_added_or_dropped() {
    let opsgenie = |receiver| page(receiver, "opsgenie", "x");
    let slack = |receiver| page(receiver, "slack", "x");
    assert_eq!(
        said(vec![opsgenie("a")], vec![opsgenie("b")]),
        ["moved a/opsgenie b/opsgenie"]
    );
    assert_eq!(
        said(vec![opsgenie("a")], vec![slack("b")]),
        ["moved a/opsgenie b/slack"]
    );
    assert_eq!(
        said(vec![opsgenie("a")], vec![slack("c"), opsgenie("b")]),
        ["added c/slack", "moved a/opsgenie b/opsgenie"],
        "to where it is most alike"
    );
    assert_eq!(
        said(
            vec![slack("c"), opsgenie("a")],
            vec![slack("c"), opsgenie("b")]
        ),
        ["moved a/opsgenie b/opsgenie"],
        "who is told either way takes no part"
    );
    assert_eq!(
        said(vec![opsgenie("a"), slack("a")], vec![slack("b")]),
        ["dropped a/opsgenie", "moved a/slack b/slack"]
    );
    assert_eq!(said(vec![], vec![slack("b")]), ["added b/slack"]);
    assert_eq!(said(vec![slack("b")], vec![]), ["dropped b/slack"]);
}

#[test]
fn the_end_of_an_incident_is_not_paired_with_its_beginning() {
    let resolve = Page {
        action: Action::Resolve,
        ..page("a", "slack", "x")
    };
    assert_eq!(
        said(vec![page("a", "slack", "x")], vec![resolve]),
        ["added a/slack", "dropped a/slack"]
    );
}

#[test]
fn of_two_alike_integrations_the_one_that_stayed_is_found_wherever_it_stands() {
    let second = Page {
        target: Target {
            receiver: "a".into(),
            integration: "slack/1".into(),
        },
        ..page("a", "slack", "stayed")
    };
    let after = vec![page("a", "slack", "new"), second];
    assert_eq!(
        said(vec![page("a", "slack", "stayed")], after),
        ["added a/slack"]
    );
}

#[test]
fn a_changed_page_says_in_what_it_differs() {
    let differs = |after: Page, same_secrets: bool| {
        let changed = compare(
            told(vec![page("a", "slack", "x")]),
            told(vec![after]),
            |_, _| same_secrets,
        );
        changed.map(|changed| (changed.changes[0].kind, changed.changes[0].differs.clone()))
    };
    let same = page("a", "slack", "x");
    assert_eq!(differs(same.clone(), true), None);
    assert_eq!(
        differs(same.clone(), false),
        Some((Kind::Changed, vec![Aspect::Secrets]))
    );
    assert_eq!(
        differs(page("a", "slack", "y"), true),
        Some((Kind::Changed, vec![Aspect::Body]))
    );
    let held = Page {
        held_until: Some(Timestamp::UNIX_EPOCH),
        ..same
    };
    assert_eq!(
        differs(held, true),
        Some((Kind::Changed, vec![Aspect::HeldUntil]))
    );
    assert_eq!(
        differs(page("a", "jsm", "x"), true),
        Some((Kind::Changed, vec![Aspect::Integration]))
    );
}

#[test]
fn another_outcome_is_a_difference_though_nobody_is_told_either_way() {
    let after = Told {
        outcome: Outcome::Quarantined,
        reason: Some("why".into()),
        ..told(vec![])
    };
    let difference = compare(
        Told {
            outcome: Outcome::Ignored,
            ..told(vec![])
        },
        after,
        |_, _| true,
    )
    .unwrap();
    assert_eq!(
        difference.outcome,
        Sides {
            before: Outcome::Ignored,
            after: Outcome::Quarantined
        }
    );
    assert_eq!(
        (difference.changes.len(), difference.reason.after.as_deref()),
        (0, Some("why"))
    );
}
