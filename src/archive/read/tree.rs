//! Reads the Merkle tree of the log: its tiles from storage, and its right edge.

use crate::model::merkle::{Edge, Needed, TILE_WIDTH, TileId};
use crate::model::{Seq, TreeHash};
use crate::store::{StoreError, Tables};

/// Reads the right edge of the tree of the log below `end`. A tile that is damaged or missing is computed from the log:
/// it should not keep the archive from being read, and verification reports it.
pub(crate) fn read_edge(tables: &Tables<'_>, end: Seq) -> Result<Edge, StoreError> {
    Edge::read(end.0, |needed| match needed {
        Needed::Leaves(leaves) => tables.leaves(Seq(leaves.start), Seq(leaves.end)),
        Needed::Tile(id) => tile(tables, id),
    })
}

/// The hashes of a full tile: as they are stored, or else computed from the log.
pub(crate) fn tile(tables: &Tables<'_>, id: TileId) -> Result<Vec<TreeHash>, StoreError> {
    match tables.tile(id) {
        Ok(Some(hashes)) => return Ok(hashes),
        Ok(None) => tracing::warn!(?id, "a tile of the log's tree is missing; verify the archive"),
        Err(error) => tracing::warn!(?id, %error, "a tile of the log's tree cannot be read; verify the archive"),
    }
    let first = id.index * TILE_WIDTH as u64;
    match id.level.checked_sub(1) {
        None => tables.leaves(Seq(first), Seq(first + TILE_WIDTH as u64)),
        Some(level) => (first..first + TILE_WIDTH as u64)
            .map(|index| Ok(TreeHash::of_tile(&tile(tables, TileId { level, index })?)))
            .collect(),
    }
}
