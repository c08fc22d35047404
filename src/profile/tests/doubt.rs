//! Tests labels that occur more than once in a mail: in a gateway's banner, a footer, a quoted
//! original.

use super::*;

const PROFILE: &str = r#"
  match: { from: [a@example.com] }
  fields:
    key: "{{ pairs['Host'] }}/{{ pairs['Check'] }}"
    status: "{{ pairs['Status'] }}"
    title: "{{ pairs['Title'] | default('') }}"
  status: { trigger: [DOWN, WARN], resolve: [UP], ignore: [TEST], otherwise: unparsed }
"#;

const BODY: &str = "Host: web1\nCheck: http\nStatus: DOWN\nTitle: it is down\n";

fn read(profile: &str, body: &str) -> Vec<Found> {
    let mail = format!("From: a@example.com\r\nSubject: x\r\n\r\n{body}");
    only(profile).read(mail.replace('\n', "\r\n").as_bytes())
}

/// Returns the key and the status; `None` if the mail is not an alert of one reading.
fn told(profile: &str, body: &str) -> Option<(String, String)> {
    match &read(profile, body)[..] {
        [Found::Alert(alert)] => Some((alert.key.clone(), alert.status.clone())),
        [Found::Unparsed { .. }] => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_stands_around_an_alert_does_not_make_it_another() {
    let whole = Some(("web1/http".to_owned(), "DOWN".to_owned()));
    for (around, is_certain) in [
        (
            "[EXTERNAL] Classification: Public\nSender: a@example.com",
            true,
        ),
        ("Warning: this mail is from outside\nPriority: normal", true),
        // This value is the same.
        ("Status: DOWN\nHost: web1", true),
        ("Title: of something else", true),
        // This value is another one that triggers.
        ("Status: WARN", true),
        ("Status: UP", false),
        ("Status: TEST", false),
        ("Host: mail-gateway", false),
        (
            "-----Original Message-----\nFrom: b\nHost: web2\nStatus: UP",
            false,
        ),
        ("> Host: web2\n> Status: UP", true),
    ] {
        for body in [
            format!("{around}\n\n{BODY}"),
            format!("{BODY}\n--\n{around}\n"),
        ] {
            let told = told(PROFILE, &body);
            if is_certain {
                let status = told.as_ref().map(|(_, status)| status.as_str());
                assert!(matches!(status, Some("DOWN" | "WARN")), "{body}");
                assert_eq!(
                    told.map(|(key, _)| key),
                    whole.clone().map(|(key, _)| key),
                    "{body}"
                );
            } else {
                assert_eq!(told, None, "{body}");
            }
        }
    }
    // Below the alert, a value that is no status is not meant. Above it, nothing tells the two
    // apart.
    assert_eq!(told(PROFILE, &format!("{BODY}\nStatus: clean\n")), whole);
    assert_eq!(told(PROFILE, &format!("Status: clean\n\n{BODY}")), None);
}

#[test]
fn the_reason_names_the_label_its_values_and_the_mend() {
    let found = read(PROFILE, &format!("Host: mail-gateway\n\n{BODY}"));
    let said = reason(&found);
    assert!(
        said.contains(
            "the label `Host` has different values in the mail, `mail-gateway` and `web1`"
        ),
        "{said}"
    );
    let mended = PROFILE.replace("pairs['Host']", "pairs_all['Host'] | first");
    let told = told(&mended, &format!("{BODY}\nHost: 10.0.0.1\n"));
    assert_eq!(told.unwrap().0, "web1/http");
}

#[test]
fn a_third_value_between_two_that_agree_is_seen() {
    let body = format!("Status: UP\n\n{BODY}\nStatus: UP\n");
    assert_eq!(told(PROFILE, &body), None);
}

#[test]
fn an_alert_is_never_ignored_for_its_banner() {
    let body = format!("Status: TEST\n\n{BODY}");
    assert!(matches!(read(PROFILE, &body)[..], [Found::Unparsed { .. }]));
}

#[test]
fn the_html_of_a_mail_may_word_it_otherwise_than_its_text() {
    let mail = "From: a@example.com\r\nSubject: x\r\nContent-Type: multipart/alternative; \
                boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHost: web1 \
                <https://web1/>\r\nCheck: http\r\nStatus: DOWN\r\n--b\r\nContent-Type: \
                text/html\r\n\r\n<p>Host: web1</p><p>Check: http</p><p>Status: \
                DOWN</p>\r\n--b--\r\n";
    let found = only(PROFILE).read(mail.as_bytes());
    assert_eq!(alert(&found[0]).key, "web1 <https://web1/>/http");
}

/// A list reports each incident by itself, so its labels repeat.
#[test]
fn the_items_of_a_list_may_say_different_things() {
    let profile = r#"
  match: { from: [a@example.com] }
  each: { text: '(?m)^Host: [^\n]*\nStatus: [^\n]*' }
  fields: { key: "{{ item.pairs['Host'] }}", status: "{{ item.pairs['Status'] }}" }
  status: { trigger: [DOWN], resolve: [UP] }
"#;
    let found = read(profile, "Host: a\nStatus: DOWN\n\nHost: b\nStatus: UP\n");
    let keys: Vec<_> = found.iter().map(|one| alert(one).key.as_str()).collect();
    assert_eq!(keys, ["a", "b"]);
}

/// Returns a mail with a text and an HTML part, either of which may contain a gateway's banner.
fn of_both(text: &str, html: &str) -> Vec<u8> {
    let mail = format!(
        "From: a@example.com\nSubject: x\nContent-Type: multipart/alternative; boundary=b\n\n\
         --b\nContent-Type: text/plain\n\n{text}\n--b\nContent-Type: text/html\n\n{html}\n--b--\n"
    );
    mail.replace('\n', "\r\n").into_bytes()
}

#[test]
fn a_banner_is_not_the_alert_that_stands_in_the_html_alone() {
    const BANNER: &str = "Gateway notice\nStatus: WARN\nHost: mx1.gw.example\nCheck: mail\n\n";
    const STUB: &str = "Please view this mail as HTML.\n";
    let marked = "<div>Gateway notice<br>Status: WARN<br>Host: mx1.gw.example<br>Check: mail</div>";
    let table = |down: &str| {
        format!(
            "<table><tr><td>Host</td><td>web1</td></tr><tr><td>Check</td><td>http</td></tr>\
             <tr><td>Status</td><td>{down}</td></tr></table>"
        )
    };
    let stacked = "<table><tr><td>Host:<br>web1</td></tr><tr><td>Check:<br>http</td></tr>\
                   <tr><td>Status:<br>DOWN</td></tr></table>";
    let profile = only(PROFILE);
    for (text, html) in [
        (
            format!("{BANNER}{STUB}"),
            format!("{marked}{}", table("DOWN")),
        ),
        (
            format!("{BANNER}{STUB}"),
            format!("{marked}{}", table("UP")),
        ),
        (
            format!("{STUB}{BANNER}"),
            format!("{}{marked}", table("DOWN")),
        ),
        (BANNER.to_owned(), format!("{marked}{}", table("DOWN"))),
        (format!("{BANNER}{STUB}"), table("DOWN")),
        (format!("{BANNER}{STUB}"), format!("{marked}{stacked}")),
        (
            format!("{BANNER}\nHost:\nweb1\nStatus:\nDOWN\n"),
            String::new(),
        ),
    ] {
        let found = profile.read(&of_both(&text, &html));
        assert!(
            matches!(found[..], [Found::Unparsed { .. }]),
            "{text}\n{html}\n{found:?}"
        );
    }
    let found = profile.read(&of_both(STUB, &table("DOWN")));
    assert_eq!(alert(&found[0]).key, "web1/http");
}

#[test]
fn html_that_words_more_is_the_same_alert() {
    for html in [
        "<p>Host: <a href='https://web1/'>web1</a></p><p>Check: http (port 443)</p><p>Status: \
         DOWN</p>",
        "<table><tr><td>Host</td><td>WEB1</td></tr><tr><td>Check</td><td>http</td></tr>\
         <tr><td>Status</td><td>\u{1f534} Down</td></tr></table>",
        "<p>Host: web1</p><p>Check: http</p><p>Status: DOWN</p><p>Status: seen by 3 probes</p>",
    ] {
        let found = only(PROFILE).read(&of_both("Host: web1\nCheck: http\nStatus: DOWN\n", html));
        assert_eq!(alert(&found[0]).key, "web1/http", "{html}");
    }
}

#[test]
fn every_combination_of_doubtful_labels_is_tried() {
    let profile = PROFILE
        .replace(
            "{{ pairs['Host'] }}/{{ pairs['Check'] }}",
            "{{ pairs['Host'] }}",
        )
        .replace(
            "\"{{ pairs['Status'] }}\"",
            "\"{{ 'UP' if pairs['Status'] == 'UP' and pairs['Old'] != 'x' else 'DOWN' }}\"",
        );
    for body in [
        "Status: DOWN\nStatus: UP\nOld: x\nOld: y\n",
        "Status: UP\nStatus: DOWN\nOld: x\nOld: y\n",
        "Old: x\nOld: y\nStatus: DOWN\nStatus: UP\n",
    ] {
        assert_eq!(told(&profile, &format!("Host: a\n{body}")), None, "{body}");
    }
    let certain = "Host: a\nStatus: DOWN\nOld: x\nOld: y\n";
    assert!(told(&profile, certain).is_some());
    // One label is looked up only if another has its second value.
    let nested = profile.replace(
        "pairs['Status'] == 'UP' and",
        "pairs['Status'] == 'UP' and pairs.A == '2' and pairs.B == '2' and",
    );
    let body = "Host: a\nA: 1\nA: 2\nB: 1\nB: 2\nStatus: UP\nOld: y\n";
    assert_eq!(told(&nested, body), None);
}

#[test]
fn more_combinations_than_are_tried_are_a_doubt() {
    let many: String = (0..80)
        .map(|count| format!("Status: DOWN {count}\n"))
        .collect();
    let profile = PROFILE.replace("trigger: [DOWN, WARN]", "trigger: [DOWN.*]");
    let found = read(&profile, &format!("Host: a\nCheck: b\n{many}"));
    assert!(
        reason(&found).contains("more than 64 combinations"),
        "{found:?}"
    );
    let few: String = (0..60)
        .map(|count| format!("Status: DOWN {count}\n"))
        .collect();
    assert!(told(&profile, &format!("Host: a\nCheck: b\n{few}")).is_some());
}

#[test]
fn an_item_with_two_values_is_unparsed_alone() {
    let profile = r#"
  match: { from: [a@example.com] }
  each: { text: '(?m)^#(?<n>\d+)\n(?:.+\n)+' }
  fields: { key: "{{ item.pairs['Host'] }}", status: "{{ item.pairs['Status'] }}" }
  status: { trigger: [DOWN], resolve: [UP], otherwise: unparsed }
"#;
    let body = "#1\nHost: a\nHost: b\nStatus: UP\n\n#2\nHost: c\nStatus: DOWN\nStatus: none\n\n\
                #3\nHost: d\nStatus: DOWN\nStatus: UP\n\n";
    let found = read(profile, body);
    let Found::Unparsed { reason, .. } = &found[0] else {
        panic!("{found:?}")
    };
    assert!(
        reason.contains("`Host`") && reason.contains("`each.text`"),
        "{reason}"
    );
    assert_eq!(alert(&found[1]).key, "c");
    assert!(matches!(&found[2..], [Found::Unparsed { .. }]));
}

/// A label of the mail and one of the item together change the status.
#[test]
fn labels_of_mail_and_item_are_tried_together() {
    let profile = r#"
  match: { from: [a@example.com] }
  each: { text: '(?m)^#(?<n>\d+)\n(?:.+\n)+' }
  fields:
    key: "{{ item.n }}"
    status: "{{ 'UP' if pairs['All'] == 'yes' and item.pairs['Status'] == 'UP' else 'DOWN' }}"
  status: { trigger: [DOWN], resolve: [UP] }
"#;
    let item = "#1\nStatus: DOWN\nStatus: UP\n\n";
    let found = read(profile, &format!("All: no\nAll: yes\n\n{item}"));
    assert!(reason(&found).contains("`All`"), "{found:?}");
    let found = read(profile, &format!("All: no\n\n{item}"));
    assert_eq!(alert(&found[0]).status, "DOWN");
}

#[test]
fn padding_hides_no_second_value() {
    let padding: String = (0..2_100).map(|count| format!("L{count}: w\n")).collect();
    let real = "Host: web1\nCheck: http\nStatus: DOWN\n";
    let evil = "Host: evil\nCheck: http\nStatus: DOWN\n";
    let found = read(PROFILE, &format!("{evil}{padding}{real}"));
    let said = reason(&found);
    assert!(
        said.contains("more than 2000 pairs") && said.contains("`Host`"),
        "{said}"
    );

    let rows: String = (0..2_100)
        .map(|count| format!("<tr><td>L{count}</td><td>w</td></tr>"))
        .collect();
    let html = format!(
        "<table><tr><td>Host</td><td>evil</td></tr><tr><td>Check</td><td>http</td></tr>\
         <tr><td>Status</td><td>DOWN</td></tr>{rows}<tr><td>Host</td><td>web1</td></tr></table>"
    );
    let found = only(PROFILE).read(&of_both("", &html));
    assert!(reason(&found).contains("`Host`"), "{found:?}");

    // A repetition of the same value, and labels that key and status are not made of, leave no
    // doubt.
    let again = format!("{real}{padding}{real}Title: x\nTitle: y\n");
    assert!(told(PROFILE, &again).is_some());
    let late = read(PROFILE, &format!("{padding}{real}"));
    assert!(
        reason(&late).contains("the mail has more than 2000 pairs"),
        "{late:?}"
    );
}

#[test]
fn a_reply_is_not_the_alert_that_it_quotes() {
    let quoted = "> Host: web1\n> Check: http\n> Status: DOWN\n";
    let by = |header: &str, body: &str| {
        let mail = format!("From: a@example.com\nSubject: x\n{header}\n{body}");
        only(PROFILE).read(mail.replace('\n', "\r\n").as_bytes())
    };
    // The fields may be unsigned, so that the reading does not depend on them.
    for header in ["In-Reply-To: <1@x>\n", "References: <1@x>\n", ""] {
        let found = by(header, &format!("I look at it.\n\n{quoted}"));
        assert!(matches!(found[..], [Found::Unparsed { .. }]), "{found:?}");
        // Mail that is forwarded as a whole, and what the mail says itself, are read.
        assert_eq!(alert(&by(header, quoted)[0]).key, "web1/http");
        let own = format!("Host: web1\nCheck: http\nStatus: DOWN\n\n{quoted}");
        assert_eq!(alert(&by(header, &own)[0]).key, "web1/http");
    }
}

/// Reads a mail with both parts. `each` says how the profile finds its items, if it has several.
fn read_both(each: &str, plain: &str, html: &str) -> Vec<Found> {
    let profile = format!(
        "  match: {{ from: [a@example.com] }}\n{each}  status: {{ trigger: [DOWN], resolve: [UP], \
         ignore: [TEST], otherwise: unparsed }}\n"
    );
    let mail = format!(
        "From: a@example.com\nSubject: x\nMIME-Version: 1.0\nContent-Type: multipart/alternative; \
         boundary=b\n\n--b\nContent-Type: text/plain\n\n{plain}\n--b\nContent-Type: \
         text/html\n\n<html><body>{html}</body></html>\n--b--\n"
    );
    only(&profile).read(mail.replace('\n', "\r\n").as_bytes())
}

#[test]
fn a_mail_whose_text_and_html_differ_in_the_status_is_told_as_unparsed() {
    let mail = "  regex: { text: '(?m)^(?<host>\\w+) is (?<state>\\w+)$' }\n  fields: { key: '{{ \
                re.host }}', status: '{{ re.state }}' }\n";
    let list = "  each: { text: '(?m)^(?<host>\\w+) is (?<state>\\w+)$' }\n  fields: { key: '{{ \
                item.host }}', status: '{{ item.state }}' }\n";
    for (plain, html, is_certain) in [
        ("web1 is UP", "<p>web1 is DOWN</p>", false),
        ("web1 is DOWN", "<p>web1 is UP</p>", false),
        ("web1 is DOWN", "<p>web1 is TEST</p>", false),
        (
            "web1 is DOWN",
            "<p>web1 is DOWN</p><p>Sent by a monitor</p>",
            true,
        ),
        ("web1 is DOWN", "<p>web1 is odd</p>", true),
        ("web1 is DOWN", "<p>The alert is in the text.</p>", true),
        ("The alert is in the HTML.", "<p>web1 is DOWN</p>", true),
    ] {
        let found = read_both(mail, plain, html);
        let is_read = matches!(found[..], [Found::Alert(_)]);
        assert_eq!(is_read, is_certain, "{plain} {html}: {found:?}");
        if !is_certain {
            assert!(reason(&found).contains("in its HTML"), "{}", reason(&found));
        }
    }
    for (plain, html, is_certain) in [
        (
            "web1 is DOWN\nweb2 is UP",
            "<p>web1 is DOWN</p><p>web2 is DOWN</p>",
            false,
        ),
        (
            "web1 is DOWN\nweb2 is UP",
            "<p>web1 is DOWN</p><p>web2 is UP</p><p>x</p>",
            true,
        ),
        (
            "web1 is DOWN\nweb1 is UP",
            "<p>web1 is UP</p><p>web1 is DOWN</p>",
            true,
        ),
        ("web1 is DOWN", "<p>web2 is UP</p>", true),
    ] {
        let found = read_both(list, plain, html);
        let is_read = found.iter().all(|one| matches!(one, Found::Alert(_)));
        assert_eq!(is_read, is_certain, "{plain} {html}: {found:?}");
    }
}
