//! Converts messages to the items from which documents are written.

use super::ExportError;
use crate::capture::{article_of_revision, originals};
use crate::client::{Client, as_of_snapshot};
use crate::export::{Item, Withdrawal};
use crate::model::{ArticleName, ContentDigest, Limits, RevisionNumber, Timestamp};
use crate::wire::{self, instant, pb};

/// The URLs that lead to an article that was read at `at`, each once. Those that lead there only later are included:
/// see [`Selection::leave_foreign_urls`](super::selection::Selection::leave_foreign_urls).
pub(super) fn urls_at(article: &pb::Article, at: Option<Timestamp>) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for led in &article.urls {
        let end = begun(article, &led.url, at).and_then(|period| instant(period.end_time.as_ref()));
        let leads = end.is_none_or(|end| at.is_some_and(|at| at < end));
        if leads && !urls.contains(&led.url) {
            urls.push(led.url.clone());
        }
    }
    urls
}

/// The URLs that lead to an article only after `at`, each once.
pub(super) fn later_urls(article: &pb::Article, at: Timestamp) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for led in &article.urls {
        if begun(article, &led.url, Some(at)).is_none() && !urls.contains(&led.url) {
            urls.push(led.url.clone());
        }
    }
    urls
}

/// The last period of a URL that has begun by `at`.
fn begun<'a>(article: &'a pb::Article, url: &str, at: Option<Timestamp>) -> Option<&'a pb::ArticleUrl> {
    let has_begun =
        |led: &pb::ArticleUrl| at.is_none_or(|at| instant(led.observe_time.as_ref()).is_none_or(|since| since <= at));
    article.urls.iter().rfind(|led| led.url == url && has_begun(led))
}

/// The item of a revision of `article`, which was read at the same point, at `at` on the observe axis.
pub fn item(article: &pb::Article, revision: pb::Revision, at: Option<Timestamp>) -> Result<Item, ExportError> {
    let name = article_of_revision(&revision.name).to_owned();
    let is_in_force = article.revision.as_ref().is_some_and(|in_force| in_force.number == revision.number);
    let unfit = |problem: String| ExportError::Invalid { article: name.clone(), problem };
    let content = wire::content(revision.content, &UNLIMITED).map_err(|error| unfit(error.to_string()))?;
    let time = |time: Option<&prost_types::Timestamp>| {
        instant(time).ok_or_else(|| unfit("the server returned a revision without its times".to_owned()))
    };
    let withdrawn = (article.state() == pb::ArticleState::Withdrawn)
        .then(|| Withdrawal { since: instant(article.state_time.as_ref()), reason: article.state_reason.clone() });
    Ok(Item {
        article: ArticleName::parse(&name).map_err(|error| unfit(error.to_string()))?,
        revision: RevisionNumber::new(revision.number).unwrap_or(RevisionNumber::FIRST),
        revision_count: article.revision_count.max(revision.number),
        digest: ContentDigest::of(&content),
        content,
        observe_time: time(revision.observe_time.as_ref())?,
        archive_time: time(revision.archive_time.as_ref())?,
        valid_from: instant(article.valid_from.as_ref()).filter(|_| is_in_force),
        valid_until: instant(article.valid_until.as_ref()).filter(|_| is_in_force),
        withdrawn,
        urls: urls_at(article, at),
        labels: article.labels.clone(),
    })
}

/// Whether a revision is read with the bytes of its original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginalBytes {
    /// With the bytes, if the revision has an original.
    Include,
    /// Only with the original's size and digest.
    Omit,
}

/// Reads a revision in full at the given point.
pub async fn revision_at(
    client: &Client,
    name: String,
    as_of: Option<pb::AsOf>,
    original: OriginalBytes,
) -> Result<pb::Revision, ExportError> {
    let request =
        pb::GetRevisionRequest { name, as_of, view: pb::ArticleView::Full.into(), ..pb::GetRevisionRequest::default() };
    let response = client.archive.clone().get_revision(request).await?.into_inner();
    let mut revision = response.revision.unwrap_or_default();
    if let Some(kept) = revision.original.as_mut().filter(|_| matches!(original, OriginalBytes::Include)) {
        let mut data = Vec::new();
        let as_of = as_of_snapshot(response.snapshot.as_ref(), None);
        originals::read(client, revision.name.clone(), as_of, |piece| {
            data.extend_from_slice(&piece);
            Ok::<_, ExportError>(())
        })
        .await?;
        kept.data = data.into();
    }
    Ok(revision)
}

/// Archived content has passed the limits of its server, which may be higher than our defaults.
const UNLIMITED: Limits = Limits {
    content_bytes_max: usize::MAX,
    original_bytes_max: usize::MAX,
    url_bytes_max: usize::MAX,
    urls_max: usize::MAX,
    batch_items_max: usize::MAX,
    batch_bytes_max: usize::MAX,
    labels_max: usize::MAX,
    page_size_max: usize::MAX,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_that_has_begun_says_whether_a_url_leads_to_the_article() {
        let time = |seconds| prost_types::Timestamp { seconds, nanos: 0 };
        let led = |url: &str, since, until: Option<i64>| pb::ArticleUrl {
            url: url.to_owned(),
            observe_time: Some(time(since)),
            end_time: until.map(time),
            ..pb::ArticleUrl::default()
        };
        let urls =
            vec![led("back", 5, Some(10)), led("back", 20, None), led("late", 20, None), led("over", 5, Some(10))];
        let article = pb::Article { urls, ..pb::Article::default() };
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        assert_eq!(urls_at(&article, at(7)), ["back", "late", "over"]);
        assert_eq!(urls_at(&article, at(15)), ["late"], "another article may have had the other one");
        assert_eq!(urls_at(&article, None), ["back", "late"]);
        assert_eq!(later_urls(&article, at(15).unwrap()), ["late"]);
        assert_eq!(later_urls(&article, at(25).unwrap()), [""; 0]);
    }
}
