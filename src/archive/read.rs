//! Reading articles and revisions at a cut.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::cache::HeadEntry;
use super::cut::Cut;
use super::error::{ArchiveError, Missing};
use super::lookup::{Lookup, LookupError};
use super::steps::Steps;
use crate::model::{
    ArticleKey, ArticleName, ArticleUrl, Change, Content, Fetch, RevisionNumber, RevisionRecord, RevisionSelector, Seq,
    Timestamp, UrlKey,
};
use crate::store::head::{InForce, Mark};
use crate::store::{StoreError, content};

/// How much of a content is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// What the log itself has.
    Basic,
    /// All of it.
    Full,
}

/// An article at a cut.
#[derive(Clone, Debug)]
pub struct ArticleAt {
    /// Its name.
    pub name: ArticleName,
    /// The mark in force.
    pub mark: Option<MarkAt>,
    /// The revision in force.
    pub revision: RevisionAt,
    /// Since when it is.
    pub valid_from: Timestamp,
    /// When its successor came into force.
    pub valid_until: Option<Timestamp>,
    /// The tag of the newest state, where that is what was read.
    pub etag: Option<String>,
    /// The URLs that lead to it, with since when, in the order in which they became known.
    pub urls: Vec<(ArticleUrl, Timestamp)>,
    /// How many revisions were known.
    pub revision_count: u32,
    /// The archive time of its first change.
    pub create_time: Timestamp,
    /// Its latest change.
    pub latest: Arc<Change>,
}

/// A mark at a cut.
#[derive(Clone, Debug)]
pub struct MarkAt {
    /// Withdrawn, or reinstated.
    pub withdrawn: bool,
    /// Since when.
    pub since: Timestamp,
    /// The reason given.
    pub reason: String,
}

/// A revision.
#[derive(Clone, Debug)]
pub struct RevisionAt {
    /// The article.
    pub article: ArticleName,
    /// Its number.
    pub number: RevisionNumber,
    /// The change that made it, which has its attributes.
    pub made: Arc<Change>,
    /// What it says; `None` where only the attributes were asked for.
    pub content: Option<Arc<Content>>,
    /// The bytes of the kept original, where they were asked for.
    pub original: Option<Bytes>,
}

impl RevisionAt {
    /// The attributes.
    pub fn record(&self) -> Option<&RevisionRecord> {
        self.made.entry.made.as_deref()
    }
}

impl RevisionAt {
    /// Bytes of what was read with it, roughly. Whatever may be long counts.
    pub(super) fn weight_bytes(&self) -> usize {
        let attributes = self.record().map_or(0, |record| {
            let labels: usize = record.labels.iter().map(String::len).sum();
            record.headline.len() + record.section.len() + record.canonical_url.len() + labels
        });
        let fetch = self.made.entry.fetch.as_ref().map_or(0, |fetch| fetch.text_bytes());
        attributes + fetch + self.content.as_ref().map_or(0, |content| content.weight_bytes())
    }
}

impl ArticleAt {
    /// Bytes of what was read with it, roughly. Whatever may be long counts.
    pub(super) fn weight_bytes(&self) -> usize {
        let urls = self.urls.iter().map(|(url, _)| url.original.len() + url.key.as_str().len());
        let reason = self.mark.as_ref().map_or(0, |mark| mark.reason.len());
        let fetch = self.latest_fetch().map_or(0, Fetch::text_bytes);
        self.revision.weight_bytes() + urls.sum::<usize>() + reason + fetch
    }

    /// Whether it is withdrawn.
    pub fn withdrawn(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.withdrawn)
    }

    /// How the page was had by the latest change, where the newest state was read and that change found what is in force:
    /// whoever is told by the page's server that nothing changed since knows that the archive has it.
    pub fn latest_fetch(&self) -> Option<&Fetch> {
        let latest = &self.latest.entry;
        let found_newest = self.etag.is_some() && latest.standing.is_newest && !self.withdrawn();
        latest.fetch.as_deref().filter(|_| found_newest)
    }
}

/// The tag of an article's newest revision and state. It changes when either does, and never comes back: it has the
/// position of the latest mark, whichever that set.
pub(super) fn etag(revision: RevisionNumber, last_mark: Option<Seq>, made: &Change) -> String {
    let digest = made.entry.made.as_ref().map(|made| made.digest.short()).unwrap_or_default();
    match last_mark {
        None => format!("{revision}-{digest}"),
        Some(seq) => format!("{revision}-{digest}-{seq}"),
    }
}

/// Reads an article.
pub(super) fn article(
    lookup: &Lookup<'_>,
    cut: &Cut,
    name: &ArticleName,
    view: View,
) -> Result<ArticleAt, LookupError> {
    let entry = known(lookup, cut, name)?;
    let steps = steps_at(lookup, cut, &entry)?;
    render(lookup, cut, &entry, steps, view)
}

/// What is in force at a cut.
#[derive(Clone, Copy)]
pub(super) struct StepsAt {
    pub(super) step: InForce,
    pub(super) mark: Option<Mark>,
    pub(super) valid_until: Option<Timestamp>,
}

/// The article of this name, if it is known at the cut.
pub(super) fn known(lookup: &Lookup<'_>, cut: &Cut, name: &ArticleName) -> Result<HeadEntry, LookupError> {
    let entry = lookup.head(name)?.ok_or_else(|| unknown(name))?;
    if entry.head.first_seq >= cut.bound() {
        // The one change that an engine may show before it is durable must not be told of.
        let first = lookup.durable_change(entry.head.first_seq)?;
        let first = first.ok_or_else(|| unknown(name))?.entry.archive_time;
        return Err(ArchiveError::from(Missing::NotYetArchived { article: name.clone(), first }).into());
    }
    Ok(entry)
}

fn unknown(name: &ArticleName) -> ArchiveError {
    Missing::Article(name.clone()).into()
}

/// What is in force at the cut: from the head where that is all that is asked for, else from the indexes.
pub(super) fn steps_at(lookup: &Lookup<'_>, cut: &Cut, entry: &HeadEntry) -> Result<StepsAt, LookupError> {
    let (head, bound) = (&entry.head, cut.bound());
    let all_known = head.latest_seq < bound;
    let newest = |at: Timestamp| at >= head.newest.since && head.mark.is_none_or(|mark| at >= mark.since);
    if all_known && cut.observe_time.is_none_or(newest) {
        return Ok(StepsAt { step: head.newest, mark: head.mark, valid_until: None });
    }
    let at = cut.observe_time;
    let read = lookup.with_steps(entry, bound, |steps| {
        let Some(step) = steps.in_force(at, bound)? else { return Ok(Err(steps.first(bound)?)) };
        let valid_until = match at {
            Some(at) => steps.valid_until(&step, at, bound)?,
            None => None,
        };
        Ok(Ok(StepsAt { step, mark: steps.mark(at, bound)?, valid_until }))
    })?;
    read.map_err(|first| {
        let first = first.unwrap_or(head.first_observe_time);
        ArchiveError::from(Missing::NotYetObserved { article: head.name.clone(), first }).into()
    })
}

/// Puts an article together from what is in force.
pub(super) fn render(
    lookup: &Lookup<'_>,
    cut: &Cut,
    entry: &HeadEntry,
    steps: StepsAt,
    view: View,
) -> Result<ArticleAt, LookupError> {
    let (head, bound) = (&entry.head, cut.bound());
    let StepsAt { step, mark, valid_until } = steps;
    let withdrawn = mark.is_some_and(|mark| mark.withdrawn);
    let view = if withdrawn { View::Basic } else { view };
    let made = lookup.change(step.made_seq)?;
    let etag = match (cut.observe_time, head.last_mark) {
        (Some(_), _) => None,
        (None, Some(last)) if last >= bound => {
            let last = lookup.with_steps(entry, bound, |steps| steps.last_mark(bound))?;
            Some(etag(step.revision, last, &made))
        }
        (None, last) => Some(etag(step.revision, last, &made)),
    };
    let all_known = head.latest_seq < bound;
    let (revision_count, latest) = if all_known {
        (head.revision_count.get(), lookup.change(head.latest_seq)?)
    } else {
        let read = |steps: Steps<'_>| Ok((steps.revision_count(bound)?, steps.latest_change(bound)));
        let (count, latest) = lookup.with_steps(entry, bound, read)?;
        let latest = match latest {
            Some(latest) => lookup.change(latest)?,
            None => latest_below(lookup, entry, bound)?,
        };
        (count, latest)
    };
    Ok(ArticleAt {
        name: head.name.clone(),
        mark: mark.map(|mark| mark_at(lookup, mark)).transpose()?,
        etag,
        revision: revision_of(lookup, head.name.clone(), step.revision, made, view)?,
        valid_from: step.since,
        valid_until,
        urls: urls(lookup, entry, bound)?,
        revision_count,
        create_time: lookup.change(head.first_seq)?.entry.archive_time,
        latest,
    })
}

/// The article's latest change below `bound`, following the log back from its latest of all.
pub(super) fn latest_below(lookup: &Lookup<'_>, entry: &HeadEntry, bound: Seq) -> Result<Arc<Change>, LookupError> {
    let mut seq = entry.head.latest_seq;
    loop {
        // A head may be written by a commit that is not durable yet.
        let Some(change) = lookup.change_of_any_commit(seq)? else {
            return latest_in_log(lookup, entry.article, bound);
        };
        if change.seq < bound {
            return Ok(change);
        }
        let missing = || StoreError::damaged_at(seq, "an article's log has no beginning");
        seq = change.entry.previous.filter(|previous| *previous < seq).ok_or_else(missing)?;
    }
}

/// The same, looked for in the log itself: a commit that failed may have left a head without the change that it names.
fn latest_in_log(lookup: &Lookup<'_>, article: ArticleKey, bound: Seq) -> Result<Arc<Change>, LookupError> {
    let mut end = bound;
    while let Some(seq) = end.previous() {
        let change = lookup.change(seq)?;
        if change.entry.article == article {
            return Ok(change);
        }
        end = seq;
    }
    Err(StoreError::damaged_at(bound, "an article has no change in the log").into())
}

fn mark_at(lookup: &Lookup<'_>, mark: Mark) -> Result<MarkAt, LookupError> {
    let change = lookup.change(mark.seq)?;
    Ok(MarkAt { withdrawn: mark.withdrawn, since: mark.since, reason: change.entry.reason.clone() })
}

/// The URLs of an article. One that was bound again from an earlier time on is told once, with that time.
pub(super) fn urls(
    lookup: &Lookup<'_>,
    entry: &HeadEntry,
    bound: Seq,
) -> Result<Vec<(ArticleUrl, Timestamp)>, LookupError> {
    let changes = match &entry.head.url_changes {
        Some(changes) => changes.iter().copied().filter(|seq| *seq < bound).collect(),
        None => lookup.with_steps(entry, bound, |steps| steps.url_changes(bound))?,
    };
    let mut urls: Vec<(ArticleUrl, Timestamp)> = Vec::new();
    let mut places: HashMap<UrlKey, usize> = HashMap::new();
    for seq in changes {
        let change = lookup.change(seq)?;
        let since = change.entry.observe_time;
        for url in &change.entry.bound_urls {
            let place = *places.entry(url.key.clone()).or_insert(urls.len());
            match urls.get_mut(place) {
                Some((_, known_since)) => *known_since = since.min(*known_since),
                None => urls.push((url.clone(), since)),
            }
        }
    }
    Ok(urls)
}

/// A revision that `made` made.
pub(super) fn revision_of(
    lookup: &Lookup<'_>,
    article: ArticleName,
    number: RevisionNumber,
    made: Arc<Change>,
    view: View,
) -> Result<RevisionAt, LookupError> {
    let content = match view {
        View::Basic => None,
        View::Full => {
            let unmade = || StoreError::damaged_at(made.seq, "the change that made a revision has no record of it");
            let digest = made.entry.made.as_ref().ok_or_else(unmade)?.digest;
            Some(lookup.content(made.seq, digest)?.content)
        }
    };
    Ok(RevisionAt { article, number, made, content, original: None })
}

/// Reads a revision by number, or the one in force.
pub(super) fn revision(
    lookup: &Lookup<'_>,
    cut: &Cut,
    name: &ArticleName,
    selector: RevisionSelector,
    view: View,
) -> Result<RevisionAt, LookupError> {
    let entry = known(lookup, cut, name)?;
    let (number, made_seq) = match selector {
        RevisionSelector::Latest => {
            let step = steps_at(lookup, cut, &entry)?.step;
            (step.revision, step.made_seq)
        }
        RevisionSelector::Number(number) => (number, numbered(lookup, cut, &entry, number)?),
    };
    let made = lookup.change(made_seq)?;
    revision_of(lookup, name.clone(), number, made, view)
}

/// The change that made a revision, if it is known at the cut.
fn numbered(lookup: &Lookup<'_>, cut: &Cut, entry: &HeadEntry, number: RevisionNumber) -> Result<Seq, LookupError> {
    if entry.head.newest.revision == number && entry.head.newest.made_seq < cut.bound() {
        return Ok(entry.head.newest.made_seq);
    }
    let made_seq = lookup.tables()?.revision(entry.article, number, cut.bound())?;
    let missing = || ArchiveError::from(Missing::Revision { article: entry.head.name.clone(), number });
    Ok(made_seq.ok_or_else(missing)?)
}

/// Reads the bytes of the original that was kept with a revision.
pub(super) fn original(lookup: &Lookup<'_>, revision: &RevisionAt) -> Result<Option<Bytes>, LookupError> {
    let Some(original) = revision.record().and_then(|record| record.original.as_ref()) else { return Ok(None) };
    let tables = lookup.tables()?;
    let data = content::read_original(tables.source(), revision.made.seq, original.size_bytes)?;
    let digest: [u8; 32] = sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), &data)).into();
    if digest != original.sha256 {
        return Err(StoreError::damaged_at(revision.made.seq, "an original does not have its digest").into());
    }
    Ok(Some(data.into()))
}

/// The name of the article that a URL leads to.
pub(super) fn by_url(lookup: &Lookup<'_>, cut: &Cut, url: &str, key: &UrlKey) -> Result<ArticleName, LookupError> {
    let binding = lookup.tables()?.url(key, cut.bound())?;
    let unknown = || ArchiveError::from(Missing::Url(url.to_owned()));
    let binding = binding.ok_or_else(unknown)?;
    Ok(lookup.head_of(binding.article)?.head.name.clone())
}
