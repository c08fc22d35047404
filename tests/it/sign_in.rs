//! Who is let in, by the real program: passwords, roles, sessions, proxies, and pages of others.

use std::{fs, path::Path};

use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher as _};
use reqwest::{Client, Response, StatusCode, redirect::Policy};

use crate::{api::CONFIG, harness::Bridge};

/// A line of a users file; the hash takes little work.
fn line(name: &str, role: &str, password: &str) -> String {
    let params = Params::new(8, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(password.as_bytes()).unwrap();
    format!("{name}:{role}:{hash}\n")
}

fn start(folder: &Path, login: &str) -> Bridge {
    let admin = format!("admin: {{ listen: '127.0.0.1:0', token: s3cret, login: {login} }}");
    Bridge::start(
        folder,
        &CONFIG.replace("admin: { listen: '127.0.0.1:0' }", &admin),
    )
}

pub fn browser() -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder()
        .redirect(Policy::none())
        .pool_max_idle_per_host(0)
        .build()
        .unwrap()
}

const FORM: &str = "application/x-www-form-urlencoded";

fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

async fn sign_in(bridge: &Bridge, name: &str, password: &str, cookie: &str) -> Response {
    browser()
        .post(format!("{}/sign-in", bridge.admin))
        .header("origin", &bridge.admin)
        .header("cookie", cookie)
        .header("content-type", FORM)
        .body(form(&[("name", name), ("password", password)]))
        .send()
        .await
        .unwrap()
}

/// The cookie that an answer gives.
fn given(response: &Response) -> String {
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

async fn asks(bridge: &Bridge, path: &str, headers: &[(&str, &str)]) -> StatusCode {
    let mut request = browser().get(format!("{}{path}", bridge.admin));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status()
}

/// An action of a page, with the token that the page would send.
async fn acts(bridge: &Bridge, cookie: &str, token: &str, more: &[(&str, &str)]) -> StatusCode {
    let mut request = browser()
        .post(format!("{}/api/v1/silences", bridge.admin))
        .header("cookie", cookie)
        .header("x-csrf-token", token)
        .body(r#"{"matchers": ["app_key=\"a\""], "comment": "c"}"#);
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status()
}

pub fn token_of(cookie: &str) -> String {
    let key = cookie.split_once('=').unwrap().1;
    let digest =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, format!("csrf:{key}").as_bytes());
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_with_a_password_and_ends_with_its_change() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    let people = line("ann", "operator", "open sesame") + &line("bob", "viewer", "let me look");
    fs::write(&users, &people).unwrap();
    let mut bridge = start(folder.path(), "{ users_file: users }");

    let mails = "/api/v1/mails";
    assert_eq!(asks(&bridge, mails, &[]).await, 401);
    assert_eq!(
        asks(&bridge, mails, &[("authorization", "Bearer s3cret")]).await,
        200
    );
    assert_eq!(asks(&bridge, "/-/healthy", &[]).await, 200);
    assert_eq!(asks(&bridge, "/metrics", &[]).await, 401);
    for page in ["/", "/incidents?state=open"] {
        assert_eq!(
            asks(&bridge, page, &[("accept", "text/html")]).await,
            303,
            "{page}"
        );
    }

    // What the browser held before is worth nothing afterwards.
    let fixed = format!("alertbridge_session={}", "a".repeat(43));
    let signed_in = sign_in(&bridge, "ann", "open sesame", &fixed).await;
    assert_eq!(signed_in.status(), 303);
    let said = signed_in.headers()["set-cookie"].to_str().unwrap();
    assert!(
        said.contains("HttpOnly") && said.contains("SameSite=Lax"),
        "{said}"
    );
    let ann = given(&signed_in);
    assert_ne!(ann, fixed);
    assert_eq!(asks(&bridge, mails, &[("cookie", &fixed)]).await, 401);
    assert_eq!(asks(&bridge, mails, &[("cookie", &ann)]).await, 200);
    let bob = given(&sign_in(&bridge, "bob", "let me look", "").await);

    // A page of another site has neither the token nor our origin.
    let own = bridge.admin.clone();
    assert_eq!(acts(&bridge, &ann, "", &[("origin", &own)]).await, 403);
    assert_eq!(
        acts(&bridge, &ann, &token_of(&bob), &[("origin", &own)]).await,
        403
    );
    for foreign in [
        ("origin", "https://evil.test"),
        ("origin", "null"),
        ("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(
            acts(&bridge, &ann, &token_of(&ann), &[foreign]).await,
            403,
            "{foreign:?}"
        );
    }
    assert_eq!(
        acts(&bridge, &ann, &token_of(&ann), &[("origin", &own)]).await,
        201
    );
    assert_eq!(
        acts(&bridge, &bob, &token_of(&bob), &[]).await,
        403,
        "a viewer looks"
    );

    // A restart keeps them; a changed password ends hers alone.
    bridge.kill();
    let bridge = start(folder.path(), "{ users_file: users }");
    assert_eq!(asks(&bridge, mails, &[("cookie", &ann)]).await, 200);
    fs::write(
        &users,
        people.replace(&line_of(&people, "ann"), &line("ann", "operator", "new")),
    )
    .unwrap();
    assert_eq!(acts(&bridge, &ann, &token_of(&ann), &[]).await, 401);
    assert_eq!(asks(&bridge, mails, &[("cookie", &ann)]).await, 401);
    assert_eq!(asks(&bridge, mails, &[("cookie", &bob)]).await, 200);

    let out = browser()
        .post(format!("{}/sign-out", bridge.admin))
        .header("cookie", &bob)
        .header("content-type", FORM)
        .body(form(&[("csrf", &token_of(&bob))]))
        .send()
        .await
        .unwrap();
    assert_eq!(out.status(), 303);
    assert_eq!(asks(&bridge, mails, &[("cookie", &bob)]).await, 401);
    let store = fs::read(folder.path().join("alertbridge.db")).unwrap();
    let key = ann.split_once('=').unwrap().1.as_bytes();
    assert!(
        !store.windows(key.len()).any(|bytes| bytes == key),
        "the store holds no key"
    );
}

/// Back to the page whose form was sent, if that is one of ours.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_turned_away_from_an_action_is_led_back_to_its_page_alone() {
    let folder = tempfile::tempdir().unwrap();
    let users = line("ann", "operator", "open sesame");
    fs::write(folder.path().join("users"), users).unwrap();
    let bridge = start(folder.path(), "{ users_file: users }");
    let own = bridge.admin.as_str();

    let question = "%2Fincidents%2FX%2Fresolve";
    for (referer, next) in [
        (
            format!("{own}/silences/new?comment=a+b"),
            "%2Fsilences%2Fnew%3Fcomment%3Da%2Bb",
        ),
        ("https://evil.test/elsewhere".to_owned(), question),
        (format!("{own}//evil.test/"), question),
        (String::new(), question),
    ] {
        let answer = browser()
            .post(format!("{own}/incidents/X/resolve"))
            .header("accept", "text/html")
            .header("referer", &referer)
            .send()
            .await
            .unwrap();
        assert_eq!(
            answer.headers()["location"],
            format!("/sign-in?next={next}&acted=yes"),
            "{referer}"
        );
    }

    // With what was filled in, where the form is one of ours; never with the token of its page.
    let field = "from=%40example.com&csrf=secret";
    for (referer, next) in [
        (
            format!("{own}/mails/discard"),
            "%2Fmails%2Fdiscard%3Ffrom%3D%2540example%2Ecom",
        ),
        (
            "https://evil.test/elsewhere".to_owned(),
            "%2Fmails%2Fdiscard",
        ),
    ] {
        let answer = browser()
            .post(format!("{own}/mails/discard"))
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("referer", &referer)
            .body(field)
            .send()
            .await
            .unwrap();
        assert_eq!(
            answer.headers()["location"],
            format!("/sign-in?next={next}&acted=yes"),
            "{referer}"
        );
    }

    // What an address claims is said to nobody who held no session; that nothing was done is so.
    let page = browser().get(format!("{own}/sign-in?acted=yes"));
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("session has ended"), "{page}");
    assert!(page.contains("Nothing was done."), "{page}");
}

fn line_of(people: &str, name: &str) -> String {
    let line = people.lines().find(|line| line.starts_with(name)).unwrap();
    format!("{line}\n")
}

/// A neighbour below the same domain can plant a cookie, but none whose name has the prefix.
#[tokio::test(flavor = "multi_thread")]
async fn where_people_come_by_https_no_planted_cookie_counts() {
    let folder = tempfile::tempdir().unwrap();
    let users = line("ann", "operator", "open sesame");
    fs::write(folder.path().join("users"), users).unwrap();
    let admin = "admin: { listen: '127.0.0.1:0', token: s3cret, login: { users_file: users } }\n\
                 global: { external_url: 'https://alerts.example.test' }";
    let config = CONFIG.replace("admin: { listen: '127.0.0.1:0' }", admin);
    let bridge = Bridge::start(folder.path(), &config);

    let signed_in = sign_in(&bridge, "ann", "open sesame", "").await;
    let said = signed_in.headers()["set-cookie"].to_str().unwrap();
    assert!(
        said.starts_with("__Host-alertbridge_session=")
            && said.contains("; Path=/;")
            && said.contains("; Secure"),
        "{said}"
    );
    let own = given(&signed_in);
    let bare = own.trim_start_matches("__Host-").to_owned();
    let mails = "/api/v1/mails";
    for host in ["127.0.0.1", "alerts.example.test"] {
        for (cookie, status) in [(&own, 200), (&bare, 401)] {
            let headers = [("host", host), ("cookie", cookie)];
            assert_eq!(asks(&bridge, mails, &headers).await, status, "{cookie}");
        }
    }
    assert_eq!(acts(&bridge, &own, &token_of(&own), &[]).await, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_is_slowed_down() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("users"),
        line("ann", "operator", "right"),
    )
    .unwrap();
    let bridge = start(folder.path(), "{ users_file: users }");
    let mut slowed = false;
    for guess in 0..20 {
        let response = sign_in(&bridge, "ann", &format!("guess {guess}"), "").await;
        match response.status().as_u16() {
            401 => assert!(!slowed, "once slowed, always slowed"),
            429 => {
                assert!(response.headers().contains_key("retry-after"));
                slowed = true;
            }
            other => panic!("{other}"),
        }
    }
    assert!(slowed);
    // The right password waits too, and programs do not.
    assert_eq!(sign_in(&bridge, "ann", "right", "").await.status(), 429);
    for forged in ["A".repeat(43), String::new()] {
        let known = format!("alertbridge_known={forged}");
        assert_eq!(sign_in(&bridge, "ann", "right", &known).await.status(), 429);
    }
    assert_eq!(
        asks(&bridge, "/metrics", &[("authorization", "Bearer s3cret")]).await,
        200
    );
}

/// Behind a proxy all people come from one address.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_locks_nobody_out_of_a_browser_that_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let people = line("ann", "operator", "right") + &line("bob", "viewer", "let me look");
    fs::write(folder.path().join("users"), people).unwrap();
    let bridge = start(folder.path(), "{ users_file: users }");
    let known = async |name: &str, password: &str| {
        let signed_in = sign_in(&bridge, name, password, "").await;
        let given = signed_in.headers().get_all("set-cookie");
        let mut given = given.iter().map(|cookie| cookie.to_str().unwrap());
        let known = given.find(|cookie| cookie.starts_with("alertbridge_known="));
        known.unwrap().split(';').next().unwrap().to_owned()
    };
    let (ann, bob) = (
        known("ann", "right").await,
        known("bob", "let me look").await,
    );
    assert_ne!(ann, bob);

    while sign_in(&bridge, "ann", "guess", "").await.status() != 429 {}
    assert_eq!(sign_in(&bridge, "ann", "right", &bob).await.status(), 429);
    assert_eq!(sign_in(&bridge, "ann", "right", &ann).await.status(), 303);

    // It signs nobody in, and gets no more guesses than others.
    assert_eq!(
        asks(&bridge, "/api/v1/mails", &[("cookie", &ann)]).await,
        401
    );
    let mut guesses = 0;
    while sign_in(&bridge, "ann", "guess", &ann).await.status() != 429 {
        guesses += 1;
    }
    assert_eq!(guesses, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxys_header_is_believed_from_its_network_alone() {
    for (from, status) in [("127.0.0.0/8", 200), ("192.0.2.0/24", 401)] {
        let folder = tempfile::tempdir().unwrap();
        let login = format!("{{ proxy: {{ header: X-Forwarded-User, from: ['{from}'] }} }}");
        let bridge = start(folder.path(), &login);
        let named = [("x-forwarded-user", "ann")];
        assert_eq!(
            asks(&bridge, "/api/v1/audit", &named).await,
            status,
            "{from}"
        );
        assert_eq!(asks(&bridge, "/api/v1/audit", &[]).await, 401);
        let twice = [("x-forwarded-user", "ann"), ("x-forwarded-user", "eve")];
        assert_eq!(asks(&bridge, "/api/v1/audit", &twice).await, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_loopback_without_a_sign_in_tools_act_and_pages_of_others_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(folder.path(), CONFIG);
    assert_eq!(acts(&bridge, "a=b", "", &[]).await, 201, "curl");
    for foreign in [
        ("origin", "https://evil.test"),
        ("sec-fetch-site", "cross-site"),
        ("host", "evil.test"),
    ] {
        let status = acts(&bridge, "a=b", "", &[foreign]).await;
        assert!(
            matches!(status.as_u16(), 403 | 421),
            "{foreign:?}: {status}"
        );
    }

    // Our own page reads its token with the cookie, and sends it along.
    let cookie = format!("alertbridge_csrf={}", "b".repeat(43));
    let own = ("origin", bridge.admin.as_str());
    assert_eq!(acts(&bridge, &cookie, "", &[own]).await, 403);
    assert_eq!(
        acts(&bridge, &cookie, &token_of(&cookie), &[own]).await,
        201
    );

    // Bodies are bounded.
    let huge = browser()
        .post(format!("{}/api/v1/silences", bridge.admin))
        .body(vec![b' '; 2 << 20]);
    assert_eq!(huge.send().await.unwrap().status(), 413);
    let answer = browser()
        .get(format!("{}/api/v1/mails", bridge.admin))
        .send()
        .await
        .unwrap();
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.headers()[name], value);
    }
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(
        policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
}
