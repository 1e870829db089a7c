//! Responses: pages, JSON, files and redirects.

use askama::Template;
use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, LINK, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use prost::Name;

use super::Site;
use super::problem::Problem;
use super::visit::{Form, Point, REVALIDATE, Visit};
use crate::wire::json::to_pretty_json;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A page of the message `M`: HTML, or the message itself.
pub(super) fn page<M: Name, T: Template>(
    visit: &Visit,
    message: M,
    page: impl FnOnce(M) -> Result<T, Problem>,
) -> Result<Response<Body>, Problem> {
    match visit.form {
        Form::Json => Ok(message_json(visit, &message)),
        Form::Page => {
            let mut response = html(&page(message)?);
            visit.mark(response.headers_mut());
            Ok(response)
        }
    }
}

/// A message as JSON.
pub(super) fn message_json<M: Name>(visit: &Visit, message: &M) -> Response<Body> {
    let mut response = json(format!("{}\n", to_pretty_json(message)));
    visit.mark(response.headers_mut());
    response
}

/// A page.
pub(super) fn html(page: &impl Template) -> Response<Body> {
    match page.render() {
        Ok(html) => bytes(HTML, html),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// JSON.
pub(super) fn json(json: String) -> Response<Body> {
    bytes(JSON, json)
}

/// A body of a media type.
pub(super) fn bytes(media_type: HeaderValue, bytes: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(bytes.into());
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response.headers_mut().insert(CACHE_CONTROL, REVALIDATE);
    response
}

/// A file to keep.
pub(super) fn file(visit: &Visit, media_type: &'static str, name: &str, text: String) -> Response<Body> {
    let mut response = bytes(HeaderValue::from_static(media_type), text);
    visit.mark(response.headers_mut());
    // Names of articles consist of letters, digits and four signs, none of which is special here.
    if let Ok(disposition) = HeaderValue::try_from(format!("inline; filename=\"{name}\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    }
    response
}

/// Names the address under which a page is known.
pub(super) fn with_canonical(site: &Site, response: Response<Body>, path: &str) -> Response<Body> {
    with_link(site, response, path, "canonical")
}

/// Names an address that has a relation to the page.
pub(super) fn with_link(site: &Site, mut response: Response<Body>, path: &str, relation: &str) -> Response<Body> {
    if let Ok(link) = HeaderValue::try_from(format!("<{}>; rel=\"{relation}\"", site.address(path))) {
        response.headers_mut().append(LINK, link);
    }
    response
}

/// A redirect to a path of this site, for now.
pub(super) fn redirect(path: &str) -> Response<Body> {
    let mut response = empty(StatusCode::FOUND);
    match HeaderValue::try_from(path) {
        Ok(location) => drop(response.headers_mut().insert(LOCATION, location)),
        Err(_) => return Problem::not_found().response(),
    }
    response.headers_mut().insert(CACHE_CONTROL, REVALIDATE);
    response
}

/// A redirect to the same page at a point in instants. Readers type times as they like, and forms send empty fields; but
/// today's words mean something else tomorrow.
pub(super) fn redirect_to_instants(visit: &Visit, point: &Point) -> Response<Body> {
    let end = visit.form.end();
    redirect(&format!("{}{end}{}", visit.path, point.query()))
}

/// A response without a body.
fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

impl Site {
    /// The whole address of a path of this site.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.origin.as_str().trim_end_matches('/'))
    }
}
