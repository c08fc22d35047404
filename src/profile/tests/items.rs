//! Tests mails that report several incidents, and how much of long ones is read.

use super::*;

const SEVERAL: &str = r"
  match: { from: [am@example.com] }
  each:
    text: '(?ms)^Labels\n(?<labels>.*?)(?:^Source\n|\z)'
    section: '(?m)^\[\d+\] (?<state>Firing|Resolved)$'
  fields:
    key: '{{ item.pairs.alertname }}/{{ item.pairs.instance }}'
    status: '{{ item.section.state }}'
    severity: '{{ item.pairs.severity | default() }}'
  status: { trigger: [firing], resolve: [resolved] }
";

#[test]
fn a_mail_of_several_alerts_is_read_item_by_item() {
    let profile = only(SEVERAL);
    let mail = "From: am@example.com\n\n[2] Firing\nLabels\nalertname = A\ninstance = a:1\n\
        severity = critical\nSource\nLabels\nalertname = B\ninstance = b:1\nSource\n\
        [1] Resolved\nLabels\nalertname = C\ninstance = c:1\nSource\nLabels\nalertname = D\n";
    let found = profile.read(mail.as_bytes());
    let told: Vec<_> = found[..3]
        .iter()
        .map(alert)
        .map(|alert| (alert.key.as_str(), alert.meaning))
        .collect();
    assert_eq!(
        told,
        [
            ("A/a:1", Meaning::Trigger),
            ("B/b:1", Meaning::Trigger),
            ("C/c:1", Meaning::Resolve)
        ]
    );
    assert_eq!(alert(&found[0]).labels["severity"], "critical");
    assert_eq!(alert(&found[1]).labels.get("severity"), None);
    assert!(matches!(
        &found[3],
        Found::Unparsed { reason, .. } if reason.contains("item.pairs.instance")
    ));

    assert!(reason(&profile.read(b"From: am@example.com\n\nredesigned")).contains("each.text"));
}

#[test]
fn each_element_of_a_list_is_an_alert() {
    let profile = only(
        "  match: { from: [a@b.c] }\n  json: { text: true }\n  each: { json: /alerts }\n  \
         fields: { key: '{{ item.id }}', status: '{{ item.state }}', host: '{{ json.host }}' }\n  \
         status: { ignore: [old] }\n",
    );
    let read = |alerts: &str| {
        profile.read(format!("From: a@b.c\n\n{{\"host\": \"h\", \"alerts\": {alerts}}}").as_bytes())
    };
    let found =
        read("[{\"id\": 1, \"state\": \"on\"}, {\"id\": 2, \"state\": \"old\"}, {\"id\": 3}]");
    assert_eq!(alert(&found[0]).labels["host"], "h");
    assert!(matches!(&found[1], Found::Ignored { .. }));
    assert!(matches!(&found[2], Found::Unparsed { .. }));
    assert!(matches!(&read("[]")[..], [Found::Ignored { .. }]));
    assert!(reason(&read("{}")).contains("not a list"));
    assert!(reason(&profile.read(b"From: a@b.c\n\n{}")).contains("points to nothing"));
    let many = format!(
        "[{}]",
        vec!["{\"id\": 1, \"state\": \"on\"}"; 600].join(",")
    );
    assert_eq!(read(&many).len(), MAX_ITEMS + 1);
}

#[test]
fn items_that_read_alike_are_told_one_by_one() {
    let profile = only(
        "  match: { from: [a@b.c] }\n  json: { text: true }\n  each: { json: /a }\n  \
         fields: { key: '{{ item.id }}', status: on }\n",
    );
    let keys = unparsed_keys(
        &profile,
        b"From: a@b.c\n\n{\"a\": [{}, {}, {\"id\": 1}, {}]}",
    );
    let different: BTreeSet<_> = keys.iter().collect();
    assert_eq!((keys.len(), different.len()), (3, 3));
    for items in [
        r#"{},{"id":1}"#,
        r#"{"id":1},{}"#,
        r#"{"id":1},{"id":2},{}"#,
    ] {
        let mail = format!("From: a@b.c\n\n{{\"a\": [{items}]}}");
        assert_eq!(
            unparsed_keys(&profile, mail.as_bytes()),
            keys[..1],
            "what can be read before it does not make it another"
        );
    }
}

#[test]
fn a_mail_of_which_not_all_is_read_says_so() {
    const FILL: &str = "nothing that matters here at all\n";
    let last = |found: &[Found]| match found.last() {
        Some(Found::Unparsed { reason, .. }) => reason.clone(),
        other => panic!("{other:?}"),
    };
    let item = only(
        "  match: { from: [a@b.c] }\n  each: { text: '(?m)^down (?<host>\\w+)$', section: \
         '(?m)^= (?<s>\\w+)$' }\n  fields: { key: '{{ item.host }}', status: down }\n",
    );
    let long = FILL.repeat((513 << 10) / FILL.len());
    let text = format!("From: a@b.c\n\ndown a\n{long}down b\n");
    let html = format!(
        "From: a@b.c\nContent-Type: text/html\n\n<p>down a</p><pre>{long}</pre><p>down b</p>"
    );
    for mail in [&text, &html] {
        let found = item.read(mail.as_bytes());
        assert_eq!(found.len(), 2);
        assert!(last(&found).contains("512 KiB"), "{found:?}");
        let none = item.read(mail.replace("down a", "").as_bytes());
        assert!(reason(&none).contains("finds nothing") && reason(&none).contains("512 KiB"));
    }
    let short = text.replace(&long, &FILL.repeat(10_000));
    assert_eq!(item.read(short.as_bytes()).len(), 2);
    assert_eq!(alert(&item.read(short.as_bytes())[1]).key, "b");

    let headings: String = (0..1_001).map(|n| format!("= s{n}\ndown h{n}\n")).collect();
    let found = item.read(format!("From: a@b.c\n\n{headings}").as_bytes());
    assert!(last(&found).contains("500 incidents"), "{found:?}");
    let headings: String = (0..1_001).map(|n| format!("= s{n}\n")).collect();
    let found = item.read(format!("From: a@b.c\n\ndown a\n{headings}down b\n").as_bytes());
    assert!(last(&found).contains("1000 headings"), "{found:?}");
    assert_eq!(found.len(), 2);

    let pairs =
        only("  match: { from: [a@b.c] }\n  fields: { key: '{{ pairs.Host }}', status: x }\n");
    let found = pairs.read(format!("From: a@b.c\n\n{long}Host: a\n").as_bytes());
    assert!(reason(&found).contains("512 KiB"), "{found:?}");

    let attached = only(
        "  match: { from: [a@b.c] }\n  json: { attachment: '*.json' }\n  \
         fields: { key: '{{ json.id }}', status: x }\n",
    );
    let mail = format!(
        "From: a@b.c\nContent-Type: application/json; name=x.json\nContent-Disposition: \
         attachment\n\n{{\"id\": 1, \"log\": \"{}\"}}",
        "x".repeat(300 << 10)
    );
    let found = attached.read(mail.as_bytes());
    assert!(reason(&found).contains("was cut"), "{found:?}");
}

#[test]
fn an_item_is_the_same_wherever_it_stands_in_a_long_text() {
    let profile = only(
        "  match: { from: [a@b.c] }\n  \
         each: { text: '(?ms)^Item (?<id>\\d+)\\n(?<rest>.*?)(?:^End$|\\z)' }\n  \
         fields: { key: '{{ item.id }}', status: on, size: '{{ item.rest | length }}' }\n",
    );
    for size in [0, 10, 8_000, 8_191, 8_192, 16_384, 20_000, 100_000] {
        let between = "ü\n".repeat(size / 3);
        let mail =
            format!("From: a@b.c\n\n{between}Item 1\n{between}End\n{between}Item 2\n{between}");
        let found = profile.read(mail.as_bytes());
        let told: Vec<_> = found.iter().map(alert).collect();
        let told: Vec<_> = told
            .iter()
            .map(|alert| (alert.key.as_str(), alert.labels["size"].as_str()))
            .collect();
        let size = (size / 3 * 2).to_string();
        assert_eq!(told, [("1", size.as_str()), ("2", size.as_str())]);
    }
}

#[test]
fn what_items_read_of_the_whole_text_is_bounded() {
    let profile = |field: &str| {
        only(&format!(
            "  match: {{ from: [a@b.c] }}\n  each: {{ text: '(?m)^down (?<host>\\w+)$' }}\n  \
             fields: {{ key: '{{{{ item.host }}}}', status: down, all: \"{field}\" }}\n"
        ))
    };
    let items: String = (0..100).map(|number| format!("down h{number}\n")).collect();
    let mail = |size: usize| format!("From: a@b.c\n\n{items}{}", "x\n".repeat(size / 2));
    let read = |field: &str, size| profile(field).read(mail(size).as_bytes());

    // A field that is the same for all items is made once.
    let same = read("{{ text | length }}", 400 << 10);
    assert_eq!(same.iter().map(alert).count(), 100);

    let own = "{{ item.host }} {{ text | length }}";
    assert_eq!(read(own, 32 << 10).iter().map(alert).count(), 100);
    let found = read(own, 400 << 10);
    assert_eq!(found.len(), 100);
    assert_eq!(alert(&found[0]).key, "h0");
    let reason = reason(&found[99..]);
    assert!(
        reason.contains("`text`") && reason.contains("4 MiB"),
        "{reason}"
    );
}

/// Words of an alert that look like a heading, or like an item, are noticed by the count.
#[test]
fn a_heading_has_as_many_items_as_it_says() {
    let profile = SEVERAL.replace(r"\[\d+\]", r"\[(?<count>\d+)\]");
    let profile = only(&profile);
    let item = |name: &str| format!("Labels\nalertname = {name}\ninstance = x\nSource\n");
    let read = |body: &str| profile.read(format!("From: am@example.com\n\n{body}").as_bytes());
    let one = item("A");
    let right = format!("[2] Firing\n{one}{}[1] Resolved\n{}", item("B"), item("C"));
    assert_eq!(read(&right).iter().map(alert).count(), 3);
    for wrong in [
        format!("[1] Firing\n[1] Resolved\n{one}"),
        format!("[1] Firing\n{one}{}", item("B")),
        format!("[2] Firing\n{one}"),
        format!("[1] Firing\n[0] Resolved\n{one}"),
        format!("[99999999999999999999999] Firing\n{one}"),
    ] {
        assert!(reason(&read(&wrong)).contains("`each.section`"), "{wrong}");
    }
}
