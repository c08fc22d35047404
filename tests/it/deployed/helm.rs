//! The chart, by Helm: what it makes of values, what it refuses, and that the configuration in it
//! is one the bridge takes.
//!
//! Helm is in no package of Debian's: where it is not installed these are left out, and say so.

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::{Value, json};

use super::{deploy, documents};
use crate::harness::{piped, run, skipped};

/// One bridge with every way in, and all that can be switched on.
fn values() -> Value {
    json!({
        "image": { "repository": "registry.example.com/alertbridge", "tag": "test" },
        "admin": { "tokenSecret": { "name": "bridge" } },
        "secrets": ["bridge", "pager"],
        "config": {
            "ingress": {
                "http": { "listen": "0.0.0.0:8025" },
                "webhook": [{ "name": "hook",
                              "token_file": "/etc/alertbridge/secrets/bridge/ingress_token" }],
                "smtp": [{ "name": "relay", "listen": "0.0.0.0:2525",
                           "recipients": ["alerts@example.com"] }],
                "imap": [{
                    "name": "mailbox", "host": "imap.example.com", "username": "alerts@example.com",
                    "password_file": "/etc/alertbridge/secrets/bridge/imap_password",
                }],
            },
            "route": { "receiver": "oncall" },
            "receivers": [{
                "name": "oncall",
                "pagerduty_configs": [{
                    "routing_key_file": "/etc/alertbridge/secrets/pager/key",
                    "summary": "{{ labels.app_name }}: {{ labels.metric }}",
                }],
            }],
        },
        "service": { "type": "LoadBalancer", "ports": { "relay": 25, "http": 80 } },
        "networkPolicy": {
            "enabled": true,
            "adminFrom": [{ "podSelector": { "matchLabels": { "app": "prometheus" } } }],
        },
        "serviceMonitor": { "enabled": true, "labels": { "release": "prometheus" } },
    })
}

/// The values with one of them changed: `/config/store`.
fn with(place: &str, value: Value) -> Value {
    let mut values = values();
    let (parent, key) = place.rsplit_once('/').unwrap();
    values.pointer_mut(parent).unwrap()[key] = value;
    values
}

fn database() -> Value {
    let mut values = with(
        "/config/store",
        json!({ "url_file": "/etc/alertbridge/secrets/bridge/store_url" }),
    );
    values["replicas"] = json!(3);
    values
}

fn is_here() -> bool {
    let here = Command::new("helm")
        .arg("version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !here {
        skipped("helm is not here (https://helm.sh/docs/intro/install)");
    }
    here
}

fn helm(arguments: &[&str], values: &Value) -> Output {
    let chart = deploy("helm/alertbridge");
    let arguments = [arguments, &[chart.to_str().unwrap(), "--values", "-"]].concat();
    piped("helm", &arguments, values.to_string().as_bytes())
}

/// What Kubernetes is given.
fn rendered(values: &Value) -> Vec<Value> {
    let output = helm(&["template", "night"], values);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    documents(&output.stdout)
}

fn of_kind<'a>(all: &'a [Value], kind: &str) -> Vec<&'a Value> {
    all.iter().filter(|object| object["kind"] == kind).collect()
}

#[test]
fn the_chart_is_a_sound_one() {
    if !is_here() {
        return;
    }
    for values in [values(), database()] {
        let output = helm(&["lint", "--strict"], &values);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

#[test]
fn with_sqlite_there_is_one_pod_with_a_volume_and_with_postgresql_as_many_as_wanted() {
    if !is_here() {
        return;
    }
    let one = rendered(&values());
    let sets = of_kind(&one, "StatefulSet");
    assert_eq!(sets.len(), 1);
    assert_eq!(sets[0]["spec"]["replicas"], 1);
    assert_eq!(
        sets[0]["spec"]["volumeClaimTemplates"][0]["metadata"]["name"],
        "data"
    );
    assert!(
        of_kind(&one, "Deployment").is_empty() && of_kind(&one, "PodDisruptionBudget").is_empty()
    );

    for store in [
        json!({ "url_file": "/x" }),
        json!({ "url": "postgres://db/alertbridge" }),
        json!({ "url": "postgresql://db/x" }),
    ] {
        let mut values = with("/config/store", store);
        values["replicas"] = json!(3);
        let many = rendered(&values);
        assert_eq!(of_kind(&many, "Deployment")[0]["spec"]["replicas"], 3);
        assert_eq!(
            of_kind(&many, "PodDisruptionBudget")[0]["spec"]["maxUnavailable"],
            1
        );
        assert!(of_kind(&many, "StatefulSet").is_empty());
    }
}

#[test]
fn the_configuration_in_it_is_one_that_the_bridge_takes_and_is_checked_before_anything_changes() {
    if !is_here() {
        return;
    }
    for values in [values(), database()] {
        let all = rendered(&values);
        let texts: Vec<_> = of_kind(&all, "ConfigMap")
            .iter()
            .map(|map| &map["data"]["alertbridge.yaml"])
            .collect();
        assert_eq!(texts.len(), 2);
        assert_eq!(texts[0], texts[1], "what is checked is what is served");
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().to_str().unwrap();
        fs::create_dir_all(folder.path().join("bridge")).unwrap();
        fs::create_dir_all(folder.path().join("pager")).unwrap();
        for (file, secret) in [
            ("bridge/admin_token", "token"),
            ("bridge/ingress_token", "token"),
            ("bridge/imap_password", "password"),
            (
                "bridge/store_url",
                "postgres://alertbridge:secret@db.example.com/alertbridge",
            ),
            ("pager/key", "0123456789abcdef0123456789abcdef"),
        ] {
            fs::write(folder.path().join(file), secret).unwrap();
        }
        let text = texts[0]
            .as_str()
            .unwrap()
            .replace("/etc/alertbridge/secrets", secrets);
        fs::write(folder.path().join("alertbridge.yaml"), text).unwrap();
        let checked = run(folder.path(), &["check", "--config", "alertbridge.yaml"]);
        assert!(
            checked.status.success(),
            "{}",
            String::from_utf8_lossy(&checked.stderr)
        );

        let job = of_kind(&all, "Job")[0];
        assert_eq!(
            job["metadata"]["annotations"]["helm.sh/hook"],
            "pre-install,pre-upgrade"
        );
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(
            container["args"],
            json!(["check", "--config", "/etc/alertbridge/alertbridge.yaml"])
        );
    }
}

#[test]
fn pods_are_confined_and_whatever_they_name_is_there() {
    if !is_here() {
        return;
    }
    for values in [values(), database()] {
        let all = rendered(&values);
        for object in all
            .iter()
            .filter(|object| object["spec"]["template"].is_object())
        {
            let pod = &object["spec"]["template"]["spec"];
            assert_eq!(pod["automountServiceAccountToken"], false);
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
            assert_eq!(
                pod["securityContext"]["seccompProfile"]["type"],
                "RuntimeDefault"
            );
            let container = &pod["containers"][0];
            assert_eq!(container["image"], "registry.example.com/alertbridge:test");
            let expected = json!({ "allowPrivilegeEscalation": false,
                                   "readOnlyRootFilesystem": true,
                                   "capabilities": { "drop": ["ALL"] } });
            assert_eq!(container["securityContext"], expected);
            let claims = object["spec"]["volumeClaimTemplates"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let volumes = pod["volumes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|volume| &volume["name"]);
            let volumes: Vec<_> = volumes
                .chain(claims.iter().map(|claim| &claim["metadata"]["name"]))
                .collect();
            for mount in container["volumeMounts"].as_array().unwrap() {
                assert!(
                    volumes.contains(&&mount["name"]),
                    "{mount} is of no volume: {volumes:?}"
                );
            }
        }
        let workload = all
            .iter()
            .find(|object| {
                ["StatefulSet", "Deployment"]
                    .iter()
                    .any(|kind| object["kind"] == *kind)
            })
            .unwrap();
        let template = &workload["spec"]["template"];
        let container = &template["spec"]["containers"][0];
        assert_eq!(
            container["livenessProbe"]["httpGet"],
            json!({ "path": "/-/healthy", "port": "admin" })
        );
        assert_eq!(
            container["readinessProbe"]["httpGet"],
            json!({ "path": "/-/ready", "port": "admin" })
        );
        let labels = &template["metadata"]["labels"];
        let ports: Vec<_> = container["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|port| &port["name"])
            .collect();
        let services = of_kind(&all, "Service");
        assert_eq!(services.len(), 2);
        for service in &services {
            assert_eq!(
                &service["spec"]["selector"], labels,
                "it leads to the bridge"
            );
            for port in service["spec"]["ports"].as_array().unwrap() {
                assert!(ports.contains(&&port["targetPort"]), "{port}: {ports:?}");
            }
        }
        assert_ne!(
            &of_kind(&all, "Job")[0]["spec"]["template"]["metadata"]["labels"],
            labels,
            "no mail goes to the check"
        );
        let mail = services
            .iter()
            .find(|service| service["metadata"]["name"] == "night-alertbridge")
            .unwrap();
        let mail: Vec<_> = mail["spec"]["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|port| port["port"].as_u64())
            .collect();
        assert_eq!(mail, [Some(80), Some(25)]);

        let monitor = of_kind(&all, "ServiceMonitor")[0];
        let wanted = monitor["spec"]["selector"]["matchLabels"]
            .as_object()
            .unwrap();
        let watched = services.iter().filter(|service| {
            wanted
                .iter()
                .all(|(key, value)| &service["metadata"]["labels"][key] == value)
        });
        let watched: Vec<_> = watched
            .map(|service| &service["metadata"]["name"])
            .collect();
        assert_eq!(watched, ["night-alertbridge-admin"]);
        let endpoint = &monitor["spec"]["endpoints"][0];
        assert_eq!(
            endpoint["authorization"]["credentials"],
            json!({ "name": "bridge", "key": "admin_token" })
        );
        for rule in of_kind(&all, "NetworkPolicy")[0]["spec"]["ingress"]
            .as_array()
            .unwrap()
        {
            for port in rule["ports"].as_array().unwrap() {
                assert!(ports.contains(&&port["port"]), "{port}: {ports:?}");
                assert_eq!(
                    port["port"] == "admin",
                    rule["from"].is_array(),
                    "the admin listener is not for everybody"
                );
            }
        }
    }
}

#[test]
fn values_that_make_no_working_bridge_are_refused_with_the_mend() {
    if !is_here() {
        return;
    }
    let smtp = |listen: &str| {
        json!([{ "name": "relay", "listen": listen,
                                       "recipients": ["a@example.com"] }])
    };
    for (place, value, says) in [
        (
            "/replicas",
            json!(3),
            "more than one need config.store.url: postgres://",
        ),
        ("/replicas", json!(0), "replicas"),
        ("/replica", json!(3), "replica"),
        ("/image/repository", json!(""), "image.repository"),
        (
            "/admin/tokenSecret/name",
            json!(""),
            "admin.tokenSecret.name",
        ),
        (
            "/config/admin",
            json!({ "listen": "0.0.0.0:1" }),
            "admin.port and admin.tokenSecret",
        ),
        ("/config/route", json!(null), "config.route is missing"),
        ("/config/ingress", json!(null), "config.ingress is missing"),
        (
            "/config/ingress/http",
            json!({}),
            "127.0.0.1:8025 is reached by nobody",
        ),
        (
            "/config/ingress/smtp",
            smtp("127.0.0.1:2525"),
            "config.ingress.smtp[0].listen",
        ),
        (
            "/config/ingress/smtp",
            smtp("[::1]:2525"),
            "is reached by nobody",
        ),
        ("/config/ingress/smtp", smtp("0.0.0.0:25"), "service.ports"),
    ] {
        let output = helm(&["template", "night"], &with(place, value.clone()));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(says),
            "{place}: {value}: it should say {says:?}:\n{said}"
        );
    }
    let mut values = values();
    values["replicas"] = json!(2);
    values["config"]["store"] = json!({ "url": "sqlite:alertbridge.db" });
    assert!(!helm(&["template", "night"], &values).status.success());
}

#[test]
fn a_bridge_that_only_reads_a_mailbox_needs_no_service_for_mail() {
    if !is_here() {
        return;
    }
    let imap = values()["config"]["ingress"]["imap"].clone();
    let all = rendered(&with("/config/ingress", json!({ "imap": imap })));
    let services = of_kind(&all, "Service");
    assert_eq!(services.len(), 1);
    assert_eq!(services[0]["metadata"]["name"], "night-alertbridge-admin");
}
