//! What each metric is, for whoever scrapes them, and the counters that stand at 0 from the start.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram};

use crate::delivery::{FailureReason, Target};

/// Names, units and meanings, for `/metrics`.
pub fn describe() {
    describe_counter!(
        "alertbridge_mails_total",
        "Mails decided, by ingress and outcome."
    );

    describe_counter!(
        "alertbridge_connections_refused_total",
        "Connections an ingress refused, by reason."
    );

    describe_counter!(
        "alertbridge_mails_refused_total",
        "Mails an ingress refused or put off, by reason."
    );

    describe_histogram!(
        "alertbridge_mail_late_seconds",
        "How much later than another ingress this one brought a copy of the same alert."
    );

    describe_counter!(
        "alertbridge_authenticity_total",
        "Mails judged, by ingress, verdict and evidence."
    );

    describe_counter!(
        "alertbridge_schema_drift_total",
        "Mails with JSON members the schema does not know."
    );

    describe_counter!(
        "alertbridge_notifications_total",
        "Notifications delivered."
    );

    describe_counter!(
        "alertbridge_notifications_failed_total",
        "Failed attempts, by reason."
    );

    describe_counter!(
        "alertbridge_notifications_dead_total",
        "Notifications given up: they wait in the dead letters."
    );

    describe_counter!("alertbridge_attempts_total", "Requests made to receivers.");
    describe_counter!(
        "alertbridge_store_failures_total",
        "Times the store could not be read or written."
    );

    describe_gauge!(
        "alertbridge_store_writable",
        "Whether the store could be written at this scrape."
    );

    describe_counter!(
        "alertbridge_mails_cut_total",
        "Mails of which only the header is kept, to make room."
    );

    describe_counter!(
        "alertbridge_store_pruned_total",
        "Rows past their retention deleted."
    );

    describe_counter!(
        "alertbridge_spans_exported_total",
        "Spans of traces that the collector took."
    );

    describe_counter!(
        "alertbridge_spans_dropped_total",
        "Spans of traces that no collector took, by reason."
    );

    describe_gauge!("alertbridge_deliveries", "Deliveries by state.");
    describe_gauge!(
        "alertbridge_circuit_open",
        "1 while a receiver's integration does not answer and is only probed."
    );

    describe_gauge!(
        "alertbridge_delivery_oldest_pending_seconds",
        "Age of the oldest delivery that is owed."
    );

    describe_gauge!(
        "alertbridge_alarm",
        "What the bridge tells of itself: 1 while it is so."
    );

    describe_gauge!(
        "alertbridge_ingress_last_success_timestamp_seconds",
        "When an ingress last did its work."
    );

    describe_counter!(
        "alertbridge_mails_withheld_total",
        "Mails that a mail server did not give, and that were told."
    );

    describe_gauge!(
        "alertbridge_config_last_reload_successful",
        "Whether the latest configuration was taken."
    );

    describe_gauge!(
        "alertbridge_canary_last_success_timestamp_seconds",
        "When a mail of the bridge's own last came through the whole mail path."
    );

    describe_gauge!(
        "alertbridge_canary_stage_seconds",
        "How long the last canary took to each stage from the one before."
    );

    describe_histogram!(
        "alertbridge_mail_to_page_seconds",
        "From a mail's arrival to its page's delivery."
    );

    describe_gauge!(
        "alertbridge_config_last_reload_success_timestamp_seconds",
        "When a configuration was last taken."
    );
}

/// The counters of each receiver stand at 0 before anything is counted: the first of a kind is an
/// increase, too.
pub fn configured<'a>(targets: impl IntoIterator<Item = &'a Target>) {
    for target in targets {
        let (receiver, integration) = (target.receiver.as_str(), target.kind());
        for name in [
            "alertbridge_attempts_total",
            "alertbridge_notifications_total",
            "alertbridge_notifications_dead_total",
        ] {
            counter!(name, "receiver" => receiver.to_owned(), "integration" => integration.to_owned()).increment(0);
        }
        for reason in FailureReason::ALL {
            counter!("alertbridge_notifications_failed_total", "receiver" => receiver.to_owned(),
                "integration" => integration.to_owned(), "reason" => reason.as_str())
            .increment(0);
        }
    }

    counter!("alertbridge_store_failures_total").increment(0);
    counter!("alertbridge_spans_exported_total").increment(0);
    for reason in ["queue_full", "not_taken"] {
        counter!("alertbridge_spans_dropped_total", "reason" => reason).increment(0);
    }
}
