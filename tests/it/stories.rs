//! Bugs of the past, each as the test that would have found it.

use dateline::internals::client::ServerError;
use dateline::internals::wire::pb;
use tempfile::TempDir;
use tonic::Code;

use crate::server::{TestServer, at, content, fresh, name, publish};

fn guessed(text: &str, confidence_percent: u32) -> pb::RecordObservationRequest {
    let mut request = publish("a", text);
    if let Some(block) = request.content.as_mut().and_then(|content| content.blocks.first_mut()) {
        block.confidence_percent = confidence_percent;
    }
    request
}

/// Two contents with one digest may differ in their guesses. They were taken to be equal, so the second was stored as a
/// reference but with its own length. After a restart, neither it nor contents based on it could be read.
#[tokio::test]
async fn a_repeated_text_with_other_guesses_can_be_read_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    let mut client = server.client().await;
    let written = [guessed("A", 0), guessed("B", 0), guessed("A", 65), guessed("C", 0)];
    for request in written.clone() {
        client.archive.record_observation(request).await.unwrap();
    }
    drop(client);
    server.stop().await;
    let server = TestServer::on_directory(directory.path()).await;
    let mut client = server.client().await;
    for (number, request) in (1..).zip(written) {
        let get = pb::GetRevisionRequest {
            name: format!("{}/revisions/{number}", name("a")),
            ..pb::GetRevisionRequest::default()
        };
        let revision = client.archive.get_revision(get).await.unwrap().into_inner().revision.unwrap();
        assert_eq!(revision.content, request.content, "revision {number}");
    }
    drop(client);
    server.stop().await;
}

/// A log record that was too large for the engine poisoned the archive, although no documented limit was exceeded.
#[tokio::test]
async fn only_a_record_too_large_for_the_log_is_rejected() {
    let (_directory, server, mut client) = fresh().await;
    let url = |index: usize| format!("https://courier.example/{index}/{}", "x".repeat(4_000));
    let headline =
        pb::RecordObservationRequest { content: Some(content(&"x".repeat(75_000), "t")), ..publish("a", "t") };
    let urls = pb::RecordObservationRequest { urls: (0..16).map(url).collect(), ..publish("a", "t") };
    for request in [headline, urls] {
        let error = ServerError::from(client.archive.record_observation(request).await.unwrap_err());
        assert_eq!((error.code, error.reason.as_str()), (Code::InvalidArgument, "ARTICLE_TOO_LARGE"));
    }
    let language = pb::Content { language: format!("en-x-{}", "a".repeat(20_000)), ..content("H", "t") };
    let request = pb::RecordObservationRequest { content: Some(language), ..publish("a", "t") };
    let error = ServerError::from(client.archive.record_observation(request).await.unwrap_err());
    assert_eq!(error.reason, "FIELD_INVALID", "the message does not quote the tag");
    client.archive.record_observation(publish("a", "one")).await.unwrap();
    assert!(!server.archive.has_failed());
    drop(client);
    server.stop().await;
}

/// Withdraw and Reinstate have the same fields, so a request id of one was accepted as a repetition of the other.
#[tokio::test]
async fn a_request_id_cannot_be_reused_with_another_method() {
    let (_directory, server, mut client) = fresh().await;
    let first = pb::RecordObservationRequest { observe_time: Some(at(0)), ..publish("a", "one") };
    client.archive.record_observation(first).await.unwrap();
    let withdraw = pb::WithdrawArticleRequest {
        name: name("a"),
        observe_time: Some(at(10)),
        request_id: "r".into(),
        ..pb::WithdrawArticleRequest::default()
    };
    client.archive.withdraw_article(withdraw).await.unwrap();
    let reinstate = pb::ReinstateArticleRequest {
        name: name("a"),
        observe_time: Some(at(10)),
        request_id: "r".into(),
        ..pb::ReinstateArticleRequest::default()
    };
    let error = ServerError::from(client.archive.reinstate_article(reinstate).await.unwrap_err());
    assert_eq!(error.reason, "REQUEST_ID_REUSED");
    server.stop().await;
}

/// A validated write was answered with a snapshot beyond the end of the log, and its state change was then looked up
/// there.
#[tokio::test]
async fn a_validated_write_returns_an_existing_snapshot() {
    let (_directory, server, mut client) = fresh().await;
    let first = pb::RecordObservationRequest { observe_time: Some(at(0)), ..publish("a", "one") };
    client.archive.record_observation(first).await.unwrap();
    let dry = pb::RecordObservationRequest { validate_only: true, ..publish("a", "two") };
    let answer = client.archive.record_observation(dry).await.unwrap().into_inner();
    assert_eq!(answer.snapshot.unwrap().next_seq, 1);
    let dry = pb::WithdrawArticleRequest {
        name: name("a"),
        observe_time: Some(at(10)),
        validate_only: true,
        ..pb::WithdrawArticleRequest::default()
    };
    let answer = client.archive.withdraw_article(dry).await.unwrap().into_inner();
    assert!(answer.changed);
    assert_eq!(server.archive.tail().next_seq.0, 1);
    server.stop().await;
}

/// An item that repeats another one of its batch got a snapshot inside the batch, where the batch is not visible yet.
#[tokio::test]
async fn a_repeated_item_of_a_batch_gets_the_snapshot_after_the_batch() {
    let (_directory, server, mut client) = fresh().await;
    let first =
        pb::RecordObservationRequest { request_id: "r".into(), observe_time: Some(at(0)), ..publish("a", "one") };
    let requests = vec![first.clone(), first, publish("b", "two")];
    let batch = pb::BatchRecordObservationsRequest { requests };
    let answer = client.archive.batch_record_observations(batch).await.unwrap().into_inner();
    let stamps: Vec<_> = answer.responses.iter().map(|response| response.snapshot.as_ref().unwrap().next_seq).collect();
    assert_eq!(stamps, [2, 2, 2]);
    assert!(answer.responses[1].replayed);
    server.stop().await;
}

/// "Modified that day" was reported as contradicting "published at ten that day".
#[tokio::test]
async fn a_claimed_day_does_not_contradict_an_instant_of_that_day() {
    let (_directory, server, mut client) = fresh().await;
    let claim = |seconds, precision: pb::TimePrecision| {
        Some(pb::ClaimedTime { time: Some(at(seconds)), precision: precision.into(), ..pb::ClaimedTime::default() })
    };
    let with = |modify_time| pb::RecordObservationRequest {
        content: Some(pb::Content {
            publish_time: claim(36_000, pb::TimePrecision::Instant),
            modify_time,
            ..content("H", "t")
        }),
        ..publish("a", "t")
    };
    let same_day = with(claim(0, pb::TimePrecision::Day));
    let answer = client.archive.record_observation(same_day).await.unwrap().into_inner();
    assert_eq!(answer.warnings, []);
    let before = with(claim(0, pb::TimePrecision::Instant));
    let answer = client.archive.record_observation(before).await.unwrap().into_inner();
    assert_eq!(answer.warnings[0].reason, "CLAIMED_TIMES_CONTRADICT");
    server.stop().await;
}

/// The number of an article's URLs was not limited. A page with session ids in its address created an article that took
/// longer to read with every observation.
#[tokio::test]
async fn the_number_of_urls_of_an_article_is_limited() {
    let (_directory, server, mut client) = fresh().await;
    let mut refused = 0;
    for seconds in 0..20 {
        let urls = (0..16).map(|index| format!("https://courier.example/a?session={}", seconds * 16 + index));
        let request =
            pb::RecordObservationRequest { observe_time: Some(at(seconds)), urls: urls.collect(), ..publish("a", "t") };
        refused += client.archive.record_observation(request).await.unwrap().into_inner().warnings.len();
    }
    assert_eq!(refused, 20 * 16 - 256);
    let get = pb::GetArticleRequest { name: name("a"), ..pb::GetArticleRequest::default() };
    let article = client.archive.get_article(get).await.unwrap().into_inner().article.unwrap();
    assert_eq!(article.urls.len(), 256);
    server.stop().await;
}

/// One small request that names the same large article many times got a reply of gigabytes.
#[tokio::test]
async fn the_size_of_a_reply_is_limited() {
    let (_directory, server, mut client) = fresh().await;
    for id in ["a", "b", "c", "d", "e", "f"] {
        client.archive.record_observation(publish(id, &format!("{id} ").repeat(400_000))).await.unwrap();
    }
    let names = vec![name("a"), name("a")];
    let twice = pb::BatchGetArticlesRequest { names, ..pb::BatchGetArticlesRequest::default() };
    let error = ServerError::from(client.archive.batch_get_articles(twice).await.unwrap_err());
    assert_eq!(error.metadata["field"], "names[1]");
    let mut list = pb::ListArticlesRequest {
        parent: "sources/-".into(),
        view: pb::ArticleView::Full.into(),
        ..pb::ListArticlesRequest::default()
    };
    let mut pages = Vec::new();
    loop {
        let page = client.archive.list_articles(list.clone()).await.unwrap().into_inner();
        pages.push(page.articles.len());
        list.page_token = page.next_page_token;
        if list.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, [2, 2, 2]);
    server.stop().await;
}
