//! The labels of an alert and its severity.

use alertbridge::{
    incident::{ATLASSIAN_SLI, Signal},
    label::{self, Labels, Severities, SeverityRule, sli},
    message::Authenticity,
    pipeline::{Said, labels_of},
    validate::SliAlert,
};
use serde_json::Value;

fn incident() -> SliAlert {
    SliAlert {
        app_key: "com.example.appkey".into(),
        app_name: Some("AppName".into()),
        partner: Some("Atlassian".into()),
        incident_id: "FOotlQrY5ZQ".into(),
        status: "ANOMALOUS".into(),
        time: "2022-03-24T15:40:00Z".parse().unwrap(),
        metric: "Jira Installation Callback Success Rate".into(),
        unit: Some("PERCENT".into()),
        window_seconds: Some(86400.0),
        sli_value: Some(60.0),
        slo_value: Some(99.0),
        json: Value::Null,
    }
}

fn rules(rules: &[(&[&str], &str)]) -> Vec<SeverityRule> {
    rules
        .iter()
        .map(|(matchers, severity)| SeverityRule {
            matchers: matchers.iter().map(|text| (*text).to_owned()).collect(),
            severity: (*severity).to_owned(),
        })
        .collect()
}

fn of(incident: &SliAlert, severities: &Severities) -> Labels {
    labels_of(
        ATLASSIAN_SLI,
        Said::Incident(&incident.labels()),
        Signal::Trigger,
        severities,
        &Authenticity::off(),
        "mailbox",
        Some(2),
    )
}

#[test]
fn an_incident_has_every_label_of_the_contract() {
    let severities =
        Severities::compile(&rules(&[(&["sli_gap>=20"], "critical"), (&[], "warning")])).unwrap();
    let labels = of(&incident(), &severities);
    let expected = super::labels(&[
        ("incident_id", "FOotlQrY5ZQ"),
        ("app_key", "com.example.appkey"),
        ("app_name", "AppName"),
        ("partner", "Atlassian"),
        ("metric", "Jira Installation Callback Success Rate"),
        ("sli", "installation_callback"),
        ("unit", "PERCENT"),
        ("status", "ANOMALOUS"),
        ("state", "firing"),
        ("severity", "critical"),
        ("sli_value", "60"),
        ("slo_value", "99"),
        ("sli_gap", "39"),
        ("window_seconds", "86400"),
        ("recurrence_28d", "2"),
        ("authenticity", "off"),
        ("ingress", "mailbox"),
        ("kind", "incident"),
        ("profile", "atlassian-sli"),
        ("title", "Jira Installation Callback Success Rate"),
        ("url", ""),
    ]);
    assert_eq!(labels, expected);
    assert_eq!(label::complete(Labels::new()).len(), label::NAMES.len());
    assert!(label::NAMES.iter().all(|name| expected.contains_key(*name)));
    let mut told_apart = label::NUMBERS.iter().chain(&label::CHANGING);
    assert!(told_apart.all(|name| label::NAMES.contains(name)));
}

#[test]
fn what_a_mail_does_not_say_is_an_empty_label() {
    let sparse = SliAlert {
        app_name: None,
        partner: None,
        unit: None,
        window_seconds: None,
        sli_value: None,
        ..incident()
    };
    let labels = labels_of(
        ATLASSIAN_SLI,
        Said::Incident(&sparse.labels()),
        Signal::Resolve,
        &Severities::default(),
        &Authenticity::off(),
        "m",
        None,
    );
    for name in [
        "app_name",
        "partner",
        "unit",
        "window_seconds",
        "sli_value",
        "sli_gap",
        "recurrence_28d",
    ] {
        assert_eq!(labels[name], "", "{name}");
    }
    assert_eq!(labels["state"], "resolved");
}

#[test]
fn an_alert_that_could_not_be_read_has_the_labels_that_are_known() {
    let rule = ["kind=unparsed", "title=~\"Weekly.*\""];
    let severities = Severities::compile(&rules(&[(&rule, "info")])).unwrap();
    let called = super::labels(&[("title", "Weekly report")]);
    let labels = labels_of(
        "",
        Said::Unread(&called),
        Signal::Trigger,
        &severities,
        &Authenticity::off(),
        "mailbox",
        None,
    );
    let expected = [
        ("kind", "unparsed"),
        ("title", "Weekly report"),
        ("state", "firing"),
        ("ingress", "mailbox"),
        ("authenticity", "off"),
        ("severity", "info"),
        ("profile", ""),
    ];
    assert_eq!(labels, super::labels(&expected));
}

#[test]
fn numbers_are_short_and_the_gap_has_no_noise_of_binary_fractions() {
    for (objective, measured, slo, sli, gap) in [
        (99.9, 99.85, "99.9", "99.85", "0.05"),
        (99.9, 99.899, "99.9", "99.899", "0.001"),
        (99.0, 60.0, "99", "60", "39"),
        (99.0, 99.5, "99", "99.5", "-0.5"),
        (95.0, 95.0, "95", "95", "0"),
        (0.3, 0.1, "0.3", "0.1", "0.2"),
        (0.0, -0.0, "0", "0", "0"),
        (1e300, -1.0, "1e300", "-1", "1e300"),
    ] {
        let incident = SliAlert {
            slo_value: Some(objective),
            sli_value: Some(measured),
            ..incident()
        };
        let labels = of(&incident, &Severities::default());
        let number = |name: &str| labels[name].as_str();
        if slo.contains('e') {
            assert_eq!(
                number("slo_value").parse::<f64>().unwrap().to_bits(),
                objective.to_bits()
            );
            assert_eq!(
                number("sli_gap").parse::<f64>().unwrap().to_bits(),
                objective.to_bits()
            );
            continue;
        }
        assert_eq!(
            (number("slo_value"), number("sli_value"), number("sli_gap")),
            (slo, sli, gap)
        );
    }
}

#[test]
fn the_sli_is_found_however_the_metric_is_called() {
    for (metric, expected) in [
        (
            "Jira Installation Callback Success Rate",
            "installation_callback",
        ),
        ("confluence installation callbacks", "installation_callback"),
        ("InstallCallbackSuccess", "installation_callback"),
        ("Lifecycle event success", "installation_callback"),
        ("App Availability", "app_availability"),
        ("APP_AVAILABILITY", "app_availability"),
        ("Is the app available?", "app_availability"),
        ("Uptime of https://app.example", "app_availability"),
        ("Iframe Load Success Rate", "iframe_load"),
        ("Jira I-Frame load", "iframe_load"),
        ("Webhook Delivery Success Rate", "webhook_delivery"),
        ("webhook availability", "webhook_delivery"),
        ("Web hooks delivered", "webhook_delivery"),
        ("Throughput", "unknown"),
        ("", "unknown"),
        ("可用性", "unknown"),
    ] {
        assert_eq!(sli(metric), expected, "{metric}");
    }
}

#[test]
fn the_first_rule_whose_matchers_all_hold_names_the_severity() {
    let compiled = Severities::compile(&rules(&[
        (&["sli_gap>=20", "sli=~\"install.*\""], "critical"),
        (&["sli_gap>=20"], "error"),
        (&["app_key=\"com.example.quiet\""], "info"),
    ]))
    .unwrap();
    let severity = |incident: &SliAlert| of(incident, &compiled)["severity"].clone();
    assert_eq!(severity(&incident()), "critical");
    assert_eq!(
        severity(&SliAlert {
            metric: "App availability".into(),
            ..incident()
        }),
        "error"
    );
    assert_eq!(
        severity(&SliAlert {
            sli_value: Some(98.0),
            ..incident()
        }),
        "warning"
    );
    assert_eq!(
        severity(&SliAlert {
            sli_value: None,
            app_key: "com.example.quiet".into(),
            ..incident()
        }),
        "info"
    );
}

#[test]
fn all_that_is_wrong_with_severity_rules_is_said_with_its_key() {
    let problems = Severities::compile(&rules(&[
        (&["sli_gap>=20", "sli_gap>=much"], "critical"),
        (&[], ""),
        (&["severity=critical"], "info"),
    ]))
    .unwrap_err();
    let keys: Vec<_> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "alerts.severity[0].matchers[1]",
            "alerts.severity[1].severity",
            "alerts.severity[2].matchers"
        ]
    );
    assert!(
        problems
            .iter()
            .all(|problem| !problem.what.is_empty() && !problem.mend.is_empty())
    );
}
