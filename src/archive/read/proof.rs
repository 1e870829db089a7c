//! Proofs of what is in the log, as of a durable end of it.

use std::sync::Arc;

use bytes::Bytes;

use crate::archive::read::reader::{ReadError, Reader};
use crate::archive::read::tree::tile;
use crate::model::leaf::Commitments;
use crate::model::merkle::{self, Edge, Subtree, TileId};
use crate::model::{Change, Seq, TreeHash};
use crate::store::full_change::FullChange;
use crate::store::{StoreError, Tables, record};

/// The tree of the durable log at the end of a commit.
#[derive(Clone, Debug)]
pub struct LogTree(pub(crate) Arc<Edge>);

impl LogTree {
    /// The number of changes in it.
    pub fn size(&self) -> u64 {
        self.0.size()
    }

    /// Its root.
    pub fn root(&self) -> TreeHash {
        self.0.root()
    }

    /// The roots of its subtrees, for one proof.
    fn subtrees<'a>(&'a self, tables: &'a Tables<'_>) -> impl FnMut(Subtree) -> Result<TreeHash, StoreError> + 'a {
        // A proof asks for several subtrees of a tile in a row.
        let mut last: Option<(TileId, Vec<TreeHash>)> = None;
        move |subtree| {
            let id = subtree.tile();
            let hashes = match last.take_if(|(last, _)| *last == id) {
                Some((_, hashes)) => hashes,
                None => self.0.tile(id).map_or_else(|| tile(tables, id), |hashes| Ok(hashes.to_vec()))?,
            };
            let root = subtree.root(&hashes);
            last = Some((id, hashes));
            root.ok_or_else(|| StoreError::Damaged { seq: None, detail: "the log's tree is incomplete".to_owned() })
        }
    }
}

/// A change that is proved to be in a tree, with what can be shown of it.
#[derive(Clone, Debug)]
pub struct ProvenChange {
    /// The change.
    pub change: Change,
    /// Its attributes, as its leaf commits to them.
    pub attributes: Vec<u8>,
    /// The commitments of its leaf.
    pub commitments: Commitments,
    /// The hash of its leaf.
    pub leaf: TreeHash,
    /// The root of the tree in which it is proved to be.
    pub root: TreeHash,
    /// The inclusion proof, from the leaf up.
    pub proof: Vec<TreeHash>,
    /// The encoded content of the revision that it created; `None` if it created none, or if it was not read.
    pub content: Option<Bytes>,
}

/// Proves that the change at `seq` is in the tree of the first `size` changes. `seq` must be below `size`, and `size` must
/// not exceed that of `tree`.
pub(crate) fn inclusion(
    reader: &Reader<'_>,
    tree: &LogTree,
    size: u64,
    seq: Seq,
    with_content: bool,
) -> Result<ProvenChange, ReadError> {
    let tables = reader.tables()?;
    let missing = || StoreError::damaged_at(seq, "a change of the log is missing");
    let FullChange { change, record, leaf, .. } = FullChange::read_record(tables.source(), seq)?.ok_or_else(missing)?;
    let attributes = record::attributes(seq, &record)?;
    let mut subtree = tree.subtrees(&tables);
    let root = merkle::root_of(size, &mut subtree)?;
    let proof = merkle::inclusion_proof(seq.0, size, &mut subtree)?;
    if merkle::root_by_inclusion(seq.0, size, leaf, &proof) != Some(root) {
        return Err(StoreError::damaged_at(seq, "the change does not match the log's tree").into());
    }
    let new_revision = change.entry.revision_with_content().filter(|_| with_content);
    let content = new_revision.map(|revision| reader.content(seq, revision.digest)).transpose()?;
    let commitments = Commitments::of(&change.entry, &attributes);
    Ok(ProvenChange { change, attributes, commitments, leaf, root, proof, content })
}

/// A proof that a tree continues an earlier one.
#[derive(Clone, Debug)]
pub struct ProvenContinuation {
    /// The root of the earlier tree.
    pub from_root: TreeHash,
    /// The root of the later tree.
    pub to_root: TreeHash,
    /// The hashes of the proof.
    pub proof: Vec<TreeHash>,
}

/// Proves that the tree of the first `to` changes continues that of the first `from`. `from` must not exceed `to`, nor
/// `to` the size of `tree`.
pub(crate) fn continuation(
    reader: &Reader<'_>,
    tree: &LogTree,
    from: u64,
    to: u64,
) -> Result<ProvenContinuation, ReadError> {
    let tables = reader.tables()?;
    let mut root = tree.subtrees(&tables);
    let proof = merkle::consistency_proof(from, to, &mut root)?;
    Ok(ProvenContinuation {
        from_root: merkle::root_of(from, &mut root)?,
        to_root: merkle::root_of(to, &mut root)?,
        proof,
    })
}
