//! Pages that show by themselves what changes, however many of them are open.

use std::time::{Duration, Instant};

use serde_json::json;

use super::data::{Alert, Bed};
use crate::browser::{Look, Tab};

const IS_LIVE: &str = "document.getElementById('live')?.innerText.startsWith('Live: ') === true";

/// A browser opens six connections to a host. One that a page keeps which nobody looks at is lacking
/// to the others.
#[tokio::test(flavor = "multi_thread")]
async fn no_page_is_kept_waiting_by_those_before_it_or_in_other_tabs() {
    let bed = Bed::new();
    let tab = Tab::open(Look::default());
    let begun = Instant::now();
    tab.go(&bed.at("/"));
    for page in ["/incidents", "/silences", "/deliveries", "/mails"].repeat(3) {
        tab.follow(&format!("nav a[href='{page}']"));
        tab.until(IS_LIVE);
    }
    for _ in 0..9 {
        tab.back();
        tab.until(IS_LIVE);
    }

    let others: Vec<_> = (0..7).map(|_| tab.beside(Look::default())).collect();
    for other in &others {
        other.front();
        other.go(&bed.at("/"));
        other.until(IS_LIVE);
    }
    // A page that waits for a connection of another waits a minute.
    let took = begun.elapsed();
    assert!(took < Duration::from_mins(4), "{took:?}");

    // Whatever came meanwhile is there when it is looked at again.
    bed.send(&Alert::new("BROKE")).await;
    let is_shown = "document.querySelector('#open .row-title') !== null";
    others[6].until(is_shown);
    assert_eq!(others[0].eval(is_shown), json!(false), "nobody looks at it");
    others[0].front();
    others[0].until(is_shown);
    tab.front();
    tab.go(&bed.at("/"));
    tab.follow("nav a[href='/mails']");
    bed.send(&Alert::new("MORE")).await;
    tab.back();
    tab.until("document.querySelectorAll('#open .row-title').length === 2");
    tab.assert_quiet(&bed.admin, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bridge_refuses_is_no_failure_of_the_bridge() {
    let bed = Bed::new();
    let tab = Tab::open(Look::default());
    tab.go(&bed.at("/mails/none"));
    assert_eq!(
        tab.eval("document.querySelector('[data-live]')"),
        json!(null),
        "there is nothing to refresh"
    );

    for (status, said) in [
        (404, "Not live: this page cannot be loaded again."),
        (503, "Not live: the bridge cannot answer."),
    ] {
        tab.go(&bed.at("/"));
        tab.until(IS_LIVE);
        tab.eval(&format!(
            "window.fetch = async () => new Response('', {{ status: {status} }}); 0"
        ));
        bed.send(&Alert::new("BROKE")).await;
        tab.until(&format!(
            "document.getElementById('live').innerText.startsWith('{said}')"
        ));
    }
    tab.assert_quiet(&bed.admin, &["/none"]);
}
