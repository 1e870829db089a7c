//! Two states of an article, compared.

use super::cut::Cut;
use super::lookup::{Lookup, LookupError};
use super::read::{RevisionAt, View, known, revision, revision_of};
use crate::model::diff::{ContentDiff, diff, word_delta};
use crate::model::{ArticleName, Content, RevisionNumber, RevisionSelector, Timestamp, WordDelta};

/// Which state of an article.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateSelector {
    /// The revision of this number.
    Number(RevisionNumber),
    /// The revision in force at this instant of the observe axis.
    At(Timestamp),
}

/// Two states and what differs.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The earlier state; `None` where the later one has no predecessor.
    pub base: Option<RevisionAt>,
    /// The later state.
    pub target: RevisionAt,
    /// What differs.
    pub diff: ContentDiff,
    /// The words that came and went.
    pub word_delta: WordDelta,
}

/// Compares two states. The default target is the newest; the default base is what was in force before the target.
pub(super) fn compare(
    lookup: &Lookup<'_>,
    cut: &Cut,
    name: &ArticleName,
    base: Option<StateSelector>,
    target: Option<StateSelector>,
) -> Result<Comparison, LookupError> {
    let chosen = target;
    let target = match chosen {
        Some(selector) => selected(lookup, cut, name, selector)?,
        None => revision(lookup, cut, name, RevisionSelector::Latest, View::Full)?,
    };
    let base = match base {
        Some(selector) => Some(selected(lookup, cut, name, selector)?),
        None => predecessor(lookup, cut, &target, chosen)?,
    };
    Ok(beside(base, target))
}

/// Two revisions that were read whole, compared.
pub(super) fn beside(base: Option<RevisionAt>, target: RevisionAt) -> Comparison {
    let nothing = Content::default();
    let content = |revision: &RevisionAt| revision.content.clone().unwrap_or_default();
    let before = base.as_ref().map(content);
    let before = before.as_deref().unwrap_or(&nothing);
    let after = content(&target);
    let (diff, word_delta) = (diff(before, &after), word_delta(before, &after));
    Comparison { base, target, diff, word_delta }
}

fn selected(
    lookup: &Lookup<'_>,
    cut: &Cut,
    name: &ArticleName,
    selector: StateSelector,
) -> Result<RevisionAt, LookupError> {
    match selector {
        StateSelector::Number(number) => revision(lookup, cut, name, RevisionSelector::Number(number), View::Full),
        StateSelector::At(at) => {
            let cut = Cut { observe_time: Some(at), ..*cut };
            revision(lookup, &cut, name, RevisionSelector::Latest, View::Full)
        }
    }
}

/// The revision in force just before the target came into force: for the first time where it was chosen by number,
/// else before the state that was chosen. A revision may be in force more than once.
fn predecessor(
    lookup: &Lookup<'_>,
    cut: &Cut,
    target: &RevisionAt,
    chosen: Option<StateSelector>,
) -> Result<Option<RevisionAt>, LookupError> {
    let entry = known(lookup, cut, &target.article)?;
    let bound = cut.bound();
    let before = lookup.with_steps(&entry, bound, |steps| {
        let since = match chosen {
            Some(StateSelector::Number(number)) => steps.first_in_force(number, bound)?,
            Some(StateSelector::At(at)) => steps.in_force(Some(at), bound)?.map(|step| step.since),
            None => steps.in_force(cut.observe_time, bound)?.map(|step| step.since),
        };
        let since = since.unwrap_or(target.made.entry.observe_time);
        steps.in_force(Some(since.saturating_add_micros(-1)), bound)
    })?;
    let Some(step) = before else { return Ok(None) };
    let made = lookup.change(step.made_seq)?;
    revision_of(lookup, target.article.clone(), step.revision, made, View::Full).map(Some)
}
