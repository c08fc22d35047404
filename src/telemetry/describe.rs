//! Descriptions of the metrics: the meaning of each, a histogram's buckets, and the counters that
//! start at 0.

use jiff::Timestamp;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::configuration::config_taken;
use crate::delivery::{FailureReason, Target};

const COUNTERS: [(&str, &str); 17] = [
    (
        "alertbridge_mails_total",
        "Mails decided, by ingress and outcome.",
    ),
    (
        "alertbridge_connections_refused_total",
        "Connections that an ingress refused, by reason.",
    ),
    (
        "alertbridge_mails_refused_total",
        "Mails that an ingress refused or deferred, by reason.",
    ),
    (
        "alertbridge_authenticity_total",
        "Mails judged, by ingress, verdict and evidence.",
    ),
    (
        "alertbridge_schema_drift_total",
        "Mails with JSON members the schema does not know.",
    ),
    (
        "alertbridge_notifications_total",
        "Notifications delivered.",
    ),
    (
        "alertbridge_notifications_failed_total",
        "Failed attempts, by reason.",
    ),
    (
        "alertbridge_notifications_dead_total",
        "Notifications that were given up and are now dead letters.",
    ),
    ("alertbridge_attempts_total", "Requests made to receivers."),
    (
        "alertbridge_store_failures_total",
        "Times the store could not be read or written.",
    ),
    (
        "alertbridge_mails_cut_total",
        "Mails that were cut to their header to free space.",
    ),
    (
        "alertbridge_store_pruned_total",
        "Rows past their retention deleted.",
    ),
    (
        "alertbridge_spans_exported_total",
        "Spans of traces that the collector accepted.",
    ),
    (
        "alertbridge_spans_dropped_total",
        "Spans of traces that no collector accepted, by reason.",
    ),
    (
        "alertbridge_log_lines_lost_total",
        "Log lines lost because standard error could not be written.",
    ),
    (
        "alertbridge_mails_withheld_total",
        "Mails that a mail server did not return and that were paged as unparsed.",
    ),
    (
        "alertbridge_mails_taken_away_total",
        "Mails that another program moved or deleted before they could be read.",
    ),
];

const GAUGES: [(&str, &str); 10] = [
    (
        "alertbridge_store_writable",
        "Whether the store could be written at this scrape.",
    ),
    ("alertbridge_deliveries", "Deliveries by state."),
    (
        "alertbridge_circuit_open",
        "1 while an integration does not answer and is only probed.",
    ),
    (
        "alertbridge_delivery_oldest_pending_seconds",
        "Age of the oldest pending delivery, in seconds.",
    ),
    (
        "alertbridge_alarm",
        "1 while the bridge reports this trouble of its own.",
    ),
    (
        "alertbridge_ingress_last_success_timestamp_seconds",
        "Time at which an ingress last worked.",
    ),
    (
        "alertbridge_config_last_reload_successful",
        "1 if the last reload of the configuration succeeded.",
    ),
    (
        "alertbridge_canary_last_success_timestamp_seconds",
        "Time at which a canary last came through the whole mail path.",
    ),
    (
        "alertbridge_canary_stage_seconds",
        "Seconds that the last canary took from the previous stage to this one.",
    ),
    (
        "alertbridge_config_last_reload_success_timestamp_seconds",
        "Time at which a configuration was last loaded.",
    ),
];

/// The histograms, each with the upper bounds of its buckets.
const HISTOGRAMS: [(&str, &str, &[f64]); 2] = [
    (
        "alertbridge_mail_late_seconds",
        "Seconds by which a copy of the same alert arrived here after its first copy on \
         another ingress.",
        &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0],
    ),
    (
        "alertbridge_mail_to_page_seconds",
        "Seconds from the arrival of a mail to the delivery of its page.",
        &[
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
            1800.0,
        ],
    ),
];

/// Installs the recorder of the metrics, which are counted from then on.
pub fn recorder(now: Timestamp) -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for (histogram, _, buckets) in HISTOGRAMS {
        builder = builder.set_buckets_for_metric(Matcher::Full(histogram.into()), buckets)?;
    }

    let recorder = builder.install_recorder()?;
    describe();
    config_taken(now);
    Ok(recorder)
}

/// Registers the names, units and meanings, for `/metrics`.
fn describe() {
    for (counter, meaning) in COUNTERS {
        describe_counter!(counter, meaning);
    }
    for (gauge, meaning) in GAUGES {
        describe_gauge!(gauge, meaning);
    }
    for (histogram, meaning, _) in HISTOGRAMS {
        describe_histogram!(histogram, meaning);
    }
}

/// Sets the counters of each receiver to 0 before anything is counted, so that the first event of a
/// kind is an increase, too.
pub fn configured<'a>(targets: impl IntoIterator<Item = &'a Target>) {
    for target in targets {
        let (receiver, integration) = (target.receiver.as_str(), target.kind());
        for name in [
            "alertbridge_attempts_total",
            "alertbridge_notifications_total",
            "alertbridge_notifications_dead_total",
        ] {
            counter!(name, "receiver" => receiver.to_owned(),
                     "integration" => integration.to_owned())
            .increment(0);
        }
        for reason in FailureReason::ALL {
            counter!("alertbridge_notifications_failed_total", "receiver" => receiver.to_owned(),
                "integration" => integration.to_owned(), "reason" => reason.as_str())
            .increment(0);
        }
    }

    counter!("alertbridge_store_failures_total").increment(0);
    counter!("alertbridge_log_lines_lost_total").increment(0);
    counter!("alertbridge_spans_exported_total").increment(0);
    for reason in ["queue_full", "not_taken"] {
        counter!("alertbridge_spans_dropped_total", "reason" => reason).increment(0);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_metric_is_described_and_nothing_else() {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/telemetry");
        let (mut folders, mut texts) = (vec![src], String::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("describe.rs") {
                    texts += &fs::read_to_string(path).unwrap();
                }
            }
        }

        let is_name = |word: &str| word.bytes().all(|b| b == b'_' || b.is_ascii_lowercase());
        let is_metric = |word: &&str| word.starts_with("alertbridge_") && is_name(word);
        let counted: BTreeSet<_> = texts.split('"').filter(is_metric).collect();
        let described = COUNTERS.iter().chain(&GAUGES).map(|(name, _)| *name);
        let described = described.chain(HISTOGRAMS.map(|(name, ..)| name));
        assert_eq!(described.collect::<BTreeSet<_>>(), counted);
    }
}
