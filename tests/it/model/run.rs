//! Carries out a plan on an archive and on the model in parallel, and compares every answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dateline::internals::archive::changefeed::FeedStart;
use dateline::internals::archive::read::article::View;
use dateline::internals::archive::request::{Operation, Precondition, Receipt, WriteMode};
use dateline::internals::archive::{Archive, BatchResult, ReadPoint};
use dateline::internals::backup::Until;
use dateline::internals::clock::{Clock, ManualClock};
use dateline::internals::store::engine::memory::Fault;
use dateline::model::{ArticleName, AsOf, KnownAt, Seq, Snapshot, Timestamp};
use tokio::sync::oneshot;

use super::asked::{addressed, asked, operation, words};
use super::log;
use super::naive::Answer;
use super::place::Place;
use super::plan::{Expect, Failure, Plan, Step, Write};
use super::reads::{Mismatch, Reads, instants, same};
use super::rules::{Addressed, Expected, Model, Refusal, Request};
use super::shown::{Missed, answer_of};
use crate::{backup, support, verify};

/// Number of ticks of the observe axis that plans use.
pub(super) const TICKS: i64 = 6;

/// What happened in a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) operations: u64,
    pub(super) reads: u64,
    /// The number of changes of each kind, and of rejections by reason.
    pub(super) events: BTreeMap<String, u64>,
}

impl Figures {
    pub(super) fn add(&mut self, other: Self) {
        self.operations += other.operations;
        self.reads += other.reads;
        for (event, count) in other.events {
            *self.events.entry(event).or_default() += count;
        }
    }

    fn count(&mut self, event: String) {
        *self.events.entry(event).or_default() += 1;
    }

    /// Counts a rejection under its reason, without the details.
    fn count_refusal(&mut self, refused: &Missed) {
        let reason =
            if let Missed::Refused(refusal) = refused { format!("{refusal:?}") } else { format!("{refused:?}") };
        self.count(format!("refused: {}", reason.split('(').next().unwrap_or_default()));
    }
}

/// The newest revision of an article, and the latest change of its state or labels.
type NewestState = (u32, Option<u64>);

/// Carries out `plan`, and compares reads: some after each step, and everything at the end, before and after the
/// archive is reopened.
pub(super) fn play(plan: &Plan, place: Place) -> Result<Figures, Mismatch> {
    support::block_on(async {
        let mut run = Run::new(plan, place);
        for (index, step) in plan.steps.iter().enumerate() {
            let before = run.model.tail();
            run.step(step).await.map_err(|mismatch| format!("step {index}, {step:?}: {mismatch}"))?;
            run.look(index, before).await.map_err(|mismatch| format!("after step {index}, {step:?}: {mismatch}"))?;
        }
        // A long run reads at every instant.
        let strides = if super::cases_wanted().is_some() { (1, 1) } else { (6, 12) };
        run.everything(strides.0).await?;
        run.reopen().await;
        run.everything(strides.1).await.map_err(|mismatch| format!("reopened: {mismatch}"))?;
        run.verify().await?;
        if run.place.faulty().is_none() {
            run.restored(strides.1).await.map_err(|mismatch| format!("restored from a backup: {mismatch}"))?;
        }
        run.archive.close().await;
        for record in &run.model.log {
            run.figures.count(format!("{:?}", record.kind));
        }
        Ok(run.figures)
    })
}

struct Run {
    place: Place,
    caches: bool,
    clock: Arc<ManualClock>,
    archive: Arc<Archive>,
    model: Model,
    names: Vec<ArticleName>,
    /// Every batch that was sent.
    sent: Vec<Vec<Write>>,
    /// The etags that the archive returned, with the newest revision and state at that time.
    etags: BTreeMap<ArticleName, Vec<(String, NewestState)>>,
    /// The snapshots of reads as known at an instant, which must not change.
    as_known: BTreeMap<Timestamp, Snapshot>,
    figures: Figures,
}

impl Run {
    /// Checks that the indexes are those projected from the log, entry by entry.
    async fn verify(&self) -> Result<(), Mismatch> {
        let (summary, findings) = verify::verified(&self.archive).await;
        same(|| "what a verification finds".to_owned(), findings, Vec::new())?;
        same(|| "the changes that were verified".to_owned(), summary.changes, self.model.tail())
    }

    /// Checks that an archive restored from a backup gives the same answers.
    async fn restored(&mut self, stride: usize) -> Result<(), Mismatch> {
        let place = Place::on_disk();
        let Place::Disk(directory) = &place else { return Ok(()) };
        let folder = tempfile::TempDir::new().unwrap();
        let file = backup::stream_backup(&self.archive, FeedStart::Beginning).await;
        let file = backup::keep(&file, folder.path());
        backup::restore(&[file.path], directory.path(), Until::End).map_err(|error| error.to_string())?;
        self.archive.close().await;
        self.archive = place.open(self.caches, &self.clock);
        self.place = place;
        self.everything(stride).await?;
        self.verify().await
    }

    fn new(plan: &Plan, place: Place) -> Self {
        let clock = Arc::new(ManualClock::new(support::now()));
        let archive = place.open(plan.caches, &clock);
        let named = (0..4).map(support::article);
        let ids = ["derived", "derived-2", "derived-3"];
        let derived = ids.into_iter().flat_map(|id| (0..2).map(move |source| support::named(source, id)));
        Self {
            place,
            caches: plan.caches,
            clock,
            archive,
            model: Model::default(),
            names: named.chain(derived).collect(),
            sent: Vec::new(),
            etags: BTreeMap::new(),
            as_known: BTreeMap::new(),
            figures: Figures::default(),
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), Mismatch> {
        match step {
            Step::Write(writes) => self.write(writes, WriteMode::Commit).await,
            Step::Validate(writes) => self.write(writes, WriteMode::Validate).await,
            Step::Anew(index, id) => {
                let Some(mut sent) = index.checked_rem(self.sent.len()).map(|index| self.sent[index].clone()) else {
                    return Ok(());
                };
                for write in &mut sent {
                    (write.request, write.expect) = (Some(*id), None);
                }
                self.write(&sent, WriteMode::Commit).await
            }
            Step::Again(index) => {
                let Some(sent) = index.checked_rem(self.sent.len()).map(|index| self.sent[index].clone()) else {
                    return Ok(());
                };
                self.write(&sent, WriteMode::Commit).await
            }
            Step::Burst(jobs) => self.burst(jobs).await,
            Step::Fail(failure, writes) => self.fail(*failure, writes).await,
            Step::Reopen => {
                self.reopen().await;
                Ok(())
            }
            Step::Clock(micros) => {
                self.clock.set(self.clock.now().saturating_add_micros(*micros));
                Ok(())
            }
            Step::AsKnown(ago) => self.read_as_known(self.clock.now().saturating_add_micros(-ago)).await,
        }
    }

    /// Sends a batch to the archive and to the model.
    async fn write(&mut self, writes: &[Write], mode: WriteMode) -> Result<(), Mismatch> {
        let (requests, operations) = self.resolve(writes).await?;
        let tail = self.archive.tail();
        let mut after = self.model.clone();
        let expected = after.write(&requests);
        let written = self.archive.write(operations, mode).await;
        self.figures.operations += writes.len() as u64;
        self.compare_answers(&written, expected)?;
        if mode == WriteMode::Validate || written.is_err() {
            return same(|| "the tail after what writes nothing".to_owned(), self.archive.tail(), tail);
        }
        self.sent.push(writes.to_vec());
        self.adopt(after).await?;
        for written in written.iter().flatten() {
            self.check_snapshot(written).await?;
        }
        Ok(())
    }

    /// Checks that the snapshot of a write is the end of its batch, even if the reply is a repetition.
    async fn check_snapshot(&self, written: &Receipt) -> Result<(), Mismatch> {
        let tail = self.archive.tail();
        if !written.replayed {
            return same(|| "the snapshot of a write".to_owned(), written.snapshot, tail);
        }
        let Snapshot { next_seq, log_digest, .. } = written.snapshot;
        let known_at = KnownAt::NextSeq { next_seq, log_digest: Some(log_digest) };
        let point = self.archive.read_point(AsOf { observe_time: None, known_at }, Seq::ZERO).await;
        let point = point.map_err(|error| error.to_string())?;
        same(|| "the snapshot of a repeated write".to_owned(), written.snapshot, point.snapshot)
    }

    fn compare_answers(
        &mut self,
        written: &BatchResult,
        expected: Result<Vec<Answer>, (usize, Refusal)>,
    ) -> Result<(), Mismatch> {
        let written = match written {
            Ok(written) => Ok(written.iter().map(answer_of).collect::<Vec<_>>()),
            Err(failed) => Err((failed.failed_item, Missed::of(&failed.error))),
        };
        let expected = expected.map_err(|(index, refusal)| (Some(index), Missed::refused(refusal)));
        match &written {
            Ok(answers) if answers.iter().any(|answer| answer.replayed) => self.figures.count("replayed".to_owned()),
            Ok(_) => {}
            Err((_, refused)) => self.figures.count_refusal(refused),
        }
        same(|| "the answer".to_owned(), written, expected)
    }

    /// Takes over what the model has written, with the archive times that the archive assigned.
    async fn adopt(&mut self, mut after: Model) -> Result<(), Mismatch> {
        let (before, tail) = (self.model.tail(), self.archive.tail());
        same(|| "the tail".to_owned(), tail.next_seq.0, after.tail())?;
        for seq in before..after.tail() {
            // A position outside a batch gives the time of the change before it; the changes of a batch share their
            // time.
            let (index, bound) = (usize::try_from(seq).unwrap(), seq + 1);
            if after.whole(bound) == bound {
                let known_at = KnownAt::NextSeq { next_seq: Seq(bound), log_digest: None };
                let point = self.archive.read_point(AsOf { observe_time: None, known_at }, Seq::ZERO).await;
                let archive_time = point.map_err(|error| error.to_string())?.snapshot.archive_time;
                let batch_first = after.log[index].batch_first;
                for record in after.log.iter_mut().filter(|record| record.batch_first == batch_first) {
                    record.archive_time = archive_time;
                }
            }
        }
        let last = self.model.log.last().and_then(|last| last.archive_time);
        let first = after.log.get(usize::try_from(before).unwrap()).and_then(|first| first.archive_time);
        if before < after.tail() && first <= last {
            return Err(format!("archive time {first:?} is not later than {last:?}"));
        }
        self.model = after;
        Ok(())
    }

    /// Sends several batches during the first one's commit, so that the others share the next commit. Nothing may be
    /// visible before it is durable.
    async fn burst(&mut self, jobs: &[Vec<Write>]) -> Result<(), Mismatch> {
        let mut after = self.model.clone();
        let (mut expected, mut sent) = (Vec::new(), Vec::new());
        for writes in jobs {
            let (requests, operations) = self.resolve(writes).await?;
            expected.push(after.write(&requests));
            sent.push(operations);
            if expected.len() == 1 && after.tail() == self.model.tail() {
                return Ok(()); // Nothing is committed, so there is no commit to wait for.
            }
        }
        let Some(engine) = self.place.faulty().cloned() else { return Ok(()) };
        engine.fault_at(1, Fault::Hang);
        let mut answers = Vec::new();
        for (index, operations) in sent.into_iter().enumerate() {
            self.figures.operations += operations.len() as u64;
            let begun = self.archive.begin_write(&Arc::default(), operations, WriteMode::Commit).await;
            answers.push(begun.map_err(|error| error.to_string())?);
            if index == 0 {
                self.until_hanging(&engine).await?;
            }
        }
        self.look(0, self.model.tail()).await.map_err(|mismatch| format!("during a commit: {mismatch}"))?;
        engine.release();
        for (answer, expected) in answers.into_iter().zip(expected) {
            self.compare_answers(&answer.reply().await, expected)?;
        }
        self.adopt(after).await
    }

    async fn until_hanging(
        &self,
        engine: &dateline::internals::store::engine::memory::MemoryEngine,
    ) -> Result<(), Mismatch> {
        let (hangs, hanging) = oneshot::channel();
        let engine = engine.clone();
        std::thread::spawn(move || {
            engine.wait_until_hanging();
            hangs.send(()).ok();
        });
        let hanging = tokio::time::timeout(Duration::from_secs(20), hanging).await;
        hanging.map(drop).map_err(|_| "what was to be committed was not".to_owned())
    }

    /// Sends a batch whose commit fails, if there is anything to commit.
    async fn fail(&mut self, failure: Failure, writes: &[Write]) -> Result<(), Mismatch> {
        let (requests, operations) = self.resolve(writes).await?;
        let mut after = self.model.clone();
        let commits = after.write(&requests).is_ok() && after.tail() > self.model.tail();
        let Some(engine) = self.place.faulty().filter(|_| commits).cloned() else { return Ok(()) };
        engine.fault_at(
            1,
            match failure {
                Failure::Full => Fault::Full,
                Failure::BeforeWrite => Fault::FailBeforeWrite,
                Failure::PowerCut | Failure::Killed => Fault::FailBeforeSync,
            },
        );
        let refused = self.archive.write(operations, WriteMode::Commit).await.map(drop);
        let refused = refused.map_err(|failed| Missed::of(&failed.error));
        let expected = if failure == Failure::Full { Missed::StorageFull } else { Missed::StorageFailed };
        self.figures.count_refusal(&expected);
        same(|| "the answer to a write that fails".to_owned(), refused, Err(expected))?;
        self.look(0, self.model.tail()).await.map_err(|mismatch| format!("after a failed commit: {mismatch}"))?;
        if failure == Failure::Full {
            return Ok(());
        }
        self.archive.close().await;
        match failure {
            Failure::PowerCut => engine.lose_unsynced(),
            Failure::Full | Failure::BeforeWrite | Failure::Killed => engine.restart(),
        }
        self.archive = self.place.open(self.caches, &self.clock);
        if failure == Failure::Killed { self.adopt(after).await } else { Ok(()) }
    }

    async fn reopen(&mut self) {
        self.archive.close().await;
        // A database on disk can be reopened only when nothing holds it any more.
        let nothing = Place::in_memory();
        self.archive = nothing.open(false, &self.clock);
        self.archive = self.place.open(self.caches, &self.clock);
    }

    /// Checks that what was known at an instant can be read once that instant is past, and never changes afterwards.
    async fn read_as_known(&mut self, instant: Timestamp) -> Result<(), Mismatch> {
        let as_of = AsOf { observe_time: None, known_at: KnownAt::ArchiveTime(instant) };
        let read = self.archive.read_point(as_of, Seq::ZERO).await.map_err(|error| Missed::of(&error));
        let last = self.model.log.last().and_then(|last| last.archive_time);
        self.figures.reads += 1;
        let Ok(ReadPoint { snapshot, .. }) = read else {
            let is_past = instant <= self.clock.now() || last.is_some_and(|last| instant <= last);
            same(|| format!("as known at {instant}"), read, Err(Missed::TimeInFuture))?;
            return if is_past { Err(format!("{instant} is past, but cannot be read")) } else { Ok(()) };
        };
        let known = self.model.log.iter().filter(|record| record.archive_time <= Some(instant)).count();
        same(|| format!("as known at {instant}"), snapshot.next_seq.0, known as u64)?;
        let first = *self.as_known.entry(instant).or_insert(snapshot);
        same(|| format!("as known at {instant}, read again"), snapshot, first)
    }

    fn reads(&self) -> Reads<'_> {
        let turn = usize::try_from(self.figures.reads).unwrap();
        // The existing articles, and one that does not exist.
        let (mut names, unknown): (Vec<_>, Vec<_>) =
            self.names.iter().cloned().partition(|name| self.model.all().has(name));
        names.extend(unknown.into_iter().next());
        Reads { archive: &self.archive, model: &self.model, names, compared: 0, turn }
    }

    /// Compares some of the reads: of the newest state, and from time to time of what was known before the step.
    async fn look(&mut self, turn: usize, before: u64) -> Result<(), Mismatch> {
        let instants = instants(TICKS);
        let some = [instants[turn * 5 % instants.len()], None];
        let mut reads = self.reads();
        let newest = reads.point(reads.model.tail()).await?;
        same(|| "the tail".to_owned(), self.archive.tail(), newest.snapshot)?;
        if turn.is_multiple_of(3) {
            reads.at_bound(newest, &some).await?;
            let earlier = reads.point(before).await?;
            reads.at_bound(earlier, &some[..1]).await?;
            reads.sources().await?;
        } else {
            reads.articles_at(newest, &some).await?;
        }
        self.figures.reads += reads.compared;
        for name in self.names.clone() {
            self.learn_etag(&name).await?;
        }
        Ok(())
    }

    /// Compares all reads, at every `stride`th instant.
    async fn everything(&mut self, stride: usize) -> Result<(), Mismatch> {
        let mut reads = self.reads();
        reads.all(&instants(TICKS), stride).await?;
        reads.sources().await?;
        self.figures.reads += reads.compared;
        let committed: Vec<_> = self.model.log.iter().filter_map(|record| record.archive_time).collect();
        let around = committed.iter().flat_map(|time| [time.saturating_add_micros(-1), *time]);
        for instant in around.chain(self.as_known.keys().copied()).collect::<Vec<_>>() {
            self.read_as_known(instant).await?;
        }
        match self.place.faulty() {
            Some(engine) => log::check(engine, &self.archive.info().id, &self.model),
            None => Ok(()),
        }
    }

    /// Reads the etag of the newest state. It must be the same for the same revision, state and labels, and differ for
    /// any other.
    async fn learn_etag(&mut self, name: &ArticleName) -> Result<Option<String>, Mismatch> {
        let Some(newest) = self.model.all().observed_at(name, None) else { return Ok(None) };
        let state = (newest.revision, self.model.all().last_edit(name));
        let point = self.archive.read_point(AsOf::default(), Seq::ZERO).await.map_err(|error| error.to_string())?;
        let read = self.archive.article(point, name.clone(), View::Basic).await.map_err(|error| error.to_string())?;
        let etag = read.etag.ok_or("the newest state has no etag")?;
        let known = self.etags.entry(name.clone()).or_default();
        let repeated = known.iter().find(|(known_etag, known_state)| *known_etag == etag || *known_state == state);
        match repeated {
            Some(repeated) => same(|| format!("etag of {name}"), (etag.clone(), state), repeated.clone())?,
            None => known.push((etag.clone(), state)),
        }
        Ok(Some(etag))
    }

    /// Builds the same operations for the model and for the archive.
    async fn resolve(&mut self, writes: &[Write]) -> Result<(Vec<Request>, Vec<Operation>), Mismatch> {
        let (mut requests, mut operations) = (Vec::new(), Vec::new());
        for write in writes {
            let to = addressed(write.to);
            let (expected, precondition) = self.expectation(write, &to).await?;
            operations.push(operation(write, precondition));
            let request = write.request.map(|id| (id, words(write)));
            requests.push(Request { to, at: support::at(write.at), what: asked(&write.what), expected, request });
        }
        Ok((requests, operations))
    }

    async fn expectation(
        &mut self,
        write: &Write,
        to: &Addressed,
    ) -> Result<(Option<Expected>, Option<Precondition>), Mismatch> {
        let Some(expect) = write.expect else { return Ok((None, None)) };
        let (Addressed::Named(name) | Addressed::Found { derived: name, .. }) = to else { return Ok((None, None)) };
        let newest = self.model.all().observed_at(name, None).map_or(1, |newest| newest.revision);
        let state = (newest, self.model.all().last_edit(name));
        let etag = |known: Option<(String, NewestState)>| match known {
            Some((etag, state)) => (Expected::State(Some(state)), Precondition::Etag(etag)),
            None => (Expected::State(None), Precondition::Etag("nonsense".to_owned())),
        };
        let revision = |number| (Expected::Revision(number), support::at_revision(number));
        let (expected, precondition) = match expect {
            Expect::Absent => (Expected::Absent, Precondition::MustNotExist),
            Expect::EtagNow => etag(self.learn_etag(name).await?.map(|now| (now, state))),
            Expect::EtagOf(index) => {
                let known = self.etags.get(name).map(Vec::as_slice).unwrap_or_default();
                etag(index.checked_rem(known.len()).map(|index| known[index].clone()))
            }
            Expect::RevisionNow => revision(newest),
            Expect::Revision(number) => revision(number),
        };
        Ok((Some(expected), Some(precondition)))
    }
}
