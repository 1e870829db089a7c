//! Works out what the destruction of a text consists of.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{ExpungePlan, ExpungeRequest, ExpungeScope, Prepared};
use crate::archive::error::{ArchiveError, Missing};
use crate::archive::project::projection::reproject;
use crate::archive::read::contents;
use crate::archive::request::PreparedExpunge;
use crate::model::{
    ArticleId, ArticleKey, ArticleName, Change, ContentDigest, ExpungeOrder, ExpungedChange, Expunging, LogKind,
    RevisionNumber, Seq,
};
use crate::store::content::{Effort, PackedContent, StoredContent};
use crate::store::engine::{Direction, Read};
use crate::store::full_change::FullChange;
use crate::store::key::article::ArticleIndexKey;
use crate::store::key::content::{ContentKey, OriginalKey};
use crate::store::key::name::NameKey;
use crate::store::key::url::UrlIndexKey;
use crate::store::overlay::{EmptyEngine, Overlay};
use crate::store::{Batch, StoreError, Tables};

const PLAN_DOMAIN: &[u8] = b"dateline expunge 1\n";
/// The most changes that the change which records their destruction names, since it is one stored value.
const TARGETS_MAX: usize = 1_300;
/// The most that one destruction may write, in bytes, with the contents that it stores again.
const WRITES_BYTES_MAX: u64 = 32 << 20;

/// Prepares the destruction that `request` asks for, in the archive `archive_id`.
pub(super) fn prepare(
    tables: &Tables<'_>,
    archive_id: &[u8; 16],
    request: &ExpungeRequest,
    order: ExpungeOrder,
) -> Result<Prepared, ArchiveError> {
    let missing = || Missing::Article(request.article.clone());
    let article = tables.article(&request.article, Seq(u64::MAX))?.ok_or_else(missing)?;
    let latest_seq = tables.existing_head(article)?.latest_seq;
    let history = History { tables, article, changes: changes(tables, latest_seq)? };
    let targets = history.targets(request)?;
    let with_name = request.scope == ExpungeScope::ArticleAndName;
    let name = if with_name { Some(history.replacement_name()?) } else { None };

    let mut writes = Batch::default();
    let reencoded = history.destroy_payloads(&targets, &mut writes)?;
    let stubs = history.stubs(&targets, &order, name.as_ref(), &mut writes)?;
    history.correct_indexes(&stubs, &mut writes)?;
    let pending = tables.destruction_pending()?;
    writes.put_destruction_pending(pending.map_or(order.time, |pending| pending.min(order.time)));
    if writes.bytes() > WRITES_BYTES_MAX {
        return Err(ArchiveError::TooLarge {
            what: "the size in bytes of what the destruction would write",
            size: usize::try_from(writes.bytes()).unwrap_or(usize::MAX),
            size_max: usize::try_from(WRITES_BYTES_MAX).unwrap_or(usize::MAX),
        });
    }
    let targets: Vec<ExpungedChange> =
        history.targeted(&targets).map(|full| ExpungedChange { seq: full.change.seq, leaf: full.leaf }).collect();
    let plan = history.plan(&targets, archive_id, request, reencoded);
    let expunging =
        |targets: &[ExpungedChange]| Expunging { order: order.clone(), with_name, targets: targets.to_vec() };
    let mut first = Some((latest_seq, writes));
    let expunges = targets.chunks(TARGETS_MAX).map(|targets| {
        let (latest_seq, writes) = first.take().unzip();
        let (expunging, name) = (expunging(targets), name.clone());
        PreparedExpunge { latest_seq, expunging, name, writes: writes.unwrap_or_default() }
    });
    Ok(Prepared { plan, expunges: expunges.collect() })
}

/// The changes of an article up to `latest`, in order of position.
fn changes(tables: &Tables<'_>, latest: Seq) -> Result<Vec<FullChange>, StoreError> {
    let mut changes = Vec::new();
    let mut next = Some(latest);
    while let Some(seq) = next {
        let missing = || StoreError::damaged_at(seq, "a change of the article is missing");
        let full = FullChange::read_record(tables.source(), seq)?.ok_or_else(missing)?;
        next = full.change.entry.previous.filter(|previous| *previous < seq);
        changes.push(full);
    }
    changes.reverse();
    Ok(changes)
}

/// The changes of an article before the destruction.
struct History<'a> {
    tables: &'a Tables<'a>,
    article: ArticleKey,
    changes: Vec<FullChange>,
}

impl History<'_> {
    /// The positions of the changes whose text is to be destroyed. Those of which nothing is left to destroy are left
    /// out.
    fn targets(&self, request: &ExpungeRequest) -> Result<BTreeSet<Seq>, ArchiveError> {
        let changes = self.changes.iter().map(|full| &full.change);
        let has_text = |change: &&Change| change.entry.expunged.is_none();
        Ok(match &request.scope {
            ExpungeScope::Revisions(numbers) => {
                let created: HashMap<RevisionNumber, &Change> = changes
                    .filter(|change| change.entry.new_revision.is_some())
                    .filter_map(|change| Some((change.entry.revision?, change)))
                    .collect();
                let mut targets = BTreeSet::new();
                for number in numbers {
                    let missing = || Missing::Revision { article: request.article.clone(), number: *number };
                    let change = created.get(number).ok_or_else(missing)?;
                    targets.extend(Some(*change).filter(has_text).map(|change| change.seq));
                }
                targets
            }
            // A change that destroyed text has none itself, but the reference of its order, which stays.
            ExpungeScope::Article => {
                let with_text = changes.filter(|change| change.entry.kind != LogKind::Expunged).filter(has_text);
                with_text.map(|change| change.seq).collect()
            }
            ExpungeScope::ArticleAndName => {
                let replacement = self.replacement_name()?;
                let is_left = |change: &&Change| {
                    (change.entry.kind != LogKind::Expunged && has_text(change)) || change.entry.name != replacement
                };
                changes.filter(is_left).map(|change| change.seq).collect()
            }
        })
    }

    fn targeted<'s>(&'s self, targets: &'s BTreeSet<Seq>) -> impl Iterator<Item = &'s FullChange> {
        self.changes.iter().filter(|full| targets.contains(&full.change.seq))
    }

    /// A name that says nothing, made from the leaf of the article's first change.
    fn replacement_name(&self) -> Result<ArticleName, ArchiveError> {
        let first = self.changes.first().ok_or(ArchiveError::Internal)?;
        // Another article may have taken the short name.
        for leaf in [first.leaf.0.split_at(5).0, &first.leaf.0] {
            let id = format!("expunged-{}", HEXLOWER.encode(leaf));
            let article = ArticleId::parse(&id).map_err(|_| ArchiveError::Internal)?;
            let name = ArticleName { source: first.change.entry.name.source.clone(), article };
            if self.tables.article(&name, Seq(u64::MAX))?.is_none_or(|holder| holder == self.article) {
                return Ok(name);
            }
        }
        Err(ArchiveError::Internal)
    }

    /// The article's changes with stubs in place of the targets, which are added to `writes`.
    fn stubs(
        &self,
        targets: &BTreeSet<Seq>,
        order: &ExpungeOrder,
        name: Option<&ArticleName>,
        writes: &mut Batch,
    ) -> Result<Vec<Change>, StoreError> {
        let mut stubs = Vec::with_capacity(self.changes.len());
        for full in &self.changes {
            if !targets.contains(&full.change.seq) {
                stubs.push(full.change.clone());
                continue;
            }
            let mut stub = full.clone();
            stub.expunge(order, name)?;
            stub.write(writes);
            stubs.push(stub.change);
        }
        Ok(stubs)
    }

    /// Removes the contents and originals of the targets, and stores again what was stored as a difference from one of
    /// them. Of the others, the depth in the delta chain may change. Returns how many were stored again.
    fn destroy_payloads(&self, targets: &BTreeSet<Seq>, writes: &mut Batch) -> Result<usize, StoreError> {
        let read = self.tables.source();
        let (mut destroyed, mut depths) = (HashSet::new(), HashMap::new());
        let mut reencoded = 0;
        for full in self.changes.iter().filter(|full| full.change.entry.revision_with_content().is_some()) {
            let seq = full.change.seq;
            if targets.contains(&seq) {
                destroyed.insert(seq);
                remove_content(read, seq, writes)?;
                remove_original(read, seq, writes)?;
                continue;
            }
            let missing = || StoreError::damaged_at(seq, "a content is missing");
            let mut stored = StoredContent::read(read, seq)?.ok_or_else(missing)?;
            let base = stored.base().filter(|base| !destroyed.contains(base));
            let depth = base.map_or(0, |base| depths.get(&base).copied().unwrap_or(0) + 1);
            if base != stored.base() {
                let bytes = contents::load_bytes(read, seq, |_| None)?;
                remove_content(read, seq, writes)?;
                PackedContent::pack(&bytes, None, Effort::Quick).write(seq, writes);
                reencoded += 1;
            } else if depth != stored.depth() {
                stored.set_depth(depth);
                stored.write(writes);
            }
            depths.insert(seq, depth);
        }
        Ok(reencoded)
    }

    /// Makes the indexes those that follow from the stubs.
    fn correct_indexes(&self, stubs: &[Change], writes: &mut Batch) -> Result<(), ArchiveError> {
        let (mut expected, mut head) = (Batch::default(), None);
        for change in stubs {
            let read = Overlay::new(&EmptyEngine, &expected);
            // The contents that later ones may be based on are listed in heads alone, which the writer thread makes.
            let projected = reproject(&Tables::new(&read), head.take(), change, None)?;
            head = Some(projected.head);
            expected.writes.extend(projected.batch.writes);
        }
        expected.writes.remove(&ArticleIndexKey::Head(self.article).encode());
        let read = self.tables.source();
        for key in self.indexed(read)? {
            if !expected.writes.contains_key(&key) && read.get(&key)?.is_some() {
                writes.remove(key);
            }
        }
        for (key, value) in expected.writes {
            if read.get(&key)? != value {
                writes.writes.insert(key, value);
            }
        }
        Ok(())
    }

    /// The keys under which the article's changes are found now, except its head.
    fn indexed(&self, read: &dyn Read) -> Result<Vec<Vec<u8>>, StoreError> {
        let head = ArticleIndexKey::Head(self.article).encode();
        let mut keys = Vec::new();
        for entry in read.scan(ArticleIndexKey::of_article(self.article), Direction::Forward) {
            keys.extend(Some(entry?.0).filter(|key| *key != head));
        }
        for Change { seq, entry, .. } in self.changes.iter().map(|full| &full.change) {
            keys.push(NameKey(entry.name.clone()).encode());
            let urls = entry.bound_urls.iter().chain(&entry.ended_urls);
            keys.extend(urls.map(|bound| UrlIndexKey { url: bound.url.key.clone(), seq: *seq }.encode()));
        }
        Ok(keys)
    }

    fn plan(
        &self,
        targets: &[ExpungedChange],
        archive_id: &[u8; 16],
        request: &ExpungeRequest,
        reencoded: usize,
    ) -> ExpungePlan {
        let destroyed: BTreeSet<Seq> = targets.iter().map(|target| target.seq).collect();
        // The revisions with a text, and whether it is destroyed.
        let texts: BTreeMap<RevisionNumber, (ContentDigest, bool)> = self
            .changes
            .iter()
            .filter_map(|full| {
                let digest = full.change.entry.revision_with_content()?.digest;
                Some((full.change.entry.revision?, (digest, destroyed.contains(&full.change.seq))))
            })
            .collect();
        let digests: HashSet<ContentDigest> =
            texts.values().filter(|(_, is_destroyed)| *is_destroyed).map(|(digest, _)| *digest).collect();
        let numbers = |is_listed: &dyn Fn(&ContentDigest, bool) -> bool| {
            let listed = texts.iter().filter(|(_, (digest, is_destroyed))| is_listed(digest, *is_destroyed));
            listed.map(|(number, _)| *number).collect()
        };
        let originals = self.targeted(&destroyed).filter_map(|full| full.change.entry.revision_with_content());
        ExpungePlan {
            article: request.article.clone(),
            revisions: numbers(&|_, is_destroyed| is_destroyed),
            changes: targets.len(),
            originals: originals.filter(|revision| revision.original.is_some()).count(),
            reencoded,
            same_content: numbers(&|digest, is_destroyed| !is_destroyed && digests.contains(digest)),
            subscriptions: Vec::new(),
            digest: plan_digest(targets, archive_id, request),
        }
    }
}

fn plan_digest(targets: &[ExpungedChange], archive_id: &[u8; 16], request: &ExpungeRequest) -> [u8; 32] {
    let scope = match request.scope {
        ExpungeScope::Revisions(_) => 1,
        ExpungeScope::Article => 2,
        ExpungeScope::ArticleAndName => 3,
    };
    let mut hasher = Sha256::new_with_prefix(PLAN_DOMAIN);
    hasher.update(archive_id);
    hasher.update([scope, request.reason.number()]);
    for text in [request.article.to_string().as_str(), &request.reference] {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text);
    }
    for ExpungedChange { seq, leaf } in targets {
        hasher.update(seq.0.to_be_bytes());
        hasher.update(leaf.0);
    }
    hasher.finalize().into()
}

/// Removes all chunks of the content stored with the change at `seq`.
fn remove_content(read: &dyn Read, seq: Seq, writes: &mut Batch) -> Result<(), StoreError> {
    for chunk in 0..StoredContent::chunk_count(read, seq)? {
        let chunk = u16::try_from(chunk).map_err(|_| StoreError::damaged_at(seq, "a content has too many chunks"))?;
        writes.remove(ContentKey { seq, chunk }.encode());
    }
    Ok(())
}

/// Removes all chunks of the original stored with the change at `seq`, if there is one.
fn remove_original(read: &dyn Read, seq: Seq, writes: &mut Batch) -> Result<(), StoreError> {
    for chunk in 0..=u16::MAX {
        let key = OriginalKey { seq, chunk }.encode();
        if read.get(&key)?.is_none() {
            break;
        }
        writes.remove(key);
    }
    Ok(())
}
