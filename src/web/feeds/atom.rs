//! Atom (RFC 4287), with archived documents (RFC 5005) and tombstones (RFC 6721).

use askama::Template;
use axum::body::Body;
use http::{HeaderValue, Response};

use super::{Document, without_forbidden};
use crate::web::problem::Problem;
use crate::web::respond;

const ATOM: HeaderValue = HeaderValue::from_static("application/atom+xml; charset=utf-8");

#[derive(Template)]
#[template(path = "feed.xml")]
struct Feed<'a> {
    document: &'a Document,
}

pub(super) fn response(document: &Document) -> Result<Response<Body>, Problem> {
    let xml = Feed { document }.render().map_err(|error| {
        tracing::error!(%error, "a feed could not be written");
        Problem::internal()
    })?;
    Ok(respond::bytes(ATOM, without_forbidden(xml)))
}
