//! Tests that profiles that could work with no mail are refused.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_no_mail_could_make_work_is_refused_with_its_line_key_and_mend() {
    let rest = "  match: { from: [a@b.c] }\n";
    let fields = "  fields: { key: k, status: s }\n";
    for (profile, key, what) in [
        (
            "  fields: { key: k, status: s }\n".to_owned(),
            "match",
            "would take every mail",
        ),
        (
            format!("{rest}  fields: {{ key: k }}\n"),
            "fields",
            "`status` is missing",
        ),
        (
            format!("{rest}  fields: {{ key: k, status: s, metric: x }}\n"),
            "fields.metric",
            "gives itself",
        ),
        (
            format!("{rest}  fields: {{ key: k, status: s, 'a-b': x }}\n"),
            "fields.a-b",
            "name of a label",
        ),
        (
            format!("{rest}  fields: {{ key: '{{{{ re.x }}}}', status: s }}\n"),
            "fields.key",
            "`re.x`",
        ),
        (
            format!("{rest}  fields: {{ key: '{{{{ pears.x }}}}', status: s }}\n"),
            "fields.key",
            "`pears.x`",
        ),
        (
            format!("{rest}  fields: {{ key: '{{{{ json.x }}}}', status: s }}\n"),
            "fields.key",
            "where the JSON is",
        ),
        (
            format!("{rest}  fields: {{ key: '{{{{ item.x }}}}', status: s }}\n"),
            "fields.key",
            "what an item is",
        ),
        (
            format!("{rest}  fields: {{ key: '{{{{ subject', status: s }}\n"),
            "fields.key",
            "cannot be read",
        ),
        (
            format!("{rest}  fields: {{ key: '{{{{ subject | upcase }}}}', status: s }}\n"),
            "fields.key",
            "upcase",
        ),
        (
            format!(
                "{rest}  fields: {{ key: \"{{{{ subject | regex_replace('(', '') }}}}\", status: s \
                 }}\n"
            ),
            "fields.key",
            "valid regular expression",
        ),
        (
            format!(
                "{rest}  fields: {{ key: k, status: s, time: \"{{{{ date | time('%é') }}}}\" }}\n"
            ),
            "fields.time",
            "not a valid time format",
        ),
        (
            format!("{rest}  regex: {{ subject: '(?=x)' }}\n{fields}"),
            "regex.subject",
            "look-around",
        ),
        (
            format!("{rest}  each: {{ json: /a }}\n{fields}"),
            "each.json",
            "where its JSON is",
        ),
        (
            format!("{rest}  each: {{ text: 'x*' }}\n{fields}"),
            "each.text",
            "the empty text",
        ),
        (
            format!("{rest}  each: {{ section: 'x' }}\n{fields}"),
            "each",
            "either",
        ),
        (
            format!(
                "{rest}  each: {{ text: '(?<a>x)' }}\n  fields: {{ key: k, status: '{{{{ \
                 item.section.state }}}}' }}\n"
            ),
            "fields.status",
            "name the group in `each.section`",
        ),
        (
            format!(
                "{rest}  each: {{ text: '(?<a>x)', section: '(?<b>y)' }}\n  fields: {{ key: k, \
                 status: '{{{{ item.section.c }}}}' }}\n"
            ),
            "fields.status",
            "`item.section.c`",
        ),
        (
            format!("{rest}  json: {{ }}\n{fields}"),
            "json",
            "one place",
        ),
        (
            format!("{rest}  json: {{ element: '##' }}\n{fields}"),
            "json.element",
            "finds no element",
        ),
        (
            format!("{rest}{fields}  status: {{ resolve: ['['] }}\n"),
            "status.resolve[0]",
            "not a valid regular expression",
        ),
        (
            format!("{rest}{fields}  severity: [{{ matchers: ['x'], severity: y }}]\n"),
            "severity[0].matchers[0]",
            "not a valid matcher",
        ),
        (
            format!("  match: {{ from: [a] }}\n{fields}"),
            "match.from[0]",
            "neither a mail address",
        ),
        (
            format!("  match: {{ from: ['*@example.com'] }}\n{fields}"),
            "match.from[0]",
            "`@example.com` for every address",
        ),
        (
            format!("  match: {{ matchers: ['body=x'] }}\n{fields}"),
            "match.matchers",
            "`body`",
        ),
        (
            format!("  match: {{ matchers: ['header_X-Job=x'] }}\n{fields}"),
            "match.matchers",
            "`header_X-Job`",
        ),
        (
            format!("{rest}{fields}  use: nothing\n"),
            "use",
            "no starter `nothing`",
        ),
        (
            format!("{rest}{fields}  resolve_after: 0s\n"),
            "resolve_after",
            "out of range",
        ),
        (
            format!("{rest}{fields}  statuses: x\n"),
            "statuses",
            "did you mean `status`?",
        ),
        (
            format!("{rest}{fields}  authenticity: {{ domain: com }}\n"),
            "authenticity.domain",
            "is not a domain",
        ),
    ] {
        let said = refused(&profile);
        assert!(
            said.contains(&format!("profiles[0].{key}: ")),
            "{profile}\n{said}"
        );
        assert!(said.contains(what), "{profile}\n{said}");
    }
    assert!(
        compiled(
            "profiles:\n- name: a_b\n  match: { from: [a@b.c] }\n  fields: { key: k, status: s }\n"
        )
        .unwrap_err()
        .contains("not a valid profile name")
    );
}

#[test]
fn a_field_of_a_starter_that_is_written_empty_is_dropped() {
    let profile =
        only("  use: nagios\n  match: { from: [a@b.c] }\n  fields: { severity: ~, summary: }\n");
    let names: Vec<_> = profile.settings().fields.keys().collect();
    assert_eq!(names, ["key", "status", "title", "host", "service"]);

    let said = refused("  use: nagios\n  match: { from: [a@b.c] }\n  fields: { rack: ~ }\n");
    assert!(
        said.contains("profiles[0].fields.rack: found nothing"),
        "{said}"
    );
    let said = refused("  use: nagios\n  match: { from: [a@b.c] }\n  fields: { key: ~ }\n");
    assert!(said.contains("the field `key` is missing"), "{said}");
}
