//! A token server as RFC 6749 has it: it remembers what it gave out and refuses what it did not.
//! Its access tokens are such as the Dovecot of these tests takes.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, by the machine's clock"
)]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use aws_lc_rs::{digest, hmac};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::dovecot::{TOKEN_KEY, USER};

pub const CLIENT_ID: &str = "the-application";
pub const CLIENT_SECRET: &str = "client-s3cret+/%";
const CODE: &str = "code-from-the-browser";

type Form = BTreeMap<String, String>;

/// A running token server. Dropping it stops it.
pub struct TokenServer {
    address: SocketAddr,
    pub state: Arc<Mutex<Given>>,
    task: JoinHandle<()>,
}

/// What it gave out, and how it behaves.
pub struct Given {
    /// The one refresh token that counts.
    pub refresh_token: String,
    /// Whether each use of it makes another, and ends the old one.
    pub rotates: bool,
    /// Seconds that an access token is good.
    pub lifetime: u64,
    /// Whose access tokens it gives out.
    pub subject: String,
    /// The only scope it knows.
    pub scope: Option<&'static str>,
    /// What it answers in place of a token.
    pub answer: Option<(StatusCode, String)>,
    /// How often a device is told to wait for its person, who then agrees or not.
    pub pending: u32,
    pub agrees: bool,
    /// The tokens asked for, and those given out.
    pub asked: Vec<Form>,
    pub access_tokens: Vec<String>,
    challenge: Option<String>,
}

impl TokenServer {
    pub async fn start() -> Self {
        let state = Given {
            refresh_token: "refresh-t0ken-1".into(),
            rotates: false,
            lifetime: 3600,
            subject: USER.into(),
            scope: None,
            answer: None,
            pending: 0,
            agrees: true,
            asked: Vec::new(),
            access_tokens: Vec::new(),
            challenge: None,
        };
        let (address, state) = ("127.0.0.1:0".parse().unwrap(), Arc::new(Mutex::new(state)));
        let (address, task) = serve(address, state.clone()).await;
        Self {
            address,
            state,
            task,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn set(&self, change: impl FnOnce(&mut Given)) {
        change(&mut self.state.lock().unwrap());
    }

    /// How many tokens were asked for.
    pub fn asked(&self) -> usize {
        self.state.lock().unwrap().asked.len()
    }

    /// All that must not be seen in a log.
    pub fn secrets(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let mut secrets = vec![
            CLIENT_SECRET.to_owned(),
            "client-s3cret".into(),
            "refresh-t0ken".into(),
        ];
        secrets.extend(
            state
                .access_tokens
                .iter()
                .map(|token| token.rsplit('.').next().unwrap().to_owned()),
        );
        secrets
    }

    /// Nobody answers at its address any more.
    pub async fn die(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    pub async fn come_back(&mut self) {
        self.task = serve(self.address, self.state.clone()).await.1;
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(address: SocketAddr, state: Arc<Mutex<Given>>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/token", post(token))
        .route("/device", post(device))
        .route("/authorize", get(authorize))
        .with_state(state);
    // One connection per task, which dies with it: no keep-alive outlives the server.
    (
        address,
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
    )
}

fn refused(code: &str) -> Response {
    (
        StatusCode::BAD_REQUEST,
        Json(json!({ "error": code, "error_description": format!("about {code}") })),
    )
        .into_response()
}

async fn token(
    State(state): State<Arc<Mutex<Given>>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let mut form: Form = url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let mut state = state.lock().unwrap();
    state.asked.push(form.clone());
    if let Some((status, answer)) = state.answer.clone() {
        return (status, [(header::CONTENT_TYPE, "application/json")], answer).into_response();
    }
    add_basic_auth(&headers, &mut form);
    let given = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if given("client_id") != CLIENT_ID
        || form
            .get("client_secret")
            .is_some_and(|secret| secret != CLIENT_SECRET)
    {
        return (
            StatusCode::UNAUTHORIZED,
            Json(json!({ "error": "invalid_client" })),
        )
            .into_response();
    }
    if state
        .scope
        .is_some_and(|known| form.get("scope").is_some_and(|asked| asked != known))
    {
        return refused("invalid_scope");
    }
    let mut fresh = None;
    match given("grant_type") {
        "client_credentials" if form.contains_key("client_secret") => {}
        "refresh_token" if given("refresh_token") == state.refresh_token => {
            if state.rotates {
                let number = state.asked.len();
                state.refresh_token = format!("refresh-t0ken-rotated-{number}");
                fresh = Some(state.refresh_token.clone());
            }
        }
        "authorization_code" => {
            let verifier = digest::digest(&digest::SHA256, given("code_verifier").as_bytes());
            if given("code") != CODE || state.challenge != Some(URL_SAFE_NO_PAD.encode(verifier)) {
                return refused("invalid_grant");
            }
            fresh = Some(state.refresh_token.clone());
        }
        "urn:ietf:params:oauth:grant-type:device_code" => {
            if state.pending > 0 {
                state.pending -= 1;
                return refused("authorization_pending");
            }
            if !state.agrees {
                return refused("access_denied");
            }
            fresh = Some(state.refresh_token.clone());
        }
        _ => return refused("invalid_grant"),
    }
    let access = access_token(&state.subject, state.lifetime);
    state.access_tokens.push(access.clone());
    let mut answer =
        json!({ "access_token": access, "token_type": "Bearer", "expires_in": state.lifetime });
    if let Some(fresh) = fresh {
        answer["refresh_token"] = Value::String(fresh);
    }
    Json(answer).into_response()
}

/// Both ways to say who asks (RFC 6749, 2.3.1).
fn add_basic_auth(headers: &HeaderMap, form: &mut Form) {
    let Some(basic) = headers.get(header::AUTHORIZATION) else {
        return;
    };
    let pair = STANDARD
        .decode(basic.to_str().unwrap().strip_prefix("Basic ").unwrap())
        .unwrap();
    let pair = String::from_utf8(pair).unwrap();
    let (id, secret) = pair.split_once(':').unwrap();
    let decode = |text: &str| {
        url::form_urlencoded::parse(format!("x={text}").as_bytes())
            .next()
            .unwrap()
            .1
            .into_owned()
    };
    form.insert("client_id".into(), decode(id));
    form.insert("client_secret".into(), decode(secret));
}

async fn device(State(state): State<Arc<Mutex<Given>>>, body: String) -> Response {
    let form: Form = url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    state.lock().unwrap().asked.push(form);
    Json(json!({
        "device_code": "the-device", "user_code": "WDJB-MJHT",
        "verification_uri": "https://login.example.com/device",
        "expires_in": 60, "interval": 1
    }))
    .into_response()
}

/// The person agrees at once, and the browser is sent back.
async fn authorize(State(state): State<Arc<Mutex<Given>>>, Query(query): Query<Form>) -> Response {
    let mut state = state.lock().unwrap();
    if query["response_type"] != "code"
        || query["code_challenge_method"] != "S256"
        || query["client_id"] != CLIENT_ID
    {
        return StatusCode::BAD_REQUEST.into_response();
    }
    state.challenge = Some(query["code_challenge"].clone());
    let mut back = url::Url::parse(&query["redirect_uri"]).unwrap();
    let (name, value) = if state.agrees {
        ("code", CODE)
    } else {
        ("error", "access_denied")
    };
    back.query_pairs_mut()
        .append_pair(name, value)
        .append_pair("state", &query["state"]);
    Redirect::to(back.as_str()).into_response()
}

/// A token as Dovecot takes it, good for so many seconds.
pub fn access_token(subject: &str, lifetime: u64) -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = json!({ "sub": subject, "iat": now, "exp": now + lifetime });
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, TOKEN_KEY),
        signed.as_bytes(),
    );
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}
