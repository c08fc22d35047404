//! The route tree as shown on the page.

use serde::Serialize;
use serde_json::Value;

/// A route with its child routes.
#[derive(Debug, Serialize)]
pub struct Node {
    receiver: String,
    path: String,
    matchers: Vec<String>,
    is_root: bool,
    /// Whether the sibling routes that follow are tried as well.
    goes_on: bool,
    mute: Option<String>,
    /// Whether the labels asked about reach this route.
    taken: bool,
    routes: Vec<Node>,
}

impl Node {
    /// Builds the node from the output of `routes show --json`. `taken` holds the paths of the
    /// routes that are reached.
    pub fn of(route: &Value, taken: &[&String]) -> Self {
        let texts = |key: &str| {
            let list = route[key].as_array().into_iter().flatten();
            list.filter_map(|one| one.as_str().map(ToOwned::to_owned))
                .collect::<Vec<_>>()
        };
        let text = |key: &str| route[key].as_str().unwrap_or_default().to_owned();
        let path = text("path");

        let (muted, active) = (texts("mute_time_intervals"), texts("active_time_intervals"));
        let during = [("not during", muted), ("only during", active)];
        let during = during.into_iter().filter(|(_, names)| !names.is_empty());
        let during: Vec<_> = during
            .map(|(word, names)| format!("{word} {}", names.join(", ")))
            .collect();
        let otherwise = match text("on_mute").as_str() {
            "drop" => "else dropped",
            _ => "else held",
        };

        Self {
            receiver: text("receiver"),
            matchers: texts("matchers"),
            is_root: path == "route",
            goes_on: route["continue"].as_bool().unwrap_or_default(),
            mute: (!during.is_empty()).then(|| format!("{}, {otherwise}", during.join(", "))),
            taken: taken.contains(&&path),
            routes: route["routes"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|child| Self::of(child, taken))
                .collect(),
            path,
        }
    }
}
