//! The destruction of texts that the archive may no longer keep, in two steps: a plan, which says what would be destroyed
//! and has a digest, and its execution, which names that digest.
//!
//! ```text
//! request ──▶ plan, from the tables ──▶ digest ──▶ an operator reads it, and confirms
//!                      │                                      │
//!                      ▼                                      ▼
//!        stubs, removals, contents encoded again ──▶ one operation of the writer thread ──▶ one commit
//!                                                                                              │
//!        the caches and the ring forget everything ◀───────────────────────────────────────────┘
//!        the files forget it with the next compaction; until then, destruction is pending
//! ```
//!
//! Invariants:
//! - A change whose text is destroyed becomes a *stub* in its place ([`ChangeEntry::stub`](crate::model::ChangeEntry::stub)):
//!   its leaf, and with it every digest, token and proof of the log, stays as it was.
//! - What is destroyed, what records it, and the contents that were stored as differences from it are one commit.
//! - All that is read or computed for it is done off the writer thread, from what the article had at one point. If the
//!   article has changed since, the writer thread rejects it, and it is prepared again.
//! - The indexes after it are those that follow from the stubs: they are projected again and compared, so that a rebuild
//!   finds the same.
//!
//! Other copies are out of reach: exports, mirrors, subscribers and backups.

mod plan;
pub(crate) mod register_file;

use std::sync::Arc;

use crate::archive::error::Conflict;
use crate::archive::request::{Action, ArticleTarget, Operation, PreparedExpunge, WriteOrigin, Writer};
use crate::archive::{Archive, ArchiveError, WriteMode};
use crate::model::{
    ArticleName, ExpungeOrder, ExpungeReason, ExpungeRegister, RevisionNumber, Seq, Snapshot, SubscriptionId,
    Timestamp, TreeHash,
};
use crate::store::Tables;
use crate::store::full_change::FullChange;
use crate::store::logfile::LogHeader;

/// How often the destruction is prepared again because the article has changed in the meantime.
const ATTEMPTS_MAX: usize = 32;
/// How long the files of the database may have destroyed text before operators are alarmed: a day.
pub(crate) const DESTRUCTION_OVERDUE_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// What is to be destroyed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpungeRequest {
    /// The article.
    pub article: ArticleName,
    /// How much of it.
    pub scope: ExpungeScope,
    /// Why.
    pub reason: ExpungeReason,
    /// What the order can be found by, such as a court's file number. Readers see it. May be empty.
    pub reference: String,
}

/// How much of an article is destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpungeScope {
    /// The texts and originals of these revisions, with their headlines.
    Revisions(Vec<RevisionNumber>),
    /// All text of the article, including the reasons of changes and the HTTP facts of observations. Its name, URLs and
    /// labels stay.
    Article,
    /// All text of the article, its name, its URLs, labels and request ids. It gets a name without meaning.
    ArticleAndName,
}

/// What the execution of a request would destroy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpungePlan {
    /// The article, by the name that it has.
    pub article: ArticleName,
    /// The revisions whose text would be destroyed, ascending.
    pub revisions: Vec<RevisionNumber>,
    /// The number of changes of the log that would become stubs.
    pub changes: usize,
    /// The number of kept originals that would be destroyed.
    pub originals: usize,
    /// The number of contents that would be stored again, since they are stored as differences from destroyed ones.
    pub reencoded: usize,
    /// Other revisions of the article with a text that would be destroyed, which would keep it.
    pub same_content: Vec<RevisionNumber>,
    /// The durable subscriptions that have acknowledged changes which would be destroyed.
    pub subscriptions: Vec<SubscriptionId>,
    /// Identifies the plan: 32 bytes over the archive, the request, and the positions and leaves of the changes.
    pub digest: [u8; 32],
}

/// The result of a destruction.
#[derive(Clone, Debug)]
pub struct Destroyed {
    /// What was destroyed.
    pub plan: ExpungePlan,
    /// The change that records it; the last of them if one could not name all that was destroyed.
    pub seq: Seq,
    /// The name that the article has now.
    pub article: ArticleName,
    /// A snapshot at which a read sees it.
    pub snapshot: Snapshot,
}

/// A plan with what carries it out, in one batch. Nothing does if there is nothing to destroy.
struct Prepared {
    plan: ExpungePlan,
    expunges: Vec<PreparedExpunge>,
}

impl Archive {
    /// Plans the destruction of texts. Nothing is changed.
    pub async fn plan_expunge(&self, request: ExpungeRequest) -> Result<ExpungePlan, ArchiveError> {
        Ok(self.prepare_expunge(request).await?.plan)
    }

    /// Destroys texts as planned; `plan_digest` is that of the plan. It is durable when this returns, and no reader gets
    /// the texts any more. The files of the database have them until it is compacted:
    /// see [`Archive::destruction_pending`].
    ///
    /// [`Conflict::ExpungePlanChanged`] if the request would destroy anything else than the plan says, or nothing.
    pub async fn expunge(
        &self,
        origin: &WriteOrigin,
        request: ExpungeRequest,
        plan_digest: [u8; 32],
    ) -> Result<Destroyed, ArchiveError> {
        let changed = || Conflict::ExpungePlanChanged(request.article.clone());
        for _ in 0..ATTEMPTS_MAX {
            let Prepared { plan, expunges } = self.prepare_expunge(request.clone()).await?;
            let name = expunges.first().and_then(|first| first.name.clone());
            if plan.digest != plan_digest || expunges.is_empty() {
                return Err(changed().into());
            }
            let article = name.unwrap_or_else(|| plan.article.clone());
            let operations = expunges.into_iter().map(|expunge| Operation {
                // The first of them gives the article its new name.
                target: ArticleTarget::Named(
                    if expunge.latest_seq.is_some() { &plan.article } else { &article }.clone(),
                ),
                observe_time: self.now(),
                precondition: None,
                request: None,
                by: Writer::default(),
                action: Action::Expunge(Box::new(expunge)),
            });
            match self.write_from(origin, operations.collect(), WriteMode::Commit).await {
                Ok(receipts) => {
                    let snapshot = receipts.last().ok_or(ArchiveError::Internal)?.snapshot;
                    let seq = snapshot.next_seq.previous().ok_or(ArchiveError::Internal)?;
                    let archive = self.clone();
                    let save = move || {
                        archive.save_register();
                        Ok::<_, ArchiveError>(())
                    };
                    self.pools.comparisons.run(save).await?;
                    return Ok(Destroyed { plan, seq, article, snapshot });
                }
                // The article has got another change; the plan may still be the same.
                Err(error) if matches!(&error.error, ArchiveError::Conflict(Conflict::ExpungePlanChanged(_))) => {}
                Err(error) => return Err(error.error),
            }
        }
        Err(changed().into())
    }

    /// Since when the files of the database have text that was destroyed; `None` if they have none. Compaction removes
    /// it from them.
    pub async fn destruction_pending(&self) -> Result<Option<Timestamp>, ArchiveError> {
        let engine = Arc::clone(&self.shared.engine);
        self.pools.reads.run(move || Ok(Tables::new(engine.as_ref()).destruction_pending()?)).await
    }

    /// As [`Archive::destruction_pending`], if it should have been removed from them by now.
    pub async fn destruction_overdue(&self) -> Result<Option<Timestamp>, ArchiveError> {
        let deadline = self.now().saturating_add_micros(-DESTRUCTION_OVERDUE_MICROS);
        Ok(self.destruction_pending().await?.filter(|since| *since < deadline))
    }

    /// Adds the register of destructions to its copy next to the database. If that fails, it is added when the archive is
    /// next opened.
    pub(crate) fn save_register(&self) {
        let Some(file) = &self.register_file else { return };
        // Only the database's own register shows what it lacks of the file.
        let header = || {
            let register = Tables::new(self.shared.engine.as_ref()).register()?;
            Ok(LogHeader { register, ..self.log_header(self.tail())? })
        };
        match file.save(header) {
            Ok(lacking) => self.report_lacking(&lacking),
            Err(error) => {
                tracing::error!(%error, "the register of destructions could not be saved next to the database")
            }
        }
    }

    /// Reports texts that the database has although they were destroyed, after an older copy of it was put back.
    fn report_lacking(&self, lacking: &ExpungeRegister) {
        let tables = Tables::new(self.shared.engine.as_ref());
        let is_back = |(seq, leaf): &(Seq, TreeHash)| {
            let full = FullChange::read_record(tables.source(), *seq);
            full.is_ok_and(|full| full.is_some_and(|full| full.leaf == *leaf))
        };
        let back: Vec<String> =
            lacking.0.keys().filter(|change| is_back(change)).map(|(seq, _)| seq.to_string()).collect();
        if !back.is_empty() {
            tracing::error!(
                changes = %back.join(", "),
                "the database has texts again that were destroyed, as if an older copy of it had been put back; \
                 destroy them again with `dateline expunge`"
            );
        }
    }

    async fn prepare_expunge(&self, request: ExpungeRequest) -> Result<Prepared, ArchiveError> {
        let (shared, id) = (Arc::clone(&self.shared), self.info.id);
        let order = ExpungeOrder { reason: request.reason, reference: request.reference.clone(), time: self.now() };
        let prepare = move || plan::prepare(&Tables::new(shared.engine.as_ref()), &id, &request, order);
        let mut prepared = self.pools.comparisons.run(prepare).await?;
        let first = prepared.expunges.first().and_then(|expunge| expunge.expunging.targets.first());
        if let Some(first) = first.map(|target| target.seq) {
            prepared.plan.subscriptions = self.shared.subscriptions.ahead_of(first);
        }
        Ok(prepared)
    }
}
