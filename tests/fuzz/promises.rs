//! What each of our parsers promises for arbitrary bytes, besides ending without a panic.
//!
//! The fuzz targets search for inputs that break a promise; `tests/it/corpus.rs` checks the promises on the inputs that
//! were kept. Both use the functions below, so that they check the same.

#![allow(dead_code, reason = "a fuzz target uses one of these, and the tests use all of them")]

use std::collections::BTreeSet;
use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dateline::internals::access::{Rules, TokenDigest, bearer_token};
use dateline::internals::evidence::Evidence;
use dateline::internals::fetch::Rules as RobotsRules;
use dateline::internals::ingest::{self, Document, Format, IngestError, Options, times, wacz, warc};
use dateline::internals::proof::TimeStamp;
use dateline::internals::proof::{ProofFile, TimestampRequest, VerifierKey};
use dateline::internals::server::connect_conversions::{
    json_of_proto, message_of_get, message_of_stream, proto_of_json,
};
use dateline::internals::wire::json::{from_json, to_json};
use dateline::internals::wire::json_lines::Lines;
use dateline::internals::wire::request::{Bounds, read_request};
use dateline::internals::wire::{self, FieldErrorKind, content_to_pb, pb};
use dateline::model::{ClaimedTime, Content, Limits, SourceId, UrlKey};
use jiff::civil::{Date, date};
use url::Url;

/// Panics of dom_smoothie are caught where a page is read. libFuzzer would report them as findings before that.
pub(crate) fn pass_over_known_panics() {
    let found = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_none_or(|place| !place.file().contains("/dom_smoothie-")) {
            found(panic);
        }
    }));
}

const SEEN_ON: Date = date(2025, 11, 8);
const ADDRESS: &str = "https://news.example.org/2025/11/bridge?id=7";

pub(crate) fn news_text(input: &[u8]) {
    document(Format::NewsText, input);
}

/// Given a name for its headline, any text is a valid document.
pub(crate) fn markdown(input: &[u8]) {
    document(Format::Markdown, input);
    let named = Options { untitled: Some("bridge".to_owned()), ..options(Some(Format::Markdown)) };
    let is_text = std::str::from_utf8(input).is_ok_and(|text| !text.contains('\0') && !text.trim().is_empty());
    match ingest::read(input, &named) {
        Ok(document) => is_archivable(&document),
        Err(IngestError::Binary { .. } | IngestError::NotUtf8 { .. } | IngestError::Empty) => {}
        Err(error) => assert!(!is_text, "{error}"),
    }
}

pub(crate) fn html(input: &[u8]) {
    document(Format::Html, input);
}

pub(crate) fn news_article(input: &[u8]) {
    document(Format::NewsArticle, input);
}

pub(crate) fn ninjs(input: &[u8]) {
    document(Format::Ninjs, input);
}

/// A document is read in the detected format, or not at all.
pub(crate) fn detect(input: &[u8]) {
    let read = ingest::read(input, &options(None));
    match ingest::detect(input) {
        Ok(format) => assert_eq!(read, ingest::read(input, &options(Some(format)))),
        Err(error) => assert_eq!(read, Err(error)),
    }
}

/// Our own JSON: a message that was read can be written, and reads back equal.
pub(crate) fn json(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(content) = from_json::<pb::Content>(text) {
        assert_eq!(from_json::<pb::Content>(&to_json(&content)).as_ref().ok(), Some(&content));
    }
    if let Ok(request) = from_json::<pb::RecordObservationRequest>(text) {
        assert_eq!(from_json::<pb::RecordObservationRequest>(&to_json(&request)).as_ref().ok(), Some(&request));
    }
}

/// A line is a request that can be written as a line again, or it is rejected; blank lines are skipped.
pub(crate) fn json_lines(input: &[u8]) {
    let mut lines = Lines::new(input);
    let (mut last, mut bytes) = (0, 0);
    while let Some(line) = lines.next_line().expect("bytes in memory can be read") {
        assert!(line.number > last, "lines come in order");
        (last, bytes) = (line.number, bytes + line.bytes);
        if let Ok(request) = line.request() {
            let again = to_json(&request);
            assert!(!again.contains('\n'), "a request is one line");
            let mut again = Lines::new(again.as_bytes());
            let again = again.next_line().ok().flatten().and_then(|line| line.request().ok());
            assert_eq!(again.as_ref(), Some(&request));
        }
    }
    assert!(bytes <= input.len());
}

/// Reading a web archive ends, whatever is in it, and returns the records in file order.
pub(crate) fn warc(input: &[u8]) {
    let places = records(warc::Reader::new(Cursor::new(input)).expect("bytes in memory can be read"));
    assert!(places.is_sorted() && places.last().is_none_or(|last| *last <= input.len() as u64), "{places:?}");
    records(warc::Reader::new(Once(input)).expect("bytes in memory can be read"));
}

/// A web archive in a WACZ that was found to be as its data package says is read twice alike, and its records end.
pub(crate) fn wacz(input: &[u8]) {
    let Ok(opened) = wacz::Wacz::open(input, input.len() as u64) else { return };
    for archive in opened.warcs() {
        let read = || {
            let mut bytes = Vec::new();
            // Some bytes may stand for very many.
            let read = opened.read(archive).map(|from| from.take(1 << 24).read_to_end(&mut bytes));
            matches!(read, Ok(Ok(_))).then_some(bytes)
        };
        if read().is_none_or(|bytes| bytes.len() >= 1 << 24) {
            continue;
        }
        assert_eq!(read(), read());
        if opened.check(archive).is_ok()
            && let Ok(bytes) = opened.read(archive)
        {
            records(warc::Reader::new(bytes).expect("bytes in memory can be read"));
        }
    }
}

/// The offsets of all records. libFuzzer's inputs are too small for `RECORDS_MAX` records, so more would mean an
/// endless loop.
fn records<R: BufRead + Seek>(mut reader: warc::Reader<R>) -> Vec<u64> {
    const RECORDS_MAX: usize = 1 << 16;
    let mut places = Vec::new();
    while let Some(record) = reader.next_record().expect("bytes in memory can be read") {
        assert!(places.len() < RECORDS_MAX, "the number of records is bounded");
        places.push(record.offset);
        if let warc::RecordContent::Page(page) = record.found {
            assert!(page.body.len() <= ingest::DOCUMENT_BYTES_MAX + (64 << 10) && page.url.starts_with("http"));
        }
    }
    places
}

/// A source that cannot seek, such as a pipe.
struct Once<'a>(&'a [u8]);

impl Read for Once<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl BufRead for Once<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.0)
    }

    fn consume(&mut self, bytes: usize) {
        self.0.consume(bytes);
    }
}

impl Seek for Once<'_> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(crate) fn feed(input: &[u8]) {
    let Ok(feed) = ingest::feed::read(input, &options(None)) else { return };
    let again = ingest::feed::read(input, &options(None)).expect("a feed that was read once can be read again");
    assert_eq!(feed.len(), again.len());
    for (entry, again) in feed.iter().zip(&again) {
        assert_eq!((&entry.id, &entry.url, entry.fingerprint), (&again.id, &again.url, again.fingerprint));
        assert_eq!(entry.document, again.document);
        if let Ok(document) = &entry.document {
            is_archivable(document);
        }
    }
}

pub(crate) fn times(input: &[u8]) {
    let Ok(words) = std::str::from_utf8(input) else { return };
    let absolute = times::claimed_time(words, None, "body");
    let relative = times::claimed_time(words, Some(SEEN_ON), "body");
    if let Some(claim) = &absolute {
        assert!(!claim.relative, "without a reference date there are no relative times");
        assert_eq!(Some(claim), relative.as_ref(), "a reference date does not change an absolute time");
    }
    for claim in absolute.iter().chain(&relative).chain(&times::leading_date(words, "body")) {
        is_a_claim(claim, words);
    }
    let published = absolute.as_ref().or(relative.as_ref());
    if let Some(claim) = times::claimed_change(words, Some(SEEN_ON), published, "body") {
        is_a_claim(&claim, words);
    }
    let (_, _) = (times::has_unplaced_clock(words), times::is_weekday(words));
    if let Some(date) = times::page_date(words) {
        assert!(!times::describe_date(date).is_empty());
    }
}

/// The first line of the input is a path, and the rest is a robots.txt.
pub(crate) fn robots(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (path, file) = input.split_at(end);
    let path = format!("/{}", String::from_utf8_lossy(path));
    let file = file.get(1..).unwrap_or_default();
    let rules = RobotsRules::read(file, "dateline");
    if let Some(rule) = rules.keeps_out(&path) {
        let text = String::from_utf8_lossy(file);
        assert!(text.contains(&rule.text), "a rejection quotes the rule as written");
        assert!(rule.line >= 1 && rule.line <= 1 + text.matches(['\n', '\r']).count());
    }
    assert!(rules.keeps_out("/robots.txt").is_none(), "robots.txt itself is always allowed");
    assert!(RobotsRules::read(b"", "dateline").keeps_out(&path).is_none(), "what is not disallowed is allowed");
}

/// A proof file is read or rejected, and what was read is written in one way, whatever the way in which the JSON in it was.
/// No key of ours signed it, so it proves nothing.
pub(crate) fn proof(input: &[u8]) {
    // Only the reply to a request has its nonce, which is drawn.
    assert!(TimestampRequest::new(b"").unwrap().check(input).is_err());
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(file) = text.parse::<ProofFile>() else { return };
    let written = file.to_string();
    assert_eq!(written.parse::<ProofFile>().unwrap().to_string(), written);
    assert!(file.check(&foreign_key()).is_err());
}

/// What is read as evidence is written again as the same bytes. No key of ours signed it, so it proves nothing.
pub(crate) fn evidence(input: &[u8]) {
    if let Ok(evidence) = Evidence::read(input) {
        assert_eq!(evidence.write().unwrap(), input);
        assert!(evidence.check(&foreign_key()).is_err());
    }
    if let Ok(stamp) = TimeStamp::read(input) {
        assert!(!stamp.is_of(input));
    }
}

/// Rules are read or refused with a line of theirs, and what was read is what one may mean.
pub(crate) fn access_rules(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Rules::parse(text) {
        Err(error) => assert!((1..=1 + text.matches('\n').count()).contains(&error.line), "{error}"),
        Ok(rules) => {
            let names: BTreeSet<_> = rules.principals().iter().map(|principal| principal.name.clone()).collect();
            assert_eq!(names.len(), rules.principals().len(), "names are unique");
            assert!(names.iter().all(|name| name.as_str() != "owner"), "the owner needs no rules");
            // A comment and a principal at the end change nothing else.
            let more = format!("{text}\n# more\n[[principal]]\nname = \"no-one-else-has-this-name\"\n");
            if let Ok(more) = Rules::parse(&more) {
                assert_eq!(more.principals().split_last().unwrap().1, rules.principals());
            }
        }
    }
}

/// The value of an `Authorization` header is a token or it is not, and no value but the right one is anybody's.
pub(crate) fn authorization(input: &[u8]) {
    const TOKEN: &str = "dln_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh846dd794e";
    let Some(token) = bearer_token(input) else { return };
    assert!(std::str::from_utf8(input).unwrap().trim_end().ends_with(token), "it is the end of the value");
    if let Some(digest) = TokenDigest::of(token) {
        assert!(token.is_ascii() && token.len() == TOKEN.len() && token.starts_with("dln_"));
        assert_eq!(TokenDigest::parse(&digest.to_string()), Some(digest));
        assert_eq!(TokenDigest::of(TOKEN) == Some(digest), token == TOKEN);
    }
}

/// A verifier key of all zeros, which signs nothing.
fn foreign_key() -> VerifierKey {
    "fuzz.example+330798bc+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".parse().unwrap()
}

pub(crate) fn url_key(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(key) = UrlKey::of(text) else { return };
    let back = key.to_url();
    assert_eq!(UrlKey::of(&back).ok().as_ref(), Some(&key), "the URL {back:?} of a key gives the same key");
    assert!(key.starts_with(&UrlKey::prefix_of(text).expect("a URL is a prefix")), "a URL has its own prefix");
}

/// The name of a request in the contract, and the function that reads bytes as that request.
pub(crate) type ReadsRequest = (&'static str, fn(Bytes));

macro_rules! requests {
    ($($request:ident)*) => {
        /// Every request of the contract. New ones come last: the corpus selects a request by its place.
        pub(crate) const REQUESTS: &[ReadsRequest] = &[$((stringify!($request), request::<pb::$request>)),*];
    };
}

requests! {
    AcknowledgeSubscriptionRequest BatchGetArticlesRequest BatchRecordObservationsRequest CreateSubscriptionRequest
    DeleteSubscriptionRequest DiffRevisionsRequest GetArticleRequest GetRevisionRequest GetStatusRequest
    GetSubscriptionRequest ImportObservationsRequest LabelArticleRequest ListArticlesRequest ListChangesRequest
    ListRevisionsRequest ListSourcesRequest ListSubscriptionsRequest LookupArticleRequest ReadOriginalRequest
    RecordObservationRequest ReinstateArticleRequest RollbackArticleRequest SeekSubscriptionRequest
    StreamBackupRequest SubscribeRequest VerifyRequest WithdrawArticleRequest RecordAbsenceRequest MoveUrlRequest
    UpdateSubscriptionRequest ParkChangeRequest ListParkedChangesRequest ResolveParkedChangesRequest
    GetCheckpointRequest GetInclusionProofRequest GetConsistencyProofRequest ListLogKeysRequest
    ExpungeRevisionsRequest
    GetCallerRequest CreateTokenRequest ListTokensRequest RevokeTokenRequest
    TestWebhookRequest RotateWebhookKeyRequest
}

/// Longer messages are rejected by their length alone.
const MESSAGE_BYTES_MAX: usize = 20 << 20;

/// Reads bytes as a request. The first byte selects the request, and the second how often the rest is repeated, so that
/// a small input can reach the limits.
pub(crate) fn requests(input: &[u8]) {
    requests_within(input, |_, read| read());
}

/// What clients of the Connect protocol send: JSON to the method that the first byte selects, the query of a GET to it, and
/// the body of a request for a stream. JSON that is read can be written, and reads back equal. Anything else is rejected
/// as the caller's mistake.
pub(crate) fn connect(input: &[u8]) {
    let Some((which, sent)) = input.split_first() else { return };
    let Some(path) = METHODS.get(usize::from(*which) % METHODS.len()) else { return };
    let rejects = |status: tonic::Status| {
        let codes = [tonic::Code::InvalidArgument, tonic::Code::Unimplemented];
        assert!(codes.contains(&status.code()), "{status}");
    };
    let from_json = |json: &[u8]| match proto_of_json(path, json).expect("it is a method of the contract") {
        Ok(proto) => {
            let written = json_of_proto(path, &proto).expect("it is a method of the contract");
            let written = written.expect("a message that was read can be written");
            let again = proto_of_json(path, &written).and_then(Result::ok);
            assert_eq!(again.as_ref(), Some(&proto), "{}", String::from_utf8_lossy(&written));
        }
        Err(status) => rejects(status),
    };
    from_json(sent);
    match message_of_stream(Bytes::copy_from_slice(sent)) {
        Ok(message) => from_json(&message),
        Err(status) => rejects(status),
    }
    let query = std::str::from_utf8(sent).ok().and_then(|query| format!("{path}?{query}").parse::<http::Uri>().ok());
    match query.as_ref().and_then(message_of_get) {
        Some(Ok(message)) => from_json(&message),
        Some(Err(status)) => rejects(status),
        None => {}
    }
}

/// Methods whose messages have, together, all kinds of fields; two of them can be called by GET.
const METHODS: [&str; 8] = [
    "/dateline.v1.ArchiveService/RecordObservation",
    "/dateline.v1.ArchiveService/GetArticle",
    "/dateline.v1.ArchiveService/ListArticles",
    "/dateline.v1.ArchiveService/BatchRecordObservations",
    "/dateline.v1.ChangeFeedService/Subscribe",
    "/dateline.v1.ChangeFeedService/UpdateSubscription",
    "/dateline.v1.ChangeFeedService/RotateWebhookKey",
    "/dateline.v1.AccessService/CreateToken",
];

/// Like [`requests`]; `within` receives the memory limit in bytes, and runs the read under it.
pub(crate) fn requests_within(input: &[u8], within: impl FnOnce(usize, &mut dyn FnMut())) {
    let [which, doublings, message @ ..] = input else { return };
    let times = (1 << (doublings % 24)).min(MESSAGE_BYTES_MAX / message.len().max(1));
    let message = Bytes::from(message.repeat(times));
    let Some((_, read)) = REQUESTS.get(usize::from(*which) % REQUESTS.len()) else { return };
    within(memory_bytes_max(message.len()), &mut || read(message.clone()));
}

/// The memory limit for reading a message, as stated in docs/RELIABILITY.md.
fn memory_bytes_max(message_bytes: usize) -> usize {
    const MIB: usize = 1 << 20;
    if message_bytes <= 4 << 10 { 4 * MIB } else { message_bytes + 68 * MIB }
}

/// A request that was read can be written, and reads back equal. Anything else is rejected as the caller's mistake.
fn request<R: prost::Message + prost::Name + Default + PartialEq + std::fmt::Debug>(message: Bytes) {
    let bounds = Arc::new(Bounds::new(&Limits::default(), Duration::MAX));
    match read_request::<R>(message, &bounds) {
        Ok(read) => {
            let written = Bytes::from(read.encode_to_vec());
            let again = read_request(written, &bounds).ok();
            assert_eq!(again.as_ref(), Some(&read), "a request is unchanged by a round trip");
        }
        Err(refused) => assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused}"),
    }
}

/// The same bytes always give the same document, and it can be archived.
fn document(format: Format, input: &[u8]) {
    let read = ingest::read(input, &options(Some(format)));
    assert_eq!(read, ingest::read(input, &options(Some(format))), "the same bytes give the same document");
    if let Ok(document) = read {
        is_archivable(&document);
    }
}

fn options(format: Option<Format>) -> Options {
    Options { format, reference_date: Some(SEEN_ON), url: Url::parse(ADDRESS).ok(), ..Options::default() }
}

/// The archive accepts the document, or reports that it is too large.
fn is_archivable(document: &Document) {
    let limits = Limits::default();
    match wire::content(Some(content_to_pb(&document.content)), &limits) {
        Ok(content) => assert_eq!(content, document.content, "a content is unchanged by a round trip"),
        Err(errors) => {
            let are_of_size = errors.listed().iter().all(|error| error.kind == FieldErrorKind::TooLarge);
            assert!(are_of_size, "{errors}");
        }
    }
    is_clean(&document.content);
    if let Some(source) = &document.source {
        assert!(SourceId::parse(source).is_ok(), "{source:?} is a valid source");
    }
    for url in &document.urls {
        assert!(wire::check_url("urls", url, &limits).is_ok(), "{url:?} is a valid URL");
    }
}

/// Headlines, bylines and keywords are not blank.
fn is_clean(content: &Content) {
    assert!(!content.headline.trim().is_empty());
    assert!(content.bylines.iter().all(|byline| !byline.trim().is_empty()), "{:?}", content.bylines);
    assert!(content.keywords.iter().all(|keyword| !keyword.trim().is_empty()), "{:?}", content.keywords);
}

fn is_a_claim(claim: &ClaimedTime, words: &str) {
    assert_eq!(claim.words, words.trim(), "a claimed time keeps the words it was read from");
    assert!(!times::describe(claim).is_empty());
}
