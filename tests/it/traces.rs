//! Traces, as a collector receives them: one for each mail, from its arrival to the receipt, over
//! restarts; and a collector that is of no use, which costs nobody but the traces.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use crate::{
    delivery::{delivery, hook, post, resolve, start, trigger},
    e2e::HOOK_SECRET,
    harness::{Bridge, PATIENCE, client},
    vendors::{Fake, Hook, Opsgenie},
};

mod collector;

use collector::{Collector, Span, by_name};

/// Another's span, which a client says led to its request.
const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn telemetry(collector: &Fake<Collector>) -> String {
    format!(
        "telemetry: {{ otlp_endpoint: '{}/', headers_file: headers }}",
        collector.origin()
    )
}

/// Waits until the collector has spans such as these.
async fn spans(
    collector: &Fake<Collector>,
    what: &str,
    wanted: impl Fn(&[Span]) -> bool,
) -> Vec<Span> {
    let all = |collector: &Fake<Collector>| collector::spans(&collector.history());
    collector
        .wait_until(what, |collector| wanted(&all(collector)))
        .await;
    all(collector)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_mail_is_one_trace_from_its_arrival_to_the_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (collector, opsgenie) = (Collector::start().await, Opsgenie::start().await);
    let vendor = Hook::start(HOOK_SECRET).await;
    fs::write(
        folder.join("headers"),
        format!("x-key: {}\n", collector.key()),
    )
    .unwrap();
    fs::write(folder.join("opsgenie"), opsgenie.key()).unwrap();
    let bridge = start(
        folder,
        &format!(
            "{}\nroute: {{ receiver: a }}\nreceivers: [{{ name: a, {},\n  opsgenie_configs: [{{ api_key_file: opsgenie, api_url: '{}' }}] }}]",
            telemetry(&collector),
            hook(folder, &vendor, ""),
            opsgenie.url(),
        ),
    );

    let request = client().post(&bridge.http).header("traceparent", CALLER);
    let request = request.header("content-type", "message/rfc822");
    let reply = request.body(trigger("inc-1")).send().await.unwrap();
    assert_eq!(reply.status(), 202);

    let is_told = |span: &Span| span.text("alertbridge.result") == "delivered";
    let spans = spans(&collector, "both receivers are told", |spans| {
        spans.iter().filter(|span| is_told(span)).count() == 2 && !by_name(spans, "mail").is_empty()
    })
    .await;

    // One trace, and one span that the others stand below.
    let [root] = by_name(&spans, "mail")[..] else {
        panic!("{spans:#?}");
    };
    assert!(root.parent.is_empty(), "{root:#?}");
    let accept = by_name(&spans, "accept")[0];
    for span in &spans {
        assert_eq!(span.trace, root.trace, "{span:#?}");
        assert!(span.begun <= span.ended, "{span:#?}");
        let parent = match span.name.as_str() {
            "mail" => "",
            "authenticate" => &accept.id,
            _ => &root.id,
        };
        assert_eq!(span.parent, parent, "{span:#?}");
    }
    let ids: BTreeMap<_, _> = spans.iter().map(|span| (&span.id, &span.name)).collect();
    assert_eq!(ids.len(), spans.len(), "{ids:?}");

    // In the order in which it happened.
    let one = |name: &str| by_name(&spans, name)[0];
    let order = ["accept", "read", "decide", "deliver webhook"];
    for pair in order.windows(2) {
        assert!(one(pair[0]).begun <= one(pair[1]).begun, "{pair:?}");
    }
    assert!(root.begun <= accept.begun && root.ended >= one("decide").begun);
    assert!(one("deliver opsgenie").ended <= one("confirm opsgenie").begun);

    // What each says.
    assert_eq!(root.text("alertbridge.mail"), "1");
    assert_eq!(root.text("alertbridge.outcome"), "opened");
    assert_eq!(one("authenticate").text("alertbridge.verdict"), "off");
    assert_eq!(one("read").text("alertbridge.profile"), "atlassian-sli");
    assert_eq!(one("decide").text("alertbridge.owed"), "2");
    let sent = one("deliver opsgenie");
    assert_eq!(sent.text("http.request.method"), "POST");
    assert_eq!(sent.text("http.response.status_code"), "202");
    assert_eq!(sent.text("server.address"), "127.0.0.1");
    assert_eq!(sent.text("alertbridge.receiver"), "a");
    assert_eq!(sent.text("alertbridge.integration"), "opsgenie");
    assert_eq!(sent.text("alertbridge.attempt"), "1");
    assert_eq!(sent.text("alertbridge.result"), "accepted");
    let confirmed = by_name(&spans, "confirm opsgenie");
    assert!(confirmed.iter().any(|span| is_told(span)), "{confirmed:#?}");

    // The client's own trace is linked, and is not this one.
    let posted = one("POST");
    assert_eq!(posted.links, [CALLER]);
    assert_ne!(root.trace, CALLER[3..35]);

    // Whoever is told may join the trace, at the attempt's own span.
    for (calls, name) in [
        (vendor.history(), "deliver webhook"),
        (opsgenie.history(), "deliver opsgenie"),
    ] {
        let span = one(name);
        let context = format!("00-{}-{}-01", span.trace, span.id);
        assert_eq!(calls[0].header("traceparent"), context, "{name}");
    }

    for (name, value) in [
        ("service.name", "alertbridge"),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(root.resource[name], value);
    }
    assert!(!root.resource["service.instance.id"].is_empty());

    // Nothing of the mail, and no secret.
    let all = format!("{spans:?}");
    for word in [
        "inc-1",
        "com.example",
        "Jira App",
        "atlassian.com",
        opsgenie.key(),
    ] {
        assert!(!all.contains(word), "{word}: {all}");
    }

    // A stop exports what is left.
    post(&bridge, &resolve("inc-1")).await;
    bridge.settled(2).await;
    assert!(bridge.stop().success());
    let spans = collector::spans(&collector.history());
    assert_eq!(by_name(&spans, "mail").len(), 2, "{spans:#?}");
    assert_eq!(collector.violations(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_after_kill_9_goes_on_with_the_trace_of_its_mail() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (collector, vendor) = (Collector::start().await, Hook::start(HOOK_SECRET).await);
    fs::write(
        folder.join("headers"),
        format!("x-key: {}\n", collector.key()),
    )
    .unwrap();
    let rest = format!(
        "{}\nroute: {{ receiver: a }}\nreceivers: [{{ name: a, {} }}]",
        telemetry(&collector),
        hook(folder, &vendor, ""),
    );

    vendor.fail_next(100, 503, &[]);
    let mut bridge = start(folder, &rest);
    post(&bridge, &trigger("inc-1")).await;
    let before = spans(&collector, "an attempt fails", |spans| {
        !by_name(spans, "deliver webhook").is_empty() && !by_name(spans, "mail").is_empty()
    })
    .await;
    bridge.kill();
    vendor.heal();

    let _bridge = start(folder, &rest);
    let is_told = |span: &Span| span.text("alertbridge.result") == "delivered";
    let after = spans(&collector, "it is told", |spans| spans.iter().any(is_told)).await;

    let (failed, root) = (
        by_name(&before, "deliver webhook")[0],
        by_name(&before, "mail")[0],
    );
    let told = after.iter().find(|span| is_told(span)).unwrap();
    assert_eq!((&told.trace, &told.parent), (&root.trace, &root.id));
    assert_ne!(told.id, failed.id);
    assert_ne!(
        told.resource["service.instance.id"],
        failed.resource["service.instance.id"]
    );
    assert_eq!(failed.text("error.type"), "server_error");
    assert!(failed.is_error && !told.is_error);
    assert_eq!(by_name(&after, "mail").len(), 1);
}

/// Waits until so many spans are counted as dropped.
async fn dropped(bridge: &Bridge, reason: &str) {
    let deadline = Instant::now() + PATIENCE;
    while bridge
        .metric("alertbridge_spans_dropped_total", reason)
        .await
        == 0.0
    {
        assert!(Instant::now() < deadline, "{}", bridge.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_of_no_use_delays_no_page_and_no_stop() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (collector, vendor) = (Collector::start().await, Hook::start(HOOK_SECRET).await);
    fs::write(
        folder.join("headers"),
        format!("x-key: {}\n", collector.key()),
    )
    .unwrap();
    let rest = format!(
        "{}\nroute: {{ receiver: a }}\nreceivers: [{{ name: a, {} }}]",
        telemetry(&collector),
        hook(folder, &vendor, ""),
    );

    // It refuses: that is counted and said once.
    collector.fail_next(1, 400, &[]);
    let bridge = start(folder, &rest);
    post(&bridge, &trigger("inc-1")).await;
    assert_eq!(
        vendor.next_page_within(Duration::from_secs(5)).await.action,
        "trigger"
    );
    dropped(&bridge, "not_taken").await;
    assert!(
        bridge.log().contains("the collector accepts no traces"),
        "{}",
        bridge.log()
    );

    // It takes them again.
    post(&bridge, &resolve("inc-1")).await;
    assert_eq!(
        vendor.next_page_within(Duration::from_secs(5)).await.action,
        "resolve"
    );
    spans(&collector, "it takes them again", |spans| !spans.is_empty()).await;

    // It hangs.
    collector.hang(1000);
    for number in 2..8 {
        post(&bridge, &trigger(&format!("inc-{number}"))).await;
        vendor.next_page_within(Duration::from_secs(5)).await;
    }
    let told = |row: &serde_json::Value| row["state"] == "delivered";
    delivery(&bridge, "the page is delivered", told).await;
    let begun = Instant::now();
    assert!(bridge.stop().success());
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_traced_unless_it_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let vendor = Hook::start(HOOK_SECRET).await;
    let receivers = format!(
        "route: {{ receiver: a }}\nreceivers: [{{ name: a, {} }}]",
        hook(folder, &vendor, "")
    );
    let bridge = start(folder, &receivers);
    post(&bridge, &trigger("inc-1")).await;
    vendor.next_page().await;
    assert_eq!(vendor.history()[0].header("traceparent"), "");
    assert!(bridge.metric("alertbridge_spans", "").await < 1.0);

    // To trace is to start again.
    let config = fs::read_to_string(folder.join("alertbridge.yaml")).unwrap();
    let config = format!("{config}\ntelemetry: {{ otlp_endpoint: 'http://127.0.0.1:1' }}\n");
    fs::write(folder.join("alertbridge.yaml"), config).unwrap();
    let reload = client().post(format!("{}/-/reload", bridge.admin));
    let said = reload.send().await.unwrap().text().await.unwrap();
    assert!(said.contains("telemetry needs a restart"), "{said}");
}
