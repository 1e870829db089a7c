//! The front page: the newest changes, and the sources.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use http::Response;

use super::super::Site;
use super::super::problem::Problem;
use super::super::respond;
use super::super::visit::{Form, Visit};
use super::Frame;
use super::changes::{Listed, Wanted, end_of_log, newest};
use super::sources::{SourceRow, read_activity};
use crate::wire::pb;

/// The changes and the sources on the page.
const CHANGES: usize = 25;
const SOURCES: i32 = 12;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    frame: Frame,
    list: Listed,
    live_after: String,
    sources: Vec<SourceRow>,
    has_more_sources: bool,
}

pub(super) async fn show(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response<Body>, Problem> {
    let live_after = end_of_log(&site).to_string();
    let request = pb::ListSourcesRequest { page_size: SOURCES, page_token: String::new() };
    let sources = site.reads.sources(&visit.caller, request).await?;
    if visit.form == Form::Json {
        return Ok(respond::message_json(&visit, &sources));
    }
    let activity = read_activity(&site).await?;
    let changes = newest(&site, &visit.caller, None, CHANGES, Wanted::All).await?.changes;
    let response = respond::page(&visit, sources, |sources| {
        Ok(HomePage {
            frame: Frame::at("Newest changes", "/"),
            list: Listed::of(&changes),
            live_after,
            has_more_sources: !sources.next_page_token.is_empty(),
            sources: sources.sources.iter().filter_map(|source| SourceRow::of(source, &activity)).collect(),
        })
    })?;
    Ok(respond::with_canonical(&site, response, "/"))
}
