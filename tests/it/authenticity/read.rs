//! What a profile reads of the header must be signed.

use alertbridge::config::{Config, Files, Source};

use super::*;

const CI: &str = "ci.example";

/// A judge of these profiles' mail, which a route leads on by a label.
fn judge_of(dns: &str, profiles: &str, where_to: &str) -> Authenticator {
    let routes = match where_to {
        "" => String::new(),
        label => format!(", routes: [{{ matchers: ['{label}=~\"a.*\"'], receiver: people }}]"),
    };
    let text = format!(
        "alerts: {{ authenticity: {{ dns: ['{dns}'] }} }}
ingress:
  http: {{ listen: '127.0.0.1:0' }}
  webhook:
    - {{ name: smtp }}
    - {{ name: gmail, trusted_authserv_id: mx.google.com }}
route: {{ receiver: people{routes} }}
receivers: [{{ name: people, stdout_configs: [{{}}] }}]
profiles:
{profiles}"
    );
    let loaded = Config::parse(Source::Embedded, &text, Files::Unneeded, &|_| None);
    let loaded = loaded.unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    loaded.config.authenticator(&loaded.profiles).unwrap()
}

fn zone_of_ci() -> Dnsmasq {
    Dnsmasq::start(&[("s1._domainkey.ci.example", &KEY.record)])
}

/// A profile with these templates for its key and its status, and more lines.
fn profile(key: &str, status: &str, more: &str) -> String {
    format!(
        "- name: ci
  match: {{ from: ['ci@{CI}'] }}
  regex: {{ subject: '^(?<state>\\w+): (?<name>.+)$', text: '(?m)^At: (?<at>.+)$' }}
  fields:
    key: \"{key}\"
    status: \"{status}\"
{more}"
    )
}

/// A mail of now, with more fields.
fn mail(more: &str) -> Vec<u8> {
    let date = now().strftime("%a, %d %b %Y %T +0000");
    format!(
        "From: ci@{CI}\r\nTo: alerts@example.com\r\nSubject: FAILURE: shop\r\nDate: {date}\r\n\
         {more}Content-Type: text/plain; charset=utf-8\r\n\r\nHost: web1\r\nState: FAILURE\r\n\
         At: {}\r\n",
        now()
    )
    .into_bytes()
}

fn signed_over(mail: &[u8], fields: &str) -> Vec<u8> {
    let headers: Vec<&str> = fields.split(':').collect();
    signed(mail, CI, json!({ "headers": headers }))
}

const BODY: (&str, &str) = ("{{ pairs['Host'] }}", "{{ pairs['State'] }}");
/// What a signer covers by itself.
const USUAL: &str = "From:To:Subject:Date:Content-Type";

#[tokio::test]
async fn what_decides_must_be_signed_and_what_decorates_need_not() {
    let zone = zone_of_ci();
    let (host, state) = BODY;
    let time = "    time: \"{{ re.at | time('%Y-%m-%dT%H:%M:%SZ') }}\"\n";
    let with = |key: &str, status: &str, more: &str| profile(key, status, more);
    let matched = |matcher: &str| {
        let of_body = profile(host, state, "");
        of_body.replace(
            " }\n  regex",
            &format!(", matchers: ['{matcher}'] }}\n  regex"),
        )
    };
    let x = "header['x-ci']";
    let said = "does not cover";
    // The profile, the labels of routes, what is signed, and what is said: nothing where it passes.
    let cases = [
        (with(host, state, ""), "", USUAL, ""),
        (with(host, state, ""), "", "From:Date:Content-Type", ""),
        // The time is the Date's.
        (with(host, state, ""), "", "From:Content-Type", "Date"),
        (with(host, state, time), "", "From:Content-Type", ""),
        (
            with(host, state, "    time: \"{{ re.at | default('') }}\"\n"),
            "",
            "From:Content-Type",
            "Date",
        ),
        (
            with(host, state, "    time: \"{{ date }}\"\n"),
            "",
            "From:Content-Type",
            "Date",
        ),
        // Key and status.
        (
            with("{{ re.name }}", state, ""),
            "",
            "From:Date:Content-Type",
            "Subject",
        ),
        (
            with(host, "{{ re.state }}", ""),
            "",
            "From:Date:Content-Type",
            "Subject",
        ),
        (
            with(host, "{{ re['state'] }}", ""),
            "",
            "From:Date:Content-Type",
            "Subject",
        ),
        (
            with(host, "{{ subject }}", ""),
            "",
            "From:Date:Content-Type",
            "Subject",
        ),
        (
            with("{{ re.at }}", state, ""),
            "",
            "From:Date:Content-Type",
            "",
        ),
        (
            with("{{ to }}", state, ""),
            "",
            "From:Date:Content-Type",
            "To",
        ),
        (
            with(&format!("{{{{ {x} }}}}"), state, ""),
            "",
            USUAL,
            "x-ci",
        ),
        (
            with(&format!("{{{{ {x} }}}}"), state, ""),
            "",
            "From:X-CI:Date:Content-Type",
            "",
        ),
        (
            with(host, "{{ header[\\\"X-CI\\\"] }}", ""),
            "",
            USUAL,
            "X-CI",
        ),
        (
            with(host, "{{ header.subject }}", ""),
            "",
            "From:Date:Content-Type",
            "subject",
        ),
        (
            with(host, "{{ header.subject | upper }}", ""),
            "",
            USUAL,
            "",
        ),
        (
            with(host, "{% set h = header %}{{ h['x-ci'] }}", ""),
            "",
            USUAL,
            "by names that it",
        ),
        (
            with(host, "{{ header['x-' ~ 'ci'] }}", ""),
            "",
            USUAL,
            "by names that it",
        ),
        (
            with(host, "{{ pairs['header'] or 'FAILURE' }}", ""),
            "",
            USUAL,
            "",
        ),
        // Severity and labels lead to receivers; titles do where routes or severities go by them.
        (
            with(host, state, &format!("    severity: \"{{{{ {x} }}}}\"\n")),
            "",
            USUAL,
            "x-ci",
        ),
        (
            with(host, state, &format!("    team: \"{{{{ {x} }}}}\"\n")),
            "",
            USUAL,
            "x-ci",
        ),
        (
            with(host, state, &format!("    title: \"{{{{ {x} }}}}\"\n")),
            "",
            USUAL,
            "",
        ),
        (
            with(host, state, &format!("    title: \"{{{{ {x} }}}}\"\n")),
            "title",
            USUAL,
            "x-ci",
        ),
        (
            with(host, state, &format!("    summary: \"{{{{ {x} }}}}\"\n")),
            "title",
            USUAL,
            "",
        ),
        // A change of it is told.
        (
            with(
                host,
                state,
                &format!("    title: \"{{{{ {x} }}}}\"\n  notify_on_change: [title]\n"),
            ),
            "",
            USUAL,
            "x-ci",
        ),
        (
            with(
                host,
                state,
                &format!(
                    "    url: \"{{{{ {x} }}}}\"\n  severity: [{{ matchers: ['url=\"a\"'], severity: \
                     critical }}]\n"
                ),
            ),
            "",
            USUAL,
            "x-ci",
        ),
        // What it is matched by, whether it is there or not.
        (
            matched("subject=~\".*\""),
            "",
            "From:Date:Content-Type",
            "Subject",
        ),
        (matched("to=~\".*\""), "", "From:Date:Content-Type", "To"),
        (matched("list_id=\"\""), "", USUAL, "List-Id"),
        (
            matched("list_id=\"\""),
            "",
            "From:Date:Content-Type:List-ID",
            "",
        ),
        (matched("header_x_ci=\"a\""), "", USUAL, "x-ci"),
        (matched("header_x_ci!=\"b\""), "", USUAL, "x-ci"),
        (
            matched("header_x_ci=\"a\""),
            "",
            "From:Date:Content-Type:x-ci",
            "",
        ),
        (
            matched("header_x_none=\"\""),
            "",
            "From:Date:Content-Type:X-None",
            "",
        ),
    ];
    for (profile, routed, fields, field) in cases {
        let judge = judge_of(&zone.address, &profile, routed);
        let judged = judged(&judge, &signed_over(&mail("X-CI: a\r\n"), fields)).await;
        let case = format!("{profile}\nsigned {fields}: {judged:?}");
        let detail = judged.detail.unwrap_or_default();
        if field.is_empty() {
            assert_eq!(judged.verdict, Verdict::Pass, "{case}");
            continue;
        }
        assert_eq!(judged.verdict, Verdict::Fail, "{case}");
        let named = detail.contains(&format!("{said} {field},"));
        assert!(
            named || field.contains(' ') && detail.contains(field),
            "{case}"
        );
    }
}

#[tokio::test]
async fn what_is_put_beside_a_signed_field_is_not_proven() {
    let zone = zone_of_ci();
    let of_header = profile("{{ header['x-ci'] }}", "{{ re.state }}", "");
    let matched = profile(BODY.0, BODY.1, "").replace(
        " }\n  regex",
        ", matchers: ['header_x_ci=~\"a|z\"', 'subject=~\".*\"'] }\n  regex",
    );
    let covered = "From:To:Subject:Date:Content-Type:X-CI";
    for profile in [of_header, matched] {
        let judge = judge_of(&zone.address, &profile, "");
        for fields in [covered, &format!("{covered}:X-CI:Subject")] {
            let genuine = signed_over(&mail("X-CI: a\r\n"), fields);
            let verdict = judged(&judge, &genuine).await;
            assert_eq!(verdict.verdict, Verdict::Pass, "{profile} {verdict:?}");
            for added in [
                "X-CI: z\n",
                "x-ci: z\n",
                "X_CI: z\n",
                "X-CI : z\n",
                "X_CI\t: z\n",
                "Subject: FAILURE: mail\n",
                "Subject : FAILURE: mail\n",
            ] {
                for forged in [
                    below(added, &genuine),
                    altered(&genuine, "Date: ", &format!("{}\r\nDate: ", added.trim())),
                ] {
                    let judged = judged(&judge, &forged).await;
                    assert_ne!(judged.verdict, Verdict::Pass, "{fields} {added} {judged:?}");
                }
            }
            for (from, to) in [
                ("X-CI: a", "X-CI: z"),
                ("X-CI: a\r\n", ""),
                ("shop", "mail"),
            ] {
                let judged = judged(&judge, &altered(&genuine, from, to)).await;
                assert_ne!(judged.verdict, Verdict::Pass, "{from} {to} {judged:?}");
            }
        }
        // Two that are both signed are the sender's own.
        let two = mail("X-CI: a\r\nX-CI: b\r\n");
        let once = judged(&judge, &signed_over(&two, covered)).await;
        assert_eq!(once.verdict, Verdict::Fail, "{once:?}");
        let twice = signed_over(&two, &format!("{covered}:X-CI"));
        let twice = judged(&judge, &twice).await;
        assert_eq!(twice.verdict, Verdict::Pass, "{twice:?}");
    }
}

#[tokio::test]
async fn what_keeps_a_mail_from_the_profile_before_must_be_signed_too() {
    let zone = zone_of_ci();
    let (host, state) = BODY;
    let staging = profile(host, state, "")
        .replace("name: ci", "name: staging")
        .replace(
            " }\n  regex",
            ", matchers: ['header_x_env=\"staging\"'] }\n  regex",
        );
    let stranger = staging
        .replace("name: staging", "name: other")
        .replace("ci@", "other@");
    let rest = profile(host, state, "");
    let judge = judge_of(&zone.address, &format!("{staging}{rest}"), "");
    let genuine = signed_over(&mail(""), USUAL);
    assert_says(
        &judged(&judge, &genuine).await,
        Verdict::Fail,
        "does not cover x-env",
    );
    let own = signed_over(&mail(""), &format!("{USUAL}:X-Env"));
    assert_eq!(judged(&judge, &own).await.verdict, Verdict::Pass);
    let judge = judge_of(&zone.address, &format!("{stranger}{rest}"), "");
    assert_eq!(judged(&judge, &genuine).await.verdict, Verdict::Pass);
}

#[tokio::test]
async fn a_hosts_word_for_a_signature_says_no_more_than_the_signature() {
    let zone = zone_of_ci();
    let judge = judge_of(
        &zone.address,
        &profile("{{ re.name }}", "{{ header['x-ci'] }}", ""),
        "",
    );
    let through = async |mail: &[u8]| {
        let said = "Authentication-Results: mx.google.com; dkim=pass header.d=ci.example\n";
        let mail = recorded::gmail(said, &altered(mail, "alerts@", "others@"));
        judge.judge(&message("gmail", &mail)).await
    };
    let open = through(&signed_over(&mail("X-CI: a\r\n"), USUAL)).await;
    assert_says(
        &open,
        Verdict::Fail,
        "does not cover x-ci, which the profile reads",
    );
    let covered = signed_over(&mail("X-CI: a\r\n"), &format!("{USUAL}:X-CI"));
    assert_eq!(through(&covered).await.verdict, Verdict::Pass);
}

/// The body is signed, and how to read it is not: another reading would make another alert of it.
#[tokio::test]
async fn no_field_that_nobody_signed_gives_a_body_another_reading() {
    let zone = zone_of_ci();
    let judge = judge_of(&zone.address, &profile(BODY.0, BODY.1, ""), "");
    let by_header = judge_of(
        &zone.address,
        &profile("{{ re.name }}", "{{ re.state }}", ""),
        "",
    );
    let plain = "Content-Type: text/plain; charset=utf-8\r\n";
    let untyped = altered(&mail(""), plain, "");
    let usual = signed_over(&mail(""), USUAL);
    let open = signed_over(&mail(""), "From:To:Subject:Date");
    let bare = signed_over(&untyped, "From:To:Subject:Date");
    for genuine in [&usual, &open, &bare] {
        let judged = judged(&judge, genuine).await;
        assert_eq!(judged.verdict, Verdict::Pass, "{judged:?}");
    }

    let mut forged = Vec::new();
    for disposition in [
        "inline; filename=\"x\"",
        "inline; filename=x.json; size=1",
        "attachment",
    ] {
        let field = format!("Content-Disposition: {disposition}\n");
        forged.extend([&usual, &open, &bare].map(|mail| below(&field, mail)));
    }
    for parameters in [
        "utf-16",
        "utf-16le",
        "hz-gb-2312",
        "utf-7",
        "iso-2022-jp",
        "utf-8; name=\"evil.json\"",
    ] {
        let field = format!("Content-Type: text/plain; charset={parameters}\r\n");
        forged.push(altered(&open, plain, &field));
        forged.push(below(&field.replace('\r', ""), &bare));
    }
    for mail in &forged {
        let judged = judged(&judge, mail).await;
        let text = String::from_utf8_lossy(mail);
        assert_eq!(judged.verdict, Verdict::Fail, "{text}\n{judged:?}");
    }
    // Whoever reads the header alone does not mind.
    let named = below("Content-Disposition: inline; filename=x\n", &usual);
    assert_eq!(judged(&by_header, &named).await.verdict, Verdict::Pass);

    // Lines that a mailer may have broken are joined or not.
    for line in ["Host: web1 \r\n", "Host: web1\r\n more\r\n"] {
        let flowing = altered(&mail(""), "Host: web1\r\n", line);
        let signed = signed_over(&flowing, USUAL);
        assert_eq!(
            judged(&judge, &signed).await.verdict,
            Verdict::Pass,
            "{line}"
        );
        let open = signed_over(&flowing, "From:To:Subject:Date");
        let fixed = judged(&judge, &open).await;
        assert_says(&fixed, Verdict::Fail, "format=flowed");
    }
}

/// An earlier profile that anybody's mail may be of has looked at the mail too.
#[tokio::test]
async fn what_kept_another_profile_from_taking_a_mail_must_be_signed() {
    let zone = zone_of_ci();
    let earlier = |of: &str| {
        profile(BODY.0, BODY.1, "")
            .replace("name: ci", "name: earlier")
            .replace(
                &format!("from: ['ci@{CI}']"),
                &format!("{of}matchers: ['header_x_kind=\"test\"']"),
            )
    };
    let genuine = signed_over(&mail(""), USUAL);
    let oversigned = signed_over(&mail(""), &format!("{USUAL}:X-Kind"));
    for (of, verdict) in [
        ("", Verdict::Fail),
        (&format!("from: ['ci@{CI}'], ") as &str, Verdict::Fail),
        ("from: ['other@example.com'], ", Verdict::Pass),
    ] {
        let profiles = format!("{}{}", earlier(of), profile(BODY.0, BODY.1, ""));
        let judge = judge_of(&zone.address, &profiles, "");
        let judged_open = judged(&judge, &genuine).await;
        assert_eq!(judged_open.verdict, verdict, "{of}: {judged_open:?}");
        let judged = judged(&judge, &oversigned).await;
        assert_eq!(judged.verdict, Verdict::Pass, "{of}: {judged:?}");
    }
}
