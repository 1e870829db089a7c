//! A plain reading of the log, against what the archive says is newest of each article.
//!
//! The newest observation decides; of several at one time, the one archived last. So do marks, by themselves.

use std::collections::BTreeMap;

use dateline::archive::Archive;
use dateline::archive::read::View;
use dateline::model::{ArticleName, AsOf, Change, ChangeKind, ContentDigest, RevisionNumber, Seq, Timestamp};

use super::Faults;

/// What the log says of an article.
#[derive(Default)]
struct State {
    /// The newest observation, with its revision.
    observed: Option<(Timestamp, Seq, RevisionNumber)>,
    /// The newest mark.
    marked: Option<(Timestamp, Seq, bool)>,
    digests: BTreeMap<RevisionNumber, ContentDigest>,
    latest: Seq,
}

impl State {
    fn take(&mut self, change: &Change) {
        let (seq, entry) = (change.seq, &change.entry);
        self.latest = seq;
        if let Some((number, made)) = entry.revision.zip(entry.made.as_ref()) {
            self.digests.insert(number, made.digest);
        }
        let at = entry.observe_time;
        match entry.kind {
            ChangeKind::Created | ChangeKind::Revised | ChangeKind::RolledBack | ChangeKind::Sighted => {
                self.observed = self.observed.max(entry.revision.map(|number| (at, seq, number)));
            }
            ChangeKind::Withdrawn => self.marked = self.marked.max(Some((at, seq, true))),
            ChangeKind::Reinstated => self.marked = self.marked.max(Some((at, seq, false))),
            // They were recorded before.
            ChangeKind::Repeated | ChangeKind::MarkRepeated | ChangeKind::Aliased => {}
        }
    }
}

/// Compares each article's newest state.
pub(super) async fn check(archive: &Archive, changes: &[Change], faults: &mut Faults) {
    let mut articles = BTreeMap::<&ArticleName, State>::new();
    for change in changes {
        articles.entry(&change.entry.name).or_default().take(change);
    }
    let (count, found) = (articles.len(), archive.article_count());
    faults.expect(found == count as u64, || format!("there are {found} articles, and {count} in the log"));
    for (name, state) in articles {
        compare(archive, name, &state, faults).await;
    }
}

async fn compare(archive: &Archive, name: &ArticleName, state: &State, faults: &mut Faults) {
    let cut = archive.cut(AsOf::default(), Seq::ZERO).await.unwrap();
    let found = match archive.article(cut, name.clone(), View::Full).await {
        Ok(found) => found,
        Err(error) => return faults.find(format!("{name} cannot be read: {error}")),
    };
    let number = state.observed.map(|(_, _, number)| number);
    let shown = found.revision.number;
    faults.expect(number == Some(shown), || format!("{name} is at {shown}, and by the log at {number:?}"));
    let withdrawn = state.marked.is_some_and(|(_, _, withdrawn)| withdrawn);
    faults.expect(found.withdrawn() == withdrawn, || format!("{name} should have withdrawn {withdrawn}"));
    let revisions = state.digests.len();
    let counted = found.revision_count;
    faults.expect(counted as usize == revisions, || {
        format!("{name} has {counted} revisions, and {revisions} in the log")
    });
    faults.expect(found.latest.seq == state.latest, || format!("{name}: its latest change is not {}", state.latest));
    // What is withdrawn is not shown, and only that.
    let digest = found.revision.content.map(|content| ContentDigest::of(&content));
    let logged = state.digests.get(&shown).copied().filter(|_| !withdrawn);
    faults.expect(digest == logged, || format!("{name}: the content of revision {shown} is not the one in the log"));
}
