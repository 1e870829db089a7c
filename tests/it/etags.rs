//! Etags: each write returns the article's etag, and none recurs.

use dateline::internals::client::Client;
use dateline::internals::wire::pb;
use pb::ArticleState;
use tonic::Code;

use crate::server::{at, fresh, name, publish};

async fn current(client: &Client) -> String {
    let request = pb::GetArticleRequest { name: name("bridge"), ..Default::default() };
    client.archive.clone().get_article(request).await.unwrap().into_inner().article.unwrap().etag
}

/// The etag and the state after the write.
async fn mark(client: &Client, withdraw: bool, seconds: i64) -> (String, ArticleState) {
    let (name, observe_time) = (name("bridge"), Some(at(seconds)));
    let mut archive = client.archive.clone();
    if withdraw {
        let request = pb::WithdrawArticleRequest { name, observe_time, ..Default::default() };
        let withdrawn = archive.withdraw_article(request).await.unwrap().into_inner();
        (withdrawn.etag.clone(), withdrawn.state())
    } else {
        let request = pb::ReinstateArticleRequest { name, observe_time, ..Default::default() };
        let reinstated = archive.reinstate_article(request).await.unwrap().into_inner();
        (reinstated.etag.clone(), reinstated.state())
    }
}

#[tokio::test]
async fn each_write_returns_the_etag_of_a_read_and_no_etag_recurs() {
    let (_directory, _server, client) = fresh().await;
    let mut seen = Vec::new();
    let mut archive = client.archive.clone();
    for (seconds, text) in [(0, "It closes."), (10, "It opens.")] {
        let request = pb::RecordObservationRequest { observe_time: Some(at(seconds)), ..publish("bridge", text) };
        seen.push(archive.record_observation(request).await.unwrap().into_inner().etag);
        assert_eq!(seen.last(), Some(&current(&client).await));
    }
    let rollback = pb::RollbackArticleRequest {
        name: name("bridge"),
        revision_number: 1,
        observe_time: Some(at(20)),
        ..Default::default()
    };
    seen.push(archive.rollback_article(rollback).await.unwrap().into_inner().etag);
    assert_eq!(seen.last(), Some(&current(&client).await));
    // The last two are at the same instant: the later one is in force, but it does not restore the earlier state's
    // etag.
    for (withdraw, seconds) in [(true, 30), (false, 40), (true, 50), (false, 60), (true, 60)] {
        let (etag, state) = mark(&client, withdraw, seconds).await;
        assert_eq!(etag, current(&client).await);
        assert_eq!(state, if withdraw { ArticleState::Withdrawn } else { ArticleState::Live });
        seen.push(etag);
    }
    // A state change that has no effect on the newest state returns that state, not the one at its own time.
    let (etag, state) = mark(&client, false, 35).await;
    assert_eq!((&etag, state), (&current(&client).await, ArticleState::Withdrawn));
    seen.push(etag);
    seen.push(mark(&client, false, 70).await.0);
    let mut distinct = seen.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), seen.len(), "{seen:?}");
    for (etag, expected) in
        seen.iter().map(|etag| (etag, if Some(etag) == seen.last() { Code::Ok } else { Code::Aborted }))
    {
        let precondition = pb::Precondition { condition: Some(pb::precondition::Condition::Etag(etag.clone())) };
        let request = pb::RecordObservationRequest {
            observe_time: Some(at(80)),
            precondition: Some(precondition),
            validate_only: true,
            ..publish("bridge", "It is guarded.")
        };
        let code = archive.record_observation(request).await.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(code, expected, "{etag}");
    }
}

/// The observation found the older of two contents at one instant, but the log once said that it found the newer.
#[tokio::test]
async fn a_repeated_observation_at_a_tie_is_logged_with_what_it_found() {
    let (_directory, _server, client) = fresh().await;
    let mut archive = client.archive.clone();
    for (text, request_id) in [("A", ""), ("B", ""), ("A", "again")] {
        let request_id = request_id.to_owned();
        let request = pb::RecordObservationRequest { observe_time: Some(at(0)), request_id, ..publish("bridge", text) };
        archive.record_observation(request).await.unwrap();
    }
    let request = pb::ListChangesRequest {
        start: Some(pb::FeedStart { position: Some(pb::feed_start::Position::Seq(2)) }),
        kinds: vec![pb::ChangeKind::Sighted.into()],
        ..Default::default()
    };
    let changes = client.feed.clone().list_changes(request).await.unwrap().into_inner().changes;
    let revisions: Vec<u32> = changes.iter().map(|change| change.revision.as_ref().unwrap().number).collect();
    assert_eq!(revisions, [1]);
}

#[tokio::test]
async fn the_end_of_the_year_9999_reads_as_the_newest() {
    let (_directory, _server, client) = fresh().await;
    let mut archive = client.archive.clone();
    archive.record_observation(publish("bridge", "It closes.")).await.unwrap();
    let end = prost_types::Timestamp { seconds: 253_402_300_799, nanos: 999_999_999 };
    let read = |end| {
        let as_of = Some(pb::AsOf { observe_time: Some(end), ..Default::default() });
        pb::GetArticleRequest { name: name("bridge"), as_of, ..Default::default() }
    };
    let article = archive.get_article(read(end)).await.unwrap().into_inner().article.unwrap();
    assert_eq!(article.revision.unwrap().number, 1);
    for beyond in [
        prost_types::Timestamp { seconds: end.seconds + 1, nanos: 0 },
        prost_types::Timestamp { nanos: 1_000_000_000, ..end },
    ] {
        assert_eq!(archive.get_article(read(beyond)).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

/// With the present etag, the writer could overwrite a state that it has never seen.
#[tokio::test]
async fn a_replayed_reply_has_the_etag_of_its_own_write() {
    let (_directory, _server, client) = fresh().await;
    let mut archive = client.archive.clone();
    let request = pb::RecordObservationRequest { request_id: "crawl-1".to_owned(), ..publish("bridge", "It closes.") };
    let first = archive.record_observation(request.clone()).await.unwrap().into_inner();
    archive.record_observation(publish("bridge", "It opens.")).await.unwrap();
    let again = archive.record_observation(request).await.unwrap().into_inner();
    assert_eq!(again, pb::RecordObservationResponse { replayed: true, ..first });
    let precondition = pb::Precondition { condition: Some(pb::precondition::Condition::Etag(again.etag)) };
    let guarded =
        pb::RecordObservationRequest { precondition: Some(precondition), ..publish("bridge", "It closes again.") };
    assert_eq!(archive.record_observation(guarded).await.unwrap_err().code(), Code::Aborted);
}

/// In a batch, each reply has the etag of the article after that item.
#[tokio::test]
async fn the_last_etag_of_a_batch_guards_the_next_write() {
    let (_directory, _server, client) = fresh().await;
    let mut archive = client.archive.clone();
    let requests = [(0, "It closes."), (10, "It opens."), (20, "It stays open.")].map(|(seconds, text)| {
        pb::RecordObservationRequest { observe_time: Some(at(seconds)), ..publish("bridge", text) }
    });
    let batch = pb::BatchRecordObservationsRequest { requests: requests.into() };
    let responses = archive.batch_record_observations(batch).await.unwrap().into_inner().responses;
    let etags: Vec<_> = responses.into_iter().map(|response| response.etag).collect();
    assert_eq!(etags.last(), Some(&current(&client).await));
    assert_eq!(etags.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "{etags:?}");
}

/// A dry run once returned the etag of a state that did not exist. A write that came later could give the article that
/// very etag, with other content, and a precondition on it would hold.
#[tokio::test]
async fn a_dry_run_returns_no_etag_of_a_state_that_does_not_exist() {
    let (_directory, _server, client) = fresh().await;
    let mut archive = client.archive.clone();
    let dry = |text: &str| pb::RecordObservationRequest { validate_only: true, ..publish("bridge", text) };
    let created = archive.record_observation(dry("It closes.")).await.unwrap().into_inner();
    assert_eq!((created.outcome(), created.etag.as_str()), (pb::ObservationOutcome::Created, ""));
    archive.record_observation(publish("bridge", "It closes.")).await.unwrap();
    let now = current(&client).await;

    let requests = vec![dry("It opens."), dry("It closes.")];
    let batch = archive.batch_record_observations(pb::BatchRecordObservationsRequest { requests }).await.unwrap();
    assert!(batch.into_inner().responses.iter().all(|recorded| recorded.etag.is_empty()));
    let rollback = pb::RollbackArticleRequest {
        name: name("bridge"),
        revision_number: 1,
        validate_only: true,
        ..Default::default()
    };
    assert_eq!(archive.rollback_article(rollback).await.unwrap().into_inner().etag, "");
    let withdraw = pb::WithdrawArticleRequest { name: name("bridge"), validate_only: true, ..Default::default() };
    let withdrawn = archive.withdraw_article(withdraw).await.unwrap().into_inner();
    assert_eq!((withdrawn.etag.as_str(), withdrawn.state()), ("", pb::ArticleState::Withdrawn));
    let article = withdrawn.article.unwrap();
    assert_eq!((article.etag.as_str(), article.state()), ("", pb::ArticleState::Live));
    let reinstate = pb::ReinstateArticleRequest { name: name("bridge"), validate_only: true, ..Default::default() };
    assert_eq!(archive.reinstate_article(reinstate).await.unwrap().into_inner().etag, "");
    let label = pb::LabelArticleRequest {
        name: name("bridge"),
        add_labels: vec!["flood".to_owned()],
        validate_only: true,
        ..Default::default()
    };
    let labelled = archive.label_article(label).await.unwrap().into_inner();
    assert_eq!((labelled.etag.as_str(), labelled.article.unwrap().etag), ("", now.clone()));
    assert_eq!(current(&client).await, now);
}
