//! Answers as plain values, built from the archive and from the model alike, so that `==` compares all of them and a
//! difference is printed in full.

use std::sync::LazyLock;

use dateline::internals::archive::ArchiveError;
use dateline::internals::archive::error::{Conflict, InvalidReadPoint, Missing, Unavailable};
use dateline::internals::archive::read::article::{ArticleAt, RevisionAt, StateChangeAt, UrlAt};
use dateline::internals::archive::read::list::RevisionEntry;
use dateline::internals::archive::request::{Receipt, Warning};
use dateline::internals::store::address::Period;
use dateline::model::diff::word_delta;
use dateline::model::{
    AbsenceLook, AbsenceRun, ArticleName, ArticleState, ArticleUrl, BoundUrl, Change, Content, ContentDigest,
    ContentParts, Fetch, LabelChange, LogKind, Timestamp, WordDelta,
};

use super::naive::{self, Answer, Bound, Known, Led, Record, makes_revision};
use super::plan::Text;
use super::rules::{Model, Refusal};
use crate::support;

/// Number of different contents.
pub(crate) const TEXTS: u8 = 5;

static CONTENTS: LazyLock<Vec<(Content, ContentDigest)>> = LazyLock::new(|| {
    let contents = (0..TEXTS).map(|number| support::content(Text(number)));
    contents.map(|content| (content.clone(), ContentDigest::of(&content))).collect()
});

static WORD_COUNTS: LazyLock<Vec<u32>> =
    LazyLock::new(|| CONTENTS.iter().map(|(content, _)| content.word_count()).collect());

static WORD_DELTAS: LazyLock<Vec<Vec<WordDelta>>> = LazyLock::new(|| {
    let against = |(base, _): &(Content, _)| CONTENTS.iter().map(|(target, _)| word_delta(base, target)).collect();
    CONTENTS.iter().map(against).collect()
});

pub(crate) fn content(text: Text) -> &'static Content {
    &CONTENTS[usize::from(text.0)].0
}

pub(crate) fn delta(base: Text, target: Text) -> WordDelta {
    WORD_DELTAS[usize::from(base.0)][usize::from(target.0)]
}

/// Which of the test contents this is, if it is exactly one of them.
pub(super) fn text_of(content: &Content) -> Option<Text> {
    (0..TEXTS).map(Text).find(|text| self::content(*text) == content)
}

fn text_of_digest(digest: ContentDigest) -> Option<Text> {
    (0..TEXTS).map(Text).find(|text| CONTENTS[usize::from(text.0)].1 == digest)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShownChange {
    pub(super) seq: u64,
    kind: LogKind,
    revision: Option<u32>,
    at: i64,
    archive_time: Option<Timestamp>,
    batch_first: u64,
    previous: Option<u64>,
    request_id: Option<String>,
    urls: Vec<ShownUrl>,
    ended: Vec<ShownUrl>,
    repeated_move: Option<(ArticleUrl, bool)>,
    /// The labels that are added, those that are removed, and all after the change.
    labels: Option<(Vec<String>, Vec<String>, Vec<String>)>,
    /// The position of the change that last altered the labels.
    labels_seq: Option<u64>,
    /// What a look found that found the page missing, and its run as known with the change.
    absence: Option<(AbsenceLook, Option<ShownRun>)>,
    /// The newest state of the article after the change, and the change that last altered it or was a state change.
    state: (ArticleState, Option<u64>),
    reason: String,
    fetch: Option<Fetch>,
    name: ArticleName,
    made: Option<ShownRecord>,
}

/// A run of absences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ShownRun {
    last_seen: i64,
    first: i64,
    last: i64,
    count: u32,
    is_gone: bool,
}

impl ShownRun {
    fn of(run: AbsenceRun) -> Self {
        let AbsenceRun { last_seen, first_missed, last_missed, count, is_gone } = run;
        let tick = support::tick;
        Self { last_seen: tick(last_seen), first: tick(first_missed), last: tick(last_missed), count, is_gone }
    }

    fn expected(missing: naive::Missing) -> Self {
        let naive::Missing { last_seen, first, last, count, is_gone, .. } = missing;
        let tick = support::tick;
        Self { last_seen: tick(last_seen), first: tick(first), last: tick(last), count, is_gone }
    }
}

/// A URL, with the end of a period.
type ShownUrl = (ArticleUrl, Option<i64>);

fn shown_url(bound: &BoundUrl) -> ShownUrl {
    (bound.url.clone(), bound.until.map(support::tick))
}

fn expected_url((url, until): &Bound) -> ShownUrl {
    (url.clone(), until.map(support::tick))
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ShownRecord {
    text: Option<Text>,
    words: Option<u32>,
    word_delta: Option<WordDelta>,
    changed_parts: ContentParts,
    rollback_of: Option<u32>,
    original_bytes: Option<u64>,
}

impl ShownChange {
    pub(super) fn of(change: &Change) -> Self {
        let entry = &change.entry;
        Self {
            seq: change.seq.0,
            kind: entry.kind,
            revision: entry.revision.map(|number| number.get()),
            at: support::tick(entry.observe_time),
            archive_time: Some(entry.archive_time),
            batch_first: entry.batch_first.0,
            previous: entry.previous.map(|seq| seq.0),
            request_id: entry.request.as_ref().map(|(id, _)| id.to_string()),
            urls: entry.bound_urls.iter().map(shown_url).collect(),
            ended: entry.ended_urls.iter().map(shown_url).collect(),
            repeated_move: entry.repeated_move.as_deref().map(|repeated| (repeated.url.clone(), repeated.ended)),
            labels: entry.labels.as_deref().map(|labels| {
                let LabelChange { added, removed, after } = labels.clone();
                (added, removed, after)
            }),
            labels_seq: entry.latest_state.labels_seq.map(|seq| seq.0),
            absence: entry.absence.as_deref().map(|absence| (absence.look, absence.run.map(ShownRun::of))),
            state: (entry.latest_state.state, entry.latest_state.state_seq.map(|seq| seq.0)),
            reason: entry.reason.clone(),
            fetch: entry.fetch.as_deref().cloned(),
            name: entry.name.clone(),
            made: entry.new_revision.as_ref().map(|made| ShownRecord {
                text: text_of_digest(made.digest),
                words: Some(made.word_count),
                word_delta: made.word_delta,
                changed_parts: made.changed_parts,
                rollback_of: made.rollback_of.map(|number| number.get()),
                original_bytes: made.original.as_ref().map(|original| original.size_bytes),
            }),
        }
    }

    pub(super) fn expected(known: Known<'_>, seq: u64, record: &Record) -> Self {
        let before = known.of(&record.article).map(|(seq, _)| seq).take_while(|other| *other < seq);
        let with_this = Known(&known.0[..=usize::try_from(seq).unwrap()]);
        let after = || with_this.labels(&record.article);
        Self {
            seq,
            kind: record.kind,
            revision: record.revision,
            at: support::tick(record.at),
            archive_time: record.archive_time,
            batch_first: record.batch_first,
            previous: before.last(),
            request_id: record.request.as_ref().map(|(id, _)| format!("request-{id}")),
            urls: record.urls.iter().map(expected_url).collect(),
            ended: record.ended.iter().map(expected_url).collect(),
            repeated_move: record.repeated_move.clone(),
            labels: record.labels.clone().map(|edit| (edit.added, edit.removed, after())),
            labels_seq: with_this.last_label_change(&record.article),
            absence: record.absence.map(|look| (look, record.run.map(ShownRun::expected))),
            state: (record.state, record.state_seq),
            reason: record.reason.clone(),
            fetch: record.fetch.map(support::fetch),
            name: record.article.clone(),
            made: makes_revision(record.kind).then(|| ShownRecord {
                text: record.text,
                words: record.text.map(|text| WORD_COUNTS[usize::from(text.0)]),
                word_delta: record.word_delta,
                changed_parts: record.changed_parts,
                rollback_of: record.rollback_of,
                original_bytes: record.original.map(|number| support::original(number).data.len() as u64),
            }),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShownRevision {
    article: ArticleName,
    number: u32,
    made: ShownChange,
    /// The content, if it is shown; a content that no writer sent is `Some(None)`.
    text: Option<Option<Text>>,
}

impl ShownRevision {
    pub(super) fn of(revision: &RevisionAt) -> Self {
        Self {
            article: revision.article.clone(),
            number: revision.number.get(),
            made: ShownChange::of(&revision.created_by),
            text: revision.content().as_ref().map(text_of),
        }
    }

    pub(super) fn expected(known: Known<'_>, article: &ArticleName, number: u32, full: bool) -> Option<Self> {
        let (seq, made) = known.made(article, number)?;
        let text = full.then_some(made.text);
        Some(Self { article: article.clone(), number, made: ShownChange::expected(known, seq, made), text })
    }
}

/// An article at a read point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShownArticle {
    name: ArticleName,
    /// Whether it is withdrawn, since when, and why.
    mark: Option<(bool, i64, String)>,
    state: (ArticleState, Option<i64>),
    absence: Option<(AbsenceLook, ShownRun)>,
    revision: ShownRevision,
    valid_from: i64,
    valid_until: Option<i64>,
    has_etag: bool,
    latest_fetch: Option<Fetch>,
    /// Each with its period, and where it leads then.
    urls: Vec<(ArticleUrl, i64, Option<i64>, Option<ArticleName>)>,
    labels: Vec<String>,
    revision_count: u32,
    create_time: Option<Timestamp>,
    latest: ShownChange,
}

impl ShownArticle {
    pub(super) fn of(article: &ArticleAt) -> Self {
        let mark = |mark: &StateChangeAt| (mark.withdrawn, support::tick(mark.since), mark.reason.clone());
        Self {
            name: article.name.clone(),
            mark: article.state.as_ref().map(mark),
            state: (article.article_state(), article.state_since().map(support::tick)),
            absence: article.absence.map(|absence| (absence.look, ShownRun::of(absence.run))),
            revision: ShownRevision::of(&article.revision),
            valid_from: support::tick(article.valid_from),
            valid_until: article.valid_until.map(support::tick),
            has_etag: article.etag.is_some(),
            latest_fetch: article.latest_fetch().cloned(),
            urls: article.urls.iter().map(shown_led).collect(),
            labels: article.labels.clone(),
            revision_count: article.revision_count,
            create_time: Some(article.create_time),
            latest: ShownChange::of(&article.latest),
        }
    }
}

fn shown_led(at: &UrlAt) -> (ArticleUrl, i64, Option<i64>, Option<ArticleName>) {
    let Period { since, until } = at.period;
    (at.url.clone(), support::tick(since), until.map(support::tick), at.moved_to.clone())
}

fn expected_led(led: Led) -> (ArticleUrl, i64, Option<i64>, Option<ArticleName>) {
    (led.url, support::tick(led.since), led.until.map(support::tick), led.moved_to)
}

/// Why a read fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    Article,
    Url,
    /// With the article that the URL led to.
    UrlEnded(ArticleName),
    Revision,
    NotYetArchived(Option<Timestamp>),
    NotYetObserved(i64),
    SeqInFuture,
    TimeInFuture,
    HistoryDiverged,
    Refused(Refusal),
    StorageFull,
    StorageFailed,
    Other(String),
}

impl Missed {
    pub(super) fn of(error: &ArchiveError) -> Self {
        match error {
            ArchiveError::Missing(missing) => match missing {
                Missing::Article(_) => Self::Article,
                Missing::Url(_) => Self::Url,
                Missing::UrlEnded { article, .. } => Self::UrlEnded(article.clone()),
                Missing::Revision { .. } => Self::Revision,
                Missing::NotYetArchived { first, .. } => Self::NotYetArchived(Some(*first)),
                Missing::NotYetObserved { first, .. } => Self::NotYetObserved(support::tick(*first)),
            },
            ArchiveError::Conflict(conflict) => Self::Refused(match conflict {
                Conflict::Expunged { .. } | Conflict::ExpungePlanChanged(_) => panic!("nothing is destroyed"),
                Conflict::NotWithin => panic!("nothing is confined"),
                Conflict::ArticleExists(_) => Refusal::ArticleExists,
                Conflict::Revision { current, .. } => Refusal::RevisionConflict(current.get()),
                Conflict::Withdrawn { since, .. } => Refusal::Withdrawn(*since),
                Conflict::RequestIdReused { .. } => Refusal::RequestIdReused,
                Conflict::StateTooEarly { first, .. } => Refusal::StateTooEarly(*first),
                Conflict::TooManyLabels { count, .. } => Refusal::TooManyLabels(*count),
                Conflict::UrlTooEarly { first, .. } => Refusal::UrlTooEarly(*first),
                Conflict::UrlElsewhere { leads_to, .. } => Refusal::UrlElsewhere(leads_to.clone()),
                Conflict::TooManyUrls { .. } | Conflict::TooManyMoves { .. } => {
                    return Self::Other(error.to_string());
                }
            }),
            ArchiveError::Bound(bound) => match bound {
                InvalidReadPoint::SeqInFuture { .. } => Self::SeqInFuture,
                InvalidReadPoint::TimeInFuture { .. } => Self::TimeInFuture,
                InvalidReadPoint::HistoryDiverged { .. } => Self::HistoryDiverged,
            },
            ArchiveError::Unavailable(Unavailable::StorageFull { .. }) => Self::StorageFull,
            ArchiveError::Unavailable(Unavailable::StorageFailed) => Self::StorageFailed,
            ArchiveError::Unavailable(_)
            | ArchiveError::Subscription(_)
            | ArchiveError::Invalid(_)
            | ArchiveError::TooLarge { .. }
            | ArchiveError::Damaged { .. }
            | ArchiveError::Internal => Self::Other(error.to_string()),
        }
    }

    pub(super) fn refused(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownArticle => Self::Article,
            Refusal::UnknownRevision => Self::Revision,
            Refusal::UnknownUrl => Self::Url,
            Refusal::ArticleExists
            | Refusal::StateTooEarly(_)
            | Refusal::TooManyLabels(_)
            | Refusal::UrlTooEarly(_)
            | Refusal::UrlElsewhere(_)
            | Refusal::RevisionConflict(_)
            | Refusal::Withdrawn(_)
            | Refusal::RequestIdReused => Self::Refused(refusal),
        }
    }
}

/// What the model says about an article at an instant, as known below `bound`.
pub(super) fn expected_article(
    model: &Model,
    bound: u64,
    at: Option<Timestamp>,
    name: &ArticleName,
    full: bool,
) -> Result<ShownArticle, Missed> {
    let known = model.below(bound);
    let (_, first) = model.all().of(name).next().ok_or(Missed::Article)?;
    let latest = known.of(name).last().ok_or(Missed::NotYetArchived(first.archive_time))?;
    let run = known.run_at(name, at);
    let run = run.ok_or_else(|| Missed::NotYetObserved(support::tick(known.observations(name)[0].at)))?;
    let full = full && !known.withdrawn_at(name, at);
    Ok(ShownArticle {
        name: name.clone(),
        mark: known.mark_at(name, at).map(|mark| (mark.withdrawn, support::tick(mark.at), mark.reason)),
        state: (known.state_at(name, at), known.state_since(name, at).map(support::tick)),
        absence: known.missing_at(name, at).map(|missing| (missing.look, ShownRun::expected(missing))),
        revision: ShownRevision::expected(known, name, run.revision, full).unwrap(),
        valid_from: support::tick(run.from),
        valid_until: run.until.map(support::tick),
        has_etag: at.is_none(),
        latest_fetch: at.is_none().then(|| known.latest_fetch(name)).flatten().map(support::fetch),
        urls: known.urls(name).into_iter().map(expected_led).collect(),
        labels: known.labels(name),
        revision_count: known.revision_count(name),
        create_time: first.archive_time,
        latest: ShownChange::expected(known, latest.0, latest.1),
    })
}

/// An entry in a list of revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShownEntry {
    revision: ShownRevision,
    observation_count: u32,
    first_seen: i64,
    last_seen: i64,
}

impl ShownEntry {
    /// The revision's number.
    pub(super) fn number(&self) -> u32 {
        self.revision.number
    }

    pub(super) fn of(entry: &RevisionEntry) -> Self {
        Self {
            revision: ShownRevision::of(&entry.revision),
            observation_count: entry.observation_count,
            first_seen: support::tick(entry.first_seen),
            last_seen: support::tick(entry.last_seen),
        }
    }
}

/// The revisions of an article that were observed at or before an instant, by number.
pub(super) fn expected_entries(
    model: &Model,
    bound: u64,
    at: Option<Timestamp>,
    name: &ArticleName,
    full: bool,
) -> Result<Vec<ShownEntry>, Missed> {
    let known = model.below(bound);
    let (_, first) = model.all().of(name).next().ok_or(Missed::Article)?;
    if !known.has(name) {
        return Err(Missed::NotYetArchived(first.archive_time));
    }
    let entries = (1..=known.revision_count(name)).filter_map(|number| {
        let seen = known.seen(name, number, at)?;
        Some(ShownEntry {
            revision: ShownRevision::expected(known, name, number, full)?,
            observation_count: seen.count,
            first_seen: support::tick(seen.first),
            last_seen: support::tick(seen.last),
        })
    });
    Ok(entries.collect())
}

/// The archive's reply to a writer.
pub(super) fn answer_of(written: &Receipt) -> Answer {
    let foreign = written.warnings.iter().map(|warning| match warning {
        Warning::UrlBelongsToOther { url, article } => (url.clone(), article.clone().unwrap()),
        Warning::TooManyUrls { url } => panic!("{url} is one of few"),
        Warning::UrlReused { url, .. } => panic!("the texts are too short to tell whether {url} was reused"),
    });
    Answer {
        article: written.article.clone(),
        at: written.observe_time,
        outcome: written.outcome,
        revision: written.revision.get(),
        made: written.created_by.seq.0,
        replayed: written.replayed,
        foreign_urls: foreign.collect(),
        moved_from: written.moved_from.clone(),
    }
}
