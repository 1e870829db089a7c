//! The Merkle tree of the log: its hashes, roots and proofs, as RFC 9162 defines them, over the leaves of all changes.
//!
//! The tree is kept in tiles of 256 hashes, as C2SP's tlog-tiles has them. A tile of level 0 has the hashes of 256
//! leaves; one of level n has the roots of 256 tiles of level n − 1. A full tile never changes, so it is stored once.
//! What is not in full tiles is at the right [`Edge`]: fewer than 256 hashes of each level.
//!
//! ```text
//! level 1   [ r0 r1 ]                     at the edge: the roots of the full tiles below
//! level 0   [ 256 ] [ 256 ] [ 37 ]        two full tiles, and 37 leaves at the edge: a tree of 549
//! ```
//!
//! Nothing here knows where tiles are stored: proofs ask for the roots of perfect subtrees.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// How many hashes a full tile has.
pub const TILE_WIDTH: usize = 1 << TILE_HEIGHT;
/// How many levels of the tree a tile spans.
pub const TILE_HEIGHT: u32 = 8;

/// A hash of the tree: of a leaf, or of all leaves below a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash(pub [u8; 32]);

impl TreeHash {
    /// The hash of a leaf with these bytes.
    pub fn of_leaf(leaf: &[u8]) -> Self {
        Self(Sha256::new().chain_update([0]).chain_update(leaf).finalize().into())
    }

    /// The hash of the node over two others.
    pub fn of_children(left: Self, right: Self) -> Self {
        Self(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
    }

    /// The root of a tree without leaves.
    pub fn of_nothing() -> Self {
        Self(Sha256::digest([]).into())
    }

    /// The root over the hashes of a full tile.
    pub fn of_tile(hashes: &[Self]) -> Self {
        Self::of_equals(hashes)
    }

    /// The root over perfect subtrees of one height, of which there must be a power of two.
    fn of_equals(hashes: &[Self]) -> Self {
        match hashes {
            [] => Self::of_nothing(),
            [single] => *single,
            several => {
                let (left, right) = several.split_at(several.len() / 2);
                Self::of_children(Self::of_equals(left), Self::of_equals(right))
            }
        }
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeHash({self})")
    }
}

/// A tile's place: tile `index`, from 0, of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// The level: 0 for hashes of leaves.
    pub level: u8,
    /// Its place among the tiles of the level.
    pub index: u64,
}

impl TileId {
    /// How many leaves a tree must have for the tile to be full; `None` if that exceeds every tree.
    pub fn end(self) -> Option<u64> {
        let width = 1_u64.checked_shl(TILE_HEIGHT * (u32::from(self.level) + 1))?;
        self.index.checked_add(1)?.checked_mul(width)
    }
}

/// A full tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Its place.
    pub id: TileId,
    /// Its 256 hashes.
    pub hashes: Vec<TreeHash>,
}

/// The hashes at the right edge of a tree: those that no full tile has yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// Per level, fewer than 256 hashes.
    levels: Vec<Vec<TreeHash>>,
}

impl Edge {
    /// The edge of a tree of `size` leaves, of which `read` returns hashes that are in full tiles, and the hashes of the
    /// last leaves, which are not.
    pub fn read<E>(size: u64, mut read: impl FnMut(Needed) -> Result<Vec<TreeHash>, E>) -> Result<Self, E> {
        let mut edge = Self { size, levels: Vec::new() };
        let mut level = 0;
        loop {
            // The number of hashes of this level, and of those that are in full tiles.
            let count = size.checked_shr(TILE_HEIGHT * u32::from(level)).unwrap_or(0);
            if count == 0 {
                return Ok(edge);
            }
            let first = count - count % TILE_WIDTH as u64;
            let hashes = if level == 0 {
                read(Needed::Leaves(first..count))?
            } else {
                let roots = (first..count).map(|index| {
                    let below = read(Needed::Tile(TileId { level: level - 1, index }))?;
                    Ok(TreeHash::of_equals(&below))
                });
                roots.collect::<Result<_, E>>()?
            };
            edge.levels.push(hashes);
            level += 1;
        }
    }

    /// The number of leaves of the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends the hash of a leaf. Returns the tiles that are full now, from level 0 up.
    pub fn append(&mut self, leaf: TreeHash) -> Vec<Tile> {
        self.size += 1;
        let (mut hash, mut tiles) = (leaf, Vec::new());
        for level in 0_u8.. {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(usize::from(level)) else { break };
            hashes.push(hash);
            if hashes.len() < TILE_WIDTH {
                break;
            }
            hash = TreeHash::of_equals(hashes);
            let index = (self.size >> (TILE_HEIGHT * (u32::from(level) + 1))) - 1;
            tiles.push(Tile { id: TileId { level, index }, hashes: std::mem::take(hashes) });
        }
        tiles
    }

    /// The hashes of an incomplete tile; `None` if the tile is full, or begins after the end of the tree.
    pub fn tile(&self, id: TileId) -> Option<&[TreeHash]> {
        let full = self.size.checked_shr(TILE_HEIGHT * (u32::from(id.level) + 1)).unwrap_or(0);
        let hashes = self.levels.get(usize::from(id.level))?;
        (id.index == full && !hashes.is_empty()).then_some(hashes)
    }

    /// The root of the tree.
    pub fn root(&self) -> TreeHash {
        let mut root: Option<TreeHash> = None;
        for hashes in &self.levels {
            let mut rest = hashes.as_slice();
            // From the right: the smallest perfect subtrees first.
            while !rest.is_empty() {
                let width = 1 << rest.len().trailing_zeros();
                let (left, last) = rest.split_at(rest.len() - width);
                let last = TreeHash::of_equals(last);
                root = Some(root.map_or(last, |right| TreeHash::of_children(last, right)));
                rest = left;
            }
        }
        root.unwrap_or_else(TreeHash::of_nothing)
    }
}

/// What [`Edge::read`] needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needed {
    /// The hashes of the leaves at these positions.
    Leaves(std::ops::Range<u64>),
    /// The hashes of a full tile.
    Tile(TileId),
}

/// A perfect subtree: one over 2^height leaves, from leaf `index` · 2^height on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subtree {
    /// The binary logarithm of the number of its leaves.
    pub height: u32,
    /// Its place among the subtrees of this height.
    pub index: u64,
}

impl Subtree {
    /// The tile that has its root, or the nodes below it.
    pub fn tile(self) -> TileId {
        let (level, within) = (self.height / TILE_HEIGHT, self.height % TILE_HEIGHT);
        let index = (self.index << within) >> TILE_HEIGHT;
        TileId { level: u8::try_from(level).unwrap_or(u8::MAX), index }
    }

    /// Its root, from the hashes of its tile, which may be incomplete. `None` if the hashes are not there.
    pub fn root(self, tile: &[TreeHash]) -> Option<TreeHash> {
        let within = self.height % TILE_HEIGHT;
        let begin = usize::try_from((self.index << within) % TILE_WIDTH as u64).unwrap_or(usize::MAX);
        tile.get(begin..begin.saturating_add(1 << within)).map(TreeHash::of_equals)
    }
}

/// The root over the leaves from `begin` on and below `end`: one range of a tree as RFC 9162 divides it. `root` returns
/// the roots of perfect subtrees.
fn range_root<E>(begin: u64, end: u64, root: &mut impl FnMut(Subtree) -> Result<TreeHash, E>) -> Result<TreeHash, E> {
    let count = end - begin;
    if count == 0 {
        return Ok(TreeHash::of_nothing());
    }
    if count.is_power_of_two() {
        let height = count.trailing_zeros();
        return root(Subtree { height, index: begin >> height });
    }
    let middle = begin + split(count);
    Ok(TreeHash::of_children(range_root(begin, middle, root)?, range_root(middle, end, root)?))
}

/// The largest power of two below `count`, which must be at least 2.
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

/// The root of a tree of `size` leaves.
pub fn root_of<E>(size: u64, mut root: impl FnMut(Subtree) -> Result<TreeHash, E>) -> Result<TreeHash, E> {
    range_root(0, size, &mut root)
}

/// The inclusion proof of the leaf at `index`, which must be below `size`, in a tree of `size` leaves (RFC 9162,
/// section 2.1.3.1): from the leaf up.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    mut root: impl FnMut(Subtree) -> Result<TreeHash, E>,
) -> Result<Vec<TreeHash>, E> {
    let (mut begin, mut end, mut proof) = (0, size, Vec::new());
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            proof.push(range_root(middle, end, &mut root)?);
            end = middle;
        } else {
            proof.push(range_root(begin, middle, &mut root)?);
            begin = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that a tree of `to` leaves continues the one of its first `from` leaves (RFC 9162, section 2.1.4.1). It is
/// empty if the two are equal, or if the first is empty. `from` must not exceed `to`.
pub fn consistency_proof<E>(
    from: u64,
    to: u64,
    mut root: impl FnMut(Subtree) -> Result<TreeHash, E>,
) -> Result<Vec<TreeHash>, E> {
    let (mut begin, mut end, mut proof) = (0, to, Vec::new());
    if from == 0 || from == to {
        return Ok(proof);
    }
    while from != end {
        let middle = begin + split(end - begin);
        if from <= middle {
            proof.push(range_root(middle, end, &mut root)?);
            end = middle;
        } else {
            proof.push(range_root(begin, middle, &mut root)?);
            begin = middle;
        }
    }
    if begin > 0 {
        proof.push(range_root(begin, end, &mut root)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The root of the tree of `size` leaves in which `proof` places `leaf` at `index` (RFC 9162, section 2.1.3.2); `None`
/// if it is no such proof.
pub fn root_by_inclusion(index: u64, size: u64, leaf: TreeHash, proof: &[TreeHash]) -> Option<TreeHash> {
    let (mut node, mut last, mut hash) = (index, size.checked_sub(1)?, leaf);
    if index > last {
        return None;
    }
    for sibling in proof {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            hash = TreeHash::of_children(*sibling, hash);
            while node & 1 == 0 && node > 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = TreeHash::of_children(hash, *sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
}

/// Whether `proof` shows that the tree of `to` leaves with the root `to_root` continues the one of `from` leaves with
/// the root `from_root` (RFC 9162, section 2.1.4.2).
pub fn is_consistent(from: u64, from_root: TreeHash, to: u64, to_root: TreeHash, proof: &[TreeHash]) -> bool {
    if from == to {
        return proof.is_empty() && from_root == to_root;
    }
    if from == 0 {
        return proof.is_empty() && from_root == TreeHash::of_nothing();
    }
    if from > to {
        return false;
    }
    // If the first tree is perfect, its root begins the path, and the proof leaves it out.
    let (first, path) = match proof.split_first() {
        _ if from.is_power_of_two() => (from_root, proof),
        Some((first, path)) => (*first, path),
        None => return false,
    };
    let (mut node, mut last) = (from - 1, to - 1);
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let (mut old, mut new) = (first, first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            (old, new) = (TreeHash::of_children(*sibling, old), TreeHash::of_children(*sibling, new));
            while node & 1 == 0 && node > 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new = TreeHash::of_children(new, *sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && old == from_root && new == to_root
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// A tree that keeps its full tiles as the archive does.
    #[derive(Default)]
    struct Tree {
        leaves: Vec<TreeHash>,
        edge: Edge,
        tiles: HashMap<TileId, Vec<TreeHash>>,
    }

    impl Tree {
        fn of(size: u64) -> Self {
            let mut tree = Self::default();
            for leaf in 0..size {
                tree.push(TreeHash::of_leaf(&leaf.to_be_bytes()));
            }
            tree
        }

        fn push(&mut self, leaf: TreeHash) {
            self.leaves.push(leaf);
            self.tiles.extend(self.edge.append(leaf).into_iter().map(|tile| (tile.id, tile.hashes)));
        }

        fn root(&self, subtree: Subtree) -> Result<TreeHash, Infallible> {
            let tile =
                self.edge.tile(subtree.tile()).map_or_else(|| self.tiles[&subtree.tile()].clone(), <[_]>::to_vec);
            Ok(subtree.root(&tile).unwrap())
        }
    }

    /// The root as RFC 9162, section 2.1.1, defines it.
    fn defined(leaves: &[TreeHash]) -> TreeHash {
        match leaves {
            [] => TreeHash::of_nothing(),
            [leaf] => *leaf,
            several => {
                let width = usize::try_from(split(several.len() as u64)).unwrap();
                TreeHash::of_children(defined(&several[..width]), defined(&several[width..]))
            }
        }
    }

    #[test]
    fn every_size_has_the_root_that_the_standard_defines() {
        let mut tree = Tree::default();
        for size in 0..1_500_u64 {
            let expected = defined(&tree.leaves);
            assert_eq!(tree.edge.root(), expected, "{size}");
            assert_eq!(root_of(size, |subtree| tree.root(subtree)), Ok(expected), "{size}");
            tree.push(TreeHash::of_leaf(&size.to_be_bytes()));
        }
    }

    /// The test vectors of docs/PROOF.md, which another program computed.
    #[test]
    fn roots_are_those_that_are_documented() {
        for (size, root) in [
            (1, "3e7077fd2f66d689e0cee6a7cf5b37bf2dca7c979af356d0a31cbc5c85605c7d"),
            (3, "9b4965f8b220ba42f7039ad0781c966cf90bb1aea15a80586d634b322ab1f4ce"),
            (256, "15e2dd4973ae44de8c8cf3048fd98d17adaaea6287f4e0606a55a643617408c0"),
            (257, "d418c0873259bce7d0561ab004486112416c1c4490865415342bfe06e673146c"),
            (300, "909729a9c6f4a962812a46579f13d2adad03cf7d0016d56243fe4584d0b5e03c"),
        ] {
            assert_eq!(Tree::of(size).edge.root().to_string(), root);
        }
    }

    #[test]
    fn an_edge_is_read_again_from_its_tiles() {
        let tree = Tree::of(70_000);
        for size in [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, 69_999] {
            let read = Edge::read(size, |needed| match needed {
                Needed::Leaves(range) => {
                    Ok::<_, Infallible>(range.map(|leaf| tree.leaves[usize::try_from(leaf).unwrap()]).collect())
                }
                Needed::Tile(id) => Ok(tree.tiles[&id].clone()),
            });
            let read = read.unwrap();
            assert_eq!(read.root(), defined(&tree.leaves[..usize::try_from(size).unwrap()]), "{size}");
            assert_eq!(read.size(), size);
        }
    }

    proptest! {
        #[test]
        fn what_is_included_can_be_proved_and_nothing_else(size in 1_u64..700, index in any::<u64>(), flipped in any::<usize>()) {
            let (tree, index) = (Tree::of(size), index % size);
            let leaf = tree.leaves[usize::try_from(index).unwrap()];
            let mut proof = inclusion_proof(index, size, |subtree| tree.root(subtree)).unwrap();
            let root = tree.edge.root();
            prop_assert_eq!(root_by_inclusion(index, size, leaf, &proof), Some(root));
            prop_assert_ne!(root_by_inclusion(index, size, TreeHash::of_leaf(b"another"), &proof), Some(root));
            if !proof.is_empty() {
                let at = flipped % proof.len();
                proof[at].0[flipped % 32] ^= 1;
                prop_assert_ne!(root_by_inclusion(index, size, leaf, &proof), Some(root));
            }
            proof.push(root);
            prop_assert_eq!(root_by_inclusion(index, size, leaf, &proof), None);
        }

        #[test]
        fn a_tree_is_consistent_with_its_beginnings_alone(to in 1_u64..700, from in any::<u64>(), flipped in any::<usize>()) {
            let from = from % (to + 1);
            let (tree, old) = (Tree::of(to), Tree::of(from).edge.root());
            let mut proof = consistency_proof(from, to, |subtree| tree.root(subtree)).unwrap();
            prop_assert!(is_consistent(from, old, to, tree.edge.root(), &proof));
            let other = TreeHash::of_leaf(b"another");
            prop_assert!(!is_consistent(from, other, to, tree.edge.root(), &proof));
            prop_assert!(from == 0 || !is_consistent(from, old, to, other, &proof));
            if !proof.is_empty() {
                let at = flipped % proof.len();
                proof[at].0[flipped % 32] ^= 1;
                prop_assert!(!is_consistent(from, old, to, tree.edge.root(), &proof));
            }
        }
    }
}
