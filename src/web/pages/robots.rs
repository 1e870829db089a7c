//! What search engines and other robots may fetch: nothing. An archive is no second home for what a publisher has changed.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{HeaderValue, Response};

use super::super::{Site, respond};

pub(super) async fn show(State(site): State<Arc<Site>>) -> Response<Body> {
    let media_type = HeaderValue::from_static("text/plain; charset=utf-8");
    respond::bytes(&site, media_type, "User-agent: *\nDisallow: /\n".into())
}
