//! The vendors, faked as state behind real sockets. Each enforces its vendor's documented rules,
//! remembers all it was told, fails on demand, and says at the end whether anybody was paged whom
//! nobody expected.
//!
//! A vendor is a pure machine ([`Vendor::answer`]); [`Fake`] gives it a socket, faults and a
//! memory.

mod alertmanager;
mod discord;
mod goalert;
mod google_chat;
mod hook;
mod incident_io;
mod keyed;
mod mattermost;
mod ntfy;
mod oncall;
mod opsgenie;
mod pagerduty;
mod rootly;
mod slack;
mod slack_bot;
mod splunk;
mod teams;
mod telegram;
mod tests;
mod zenduty;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use alertbridge::delivery::Action;
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Response, Uri},
};

use crate::harness::PATIENCE;

pub use self::hook::verify;
pub use self::{
    alertmanager::Alertmanager, discord::Discord, goalert::GoAlert, google_chat::GoogleChat,
    hook::Hook, incident_io::IncidentIo, mattermost::Mattermost, ntfy::Ntfy, oncall::OnCall,
    opsgenie::Opsgenie, pagerduty::PagerDuty, rootly::Rootly, slack::Slack, slack_bot::SlackBot,
    splunk::Splunk, teams::Teams, telegram::Telegram, zenduty::Zenduty,
};

/// A request as the vendor saw it.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// The status it was answered with; 0 while it hangs or where the connection was dropped.
    pub status: u16,
}

impl Call {
    /// The same as a request that is not sent.
    pub fn of(request: &alertbridge::receiver::Request) -> Self {
        use alertbridge::receiver::Body;
        let target = request.url.splitn(4, '/').nth(3).unwrap_or_default();
        Self {
            method: request.method.to_owned(),
            target: format!("/{target}"),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                .collect(),
            body: match &request.body {
                Body::Empty => Vec::new(),
                Body::Json(json) => json.to_string().into_bytes(),
                Body::Text(text) => text.clone().into_bytes(),
                Body::Mail(mail) => mail.text.clone().into_bytes(),
            },
            status: 0,
        }
    }

    pub fn json(&self) -> Result<serde_json::Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| {
            format!(
                "the body is not valid JSON: \
            {error}"
            )
        })
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What the vendor says to it.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, body.to_string()).with("content-type", "application/json")
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What a person at the vendor's end would notice: a call, or the end of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// `trigger` or `resolve`.
    pub action: String,
    /// The alias or dedup key; for a chat the title, for a webhook the alias.
    pub key: String,
    /// The headline.
    pub title: String,
}

/// What is seen of a vendor from outside.
#[derive(Debug, Default)]
pub struct Memory {
    /// Every page anybody got, in order.
    pub pages: Vec<Page>,
    /// Everything the vendor would refuse or wonder about.
    pub violations: Vec<String>,
    /// A request repeated that changed nothing: allowed after a crash, and to be counted.
    pub repeats: Vec<String>,
}

/// A vendor's rules and state. Pure, but for what it remembers.
pub trait Vendor: Send + 'static {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer;

    /// The keys of what is open, sorted.
    fn open(&self) -> Vec<String>;
}

/// What goes wrong with the next requests, in order.
#[derive(Debug, Clone)]
enum Fault {
    /// Answered like this instead.
    Fail(Answer),
    /// Never answered, and not taken note of by the vendor.
    Hang,
    /// The connection is closed before the vendor takes note.
    Drop,
    /// The vendor does what it is asked, and the connection is closed before it says so.
    LoseReply,
}

struct Inner<V> {
    vendor: V,
    memory: Memory,
    calls: Vec<Call>,
    faults: VecDeque<Fault>,
    expected: usize,
}

/// A vendor on a port of its own. It ends with the test.
pub struct Fake<V> {
    address: SocketAddr,
    key: String,
    inner: Arc<Mutex<Inner<V>>>,
    server: tokio::task::JoinHandle<()>,
}

impl<V> Drop for Fake<V> {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl<V: Vendor> Fake<V> {
    pub async fn serve(vendor: V, key: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Inner {
            vendor,
            memory: Memory::default(),
            calls: Vec::new(),
            faults: VecDeque::new(),
            expected: 0,
        };
        let inner = Arc::new(Mutex::new(inner));
        let app = axum::Router::new()
            .fallback(handle::<V>)
            .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
            .with_state(inner.clone());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            key: key.to_owned(),
            inner,
            server,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<V>> {
        self.inner
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The credential it takes.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The keys of the alerts that are open, sorted.
    pub fn open_alerts(&self) -> Vec<String> {
        self.lock().vendor.open()
    }

    /// Every request, in order, those that failed too.
    pub fn history(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Every page anybody got, in order.
    pub fn pages(&self) -> Vec<Page> {
        self.lock().memory.pages.clone()
    }

    /// What the vendor would refuse or wonder about.
    pub fn violations(&self) -> Vec<String> {
        self.lock().memory.violations.clone()
    }

    /// Requests that repeated what was known.
    pub fn repeats(&self) -> Vec<String> {
        self.lock().memory.repeats.clone()
    }

    /// Answers the next `n` requests with this status.
    pub fn fail_next(&self, n: usize, status: u16, headers: &[(&str, &str)]) {
        self.fail_next_with(n, status, headers, "");
    }

    /// The same, with a body.
    pub fn fail_next_with(&self, n: usize, status: u16, headers: &[(&str, &str)], body: &str) {
        let answer = headers
            .iter()
            .fold(Answer::new(status, body), |answer, (name, value)| {
                answer.with(name, value)
            });
        self.plan(n, &Fault::Fail(answer));
    }

    /// Never answers the next `n` requests.
    pub fn hang(&self, n: usize) {
        self.plan(n, &Fault::Hang);
    }

    /// Closes the connection on the next `n` requests before anything is done.
    pub fn drop_connection(&self, n: usize) {
        self.plan(n, &Fault::Drop);
    }

    /// Does what the next `n` requests ask, and closes the connection without saying so.
    pub fn lose_reply(&self, n: usize) {
        self.plan(n, &Fault::LoseReply);
    }

    /// Takes back the faults that were not met.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    fn plan(&self, n: usize, fault: &Fault) {
        self.lock()
            .faults
            .extend(std::iter::repeat_n(fault.clone(), n));
    }

    /// Waits until there is another page than those seen by earlier calls, and gives it.
    pub async fn next_page(&self) -> Page {
        self.next_page_within(PATIENCE).await
    }

    /// The same with a deadline of one's own.
    pub async fn next_page_within(&self, deadline: Duration) -> Page {
        let waited = tokio::time::timeout(deadline, async {
            loop {
                {
                    let mut inner = self.lock();
                    if let Some(page) = inner.memory.pages.get(inner.expected).cloned() {
                        inner.expected += 1;
                        return page;
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let Ok(page) = waited.await else {
            let inner = self.lock();
            panic!(
                "no page came; calls: {:#?}; violations: {:#?}",
                inner.calls, inner.memory.violations
            )
        };
        page
    }

    /// Waits until the condition holds.
    pub async fn wait_until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let met = tokio::time::timeout(PATIENCE, async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(
            met.await.is_ok(),
            "waited in vain: {what}; pages: {:#?}",
            self.pages()
        );
    }

    /// Counts all pages so far as expected.
    pub fn expect_all(&self) {
        let mut inner = self.lock();
        inner.expected = inner.memory.pages.len();
    }

    /// Fails on any page nobody expected, and on anything the vendor would refuse.
    #[track_caller]
    pub fn assert_quiet(&self) {
        let inner = self.lock();
        assert_eq!(
            inner.memory.violations,
            Vec::<String>::new(),
            "the vendor's rules were broken"
        );
        assert_eq!(
            inner.memory.pages[inner.expected..],
            [],
            "somebody was paged whom nobody expected"
        );
    }
}

async fn handle<V: Vendor>(
    State(inner): State<Arc<Mutex<Inner<V>>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let mut call = Call {
        method: method.to_string(),
        target: uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        headers: headers
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        body: body.to_vec(),
        status: 0,
    };
    let (fault, answer) = {
        let mut locked = inner
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let Inner {
            vendor,
            memory,
            calls,
            faults,
            ..
        } = &mut *locked;
        let fault = faults.pop_front();
        let answer = match &fault {
            None | Some(Fault::LoseReply) => Some(vendor.answer(&call, memory)),
            Some(Fault::Fail(answer)) => Some(answer.clone()),
            Some(Fault::Hang | Fault::Drop) => None,
        };
        if !matches!(fault, Some(Fault::LoseReply)) {
            call.status = answer.as_ref().map_or(0, |answer| answer.status);
        }
        calls.push(call);
        (fault, answer)
    };
    match (fault, answer) {
        (Some(Fault::Hang), _) => std::future::pending().await,
        // Ends the connection's task without a word, and without the message a panic prints.
        (Some(Fault::Drop | Fault::LoseReply), _) | (_, None) => {
            std::panic::resume_unwind(Box::new("dropped"))
        }
        (_, Some(answer)) => {
            let response = answer.headers.iter().fold(
                Response::builder().status(answer.status),
                |response, (name, value)| response.header(name, value),
            );
            response.body(answer.body.into()).unwrap()
        }
    }
}

/// The length of a text in the strictest of the units a vendor may count.
pub fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// A text field that must be there and hold something, within a limit.
pub fn required<'a>(
    json: &'a serde_json::Value,
    field: &str,
    max: usize,
) -> Result<&'a str, String> {
    let text = json[field]
        .as_str()
        .ok_or_else(|| format!("`{field}` is missing or no string"))?;
    if text.trim().is_empty() {
        return Err(format!("`{field}` is empty"));
    }
    within(field, text, max).map(|()| text)
}

/// A text field that may be left out.
pub fn optional(json: &serde_json::Value, field: &str, max: usize) -> Result<(), String> {
    match &json[field] {
        serde_json::Value::Null => Ok(()),
        serde_json::Value::String(text) => within(field, text, max),
        _ => Err(format!("`{field}` is not a string")),
    }
}

/// A text within a limit, without characters that are none.
pub fn within(field: &str, text: &str, max: usize) -> Result<(), String> {
    if units(text) > max {
        return Err(format!(
            "`{field}` has {} units, and {max} are allowed",
            units(text)
        ));
    }
    match text
        .chars()
        .find(|c| c.is_control() && !matches!(c, '\n' | '\t'))
    {
        Some(c) => Err(format!("`{field}` holds the control character {c:?}")),
        None => Ok(()),
    }
}

/// Whether a vendor of this kind takes the body of a trigger or resolve.
pub fn check(kind: &str, action: Action, body: &serde_json::Value) -> Result<(), String> {
    match (kind, action) {
        ("opsgenie" | "jsm", Action::Resolve) => opsgenie::check_close(body),
        ("opsgenie" | "jsm", _) => opsgenie::check_create(body),
        ("pagerduty", _) => pagerduty::check_event(body),
        ("slack", _) => slack::check_message(body),
        ("teams", _) => teams::check_message(body).map(drop),
        ("discord", _) => discord::check_message(body),
        ("alertmanager", _) => alertmanager::check(body),
        // It is for whoever wrote its templates.
        ("webhook", _) => Ok(()),
        (kind, _) => panic!("say in tests/it/vendors.rs what {kind} takes"),
    }
}
