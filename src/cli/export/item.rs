//! Converts messages to the items from which documents are written.

use crate::cli::article::{of_revision, same_cut};
use crate::cli::connect::Session;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{instant, originals};
use crate::export::{Item, Withdrawal};
use crate::model::{ArticleName, ContentDigest, Limits, RevisionNumber};
use crate::wire::{self, pb};

/// The item of a revision. `in_force` says whether that revision is in force at the point that was read.
pub(in crate::cli) fn item(article: &pb::Article, revision: pb::Revision, in_force: bool) -> Result<Item, Failure> {
    let name = of_revision(&revision.name).to_owned();
    let unfit = |what: String| Failure::new(Exit::Failed, format!("{name}: {what}")).kind("UNREADABLE");
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
        valid_from: instant(article.valid_from.as_ref()).filter(|_| in_force),
        valid_until: instant(article.valid_until.as_ref()).filter(|_| in_force),
        withdrawn,
        urls: article.urls.iter().map(|url| url.url.clone()).collect(),
    })
}

/// Reads a revision in full at the given point, with the bytes of its original if wanted.
pub(in crate::cli) async fn at_cut(
    session: &Session,
    name: String,
    as_of: Option<pb::AsOf>,
    include_original: bool,
) -> Result<pb::Revision, Failure> {
    let request =
        pb::GetRevisionRequest { name, as_of, view: pb::ArticleView::Full.into(), ..pb::GetRevisionRequest::default() };
    let answer = session.archive().get_revision(request).await?.into_inner();
    let mut revision = answer.revision.unwrap_or_default();
    if let Some(original) = revision.original.as_mut().filter(|_| include_original) {
        let mut data = Vec::new();
        let as_of = same_cut(answer.snapshot.as_ref(), None);
        originals::read(session, revision.name.clone(), as_of, |piece| {
            data.extend_from_slice(&piece);
            Ok(())
        })
        .await?;
        original.data = data.into();
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
