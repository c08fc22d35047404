//! Labels that stand in a mail more than once: a gateway's banner, a footer, a quoted original.

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

/// Its key and status, as far as the mail is an alert of one reading.
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
        // It says the same.
        ("Status: DOWN\nHost: web1", true),
        ("Title: of something else", true),
        // Another of those that trigger.
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
    // Below the alert, a value that is no status is not meant; above it, it cannot be told.
    assert_eq!(told(PROFILE, &format!("{BODY}\nStatus: clean\n")), whole);
    assert_eq!(told(PROFILE, &format!("Status: clean\n\n{BODY}")), None);
}

#[test]
fn the_reason_names_the_label_its_values_and_the_mend() {
    let found = read(PROFILE, &format!("Host: mail-gateway\n\n{BODY}"));
    let said = reason(&found);
    assert!(
        said.contains(
            "the label `Host` stands in the mail with different values, `mail-gateway` and `web1`"
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

/// A list tells of each incident by itself, and its labels repeat.
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
