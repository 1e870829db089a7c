//! The contents and originals that were acknowledged, as a reader gets them.

use bytes::Bytes;
use dateline::archive::Archive;
use dateline::archive::read::View;
use dateline::model::{AsOf, ChangeKind, Content, RevisionSelector, Seq};
use dateline::store::content;

use super::Faults;
use super::promises::Kept;
use crate::asked::What;
use crate::text::Text;

/// Compares the revisions that these operations made or confirmed with what was asked for. Answers how many.
pub(super) async fn check(archive: &Archive, kept: &[Kept<'_>], faults: &mut Faults) -> usize {
    let mut compared = 0;
    for kept in kept {
        let What::Observe { text, original, .. } = &kept.step.what else { continue };
        match kept.change.entry.kind {
            ChangeKind::Created | ChangeKind::Revised => compare(archive, kept, *text, Some(*original), faults).await,
            // A revision that was there before has the original that it was made with.
            ChangeKind::Sighted => compare(archive, kept, *text, None, faults).await,
            // What was recorded before at this time need not be in force.
            ChangeKind::Repeated
            | ChangeKind::RolledBack
            | ChangeKind::Withdrawn
            | ChangeKind::Reinstated
            | ChangeKind::MarkRepeated
            | ChangeKind::Aliased => continue,
        }
        compared += 1;
    }
    compared
}

async fn compare(archive: &Archive, kept: &Kept<'_>, text: Text, original: Option<Option<Text>>, faults: &mut Faults) {
    let entry = &kept.change.entry;
    let at = format!("{} at {}", kept.answer.article, kept.change.seq);
    let Some(number) = entry.revision else {
        faults.find(format!("{at} has no revision"));
        return;
    };
    let cut = archive.cut(AsOf::default(), Seq::ZERO).await.unwrap();
    let selector = RevisionSelector::Number(number);
    let found = match archive.revision(cut, entry.name.clone(), selector, View::Full, original.is_some()).await {
        Ok(found) => found,
        Err(error) => return faults.find(format!("{at} cannot be read: {error}")),
    };
    let same_text = found.content.is_some_and(|found| bytes(&found) == bytes(&text.content()));
    faults.expect(same_text, || format!("{at} has another text than was asked for, {text:?}"));
    if let Some(original) = original {
        let asked: Option<Bytes> = original.map(|original| original.original().data);
        faults.expect(found.original == asked, || format!("{at} has another original than was asked for"));
    }
}

fn bytes(content: &Content) -> Vec<u8> {
    content::to_bytes(content)
}
