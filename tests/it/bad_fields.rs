//! Every bad field of a request is reported, not just the first.

use dateline::internals::client::{Client, ServerError};
use dateline::internals::wire::{pb, status_from_pb};
use pb::feed_start::Position;
use pb::import_observations_response::Result as ImportResult;
use prost_types::{Duration, Timestamp};
use tonic::{Code, Status};

use crate::server::{at, content, fresh, name, publish};

/// An instant before the range of timestamps.
const NEVER: Option<Timestamp> = Some(Timestamp { seconds: i64::MIN, nanos: 0 });

/// The fields that an error names, in order.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, reason: &str) -> (Vec<String>, ServerError) {
    let error = ServerError::from(answer.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (Code::InvalidArgument, reason), "{}", error.message);
    let fields: Vec<_> = error.field_violations.iter().map(|bad| bad.field.clone()).collect();
    assert!(error.message.starts_with(&format!("{}: ", fields[0])), "{}", error.message);
    (fields, error)
}

fn bad_as_of() -> Option<pb::AsOf> {
    let known_at = Some(pb::as_of::KnownAt::ArchiveTime(NEVER.unwrap()));
    Some(pb::AsOf { observe_time: NEVER, log_digest: vec![1], known_at })
}

const AS_OF: [&str; 3] = ["as_of.observe_time", "as_of.archive_time", "as_of.log_digest"];

/// `first`, then the fields of `AS_OF`, then `last`.
fn bad(first: &[&'static str], last: &[&'static str]) -> Vec<&'static str> {
    first.iter().chain(&AS_OF).chain(last).copied().collect()
}

/// A filter in which each field is wrong.
fn bad_filter() -> Option<pb::ArticleFilter> {
    let reversed = Some(pb::TimeRange { start_time: Some(at(2)), end_time: Some(at(1)) });
    Some(pb::ArticleFilter {
        sources: vec!["sources/a".into(), "a".into(), "b".into()],
        articles: vec![String::new()],
        states: vec![1, 9],
        languages: vec!["de".into(); 101],
        labels: vec!["x".into(); 101],
        url_prefix: "mailto:x".into(),
        observe_time: reversed,
        publish_time: Some(pb::TimeRange { start_time: NEVER, end_time: NEVER }),
        changed_parts: vec![1, 0, 99],
    })
}

const FILTER: [&str; 12] = [
    "filter.languages",
    "filter.labels",
    "filter.sources[1]",
    "filter.sources[2]",
    "filter.articles[0]",
    "filter.states[1]",
    "filter.url_prefix",
    "filter.observe_time",
    "filter.publish_time.start_time",
    "filter.publish_time.end_time",
    "filter.changed_parts[1]",
    "filter.changed_parts[2]",
];

/// The fields of `FILTER`, then `others`.
fn filter_and(others: &[&str]) -> Vec<String> {
    FILTER.iter().chain(others).map(|field| (*field).to_owned()).collect()
}

/// An observation in which each part is wrong.
fn bad_publication() -> pb::RecordObservationRequest {
    let claim = || Some(pb::ClaimedTime { time: None, precision: 9, ..pb::ClaimedTime::default() });
    let text = Some(pb::block::Kind::Paragraph(pb::Paragraph { text: "text".into() }));
    let blocks = vec![
        pb::Block { kind: None, confidence_percent: 101 },
        pb::Block { kind: text.clone(), confidence_percent: 0 },
        pb::Block { kind: text, confidence_percent: 101 },
    ];
    pb::RecordObservationRequest {
        parent: "courier".into(),
        article_id: "no spaces".into(),
        observe_time: NEVER,
        content: Some(pb::Content {
            headline: " ".into(),
            language: "not a tag".into(),
            canonical_url: "ftp://x".into(),
            publish_time: claim(),
            modify_time: claim(),
            blocks,
            ..content("H", "t")
        }),
        urls: vec!["nonsense".into(), "https://courier.example/a".into(), "mailto:x".into()],
        original: Some(pb::Original { media_type: "x".repeat(129), ..pb::Original::default() }),
        coalesce_within: Some(Duration { seconds: 315_576_000_001, nanos: 0 }),
        precondition: Some(pb::Precondition { condition: Some(pb::precondition::Condition::MustNotExist(false)) }),
        request_id: "a b".into(),
        fetch: Some(pb::Fetch { url: String::new(), etag: "\n".into(), last_modified: "\n".into() }),
        labels: vec![String::new(), "fine".into(), "\u{1b}".into()],
        validate_only: false,
    }
}

const PUBLICATION: [&str; 25] = [
    "parent",
    "article_id",
    "content.headline",
    "content.canonical_url",
    "content.language",
    "content.publish_time.time",
    "content.publish_time.precision",
    "content.modify_time.time",
    "content.modify_time.precision",
    "content.blocks[0]",
    "content.blocks[0].confidence_percent",
    "content.blocks[2].confidence_percent",
    "urls[0]",
    "urls[2]",
    "observe_time",
    "original.data",
    "original.media_type",
    "coalesce_within",
    "precondition.must_not_exist",
    "request_id",
    "fetch.url",
    "fetch.etag",
    "fetch.last_modified",
    "labels[0]",
    "labels[2]",
];

#[tokio::test]
async fn each_bad_field_of_a_write_is_reported() {
    let (_directory, server, mut client) = fresh().await;
    let (fields, error) = refused(client.archive.record_observation(bad_publication()).await, "FIELD_INVALID");
    assert_eq!(fields, PUBLICATION);
    assert_eq!(error.metadata["field"], "parent");
    assert!(error.message.ends_with("(and 24 more fields are wrong)"), "{}", error.message);

    let rollback = pb::RollbackArticleRequest {
        name: "a".into(),
        revision_number: 0,
        observe_time: NEVER,
        request_id: " ".into(),
        ..pb::RollbackArticleRequest::default()
    };
    let (fields, _) = refused(client.archive.rollback_article(rollback).await, "FIELD_INVALID");
    assert_eq!(fields, ["name", "revision_number", "observe_time", "request_id"]);
    let reason = "x".repeat(100_000);
    let withdraw = pb::WithdrawArticleRequest { reason: reason.clone(), observe_time: NEVER, ..Default::default() };
    let (fields, _) = refused(client.archive.withdraw_article(withdraw).await, "FIELD_INVALID");
    assert_eq!(fields, ["name", "reason", "observe_time"]);
    let reinstate = pb::ReinstateArticleRequest { reason, observe_time: NEVER, ..Default::default() };
    let (fields, _) = refused(client.archive.reinstate_article(reinstate).await, "FIELD_INVALID");
    assert_eq!(fields, ["name", "reason", "observe_time"]);
    assert_eq!(server.archive.tail().next_seq.0, 0);
    server.stop().await;
}

#[tokio::test]
async fn each_bad_item_of_a_batch_is_reported_with_each_of_its_fields() {
    let (_directory, server, mut client) = fresh().await;
    let no_id = || pb::RecordObservationRequest { request_id: "a b".into(), ..publish("a b", "text") };
    let requests = || vec![publish("a", "text"), no_id(), publish("b", "text"), no_id()];
    let expected =
        ["requests[1].article_id", "requests[1].request_id", "requests[3].article_id", "requests[3].request_id"];
    let batch =
        client.archive.batch_record_observations(pb::BatchRecordObservationsRequest { requests: requests() }).await;
    let (fields, error) = refused(batch, "FIELD_INVALID");
    assert_eq!(fields, expected);
    assert_eq!((error.metadata["item"].as_str(), error.metadata["field"].as_str()), ("requests[1]", "article_id"));

    let message = pb::ImportObservationsRequest { requests: requests(), offset: 7, ..Default::default() };
    let answers = client.archive.import_observations(tokio_stream::iter([message])).await;
    let answer = answers.unwrap().into_inner().message().await.unwrap().unwrap();
    let Some(ImportResult::Error(error)) = answer.result else { panic!("{answer:?}") };
    let (fields, _) = refused(Err::<(), _>(status_from_pb(&error)), "FIELD_INVALID");
    assert_eq!(fields, expected);
    assert_eq!(server.archive.tail().next_seq.0, 0);
    server.stop().await;
}

#[tokio::test]
async fn at_most_32_fields_are_reported_and_the_rest_counted() {
    let (_directory, server, mut client) = fresh().await;
    let blocks = vec![pb::Block::default(); 20_000];
    let request = pb::RecordObservationRequest {
        content: Some(pb::Content { blocks, ..content("H", "t") }),
        ..publish("a", "text")
    };
    let (fields, error) = refused(client.archive.record_observation(request).await, "FIELD_INVALID");
    assert_eq!((fields.len(), fields[31].as_str()), (32, "content.blocks[31]"));
    assert!(error.message.ends_with("(and more than 31 more fields are wrong)"), "{}", error.message);
    server.stop().await;
}

#[tokio::test]
async fn each_bad_field_of_a_read_is_reported() {
    let (_directory, server, mut client) = fresh().await;
    let archive = &mut client.archive;
    let (as_of, view) = (bad_as_of(), 9);
    let get = pb::GetArticleRequest { name: "a".into(), as_of: as_of.clone(), view, ..Default::default() };
    assert_eq!(refused(archive.get_article(get).await, "FIELD_INVALID").0, bad(&["name"], &["view"]));
    let get = pb::GetRevisionRequest { name: name("a"), as_of: as_of.clone(), view, ..Default::default() };
    assert_eq!(refused(archive.get_revision(get).await, "FIELD_INVALID").0, bad(&["name"], &["view"]));
    let original = pb::ReadOriginalRequest { name: name("a"), as_of: as_of.clone(), ..Default::default() };
    assert_eq!(refused(archive.read_original(original).await, "FIELD_INVALID").0, bad(&["name"], &[]));
    let names = vec![name("a"), name("a"), "a".into()];
    let get = pb::BatchGetArticlesRequest { names, as_of: as_of.clone(), view, ..Default::default() };
    let expected = bad(&["names[1]", "names[2]"], &["view"]);
    assert_eq!(refused(archive.batch_get_articles(get).await, "FIELD_INVALID").0, expected);
    let look_up = pb::LookupArticleRequest { url: "x".into(), as_of: as_of.clone(), view, ..Default::default() };
    assert_eq!(refused(archive.lookup_article(look_up).await, "FIELD_INVALID").0, bad(&["url"], &["view"]));
    let number = |number| {
        let selector = Some(pb::revision_selector::Selector::RevisionNumber(number));
        Some(pb::RevisionSelector { selector })
    };
    let (base, target) = (number(0), number(0));
    let diff = pb::DiffRevisionsRequest { name: "a".into(), base, target, as_of, ..Default::default() };
    let expected = bad(&["name", "base.revision_number", "target.revision_number"], &[]);
    assert_eq!(refused(archive.diff_revisions(diff).await, "FIELD_INVALID").0, expected);
    server.stop().await;
}

#[tokio::test]
async fn each_bad_field_of_a_list_is_reported() {
    let (_directory, server, mut client) = fresh().await;
    let (view, order, page_size, page_token) = (9, 9, -1, "garbage".to_owned());
    let list = pb::ListArticlesRequest {
        parent: "sources/-".into(),
        filter: bad_filter(),
        as_of: bad_as_of(),
        view,
        order,
        page_size,
        page_token: page_token.clone(),
        ..Default::default()
    };
    let others = AS_OF.into_iter().chain(["view", "order", "page_size", "page_token"]).collect::<Vec<_>>();
    let (fields, _) = refused(client.archive.list_articles(list).await, "FILTER_INVALID");
    assert_eq!(fields, filter_and(&others));

    let list = pb::ListRevisionsRequest {
        parent: "a".into(),
        view,
        order,
        page_size,
        page_token: page_token.clone(),
        changed_parts: vec![13],
        ..Default::default()
    };
    let (fields, _) = refused(client.archive.list_revisions(list).await, "FIELD_INVALID");
    assert_eq!(fields, ["parent", "order", "view", "changed_parts[0]", "page_size", "page_token"]);
    let list = pb::ListSourcesRequest { page_size, page_token: page_token.clone() };
    let (fields, _) = refused(client.archive.list_sources(list).await, "FIELD_INVALID");
    assert_eq!(fields, ["page_size", "page_token"]);
    let list = pb::ListSubscriptionsRequest { page_size, page_token };
    let (fields, _) = refused(client.feed.list_subscriptions(list).await, "PAGE_TOKEN_MISMATCH");
    assert_eq!(fields, ["page_token", "page_size"]);
    server.stop().await;
}

#[tokio::test]
async fn each_bad_field_of_a_feed_request_is_reported() {
    let (_directory, server, mut client) = fresh().await;
    let feed = &mut client.feed;
    let start = |position| Some(pb::FeedStart { position: Some(position) });
    let (view, kinds) = (9, vec![1, 99]);
    let subscribe = pb::SubscribeRequest {
        filter: bad_filter(),
        kinds: kinds.clone(),
        view,
        start: start(Position::ResumeToken("garbage".into())),
        heartbeat_interval: Some(Duration { seconds: 0, nanos: 0 }),
        ..Default::default()
    };
    let (fields, _) = refused(feed.subscribe(subscribe).await, "FIELD_INVALID");
    let expected = ["view", "heartbeat_interval"].map(str::to_owned).into_iter();
    assert_eq!(fields, expected.chain(filter_and(&["kinds[1]", "start.resume_token"])).collect::<Vec<_>>());

    let durable = pb::SubscribeRequest {
        subscription: "x".into(),
        consumer: "x".repeat(200),
        filter: Some(pb::ArticleFilter::default()),
        kinds: kinds.clone(),
        start: start(Position::Now(true)),
        ..Default::default()
    };
    let (fields, _) = refused(feed.subscribe(durable).await, "FIELD_INVALID");
    assert_eq!(fields, ["subscription", "start", "filter", "kinds", "consumer"]);

    let list = pb::ListChangesRequest {
        filter: bad_filter(),
        kinds: kinds.clone(),
        view,
        start: start(Position::Snapshot(bad_as_of().unwrap())),
        wait: Some(Duration { seconds: 31, nanos: 0 }),
        page_size: -1,
        ..Default::default()
    };
    let (fields, _) = refused(feed.list_changes(list).await, "FILTER_INVALID");
    let point = ["start.snapshot.observe_time", "start.snapshot.archive_time", "start.snapshot.log_digest"];
    let others = ["kinds[1]", "view"].into_iter().chain(point).chain(["wait", "page_size"]).collect::<Vec<_>>();
    assert_eq!(fields, filter_and(&others));

    let subscription = Some(pb::Subscription { kinds, ..pb::Subscription::default() });
    let create = pb::CreateSubscriptionRequest {
        subscription_id: "a b".into(),
        subscription,
        start: start(Position::Beginning(false)),
    };
    let (fields, _) = refused(feed.create_subscription(create).await, "FIELD_INVALID");
    assert_eq!(fields, ["subscription_id", "subscription.kinds[1]", "start.beginning"]);
    let seek = pb::SeekSubscriptionRequest { name: "x".into(), request_id: "a b".into(), ..Default::default() };
    assert_eq!(refused(feed.seek_subscription(seek).await, "FIELD_INVALID").0, ["name", "start", "request_id"]);
    let subscription = pb::Subscription { name: "x".into(), kinds: vec![99], ..Default::default() };
    let paths = ["filter", "filter.labels", "next_seq"].map(str::to_owned).to_vec();
    let update = pb::UpdateSubscriptionRequest {
        subscription: Some(subscription),
        update_mask: Some(prost_types::FieldMask { paths }),
    };
    let expected = ["subscription.name", "update_mask.paths[1]", "update_mask.paths[2]", "subscription.kinds[0]"];
    assert_eq!(refused(feed.update_subscription(update).await, "FIELD_INVALID").0, expected);
    let nothing = pb::UpdateSubscriptionRequest::default();
    let (fields, _) = refused(feed.update_subscription(nothing).await, "FIELD_INVALID");
    assert_eq!(fields, ["subscription.name", "update_mask"]);
    let park = pb::ParkChangeRequest { name: "x".into(), reason: "x".repeat(600), ..Default::default() };
    assert_eq!(refused(feed.park_change(park).await, "FIELD_INVALID").0, ["name", "epoch", "seq", "reason"]);
    let list = pb::ListParkedChangesRequest { name: "x".into(), page_size: -1, view: 9, ..Default::default() };
    assert_eq!(refused(feed.list_parked_changes(list).await, "FIELD_INVALID").0, ["name", "page_size", "view"]);
    let resolve = pb::ResolveParkedChangesRequest { name: "x".into(), seqs: Vec::new() };
    assert_eq!(refused(feed.resolve_parked_changes(resolve).await, "FIELD_INVALID").0, ["name", "seqs"]);
    let test = pb::TestWebhookRequest { name: "x".into() };
    assert_eq!(refused(feed.test_webhook(test).await, "FIELD_INVALID").0, ["name"]);
    let overlap = Some(Duration { seconds: 31 * 24 * 60 * 60, nanos: 0 });
    let rotate = pb::RotateWebhookKeyRequest { name: "x".into(), overlap };
    assert_eq!(refused(feed.rotate_webhook_key(rotate).await, "FIELD_INVALID").0, ["name", "overlap"]);
    let webhook = Some(pb::Webhook { url: "x".into(), view: 9, scheme: 9, state: 9, ..pb::Webhook::default() });
    let subscription = Some(pb::Subscription { webhook, ..pb::Subscription::default() });
    let create = pb::CreateSubscriptionRequest { subscription_id: "x".into(), subscription, start: None };
    let expected = ["url", "view", "scheme", "state"].map(|field| format!("subscription.webhook.{field}"));
    assert_eq!(refused(feed.create_subscription(create).await, "FIELD_INVALID").0, expected);
    let acknowledge = pb::AcknowledgeSubscriptionRequest { name: "x".into(), epoch: 0, next_seq: 1 };
    assert_eq!(refused(feed.acknowledge_subscription(acknowledge).await, "FIELD_INVALID").0, ["name", "epoch"]);
    server.stop().await;
}

async fn listed(client: &mut Client, start: i64, end: i64) -> Result<usize, Status> {
    let range = Some(pb::TimeRange { start_time: Some(at(start)), end_time: Some(at(end)) });
    let filter = Some(pb::ArticleFilter { observe_time: range, ..pb::ArticleFilter::default() });
    let list = pb::ListArticlesRequest { parent: "sources/-".into(), filter, ..Default::default() };
    Ok(client.archive.list_articles(list).await?.into_inner().articles.len())
}

#[tokio::test]
async fn a_reversed_range_is_rejected_and_an_empty_one_matches_nothing() {
    let (_directory, server, mut client) = fresh().await;
    let observed = pb::RecordObservationRequest { observe_time: Some(at(1)), ..publish("a", "text") };
    client.archive.record_observation(observed).await.unwrap();
    assert_eq!(listed(&mut client, 1, 2).await.unwrap(), 1);
    assert_eq!(listed(&mut client, 1, 1).await.unwrap(), 0);
    let (fields, _) = refused(listed(&mut client, 2, 1).await, "FILTER_INVALID");
    assert_eq!(fields, ["filter.observe_time"]);
    server.stop().await;
}

#[tokio::test]
async fn a_state_change_before_the_first_observation_is_a_failed_precondition() {
    let (_directory, server, mut client) = fresh().await;
    let observed = pb::RecordObservationRequest { observe_time: Some(at(100)), ..publish("a", "text") };
    client.archive.record_observation(observed).await.unwrap();
    let withdraw = pb::WithdrawArticleRequest { name: name("a"), observe_time: Some(at(99)), ..Default::default() };
    let error = ServerError::from(client.archive.withdraw_article(withdraw).await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (Code::FailedPrecondition, "STATE_CHANGE_TOO_EARLY"));
    assert_eq!(error.metadata["first_observe_time"], "2026-01-01T00:01:40Z");
    server.stop().await;
}

#[tokio::test]
async fn a_backup_from_beyond_the_end_is_rejected_with_the_alternatives() {
    let (_directory, server, mut client) = fresh().await;
    let since = Some(pb::Snapshot { next_seq: 5, ..pb::Snapshot::default() });
    let error = ServerError::from(client.admin.stream_backup(pb::StreamBackupRequest { since }).await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (Code::OutOfRange, "START_IN_FUTURE"));
    assert!(error.message.ends_with("or set it to the `end` of the last backup of this archive"), "{}", error.message);
    server.stop().await;
}
