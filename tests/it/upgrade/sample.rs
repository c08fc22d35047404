//! What the samples hold: the configuration and the mails that every version got.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// The versions of the schema that were in use, each with its sample.
pub const VERSIONS: [u32; 11] = [1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13];

/// When the samples were made, by the clock of the bridge that made them: the mute and the silence
/// hold.
pub fn then() -> Timestamp {
    "2026-01-05T12:00:00Z".parse().unwrap()
}

/// When they are taken up again: both are over.
pub fn later() -> Timestamp {
    then() + SignedDuration::from_hours(2)
}

/// Where pages go. What is refused and what is not answered differs between then and now.
pub struct Pager {
    pub url: String,
    pub key: String,
    pub refused_key: String,
    pub down_url: String,
}

/// The configuration of a version, over a store.
pub fn config(version: u32, store: &str, pager: &Pager) -> String {
    let Pager {
        url,
        key,
        refused_key,
        down_url,
    } = pager;
    let profiles = if version >= 9 { PROFILES } else { "" };
    format!(
        "
global: {{ max_age: 0s }}
store: {{ url: '{store}' }}
admin: {{ listen: '127.0.0.1:0' }}
ingress:
  http: {{ listen: '127.0.0.1:0' }}
  webhook: [{{ name: http }}]
  smtp:
    - name: smtp
      listen: '127.0.0.1:0'
      recipients: ['alerts@example.com']
      trusted_authserv_id: mx.example.com
alerts:
  authenticity: {{ require: [authentication_results] }}
time_intervals:
  - {{ name: noon, time_intervals: [{{ times: [{{ start_time: '11:00', end_time: '13:00' }}] }}] }}
route:
  receiver: oncall
  routes:
    - {{ receiver: refused, matchers: ['app_key=\"com.example.refused\"'] }}
    - {{ receiver: down, matchers: ['app_key=\"com.example.down\"'] }}
    - {{ receiver: oncall, matchers: ['app_key=\"com.example.muted\"'], mute_time_intervals: [noon] }}
receivers:
  - {{ name: oncall, pagerduty_configs: [{{ url: '{url}', routing_key: {key} }}] }}
  - {{ name: refused, pagerduty_configs: [{{ url: '{url}', routing_key: {refused_key} }}] }}
  - {{ name: down, pagerduty_configs: [{{ url: '{down_url}', routing_key: {key} }}] }}
{profiles}"
    )
}

const PROFILES: &str = r"
profiles:
  - name: disks
    match: { from: [disks@example.net] }
    authenticity: { require: [] }
    each: { text: '(?m)^(?<disk>\w+) is (?<state>\w+)$' }
    fields: { key: '{{ item.disk }}', status: '{{ item.state }}' }
    status: { trigger: [BROKEN], resolve: [WHOLE] }
  - name: backup
    match: { from: [backup@example.net] }
    authenticity: { require: [] }
    fields: { key: nightly, status: '{{ subject }}' }
    status: { trigger: [FAILED], resolve: [DONE] }
    expect: { every: 30d, grace: 2h, key: nightly }
";

/// Whether the mailbox's host says that the sender is who it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    Proven,
    Unproven,
}

/// An alert of Atlassian's, so many minutes after the sample was begun.
pub fn alert(sender: Sender, incident: &str, app: &str, status: &str, minute: i64) -> Vec<u8> {
    let time = then() + SignedDuration::from_mins(minute);
    let recorded = match sender {
        Sender::Proven => {
            "Authentication-Results: mx.example.com;\r\n dkim=pass header.d=am.atlassian.com\r\n"
        }
        Sender::Unproven => "",
    };
    let json = format!(
        r#"{{"appKey":"{app}","incidentId":"{incident}","incidentStatus":"{status}","metricName":"Jira App Availability","time":"{time:.0}"}}"#
    );
    letter(
        recorded,
        "no-reply@am.atlassian.com",
        "Cloud Fortified",
        time,
        "html",
        &format!("<script type=\"application/json\" id=\"incident-data\">{json}</script>"),
    )
}

/// A mail of any sender.
pub fn letter(
    recorded: &str,
    from: &str,
    subject: &str,
    date: Timestamp,
    kind: &str,
    text: &str,
) -> Vec<u8> {
    let date = jiff::fmt::rfc2822::to_string(&date.to_zoned(TimeZone::UTC)).unwrap();
    format!(
        "{recorded}From: {from}\r\nTo: alerts@example.com\r\nSubject: {subject}\r\nDate: {date}\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/{kind}; charset=utf-8\r\n\r\n{text}\r\n"
    )
    .into_bytes()
}
