//! Tests of profiles against mails of a few lines each.

use super::*;
use crate::config::{Config, Files, Source};

mod doubt;
mod items;
mod odd;
mod refused;
mod seen;
mod unparsed;

/// Compiles these profiles as part of a configuration file.
pub(super) fn compiled(profiles: &str) -> Result<Arc<Profiles>, String> {
    let text = format!(
        "route: {{ receiver: a }}\nreceivers: [{{ name: a, stdout_configs: [{{}}] }}]\n{profiles}"
    );
    Config::parse(Source::Embedded, &text, Files::Unneeded, &|_| None)
        .map(|loaded| loaded.profiles)
        .map_err(|errors| errors.to_string())
}

fn only(profile: &str) -> Arc<Profile> {
    let text = format!("profiles:\n- name: test\n{profile}");
    let profiles = compiled(&text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    Arc::clone(profiles.iter().next().unwrap())
}

fn refused(profile: &str) -> String {
    compiled(&format!("profiles:\n- name: test\n{profile}")).expect_err(profile)
}

fn alert(found: &Found) -> &Alert {
    match found {
        Found::Alert(alert) => alert,
        other => panic!("{other:?}"),
    }
}

fn reason(found: &[Found]) -> &str {
    match found {
        [Found::Unparsed { reason, .. }] => reason,
        other => panic!("{other:?}"),
    }
}

/// Returns the keys of what cannot be read in a mail.
fn unparsed_keys(profile: &Profile, mail: &[u8]) -> Vec<String> {
    let key = |found| match found {
        Found::Unparsed { key, .. } => Some(key),
        _ => None,
    };
    profile.read(mail).into_iter().filter_map(key).collect()
}

const CLOUDWATCH: &str = r#"
  match: { from: [no-reply@sns.amazonaws.com], matchers: ['subject=~"ALARM: .*|OK: .*"'] }
  regex: { subject: '^\w+: "(?<alarm>.+)" in (?<region>.+)$' }
  fields:
    key: "{{ re.region }}/{{ re.alarm }}"
    status: "{{ pairs['State Change'] }}"
    time: "{{ pairs['Timestamp'] | time('%A %d %B, %Y %H:%M:%S UTC') }}"
    title: "{{ re.alarm }}"
    account: "{{ pairs['AWS Account'] | default('') }}"
  status: { trigger: ['.* -> ALARM'], resolve: ['.* -> OK'], ignore: ['.* -> INSUFFICIENT_DATA'] }
"#;

const ALARM: &str = "From: AWS Notifications <no-reply@sns.amazonaws.com>\r\n\
    Subject: ALARM: \"api 5xx\" in EU (Ireland)\r\nDate: Sat, 28 Nov 2026 04:10:05 +0000\r\n\r\n\
    You are receiving this email because your alarm entered the ALARM state.\r\n\r\n\
    Alarm Details:\r\n- Name:                       api 5xx\r\n\
    - State Change:               OK -> ALARM\r\n\
    - Timestamp:                  Saturday 28 November, 2026 04:10:00 UTC\r\n";

#[test]
fn a_mail_of_pairs_and_groups_is_an_alert() {
    let profile = only(CLOUDWATCH);
    let found = profile.read(ALARM.as_bytes());
    let alert = alert(&found[0]);
    assert_eq!(alert.key, "EU (Ireland)/api 5xx");
    assert_eq!(alert.status, "OK -> ALARM");
    assert_eq!(alert.meaning, Meaning::Trigger);
    assert_eq!(alert.time, Some("2026-11-28T04:10:00Z".parse().unwrap()));
    assert_eq!(alert.labels["title"], "api 5xx");
    assert_eq!(alert.labels["account"], "");
    assert_eq!(alert.json["pairs"]["Name"], "api 5xx");
    assert_eq!(found.len(), 1);
}

#[test]
fn what_a_mail_lacks_is_named_with_its_expression() {
    let profile = only(CLOUDWATCH);
    let lacks = |from: &str, to: &str| ALARM.replace(from, to);

    let mail = lacks("- Timestamp", "- Time");
    let found = profile.read(mail.as_bytes());
    let said = reason(&found);
    assert!(
        said.contains("`time`") && said.contains("pairs['Timestamp']"),
        "{said}"
    );

    let mail = lacks("28 November", "28 Brumaire");
    assert!(reason(&profile.read(mail.as_bytes())).contains("is not a time in"));

    let mail = lacks("Subject: ALARM: \"api 5xx\" in", "Subject: ALARM api in");
    let said = profile.read(mail.as_bytes());
    assert!(
        reason(&said).contains("`key`") && reason(&said).contains("re.region"),
        "{said:?}"
    );

    // Copies share a key, and other mails have other keys.
    let key = |mail: &str| match &profile.read(mail.as_bytes())[0] {
        Found::Unparsed { key, .. } => key.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(key(&mail), key(&mail.replace("\r\n", "\n")));
    assert_ne!(
        key(&mail),
        key(&mail.replace("alarm entered", "alarm, entered"))
    );
}

#[test]
fn a_status_that_is_ignored_is_so_whatever_else_is_missing() {
    let profile = only(CLOUDWATCH);
    let mail = ALARM
        .replace("-> ALARM", "-> INSUFFICIENT_DATA")
        .replace("- Timestamp", "- Time");
    let found = profile.read(mail.as_bytes());
    assert!(matches!(&found[..], [Found::Ignored { .. }]), "{found:?}");
}

#[test]
fn matching_goes_by_the_header_alone() {
    let profiles = compiled(&format!(
        "profiles:\n- name: cloudwatch\n{CLOUDWATCH}\
         - name: other\n  match: {{ from: ['@example.com'], matchers: ['header_x_result!=\"\"', \
         'list_id=~\".*ops.*\"'] }}\n  fields: {{ key: a, status: b }}\n"
    ))
    .unwrap();
    let taking = |header: &str| match profiles.taking(header.as_bytes()) {
        Taking::Taken(profile) => format!("taken {}", profile.name),
        Taking::Doubtful(profile, _) => format!("doubtful {}", profile.name),
        Taking::Unmatched(profile, _) => format!("unmatched {}", profile.name),
        Taking::Nobodys => "nobody's".to_owned(),
    };
    let sns = "From: no-reply@sns.amazonaws.com\r\n";
    for (header, expected) in [
        (format!("{sns}Subject: ALARM: x\r\n"), "taken cloudwatch"),
        (
            format!("{sns}Subject: =?utf-8?B?T0s6IHg=?=\r\n"),
            "taken cloudwatch",
        ),
        (format!("{sns}Subject: Welcome\r\n"), "unmatched cloudwatch"),
        (
            "From: NO-REPLY@SNS.AMAZONAWS.COM\nSubject: OK: y\n".to_owned(),
            "taken cloudwatch",
        ),
        (
            "From: a@example.com\r\nX-Result: 1\r\nList-ID: <ops.x>\r\n".to_owned(),
            "taken other",
        ),
        (
            "From: a@example.com\r\nX-Result: 1\r\n".to_owned(),
            "unmatched other",
        ),
        (
            "From: a@sub.example.com\r\nX-Result: 1\r\nList-Id: ops\r\n".to_owned(),
            "nobody's",
        ),
        ("Subject: ALARM: x\r\n".to_owned(), "nobody's"),
        (
            format!("{sns}From: evil@example.org\r\nSubject: ALARM: x\r\n"),
            "doubtful cloudwatch",
        ),
    ] {
        assert_eq!(taking(&header), expected, "{header}");
    }

    let misses = profiles.misses(format!("{sns}Subject: Hello\r\n").as_bytes());
    assert_eq!(misses.len(), 2);
    assert!(
        misses[0].reason.contains("subject is `Hello`"),
        "{misses:?}"
    );
    assert!(misses[1].reason.contains("match.from"), "{misses:?}");
}

#[test]
fn a_list_is_known_by_its_id_and_by_the_whole_field() {
    let taken = |matcher: &str, list: &str| {
        let profile = only(&format!(
            "  match: {{ matchers: ['{matcher}'] }}\n  fields: {{ key: k, status: s }}\n"
        ));
        profile
            .matching
            .miss(format!("List-Id: {list}\r\n").as_bytes())
            .is_none()
    };
    for list in ["The alerts <alerts.example.com>", "<alerts.example.com>"] {
        for (matcher, expected) in [
            ("list_id=\"alerts.example.com\"", true),
            ("list_id!=\"alerts.example.com\"", false),
            ("list_id=~\".*<alerts[.]example[.]com>\"", true),
            ("list_id!~\"alerts.*\"", false),
            ("list_id=\"example.com\"", false),
        ] {
            assert_eq!(taken(matcher, list), expected, "{matcher} {list}");
        }
    }
    assert!(taken("list_id=\"ops\"", "ops"));
}

#[test]
fn json_is_read_from_wherever_it_lies() {
    let fields = "  fields: { key: '{{ json.id }}', status: '{{ json.state }}' }\n";
    let html = "From: a@b.c\nContent-Type: text/html\n\n<p>x</p><script id=\"d\">{\"id\": 7, \
                \"state\": \"on\"}</script>";
    let attached = "From: a@b.c\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nSee it.\n--b\n\
        Content-Type: application/octet-stream; name=x.json\nContent-Transfer-Encoding: base64\n\n\
        eyJpZCI6IDcsICJzdGF0ZSI6ICJvbiJ9\n--b--\n";
    let text = "From: a@b.c\n\n{\"id\": 7, \"state\": \"on\"}";
    for (json, mail) in [
        ("{ element: 'script#d' }", html),
        ("{ attachment: '*.json' }", attached),
        ("{ text: true }", text),
    ] {
        let profile = only(&format!(
            "  match: {{ from: [a@b.c] }}\n  json: {json}\n{fields}"
        ));
        let found = profile.read(mail.as_bytes());
        assert_eq!(alert(&found[0]).key, "7", "{json}");
        assert_eq!(alert(&found[0]).json["json"]["state"], "on");
        assert!(
            reason(&profile.read(b"From: a@b.c\n\n")).contains("json."),
            "{json}"
        );
    }
    let profile = only(&format!(
        "  match: {{ from: [a@b.c] }}\n  json: {{ text: true }}\n{fields}"
    ));
    assert!(reason(&profile.read(b"From: a@b.c\n\n{\"id\": 7,")).contains("not valid JSON"));
    let twice = b"From: a@b.c\n\n{\"id\": 7, \"id\": 8, \"state\": 1}";
    let found = profile.read(twice);
    assert!(matches!(&found[0], Found::Unparsed { .. }), "{found:?}");
}

#[test]
fn templates_speak_of_all_that_a_mail_holds() {
    let profile = only(
        "  match: { from: [a@b.c] }\n  regex: { text: '(?m)^on (?<host>\\S+)' }\n  fields:\n    \
         key: \"{{ re.host }}\"\n    status: on\n    \
         who: \"{{ from }}|{{ to }}|{{ date }}\"\n    \
         heads: \"{{ header['X-One'] }} {{ header.subject }} {{ header['x-none'] | default('none') \
         }}\"\n    all: \"{{ pairs_all['Disk'] | join(',') }}\"\n    \
         files: \"{{ attachments[0].name }} {{ attachments[0].type }} {{ attachments[0].text \
         }}\"\n    hashed: \"{{ 'a' | hash }}\"\n    \
         replaced: '{{ subject | regex_replace(\"(\\w+) (\\w+)\", \"$2 $1\") }}'\n    \
         link: \"{{ links['view it'] }}\"\n",
    );
    let mail = "From: =?utf-8?Q?J=C3=B6?= <a@b.c>\r\nTo: d@e.f\r\nDate: Sat, 28 Nov 2026 04:10:05 \
                +0000\r\n\
        Subject: =?utf-8?Q?gr=C3=BCn?=\r\n rot\r\nX-One: 1\r\nContent-Type: multipart/mixed; \
        boundary=b\r\n\r\n--b\r\n\
        Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\nContent-Type: text/plain; \
        charset=iso-8859-1; format=flowed\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\non =E4.example \r\nnow\r\nDisk: \
        a\r\nDisk: b\r\n\
        --c\r\nContent-Type: text/html\r\n\r\n<p>Disk: a<p>Disk: c<p><a \
        href=\"https://x.y/?a=1&amp;b\">View it</a>\r\n--c--\r\n--b\r\n\
        Content-Disposition: attachment; filename*=utf-8''%C3%BC.txt\r\nContent-Type: \
        text/plain\r\n\r\nhello\r\n--b--\r\n";
    let found = profile.read(mail.as_bytes());
    let labels = &alert(&found[0]).labels;
    assert_eq!(alert(&found[0]).key, "ä.example");
    for (name, expected) in [
        ("who", "Jö <a@b.c>|d@e.f|Sat, 28 Nov 2026 04:10:05 +0000"),
        ("heads", "1 grün rot none"),
        ("all", "a,b,c"),
        ("files", "ü.txt text/plain hello"),
        (
            "hashed",
            "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        ),
        ("replaced", "rot grün"),
        ("link", "https://x.y/?a=1&b"),
    ] {
        assert_eq!(labels[name], expected, "{name}");
    }
}

#[test]
fn what_looks_like_a_space_is_one_to_expressions() {
    let profile = only(
        "  match: { from: [a@b.c] }\n  \
         regex: { subject: '^\\[(?<state>\\w+)\\] (?<host>.+)$', text: '^Code (?<code>\\d+)' }\n  \
         fields: { key: '{{ re.host }}/{{ re.code }}', status: '{{ re.state }}', \
         time: \"{{ pairs.at | time('%m/%d/%Y, %I:%M %p') }}\" }\n",
    );
    let mail = "From: a@b.c\nSubject: [down]\u{a0}web1\n\
                Content-Type: text/plain; charset=utf-8\n\n\
                Code\u{a0}42\nAt: 11/28/2026, 4:10\u{202f}AM\n";
    let found = profile.read(mail.as_bytes());
    let alert = alert(&found[0]);
    assert_eq!(alert.key, "web1/42");
    assert_eq!(alert.json["fields"]["time"], "2026-11-28T04:10:00Z");
}

#[test]
fn a_subject_that_is_cut_within_a_character_is_read() {
    let profile = only(
        "  match: { from: [a@b.c], matchers: ['subject=~\"【障害】.*\"'] }\n  \
         fields: { key: '{{ subject }}', status: on }\n",
    );
    // A mailer that folds at a number of bytes produces this.
    let mail = "From: a@b.c\nSubject: =?UTF-8?B?44CQ6Zqc5a4=?=\n =?UTF-8?B?s+OAkSB3ZWIx?=\n\nx";
    let found = profile.read(mail.as_bytes());
    assert_eq!(alert(&found[0]).key, "【障害】 web1");
    let (header, _) = mail.split_once("\n\n").unwrap();
    assert_eq!(profile.matching.miss(header.as_bytes()), None);
}

#[test]
fn a_page_may_say_itself_what_it_is_written_in() {
    let profile = only(
        "  match: { from: [a@b.c] }\n  fields: { key: \"{{ pairs['Rechner'] }}\", status: on }\n",
    );
    let mail = |content: &str, meta: &str| {
        let mut mail = format!(
            "From: a@b.c\nContent-Type: {content}\n\n<html><head>{meta}</head><p>Rechner: "
        )
        .into_bytes();
        mail.extend(b"B\xfcro</p>");
        mail
    };
    let latin = "<meta http-equiv=Content-Type content=\"text/html; charset=iso-8859-1\">";
    for (content, meta) in [
        ("text/html", latin),
        ("text/html", "<META charset='windows-1252'>"),
        ("text/html; charset=iso-8859-1", "<meta charset=utf-8>"),
    ] {
        let found = profile.read(&mail(content, meta));
        assert_eq!(alert(&found[0]).key, "Büro", "{content} {meta}");
    }
}

#[test]
fn what_json_calls_null_is_nothing() {
    let profile = only(
        "  match: { from: [a@example.com] }\n  json: { text: true }\n  \
         fields: { key: '{{ json.id }}', status: x, severity: '{{ json.severity }}' }\n",
    );
    let read = |json: &str| profile.read(format!("From: a@example.com\n\n{json}\n").as_bytes());
    let why = read(r#"{"id":null,"severity":"info"}"#);
    assert!(
        reason(&why).contains("the field `key`, made by `{{ json.id }}`, is empty"),
        "{why:?}"
    );
    let found = read(r#"{"id":0,"severity":null}"#);
    let alert = alert(&found[0]);
    assert_eq!(alert.key, "0");
    assert!(!alert.labels.contains_key("severity"), "{alert:?}");
}

#[test]
fn a_group_is_what_was_matched() {
    let profile = only(
        "  match: { from: [a@example.com] }\n  regex: { text: '(?s)^-(?<inside>.*)-' }\n  \
         fields: { key: '{{ re.inside | hash }}', status: '{{ re.inside }}' }\n",
    );
    let found = profile.read(b"From: a@example.com\n\n- a\nb -");
    assert_eq!(alert(&found[0]).key, crate::delivery::sha256_hex(b" a\nb "));
    assert_eq!(alert(&found[0]).status, "a b");
}

#[test]
fn json_may_have_a_footer() {
    let profile = only(
        "  match: { from: [a@b.c] }\n  json: { text: true }\n  \
         fields: { key: '{{ json.AlarmName }}', status: '{{ json.NewStateValue }}' }\n",
    );
    // A message of Amazon SNS without a template, as its documentation shows it.
    let footer = "If you wish to stop receiving notifications from this topic, please click or \
                  visit the link below to unsubscribe:\n\
                  https://sns.us-east-1.amazonaws.com/unsubscribe.html?SubscriptionArn=arn\n\n\
                  Please do not reply directly to this email.\n";
    let json = "{\"AlarmName\": \"api -- 5xx\",\n \"NewStateValue\": \"ALARM\"}";
    for line in ["--", "-- ", "--\r"] {
        let mail = format!("From: a@b.c\n\n{json}\n\n{line}\n{footer}");
        assert_eq!(
            alert(&profile.read(mail.as_bytes())[0]).key,
            "api -- 5xx",
            "{line:?}"
        );
    }
    for parted in ["", "-", "---", "--x", "see --"] {
        let mail = format!("From: a@b.c\n\n{json}\n{parted}\n{footer}");
        assert!(
            reason(&profile.read(mail.as_bytes())).contains("JSON"),
            "{parted:?}"
        );
    }
    let twice = format!("From: a@b.c\n\n{json}\n{json}\n--\n{footer}");
    assert!(reason(&profile.read(twice.as_bytes())).contains("JSON"));
}
