//! Building blocks of tests: names, instants, contents and operations from plain values, and archives to use them on.

use std::sync::Arc;

use dateline::internals::archive::changefeed::{FeedView, PagePlan};
use dateline::internals::archive::request::{Action, ArticleTarget, Observation, Operation, Precondition, Writer};
use dateline::internals::archive::{Archive, Options};
use dateline::internals::clock::ManualClock;
use dateline::internals::store::engine::lock::Holder;
use dateline::model::{
    ArticleName, ArticleUrl, Block, BlockKind, ClaimedTime, Content, Fetch, Original, Precision, RequestDigest,
    RequestId, RevisionNumber, SourceId, Timestamp,
};

use crate::model::plan::Text;

/// Runs a test's future on a runtime of its own.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// 2 November 2025, 00:00 UTC: the origin of the ticks on the observe axis.
const FIRST_TICK: i64 = 1_762_041_600_000_000;

/// An instant on the observe axis. Ticks are microseconds, so there is nothing between two of them.
pub(crate) fn at(tick: i64) -> Timestamp {
    Timestamp::from_micros(FIRST_TICK + tick).unwrap()
}

/// The tick of an instant.
pub(crate) fn tick(at: Timestamp) -> i64 {
    at.micros() - FIRST_TICK
}

/// Where tests begin on the archive axis: a day after the first tick, and not on a whole second.
pub(crate) fn now() -> Timestamp {
    at(86_400_000_000 - 7)
}

/// The source with this number.
pub(crate) fn source(number: u8) -> SourceId {
    SourceId::parse(["gazette", "courier"][usize::from(number % 2)]).unwrap()
}

/// The article with this number: 0 and 2 belong to the gazette, 1 and 3 to the courier.
pub(crate) fn article(number: u8) -> ArticleName {
    named(number, &format!("article-{number}"))
}

/// The article of a source with this id.
pub(crate) fn named(source_number: u8, id: &str) -> ArticleName {
    let article = dateline::model::ArticleId::parse(id).unwrap();
    ArticleName { source: source(source_number), article }
}

/// A URL. The first four numbers are URLs, the next four are other spellings of these, and all others are distinct
/// URLs.
pub(crate) fn url(number: u8) -> ArticleUrl {
    let spelling = match number {
        0..4 | 8.. => format!("https://www.example.com/news/{number}"),
        4..8 => format!("http://WWW.example.com/news/{}?utm_source=mail#top", number - 4),
    };
    ArticleUrl::parse(&spelling).unwrap()
}

/// A content. All of them share most of their words, as revisions do, and differ in fields that lists filter by.
pub(crate) fn content(text: Text) -> Content {
    let number = text.0;
    let dead = [12, 92, 100, 240][usize::from(number % 4)];
    let paragraph = |text: String| Block::from(BlockKind::Paragraph { text });
    let mut blocks = vec![
        paragraph(format!("The flood took {dead} lives, the ministry said.")),
        paragraph("Schools stay shut.".to_owned()),
    ];
    if number % 3 == 1 {
        blocks.swap(0, 1);
    }
    Content {
        headline: format!("Flood takes {dead} lives ({number})"),
        section: "World".to_owned(),
        language: ["en-GB", "en", "de"][usize::from(number % 3)].to_owned(),
        canonical_url: if number == 1 { url(0).original } else { String::new() },
        publish_time: (number == 2).then(|| ClaimedTime {
            time: at(-10),
            precision: Precision::Instant,
            words: String::new(),
            found_in: String::new(),
            relative: false,
        }),
        blocks,
        ..Content::default()
    }
}

/// The number of different labels.
pub(crate) const LABELS: u8 = 4;
/// How many labels an article may have in tests on an archive without a server.
pub(crate) const LABELS_MAX: usize = 3;

/// The labels with these numbers, sorted if the numbers are.
pub(crate) fn labels(numbers: &[u8]) -> Vec<String> {
    let label = |number: &u8| ["draft", "flood", "river", "été"][usize::from(number % LABELS)].to_owned();
    numbers.iter().map(label).collect()
}

/// An original: the bytes of a page.
pub(crate) fn original(number: u8) -> Original {
    let page = format!("<html><title>{number}</title></html>").repeat(usize::from(number) + 1);
    Original { media_type: "text/html".to_owned(), data: page.into() }
}

/// The HTTP facts of a fetch. Number 0 is from a server that sends no validators.
pub(crate) fn fetch(number: u8) -> Fetch {
    let told = |text: String| if number == 0 { String::new() } else { text };
    Fetch {
        url: format!("https://www.example.com/fetched/{number}"),
        etag: told(format!("W/\"{number}-é\"")),
        last_modified: told(format!("Sun, 02 Nov 2025 00:00:0{number} GMT")),
    }
}

/// An operation without precondition or request id.
pub(crate) fn operation(target: ArticleTarget, observe_time: Timestamp, action: Action) -> Operation {
    Operation { target, observe_time, precondition: None, request: None, by: Writer::default(), action }
}

/// An operation that observes one of the test contents.
pub(crate) fn observe(name: &ArticleName, observe_time: Timestamp, text: Text) -> Operation {
    let content = content(text);
    let urls = canonical_url(&content).into_iter().collect();
    operation(
        ArticleTarget::Named(name.clone()),
        observe_time,
        Action::Observe(Box::new(Observation::new(content, urls))),
    )
}

/// The canonical URL of a content.
pub(crate) fn canonical_url(content: &Content) -> Option<ArticleUrl> {
    (!content.canonical_url.is_empty()).then(|| ArticleUrl::parse(&content.canonical_url).unwrap())
}

/// A request id, and the digest of a request that these words identify.
pub(crate) fn request(number: u32, words: &str) -> (RequestId, RequestDigest) {
    (RequestId::parse(&format!("request-{number}")).unwrap(), RequestDigest::of(&[words.as_bytes()]))
}

/// A revision number.
/// The digest of a request that creates a durable subscription. All calls with it count as one request.
pub(crate) const CREATION: RequestDigest = RequestDigest([1; 16]);

/// How a consumer receives the changes that it parks. What matters here is only that they match.
pub(crate) fn parking_plan() -> PagePlan {
    PagePlan {
        query: Arc::default(),
        view: FeedView::Basic,
        render: |_, _| {},
        changes_max: 1,
        bytes_max: 1,
        examined_max: 1,
    }
}

pub(crate) fn number(number: u32) -> RevisionNumber {
    RevisionNumber::new(number).unwrap()
}

/// A precondition on the number of the newest revision.
pub(crate) fn at_revision(revision: u32) -> Precondition {
    Precondition::Revision(number(revision))
}

/// Opens or creates an archive in a directory.
pub(crate) fn open_directory(path: &std::path::Path, options: &Options, clock: &Arc<ManualClock>) -> Archive {
    let clock: Arc<dyn dateline::internals::clock::Clock> = Arc::clone(clock) as _;
    Archive::open_or_create(path, options, clock, holder()).unwrap().0
}

/// The lock holder that tests register.
pub(crate) fn holder() -> Holder {
    Holder { pid: std::process::id(), command: "test".to_owned(), since: now().to_string() }
}
