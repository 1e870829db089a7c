//! The contents of the archive under test: random operations of every kind on a few busy articles, long chains of small
//! edits, contents and originals that take several chunks, and durable subscriptions.
//!
//! All of this follows from the seed, and so do the answers of an intact archive. Where it is stored on disk does not:
//! that depends on sled's threads.

use dateline::internals::archive::error::Unavailable;
use dateline::internals::archive::request::{Action, ArticleTarget, Observation, Operation, WriteMode};
use dateline::internals::archive::subscriptions::ParkRequest;
use dateline::internals::archive::{Archive, BatchError};
use dateline::internals::{archive::ArchiveError, clock::ManualClock};
use dateline::model::{
    ArticleName, AsOf, Block, BlockKind, Content, FeedQuery, KnownAt, Original, Seq, SubscriptionId,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::feed::dice::Dice;
use crate::model::asked::operation;
use crate::model::random;
use crate::support;

const SMALL_ARTICLES: u64 = 40;
const LARGE_ARTICLES: u64 = 4;
const SUBSCRIPTIONS: u64 = 5;

/// The writer of an archive.
pub(super) struct Load {
    dice: Dice,
    random: TestRunner,
}

impl Load {
    pub(super) fn new(seed: u64) -> Self {
        let config = Config { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
        Self { dice: Dice::new(seed), random: TestRunner::new(config) }
    }

    /// Carries out step number `step`.
    pub(super) async fn step(&mut self, archive: &Archive, clock: &ManualClock, step: usize) {
        clock.set(support::now().saturating_add_micros(1_000_000 * i64::try_from(step).unwrap()));
        if step % 12 == 5 {
            return self.subscription(archive).await;
        }
        let operations = match self.dice.below(10) {
            0..3 => (0..1 + self.dice.below(3)).map(|_| self.random_operation()).collect(),
            3..5 => vec![self.small_edit("chain".to_owned(), step)],
            5..7 => {
                let number = self.dice.below(SMALL_ARTICLES);
                vec![self.small_edit(format!("small-{number}"), step)]
            }
            _ => vec![self.large(step)],
        };
        match archive.write(operations, WriteMode::Commit).await {
            // Random operations may be rejected; the model's tests check the reasons.
            Ok(_) | Err(BatchError { error: ArchiveError::Missing(_) | ArchiveError::Conflict(_), .. }) => {}
            Err(BatchError { error, .. }) => panic!("step {step}: {error}"),
        }
    }

    /// What comes after the last log entry: a subscription that moved, and a closed time.
    pub(super) async fn end(&mut self, archive: &Archive, clock: &ManualClock) {
        self.subscription(archive).await;
        let now = support::now().saturating_add_micros(86_400_000_000);
        clock.set(now);
        let as_of = AsOf { observe_time: None, known_at: KnownAt::ArchiveTime(now) };
        archive.read_point(as_of, Seq::ZERO).await.unwrap();
        self.subscription(archive).await;
    }

    fn random_operation(&mut self) -> Operation {
        operation(&random::write().new_tree(&mut self.random).unwrap().current(), None)
    }

    /// A content that differs from the article's others in a few words.
    fn small_edit(&mut self, id: String, step: usize) -> Operation {
        let toll = self.dice.below(1_000);
        let mut blocks: Vec<Block> =
            (0..12).map(|block| paragraph(format!("Paragraph {block} stays as it is."))).collect();
        let edited = self.dice.below(12);
        blocks[usize::try_from(edited).unwrap()] = paragraph(format!("The toll is {toll}, step {step}."));
        let content = Content { headline: format!("Toll {toll}"), blocks, ..Content::default() };
        let late = self.dice.percent(25);
        self.observe(&id, content, step, late, None)
    }

    /// A content, an original, or both, that are larger than a chunk and do not compress.
    fn large(&mut self, step: usize) -> Operation {
        let id = format!("large-{}", self.dice.below(LARGE_ARTICLES));
        let content_bytes = if self.dice.percent(40) { 70_000 + self.dice.below(90_000) } else { 200 };
        let letters = self.letters(content_bytes);
        let content =
            Content { headline: format!("Step {step}"), blocks: vec![paragraph(letters)], ..Content::default() };
        let original = self.dice.percent(60).then(|| {
            let bytes = 90_000 + self.dice.below(160_000);
            let data: Vec<u8> = (0..bytes).map(|_| u8::try_from(self.dice.below(256)).unwrap()).collect();
            Original { media_type: "text/html".to_owned(), data: data.into() }
        });
        self.observe(&id, content, step, false, original)
    }

    fn observe(
        &mut self,
        id: &str,
        content: Content,
        step: usize,
        late: bool,
        original: Option<Original>,
    ) -> Operation {
        let step = i64::try_from(step).unwrap();
        let at = if late { 100 + step / 2 } else { 100 + 2 * step };
        let url = u8::try_from(8 + self.dice.below(40)).unwrap();
        let urls = if self.dice.percent(20) { vec![support::url(url)] } else { Vec::new() };
        let mut observation = Observation::new(content, urls);
        observation.original = original;
        let name: ArticleName = support::named(1, id);
        support::operation(ArticleTarget::Named(name), support::at(at), Action::Observe(Box::new(observation)))
    }

    fn letters(&mut self, bytes: u64) -> String {
        let letter = |dice: &mut Dice| match dice.below(64) {
            0..6 => ' ',
            other => char::from(b'A' + u8::try_from(other - 6).unwrap()),
        };
        (0..bytes).map(|_| letter(&mut self.dice)).collect()
    }

    /// Creates a subscription, or attaches to one and acknowledges a part of what it delivers and parks a change, or
    /// deletes it.
    async fn subscription(&mut self, archive: &Archive) {
        let id = SubscriptionId::parse(&format!("consumer-{}", self.dice.below(SUBSCRIPTIONS))).unwrap();
        let tail = archive.tail().next_seq;
        if archive.subscription(id.clone()).await.is_err() {
            archive.create_subscription(id, FeedQuery::default(), Seq::ZERO, support::CREATION).await.unwrap();
        } else if self.dice.percent(15) {
            archive.delete_subscription(id, None).await.unwrap();
        } else {
            let attachment = archive.attach_subscription(id.clone(), "a consumer".to_owned(), None).await.unwrap();
            attachment.deliver(tail);
            let next_seq = Seq(attachment.start.next_seq.0.midpoint(tail.0));
            archive.acknowledge_subscription(id.clone(), attachment.epoch, next_seq).await.unwrap();
            if let Some(seq) = next_seq.previous() {
                let park = ParkRequest { epoch: attachment.epoch, seq, reason: "no".to_owned(), attempts: 1 };
                // A change that the default filter leaves out cannot be parked.
                drop(archive.park_change(id, park, support::parking_plan()).await);
            }
        }
    }
}

/// Records an observation of a new article.
pub(super) async fn write_one_more(archive: &Archive) -> Result<(), String> {
    let content = Content { headline: "One more".to_owned(), ..Content::default() };
    let observation = Observation::new(content, vec![support::url(60)]);
    let target = ArticleTarget::Named(support::named(0, "one-more"));
    let operation = support::operation(target, support::at(50), Action::Observe(Box::new(observation)));
    match archive.write(vec![operation], WriteMode::Commit).await {
        Ok(_) => Ok(()),
        // A damaged archive must not reject it for a reason that an intact one would not have.
        Err(BatchError {
            error: error @ (ArchiveError::Damaged { .. } | ArchiveError::Unavailable(Unavailable::StorageFailed)),
            ..
        }) => Err(error.to_string()),
        Err(BatchError { error, .. }) => Err(format!("refused: {error}")),
    }
}

fn paragraph(text: String) -> Block {
    Block::from(BlockKind::Paragraph { text })
}
