//! Links to alerts at the vendors that were told of them, as far as their receipts allow.

use url::Url;

/// Returns the vendor's name and the alert's address, or `None` if the receipt identifies no page.
pub fn link(integration: &str, receipt: &str) -> Option<(&'static str, String)> {
    let kind = integration.split('/').next().unwrap_or(integration);
    let address = |base: &str, parts: &[&str]| {
        let mut url = Url::parse(base).ok()?;
        url.path_segments_mut().ok()?.extend(parts);
        Some(url.to_string())
    };

    match kind {
        "opsgenie" if is_id(receipt) => {
            let found = address(
                "https://app.opsgenie.com",
                &["alert", "detail", receipt, "details"],
            );
            Some(("Opsgenie", found?))
        }
        // Slack redirects a signed-in user to their own workspace.
        "slack" => {
            let (channel, at) = receipt.split_once('/')?;
            let at = at.replace('.', "");
            let numbers = at.bytes().all(|byte| byte.is_ascii_digit());
            (is_id(channel) && numbers)
                .then(|| {
                    address(
                        "https://slack.com",
                        &["archives", channel, &format!("p{at}")],
                    )
                })?
                .map(|found| ("Slack", found))
        }
        _ => None,
    }
}

fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.len() <= 80 && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_leads_to_its_alert_and_nowhere_else() {
        for (integration, receipt, expected) in [
            (
                "opsgenie/0",
                "8418d193-2dab-4490-b331-8c02cdd196b7",
                Some(
                    "https://app.opsgenie.com/alert/detail/8418d193-2dab-4490-b331-8c02cdd196b7/\
                     details",
                ),
            ),
            (
                "slack/1",
                "C0123ABCD/1405894322.002768",
                Some("https://slack.com/archives/C0123ABCD/p1405894322002768"),
            ),
            ("slack/0", "C0123ABCD/../evil", None),
            ("opsgenie/0", "../../evil?x", None),
            ("opsgenie/0", "", None),
            ("pagerduty/0", "key", None),
        ] {
            let found = link(integration, receipt).map(|(_, found)| found);
            assert_eq!(found.as_deref(), expected, "{integration} {receipt}");
        }
    }
}
