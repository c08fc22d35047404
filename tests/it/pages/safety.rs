//! What a mail, another site, or somebody who may not, cannot do by a page.

use std::time::Instant;

use reqwest::{StatusCode, header};
use serde_json::json;

use super::data::{Alert, Bed, hostile};
use crate::{
    browser::{Look, Tab},
    harness::{PATIENCE, client},
};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_mail_holds_is_obeyed_on_any_page() {
    let bed = Bed::new();
    bed.send(&hostile()).await;
    bed.bridge.settled(1).await;
    let tab = Tab::open(Look::default());
    let incident = "/incidents/HOSTILE%22%3E%3Cscript%3Epwned()%3C%2Fscript%3E";
    let safe = "window.pwned === undefined && !document.querySelector('#evil, main img, [onload], \
                [onerror], main script')";

    for page in [
        "/",
        "/incidents",
        incident,
        &format!("{incident}/resolve"),
        "/mails",
        "/mails/1",
        "/mails/1/release",
        "/deliveries",
        "/rules?mail=1",
        "/silences/new?matchers=kind%3Dincident",
        "/silences/new?matchers=%3C/textarea%3E%3Cscript%3Epwned()%3C/script%3E\
         &comment=%22%3E%3Cb%20id=evil%3E",
        "/incidents?q=%22%3E%3Cb%20id=evil%3E&severity=%3Cb%20id=evil%3E",
        "/rules?labels=%3C/textarea%3E%3Cb%20id=evil%3E&at=%3Cb%3E",
        "/mails?outcome=%3Cb%20id=evil%3E",
        "/%3Cb%20id=evil%3E",
    ] {
        tab.go(&bed.at(page));
        assert_eq!(
            tab.eval(safe),
            json!(true),
            "{page}: {}",
            tab.text("document.body.innerHTML")
        );
        let text = tab.text("document.documentElement.innerText + document.title");
        let hidden = |c: char| matches!(c, '\u{200b}' | '\u{202e}' | '\u{2066}');
        assert!(
            !text.contains(hidden),
            "{page} shows what turns writing around: {text:?}"
        );
    }

    // Its own layout is shown, and can do nothing.
    tab.go(&bed.at(incident));
    tab.eval("document.querySelectorAll('details').forEach((e) => { e.open = true; })");
    tab.until("performance.getEntriesByType('resource').some((e) => e.name.endsWith('/html'))");
    tab.go(&bed.at("/mails/1/html"));
    assert_eq!(tab.text("document.querySelector('h1').innerText"), "Alert");
    assert_eq!(tab.eval("window.pwned === undefined"), json!(true));
    let foreign = |url: &String| !url.starts_with(&bed.admin) && !url.starts_with("about:");
    let foreign: Vec<_> = tab.requests().into_iter().filter(foreign).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_forbids_what_it_does_not_need() {
    let bed = Bed::with_everything().await;
    for page in super::PAGES {
        let reply = client()
            .get(bed.at(page))
            .header("accept", "text/html")
            .send()
            .await
            .unwrap();
        let header = |name: &str| {
            reply
                .headers()
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
                .to_owned()
        };
        let policy = header("content-security-policy");
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(directive), "{page}: {policy}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{page}: {policy}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff", "{page}");
        assert_eq!(header("x-frame-options"), "DENY", "{page}");
        assert_eq!(header("cache-control"), "no-store", "{page}");
        assert!(
            header("content-type").starts_with("text/html"),
            "{page}: {}",
            header("content-type")
        );
        let text = reply.text().await.unwrap();
        for inline in [
            "<script>",
            " onclick=",
            " style=",
            "javascript:",
            "http://www",
        ] {
            assert!(!text.contains(inline), "{page} holds {inline}");
        }
    }
    let raw = client().get(bed.at("/mails/1/raw")).send().await.unwrap();
    assert_eq!(
        raw.headers()[header::CONTENT_DISPOSITION],
        "attachment; filename=\"mail-1.eml\""
    );
    let layout = client().get(bed.at("/mails/1/html")).send().await.unwrap();
    let policy = layout.headers()[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap();
    assert!(
        policy.contains("sandbox") && policy.contains("default-src 'none'"),
        "{policy}"
    );
    assert!(
        !policy.contains("allow-") && !policy.contains("script-src"),
        "{policy}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shown_is_said_in_a_sentence() {
    let bed = Bed::new();
    for (page, more, status, said) in [
        ("/mails/99", None, 404, "There is no mail 99."),
        ("/no/such/page", None, 404, "There is no such page."),
        (
            "/objectives?at=yesterday",
            None,
            400,
            "`at`: write it like 2026-03-01T03:00:00Z or 2026-03-01.",
        ),
        (
            "/incidents?sate=open",
            None,
            400,
            "There is no `sate` (did you mean `state`?); there are q, state,",
        ),
        (
            "/mails?outcome=opne",
            None,
            400,
            "`outcome` is pending, opened, ",
        ),
        (
            "/mails?limit=5",
            None,
            400,
            "There is no `limit`; there are q, outcome,",
        ),
        (
            "/mails/discard?up_to=many",
            None,
            400,
            "`up_to` is a number, not `many`.",
        ),
        (
            "/incidents?profile=nosuch",
            None,
            200,
            "No incident matches: no profile is called nosuch.",
        ),
        (
            "/",
            Some(("host", "evil.test")),
            421,
            "This listener does not know the name in Host: use its address, or add the name to \
             admin.hosts.",
        ),
        (
            "/",
            Some(("origin", "https://evil.test")),
            403,
            "The page that sent this is of another origin: add its name to admin.hosts.",
        ),
    ] {
        let mut request = client().get(bed.at(page)).header("accept", "text/html");
        if let Some((name, value)) = more {
            request = request.header(name, value);
        }
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), status, "{page}");
        let text = reply.text().await.unwrap().replace("&#x2f;", "/");
        assert!(text.contains(said), "{page}: {text}");
        for jargon in ["Not Found", "Bad Request", "Forbidden", "Misdirected"] {
            assert!(!text.contains(jargon), "{page}: {text}");
        }
    }
    let api = client().get(bed.at("/api/v1/mails"));
    let reply = api.header("host", "evil.test").send().await.unwrap();
    assert_eq!(
        reply.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_can_do_nothing_by_a_form_of_its_own() {
    let bed = Bed::new();
    bed.send(&Alert::new("BROKE")).await;
    bed.bridge.settled(1).await;
    let tab = Tab::open(Look::default());
    tab.go(&bed.at("/incidents/BROKE/resolve"));
    let token = tab.text("document.querySelector('[name=csrf]').value");
    assert_eq!(token.len(), 64);

    let action = bed.at("/incidents/BROKE/resolve");
    let post = |origin: String, cookie: Option<String>, token: Option<String>| {
        let mut request = client()
            .post(&action)
            .header("origin", origin)
            .header("accept", "text/html");
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        let form = token
            .map(|token| format!("csrf={token}"))
            .unwrap_or_default();
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
    };
    for (what, request) in [
        (
            "another origin",
            post("http://evil.test".into(), None, Some(token.clone())),
        ),
        ("no origin", post("null".into(), None, Some(token.clone()))),
        ("no token", post(bed.admin.clone(), None, None)),
        (
            "no cookie",
            post(bed.admin.clone(), None, Some(token.clone())),
        ),
        (
            "another's token",
            post(
                bed.admin.clone(),
                Some(format!("alertbridge_csrf={}", "A".repeat(43))),
                Some(token.clone()),
            ),
        ),
    ] {
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::FORBIDDEN, "{what}");
    }
    tab.go(&bed.at("/incidents/BROKE"));
    assert!(tab.says().contains("open for"), "{}", tab.says());
}

/// `correct horse`, hashed as `argon2 -id -t 1 -m 8 -p 1` does.
const HASH: &str =
    "$argon2id$v=19$m=256,t=1,p=1$c29tZXNhbHRvZm91cnM$gT4XhhWefDceVbbuA/goAEdVrpdIgT+yOWPatJdcyIo";

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_act_by_their_role_and_are_led_back_where_a_session_ends_in_between() {
    let users = tempfile::tempdir().unwrap();
    let file = users.path().join("users");
    let write = |hash: &str| {
        std::fs::write(&file, format!("ann:operator:{hash}\nvic:viewer:{hash}\n")).unwrap();
    };
    write(HASH);
    let bed = Bed::with(&format!(
        "admin: {{ listen: '127.0.0.1:0', login: {{ users_file: '{}' }} }}",
        file.display()
    ));
    assert_eq!(
        bed.bridge.post(&Alert::new("BROKE").mail()).await.unwrap(),
        202
    );
    let tab = Tab::open(Look {
        javascript: false,
        ..Look::default()
    });

    let sign_in = |name: &str, password: &str| {
        tab.fill("#name", name);
        tab.fill("#password", password);
        tab.choose("Sign in");
    };
    tab.go(&bed.at("/incidents/BROKE"));
    assert_eq!(tab.path(), "/sign-in?next=%2Fincidents%2FBROKE");
    let focus = "document.activeElement.id";
    assert_eq!(tab.text(focus), "name");
    sign_in("ann", "wrong");
    assert!(
        tab.says().contains("The name or the password is wrong."),
        "{}",
        tab.says()
    );
    assert_eq!(tab.text("document.getElementById('name').value"), "ann");
    assert_eq!(tab.text(focus), "password");
    let described = "[...document.querySelectorAll('#name, #password')].map((e) => \
                     document.getElementById(e.getAttribute('aria-describedby')).innerText)";
    let why = "The name or the password is wrong.";
    assert_eq!(tab.eval(described), json!([why, why]));
    sign_in("ann", "correct horse");
    assert_eq!(tab.path(), "/incidents/BROKE");
    assert!(
        tab.text("document.querySelector('footer').innerText")
            .contains("ann (operator)")
    );

    // The password changes while the question stands there: the yes leads to the sign-in, and back
    // to the question. Nothing is done by it.
    tab.choose("Resolve by hand");
    write(&HASH.replace("v=19$m=256", "v=19$m=257"));
    tab.choose("Resolve it");
    assert_eq!(
        tab.path(),
        "/sign-in?next=%2Fincidents%2FBROKE%2Fresolve&acted=yes"
    );
    let ended = "Your session has ended; nothing was done. Sign in to continue.";
    assert!(tab.says().contains(ended), "{}", tab.says());
    write(HASH);
    sign_in("ann", "correct horse");
    assert_eq!(tab.path(), "/incidents/BROKE/resolve");
    tab.choose("Back");
    assert!(tab.says().contains("open for"), "{}", tab.says());

    // What was filled in is there again.
    let form = "/silences/new?matchers=severity%3Dcritical&comment=the+database+moves";
    tab.go(&bed.at(form));
    write(&HASH.replace("v=19$m=256", "v=19$m=257"));
    tab.choose("Create this silence");
    assert!(tab.says().contains(ended), "{}", tab.says());
    write(HASH);
    sign_in("ann", "correct horse");
    assert!(tab.path().starts_with("/silences/new?"), "{}", tab.path());
    let matchers = tab.text("document.getElementById('matchers').value");
    assert_eq!(matchers, "severity=critical");
    assert!(tab.says().contains("the database moves"), "{}", tab.says());
    let other = Alert {
        app: ("com.example.other", "Another's"),
        ..Alert::new("OTHER")
    };
    assert_eq!(bed.bridge.post(&other.mail()).await.unwrap(), 202);
    let deadline = Instant::now() + PATIENCE;
    while !tab.says().contains("app_keys") {
        assert!(Instant::now() < deadline, "{}", tab.says());
        tab.go(&bed.at("/mails?outcome=quarantined"));
    }
    tab.go(&bed.at("/mails/discard?ingress=mail"));
    tab.fill("#from", "@example.com");
    write(&HASH.replace("v=19$m=256", "v=19$m=257"));
    tab.choose("Discard them");
    assert!(tab.says().contains(ended), "{}", tab.says());
    write(HASH);
    sign_in("ann", "correct horse");
    let asked = "['ingress', 'from'].map((name) => document.querySelector(`[name=${name}]`).value)";
    assert_eq!(tab.eval(asked), json!(["mail", "@example.com"]));
    assert!(tab.says().contains("Discard 1 mail"), "{}", tab.says());
    write(&HASH.replace("v=19$m=256", "v=19$m=257"));
    tab.go(&bed.at("/silences"));
    let ended = "Your session has ended. Sign in to continue.";
    assert!(tab.says().contains(ended), "{}", tab.says());
    write(HASH);
    sign_in("ann", "correct horse");

    // A page that stays open says that it is no longer what is.
    let kept = Tab::open(Look::default());
    kept.go(&bed.at("/sign-in"));
    kept.fill("#name", "ann");
    kept.fill("#password", "correct horse");
    kept.choose("Sign in");
    // What was pasted with much work is there again, too.
    kept.go(&bed.at("/rules"));
    kept.fill("#config", "route: { receiver: other }");
    write(&HASH.replace("v=19$m=256", "v=19$m=257"));
    kept.choose("Compare");
    assert!(kept.path().starts_with("/sign-in?"), "{}", kept.path());
    write(HASH);
    kept.fill("#name", "ann");
    kept.fill("#password", "correct horse");
    kept.choose("Sign in");
    assert_eq!(kept.path(), "/rules");
    assert_eq!(
        kept.text("document.getElementById('config').value"),
        "route: { receiver: other }"
    );
    kept.go(&bed.at("/rules"));
    assert_eq!(kept.text("document.getElementById('config').value"), "");
    kept.go(&bed.at("/"));

    let says =
        |text: &str| format!("document.querySelector('#live').innerText.startsWith('{text}')");
    kept.until(&says("Live: "));
    write(&HASH.replace("v=19$m=256", "v=19$m=257"));
    let more = Alert::new("MORE").mail();
    assert_eq!(bed.bridge.post(&more).await.unwrap(), 202);
    kept.until(&says("Not live: you are signed out."));
    write(HASH);
    tab.follow("footer button");

    // Who may look may not act.
    tab.go(&bed.at("/incidents/BROKE"));
    sign_in("vic", "correct horse");
    assert!(tab.says().contains("open for") && !tab.says().contains("Resolve by hand"));
    tab.go(&bed.at("/incidents/BROKE/resolve"));
    assert!(
        tab.says()
            .contains("Only an operator can act: vic is a viewer"),
        "{}",
        tab.says()
    );
}
