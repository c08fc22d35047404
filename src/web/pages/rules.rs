//! Rules: the routes in force, who is told of what, and what other rules would have done.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, State},
    http::header,
    response::IntoResponse as _,
    routing::get,
};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::{
    Answer,
    frame::View,
    when::{When, clock, is_endless},
    words::Label,
};
use crate::{
    label::{Labels, Matcher, Operator},
    web::{
        Admin,
        form::{Fields, Posted},
        problem::Problem,
        views::{mails, named::no_label},
        who::Who,
        workbench::{Options, Reach},
    },
};

mod differ;
mod explained;
mod tree;

use differ::Diff;
use explained::Explained;
use tree::Node;

pub fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/rules", get(page))
        .route("/rules/explain", get(page).post(explain))
        .route("/rules/replay", get(page).post(replay))
}

#[derive(Serialize)]
struct Data {
    rules: Rules,
}

#[derive(Serialize)]
struct Rules {
    tree: Node,
    names: Vec<String>,
    labels: String,
    at: String,
    error: Option<String>,
    reached: Option<Vec<Reached>>,
    remarks: Vec<String>,
    mail: String,
    trust: bool,
    explained: Option<Explained>,
    config: String,
    days: u16,
    diff: Option<Diff>,
}

/// A receiver that labels lead to.
#[derive(Serialize)]
struct Reached {
    receiver: String,
    path: String,
    mute: Option<String>,
}

impl Rules {
    fn new(admin: &Admin) -> Self {
        Self {
            tree: Node::of(&admin.workbench.routes(), &[]),
            names: admin.workbench.label_names(),
            labels: String::new(),
            at: String::new(),
            error: None,
            reached: None,
            remarks: Vec::new(),
            mail: String::new(),
            trust: false,
            explained: None,
            config: String::new(),
            days: 7,
            diff: None,
        }
    }

    /// Shows where labels lead.
    fn lead(&mut self, admin: &Admin, labels: &Labels, at: Option<Timestamp>) {
        let names = labels.keys().map(|name| &**name);
        self.remarks = names
            .filter_map(|name| no_label(name, &self.names))
            .collect();
        let now = admin.clock.now();
        let reach = admin.workbench.reach(labels, Some(at.unwrap_or(now)));
        let paths: Vec<_> = reach
            .routes
            .iter()
            .chain(reach.muted.iter().map(|one| &one.route))
            .collect();
        self.tree = Node::of(&admin.workbench.routes(), &paths);
        self.reached = Some(reached(reach, at.unwrap_or(now), now));
    }
}

fn reached(reach: Reach, at: Timestamp, now: Timestamp) -> Vec<Reached> {
    let Reach {
        receivers,
        routes,
        muted,
    } = reach;
    let told = receivers
        .into_iter()
        .zip(routes)
        .map(|(receiver, path)| Reached {
            receiver,
            path,
            mute: None,
        });
    let muted = muted.into_iter().map(|one| {
        let by = one.intervals.join(", ");
        Reached {
            mute: Some(match one.until {
                Some(until) if is_endless(until, at) => format!("held as long as {by} lasts"),
                Some(until) => format!("held until {} by {by}", clock(until, now)),
                None => format!("dropped by {by}"),
            }),
            receiver: one.receiver,
            path: one.route,
        }
    });
    told.chain(muted).collect()
}

async fn page(State(admin): State<Arc<Admin>>, who: Who, RawQuery(query): RawQuery) -> Answer {
    let query = query.unwrap_or_default();
    let fields = Fields::from_query(&query);
    fields.only(&["labels", "at", "mail", "trust"])?;
    // An empty set of labels leads somewhere too: a field that was sent empty asks for that.
    let mut asked = url::form_urlencoded::parse(query.as_bytes());
    let is_asked = asked.any(|(name, _)| matches!(&*name, "labels" | "at"));
    let mut rules = Rules::new(&admin);
    rules.labels = fields.text("labels");
    rules.at = fields.text("at");

    let at = fields.time("at", admin.clock.now());
    if is_asked {
        match read(&rules.labels).and_then(|labels| Ok((labels, at?))) {
            Ok((labels, at)) => rules.lead(&admin, &labels, at),
            Err(problem) => rules.error = Some(problem.detail),
        }
    }

    if let Some(id) = fields.number("mail")? {
        let raw = mails::raw(&admin, id).await?;
        rules.take(&admin, raw, fields.get("trust").is_some()).await;
    }

    View::new(&admin, &who, "Rules", &fields)
        .page("rules.html", Data { rules })
        .await
}

/// Parses lines of `name=value`, in the notation of matchers.
fn read(lines: &str) -> Result<Labels, Problem> {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| match Matcher::parse(line) {
            Ok(matcher) if matcher.operator() == Operator::Equal => {
                Ok((matcher.name().to_owned().into(), matcher.value().to_owned()))
            }
            _ => Err(Problem::unprocessable(format!(
                "`{line}` is not a valid label: write it like severity=critical"
            ))),
        })
        .collect()
}

impl Rules {
    /// Walks a mail through every stage.
    async fn take(&mut self, admin: &Admin, raw: Bytes, trust: bool) {
        self.trust = trust;
        self.mail = String::from_utf8_lossy(&raw).into_owned();
        let options = Options {
            trust,
            ..Options::default()
        };
        let now = admin.clock.now();
        let at = When::new(options.arrival(&raw, now), now);
        match admin.workbench.explain(raw, options).await {
            Ok(items) => {
                if let [one] = items.as_slice() {
                    self.lead(admin, &labels_of(one), None);
                }
                self.explained = Some(Explained::new(&items, at));
            }
            Err(problem) => self.error = Some(problem.detail),
        }
    }
}

fn labels_of(item: &Value) -> Labels {
    let labels = item["labels"].as_object().into_iter().flatten();
    labels
        .filter_map(|(name, value)| Some((name.clone().into(), value.as_str()?.to_owned())))
        .collect()
}

async fn explain(State(admin): State<Arc<Admin>>, who: Who, posted: Posted) -> Answer {
    let mut rules = Rules::new(&admin);
    match posted.content("file", "mail") {
        Some(raw) => {
            rules
                .take(&admin, raw, posted.fields.get("trust").is_some())
                .await;
        }
        None => {
            rules.error = Some("No mail is given: choose a file, or paste its source.".to_owned());
        }
    }
    let view = View::new(&admin, &who, "Rules", &posted.fields);
    view.page("rules.html", Data { rules }).await
}

async fn replay(State(admin): State<Arc<Admin>>, who: Who, posted: Posted) -> Answer {
    let config = posted.content("file", "config").unwrap_or_default();
    let config = String::from_utf8_lossy(&config).into_owned();
    if posted.fields.get("do") == Some("download") && !config.trim().is_empty() {
        let headers = [
            (header::CONTENT_TYPE, "application/yaml; charset=utf-8"),
            (
                header::CONTENT_DISPOSITION,
                "attachment; filename=\"alertbridge.yaml\"",
            ),
        ];
        return Ok((headers, config).into_response());
    }

    let mut rules = Rules::new(&admin);
    rules.days = posted.fields.number("days")?.unwrap_or(7);
    rules.config.clone_from(&config);
    let days = SignedDuration::from_hours(24 * i64::from(rules.days));
    let since = admin.clock.now().saturating_sub(days).ok();

    rules.diff = Some(if config.trim().is_empty() {
        Diff::fault(
            "No configuration is given: choose a file, or paste your whole alertbridge.yaml.",
        )
    } else {
        match admin.workbench.diff(config, since, None).await {
            Ok(found) => Diff::new(&found, rules.days),
            Err(problem) => Diff::fault(&problem.detail),
        }
    });
    let view = View::new(&admin, &who, "Rules", &posted.fields);
    view.page("rules.html", Data { rules }).await
}

/// Returns the labels of a JSON object that are not empty.
fn labels(item: &Value) -> Vec<Label> {
    super::words::labels(&labels_of(item))
}
