//! Reads articles and revisions at a read point.
//!
//! If the newest state is requested and the article's head was written below the bound, the head has the answer;
//! otherwise the timeline is read. A withdrawn article keeps its attributes and its history, but its content is not
//! returned with it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::archive::error::{ArchiveError, Missing};
use crate::archive::project::addresses::{self, LookedUp};
use crate::archive::project::timeline::TimelineReader;
use crate::archive::read::cache::HeadEntry;
use crate::archive::read::point::ReadPoint;
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::{
    Absence, ArticleKey, ArticleName, ArticleState, ArticleUrl, BoundUrl, Change, Content, Fetch, RevisionNumber,
    RevisionRecord, RevisionSelector, Seq, Timestamp, UrlKey,
};
use crate::store::address::{AddressSteps, Lead, Period};
use crate::store::content_encoding;
use crate::store::head::{InForce, StateChange, article_state};
use crate::store::record::created_revision;
use crate::store::{StoreError, content};

/// How much of a revision is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The attributes, which the log has.
    Basic,
    /// The attributes and the full content.
    Full,
}

/// An article at a read point.
#[derive(Clone, Debug)]
pub struct ArticleAt {
    /// The article's full name, with its source.
    pub name: ArticleName,
    /// The state change in force; `None` if the article was never withdrawn or reinstated.
    pub state: Option<StateChangeAt>,
    /// The revision in force. If the article is withdrawn, it has no content.
    pub revision: RevisionAt,
    /// The observe time from which the revision is in force.
    pub valid_from: Timestamp,
    /// The observe time at which its successor came into force; `None` if none is known.
    pub valid_until: Option<Timestamp>,
    /// The etag of the newest state; `None` if the read point has an observe time.
    pub etag: Option<String>,
    /// The URLs that lead or led to the article, in the order in which they were recorded.
    pub urls: Vec<UrlAt>,
    /// The number of revisions known at the read point.
    pub revision_count: u32,
    /// The archive time of its first change.
    pub create_time: Timestamp,
    /// Its latest change below the bound, of any kind.
    pub latest: Arc<Change>,
    /// Its labels, as known at the read point, sorted.
    pub labels: Vec<String>,
    /// The latest look at or before the read point, if it is an absence, with its run.
    pub absence: Option<Absence>,
    /// The observe time from which it is gone; `None` if it is not.
    pub gone_since: Option<Timestamp>,
}

/// A URL with a period over which it leads to an article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlAt {
    /// The URL, as it was given when it was first recorded for the article.
    pub url: ArticleUrl,
    /// The period, on the observe axis.
    pub period: Period,
    /// The article that it leads to after the period; `None` if the period has no end, or the URL then leads nowhere.
    pub moved_to: Option<ArticleName>,
}

/// The state change in force at a read point.
#[derive(Clone, Debug)]
pub struct StateChangeAt {
    /// Whether the article is withdrawn; otherwise it was reinstated.
    pub withdrawn: bool,
    /// The observe time from which that is so.
    pub since: Timestamp,
    /// The reason that the client gave; may be empty.
    pub reason: String,
}

/// A revision at a read point.
#[derive(Clone, Debug)]
pub struct RevisionAt {
    /// The name of its article.
    pub article: ArticleName,
    /// Its number, counted from 1 within the article.
    pub number: RevisionNumber,
    /// The change that created it. The attributes are in there.
    pub created_by: Arc<Change>,
    /// Its content, encoded as it is stored and sent; `None` if it was read without it, the article is withdrawn, or the
    /// text was destroyed.
    pub(crate) encoded_content: Option<Bytes>,
    /// The bytes of the kept original; `None` if they were not requested, or no original was kept.
    pub original: Option<Bytes>,
}

impl RevisionAt {
    /// The headline.
    pub fn headline(&self) -> &str {
        self.record().map_or("", |record| record.headline.as_str())
    }

    /// When it was seen first: the observe time of the observation that created it.
    pub fn observe_time(&self) -> Timestamp {
        self.created_by.entry.observe_time
    }

    /// When the archive recorded it.
    pub fn archive_time(&self) -> Timestamp {
        self.created_by.entry.archive_time
    }

    /// Its content, decoded; `None` if it was read without it, the article is withdrawn, or the text was destroyed.
    pub fn content(&self) -> Option<Content> {
        // It was checked against its digest when it was read, so it can be decoded.
        self.encoded_content.as_ref().and_then(|content| content_encoding::from_bytes(content))
    }

    /// Whether its text was destroyed.
    pub fn is_expunged(&self) -> bool {
        self.created_by.entry.expunged.is_some()
    }

    /// The attributes, from the log. `None` cannot happen unless the database is damaged.
    pub fn record(&self) -> Option<&RevisionRecord> {
        self.created_by.entry.new_revision.as_deref()
    }
}

impl RevisionAt {
    /// The approximate size in bytes of everything read with it. Every part of variable length counts.
    pub(crate) fn weight_bytes(&self) -> usize {
        let attributes =
            self.record().map_or(0, |record| record.headline.len() + record.section.len() + record.canonical_url.len());
        let fetch = self.created_by.entry.fetch.as_ref().map_or(0, |fetch| fetch.text_bytes());
        attributes + fetch + self.encoded_content.as_ref().map_or(0, Bytes::len)
    }
}

impl ArticleAt {
    /// The approximate size in bytes of everything read with it. Every part of variable length counts.
    pub(crate) fn weight_bytes(&self) -> usize {
        let urls = self.urls.iter().map(|at| 64 + at.url.original.len() + at.url.key.as_str().len());
        let reason = self.state.as_ref().map_or(0, |state| state.reason.len());
        let fetch = self.latest_fetch().map_or(0, Fetch::text_bytes);
        let labels: usize = self.labels.iter().map(String::len).sum();
        self.revision.weight_bytes() + urls.sum::<usize>() + reason + fetch + labels
    }

    /// The content in force; `None` if the article is withdrawn, or was read without its content.
    pub fn content(&self) -> Option<Content> {
        self.revision.content()
    }

    /// The headline of the revision in force, also if the article is withdrawn.
    pub fn headline(&self) -> &str {
        self.revision.headline()
    }

    /// The state in force at the read point.
    pub fn article_state(&self) -> ArticleState {
        if self.state.as_ref().is_some_and(|state| state.withdrawn) {
            ArticleState::Withdrawn
        } else if self.absence.is_some_and(|absence| absence.run.is_gone) {
            ArticleState::Gone
        } else {
            ArticleState::Live
        }
    }

    /// The observe time from which it is gone or withdrawn; if it is live, that of the reinstatement in force, if there
    /// is one. It may have been gone since that reinstatement.
    pub fn state_since(&self) -> Option<Timestamp> {
        self.gone_since.or_else(|| self.state.as_ref().map(|state| state.since))
    }

    /// The HTTP facts of the latest change's fetch. `None` unless the newest state was read, that change found what is
    /// in force, and no later look found the page missing. So if the site answers a conditional request with "not
    /// modified", the archive has the current page.
    pub fn latest_fetch(&self) -> Option<&Fetch> {
        let latest = &self.latest.entry;
        let is_up = self.article_state() != ArticleState::Withdrawn && self.absence.is_none();
        let found_newest = self.etag.is_some() && latest.latest_state.is_newest && is_up;
        latest.fetch.as_deref().filter(|_| found_newest)
    }
}

/// The etag of an article's newest revision, state and labels. It changes when any of them does, and never recurs,
/// because it includes the position of the latest change of state or labels, `last_edit`.
pub(crate) fn etag(revision: RevisionNumber, last_edit: Option<Seq>, created_by: &Change) -> String {
    let digest = created_by.entry.new_revision.as_ref().map(|revision| revision.digest.short()).unwrap_or_default();
    match last_edit {
        None => format!("{revision}-{digest}"),
        Some(seq) => format!("{revision}-{digest}-{seq}"),
    }
}

/// Reads an article at a read point.
pub(crate) fn article(
    reader: &Reader<'_>,
    point: &ReadPoint,
    name: &ArticleName,
    view: View,
) -> Result<ArticleAt, ReadError> {
    let entry = known(reader, point, name)?;
    let in_force = in_force_at(reader, point, &entry)?;
    render(reader, point, &entry, in_force, view)
}

/// The revision and the state in force at a read point.
#[derive(Clone, Copy)]
pub(crate) struct InForceAt {
    pub(crate) step: InForce,
    pub(crate) state: Option<StateChange>,
    pub(crate) valid_until: Option<Timestamp>,
    /// The latest look, if it is an absence.
    pub(crate) absence: Option<Absence>,
}

impl InForceAt {
    pub(crate) fn article_state(&self) -> ArticleState {
        article_state(self.state, self.absence.as_ref())
    }
}

/// The head of the article with this name, if the article exists at the read point. The head itself may be newer.
pub(crate) fn known(reader: &Reader<'_>, point: &ReadPoint, name: &ArticleName) -> Result<HeadEntry, ReadError> {
    let entry = reader.head(name)?.ok_or_else(|| unknown(name))?;
    if entry.head.first_seq >= point.below() {
        // The engine may show a change before it is durable. Its archive time must not be reported then.
        let first = reader.durable_change(entry.head.first_seq)?;
        let first = first.ok_or_else(|| unknown(name))?.entry.archive_time;
        return Err(ArchiveError::from(Missing::NotYetArchived { article: name.clone(), first }).into());
    }
    Ok(entry)
}

fn unknown(name: &ArticleName) -> ArchiveError {
    Missing::Article(name.clone()).into()
}

/// What is in force at the read point: from the head if that is enough, or else from the timeline.
pub(crate) fn in_force_at(reader: &Reader<'_>, point: &ReadPoint, entry: &HeadEntry) -> Result<InForceAt, ReadError> {
    let (head, below) = (&entry.head, point.below());
    let all_known = head.latest_seq < below;
    let newest = |at: Timestamp| {
        at >= head.newest.since && head.state.is_none_or(|state| at >= state.since) && head.absence_at(at).is_some()
    };
    if all_known && point.observe_time.is_none_or(newest) {
        // If there are no absences at all, this is `None` at every instant.
        let absence = head.absence;
        return Ok(InForceAt { step: head.newest, state: head.state, valid_until: None, absence });
    }
    let at = point.observe_time;
    let read = reader.with_timeline(entry, below, |timeline| {
        let Some(step) = timeline.in_force(at, below)? else { return Ok(None) };
        let valid_until = match at {
            Some(at) => timeline.valid_until(&step, at, below)?,
            None => None,
        };
        let absence = if head.latest_absence_time.is_some() { timeline.absence(at, below)? } else { None };
        Ok(Some(InForceAt { step, state: timeline.state(at, below)?, valid_until, absence }))
    })?;
    if let Some(read) = read {
        return Ok(read);
    }
    let first = reader.with_timeline(entry, below, |timeline| timeline.first(below))?;
    let first = first.unwrap_or(head.first_observe_time);
    Err(ArchiveError::from(Missing::NotYetObserved { article: head.name.clone(), first }).into())
}

/// Assembles an article from what is in force.
pub(crate) fn render(
    reader: &Reader<'_>,
    point: &ReadPoint,
    entry: &HeadEntry,
    in_force: InForceAt,
    view: View,
) -> Result<ArticleAt, ReadError> {
    let (head, below) = (&entry.head, point.below());
    let gone_since = gone_since(reader, entry, below, &in_force)?;
    let InForceAt { step, state, valid_until, absence } = in_force;
    let withdrawn = state.is_some_and(|state| state.withdrawn);
    let view = if withdrawn { View::Basic } else { view };
    let created_by = reader.change(step.created_seq)?;
    let labels = labels(reader, entry, below)?;
    let all_known = head.latest_seq < below;
    let (revision_count, latest) = if all_known {
        (head.revision_count.get(), reader.change(head.latest_seq)?)
    } else {
        let read = |timeline: TimelineReader<'_>| Ok((timeline.revision_count(below)?, timeline.latest_change(below)));
        let (count, latest) = reader.with_timeline(entry, below, read)?;
        let latest = match latest {
            Some(latest) => reader.change(latest)?,
            None => latest_below(reader, entry, below)?,
        };
        (count, latest)
    };
    let last_edit = latest.entry.latest_state.last_edit();
    let etag = point.observe_time.is_none().then(|| etag(step.revision, last_edit, &created_by));
    Ok(ArticleAt {
        name: head.name.clone(),
        state: state.map(|state| state_change_at(reader, state)).transpose()?,
        etag,
        revision: revision_of(reader, head.name.clone(), step.revision, created_by, view)?,
        valid_from: step.since,
        valid_until,
        urls: urls_at(reader, entry, below)?,
        revision_count,
        create_time: reader.change(head.first_seq)?.entry.archive_time,
        latest,
        labels,
        absence,
        gone_since,
    })
}

/// The observe time from which an article is gone, if it is: that of the first absence of the run, or of the
/// reinstatement that ended a withdrawal after it.
fn gone_since(
    reader: &Reader<'_>,
    entry: &HeadEntry,
    below: Seq,
    in_force: &InForceAt,
) -> Result<Option<Timestamp>, ReadError> {
    let absence = in_force.absence.filter(|_| in_force.article_state() == ArticleState::Gone);
    let Some(missed) = absence.map(|absence| absence.run.first_missed) else { return Ok(None) };
    let declared = in_force.state.map(|state| state.since).filter(|declared| *declared > missed);
    let Some(declared) = declared else { return Ok(Some(missed)) };
    // An article that was not withdrawn can be reinstated, too.
    let before = Some(declared.saturating_add_micros(-1));
    let before = reader.with_timeline(entry, below, |timeline| timeline.state(before, below))?;
    let was_withdrawn = before.is_some_and(|before| before.withdrawn);
    Ok(Some(if was_withdrawn { declared } else { missed }))
}

/// The labels of an article, sorted and unique, as known below `below`: from its head if that is enough, or else from
/// the change that set them.
pub(crate) fn labels(reader: &Reader<'_>, entry: &HeadEntry, below: Seq) -> Result<Vec<String>, ReadError> {
    let head = &entry.head;
    if head.labels_seq.is_none_or(|seq| seq < below) {
        return Ok(head.labels.clone());
    }
    let seq = reader.with_timeline(entry, below, |timeline| timeline.label_change(below))?;
    let labelled_by = seq.map(|seq| labelling_change(reader, seq)).transpose()?;
    Ok(labels_of(labelled_by.as_ref()).to_vec())
}

/// The change at `seq`, which must have set an article's labels.
pub(crate) fn labelling_change(reader: &Reader<'_>, seq: Seq) -> Result<Arc<Change>, ReadError> {
    let change = reader.change(seq)?;
    if change.entry.labels.is_none() {
        return Err(StoreError::damaged_at(seq, "the change that set an article's labels does not say which").into());
    }
    Ok(change)
}

/// The labels of an article whose labels `labelled_by` set; none without such a change.
pub(crate) fn labels_of(labelled_by: Option<&Arc<Change>>) -> &[String] {
    let labels = labelled_by.and_then(|change| change.entry.labels.as_deref());
    labels.map_or(&[], |labels| &labels.after)
}

/// The article's latest change below `below`, found by following the article's changes back from its newest.
pub(crate) fn latest_below(reader: &Reader<'_>, entry: &HeadEntry, below: Seq) -> Result<Arc<Change>, ReadError> {
    let mut seq = entry.head.latest_seq;
    loop {
        // The head may be from a commit that is not durable yet.
        let Some(change) = reader.change_of_any_commit(seq)? else {
            return latest_in_log(reader, entry.article, below);
        };
        if change.seq < below {
            return Ok(change);
        }
        let missing = || StoreError::damaged_at(seq, "an article's changes do not lead back to its first");
        seq = change.entry.previous.filter(|previous| *previous < seq).ok_or_else(missing)?;
    }
}

/// Like [`latest_below`], by scanning the log itself, because a failed commit may have left a head without the change
/// that the head names.
fn latest_in_log(reader: &Reader<'_>, article: ArticleKey, below: Seq) -> Result<Arc<Change>, ReadError> {
    let mut end = below;
    while let Some(seq) = end.previous() {
        let change = reader.change(seq)?;
        if change.entry.article == article {
            return Ok(change);
        }
        end = seq;
    }
    Err(StoreError::damaged_at(below, "an article has no change in the log").into())
}

fn state_change_at(reader: &Reader<'_>, state: StateChange) -> Result<StateChangeAt, ReadError> {
    let change = reader.change(state.seq)?;
    Ok(StateChangeAt { withdrawn: state.withdrawn, since: state.since, reason: change.entry.reason.clone() })
}

/// A URL with all periods over which it leads to an article, in order.
#[derive(Clone, Debug)]
pub(crate) struct UrlPeriods {
    pub(crate) url: ArticleUrl,
    pub(crate) periods: Vec<Period>,
}

impl UrlPeriods {
    /// Whether the URL leads to `article`, whose periods these are, at `at` (`None`: at the end of the observe axis).
    /// Before the first period it counts as if it did, because an article is often found at its address later than it
    /// was first seen, unless the URL led to another article or ended before.
    pub(crate) fn lead_at(
        &self,
        reader: &Reader<'_>,
        article: ArticleKey,
        at: Option<Timestamp>,
        below: Seq,
    ) -> Result<bool, ReadError> {
        let begun = self.periods.iter().rfind(|period| at.is_none_or(|at| period.since <= at));
        match (begun, at) {
            (Some(period), at) => Ok(period.until.is_none_or(|until| at.is_some_and(|at| at < until))),
            (None, Some(at)) => {
                let found = addresses::look_up(&reader.tables()?, &self.url.key, at, below)?;
                Ok(matches!(found, LookedUp::Article(leads_to) if leads_to == article))
            }
            (None, None) => Ok(false),
        }
    }
}

/// The URLs that lead or led to an article, in the order in which they were recorded.
pub(crate) fn urls(reader: &Reader<'_>, entry: &HeadEntry, below: Seq) -> Result<Vec<UrlPeriods>, ReadError> {
    let changes = match &entry.head.url_changes {
        Some(changes) => changes.iter().copied().filter(|seq| *seq < below).collect(),
        None => reader.with_timeline(entry, below, |timeline| timeline.url_changes(below))?,
    };
    let mut urls: Vec<(ArticleUrl, AddressSteps)> = Vec::new();
    let mut places: HashMap<UrlKey, usize> = HashMap::new();
    for seq in changes {
        let change = reader.change(seq)?;
        let (since, article) = (change.entry.observe_time, entry.article);
        let bound = change.entry.bound_urls.iter().map(|bound| (bound, true));
        for (BoundUrl { url, until, .. }, leads) in
            bound.chain(change.entry.ended_urls.iter().map(|ended| (ended, false)))
        {
            let place = *places.entry(url.key.clone()).or_insert(urls.len());
            if place == urls.len() {
                urls.push((url.clone(), AddressSteps::default()));
            }
            if let Some((_, steps)) = urls.get_mut(place) {
                steps.set(Period { since, until: *until }, Lead { article, leads });
            }
        }
    }
    let with_periods = |(url, steps): (ArticleUrl, AddressSteps)| {
        let periods = steps.periods(entry.article);
        // Without any, another article had the URL all the time.
        (!periods.is_empty()).then_some(UrlPeriods { url, periods })
    };
    Ok(urls.into_iter().filter_map(with_periods).collect())
}

/// The URLs of an article, with where each leads after it ended there.
fn urls_at(reader: &Reader<'_>, entry: &HeadEntry, below: Seq) -> Result<Vec<UrlAt>, ReadError> {
    let mut all = Vec::new();
    for UrlPeriods { url, periods } in urls(reader, entry, below)? {
        for period in periods {
            let next = match period.until {
                Some(until) => reader.tables()?.url_at(&url.key, until, below)?.filter(|next| next.leads),
                None => None,
            };
            let moved_to = next.map(|next| Ok::<_, ReadError>(reader.head_of(next.article)?.head.name.clone()));
            all.push(UrlAt { url: url.clone(), period, moved_to: moved_to.transpose()? });
        }
    }
    Ok(all)
}

/// Assembles a revision; `created_by` is the change that created it. Reads the content if the view is [`View::Full`].
pub(crate) fn revision_of(
    reader: &Reader<'_>,
    article: ArticleName,
    number: RevisionNumber,
    created_by: Arc<Change>,
    view: View,
) -> Result<RevisionAt, ReadError> {
    created_revision(&created_by)?;
    let (created_by, encoded_content) = match view {
        View::Basic => (created_by, None),
        View::Full => reader.created_content(created_by)?,
    };
    Ok(RevisionAt { article, number, created_by, encoded_content, original: None })
}

/// Reads a revision by number, or the one in force at the read point.
pub(crate) fn revision(
    reader: &Reader<'_>,
    point: &ReadPoint,
    name: &ArticleName,
    selector: RevisionSelector,
    view: View,
) -> Result<RevisionAt, ReadError> {
    let entry = known(reader, point, name)?;
    let (number, created_seq) = match selector {
        RevisionSelector::Latest => {
            let step = in_force_at(reader, point, &entry)?.step;
            (step.revision, step.created_seq)
        }
        RevisionSelector::Number(number) => (number, numbered(reader, point, &entry, number)?),
    };
    let created_by = reader.change(created_seq)?;
    revision_of(reader, name.clone(), number, created_by, view)
}

/// The position of the change that created a revision, if that is known at the read point.
fn numbered(
    reader: &Reader<'_>,
    point: &ReadPoint,
    entry: &HeadEntry,
    number: RevisionNumber,
) -> Result<Seq, ReadError> {
    if entry.head.newest.revision == number && entry.head.newest.created_seq < point.below() {
        return Ok(entry.head.newest.created_seq);
    }
    let created_seq = reader.tables()?.revision(entry.article, number, point.below())?;
    let missing = || ArchiveError::from(Missing::Revision { article: entry.head.name.clone(), number });
    Ok(created_seq.ok_or_else(missing)?)
}

/// Reads the bytes of the original that was kept with a revision, and checks them against their SHA-256.
pub(crate) fn original(reader: &Reader<'_>, revision: &RevisionAt) -> Result<Option<Bytes>, ReadError> {
    let Some(original) = revision.record().and_then(|record| record.original.as_ref()) else { return Ok(None) };
    let tables = reader.tables()?;
    let data = content::read_original(tables.source(), revision.created_by.seq, original.size_bytes)?;
    let digest: [u8; 32] = sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), &data)).into();
    if digest != original.sha256 {
        return Err(StoreError::damaged_at(revision.created_by.seq, "an original does not match its digest").into());
    }
    Ok(Some(data.into()))
}

/// The name of the article that a URL leads to at the read point. Before the first time at which it is known to lead
/// somewhere, that is where it leads first.
pub(crate) fn by_url(
    reader: &Reader<'_>,
    point: &ReadPoint,
    url: &str,
    key: &UrlKey,
) -> Result<ArticleName, ReadError> {
    let at = point.observe_time.unwrap_or(Timestamp::MAX);
    let name_of = |article| Ok::<_, ReadError>(reader.head_of(article)?.head.name.clone());
    match addresses::look_up(&reader.tables()?, key, at, point.below())? {
        LookedUp::Article(article) => name_of(article),
        LookedUp::Ended(entry) => {
            let article = name_of(entry.article)?;
            Err(ArchiveError::from(Missing::UrlEnded { url: url.to_owned(), article, ended: entry.since }).into())
        }
        LookedUp::Unknown => Err(ArchiveError::from(Missing::Url(url.to_owned())).into()),
    }
}
