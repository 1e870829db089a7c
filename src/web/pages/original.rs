//! The original of a revision: the bytes that its content was taken from, as they are.
//!
//! They are another's page, so a browser must not treat them as one of ours: they are sandboxed, may load and run nothing,
//! and have the media type that the archive recorded, and no other.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response};
use tokio_stream::StreamExt;

use super::super::Site;
use super::super::problem::Problem;
use super::super::visit::Visit;
use super::{article_name, revision_number};
use crate::model::{ArticleName, RevisionNumber};
use crate::wire::pb::read_original_response::Part;

const POLICY: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'");
/// What a browser does not show, but keeps.
const UNKNOWN_TYPE: HeaderValue = HeaderValue::from_static("application/octet-stream");

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    Path((source, article, number)): Path<(String, String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    read(&site, &visit, &article_name(&source, &article)?, revision_number(&number)?).await
}

/// The original of a revision.
pub(in crate::web) async fn read(
    site: &Site,
    visit: &Visit,
    name: &ArticleName,
    number: RevisionNumber,
) -> Result<Response<Body>, Problem> {
    let mut parts = site.reads.original(&visit.caller, name.revision(number)).await?;
    let first = parts.next().await.transpose()?.and_then(|response| response.part);
    let Some(Part::Begin(begin)) = first else { return Err(Problem::internal()) };
    let original = begin.original.unwrap_or_default();
    // The service limits the memory of all originals that are being sent. It is not this client that they wait for.
    let mut bytes = Vec::with_capacity(usize::try_from(original.size_bytes).unwrap_or(0));
    while let Some(response) = parts.next().await.transpose()? {
        if let Some(Part::Data(data)) = response.part {
            bytes.extend_from_slice(&data);
        }
    }
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::try_from(&original.media_type).unwrap_or(UNKNOWN_TYPE));
    headers.insert(CONTENT_LENGTH, original.size_bytes.into());
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
    visit.mark(headers);
    Ok(response)
}
