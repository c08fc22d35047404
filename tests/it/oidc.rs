//! Sign-in by an identity provider, by the real program: who is let in, as whom, and what a browser
//! or a provider that breaks the rules gets for it.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Response, StatusCode, header::SET_COOKIE};
use serde_json::{Value, json};
use tokio_rustls::{TlsAcceptor, rustls};
use url::Url;

use crate::{
    api::{CONFIG, sample},
    browser::{Look, Tab},
    harness::{Bridge, PATIENCE, run, unless_judged},
    identity_provider::{CLIENT_ID, CLIENT_SECRET, IdentityProvider, Mischief},
    port::free_port,
    sign_in::{browser, token_of},
};

/// The name that people know the bridge by.
const NAME: &str = "alerts.example.test";
const REDIRECT: &str = "http://alerts.example.test/sign-in/oidc/callback";
const ALLOWED: &str = "[{ group: oncall, role: operator }, { email_domain: example.com, role: viewer }, \
                       { subject: '4711', role: viewer }]";
const SESSION: &str = "__Host-alertbridge_session";

fn config(provider: &IdentityProvider, external_url: &str, allowed: &str) -> String {
    let login = format!(
        "{{ oidc: {{ issuer: '{}', client_id: {CLIENT_ID}, client_secret_file: secret, allowed: {allowed} }} }}",
        provider.issuer
    );
    let admin = format!("admin: {{ listen: '127.0.0.1:0', token: s3cret, login: {login} }}");
    let global = format!("global: {{ external_url: '{external_url}' }}\n");
    global + &CONFIG.replace("admin: { listen: '127.0.0.1:0' }", &admin)
}

fn start(folder: &Path, provider: &IdentityProvider) -> Bridge {
    fs::write(folder.join("secret"), CLIENT_SECRET).unwrap();
    Bridge::start(
        folder,
        &config(provider, &format!("http://{NAME}"), ALLOWED),
    )
}

fn ann() -> Value {
    json!({ "sub": "248289761001", "email": "Ann@example.com", "email_verified": true, "groups": ["dev", "oncall"] })
}

/// Somebody with a browser, which keeps cookies and follows nothing by itself.
#[derive(Default)]
struct Person {
    cookies: BTreeMap<String, String>,
}

impl Person {
    async fn goes(&mut self, bridge: &Bridge, path: &str) -> Response {
        let cookies = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let response = browser()
            .get(format!("{}{path}", bridge.admin))
            .header("host", NAME)
            .header("accept", "text/html")
            .header("cookie", cookies)
            .send()
            .await
            .unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }

    /// To the provider, and where that sends the browser back to.
    async fn agrees(&mut self, bridge: &Bridge, next: &str) -> String {
        let begun = self
            .goes(bridge, &format!("/sign-in/oidc?next={next}"))
            .await;
        assert_eq!(begun.status(), 303, "{}", bridge.log());
        let cookie = begun.headers()[SET_COOKIE].to_str().unwrap();
        for attribute in ["HttpOnly", "SameSite=Lax", "Secure", "Max-Age=600"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }

        let answer = browser().get(location(&begun)).send().await.unwrap();
        assert_eq!(answer.status(), 302, "{}", answer.text().await.unwrap());
        let back = location(&answer);
        let path = back.strip_prefix(&format!("http://{NAME}"));
        path.unwrap_or_else(|| panic!("{back}")).to_owned()
    }

    async fn signs_in(&mut self, bridge: &Bridge) -> Response {
        let back = self.agrees(bridge, "%2F").await;
        self.goes(bridge, &back).await
    }

    fn is_signed_in(&self) -> bool {
        self.cookies.contains_key(SESSION)
    }

    /// A silence, made as a page does it.
    async fn acts(&self, bridge: &Bridge) -> StatusCode {
        let cookie = format!("{SESSION}={}", self.cookies[SESSION]);
        let request = browser()
            .post(format!("{}/api/v1/silences", bridge.admin))
            .header("x-csrf-token", token_of(&cookie))
            .header("cookie", cookie)
            .body(r#"{"matchers": ["app_key=\"a\""], "comment": "c"}"#);
        request.send().await.unwrap().status()
    }
}

fn location(response: &Response) -> String {
    response.headers()["location"].to_str().unwrap().to_owned()
}

async fn asks(bridge: &Bridge, path: &str) -> Value {
    let request = browser().get(format!("{}{path}", bridge.admin));
    let response = request.bearer_auth("s3cret").send().await.unwrap();
    response.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_by_the_provider_and_act_as_who_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let provider = IdentityProvider::start(REDIRECT).await;
    let mut bridge = start(folder.path(), &provider);

    let mut person = Person::default();
    let turned_away = person.goes(&bridge, "/incidents?state=open").await;
    assert_eq!(
        location(&turned_away),
        "/sign-in?next=%2Fincidents%3Fstate%3Dopen"
    );
    let page = person
        .goes(&bridge, &location(&turned_away))
        .await
        .text()
        .await
        .unwrap();
    assert!(page.contains("Sign in with localhost"), "{page}");
    assert!(page.contains("&#x2f;oidc?next="), "{page}");
    assert!(!page.contains("password"), "{page}");

    // What the browser held before is worth nothing afterwards.
    let fixed = "a".repeat(43);
    provider.person(ann());
    let mut ann = Person::default();
    ann.cookies.insert(SESSION.to_owned(), fixed.clone());
    let back = ann.agrees(&bridge, "%2Fincidents%3Fstate%3Dopen").await;
    let arrived = ann.goes(&bridge, &back).await;
    assert_eq!(
        (arrived.status(), location(&arrived).as_str()),
        (StatusCode::SEE_OTHER, "/incidents?state=open")
    );
    assert_eq!(arrived.headers()["referrer-policy"], "no-referrer");
    let cookies: Vec<_> = arrived.headers().get_all(SET_COOKIE).iter().collect();
    assert!(
        cookies.iter().all(|cookie| cookie
            .to_str()
            .unwrap()
            .contains("; HttpOnly; SameSite=Lax; Secure")),
        "{cookies:?}"
    );
    assert_ne!(ann.cookies[SESSION], fixed);
    assert_eq!(ann.cookies.len(), 1, "the key of the sign-in is taken back");
    assert_eq!(ann.acts(&bridge).await, 201);

    // In a thin token there is nothing: the provider is asked.
    provider.person(json!({ "sub": "1", "email": "bob@EXAMPLE.com", "email_verified": "true" }));
    provider.set(|rules| rules.thin = true);
    let mut bob = Person::default();
    assert_eq!(location(&bob.signs_in(&bridge).await), "/");
    assert_eq!(bob.acts(&bridge).await, 403, "a viewer looks");
    let page = bob.goes(&bridge, "/").await.text().await.unwrap();
    assert!(page.contains("bob@EXAMPLE.com"), "{page}");
    provider.set(|rules| rules.thin = false);

    for (person, why) in [
        (
            json!({ "sub": "2", "email": "eve@example.com", "email_verified": false }),
            "not verified",
        ),
        (
            json!({ "sub": "2", "email": "eve@example.com" }),
            "not said to be verified",
        ),
        (
            json!({ "sub": "2", "email": "eve@evil.example.com", "email_verified": true }),
            "below the domain",
        ),
        (
            json!({ "sub": "2", "groups": ["oncall2"] }),
            "another group",
        ),
        (json!({ "sub": "47110" }), "another subject"),
    ] {
        provider.person(person);
        let mut eve = Person::default();
        assert_eq!(eve.signs_in(&bridge).await.status(), 403, "{why}");
        assert!(!eve.is_signed_in(), "{why}");
    }

    provider.person(json!({ "sub": "4711" }));
    let mut machine = Person::default();
    machine.signs_in(&bridge).await;
    let page = machine.goes(&bridge, "/audit").await.text().await.unwrap();
    assert!(page.contains("4711"), "{page}");
    let audit = asks(&bridge, "/api/v1/audit").await;
    assert_eq!(audit["items"][0]["by"], "Ann@example.com", "{audit}");

    // A restart keeps them; a list that names others ends them.
    bridge.kill();
    let bridge = start(folder.path(), &provider);
    assert_eq!(ann.acts(&bridge).await, 201);
    assert_no_secret(&bridge, &provider);
    drop(bridge);
    let others = ALLOWED.replace("oncall", "leads");
    let bridge = Bridge::start(
        folder.path(),
        &config(&provider, &format!("http://{NAME}"), &others),
    );
    assert_eq!(ann.acts(&bridge).await, 401);
}

/// Whatever the provider gave out, no log tells it.
fn assert_no_secret(bridge: &Bridge, provider: &IdentityProvider) {
    let log = bridge.log();
    for secret in provider.secrets() {
        assert!(!log.contains(&secret), "{secret}:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_breaks_a_rule_signs_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let provider = IdentityProvider::start(REDIRECT).await;
    provider.person(ann());
    let bridge = start(folder.path(), &provider);

    for (mischief, status) in [
        (Mischief::WrongNonce, 502),
        (Mischief::NoNonce, 502),
        (Mischief::OtherAudience, 502),
        (Mischief::MoreAudiences, 502),
        (Mischief::OtherParty, 502),
        (Mischief::OtherIssuer, 502),
        (Mischief::Expired, 502),
        (Mischief::FromTheFuture, 502),
        (Mischief::NotYetGood, 502),
        (Mischief::Unsigned, 502),
        (Mischief::SignedWithOurSecret, 502),
        (Mischief::SignedWithThePublicKey, 502),
        (Mischief::ForeignKey, 502),
        (Mischief::OtherAccessToken, 502),
        (Mischief::NoToken, 502),
        (Mischief::HalfAMinuteAhead, 303),
        (Mischief::OtherAlgorithm, 303),
        (Mischief::MoreAudiencesThanTheParty, 303),
        (Mischief::NewKey, 303),
        (Mischief::NewKey, 303),
        (Mischief::None, 303),
    ] {
        provider.set(|rules| rules.mischief = mischief);
        let mut person = Person::default();
        let answer = person.signs_in(&bridge).await;
        let told = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(told.0, status, "{mischief:?}: {}\n{}", told.1, bridge.log());
        assert_eq!(person.is_signed_in(), status == 303, "{mischief:?}");
        if mischief == Mischief::MoreAudiences {
            assert!(told.1.contains("(`azp`)"), "{}", told.1);
        }
        // Whoever signs in is slowed down no more for what went wrong before.
        provider.set(|rules| rules.mischief = Mischief::None);
        assert_eq!(
            Person::default().signs_in(&bridge).await.status(),
            303,
            "after {mischief:?}"
        );
    }
    assert_no_secret(&bridge, &provider);

    // What makes the bridge ask the provider is not had for nothing.
    provider.set(|rules| rules.mischief = Mischief::WrongNonce);
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(Person::default().signs_in(&bridge).await.status().as_u16());
    }
    assert_eq!(statuses, [502, 502, 502, 502, 502, 502, 429]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_good_once_for_the_browser_that_asked() {
    let folder = tempfile::tempdir().unwrap();
    let provider = IdentityProvider::start(REDIRECT).await;
    provider.person(ann());
    provider.set(|rules| rules.redeems_twice = true);
    let bridge = start(folder.path(), &provider);

    // Again in the same browser, with the key that it had to give back.
    let mut ann = Person::default();
    let back = ann.agrees(&bridge, "%2F").await;
    let held = ann.cookies.clone();
    assert_eq!(ann.goes(&bridge, &back).await.status(), 303);
    let mut again = Person {
        cookies: held.clone(),
    };
    assert_eq!(again.goes(&bridge, &back).await.status(), 400);
    assert!(!again.is_signed_in());

    // In another browser, with a key of its own or none; and the code under another sign-in.
    let mut victim = Person::default();
    let own = victim.agrees(&bridge, "%2F").await;
    let lured = Person::default().agrees(&bridge, "%2F").await;
    for mut browser in [
        Person::default(),
        Person {
            cookies: victim.cookies.clone(),
        },
    ] {
        assert_eq!(browser.goes(&bridge, &lured).await.status(), 400);
        assert!(!browser.is_signed_in());
    }
    let value = |path: &str, name: &str| {
        let url = Url::parse(REDIRECT).unwrap().join(path).unwrap();
        let found = url.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned()).unwrap()
    };
    let injected = format!(
        "/sign-in/oidc/callback?state={}&code={}",
        value(&own, "state"),
        value(&lured, "code")
    );
    assert_eq!(victim.goes(&bridge, &injected).await.status(), 400, "PKCE");
    assert!(!victim.is_signed_in());

    // Two tabs of one browser do not disturb each other.
    let mut tabs = Person::default();
    let (one, other) = (
        tabs.agrees(&bridge, "%2Fmails").await,
        tabs.agrees(&bridge, "%2Fsilences").await,
    );
    let mut twin = Person {
        cookies: tabs.cookies.clone(),
    };
    assert_eq!(location(&tabs.goes(&bridge, &one).await), "/mails");
    assert_eq!(location(&twin.goes(&bridge, &other).await), "/silences");

    // Nobody is led elsewhere, and nothing but a code is taken for one.
    for elsewhere in [
        "%2F%2Fevil.test",
        "https%3A%2F%2Fevil.test",
        "%2F%5Cevil.test",
    ] {
        let mut lured = Person::default();
        let back = lured.agrees(&bridge, elsewhere).await;
        assert_eq!(
            location(&lured.goes(&bridge, &back).await),
            "/",
            "{elsewhere}"
        );
    }
    let mut ann = Person::default();
    let back = ann.agrees(&bridge, "%2F").await;
    for odd in [
        "/sign-in/oidc/callback".to_owned(),
        format!("{back}&code=another"),
        format!("{back}&state=another"),
        back.replace("state=", "state=1"),
    ] {
        assert_eq!(ann.goes(&bridge, &odd).await.status(), 400, "{odd}");
    }

    provider.set(|rules| rules.denies = Some("access_denied"));
    let denied = ann.signs_in(&bridge).await;
    assert_eq!(denied.status(), 403);
    assert!(denied.text().await.unwrap().contains("access_denied"));
    assert_no_secret(&bridge, &provider);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_another_provider_gave_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let provider = IdentityProvider::start(REDIRECT).await;
    provider.person(ann());
    let issuer = provider.issuer.clone();
    provider.set(|rules| rules.iss = Some(issuer.clone()));
    let bridge = start(folder.path(), &provider);

    assert_eq!(Person::default().signs_in(&bridge).await.status(), 303);
    let without = |back: &str| back.split("&iss=").next().unwrap().to_owned();
    let other = |back: &str| without(back) + "&iss=https%3A%2F%2Flogin.evil.test";
    for change in [&without as &dyn Fn(&str) -> String, &other] {
        let mut person = Person::default();
        let back = person.agrees(&bridge, "%2F").await;
        assert_eq!(person.goes(&bridge, &change(&back)).await.status(), 400);
        assert_eq!(
            person.goes(&bridge, &back).await.status(),
            303,
            "the right one is not used up"
        );
    }

    // A redirect address that the provider does not know is refused there.
    provider.set(|rules| rules.redirect_uri = format!("{REDIRECT}/"));
    let begun = Person::default().goes(&bridge, "/sign-in/oidc").await;
    let answer = browser().get(location(&begun)).send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_paged_while_the_provider_is_down_and_people_come_in_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut provider = IdentityProvider::start(REDIRECT).await;
    provider.person(ann());
    provider.die().await;
    let bridge = start(folder.path(), &provider);

    let refused = Person::default().goes(&bridge, "/sign-in/oidc").await;
    assert_eq!(refused.status(), 503);
    let told = refused.text().await.unwrap();
    assert!(
        told.contains("localhost cannot be reached") && told.contains("Sign in with"),
        "{told}"
    );
    let mail = sample(folder.path(), "down", &[]);
    assert_eq!(bridge.post(&mail).await.unwrap(), 202);
    bridge.printed("down", 1).await;

    // One that says nothing keeps nobody longer than it has to, and many no longer than one.
    provider.set(|rules| rules.hangs = true);
    provider.come_back().await;
    until(async || {
        let mut person = Person::default();
        let visit = person.goes(&bridge, "/sign-in/oidc");
        let _given_up = tokio::time::timeout(Duration::from_millis(200), visit).await;
        provider.asked("discovery") > 0
    })
    .await;
    let begun = Instant::now();
    let (mut one, mut other, mut third) = (Person::default(), Person::default(), Person::default());
    let visits = tokio::join!(
        one.goes(&bridge, "/sign-in/oidc"),
        other.goes(&bridge, "/sign-in/oidc"),
        third.goes(&bridge, "/sign-in/oidc"),
    );
    for visit in [visits.0, visits.1, visits.2] {
        assert_eq!(visit.status(), 503);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(25),
        "{:?}",
        begun.elapsed()
    );

    provider.set(|rules| rules.hangs = false);
    until(async || {
        let begun = Person::default().goes(&bridge, "/sign-in/oidc").await;
        begun.status() == 303
    })
    .await;
    assert_eq!(Person::default().signs_in(&bridge).await.status(), 303);

    // What it has said of itself is not asked again; what it takes no secret for is told.
    let before = provider.asked("discovery");
    fs::write(folder.path().join("secret"), "another").unwrap();
    let refused = Person::default().signs_in(&bridge).await;
    assert_eq!(refused.status(), 502);
    assert!(refused.text().await.unwrap().contains("invalid_client"));
    assert_eq!(provider.asked("discovery"), before);
    provider.die().await;
    let begun = Person::default().goes(&bridge, "/sign-in/oidc").await;
    assert_eq!(begun.status(), 303, "what is known is enough to begin");
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "it did not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_with_a_private_certificate_is_trusted_by_its_ca_file() {
    let folder = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.path().join("ca.pem"), issued.cert.pem()).unwrap();
    let provider = IdentityProvider::start_over(REDIRECT, Some(acceptor(&issued))).await;
    provider.person(ann());

    fs::write(folder.path().join("secret"), CLIENT_SECRET).unwrap();
    let unknown = config(&provider, &format!("http://{NAME}"), ALLOWED);
    let trusted = unknown.replace(
        "client_secret_file: secret",
        "client_secret_file: secret, ca_file: ca.pem",
    );
    for (config, state) in [(&unknown, "findings"), (&trusted, "passed")] {
        fs::write(
            folder.path().join("alertbridge.yaml"),
            unless_judged(config),
        )
        .unwrap();
        let told = run(folder.path(), &["doctor", "--json"]).stdout;
        let told: Value = serde_json::from_slice(&told).unwrap();
        let about = |one: &&Value| one["about"] == "admin.login.oidc";
        let found = told[state].as_array().unwrap().iter().find(about);
        assert!(found.is_some(), "{state}: {told:#}");
    }

    let bridge = Bridge::start(folder.path(), &trusted);
    let begun = Person::default().goes(&bridge, "/sign-in/oidc").await;
    assert_eq!(begun.status(), 303, "{}", begun.text().await.unwrap());
}

fn acceptor(issued: &rcgen::CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    let key =
        rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let crypto = rustls::crypto::aws_lc_rs::default_provider();
    let settings = rustls::ServerConfig::builder_with_provider(crypto.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(settings))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_browser_comes_back_from_another_site_signed_in() {
    let folder = tempfile::tempdir().unwrap();
    let own = format!("http://127.0.0.1:{}", free_port());
    let provider = IdentityProvider::start(&format!("{own}/sign-in/oidc/callback")).await;
    provider.person(ann());
    fs::write(folder.path().join("secret"), CLIENT_SECRET).unwrap();
    let listen = own.trim_start_matches("http://");
    let config = config(&provider, &own, ALLOWED)
        .replace("127.0.0.1:0', token", &format!("{listen}', token"));
    let _bridge = Bridge::start(folder.path(), &config);

    let at = own.clone();
    tokio::task::spawn_blocking(move || {
        let tab = Tab::open(Look::default());
        tab.go(&format!("{at}/incidents"));
        assert!(tab.path().starts_with("/sign-in"), "{}", tab.path());
        tab.follow("a.button");
        assert_eq!(tab.path(), "/incidents");
        let page = tab.text("document.body.innerText");
        assert!(page.contains("Ann@example.com"), "{page}");
    })
    .await
    .unwrap();
}
