//! A change is exactly what was requested, with its content and its original.

use dateline::model::{Change, ContentDigest, LogKind};

use super::Fault;
use super::found::Found;
use crate::wanted::{Wanted, What};

/// The differences between a change and its request.
pub(super) fn is_whole(change: &Change, wanted: &Wanted, found: &Found) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            faults.push(Fault::Changed(format!("{what} at {} differs from the request: {wanted:?}", change.seq)));
        }
    };
    let entry = &change.entry;
    check(entry.observe_time == wanted.observe_time(), "the time");
    check(wanted.by_url || entry.name == wanted.name(), "the article");
    let request = wanted.request.as_ref().map(|id| (id.as_str(), wanted.digest()));
    let told = entry.request.as_ref().map(|(id, digest)| (id.as_str(), *digest));
    check(request == told, "the request");
    match &wanted.what {
        What::Observe { text, urls, .. } => {
            use LogKind::{Aliased, Created, Repeated, Revised, Sighted};
            check(matches!(entry.kind, Created | Revised | Sighted | Repeated | Aliased), "the kind");
            check(
                entry.bound_urls.iter().all(|url| urls.iter().any(|asked| crate::wanted::url(*asked) == url.url)),
                "a URL",
            );
            // Contents that are not read now were checked before, and the log digests show that they are unchanged.
            if let (Some(made), Some(stored)) = (&entry.new_revision, found.contents.get(&change.seq.0)) {
                let content = text.content();
                check(made.digest == ContentDigest::of(&content), "the digest");
                check(*stored == content, "the content");
                let original = wanted.original().map(|original| original.data);
                check(found.originals.get(&change.seq.0) == original.as_ref(), "the original");
            }
        }
        What::Rollback(number) => {
            check(matches!(entry.kind, LogKind::RolledBack | LogKind::Sighted | LogKind::Repeated), "the kind");
            let of = entry.new_revision.as_ref().and_then(|made| made.rollback_of);
            check(
                entry.new_revision.is_none() || of.is_some_and(|of| of.get() == *number),
                "the revision rolled back to",
            );
        }
        What::Mark { withdrawn } => {
            let set = if *withdrawn { LogKind::Withdrawn } else { LogKind::Reinstated };
            check(entry.kind == set || entry.kind == LogKind::StateRepeated, "the kind");
            check(entry.reason == format!("at {}", wanted.at), "the reason");
        }
    }
    faults
}
