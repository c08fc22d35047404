//! An identity provider as OpenID Connect has it: it remembers what it gave out, gives nothing for
//! what it did not, and can be told to break each rule that whoever trusts it has to check.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, by the machine's clock"
)]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256},
};
use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

pub const CLIENT_ID: &str = "alertbridge";
pub const CLIENT_SECRET: &str = "client-s3cret+/%";

type Fields = BTreeMap<String, String>;

/// How a token breaks the rules, or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    None,
    WrongNonce,
    NoNonce,
    OtherAudience,
    MoreAudiences,
    /// The token is for others too, and says that it was issued to us.
    MoreAudiencesThanTheParty,
    OtherParty,
    OtherIssuer,
    Expired,
    FromTheFuture,
    NotYetGood,
    Unsigned,
    SignedWithOurSecret,
    SignedWithThePublicKey,
    ForeignKey,
    OtherAccessToken,
    NoToken,
    /// The clock is half a minute ahead, which is none.
    HalfAMinuteAhead,
    /// The token is signed with ES256.
    OtherAlgorithm,
    /// The token is signed with a key that was made a moment ago.
    NewKey,
}

/// What it gave out, and how it behaves.
pub struct Rules {
    /// What it says of whoever is signed in there.
    pub person: Value,
    pub mischief: Mischief,
    /// What it says in an error in place of a code.
    pub denies: Option<&'static str>,
    /// What it says an answer is from, where it announces to say so (RFC 9207).
    pub iss: Option<String>,
    /// Whether a code is good again and again.
    pub redeems_twice: bool,
    /// Whether the claims stand in the user info alone.
    pub thin: bool,
    /// Whether it accepts connections and says nothing.
    pub hangs: bool,
    /// Where browsers may be sent back to: exactly there.
    pub redirect_uri: String,
    /// All that nobody may find in a log.
    pub secrets: Vec<String>,
    /// How often each path was asked for.
    pub asked: BTreeMap<&'static str, u32>,
    generation: u32,
    codes: BTreeMap<String, Grant>,
    access_tokens: BTreeMap<String, Value>,
}

/// What a code stands for.
#[derive(Clone)]
struct Grant {
    challenge: String,
    nonce: String,
    person: Value,
}

/// A running provider. Dropping it stops it.
pub struct IdentityProvider {
    pub issuer: String,
    address: SocketAddr,
    rules: Arc<Mutex<Rules>>,
    task: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Context {
    issuer: String,
    rules: Arc<Mutex<Rules>>,
}

impl IdentityProvider {
    /// `redirect_uri` is what its operator has registered.
    pub async fn start(redirect_uri: &str) -> Self {
        Self::start_over(redirect_uri, None).await
    }

    /// The same over TLS.
    pub async fn start_over(redirect_uri: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let rules = Rules {
            person: json!({}),
            mischief: Mischief::None,
            denies: None,
            iss: None,
            redeems_twice: false,
            thin: false,
            hangs: false,
            redirect_uri: redirect_uri.to_owned(),
            secrets: vec!["client-s3cret".to_owned()],
            asked: BTreeMap::new(),
            generation: 1,
            codes: BTreeMap::new(),
            access_tokens: BTreeMap::new(),
        };
        let mut provider = Self {
            issuer: format!("{scheme}://localhost:{}", address.port()),
            address,
            rules: Arc::new(Mutex::new(rules)),
            task: None,
        };
        provider.serve(listener, tls);
        provider
    }

    fn serve(&mut self, listener: TcpListener, tls: Option<TlsAcceptor>) {
        let context = Context {
            issuer: self.issuer.clone(),
            rules: Arc::clone(&self.rules),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(context);
        self.task = Some(match tls {
            None => tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
            Some(acceptor) => {
                let listener = Tls(listener, acceptor);
                tokio::spawn(async move { axum::serve(listener, router).await.unwrap() })
            }
        });
    }

    pub fn set(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.rules.lock().unwrap());
    }

    pub fn person(&self, person: Value) {
        self.set(|rules| rules.person = person);
    }

    pub fn asked(&self, path: &str) -> u32 {
        let rules = self.rules.lock().unwrap();
        rules.asked.get(path).copied().unwrap_or_default()
    }

    pub fn secrets(&self) -> Vec<String> {
        self.rules.lock().unwrap().secrets.clone()
    }

    /// Nobody answers at its address any more.
    pub async fn die(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }

    pub async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener, None);
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// A listener over TLS.
struct Tls(TcpListener, TlsAcceptor);

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, peer) = self.0.accept().await.unwrap();
            // Whoever does not trust the certificate hangs up.
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Context {
    /// Notes that it was asked; whoever is kept waiting is not answered.
    async fn asked(&self, path: &'static str) {
        let hangs = {
            let mut rules = self.rules.lock().unwrap();
            *rules.asked.entry(path).or_default() += 1;
            rules.hangs
        };
        if hangs {
            tokio::time::sleep(Duration::from_mins(10)).await;
        }
    }
}

async fn discovery(State(context): State<Context>) -> Response {
    context.asked("discovery").await;
    let (issuer, rules) = (&context.issuer, context.rules.lock().unwrap());
    let at = |path: &str| format!("{issuer}{path}");
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // A careless provider announces what nobody may believe.
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
        "authorization_response_iss_parameter_supported": rules.iss.is_some(),
    }))
    .into_response()
}

async fn keys(State(context): State<Context>) -> Response {
    context.asked("keys").await;
    let generation = context.rules.lock().unwrap().generation;
    let rsa = rsa().public_key();
    let (n, e) = (rsa.modulus(), rsa.exponent());
    let point = ec().public_key().as_ref();
    let mut keys = vec![json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "rsa-1",
        "n": encoded(n.big_endian_without_leading_zero()),
        "e": encoded(e.big_endian_without_leading_zero()),
    })];
    // The second key is published once it signs.
    for number in 1..=generation {
        keys.push(json!({
            "kty": "EC", "use": "sig", "crv": "P-256", "kid": format!("ec-{number}"),
            "x": encoded(&point[1..33]), "y": encoded(&point[33..]),
        }));
    }
    Json(json!({ "keys": keys })).into_response()
}

/// A person who is signed in there agrees, always.
async fn authorize(State(context): State<Context>, Query(asked): Query<Fields>) -> Response {
    context.asked("authorize").await;
    let mut rules = context.rules.lock().unwrap();
    let given = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
    // Whoever is not known here is sent nowhere (RFC 6749, 4.1.2.1).
    if given("client_id") != CLIENT_ID || given("redirect_uri") != rules.redirect_uri {
        return (StatusCode::BAD_REQUEST, "unknown client or redirect_uri").into_response();
    }

    let is_sound = given("response_type") == "code"
        && given("scope").split(' ').any(|scope| scope == "openid")
        && given("code_challenge_method") == "S256"
        && given("code_challenge").len() == 43
        && given("state").len() >= 32
        && given("nonce").len() >= 32;
    let mut back = url::Url::parse(&rules.redirect_uri).unwrap();
    let mut answer = back.query_pairs_mut();
    answer.append_pair("state", given("state"));
    match (is_sound, rules.denies) {
        (false, _) => drop(answer.append_pair("error", "invalid_request")),
        (true, Some(error)) => drop(answer.append_pair("error", error)),
        (true, None) => {
            let code = random();
            answer.append_pair("code", &code);
            let grant = Grant {
                challenge: given("code_challenge").to_owned(),
                nonce: given("nonce").to_owned(),
                person: rules.person.clone(),
            };
            rules.secrets.push(code.clone());
            rules.codes.insert(code, grant);
        }
    }
    if let Some(iss) = &rules.iss {
        answer.append_pair("iss", iss);
    }
    drop(answer);

    (StatusCode::FOUND, [(LOCATION, back.to_string())]).into_response()
}

async fn token(
    State(context): State<Context>,
    headers: HeaderMap,
    Form(asked): Form<Fields>,
) -> Response {
    context.asked("token").await;
    let refused = |status, error: &str| (status, Json(json!({ "error": error }))).into_response();
    if !is_ours(&headers) {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }

    let mut rules = context.rules.lock().unwrap();
    let given = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
    let grant = rules.codes.get(given("code")).cloned();
    if !rules.redeems_twice {
        rules.codes.remove(given("code"));
    }
    let challenge = encoded(digest(&SHA256, given("code_verifier").as_bytes()).as_ref());
    let Some(grant) = grant.filter(|grant| {
        given("grant_type") == "authorization_code"
            && given("redirect_uri") == rules.redirect_uri
            && challenge == grant.challenge
    }) else {
        return refused(StatusCode::BAD_REQUEST, "invalid_grant");
    };

    let access_token = random();
    let id_token = id_token(&context.issuer, &mut rules, &grant, &access_token);
    rules.secrets.extend([
        access_token.clone(),
        given("code_verifier").to_owned(),
        id_token.clone(),
    ]);
    rules
        .access_tokens
        .insert(access_token.clone(), grant.person);
    let mut tokens = json!({
        "access_token": access_token, "token_type": "Bearer", "expires_in": 300, "id_token": id_token,
    });
    if rules.mischief == Mischief::NoToken {
        tokens.as_object_mut().unwrap().remove("id_token");
    }
    Json(tokens).into_response()
}

async fn userinfo(State(context): State<Context>, headers: HeaderMap) -> Response {
    context.asked("userinfo").await;
    let token = headers
        .get("authorization")
        .and_then(|text| text.to_str().ok());
    let token = token
        .and_then(|text| text.strip_prefix("Bearer "))
        .unwrap_or_default();
    let rules = context.rules.lock().unwrap();
    match rules.access_tokens.get(token) {
        Some(person) => Json(person.clone()).into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// By the secret that it gave to this client, as RFC 6749, 2.3.1 writes it.
fn is_ours(headers: &HeaderMap) -> bool {
    let escaped: String = url::form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect();
    let expected = format!(
        "Basic {}",
        STANDARD.encode(format!("{CLIENT_ID}:{escaped}"))
    );
    headers
        .get("authorization")
        .is_some_and(|given| given == expected.as_str())
}

fn id_token(issuer: &str, rules: &mut Rules, grant: &Grant, access_token: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap().as_secs();
    let hash = digest(&SHA256, access_token.as_bytes());
    let mut claims = json!({
        "iss": issuer, "aud": CLIENT_ID, "sub": grant.person["sub"], "nonce": grant.nonce,
        "iat": now, "exp": now + 300, "at_hash": encoded(&hash.as_ref()[..16]),
    });
    if !rules.thin {
        let all = claims.as_object_mut().unwrap();
        all.extend(grant.person.as_object().unwrap().clone());
    }

    let mut change = |name: &str, value: Value| claims[name] = value;
    match rules.mischief {
        Mischief::WrongNonce => change("nonce", json!(random())),
        Mischief::NoNonce => change("nonce", Value::Null),
        Mischief::OtherAudience => change("aud", json!("another")),
        Mischief::MoreAudiences => change("aud", json!([CLIENT_ID, "another"])),
        Mischief::MoreAudiencesThanTheParty => {
            change("aud", json!(["another", CLIENT_ID]));
            change("azp", json!(CLIENT_ID));
        }
        Mischief::OtherParty => change("azp", json!("another")),
        Mischief::OtherIssuer => change("iss", json!("https://login.evil.test")),
        Mischief::Expired => change("exp", json!(now - 120)),
        Mischief::FromTheFuture => change("iat", json!(now + 120)),
        Mischief::NotYetGood => change("nbf", json!(now + 120)),
        Mischief::OtherAccessToken => change("at_hash", json!(encoded(&[0; 16]))),
        Mischief::HalfAMinuteAhead => {
            change("iat", json!(now + 30));
            change("exp", json!(now - 30));
        }
        _ => {}
    }

    let (alg, kid) = match rules.mischief {
        Mischief::Unsigned => ("none", "rsa-1".to_owned()),
        Mischief::SignedWithOurSecret | Mischief::SignedWithThePublicKey => {
            ("HS256", "rsa-1".to_owned())
        }
        Mischief::OtherAlgorithm => ("ES256", "ec-1".to_owned()),
        Mischief::NewKey => {
            rules.generation += 1;
            ("ES256", format!("ec-{}", rules.generation))
        }
        _ => ("RS256", "rsa-1".to_owned()),
    };
    let header = json!({ "alg": alg, "kid": kid, "typ": "JWT" });
    let signed = format!(
        "{}.{}",
        encoded(header.to_string().as_bytes()),
        encoded(claims.to_string().as_bytes())
    );
    format!(
        "{signed}.{}",
        encoded(&signature(rules.mischief, alg, signed.as_bytes()))
    )
}

fn signature(mischief: Mischief, alg: &str, signed: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let with_secret = |secret: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        hmac::sign(&key, signed).as_ref().to_vec()
    };
    match (mischief, alg) {
        (Mischief::SignedWithOurSecret, _) => with_secret(CLIENT_SECRET.as_bytes()),
        (Mischief::SignedWithThePublicKey, _) => with_secret(rsa().public_key().as_ref()),
        (_, "none") => Vec::new(),
        (_, "ES256") => ec().sign(&random, signed).unwrap().as_ref().to_vec(),
        _ => {
            let foreign;
            let key = if mischief == Mischief::ForeignKey {
                foreign = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                &foreign
            } else {
                rsa()
            };
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, signed, &mut signature)
                .unwrap();
            signature
        }
    }
}

fn rsa() -> &'static RsaKeyPair {
    static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}

fn ec() -> &'static EcdsaKeyPair {
    static KEY: OnceLock<EcdsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn random() -> String {
    let mut bytes = [0; 24];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    encoded(&bytes)
}
