//! Finds the article that a URL leads to.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::Response;

use super::super::Site;
use super::super::paths::{page_of, path_of};
use super::super::problem::Problem;
use super::super::respond;
use super::super::visit::{Form, Visit};
use crate::model::ArticleName;

/// Redirects to the article's page. The form also accepts an article's name.
pub(super) async fn show(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response<Body>, Problem> {
    let Some(url) = visit.parameter("url").map(str::trim) else { return Ok(respond::redirect("/")) };
    if let Some(name) = name_in(url) {
        let page = if visit.form == Form::Json { format!("{}.json", path_of(&name)) } else { page_of(&name) };
        return Ok(respond::redirect(&page));
    }
    // People copy addresses without their scheme.
    let url = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
    let found =
        site.reads.lookup(&visit.caller, url.clone()).await.map_err(|problem| match problem.status().as_u16() {
            404 => Problem::missing(format!("The archive knows no article at {url}.")),
            _ => problem,
        })?;
    if visit.form == Form::Json {
        return Ok(respond::message_json(&visit, &found));
    }
    let name = found.article.map(|article| article.name).unwrap_or_default();
    let name = ArticleName::parse(&name).map_err(|_| Problem::internal())?;
    Ok(respond::redirect(&page_of(&name)))
}

/// The article that is named, such as `express/harbour`.
fn name_in(text: &str) -> Option<ArticleName> {
    let has_dot = text.split('/').next().is_some_and(|source| source.contains('.'));
    if has_dot { None } else { text.parse().ok() }
}
