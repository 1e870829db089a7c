//! The paths of pages. They stay as they are, so that links to them keep working.

use url::form_urlencoded;

use crate::model::{ArticleName, SourceId, Timestamp};

/// The path of an article's page, from which those of its other pages continue.
pub(super) fn path_of(name: &ArticleName) -> String {
    format!("/a/{}/{}", name.source.as_str(), name.article.as_str())
}

/// The path of an article's page itself. A slash keeps an id from being taken for the address of JSON.
pub fn page_of(name: &ArticleName) -> String {
    let path = path_of(name);
    if path.ends_with(".json") { format!("{path}/") } else { path }
}

/// The path of an article's history.
pub fn history_of(name: &ArticleName) -> String {
    format!("{}/history", path_of(name))
}

/// The path of a revision: its permalink.
pub fn revision_of(name: &ArticleName, number: u32) -> String {
    format!("{}/r/{number}", path_of(name))
}

/// The path of what changed between two revisions, or between nothing and `target`.
pub fn diff_of(name: &ArticleName, base: Option<u32>, target: u32) -> String {
    let base = base.map(|number| number.to_string()).unwrap_or_default();
    format!("{}/diff/{base}..{target}", path_of(name))
}

/// The path of a source's page. A slash keeps an id from being taken for the address of JSON.
pub(super) fn path_of_source(id: &SourceId) -> String {
    let slash = if id.as_str().ends_with(".json") { "/" } else { "" };
    format!("/s/{}{slash}", id.as_str())
}

/// The query that names a point of both time axes: empty, or from its question mark on. `None` is the end of an axis.
pub fn point_query(at: Option<Timestamp>, known_at: Option<Timestamp>) -> String {
    times_query([("at", at), ("known_at", known_at)])
}

/// The query with these times, without those that are not given: empty, or from its question mark on.
pub(super) fn times_query<const N: usize>(given: [(&str, Option<Timestamp>); N]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(given.into_iter().filter_map(|(name, time)| Some((name, time?.to_string()))));
    let query = query.finish();
    if query.is_empty() { query } else { format!("?{query}") }
}
