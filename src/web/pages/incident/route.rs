//! The routes that match an incident's labels, and why.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::{
    label::Labels,
    web::{
        Admin,
        pages::when::{clock, is_endless},
        workbench::Reach,
    },
};

/// A route that matches the labels.
#[derive(Serialize)]
pub struct Route {
    receiver: String,
    path: String,
    matchers: Vec<String>,
    /// Whether it is the root, which is taken because no other route matches.
    is_root: bool,
    mute: Option<String>,
}

/// Returns the routes that match the labels now, and why.
pub fn routes(admin: &Admin, its: &Labels, now: Timestamp) -> Vec<Route> {
    let tree = admin.workbench.routes();
    let Reach {
        receivers,
        routes,
        muted,
    } = admin.workbench.reach(its, Some(now));
    let told = receivers
        .into_iter()
        .zip(routes)
        .map(|(receiver, path)| (receiver, path, None));
    let muted = muted.into_iter().map(|one| {
        let by = one.intervals.join(", ");
        let mute = match one.until {
            None => format!("muted and dropped ({by})"),
            Some(until) if is_endless(until, now) => format!("muted as long as {by} lasts"),
            Some(until) => format!("muted until {} ({by})", clock(until, now)),
        };
        (one.receiver, one.route, Some(mute))
    });

    told.chain(muted)
        .map(|(receiver, path, mute)| Route {
            matchers: matchers(&tree, &path),
            is_root: tree["path"] == *path,
            receiver,
            path,
            mute,
        })
        .collect()
}

/// Collects all matchers on the way to a route.
fn matchers(tree: &Value, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut ahead = vec![tree];
    while let Some(route) = ahead.pop() {
        let here = route["path"].as_str().unwrap_or_default();
        if path == here || path.starts_with(&format!("{here}.")) {
            let own = route["matchers"].as_array().into_iter().flatten();
            found.extend(own.filter_map(|one| one.as_str().map(ToOwned::to_owned)));
            ahead.extend(route["routes"].as_array().into_iter().flatten());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_way_to_a_route_is_all_that_had_to_hold() {
        let tree = json!({
            "path": "route", "matchers": [], "routes": [
                { "path": "route.routes[0]", "matchers": ["a=\"1\""], "routes": [
                    { "path": "route.routes[0].routes[1]", "matchers": ["b=\"2\""],
                      "routes": [] }] },
                { "path": "route.routes[1]", "matchers": ["c=\"3\""], "routes": [] },
                { "path": "route.routes[10]", "matchers": ["d=\"4\""], "routes": [] }]
        });
        assert_eq!(
            matchers(&tree, "route.routes[0].routes[1]"),
            ["a=\"1\"", "b=\"2\""]
        );
        assert_eq!(matchers(&tree, "route.routes[10]"), ["d=\"4\""]);
        assert!(matchers(&tree, "route").is_empty());
    }
}
