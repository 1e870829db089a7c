//! The log itself, read without the archive: gapless, ordered, with a correct digest, and each change as in the model.

use std::sync::Arc;

use dateline::internals::store::Engine;
use dateline::internals::store::engine::Direction;
use dateline::internals::store::engine::memory::MemoryEngine;
use dateline::internals::store::key::log::LogKey;
use dateline::internals::store::record::decode_with_record;
use dateline::model::{LogDigest, Seq};

use super::reads::{Mismatch, same};
use super::rules::Model;
use super::shown::ShownChange;

/// Compares each change with the model, and the log digests with the leaves. `id` is the archive's id.
pub(super) fn check(engine: &MemoryEngine, id: &[u8; 16], model: &Model) -> Result<(), Mismatch> {
    let engine: Arc<dyn Engine> = Arc::new(engine.clone());
    let (mut log_digest, mut commit) = (LogDigest::of_archive(id), None);
    let mut next = 0;
    for entry in engine.scan(LogKey::all(), Direction::Forward) {
        let (key, value) = entry.map_err(|error| error.to_string())?;
        let (change, _, leaf) = decode_with_record(&key, &value).map_err(|error| error.to_string())?;
        same(|| "the next position of the log".to_owned(), change.seq, Seq(next))?;
        let Some(record) = model.log.get(usize::try_from(next).unwrap()) else {
            return Err(format!("the log has a change that is not in the model: {change:?}"));
        };
        let expected = ShownChange::expected(model.all(), next, record);
        same(|| format!("the change at {next}"), ShownChange::of(&change), expected)?;
        log_digest = log_digest.after(leaf);
        same(|| format!("the running digest at {next}"), change.log_digest, log_digest)?;
        let now = (change.entry.archive_time, change.entry.batch_first);
        if commit.is_some_and(|(time, first)| now.0 < time || (now.0 > time && now.1 == first)) {
            return Err(format!("archive times decrease, or differ within a batch, at {next}"));
        }
        commit = Some(now);
        next += 1;
    }
    same(|| "the end of the log".to_owned(), next, model.tail())
}
