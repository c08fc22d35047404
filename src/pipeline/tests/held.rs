//! Tests that a page that a mute holds stays owed to its receiver, however the incident changes
//! meanwhile.

use super::*;

/// Returns a configuration that routes warnings to `night`, which sleeps in these minutes, and
/// critical alerts to `pager`. With `everybody`, `chat` is told as well.
pub(super) fn configuration(everybody: bool, sleep: &[(i64, i64)]) -> String {
    let routes = if everybody {
        "{ receiver: chat, continue: true }, "
    } else {
        ""
    };
    let route = format!(
        "route:
  receiver: pager
  routes: [{routes}{{ receiver: night, matchers: ['severity=warning'], mute_time_intervals: \
         [sleep] }}, {{ receiver: pager }}]
"
    );
    let whole = sleeping(sleep);
    let (before, rest) = whole.split_once("route:").unwrap();
    let (_, receivers) = rest.split_once("receivers:").unwrap();
    format!("{before}{route}receivers:{receivers}")
}

/// Returns every sequence of two to four severities that begins with a warning.
fn histories() -> impl Iterator<Item = Vec<&'static str>> {
    (2..=4_u32).flat_map(|length| {
        (0..2_usize.pow(length - 1)).map(move |bits| {
            let later = (0..length - 1).map(move |at| ["warning", "critical"][bits >> at & 1]);
            std::iter::once("warning").chain(later).collect()
        })
    })
}

#[tokio::test]
async fn whoever_is_held_a_page_is_told_of_the_incident_as_it_is_when_the_mute_ends() {
    let app = "com.example.known";
    for (everybody, ends) in [(false, false), (false, true), (true, false), (true, true)] {
        for history in histories() {
            let mut night = Night::under(&configuration(everybody, &[(0, 60)]));
            let mut heard = Vec::new();
            for severity in &history {
                let mail = night.mail("a", "ANOMALOUS", severity, app);
                night.take(mail).await;
                night.pass(1);
                night.sweep().await;
                heard.extend(night.delivered().await);
            }
            let to_night = |pages: &[Page]| {
                let pages = pages.iter().filter(|page| page.receiver == "night");
                let pages = pages.map(|page| (page.action, page.severity.clone()));
                pages.collect::<Vec<_>>()
            };
            assert_eq!(to_night(&heard), [], "{history:?} while it sleeps");
            let paged = heard.iter().any(|page| page.receiver == "pager");
            assert_eq!(paged, history.contains(&"critical"), "{history:?}");

            let end = async |night: &mut Night| {
                let mail = night.mail("a", "OK", "warning", app);
                night.take(mail).await;
                night.delivered().await
            };
            if ends {
                end(&mut night).await;
            }
            night.pass(60);
            night.sweep().await;
            let told = to_night(&night.delivered().await);
            if ends {
                assert_eq!(told, [], "{history:?} is over");
                continue;
            }
            let is = history.last().unwrap().to_string();
            assert_eq!(told, [(Action::Trigger, is.clone())], "{history:?}");
            night.sweep().await;
            assert_eq!(to_night(&night.delivered().await), [], "{history:?}");
            let ended = to_night(&end(&mut night).await);
            assert_eq!(ended, [(Action::Resolve, is)], "{history:?}");
        }
    }
}
