//! The sources, and the articles of one by their latest change.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use http::Response;
use url::form_urlencoded;

use super::super::Site;
use super::super::activity::Spark;
use super::super::paths::{history_of, page_of, path_of_source};
use super::super::problem::Problem;
use super::super::respond;
use super::super::shown::{Tongue, When, grouped, text, when};
use super::super::visit::Visit;
use super::Frame;
use crate::archive::read::activity::Activity;
use crate::model::{ArticleName, SourceId};
use crate::wire::pb;

/// The articles and the sources on a page.
const ARTICLES: i32 = 50;
const SOURCES: i32 = 200;

#[derive(Template)]
#[template(path = "sources.html")]
struct SourcesPage {
    frame: Frame,
    sources: Vec<SourceRow>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "source.html")]
struct SourcePage {
    frame: Frame,
    source: String,
    path: String,
    state: String,
    label: String,
    spark: Spark,
    articles: Vec<ArticleRow>,
    next: Option<String>,
}

/// A source in a list.
pub(super) struct SourceRow {
    pub(super) id: String,
    pub(super) path: String,
    pub(super) articles: String,
    pub(super) first: Option<When>,
    pub(super) latest: Option<When>,
    pub(super) spark: Spark,
}

/// An article in a list.
struct ArticleRow {
    path: String,
    history: String,
    headline: String,
    tongue: Tongue,
    state: &'static str,
    revision_count: u32,
    changed: Option<When>,
    observed: Option<When>,
    labels: Vec<String>,
}

impl SourceRow {
    pub(super) fn of(source: &pb::Source, activity: &Activity) -> Option<Self> {
        let id = SourceId::parse_name(&source.name).ok()?;
        Some(Self {
            path: path_of_source(&id),
            id: id.as_str().to_owned(),
            articles: grouped(source.article_count),
            first: when(source.create_time.as_ref()),
            latest: when(source.update_time.as_ref()),
            spark: Spark::of(activity, &id),
        })
    }
}

impl ArticleRow {
    fn of(article: &pb::Article) -> Option<Self> {
        let name = ArticleName::parse(&article.name).ok()?;
        let revision = article.revision.clone().unwrap_or_default();
        let content = revision.content.unwrap_or_default();
        Some(Self {
            history: history_of(&name),
            path: page_of(&name),
            headline: if revision.expunged.is_some() { "Expunged".to_owned() } else { text(&content.headline) },
            tongue: Tongue::of(&content.language),
            state: match article.state() {
                pb::ArticleState::Withdrawn => "Withdrawn",
                pb::ArticleState::Gone => "Gone",
                pb::ArticleState::Live | pb::ArticleState::Unspecified => "",
            },
            revision_count: article.revision_count,
            changed: when(article.update_time.as_ref()),
            observed: when(article.valid_from.as_ref()),
            labels: article.labels.iter().map(|label| text(label)).collect(),
        })
    }
}

/// The same page with these parameters, without those that are empty.
fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The activity of all sources, of which a page shows that of those it lists.
pub(super) async fn read_activity(site: &Site) -> Result<Arc<Activity>, Problem> {
    Ok(site.activity.read(site.reads.archive()).await?)
}

pub(super) async fn show_all(State(site): State<Arc<Site>>, visit: Visit) -> Result<Response<Body>, Problem> {
    let page_token = visit.parameter("page").unwrap_or_default().to_owned();
    let canonical = with_query("/sources", &[("page", &page_token)]);
    let request = pb::ListSourcesRequest { page_size: SOURCES, page_token };
    let sources = site.reads.sources(&visit.caller, request).await?;
    let activity = read_activity(&site).await?;
    let response = respond::page(&visit, sources, |sources| {
        let next = &sources.next_page_token;
        Ok(SourcesPage {
            frame: Frame::at("Sources", &canonical),
            next: (!next.is_empty()).then(|| with_query("/sources", &[("page", next)])),
            sources: sources.sources.iter().filter_map(|source| SourceRow::of(source, &activity)).collect(),
        })
    })?;
    Ok(respond::with_canonical(&site, response, &canonical))
}

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    Path(source): Path<String>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let source = SourceId::parse(&source).map_err(|_| Problem::not_found())?;
    let given = |name: &str| visit.parameter(name).unwrap_or_default().to_owned();
    let (state, label, page_token) = (given("state"), given("label"), given("page"));
    let states = match state.as_str() {
        "" => vec![],
        "live" => vec![pb::ArticleState::Live.into()],
        "withdrawn" => vec![pb::ArticleState::Withdrawn.into()],
        "gone" => vec![pb::ArticleState::Gone.into()],
        other => return Err(Problem::malformed(format!("state={other} is not live, withdrawn or gone."))),
    };
    let labels = if label.is_empty() { vec![] } else { vec![label.clone()] };
    let is_filtered = !(states.is_empty() && labels.is_empty() && page_token.is_empty());
    let filter = Some(pb::ArticleFilter { states, labels, ..pb::ArticleFilter::default() });
    let request = pb::ListArticlesRequest {
        parent: source.to_string(),
        page_size: ARTICLES,
        page_token: page_token.clone(),
        filter,
        order: pb::ArticleOrder::LatestChange.into(),
        ..pb::ListArticlesRequest::default()
    };
    let listed = site.reads.articles(&visit.caller, request).await?;
    if listed.articles.is_empty() && listed.next_page_token.is_empty() && !is_filtered {
        return Err(Problem::not_found());
    }
    let activity = read_activity(&site).await?;
    let path = path_of_source(&source);
    let canonical = with_query(&path, &[("state", &state), ("label", &label), ("page", &page_token)]);
    let response = respond::page(&visit, listed, |listed| {
        let next = &listed.next_page_token;
        let next_path = with_query(&path, &[("state", &state), ("label", &label), ("page", next)]);
        Ok(SourcePage {
            frame: Frame::at(source.as_str(), &canonical),
            source: source.as_str().to_owned(),
            path: path.clone(),
            state: state.clone(),
            label: text(&label),
            spark: Spark::of(&activity, &source),
            articles: listed.articles.iter().filter_map(ArticleRow::of).collect(),
            next: (!next.is_empty()).then_some(next_path),
        })
    })?;
    Ok(respond::with_canonical(&site, response, &canonical))
}
