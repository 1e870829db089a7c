//! Edits of durable subscriptions against a plain model: random edits, of which any may be sent again because its reply
//! was lost, and restarts in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use dateline::internals::archive::error::SubscriptionError;
use dateline::internals::archive::request::WriteMode;
use dateline::internals::archive::subscriptions::{
    Attachment, EditCondition, ParkRequest, SubscriptionAt, SubscriptionUpdate,
};
use dateline::internals::archive::{Archive, ArchiveError, Options};
use dateline::internals::clock::ManualClock;
use dateline::internals::store::engine::memory::MemoryEngine;
use dateline::model::{ArticleFilter, ChangeKind, ChangeKinds, FeedQuery, RequestDigest, Seq, SubscriptionId};
use proptest::prelude::*;

use crate::model::plan::Text;
use crate::support::{self, block_on, parking_plan};
use crate::verify::verified;

/// The number of changes of the log, of articles of two sources in turn.
const CHANGES: u64 = 8;

#[derive(Clone, Debug)]
enum Edit {
    /// Create it with this query at this position.
    Create {
        query: u8,
        next_seq: u64,
    },
    Delete {
        etag: Etag,
    },
    Attach,
    Detach,
    /// Send everything below this position to the attached consumer.
    Deliver(u64),
    Acknowledge {
        epoch: Epoch,
        next_seq: u64,
    },
    Seek {
        next_seq: u64,
        request: Option<u8>,
        etag: Etag,
    },
    Update {
        query: u8,
        etag: Etag,
    },
    Park {
        epoch: Epoch,
        seq: u64,
        attempts: u32,
    },
    Resolve {
        seqs: Vec<u64>,
    },
    Restart,
}

/// Which etag a request gives.
#[derive(Clone, Copy, Debug)]
enum Etag {
    Any,
    Present,
    /// The one before the last edit that changed it.
    Stale,
}

/// Which epoch a request gives.
#[derive(Clone, Copy, Debug)]
enum Epoch {
    OfConsumer,
    Earlier,
}

fn edit() -> impl Strategy<Value = Edit> {
    let etag = || prop_oneof![3 => Just(Etag::Any), 2 => Just(Etag::Present), 1 => Just(Etag::Stale)];
    let epoch = || prop_oneof![5 => Just(Epoch::OfConsumer), 1 => Just(Epoch::Earlier)];
    let seq = || 0..CHANGES;
    prop_oneof![
        3 => (0..3_u8, 0..3_u64).prop_map(|(query, next_seq)| Edit::Create { query, next_seq }),
        1 => etag().prop_map(|etag| Edit::Delete { etag }),
        3 => Just(Edit::Attach),
        2 => Just(Edit::Detach),
        4 => (1..=CHANGES).prop_map(Edit::Deliver),
        3 => (epoch(), 0..=CHANGES).prop_map(|(epoch, next_seq)| Edit::Acknowledge { epoch, next_seq }),
        3 => (seq(), prop::option::of(0..3_u8), etag())
            .prop_map(|(next_seq, request, etag)| Edit::Seek { next_seq, request, etag }),
        3 => (0..3_u8, etag()).prop_map(|(query, etag)| Edit::Update { query, etag }),
        6 => (epoch(), seq(), 1..3_u32).prop_map(|(epoch, seq, attempts)| Edit::Park { epoch, seq, attempts }),
        2 => prop::collection::vec(seq(), 1..4).prop_map(|seqs| Edit::Resolve { seqs }),
        1 => Just(Edit::Restart),
    ]
}

/// All changes, those of one source, or those of the other.
fn query(number: u8) -> FeedQuery {
    let sources = if number == 0 { Vec::new() } else { vec![support::source(number - 1)] };
    let kinds = ChangeKinds::of([ChangeKind::Created]);
    FeedQuery { filter: ArticleFilter { sources, ..ArticleFilter::default() }, kinds }
}

fn delivers(query: u8, seq: u64) -> bool {
    query == 0 || seq % 2 == u64::from(query - 1)
}

/// The digest of a request to create it.
fn creation(query: u8, next_seq: u64) -> RequestDigest {
    RequestDigest([query * 16 + u8::try_from(next_seq).unwrap(); 16])
}

/// What a plain reading of the contract says about the subscription.
#[derive(Clone, Debug, PartialEq)]
struct Expected {
    query: u8,
    created: (u8, u64),
    next_seq: u64,
    /// Rises with everything that changes the etag.
    version: u32,
    moves: Vec<(u8, u64)>,
    parked: BTreeMap<u64, u32>,
}

#[derive(Default)]
struct Model {
    subscription: Option<Expected>,
    /// The last consumer since the start: its version, what it received, and whether it is attached.
    consumer: Option<(u32, u64, bool)>,
    versions: u32,
}

impl Model {
    fn next_version(&mut self) -> u32 {
        self.versions += 1;
        self.versions
    }

    /// Applies an edit, and returns the reason of its error. `seek` is the request of a move, if it has an id.
    fn apply(&mut self, edit: &Edit) -> Result<(), &'static str> {
        let version = self.next_version();
        if let Edit::Create { query, next_seq } = edit {
            return match &self.subscription {
                Some(there) if there.created == (*query, *next_seq) => Ok(()),
                Some(_) => Err("exists"),
                None => {
                    let (query, next_seq, created) = (*query, *next_seq, (*query, *next_seq));
                    let (moves, parked) = (Vec::new(), BTreeMap::new());
                    self.subscription = Some(Expected { query, created, next_seq, version, moves, parked });
                    Ok(())
                }
            };
        }
        if let Edit::Restart = edit {
            self.consumer = None;
            return Ok(());
        }
        let attached = self.consumer.is_some_and(|(.., attached)| attached);
        let Some(there) = &mut self.subscription else { return Err("unknown") };
        let stale = |etag: &Etag| matches!(etag, Etag::Stale);
        // The epoch, and what was delivered under it, if it is current.
        let current = |epoch: &Epoch, there: &Expected| match (epoch, self.consumer) {
            (Epoch::OfConsumer, Some((version, delivered, _))) if version == there.version => Ok(delivered),
            _ => Err("fenced"),
        };
        match edit {
            Edit::Create { .. } | Edit::Restart => unreachable!(),
            Edit::Delete { etag } if stale(etag) => return Err("changed"),
            Edit::Delete { .. } if attached => return Err("in use"),
            Edit::Delete { .. } => (self.subscription, self.consumer) = (None, None),
            Edit::Attach => {
                there.version = version;
                self.consumer = Some((version, there.next_seq, true));
            }
            Edit::Detach => {
                if let Some((.., attached)) = &mut self.consumer {
                    *attached = false;
                }
            }
            Edit::Deliver(next_seq) => {
                if let Some((_, delivered, true)) = &mut self.consumer {
                    *delivered = (*delivered).max(*next_seq);
                }
            }
            Edit::Acknowledge { epoch, next_seq } => {
                if *next_seq > current(epoch, there)? {
                    return Err("beyond");
                }
                there.next_seq = there.next_seq.max(*next_seq);
            }
            Edit::Seek { next_seq, request, etag } => {
                if let Some((_, earlier)) = there.moves.iter().find(|(id, _)| Some(*id) == *request) {
                    return if earlier == next_seq { Ok(()) } else { Err("reused") };
                }
                match () {
                    () if stale(etag) => return Err("changed"),
                    () if attached => return Err("in use"),
                    () => {}
                }
                there.moves.extend(request.map(|request| (request, *next_seq)));
                (there.next_seq, there.version) = (*next_seq, version);
            }
            Edit::Update { query, .. } if *query == there.query => {}
            Edit::Update { etag, .. } if stale(etag) => return Err("changed"),
            Edit::Update { .. } if attached => return Err("in use"),
            Edit::Update { query, .. } => (there.query, there.version) = (*query, version),
            Edit::Park { epoch, seq, attempts } => {
                let delivered = current(epoch, there)?;
                if !delivers(there.query, *seq) {
                    return Err("not delivered");
                }
                if *seq >= delivered {
                    return Err("beyond");
                }
                there.parked.insert(*seq, *attempts);
            }
            Edit::Resolve { seqs } => there.parked.retain(|seq, _| !seqs.contains(seq)),
        }
        Ok(())
    }
}

/// The archive, and what a client remembers of it.
struct Real {
    engine: Arc<MemoryEngine>,
    archive: Archive,
    attachment: Option<Attachment>,
    /// The last two etags, the newer one first.
    etags: [String; 2],
}

fn id() -> SubscriptionId {
    SubscriptionId::parse("index").unwrap()
}

fn open(engine: &Arc<MemoryEngine>) -> Archive {
    let clock = Arc::new(ManualClock::new(support::now()));
    Archive::over(Arc::clone(engine) as _, &Options::default(), clock).unwrap()
}

impl Real {
    async fn new() -> Self {
        let engine = Arc::new(MemoryEngine::new());
        let archive = open(&engine);
        for number in 0..CHANGES {
            let number = u8::try_from(number).unwrap();
            let name = support::named(number % 2, &format!("article-{number}"));
            let operation = support::observe(&name, support::at(number.into()), Text(number));
            archive.write(vec![operation], WriteMode::Commit).await.unwrap();
        }
        Self { engine, archive, attachment: None, etags: Default::default() }
    }

    /// The present epoch, or another one. A subscription that does not exist has none.
    async fn epoch(&self, epoch: Epoch) -> u64 {
        let present = self.archive.subscription(id()).await.map_or(1, |at| at.record.epoch);
        match epoch {
            Epoch::OfConsumer => present,
            Epoch::Earlier => present - 1,
        }
    }

    fn etag(&self, etag: Etag) -> Option<String> {
        match etag {
            Etag::Any => None,
            Etag::Present => Some(self.etags[0].clone()),
            Etag::Stale => Some(self.etags[1].clone()),
        }
    }

    async fn apply(&mut self, edit: &Edit) -> Result<(), ArchiveError> {
        let done = self.edit(edit).await;
        if let Ok(at) = self.archive.subscription(id()).await {
            let etag = at.record.etag();
            if etag != self.etags[0] {
                self.etags = [etag, std::mem::take(&mut self.etags[0])];
            }
        }
        done
    }

    async fn edit(&mut self, edit: &Edit) -> Result<(), ArchiveError> {
        match edit.clone() {
            Edit::Create { query: number, next_seq } => {
                let digest = creation(number, next_seq);
                self.archive.create_subscription(id(), query(number), Seq(next_seq), digest).await.map(drop)
            }
            Edit::Delete { etag } => self.archive.delete_subscription(id(), self.etag(etag)).await,
            Edit::Attach => {
                // A newer consumer fences off an older one, which then leaves.
                let attachment = self.archive.attach_subscription(id(), String::new(), None).await?;
                self.attachment = Some(attachment);
                Ok(())
            }
            Edit::Detach => {
                self.attachment = None;
                self.archive.subscription(id()).await.map(drop)
            }
            Edit::Deliver(next_seq) => {
                if let Some(attachment) = &self.attachment {
                    attachment.deliver(Seq(next_seq));
                }
                self.archive.subscription(id()).await.map(drop)
            }
            Edit::Acknowledge { epoch, next_seq } => {
                let epoch = self.epoch(epoch).await;
                self.archive.acknowledge_subscription(id(), epoch, Seq(next_seq)).await.map(drop)
            }
            Edit::Seek { next_seq, request, etag } => {
                let request = request.map(|number| support::request(number.into(), &next_seq.to_string()));
                let condition = EditCondition { request, etag: self.etag(etag), within: None };
                self.archive.seek_subscription(id(), Seq(next_seq), condition).await.map(drop)
            }
            Edit::Update { query: number, etag } => {
                let update = SubscriptionUpdate { filter: Some(query(number).filter), ..SubscriptionUpdate::default() };
                self.archive.update_subscription(id(), update, self.etag(etag)).await.map(drop)
            }
            Edit::Park { epoch, seq, attempts } => {
                let epoch = self.epoch(epoch).await;
                let request = ParkRequest { epoch, seq: Seq(seq), reason: "no".to_owned(), attempts };
                self.archive.park_change(id(), request, parking_plan()).await.map(drop)
            }
            Edit::Resolve { seqs } => {
                self.archive.resolve_parked(id(), seqs.into_iter().map(Seq).collect()).await.map(drop)
            }
            Edit::Restart => {
                self.attachment = None;
                self.archive.close().await;
                self.archive = open(&self.engine);
                Ok(())
            }
        }
    }
}

fn reason(error: &ArchiveError) -> &'static str {
    let ArchiveError::Subscription(error) = error else { panic!("{error}") };
    match error {
        SubscriptionError::Unknown(_) => "unknown",
        SubscriptionError::Exists(_) => "exists",
        SubscriptionError::Changed { .. } => "changed",
        SubscriptionError::InUse { .. } => "in use",
        SubscriptionError::ConsumerFenced { .. } => "fenced",
        SubscriptionError::BeyondDelivered { .. } => "beyond",
        SubscriptionError::NotDelivered { .. } => "not delivered",
        SubscriptionError::RequestIdReused { .. } => "reused",
        SubscriptionError::Restored { .. }
        | SubscriptionError::TooMany
        | SubscriptionError::TooManyParked { .. }
        | SubscriptionError::HasWebhook(_)
        | SubscriptionError::NoWebhook(_)
        | SubscriptionError::TooManyWebhooks => {
            panic!("{error}")
        }
    }
}

/// The parts of a subscription that the model knows.
fn known(at: &SubscriptionAt) -> (FeedQuery, u64, BTreeMap<u64, u32>) {
    let parked = at.record.parked.iter().map(|(seq, parked)| (seq.0, parked.attempts)).collect();
    (at.record.query.clone(), at.record.next_seq.0, parked)
}

async fn assert_as_expected(real: &Real, model: &Model) {
    let found = real.archive.subscription(id()).await.ok();
    let expected = model.subscription.as_ref();
    let expected = expected.map(|there| (query(there.query), there.next_seq, there.parked.clone()));
    assert_eq!(found.as_ref().map(known), expected);
}

/// Whether the contract lets a client send the edit again after a lost reply. A move needs a request id, and the
/// attached consumer changes with each attachment.
fn can_be_sent_again(edit: &Edit) -> bool {
    match edit {
        Edit::Create { .. }
        | Edit::Update { .. }
        | Edit::Resolve { .. }
        | Edit::Park { .. }
        | Edit::Acknowledge { .. }
        | Edit::Seek { request: Some(_), .. } => true,
        Edit::Seek { request: None, .. }
        | Edit::Delete { .. }
        | Edit::Attach
        | Edit::Detach
        | Edit::Deliver(_)
        | Edit::Restart => false,
    }
}

fn gives_stale_etag(edit: &Edit) -> bool {
    match edit {
        Edit::Delete { etag } | Edit::Update { etag, .. } | Edit::Seek { etag, .. } => matches!(etag, Etag::Stale),
        Edit::Create { .. }
        | Edit::Attach
        | Edit::Detach
        | Edit::Deliver(_)
        | Edit::Acknowledge { .. }
        | Edit::Park { .. }
        | Edit::Resolve { .. }
        | Edit::Restart => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]
    #[test]
    fn edits_are_carried_out_once_however_often_they_are_sent(
        edits in prop::collection::vec((edit(), any::<bool>()), 1..40),
    ) {
        block_on(async {
            let (mut real, mut model) = (Real::new().await, Model::default());
            for (edit, reply_is_lost) in &edits {
                // An etag that was never there, or that there is only one of, is not stale.
                if real.etags[1].is_empty() && gives_stale_etag(edit) {
                    continue;
                }
                let expected = model.apply(edit);
                let done = real.apply(edit).await;
                assert_eq!(done.as_ref().map_err(reason).copied(), expected, "{edit:?} of {edits:?}");
                assert_as_expected(&real, &model).await;
                if *reply_is_lost && done.is_ok() && can_be_sent_again(edit) {
                    let before = real.archive.subscription(id()).await.unwrap().record;
                    // The same request: its etag is still the one from before.
                    let mut again = edit.clone();
                    if let Edit::Seek { etag, .. } | Edit::Update { etag, .. } = &mut again
                        && matches!(etag, Etag::Present)
                    {
                        *etag = Etag::Stale;
                    }
                    real.apply(&again).await.unwrap();
                    assert_eq!(real.archive.subscription(id()).await.unwrap().record, before, "{edit:?} came again");
                }
            }
            real.apply(&Edit::Restart).await.unwrap();
            assert_as_expected(&real, &model).await;
            let (summary, findings) = verified(&real.archive).await;
            assert_eq!((summary.findings, findings), (0, Vec::new()));
        });
    }
}
