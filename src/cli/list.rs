//! `list`: lists articles or sources.

use super::args::selection::{FilterArgs, RangeArgs};
use super::args::{ListArgs, ListOrder};
use super::connect::Session;
use super::exit::Failure;
use super::expunge::headline;
use super::output::Output;
use super::table::table;
use super::times::Moment;
use super::{count, style};
use crate::cli::short_name::short;
use crate::client::as_of;
use crate::model::SourceId;
use crate::wire::{instant, pb, timestamp_to_pb};

const PAGE_SIZE: usize = 500;

pub(super) async fn run(session: &Session, args: &ListArgs, out: &mut Output) -> Result<(), Failure> {
    if args.sources { sources(session, out).await } else { articles(session, args, out).await }
}

async fn articles(session: &Session, args: &ListArgs, out: &mut Output) -> Result<(), Failure> {
    let mut remaining = args.limit.unwrap_or(usize::MAX);
    let mut request = request(args);
    while remaining > 0 && !out.is_closed() {
        let page = session.archive().list_articles(request.clone()).await?.into_inner();
        let articles = page.articles.get(..remaining.min(page.articles.len())).unwrap_or_default();
        if out.json {
            articles.iter().try_for_each(|article| out.message(article))?;
        } else {
            let rows: Vec<_> = articles.iter().map(|article| row(article, out)).collect();
            table(&rows, out)?;
        }
        remaining -= articles.len();
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    Ok(())
}

fn request(args: &ListArgs) -> pb::ListArticlesRequest {
    let (parent, sources) = match args.filter.source.as_slice() {
        [source] => (source.to_string(), Vec::new()),
        sources => ("sources/-".to_owned(), sources.iter().map(SourceId::to_string).collect()),
    };
    let order = match args.sort {
        ListOrder::Name => pb::ArticleOrder::Name,
        ListOrder::Updated => pb::ArticleOrder::LatestChange,
    };
    let filter = pb::ArticleFilter { sources, ..filter(&args.filter, &args.ranges) };
    pb::ListArticlesRequest {
        parent,
        page_size: i32::try_from(args.limit.unwrap_or(PAGE_SIZE).clamp(1, PAGE_SIZE)).unwrap_or_default(),
        filter: Some(filter),
        as_of: as_of(args.as_of.at(), args.as_of.known_at()),
        order: order.into(),
        view: pb::ArticleView::Basic.into(),
        ..pb::ListArticlesRequest::default()
    }
}

/// The filter and ranges of the command line as a message.
pub(super) fn filter(filter: &FilterArgs, ranges: &RangeArgs) -> pb::ArticleFilter {
    pb::ArticleFilter {
        observe_time: range(ranges.observed_from.as_ref(), ranges.observed_to.as_ref()),
        publish_time: range(ranges.published_from.as_ref(), ranges.published_to.as_ref()),
        ..filter.to_pb()
    }
}

/// Converts a range. The end is exclusive in a message, but inclusive on the command line.
fn range(from: Option<&Moment>, to: Option<&Moment>) -> Option<pb::TimeRange> {
    (from.is_some() || to.is_some()).then(|| pb::TimeRange {
        start_time: from.map(|from| timestamp_to_pb(from.time)),
        end_time: to.map(|to| timestamp_to_pb(to.time.saturating_add_micros(1))),
    })
}

type Row = [(String, anstyle::Style); 5];

fn row(article: &pb::Article, out: &Output) -> Row {
    let revision = article.revision.clone().unwrap_or_default();
    let plain = anstyle::Style::new();
    let (state, state_style) = match article.state() {
        pb::ArticleState::Withdrawn => ("withdrawn", style::BAD),
        pb::ArticleState::Gone => ("gone", style::BAD),
        pb::ArticleState::Live | pb::ArticleState::Unspecified => ("live", style::GOOD),
    };
    let since = instant(article.valid_from.as_ref()).map(|time| out.brief_time(time)).unwrap_or_default();
    [
        (short(&article.name), style::NAME),
        (state.to_owned(), state_style),
        (format!("{}/{}", revision.number, article.revision_count), plain),
        (since, style::FAINT),
        (headline(&revision), plain),
    ]
}

async fn sources(session: &Session, out: &mut Output) -> Result<(), Failure> {
    let mut request = pb::ListSourcesRequest { page_size: 1_000, page_token: String::new() };
    while !out.is_closed() {
        let page = session.archive().list_sources(request.clone()).await?.into_inner();
        if out.json {
            page.sources.iter().try_for_each(|source| out.message(source))?;
        } else {
            let rows: Vec<_> = page.sources.iter().map(|source| source_row(source, out)).collect();
            table(&rows, out)?;
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    Ok(())
}

fn source_row(source: &pb::Source, out: &Output) -> [(String, anstyle::Style); 4] {
    let time =
        |time: Option<&prost_types::Timestamp>| instant(time).map(|time| out.brief_time(time)).unwrap_or_default();
    let articles = source.article_count;
    let name = source.name.strip_prefix("sources/").unwrap_or(&source.name).to_owned();
    let plain = anstyle::Style::new();
    [
        (name, style::NAME),
        (if out.is_terminal() { count(articles, "article") } else { articles.to_string() }, plain),
        (time(source.create_time.as_ref()), style::FAINT),
        (time(source.update_time.as_ref()), style::FAINT),
    ]
}
