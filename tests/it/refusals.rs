//! Invalid requests: each kind gets its documented code and reason, and nothing of it is written.

use dateline::internals::client::{Client, ServerError};
use dateline::internals::wire::pb;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::server::{at, content, fresh, name, publish};

#[track_caller]
fn expect<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) -> ServerError {
    let status = answer.unwrap_err();
    let info = status.get_details_error_info().expect("every status has an ErrorInfo");
    assert_eq!(info.domain, "dateline");
    if code == Code::InvalidArgument {
        let request = status.get_details_bad_request().expect("INVALID_ARGUMENT names the field");
        assert!(!request.field_violations.is_empty());
    }
    let error = ServerError::from(status);
    assert_eq!((error.code, error.reason.as_str()), (code, reason), "{}", error.message);
    error
}

async fn refused(client: &mut Client, request: pb::RecordObservationRequest, reason: &str) -> ServerError {
    expect(client.archive.record_observation(request).await, Code::InvalidArgument, reason)
}

#[tokio::test]
async fn a_malformed_observation_is_rejected_with_its_field() {
    let (_directory, server, mut client) = fresh().await;
    let good = || publish("a", "one");
    let with_content = |content| pb::RecordObservationRequest { content: Some(content), ..good() };
    let cases = [
        (pb::RecordObservationRequest { parent: "courier".into(), ..good() }, "parent"),
        (pb::RecordObservationRequest { parent: "sources/".into(), ..good() }, "parent"),
        (pb::RecordObservationRequest { article_id: "no spaces".into(), ..good() }, "article_id"),
        (pb::RecordObservationRequest { article_id: "x".repeat(129), ..good() }, "article_id"),
        (pb::RecordObservationRequest { content: None, ..good() }, "content"),
        (with_content(content("  ", "text")), "content.headline"),
        (with_content(pb::Content { language: "not a tag".into(), ..content("H", "t") }), "content.language"),
        (with_content(pb::Content { canonical_url: "ftp://x".into(), ..content("H", "t") }), "content.canonical_url"),
        (pb::RecordObservationRequest { labels: vec![String::new()], ..good() }, "labels[0]"),
        (pb::RecordObservationRequest { labels: vec!["a\u{1b}[31mb".to_owned()], ..good() }, "labels[0]"),
        (pb::RecordObservationRequest { labels: (0..65).map(|n| format!("label {n}")).collect(), ..good() }, "labels"),
        (with_content(pb::Content { blocks: vec![pb::Block::default()], ..content("H", "t") }), "content.blocks[0]"),
        (pb::RecordObservationRequest { urls: vec!["nonsense".into()], ..good() }, "urls[0]"),
        (pb::RecordObservationRequest { request_id: "a b".into(), ..good() }, "request_id"),
        (pb::RecordObservationRequest { observe_time: Some(at(1_000_000_000)), ..good() }, "observe_time"),
        (pb::RecordObservationRequest { original: Some(pb::Original::default()), ..good() }, "original.data"),
        (
            pb::RecordObservationRequest {
                coalesce_within: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
                ..good()
            },
            "coalesce_within",
        ),
    ];
    for (request, field) in cases {
        let error = refused(&mut client, request, "FIELD_INVALID").await;
        assert_eq!(error.metadata["field"], field, "{}", error.message);
    }
    assert_eq!(server.archive.tail().next_seq.0, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_gets_our_own_error() {
    let (_directory, server, mut client) = fresh().await;
    let large = refused(&mut client, publish("a", &"word ".repeat(300_000)), "ARTICLE_TOO_LARGE").await;
    assert!(large.message.contains("1048576"), "{}", large.message);
    let original = pb::Original { data: vec![0; 9 << 20].into(), ..pb::Original::default() };
    let request = pb::RecordObservationRequest { original: Some(original), ..publish("a", "one") };
    refused(&mut client, request, "ARTICLE_TOO_LARGE").await;
    let requests = vec![publish("a", "one"); 257];
    let batch = client.archive.batch_record_observations(pb::BatchRecordObservationsRequest { requests }).await;
    expect(batch, Code::InvalidArgument, "FIELD_INVALID");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_elements_are_rejected_with_their_field() {
    let (_directory, server, mut client) = fresh().await;
    let blocks = vec![pb::Block::default(); 100_000];
    let request = pb::RecordObservationRequest {
        content: Some(pb::Content { blocks, ..content("H", "t") }),
        ..publish("a", "one")
    };
    let error = refused(&mut client, request, "ARTICLE_TOO_LARGE").await;
    assert_eq!(error.metadata["field"], "content.blocks");
    let requests = vec![pb::RecordObservationRequest::default(); 1 << 20];
    let batch = client.archive.batch_record_observations(pb::BatchRecordObservationsRequest { requests }).await;
    let error = expect(batch, Code::InvalidArgument, "FIELD_INVALID");
    assert_eq!(error.metadata["field"], "requests");
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_article_differs_from_one_not_known_yet() {
    let (_directory, server, mut client) = fresh().await;
    let get = |id: &str, as_of| pb::GetArticleRequest { name: name(id), as_of, ..pb::GetArticleRequest::default() };
    let unknown = client.archive.get_article(get("a", None)).await;
    expect(unknown, Code::NotFound, "ARTICLE_UNKNOWN");
    client.archive.record_observation(publish("other", "x")).await.unwrap();
    client
        .archive
        .record_observation(pb::RecordObservationRequest { observe_time: Some(at(100)), ..publish("a", "one") })
        .await
        .unwrap();
    let early = pb::AsOf { observe_time: Some(at(99)), ..pb::AsOf::default() };
    let error = expect(client.archive.get_article(get("a", Some(early))).await, Code::NotFound, "NOT_YET_OBSERVED");
    assert_eq!(error.metadata["first_observe_time"], "2026-01-01T00:01:40Z");
    let early = pb::AsOf { known_at: Some(pb::as_of::KnownAt::NextSeq(1)), ..pb::AsOf::default() };
    let error = expect(client.archive.get_article(get("a", Some(early))).await, Code::NotFound, "NOT_YET_ARCHIVED");
    assert!(error.metadata.contains_key("first_archive_time"));
    let revision = |number: &str| pb::GetRevisionRequest {
        name: format!("{}/revisions/{number}", name("a")),
        ..pb::GetRevisionRequest::default()
    };
    expect(client.archive.get_revision(revision("2")).await, Code::NotFound, "REVISION_UNKNOWN");
    expect(client.archive.get_revision(revision("x")).await, Code::InvalidArgument, "FIELD_INVALID");
    server.stop().await;
}

#[tokio::test]
async fn a_read_as_known_in_the_future_is_out_of_range() {
    let (_directory, server, mut client) = fresh().await;
    client.archive.record_observation(publish("a", "one")).await.unwrap();
    let known_at = [
        pb::as_of::KnownAt::NextSeq(2),
        pb::as_of::KnownAt::ArchiveTime(prost_types::Timestamp { seconds: 32_503_680_000, nanos: 0 }),
    ];
    for known_at in known_at {
        let as_of = Some(pb::AsOf { known_at: Some(known_at), ..pb::AsOf::default() });
        let request = pb::GetArticleRequest { name: name("a"), as_of, ..pb::GetArticleRequest::default() };
        expect(client.archive.get_article(request).await, Code::OutOfRange, "AS_OF_IN_FUTURE");
    }
    // A later observe time simply reads the newest state.
    let later = prost_types::Timestamp { seconds: 32_503_680_000, nanos: 0 };
    let as_of = Some(pb::AsOf { observe_time: Some(later), ..pb::AsOf::default() });
    let request = pb::GetArticleRequest { name: name("a"), as_of, ..pb::GetArticleRequest::default() };
    client.archive.get_article(request).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_snapshot_or_token_of_another_archive_is_rejected() {
    let (_directory, server, mut client) = fresh().await;
    let (_other_directory, other_server, mut other) = fresh().await;
    for client in [&mut client, &mut other] {
        for id in ["a", "b"] {
            client.archive.record_observation(publish(id, "one")).await.unwrap();
        }
    }
    let list =
        pb::ListArticlesRequest { parent: "sources/-".into(), page_size: 1, ..pb::ListArticlesRequest::default() };
    let page = client.archive.list_articles(list.clone()).await.unwrap().into_inner();
    let next = pb::ListArticlesRequest { page_token: page.next_page_token, ..list };
    expect(other.archive.list_articles(next.clone()).await, Code::FailedPrecondition, "HISTORY_DIVERGED");
    let snapshot = page.snapshot.unwrap();
    let as_of = pb::AsOf {
        known_at: Some(pb::as_of::KnownAt::NextSeq(snapshot.next_seq)),
        log_digest: snapshot.log_digest,
        ..pb::AsOf::default()
    };
    let get = pb::GetArticleRequest { name: name("a"), as_of: Some(as_of), ..pb::GetArticleRequest::default() };
    expect(other.archive.get_article(get).await, Code::FailedPrecondition, "HISTORY_DIVERGED");

    // A token is only valid for the request that it was returned for.
    let elsewhere = pb::ListArticlesRequest { parent: "sources/courier".into(), ..next.clone() };
    expect(client.archive.list_articles(elsewhere).await, Code::InvalidArgument, "PAGE_TOKEN_MISMATCH");
    let garbage = pb::ListArticlesRequest { page_token: "garbage".into(), ..next };
    expect(client.archive.list_articles(garbage).await, Code::InvalidArgument, "PAGE_TOKEN_MISMATCH");
    server.stop().await;
    other_server.stop().await;
}

#[tokio::test]
async fn an_invalid_filter_is_rejected() {
    let (_directory, server, mut client) = fresh().await;
    let filters = [
        pb::ArticleFilter { sources: vec!["courier".into()], ..pb::ArticleFilter::default() },
        pb::ArticleFilter { states: vec![9], ..pb::ArticleFilter::default() },
        pb::ArticleFilter { url_prefix: "mailto:x".into(), ..pb::ArticleFilter::default() },
        pb::ArticleFilter { labels: vec!["x".into(); 101], ..pb::ArticleFilter::default() },
    ];
    for filter in filters {
        let request = pb::ListArticlesRequest {
            parent: "sources/-".into(),
            filter: Some(filter),
            ..pb::ListArticlesRequest::default()
        };
        expect(client.archive.list_articles(request).await, Code::InvalidArgument, "FILTER_INVALID");
    }
    server.stop().await;
}
