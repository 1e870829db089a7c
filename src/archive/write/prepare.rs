//! The work on observations that does not need the writer thread: packing contents and originals, and summarising what
//! changed.
//!
//! ```text
//! plan     in order: which content will each observation follow?
//! carry out  on all cores: pack it against that content, and compare the two
//! ```
//!
//! An observation is prepared against the content that its article is expected to have when the writer thread reaches
//! it ([`super::forecast`]): that of the observation before it in the same batch or import, or else the newest one that
//! is durable. If the article turns out to have another content, the writer thread does the work again. So this is an
//! optimisation only: it decides nothing, and it may skip any observation.

use std::sync::Arc;

use bytes::Bytes;

use crate::archive::pools::Pool;
use crate::archive::read::reader::{ReadError, Reader};
use crate::archive::request::{Action, ArticleTarget, Operation, Prepared, PreparedBase, PreparedContent};
use crate::archive::write::forecast::{Forecasts, KnownContent, PlannedBase, Planner};
use crate::archive::{Archive, ArchiveError};
use crate::model::{ArticleName, Content, ContentDigest, Original, Timestamp, diff};
use crate::store::base_choice::{self, Candidate};
use crate::store::content::{Base, Effort, PackedContent, PackedOriginal};
use crate::store::content_encoding;

/// A single observation whose content and original are at most this large together is prepared on the async thread.
/// Everything else goes to blocking threads.
pub(super) const INLINE_BYTES_MAX: usize = 64 << 10;

impl Archive {
    /// Prepares the observations among `operations`, which are about to be queued. Blocking work runs on threads of
    /// `pool`.
    ///
    /// `forecasts` are those of imports, whose later operations are prepared before earlier ones are durable. `None`
    /// forgets what is expected after these operations.
    pub(crate) async fn prepare(
        &self,
        pool: &Pool,
        operations: &mut [Operation],
        forecasts: Option<&Arc<Forecasts>>,
    ) -> Result<(), ArchiveError> {
        let observations: Vec<Option<Observed>> = operations.iter().map(Observed::of).collect();
        let bytes: usize = observations.iter().flatten().map(Observed::bytes).sum();
        let forecasts = forecasts.map(Arc::clone);
        let plan = move |reader: &Reader<'_>| plan_all(reader, &observations, forecasts.as_deref());
        let prepared = if operations.len() == 1 && bytes <= INLINE_BYTES_MAX {
            let plans = self.read_in(pool, move |reader| {
                let plans = plan(reader)?;
                if plans.iter().flatten().any(Plan::is_large) {
                    reader.tables()?; // The comparison needs a blocking thread even if the new content is small.
                }
                Ok(plans.into_iter().map(|plan| plan.map(Plan::carry_out)).collect())
            });
            plans.await?
        } else {
            let plans = self.on_engine(pool, plan).await?;
            pool.map(plans, |plan| plan.map(Plan::carry_out)).await?
        };
        for (operation, prepared) in operations.iter_mut().zip::<Vec<_>>(prepared) {
            if let Action::Observe(observation) = &mut operation.action {
                observation.prepared = prepared;
            }
        }
        Ok(())
    }
}

fn plan_all(
    reader: &Reader<'_>,
    observations: &[Option<Observed>],
    forecasts: Option<&Forecasts>,
) -> Result<Vec<Option<Plan>>, ReadError> {
    let mut planner = Planner::new(*reader, forecasts);
    let plan = |observed: &Option<Observed>| observed.as_ref().map_or(Ok(None), |observed| planner.plan(observed));
    let plans = observations.iter().map(plan).collect::<Result<_, _>>()?;
    planner.finish();
    Ok(plans)
}

/// What preparation needs of an observation.
pub(super) struct Observed {
    pub(super) name: ArticleName,
    pub(super) observe_time: Timestamp,
    pub(super) digest: ContentDigest,
    pub(super) bytes: Bytes,
    pub(super) content: Arc<Content>,
    pub(super) coalesce_within_micros: i64,
    original: Option<Original>,
}

impl Observed {
    fn of(operation: &Operation) -> Option<Self> {
        let Action::Observe(observation) = &operation.action else { return None };
        let name = match &operation.target {
            ArticleTarget::Named(name) | ArticleTarget::ByUrl { derived: name, .. } => name.clone(),
            ArticleTarget::AtUrl(_) | ArticleTarget::ByAddress(_) => return None,
        };
        Some(Self {
            name,
            observe_time: operation.observe_time,
            digest: observation.digest,
            bytes: observation.bytes.clone(),
            content: Arc::clone(&observation.content),
            coalesce_within_micros: observation.coalesce_within_micros,
            original: observation.original.clone(),
        })
    }

    fn bytes(&self) -> usize {
        self.bytes.len() + self.original.as_ref().map_or(0, |original| original.data.len())
    }
}

/// How an observation is to be prepared: everything that the work needs, so that any thread can do it.
pub(super) struct Plan {
    bytes: Bytes,
    content: Arc<Content>,
    original: Option<Original>,
    base: Option<PlannedBase>,
    /// Other contents that it may be packed against, if the base is durable.
    others: Vec<Candidate>,
    before: Option<KnownContent>,
}

impl Plan {
    /// Packs the content of `observed` against `base` or, if that saves space, one of the `others`, and compares it with
    /// `before`.
    pub(super) fn new(
        observed: &Observed,
        base: Option<PlannedBase>,
        others: Vec<Candidate>,
        before: Option<KnownContent>,
    ) -> Self {
        let Observed { bytes, content, original, .. } = observed;
        Self { bytes: bytes.clone(), content: Arc::clone(content), original: original.clone(), base, others, before }
    }

    fn is_large(&self) -> bool {
        let base = self.base.as_ref().map(|base| &base.known);
        let known = self.before.iter().chain(base).map(|known| known.content.len());
        let others = self.others.iter().map(|candidate| candidate.bytes.len());
        known.chain(others).any(|bytes| bytes > INLINE_BYTES_MAX)
    }

    fn carry_out(self) -> Prepared {
        let base = self.base.as_ref().map(|PlannedBase { known, depth }| Base {
            // A queued content has no position yet. `PackedContent::on` sets it.
            seq: known.seq.unwrap_or_default(),
            depth: *depth,
            bytes: &known.content,
        });
        let packed = match base {
            Some(base) => base_choice::pack(&self.bytes, base, || self.others),
            None => PackedContent::pack(&self.bytes, None, Effort::Quick),
        };
        let before = self.before.as_ref().and_then(|before| content_encoding::from_bytes(&before.content));
        let summary = before.map(|before| diff::summary(&before, &self.content));
        Prepared {
            packed,
            base: self.base.map(|PlannedBase { known, depth }| PreparedBase { content: known.into(), depth }),
            summary: self.before.map(PreparedContent::from).zip(summary),
            original: self.original.as_ref().map(PackedOriginal::pack),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ops::Bound::Unbounded;

    use proptest::prelude::*;

    use super::*;
    use crate::archive::Options;
    use crate::archive::request::{Observation, Receipt, WriteMode, WriteOrigin, Writer};
    use crate::archive::write::queue::Pending;
    use crate::clock::SystemClock;
    use crate::model::BlockKind;
    use crate::store::Engine;
    use crate::store::engine::{Direction, KeyRange};
    use crate::store::key::Kind;

    fn archive() -> Archive {
        Archive::in_memory_with(&Options::default(), Arc::new(SystemClock)).unwrap()
    }

    /// An observation of an article, at this second, with a text that differs from those with other numbers in a word.
    fn observation(article: &str, second: i64, text: u32) -> Operation {
        let paragraph = |number: u32| BlockKind::Paragraph {
            text: format!("Paragraph {number} says what the others do, but in other words: {:x}.", number * 7_919),
        };
        let last = BlockKind::Paragraph { text: format!("The count is {text}.") };
        let content = Content {
            headline: article.to_owned(),
            blocks: (0..12).map(paragraph).chain([last]).map(Into::into).collect(),
            ..Content::default()
        };
        Operation {
            target: ArticleTarget::Named(ArticleName::parse(&format!("sources/s/articles/{article}")).unwrap()),
            observe_time: Timestamp::from_micros(second * 1_000_000).unwrap(),
            precondition: None,
            request: None,
            by: Writer::default(),
            action: Action::Observe(Box::new(Observation::new(content, Vec::new()))),
        }
    }

    fn prepared(operation: &Operation) -> Option<&Prepared> {
        let Action::Observe(observation) = &operation.action else { panic!("it is an observation") };
        observation.prepared.as_ref()
    }

    fn is_against_queued(operation: &Operation) -> bool {
        let Some(Prepared { base: Some(base), summary: Some((before, _)), .. }) = prepared(operation) else {
            return false;
        };
        matches!((&base.content, before), (PreparedContent::Queued(_), PreparedContent::Queued(_)))
    }

    async fn reply(pending: Pending) -> Vec<Receipt> {
        pending.reply().await.unwrap()
    }

    #[tokio::test]
    async fn the_revisions_of_a_batch_are_prepared_against_each_other() {
        let archive = archive();
        let mut operations: Vec<_> =
            [1, 2, 2, 3].into_iter().zip(0..).map(|(text, second)| observation("a", second, text)).collect();
        archive.prepare(&archive.pools.writes, &mut operations, None).await.unwrap();
        assert!(prepared(&operations[0]).is_some_and(|first| first.base.is_none()));
        assert!(is_against_queued(&operations[1]));
        assert!(prepared(&operations[2]).is_none(), "a sighting");
        assert!(is_against_queued(&operations[3]));
        // Without forecasts, nothing is kept: a batch that is rejected has no effect on the next one.
        let mut next = vec![observation("a", 9, 4)];
        archive.prepare(&archive.pools.writes, &mut next, None).await.unwrap();
        assert!(prepared(&next[0]).is_some_and(|next| next.base.is_none()));
    }

    #[tokio::test]
    async fn the_messages_of_an_import_are_prepared_against_earlier_ones_until_those_are_durable() {
        let archive = archive();
        let prepare = async |mut operations: Vec<Operation>| {
            archive.prepare_imported(&mut operations, WriteMode::Commit).await.unwrap();
            operations
        };
        let first = prepare(vec![observation("a", 1, 1), observation("b", 1, 1)]).await;
        let second = prepare(vec![observation("a", 2, 2)]).await;
        assert!(is_against_queued(&second[0]));
        let origin = WriteOrigin::default();
        for operations in [first, second] {
            let pending = archive.queue.submit_imported(&origin.share, operations, WriteMode::Commit).await.unwrap();
            reply(pending).await;
        }
        let third = prepare(vec![observation("a", 3, 3)]).await;
        let base = prepared(&third[0]).and_then(|third| third.base.as_ref());
        assert!(matches!(base, Some(PreparedBase { content: PreparedContent::Recorded(seq), .. }) if seq.0 == 2));
        // Another writer comes between. The head says so, and the forecast is forgotten.
        archive.write(vec![observation("a", 8, 8)], WriteMode::Commit).await.unwrap();
        let fourth = prepare(vec![observation("a", 9, 9)]).await;
        let base = prepared(&fourth[0]).and_then(|fourth| fourth.base.as_ref());
        assert!(matches!(base, Some(PreparedBase { content: PreparedContent::Recorded(seq), .. }) if seq.0 == 3));
    }

    /// The contents as they are stored, by key.
    fn contents(engine: &dyn Engine) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let all = engine.scan(KeyRange { start: Unbounded, end: Unbounded }, Direction::Forward);
        all.map(Result::unwrap).filter(|(key, _)| key[0] == Kind::Content as u8).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever is guessed, the same is stored as without any preparation.
        #[test]
        fn what_is_stored_does_not_depend_on_what_was_prepared(
            observed in prop::collection::vec((0..3_u8, 0..40_i64, 0..12_u32), 1..80),
            sizes in prop::collection::vec(1..9_usize, 80),
            in_order: bool,
        ) {
            let mut observed = observed;
            if in_order {
                observed.sort_by_key(|(_, second, _)| *second);
            }
            let operations: Vec<_> = observed
                .into_iter()
                .map(|(article, second, text)| observation(["a", "b", "c"][usize::from(article)], second, text))
                .collect();
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let (prepared, plain) = (archive(), archive());
                let origin = WriteOrigin::default();
                let (mut pending, mut rest) = (Vec::new(), operations.clone());
                for size in sizes {
                    let message: Vec<_> = rest.drain(..size.min(rest.len())).collect();
                    if message.is_empty() {
                        break;
                    }
                    let pended = if size % 2 == 0 {
                        prepared.begin_writes(&origin, message, WriteMode::Commit).await.unwrap()
                    } else {
                        vec![prepared.begin_write(&origin, message, WriteMode::Commit).await.unwrap()]
                    };
                    pending.extend(pended);
                }
                for pending in pending {
                    reply(pending).await;
                }
                for operation in operations {
                    let pending = plain.queue.submit(&origin.share, vec![operation], WriteMode::Commit).unwrap();
                    reply(pending).await;
                }
                assert_eq!(contents(&*prepared.shared.engine), contents(&*plain.shared.engine));
            });
        }
    }
}
