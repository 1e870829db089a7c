//! Compares what the archive reads of each article with what the log says.

use std::collections::BTreeMap;

use dateline::internals::archive::error::Missing;
use dateline::internals::archive::read::article::{ArticleAt, View};
use dateline::internals::archive::{Archive, ArchiveError, ReadPoint};
use dateline::model::{
    ArticleName, ArticleState, AsOf, Change, ContentDigest, KnownAt, Seq, SourceScope, Timestamp, UrlKey,
};

use super::found::Found;
use super::naive::{InForce, Naive};
use super::{Fault, Verdict};
use crate::dice::Dice;

/// The parts of an article that are compared.
#[derive(Debug, PartialEq)]
struct Shown {
    in_force: InForce,
    withdrawn: bool,
    revisions: usize,
    made: u64,
    latest: u64,
    urls: Vec<UrlKey>,
    /// The digest of the content that was read; `None` if the article is withdrawn.
    content: Option<ContentDigest>,
}

/// Reads each article in its newest state and at some instants and positions, and looks up each URL.
pub(super) async fn reads_follow(archive: &Archive, found: &Found, dice: &mut Dice, verdict: &mut Verdict) {
    let mut articles: BTreeMap<&ArticleName, Vec<&Change>> = BTreeMap::new();
    for change in &found.log {
        articles.entry(&change.entry.name).or_default().push(change);
    }
    let end = found.log.len() as u64;
    for (name, changes) in &articles {
        let naive = Naive(changes);
        compare(archive, (name, naive), end, None, verdict).await;
        for _ in 0..4 {
            let at = dice.one_of(changes).entry.observe_time;
            let at = at.saturating_add_micros(*dice.one_of(&[0, -1, 1, 50_000]));
            let bound = if dice.percent(50) { end } else { dice.below(end + 1) };
            compare(archive, (name, naive), bound, Some(at), verdict).await;
        }
        for key in naive.urls() {
            verdict.faults.extend(url_leads_to(archive, &key, name).await);
            verdict.reads += 1;
        }
    }
}

/// Compares one read.
async fn compare(
    archive: &Archive,
    (name, naive): (&ArticleName, Naive<'_>),
    bound: u64,
    at: Option<Timestamp>,
    verdict: &mut Verdict,
) {
    verdict.reads += 1;
    let as_of = AsOf { observe_time: at, known_at: KnownAt::NextSeq { next_seq: Seq(bound), log_digest: None } };
    let point = match archive.read_point(as_of, Seq::ZERO).await {
        Ok(point) => point,
        Err(error) => return verdict.faults.push(Fault::Broken(format!("the position {bound}: {error}"))),
    };
    let expected = expected(naive.below(point.below().0), at);
    let read = match archive.article(point, name.clone(), View::Full).await {
        Ok(article) => Some(shown(&article, at)),
        Err(ArchiveError::Missing(Missing::NotYetArchived { .. } | Missing::NotYetObserved { .. })) => None,
        Err(error) => return verdict.faults.push(Fault::Broken(format!("{}: {error}", place(name, &point)))),
    };
    if read != expected {
        let place = place(name, &point);
        verdict.faults.push(Fault::Broken(format!("{place}: the archive has {read:?}, the log says {expected:?}")));
    }
}

fn place(name: &ArticleName, point: &ReadPoint) -> String {
    format!("{name} at {:?} below {}", point.observe_time, point.below())
}

fn expected(naive: Naive<'_>, at: Option<Timestamp>) -> Option<Shown> {
    let in_force = naive.in_force(at)?;
    let makers = naive.makers();
    let made = makers[usize::try_from(in_force.revision).unwrap() - 1];
    let withdrawn = naive.withdrawn(at);
    Some(Shown {
        in_force,
        withdrawn,
        revisions: makers.len(),
        made: made.seq.0,
        latest: naive.0.last()?.seq.0,
        urls: naive.urls(),
        content: made.entry.new_revision.as_ref().map(|made| made.digest).filter(|_| !withdrawn),
    })
}

fn shown(article: &ArticleAt, at: Option<Timestamp>) -> Shown {
    Shown {
        in_force: InForce {
            revision: article.revision.number.get(),
            since: article.valid_from,
            until: at.and(article.valid_until),
        },
        withdrawn: article.article_state() == ArticleState::Withdrawn,
        revisions: usize::try_from(article.revision_count).unwrap(),
        made: article.revision.created_by.seq.0,
        latest: article.latest.seq.0,
        urls: article.urls.iter().map(|at| at.url.key.clone()).collect(),
        content: article.revision.content().as_ref().map(ContentDigest::of),
    }
}

async fn url_leads_to(archive: &Archive, key: &UrlKey, name: &ArticleName) -> Option<Fault> {
    let point = archive.read_point(AsOf::default(), Seq::ZERO).await;
    let read = match point {
        Ok(point) => archive.article_by_url(point, key.to_string(), key.clone(), SourceScope::all(), View::Basic).await,
        Err(error) => Err(error),
    };
    match read {
        Ok(article) if article.name == *name => None,
        read => Some(Fault::Broken(format!("{key} does not lead to {name}: {:?}", read.map(|article| article.name)))),
    }
}
