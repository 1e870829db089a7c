//! Compares two states of an article, word by word.

use crate::archive::error::{ArchiveError, Conflict};
use crate::archive::read::article::{RevisionAt, View, known, revision, revision_of};
use crate::archive::read::point::ReadPoint;
use crate::archive::read::reader::{ReadError, Reader};
use crate::model::diff::{ContentDiff, diff, word_delta};
use crate::model::{ArticleName, RevisionNumber, RevisionSelector, Timestamp, WordDelta};

/// Selects a state of an article.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateSelector {
    /// The revision of this number.
    Number(RevisionNumber),
    /// The revision in force at this instant of the observe axis.
    At(Timestamp),
}

/// Two states of an article and their differences.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The state compared with; `None` if the target has no predecessor, which counts as empty.
    pub base: Option<RevisionAt>,
    /// The state that is compared.
    pub target: RevisionAt,
    /// The differences, from the base to the target.
    pub diff: ContentDiff,
    /// The number of words added and removed.
    pub word_delta: WordDelta,
}

/// Compares two states. The default target is the state in force at the read point, and the default base is what was in
/// force before the target. A state whose text was destroyed is [`Conflict::Expunged`].
pub(crate) fn compare(
    reader: &Reader<'_>,
    point: &ReadPoint,
    name: &ArticleName,
    base: Option<StateSelector>,
    target: Option<StateSelector>,
) -> Result<Comparison, ReadError> {
    let target_selector = target;
    let target = match target_selector {
        Some(selector) => selected(reader, point, name, selector)?,
        None => revision(reader, point, name, RevisionSelector::Latest, View::Full)?,
    };
    let base = match base {
        Some(selector) => Some(selected(reader, point, name, selector)?),
        None => predecessor(reader, point, &target, target_selector)?,
    };
    if let Some(expunged) = base.iter().chain([&target]).find(|revision| revision.is_expunged()) {
        let (article, number) = (expunged.article.clone(), expunged.number);
        return Err(ArchiveError::from(Conflict::Expunged { article, number }).into());
    }
    Ok(compare_revisions(base, target))
}

/// Compares two revisions that were read with their contents.
pub(crate) fn compare_revisions(base: Option<RevisionAt>, target: RevisionAt) -> Comparison {
    let before = base.as_ref().and_then(RevisionAt::content).unwrap_or_default();
    let after = target.content().unwrap_or_default();
    let (diff, word_delta) = (diff(&before, &after), word_delta(&before, &after));
    Comparison { base, target, diff, word_delta }
}

fn selected(
    reader: &Reader<'_>,
    point: &ReadPoint,
    name: &ArticleName,
    selector: StateSelector,
) -> Result<RevisionAt, ReadError> {
    match selector {
        StateSelector::Number(number) => revision(reader, point, name, RevisionSelector::Number(number), View::Full),
        StateSelector::At(at) => {
            let point = ReadPoint { observe_time: Some(at), ..*point };
            revision(reader, &point, name, RevisionSelector::Latest, View::Full)
        }
    }
}

/// The revision in force just before the target came into force. A revision may come into force more than once. For a
/// target selected by number, the first occurrence counts; for one selected by instant, the occurrence at that instant.
fn predecessor(
    reader: &Reader<'_>,
    point: &ReadPoint,
    target: &RevisionAt,
    target_selector: Option<StateSelector>,
) -> Result<Option<RevisionAt>, ReadError> {
    let entry = known(reader, point, &target.article)?;
    let below = point.below();
    let before = reader.with_timeline(&entry, below, |timeline| {
        let since = match target_selector {
            Some(StateSelector::Number(number)) => timeline.first_in_force(number, below)?,
            Some(StateSelector::At(at)) => timeline.in_force(Some(at), below)?.map(|step| step.since),
            None => timeline.in_force(point.observe_time, below)?.map(|step| step.since),
        };
        let since = since.unwrap_or(target.created_by.entry.observe_time);
        timeline.in_force(Some(since.saturating_add_micros(-1)), below)
    })?;
    let Some(step) = before else { return Ok(None) };
    let created_by = reader.change(step.created_seq)?;
    revision_of(reader, target.article.clone(), step.revision, created_by, View::Full).map(Some)
}
