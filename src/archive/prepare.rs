//! Work on an observation before the writer's turn: packing its content and counting its words.
//!
//! It is done on what is newest now. If the article moves before the writer gets there, the writer does it again.

use super::lookup::{Lookup, LookupError};
use super::request::{Action, Observation, Operation, Prepared, Target};
use super::{Archive, ArchiveError};
use crate::model::{ArticleName, diff};
use crate::store::content::{Base, PackedContent};

/// Contents up to this size are packed on the async thread that asks; larger ones on a blocking one.
const INLINE_BYTES_MAX: usize = 64 << 10;

impl Archive {
    /// Prepares an observation of an article that is known by name.
    pub(super) async fn prepare(&self, operation: &mut Operation) -> Result<(), ArchiveError> {
        let name = match &operation.target {
            Target::Named(name) | Target::Found { derived: name, .. } => name.clone(),
        };
        let Action::Observe(observation) = &mut operation.action else { return Ok(()) };
        let work = Work { name, observation: observation.clone() };
        let inline = observation.bytes.len() <= INLINE_BYTES_MAX;
        let prepared = if inline {
            self.read(move |lookup| work.run(lookup)).await
        } else {
            self.on_engine(move |lookup| work.run(lookup)).await
        };
        observation.prepared = prepared?;
        Ok(())
    }
}

struct Work {
    name: ArticleName,
    observation: Box<Observation>,
}

impl Work {
    fn run(&self, lookup: &Lookup<'_>) -> Result<Option<Prepared>, LookupError> {
        let observation = &self.observation;
        let Some(entry) = lookup.head(&self.name)? else {
            let packed = PackedContent::pack(&observation.bytes, None);
            return Ok(Some(Prepared { against: None, packed, word_delta: None }));
        };
        let newest = lookup.change(entry.head.newest.made_seq)?;
        let latest = entry.head.recent.last().filter(|latest| latest.seq == newest.seq);
        let (Some(latest), Some(made)) = (latest, &newest.entry.made) else { return Ok(None) };
        if made.digest == observation.digest {
            return Ok(None); // A sighting: there is nothing to pack.
        }
        let before = lookup.content(newest.seq, made.digest)?;
        let base = Base { seq: latest.seq, depth: latest.depth, bytes: &before.bytes };
        Ok(Some(Prepared {
            against: Some(newest.seq),
            packed: PackedContent::pack(&observation.bytes, Some(base)),
            word_delta: Some(diff::word_delta(&before.content, &observation.content)),
        }))
    }
}
