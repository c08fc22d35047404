//! Makes an action happen once, even if it is requested again with the same `Idempotency-Key`.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Admin, access::whole, api::v1, problem::Problem, who::Who};
use crate::{
    delivery::sha256_hex,
    store::{Answer, Answered},
};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header that marks a repeated answer.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const LONGEST_KEY: usize = 255;
/// The largest answer to an action, in bytes.
const LARGEST: usize = 16 << 20;

pub(super) async fn once(
    State(admin): State<Arc<Admin>>,
    who: Who,
    request: Request,
    next: Next,
) -> Response {
    // A request that does not act needs no record. If its path or method does not exist, the router
    // says so.
    let path = request.extensions().get::<MatchedPath>();
    let acts = path.is_some_and(|path| v1::acts(request.method(), path.as_str()));
    if !acts || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    answer(&admin, &who, request, next)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn answer(
    admin: &Admin,
    who: &Who,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let key = key(&request)?;
    let key = format!("{:?} {} {key}", who.known, who.name);

    let (parts, body) = request.into_parts();
    let body = whole(body, LARGEST).await?;
    let asked = [parts.method.as_str(), &parts.uri.to_string()].join(" ");
    let asked = sha256_hex(&[asked.as_bytes(), b"\n", &body].concat());

    match admin
        .ledger
        .answered(key.clone(), asked, admin.clock.now())
        .await?
    {
        Answered::NotYet => {}
        Answered::UnderWay => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "a request with this Idempotency-Key is in progress: ask again when it is done",
            ));
        }
        Answered::Another => {
            return Err(Problem::unprocessable(
                "this Idempotency-Key was used with another request: each action needs its own key",
            ));
        }
        Answered::Given(answer) => return Ok(given(answer)),
    }

    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (head, body) = response.into_parts();
    let body = to_bytes(body, LARGEST).await.unwrap_or_default();

    // A server error is not kept, so that a repeated request tries again.
    let answer = (!head.status.is_server_error()).then(|| Answer {
        status: head.status.as_u16(),
        content_type: head
            .headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or("application/json")
            .to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    admin.ledger.keep_answer(key, answer).await?;

    Ok(Response::from_parts(head, Body::from(body)))
}

fn key(request: &Request) -> Result<String, Problem> {
    let mut keys = request.headers().get_all(KEY).iter();
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) => key.to_str().unwrap_or_default(),
        _ => "",
    };
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Problem::bad(format!(
            "the request needs exactly one Idempotency-Key, of 1 to {LONGEST_KEY} printable \
             characters"
        )));
    }
    Ok(key.to_owned())
}

fn given(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body).into_response();
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::try_from(answer.content_type) {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
