//! The vendors, as values that keep the state of every alert by each vendor's rules, and the
//! network in between.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    life::Life,
    shared::About,
    weather::Trouble,
    world::{World, lock},
};
use crate::{
    deliver::{Failure, Wire},
    delivery::{FailureReason, Target},
    receiver::{Body, Reply, Request},
};

/// How long a client waits for a reply: `delivery.timeout`.
const PATIENCE: Duration = Duration::from_secs(20);

/// `confirm_timeout` of Opsgenie.
const CONFIRMED_WITHIN: Duration = Duration::from_mins(1);

/// What the vendors know.
#[derive(Default)]
pub(super) struct Vendors(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// What a person at the vendor was told of each alias, in order: `trigger`, `resolve`.
    told: BTreeMap<(Target, String), Vec<&'static str>>,
    /// The webhook-ids that have arrived.
    ids: BTreeSet<String>,
    /// The number of requests to Opsgenie, and when it took the last of each kind.
    requests: u64,
    taken: BTreeMap<About, Instant>,
}

/// A request for an action, in the vendor's words.
struct Asked {
    alias: String,
    action: &'static str,
    /// The id by which the vendor recognises a repetition, if the state does not show it.
    id: Option<String>,
}

impl Vendors {
    /// Returns all aliases, and what each target was told of them.
    pub(super) fn told(&self) -> BTreeMap<(Target, String), Vec<&'static str>> {
        lock(&self.0).told.clone()
    }

    /// Acts on a request. An alert that is open cannot be opened, and one that is not open cannot
    /// be closed.
    fn act(&self, target: &Target, asked: &Asked) -> Result<(), String> {
        let mut known = lock(&self.0);
        let is_new = asked
            .id
            .as_ref()
            .is_none_or(|id| known.ids.insert(id.clone()));
        let key = (target.clone(), asked.alias.clone());
        let told = known.told.entry(key).or_default();
        let is_open = told.last() == Some(&"trigger");
        let action = asked.action;

        match (action, is_open, asked.id.is_some()) {
            _ if !is_new => {}
            ("trigger", false, _) | ("resolve", true, _) => told.push(action),
            ("resolve", false, _) if told.is_empty() => {
                return Err(format!("{} ends, and never began", asked.alias));
            }
            (_, _, true) => return Err(format!("a second {action} of {}", asked.alias)),
            _ => {}
        }
        Ok(())
    }

    /// Returns whether the last request of the same kind was taken so long ago that it counts as
    /// not done, because nobody could be asked what became of it.
    fn is_unconfirmed(&self, about: &About) -> bool {
        let last = lock(&self.0).taken.insert(about.clone(), Instant::now());
        last.is_some_and(|last| last.elapsed() >= CONFIRMED_WITHIN)
    }
}

/// The network from one process to the vendors.
pub(super) struct Network {
    pub(super) world: Arc<World>,
    pub(super) life: Arc<Life>,
    pub(super) vendors: Arc<Vendors>,
}

/// Makes the failure of a request that went out without a reply.
fn unanswered(reason: FailureReason, detail: &str) -> Failure {
    Failure {
        reason,
        may_be_taken: true,
        detail: detail.to_owned(),
    }
}

fn reply(status: u16, headers: &[(&str, &str)], body: &Value) -> Reply {
    Reply {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: body.to_string().into_bytes(),
        ..Reply::default()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(kind: &str) -> usize {
    match kind {
        "pagerduty" => 0,
        "webhook" => 1,
        _ => 2,
    }
}

/// Returns the action that a request asks for, or `None` if it asks what became of another request
/// or completes one.
fn asked(target: &Target, request: &Request) -> Option<Asked> {
    let body = match &request.body {
        Body::Json(json) => json.clone(),
        _ => Value::Null,
    };
    let action = |word: &str| {
        if word == "resolve" {
            "resolve"
        } else {
            "trigger"
        }
    };
    match target.kind() {
        "pagerduty" => Some(Asked {
            alias: text(&body["dedup_key"]),
            action: action(&text(&body["event_action"])),
            id: None,
        }),
        "webhook" => Some(Asked {
            alias: text(&body["data"]["alias"]),
            action: action(&text(&body["data"]["action"])),
            id: request
                .headers
                .iter()
                .find(|(name, _)| name == "webhook-id")
                .map(|(_, id)| id.clone()),
        }),
        _ if request.method == "GET" => None,
        _ => {
            let path = request.url.split("/v2/alerts/").nth(1);
            let alias = path.and_then(|path| path.split('/').next());
            let action = match path {
                None => "trigger",
                Some(path) if path.contains("/close") => "resolve",
                Some(path) if path.contains("/priority") => "change",
                // The second request of a change.
                Some(_) => return None,
            };
            Some(Asked {
                alias: alias
                    .map_or_else(|| text(&body["alias"]), |alias| alias.replace("%3A", ":")),
                action,
                id: None,
            })
        }
    }
}

impl Network {
    fn answer(&self, target: &Target, is_question: bool) -> Reply {
        match target.kind() {
            "pagerduty" => reply(202, &[], &json!({ "status": "success" })),
            "webhook" => reply(204, &[], &Value::Null),
            _ if is_question => reply(
                200,
                &[],
                &json!({ "data": { "isSuccess": true, "status": "done", "alertId": "1" } }),
            ),
            _ => {
                let mut known = lock(&self.vendors.0);
                known.requests += 1;
                let id = known.requests.to_string();
                reply(202, &[], &json!({ "requestId": id }))
            }
        }
    }
}

#[async_trait]
impl Wire for Network {
    async fn carry(&self, target: &Target, request: Request) -> Result<Reply, Failure> {
        let vendor = number(target.kind());
        let is = |trouble: fn(usize) -> Trouble| self.world.is(trouble(vendor));
        self.world.pause(2..250).await;

        if is(Trouble::Hangs) {
            tokio::time::sleep(PATIENCE).await;
            self.life.goes_on(&self.world).await;
            return Err(unanswered(FailureReason::Timeout, "no reply in time"));
        }
        if is(Trouble::Breaks) {
            return Err(unanswered(FailureReason::Network, "the connection broke"));
        }
        if is(Trouble::Down) {
            return Ok(reply(503, &[], &Value::Null));
        }
        if is(Trouble::Limits) && self.world.seldom(700) {
            return Ok(reply(429, &[("retry-after", "7")], &Value::Null));
        }

        // A request that was sent arrives, even if its process is gone.
        let loses_reply = is(Trouble::LosesReplies) && self.world.seldom(300);
        let is_question = request.method == "GET";
        let asked = asked(target, &request);
        if let Some(asked) = &asked {
            let about = (target.clone(), asked.alias.clone(), asked.action);
            let said = format!(
                "{}: {} hears {} {}",
                self.life.number, target.receiver, asked.action, asked.alias
            );
            self.world.note(&said);
            // A mail that cannot be checked never changes a verified incident, so its page may be
            // sent again.
            let incident = asked.alias.split(':').next().unwrap_or_default();
            if let Err(why) = self.vendors.act(target, asked)
                && !self.world.was_doubted(incident)
            {
                self.world.is_broken(format!("{target:?}: {why}"));
            }
            let is_late = vendor == 2 && self.vendors.is_unconfirmed(&about);
            let excuse = match (loses_reply, is_late) {
                (true, _) => Some("the reply was lost"),
                (_, true) => Some("the last was not confirmed in time"),
                _ => None,
            };
            self.life.flies(about, excuse);
        }

        self.world.pause(2..150).await;
        self.life.goes_on(&self.world).await;
        if loses_reply {
            return Err(unanswered(FailureReason::Network, "the connection broke"));
        }
        Ok(self.answer(target, is_question))
    }
}
