//! Opsgenie's Alert API v2 and JSM's twin of it: one account, two base paths.
//! A request is only promised (202); it is worked off when it has been asked about `polls` times.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{Answer, Call, Fake, Memory, Page, Vendor, optional, required, within};

/// The base path of JSM Operations.
const JSM: &str = "/jsm/ops/integration";

/// Alerts by alias.
pub struct Opsgenie {
    key: String,
    polls: usize,
    alerts: BTreeMap<String, Alert>,
    requests: Vec<Promise>,
}

#[derive(Debug, Clone, Default)]
pub struct Alert {
    pub open: bool,
    /// How often it was created since it was opened last.
    pub count: usize,
    /// How often it was opened: each pages somebody.
    pub openings: usize,
    /// As last created.
    pub body: Value,
}

struct Promise {
    id: String,
    work: Work,
    asked: usize,
    done: Option<Result<&'static str, &'static str>>,
}

enum Work {
    Create(Value),
    Close(String),
    /// Of the alert with this alias, this field.
    Update(String, &'static str, Value),
}

impl Opsgenie {
    pub async fn start() -> Fake<Self> {
        Self::start_slow(1).await
    }

    /// It works a request off when asked for the `polls`-th time; before that it answers "not yet".
    pub async fn start_slow(polls: usize) -> Fake<Self> {
        let key = "5f1d5a3c-4e0b-4c61-9a3e-0d6f9c2b7e11";
        let vendor = Self {
            key: key.into(),
            polls,
            alerts: BTreeMap::new(),
            requests: Vec::new(),
        };
        Fake::serve(vendor, key).await
    }

    fn promise(&mut self, work: Work) -> Answer {
        let id = format!("request-{}", self.requests.len() + 1);
        self.requests.push(Promise {
            id: id.clone(),
            work,
            asked: 0,
            done: None,
        });
        Answer::json(
            202,
            &json!({ "result": "Request will be processed", "took": 0.01, "requestId": id }),
        )
    }

    /// Works off a request and all before it.
    fn work(&mut self, last: usize, memory: &mut Memory) {
        for promise in self.requests[..=last]
            .iter_mut()
            .filter(|promise| promise.done.is_none())
        {
            promise.done = Some(match &promise.work {
                Work::Create(body) => {
                    let alias = body["alias"].as_str().unwrap_or_default().to_owned();
                    let alert = self.alerts.entry(alias.clone()).or_default();
                    alert.body = body.clone();
                    if alert.open {
                        alert.count += 1;
                        memory.repeats.push(format!("create {alias}"));
                    } else {
                        *alert = Alert {
                            open: true,
                            count: 1,
                            openings: alert.openings + 1,
                            body: body.clone(),
                        };
                        let title = body["message"].as_str().unwrap_or_default().to_owned();
                        memory.pages.push(Page {
                            action: "trigger".into(),
                            key: alias,
                            title,
                        });
                    }
                    Ok("Created alert")
                }
                Work::Update(alias, part, value) => match self.alerts.get_mut(alias) {
                    Some(alert) if alert.open => {
                        alert.body[*part] = value.clone();
                        Ok("Updated alert")
                    }
                    _ => Err("Alert does not exist"),
                },
                Work::Close(alias) => match self.alerts.get_mut(alias) {
                    Some(alert) if alert.open => {
                        alert.open = false;
                        memory.pages.push(Page {
                            action: "resolve".into(),
                            key: alias.clone(),
                            title: String::new(),
                        });
                        Ok("Closed alert")
                    }
                    Some(_) => {
                        memory.repeats.push(format!("close {alias}"));
                        Err("Alert does not exist")
                    }
                    None => {
                        memory
                            .violations
                            .push(format!("a close of {alias}, which was never opened"));
                        Err("Alert does not exist")
                    }
                },
            });
        }
    }

    fn status(&mut self, id: &str, memory: &mut Memory) -> Answer {
        let Some(at) = self.requests.iter().position(|promise| promise.id == id) else {
            memory
                .violations
                .push(format!("asked about the unknown request {id}"));
            return refused(404, "Request not found", "RequestNotFound");
        };
        self.requests[at].asked += 1;
        if self.requests[at].asked >= self.polls {
            self.work(at, memory);
        }
        match self.requests[at].done {
            None => refused(
                404,
                "Request not processed. Please try again, later.",
                "RequestNotProcessed",
            ),
            Some(done) => {
                let (success, status) = (done.is_ok(), done.unwrap_or_else(|status| status));
                let data = json!({ "success": success, "isSuccess": success, "status": status,
                                   "alertId": "a-1" });
                Answer::json(200, &json!({ "data": data, "took": 0.01, "requestId": id }))
            }
        }
    }
}

impl Vendor for Opsgenie {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        if call.header("authorization") != format!("GenieKey {}", self.key) {
            memory.violations.push("a wrong key".into());
            return refused(401, "Could not authenticate", "AuthenticationError");
        }
        let target = call.target.strip_prefix(JSM).unwrap_or(&call.target);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parts: Vec<String> = path
            .split('/')
            .skip(1)
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (call.method.as_str(), parts.as_slice()) {
            ("POST", ["v2", "alerts"]) => match call
                .json()
                .and_then(|body| check_create(&body).map(|()| body))
            {
                Ok(body) => self.promise(Work::Create(body)),
                Err(why) => {
                    memory.violations.push(why.clone());
                    refused(422, &why, "InvalidRequest")
                }
            },
            ("POST", ["v2", "alerts", alias, "close"]) => {
                let checked = call.json().and_then(|body| check_close(&body));
                let checked = checked.and_then(|()| match query {
                    "identifierType=alias" => Ok(()),
                    _ => Err("the close names an id and not an alias".into()),
                });
                match checked {
                    Ok(()) => self.promise(Work::Close((*alias).to_owned())),
                    Err(why) => {
                        memory.violations.push(why.clone());
                        refused(422, &why, "InvalidRequest")
                    }
                }
            }
            ("PUT", ["v2", "alerts", alias, part @ ("priority" | "message")]) => {
                let part = if *part == "priority" {
                    "priority"
                } else {
                    "message"
                };
                let checked = call
                    .json()
                    .and_then(|body| check_update(part, query, &body).map(|()| body));
                match checked {
                    Ok(body) => {
                        self.promise(Work::Update((*alias).to_owned(), part, body[part].clone()))
                    }
                    Err(why) => {
                        memory.violations.push(why.clone());
                        refused(422, &why, "InvalidRequest")
                    }
                }
            }
            ("GET", ["v2", "alerts", "requests", id]) => self.status(id, memory),
            _ => {
                memory
                    .violations
                    .push(format!("{} {} is no operation", call.method, call.target));
                refused(404, "No such operation", "NotFound")
            }
        }
    }

    fn open(&self) -> Vec<String> {
        self.alerts
            .iter()
            .filter(|(_, alert)| alert.open)
            .map(|(alias, _)| alias.clone())
            .collect()
    }
}

impl Fake<Opsgenie> {
    /// The base of Opsgenie.
    pub fn url(&self) -> String {
        self.origin()
    }

    /// The base of JSM Operations.
    pub fn jsm_url(&self) -> String {
        format!("{}{JSM}", self.origin())
    }

    /// An alert as it stands.
    pub fn alert(&self, alias: &str) -> Option<Alert> {
        self.lock().vendor.alerts.get(alias).cloned()
    }
}

fn refused(status: u16, why: &str, kind: &str) -> Answer {
    Answer::json(
        status,
        &json!({ "message": why, "took": 0.0, "requestId": "r" }),
    )
    .with("X-Opsgenie-Errortype", kind)
}

/// What the API takes for a create.
pub fn check_create(body: &Value) -> Result<(), String> {
    required(body, "message", 130)?;
    required(body, "alias", 512)?;
    optional(body, "description", 15_000)?;
    optional(body, "entity", 512)?;
    optional(body, "source", 100)?;
    optional(body, "user", 100)?;
    optional(body, "note", 25_000)?;
    if let Some(priority) = body.get("priority")
        && !["P1", "P2", "P3", "P4", "P5"].contains(&priority.as_str().unwrap_or_default())
    {
        return Err(format!("the priority {priority}"));
    }
    let list = |field: &str, most: usize| match &body[field] {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) if list.len() <= most => Ok(list.clone()),
        _ => Err(format!("`{field}` is not a list of at most {most}")),
    };
    for tag in list("tags", 20)? {
        within(
            "tags",
            tag.as_str().ok_or("a tag that is not a string")?,
            50,
        )?;
    }
    for responder in list("responders", 50)? {
        let kind = responder["type"].as_str().unwrap_or_default();
        if !["team", "user", "escalation", "schedule"].contains(&kind) {
            return Err(format!("a responder of type {kind}"));
        }
    }
    let mut total = 0;
    for (name, value) in body["details"].as_object().into_iter().flatten() {
        let value = value
            .as_str()
            .ok_or_else(|| format!("the detail {name} is not a string"))?;
        within("details", value, 8000)?;
        total += super::units(name) + super::units(value);
    }
    if total > 8000 {
        Err(format!("the details have {total} units in total"))
    } else {
        Ok(())
    }
}

/// What the API takes for an update: the one field, of an alert named by its alias.
pub fn check_update(part: &str, query: &str, body: &Value) -> Result<(), String> {
    if query != "identifierType=alias" {
        return Err(format!(
            "the update of the {part} names an id and not an alias"
        ));
    }
    let only = body
        .as_object()
        .is_some_and(|fields| fields.keys().all(|field| field == part));
    match (part, body[part].as_str()) {
        _ if !only => Err(format!("the update of the {part} holds more: {body}")),
        ("priority", Some("P1" | "P2" | "P3" | "P4" | "P5")) => Ok(()),
        ("message", Some(_)) => required(body, "message", 130).map(drop),
        _ => Err(format!("the update of the {part} is {body}")),
    }
}

/// What the API takes for a close.
pub fn check_close(body: &Value) -> Result<(), String> {
    optional(body, "source", 100)?;
    optional(body, "user", 100)?;
    optional(body, "note", 25_000)
}
