//! One incident: what broke, who was told and whether it reached them, whether it is still on, and
//! how to stop it.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, State},
    response::Response,
    routing::get,
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{
    Answer, address,
    chart::{self, Chart},
    confirm::Question,
    done,
    frame::View,
    incident_at,
    incidents::{doubt, whose},
    mail::Body,
    vendor,
    when::{When, span},
    words::{self, Fact, Label, Severity, label, labels, measured, quantity},
};
use crate::{
    delivery::DeliveryState,
    label::Labels,
    message::{Outcome, hidden::is_hidden},
    store::{DeliveryRow, Event, MailRow},
    web::{
        Admin,
        ask::Path,
        form::Fields,
        problem::Problem,
        views::{
            deliveries,
            incidents::{self, IncidentState, Story},
        },
        who::Who,
        workbench::Reach,
    },
};

mod moment;

use moment::Moment;

/// So much of a story is shown, the newest of it.
const MOMENTS: usize = 300;

pub fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/incidents/{id}", get(page))
        .route("/incidents/{id}/resolve", get(ask_resolve).post(resolve))
        .route("/incidents/{id}/again", get(ask_again).post(again))
}

#[derive(Serialize)]
struct Data {
    incident: Shown,
}

#[derive(Serialize)]
struct Shown {
    title: String,
    announce: String,
    href: String,
    severity: Severity,
    open: bool,
    age: String,
    doubt: Option<&'static str>,
    facts: Vec<Fact>,
    silence_href: String,
    /// Whether something did not arrive that can be sent again.
    again: bool,
    told: Vec<Told>,
    nobody: Option<String>,
    chart: Option<Drawing>,
    timeline: Vec<Moment>,
    earlier: usize,
    routes: Vec<Route>,
    rules_href: String,
    mail: Option<Body>,
    labels: Vec<Label>,
}

#[derive(Serialize)]
struct Told {
    kind: &'static str,
    words: String,
    detail: String,
    at: Option<When>,
    vendor: Option<&'static str>,
    href: Option<String>,
}

#[derive(Serialize)]
struct Drawing {
    #[serde(flatten)]
    chart: Chart,
    words: String,
    from: When,
    to: When,
}

/// A route that its labels lead along.
#[derive(Serialize)]
struct Route {
    receiver: String,
    path: String,
    matchers: Vec<String>,
    mute: Option<String>,
}

async fn page(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let fields = Fields::from_query(&query.unwrap_or_default());
    let story = incidents::show(&admin, &id).await?;
    let incident = Shown::of(&admin, story).await?;
    View::new(&admin, &who, "Incidents", &fields)
        .page("incident.html", Data { incident })
        .await
}

impl Shown {
    async fn of(admin: &Admin, story: Story) -> Result<Self, Problem> {
        let now = admin.clock.now();
        let Story { incident, timeline } = story;
        let (row, its) = (&incident.row, &incident.row.labels);
        let open = incident.state == IncidentState::Open;
        let deliveries = || timeline.iter().filter_map(as_delivery);
        let mails: Vec<_> = timeline.iter().filter_map(as_mail).collect();

        let told = incident.told.iter().map(|one| {
            let row = deliveries().find(|delivery| delivery.id == one.delivery);
            Told::new(one, row, deliveries(), now)
        });
        let told: Vec<_> = told.collect();

        let newest = mails.iter().map(|mail| mail.id).max();
        let mail = match newest {
            Some(id) => Body::of(admin, id).await?,
            None => None,
        };
        let moments = moment::all(admin, &timeline, now).await?;
        let earlier = moments.len().saturating_sub(MOMENTS);
        let age = span(now.duration_since(row.opened_at));

        Ok(Self {
            announce: if open {
                format!("{}: open for {age}", incident.title)
            } else {
                format!("{}: over", incident.title)
            },
            title: incident.title.clone(),
            href: incident_at(&row.incident_id),
            severity: Severity::new(&incident.severity),
            open,
            doubt: doubt(its),
            facts: facts(&incident, now),
            silence_href: address("/silences/new", &[("matchers", &looks_like(its))]),
            again: deliveries().any(|delivery| delivery.state == DeliveryState::Dead),
            nobody: mails
                .iter()
                .max_by_key(|mail| mail.id)
                .and_then(|mail| mail.reason.clone()),
            told,
            chart: drawing(&mails, its, (!open).then_some(row.changed_at), now),
            timeline: moments.into_iter().take(MOMENTS).collect(),
            earlier,
            routes: routes(admin, its, now),
            rules_href: address("/rules", &[("labels", &as_lines(its))]),
            mail,
            labels: labels(its),
            age,
        })
    }
}

fn facts(incident: &incidents::Incident, now: Timestamp) -> Vec<Fact> {
    let (row, its) = (&incident.row, &incident.row.labels);
    let open = incident.state == IncidentState::Open;
    let window = label(its, "window_seconds").and_then(|seconds| seconds.parse::<i64>().ok());
    let window =
        window.map(|seconds| format!(", over {}", span(jiff::SignedDuration::from_secs(seconds))));
    let when = |at| When::new(at, now);

    let mut facts = Vec::new();
    facts.extend(whose(its).map(|whose| Fact::new("Whose", whose)));
    facts.extend(
        measured(its).map(|said| Fact::new("Measured", said + &window.unwrap_or_default())),
    );
    facts.extend(label(its, "summary").map(|said| Fact::new("Summary", said)));
    facts.push(Fact::time("Opened", when(row.opened_at)));
    if !open {
        facts.push(Fact::time("Over", when(row.changed_at)));
        let length = row.changed_at.duration_since(row.opened_at);
        facts.push(Fact::new("Lasted", span(length)));
    }
    facts.push(Fact::new("Status", &row.status));
    facts.extend(words::recurrence(its).map(|said| Fact::new("Recurrence", said)));
    if let Some(url) = label(its, "url").filter(|url| is_web(url)) {
        facts.push(Fact::link("Its page", url, url));
    }
    if !incident.profile.is_empty() {
        facts.push(Fact::new("Profile", &incident.profile));
    }
    facts.push(Fact::new("Number", &row.incident_id));

    facts
}

/// Whether an address that a mail gave is one of the web, and no code.
fn is_web(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

impl Told {
    fn new<'a>(
        told: &incidents::Told,
        row: Option<&DeliveryRow>,
        all: impl Iterator<Item = &'a DeliveryRow>,
        now: Timestamp,
    ) -> Self {
        let (kind, words) = words::delivery(told.state, told.action, &told.receiver, told.failures);
        let by = words::integration(&told.integration);
        let delivered = told.state == DeliveryState::Delivered;
        let when = row.and_then(|row| {
            if delivered {
                row.settled_at
            } else {
                row.next_at
            }
        });

        // The alert is what the trigger made, whatever was told of it since.
        let its_lane = |row: &&DeliveryRow| {
            row.receiver == told.receiver
                && row.integration == told.integration
                && row.state == DeliveryState::Delivered
        };
        let receipts = all.filter(its_lane).filter_map(|row| row.detail.as_deref());
        let link = receipts
            .filter_map(|receipt| vendor::link(&told.integration, receipt))
            .last();
        let detail = match (&told.detail, delivered) {
            (Some(receipt), true) => format!("{by}, which calls it {receipt}"),
            (Some(failure), false) => format!("{by}: {failure}"),
            (None, _) => by,
        };

        Self {
            kind,
            words,
            detail,
            at: when.map(|at| When::new(at, now)),
            vendor: link.as_ref().map(|(name, _)| *name),
            href: link.map(|(_, href)| href),
        }
    }
}

/// What was measured, by the mails that were applied.
fn drawing(
    mails: &[&MailRow],
    its: &Labels,
    over: Option<Timestamp>,
    now: Timestamp,
) -> Option<Drawing> {
    let value = |mail: &&&MailRow| {
        let value = label(&mail.labels, "sli_value")?.parse::<f64>().ok()?;
        let says_so = !matches!(
            mail.outcome,
            Outcome::Quarantined | Outcome::Stale | Outcome::Pending
        );
        says_so.then_some((mail.arrived_at, value))
    };
    let mut values: Vec<_> = mails.iter().filter_map(|mail| value(&mail)).collect();
    values.sort_by_key(|(at, _)| *at);
    let &(begin, first) = values.first()?;
    let &(_, last) = values.last()?;

    let unit = label(its, "unit").unwrap_or_default();
    let objective = label(its, "slo_value").and_then(|value| value.parse::<f64>().ok());
    let end = chart::end(begin, over, now);
    let said = |value: f64| quantity(&value.to_string(), unit);
    let was = match values.len() {
        1 => said(first),
        number => format!(
            "{} at first, {} at last, by {number} mails",
            said(first),
            said(last)
        ),
    };
    let against = objective.map_or_else(String::new, |value| {
        format!("; the objective is {}", said(value))
    });

    Some(Drawing {
        chart: Chart::new(&values, objective, end)?,
        words: format!("Measured: {was}{against}"),
        from: When::new(begin, now),
        to: When::new(end, now),
    })
}

/// Which routes its labels lead along now, and why.
fn routes(admin: &Admin, its: &Labels, now: Timestamp) -> Vec<Route> {
    let tree = admin.workbench.routes();
    let Reach {
        receivers,
        routes,
        muted,
    } = admin.workbench.reach(its, Some(now));
    let told = receivers
        .into_iter()
        .zip(routes)
        .map(|(receiver, path)| (receiver, path, None));
    let muted = muted.into_iter().map(|one| {
        let until = one
            .until
            .map(|until| format!("until {}", super::when::clock(until, now)));
        let until = until.unwrap_or_else(|| "and dropped".to_owned());
        let mute = format!("muted {until} ({})", one.intervals.join(", "));
        (one.receiver, one.route, Some(mute))
    });

    told.chain(muted)
        .map(|(receiver, path, mute)| Route {
            matchers: matchers(&tree, &path),
            receiver,
            path,
            mute,
        })
        .collect()
}

/// Everything that had to hold on the way to a route.
fn matchers(tree: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut ahead = vec![tree];
    while let Some(route) = ahead.pop() {
        let here = route["path"].as_str().unwrap_or_default();
        if path == here || path.starts_with(&format!("{here}.")) {
            let own = route["matchers"].as_array().into_iter().flatten();
            found.extend(own.filter_map(|one| one.as_str().map(ToOwned::to_owned)));
            ahead.extend(route["routes"].as_array().into_iter().flatten());
        }
    }
    found
}

/// Matchers for what looks like it: the same app and metric, or the same of whatever it has.
fn looks_like(its: &Labels) -> String {
    let by = |names: &[&str]| {
        let pairs = names
            .iter()
            .filter_map(|name| Some((*name, label(its, name)?)));
        pairs
            .map(|(name, value)| matcher(name, value))
            .collect::<Vec<_>>()
    };
    let kind = label(its, "kind").filter(|kind| !matches!(*kind, "incident" | "unparsed"));

    let mut lines = by(&["app_key", "metric"]);
    if lines.is_empty() {
        lines = by(&["profile", "title"]);
    }
    if lines.is_empty() {
        lines = by(&["incident_id"]);
    }
    lines.extend(kind.map(|kind| matcher("kind", kind)));
    lines.join("\n")
}

/// A matcher of this value. What is not seen in it cannot be written into a field, and any
/// character stands for it.
fn matcher(name: &str, value: &str) -> String {
    if !value.contains(is_hidden) {
        return format!("{name}={}", quoted(value));
    }

    let pattern: String = value
        .chars()
        .map(|c| match c {
            _ if is_hidden(c) => "(?s:.)".to_owned(),
            _ => regex::escape(c.encode_utf8(&mut [0; 4])),
        })
        .collect();
    format!("{name}=~{}", quoted(&pattern))
}

/// As a matcher's value is written.
fn quoted(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", value.replace('\n', "\\n"))
}

fn as_lines(its: &Labels) -> String {
    let said = its.iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| format!("{name}={}", quoted(value)))
        .collect::<Vec<_>>()
        .join("\n")
}

fn as_delivery(event: &Event) -> Option<&DeliveryRow> {
    match event {
        Event::Delivery(delivery) => Some(delivery),
        _ => None,
    }
}

fn as_mail(event: &Event) -> Option<&MailRow> {
    match event {
        Event::Mail(mail) => Some(mail),
        _ => None,
    }
}

async fn ask_resolve(State(admin): State<Arc<Admin>>, who: Who, Path(id): Path<String>) -> Answer {
    let story = incidents::show(&admin, &id).await?;
    let told: Vec<_> = story
        .incident
        .told
        .iter()
        .map(|one| one.receiver.as_str())
        .collect();
    let follows = if told.is_empty() {
        "Nobody was told of it, and nobody is told of its end.".to_owned()
    } else {
        format!(
            "{} hear that it is over, and that {} said so.",
            told.join(", "),
            who.name
        )
    };
    Question {
        title: format!("Resolve {} by hand?", story.incident.title),
        lines: vec![
            "It is closed without a mail that says so. A mail that reports it later opens it \
             again."
                .to_owned(),
            follows,
        ],
        action: format!("{}/resolve", incident_at(&id)),
        button: "Resolve it",
        back: incident_at(&id),
        ..Question::default()
    }
    .ask(&View::new(&admin, &who, "Incidents", &Fields::default()))
    .await
}

async fn resolve(State(admin): State<Arc<Admin>>, who: Who, Path(id): Path<String>) -> Answer {
    incidents::resolve(&admin, &who, &id).await?;
    Ok(done(&incident_at(&id), "resolved"))
}

async fn ask_again(State(admin): State<Arc<Admin>>, who: Who, Path(id): Path<String>) -> Answer {
    let story = incidents::show(&admin, &id).await?;
    let lines = dead(&story).map(|one| {
        let why = one.detail.as_deref().unwrap_or_default();
        format!(
            "{} to {} ({}): {why}",
            one.action.as_str(),
            one.receiver,
            words::integration(&one.integration)
        )
    });
    Question {
        title: format!(
            "Send again what did not arrive of {}?",
            story.incident.title
        ),
        lines: lines.collect(),
        action: format!("{}/again", incident_at(&id)),
        button: "Send again",
        back: incident_at(&id),
        ..Question::default()
    }
    .ask(&View::new(&admin, &who, "Incidents", &Fields::default()))
    .await
}

async fn again(
    State(admin): State<Arc<Admin>>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let story = incidents::show(&admin, &id).await?;
    let dead: Vec<_> = dead(&story).map(|one| one.id).collect();
    let word = if dead.is_empty() { "nothing" } else { "again" };
    for delivery in dead {
        deliveries::retry(&admin, &who, delivery).await?;
    }
    Ok(done(&incident_at(&id), word))
}

fn dead(story: &Story) -> impl Iterator<Item = &DeliveryRow> {
    let deliveries = story.timeline.iter().filter_map(as_delivery);
    deliveries.filter(|delivery| delivery.state == DeliveryState::Dead)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_looks_like_it_is_silenced_by_matchers_that_can_be_read() {
        let labels: Labels = [
            ("app_key", "a\"b\\c.d"),
            ("metric", "(Load)\n\u{202e}[x]\\"),
            ("severity", "critical"),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), value.to_owned()))
        .collect();
        let lines = looks_like(&labels);
        let read: Vec<_> = lines
            .lines()
            .map(|line| crate::label::Matcher::parse(line).unwrap())
            .collect();
        assert_eq!(read.len(), 2);
        assert!(read.iter().all(|matcher| matcher.holds(&labels)));
    }

    #[test]
    fn the_way_to_a_route_is_all_that_had_to_hold() {
        let tree = json!({
            "path": "route", "matchers": [], "routes": [
                { "path": "route.routes[0]", "matchers": ["a=\"1\""], "routes": [
                    { "path": "route.routes[0].routes[1]", "matchers": ["b=\"2\""],
                      "routes": [] }] },
                { "path": "route.routes[1]", "matchers": ["c=\"3\""], "routes": [] },
                { "path": "route.routes[10]", "matchers": ["d=\"4\""], "routes": [] }]
        });
        assert_eq!(
            matchers(&tree, "route.routes[0].routes[1]"),
            ["a=\"1\"", "b=\"2\""]
        );
        assert_eq!(matchers(&tree, "route.routes[10]"), ["d=\"4\""]);
        assert!(matchers(&tree, "route").is_empty());
    }

    #[test]
    fn code_is_no_address() {
        assert!(is_web("https://example.com/x"));
        assert!(!is_web("javascript:alert(1)") && !is_web("data:text/html,x") && !is_web("x"));
    }
}
