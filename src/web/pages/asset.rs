//! The stylesheet, the script and the icon, embedded in the binary.
//!
//! Their addresses change with their content, so that a browser may keep them for ever.

use std::sync::LazyLock;

use axum::{
    Router,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Serialize;

use crate::delivery::sha256_hex;

const STYLE: &str = include_str!("../assets/style.css");
const SCRIPT: &str = include_str!("../assets/pages.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// The addresses of the assets.
#[derive(Debug, Clone, Serialize)]
pub struct Addresses {
    style: String,
    script: String,
    icon: String,
}

pub static ADDRESSES: LazyLock<Addresses> = LazyLock::new(|| {
    let address =
        |text: &str, end: &str| format!("/assets/{}.{end}", &sha256_hex(text.as_bytes())[..16]);
    Addresses {
        style: address(STYLE, "css"),
        script: address(SCRIPT, "js"),
        icon: address(ICON, "svg"),
    }
});

/// Returns the route of the assets. They require no sign-in, because the sign-in page uses them
/// too.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/assets/{name}", get(asset))
}

async fn asset(Path(name): Path<String>) -> Response {
    let end = name.rsplit('.').next().unwrap_or_default();
    let (text, kind) = match end {
        "css" => (STYLE, "text/css; charset=utf-8"),
        "js" => (SCRIPT, "text/javascript; charset=utf-8"),
        "svg" => (ICON, "image/svg+xml"),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };

    let Addresses {
        style,
        script,
        icon,
    } = &*ADDRESSES;
    let current = [style, script, icon]
        .iter()
        .any(|address| address.ends_with(&*name));
    // A page of the previous version asks by the previous address. It gets the current asset, which
    // its browser must not keep.
    let keep = if current {
        "public, max-age=31536000, immutable"
    } else {
        "no-store"
    };

    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, keep),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}
