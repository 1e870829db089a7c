//! The work on an observation that does not need the writer thread: packing its content and original, and summarising
//! what changed.
//!
//! It is done against the article's newest content at this moment. If the article changes before the writer thread
//! reaches the operation, the writer thread does it again. So this is an optimisation only: it decides nothing, and it
//! may skip any observation.

use crate::archive::pools::Pool;
use crate::archive::read::reader::{ReadError, Reader};
use crate::archive::request::{Action, ArticleTarget, Observation, Operation, Prepared};
use crate::archive::{Archive, ArchiveError};
use crate::model::{ArticleName, diff};
use crate::store::content::{Base, PackedContent, PackedOriginal};

/// A single observation whose content and original are at most this large together is prepared on the async thread.
/// Everything else goes to a blocking thread.
const INLINE_BYTES_MAX: usize = 64 << 10;

impl Archive {
    /// Prepares the observations among `operations`. Blocking work runs on a thread of `pool`.
    pub(crate) async fn prepare(&self, pool: &Pool, operations: &mut [Operation]) -> Result<(), ArchiveError> {
        let work: Vec<Option<Preparation>> = operations.iter().map(Preparation::from_operation).collect();
        let bytes: usize = work.iter().flatten().map(Preparation::bytes).sum();
        let run = move |reader: &Reader<'_>| {
            work.iter()
                .map(|work| work.as_ref().map_or(Ok(None), |work| work.run(reader)))
                .collect::<Result<Vec<_>, _>>()
        };
        let inline = operations.len() == 1 && bytes <= INLINE_BYTES_MAX;
        let prepared = if inline { self.read_in(pool, run).await? } else { self.on_engine(pool, run).await? };
        for (operation, prepared) in operations.iter_mut().zip(prepared) {
            if let Action::Observe(observation) = &mut operation.action {
                observation.prepared = prepared;
            }
        }
        Ok(())
    }
}

struct Preparation {
    name: ArticleName,
    observation: Box<Observation>,
}

impl Preparation {
    fn from_operation(operation: &Operation) -> Option<Self> {
        let Action::Observe(observation) = &operation.action else { return None };
        match &operation.target {
            ArticleTarget::Named(name) | ArticleTarget::ByUrl { derived: name, .. } => {
                Some(Self { name: name.clone(), observation: observation.clone() })
            }
            ArticleTarget::AtUrl(_) | ArticleTarget::ByAddress(_) => None,
        }
    }

    fn bytes(&self) -> usize {
        let original = self.observation.original.as_ref();
        self.observation.bytes.len() + original.map_or(0, |original| original.data.len())
    }

    fn run(&self, reader: &Reader<'_>) -> Result<Option<Prepared>, ReadError> {
        let observation = &self.observation;
        let original = || observation.original.as_ref().map(PackedOriginal::pack);
        let Some(entry) = reader.head(&self.name)? else {
            let packed = PackedContent::pack(&observation.bytes, None);
            return Ok(Some(Prepared { base_seq: None, packed, summary: None, original: original() }));
        };
        let newest = reader.change(entry.head.newest.created_seq)?;
        let latest = entry.head.recent.last().filter(|latest| latest.seq == newest.seq);
        let (Some(latest), Some(new_revision)) = (latest, &newest.entry.new_revision) else { return Ok(None) };
        if new_revision.digest == observation.digest {
            return Ok(None); // It will be a sighting, which stores no content.
        }
        let before = reader.content(newest.seq, new_revision.digest)?;
        if before.bytes.len() > INLINE_BYTES_MAX {
            reader.tables()?; // The comparison needs a blocking thread even if the new content is small.
        }
        let base = Base { seq: latest.seq, depth: latest.depth, bytes: &before.bytes };
        Ok(Some(Prepared {
            base_seq: Some(newest.seq),
            packed: PackedContent::pack(&observation.bytes, Some(base)),
            summary: Some(diff::summary(&before.content, &observation.content)),
            original: original(),
        }))
    }
}
