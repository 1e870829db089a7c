//! What search engines and other robots may fetch: nothing. An archive is no second home for what a publisher has changed.

use axum::body::Body;
use http::{HeaderValue, Response};

use super::super::respond;

pub(super) async fn show() -> Response<Body> {
    let media_type = HeaderValue::from_static("text/plain; charset=utf-8");
    respond::bytes(media_type, "User-agent: *\nDisallow: /\n")
}
