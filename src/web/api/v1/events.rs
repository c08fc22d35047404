//! The API's `events`: changes as they happen.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use crate::web::{Admin, problem::Problem};

/// The interval at which a line is sent while nothing changes, to show that both ends are still
/// there.
const ALIVE: Duration = Duration::from_secs(15);

/// Streams changes as they happen.
///
/// The stream begins with an event `ready`. Whenever something has changed, an event `changed`
/// names the lists that differ:
/// `{"changed": ["mails", "incidents", "deliveries", "silences", "audit"]}`.
#[utoipa::path(
    get, path = "/events", tag = "conditions",
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(State(admin): State<Arc<Admin>>) -> Response {
    let Some(place) = admin.live.watch() else {
        let why = "too many clients follow the events: poll the lists instead";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };

    let ready = stream::iter([Event::default().event("ready").data("{}")]);
    let changes = place.changes().map(|changed| {
        let data = json!({ "changed": changed }).to_string();
        Event::default().event("changed").data(data)
    });
    let events = ready.chain(changes).map(Ok::<_, Infallible>);

    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(ALIVE))
        .into_response()
}
