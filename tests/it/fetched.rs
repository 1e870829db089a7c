//! The HTTP facts of a fetch: stored with the observation, and returned so that the page can be requested
//! conditionally.

use std::ops::ControlFlow;

use dateline::internals::archive::Options;
use dateline::internals::archive::changefeed::FeedStart;
use dateline::internals::archive::recover::verify::{rebuild_directory, verify_directory};
use dateline::internals::backup::Until;
use dateline::internals::client::{Client, ServerError};
use dateline::internals::wire::pb;
use tempfile::TempDir;

use crate::backup::{keep, restore, stream_backup};
use crate::server::{TestServer, at, content, fresh, holder, name, publish};
use crate::verify::collect;

fn fetch(number: u32) -> pb::Fetch {
    pb::Fetch {
        url: format!("https://courier.example/bridge?version={number}"),
        etag: format!("W/\"5e8c-{number}\""),
        last_modified: format!("Thu, 01 Jan 2026 00:00:{number:02} GMT"),
    }
}

/// An observation at a second, with the facts of its fetch.
fn seen(seconds: i64, text: &str, fetch: Option<pb::Fetch>) -> pb::RecordObservationRequest {
    pb::RecordObservationRequest { observe_time: Some(at(seconds)), fetch, ..publish("a", text) }
}

async fn write(client: &mut Client, request: pb::RecordObservationRequest) -> pb::RecordObservationResponse {
    client.archive.record_observation(request).await.unwrap().into_inner()
}

async fn read(client: &mut Client, as_of: Option<pb::AsOf>) -> (pb::Article, pb::Snapshot) {
    let get = pb::GetArticleRequest { name: name("a"), as_of, ..pb::GetArticleRequest::default() };
    let answer = client.archive.get_article(get).await.unwrap().into_inner();
    (answer.article.unwrap(), answer.snapshot.unwrap())
}

/// The fetch of the newest revision, and the article's latest fetch.
async fn told(client: &mut Client) -> (Option<pb::Fetch>, Option<pb::Fetch>) {
    let (article, _) = read(client, None).await;
    (article.revision.unwrap().fetch, article.latest_fetch)
}

async fn roll_back(client: &mut Client, seconds: i64, revision: u32) {
    let request = pb::RollbackArticleRequest {
        name: name("a"),
        revision_number: revision,
        observe_time: Some(at(seconds)),
        ..pb::RollbackArticleRequest::default()
    };
    client.archive.rollback_article(request).await.unwrap();
}

#[tokio::test]
async fn the_latest_fetch_is_returned_while_what_it_found_is_in_force() {
    let (_directory, server, mut client) = fresh().await;
    let made = write(&mut client, seen(0, "one", Some(fetch(1)))).await;
    assert_eq!(made.revision.unwrap().fetch, Some(fetch(1)));
    assert_eq!(told(&mut client).await, (Some(fetch(1)), Some(fetch(1))));

    // A sighting has its own fetch, and the revision keeps the one that created it.
    write(&mut client, seen(10, "one", Some(fetch(2)))).await;
    assert_eq!(told(&mut client).await, (Some(fetch(1)), Some(fetch(2))));
    // A sighting that is coalesced, or was already recorded, changes nothing.
    let within = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    write(&mut client, pb::RecordObservationRequest { coalesce_within: within, ..seen(20, "one", Some(fetch(3))) })
        .await;
    write(&mut client, seen(10, "one", Some(fetch(3)))).await;
    assert_eq!(told(&mut client).await, (Some(fetch(1)), Some(fetch(2))));
    assert_eq!(server.archive.tail().next_seq.0, 2);

    // A late observation is not the page's present state.
    write(&mut client, seen(5, "zero", Some(fetch(4)))).await;
    assert_eq!(told(&mut client).await, (Some(fetch(1)), None));
    write(&mut client, seen(30, "one", Some(fetch(5)))).await;
    assert_eq!(told(&mut client).await.1, Some(fetch(5)));
    // The fetch of this one is unknown.
    write(&mut client, seen(40, "one", None)).await;
    assert_eq!(told(&mut client).await.1, None);
    write(&mut client, seen(50, "two", Some(fetch(6)))).await;
    assert_eq!(told(&mut client).await, (Some(fetch(6)), Some(fetch(6))));
    // The publisher's page may still say "two", so its validators must not be used.
    roll_back(&mut client, 60, 1).await;
    assert_eq!(told(&mut client).await, (None, None));
    drop(client);
    server.stop().await;
}

/// A repeated observation is logged for its request id but adds nothing, even if another content was found at that
/// instant.
#[tokio::test]
async fn a_repeated_observation_does_not_replace_the_latest_fetch() {
    let (_directory, server, mut client) = fresh().await;
    write(&mut client, seen(0, "one", Some(fetch(1)))).await;
    write(&mut client, seen(0, "two", Some(fetch(2)))).await;
    let again = pb::RecordObservationRequest { request_id: "again".into(), ..seen(0, "one", Some(fetch(1))) };
    let first = write(&mut client, again.clone()).await;
    assert_eq!(told(&mut client).await, (Some(fetch(2)), None));
    // The fetch is part of what the request id identifies.
    assert!(write(&mut client, again.clone()).await.replayed && !first.replayed);
    let other = pb::RecordObservationRequest { fetch: Some(fetch(3)), ..again };
    let refused = client.archive.record_observation(other).await.unwrap_err();
    assert_eq!(ServerError::from(refused).reason, "REQUEST_ID_REUSED");
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_withdrawn_article_has_no_latest_fetch() {
    let (_directory, server, mut client) = fresh().await;
    write(&mut client, seen(0, "one", Some(fetch(1)))).await;
    let withdraw = pb::WithdrawArticleRequest {
        name: name("a"),
        observe_time: Some(at(10)),
        ..pb::WithdrawArticleRequest::default()
    };
    client.archive.withdraw_article(withdraw).await.unwrap();
    assert_eq!(told(&mut client).await, (Some(fetch(1)), None));
    // A late observation from before the withdrawal: it is in force, but a page that is up again must be recorded as
    // new.
    write(&mut client, seen(5, "one", Some(fetch(2)))).await;
    assert_eq!(told(&mut client).await, (Some(fetch(1)), None));
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_read_of_the_newest_state_as_known_then_has_the_fetch_known_then() {
    let (_directory, server, mut client) = fresh().await;
    write(&mut client, seen(0, "one", Some(fetch(1)))).await;
    let (first, snapshot) = read(&mut client, None).await;
    write(&mut client, seen(10, "one", Some(fetch(2)))).await;
    let known_at = Some(pb::as_of::KnownAt::NextSeq(snapshot.next_seq));
    let as_known = pb::AsOf { known_at, log_digest: snapshot.log_digest, ..pb::AsOf::default() };
    assert_eq!(read(&mut client, Some(as_known)).await.0, first, "a snapshot always gives the same answer");
    let at_instant = pb::AsOf { observe_time: Some(at(20)), ..pb::AsOf::default() };
    let (then, _) = read(&mut client, Some(at_instant)).await;
    assert_eq!((then.revision.unwrap().fetch, then.latest_fetch), (Some(fetch(1)), None));
    drop(client);
    server.stop().await;
}

/// Every place where fetches are returned: the article, its revisions, and the feed.
async fn everything(client: &mut Client) -> (pb::Article, Vec<pb::RevisionEntry>, Vec<pb::Change>) {
    let (article, _) = read(client, None).await;
    let list = pb::ListRevisionsRequest { parent: name("a"), ..pb::ListRevisionsRequest::default() };
    let revisions = client.archive.list_revisions(list).await.unwrap().into_inner().entries;
    let kinds = [pb::ChangeKind::Created, pb::ChangeKind::Sighted, pb::ChangeKind::Revised];
    let list = pb::ListChangesRequest {
        start: Some(pb::FeedStart { position: Some(pb::feed_start::Position::Beginning(true)) }),
        kinds: kinds.map(i32::from).into(),
        ..pb::ListChangesRequest::default()
    };
    let changes = client.feed.list_changes(list).await.unwrap().into_inner().changes;
    (article, revisions, changes)
}

async fn everything_on(directory: &std::path::Path) -> (pb::Article, Vec<pb::RevisionEntry>, Vec<pb::Change>) {
    let server = TestServer::on_directory(directory).await;
    let mut client = server.client().await;
    let told = everything(&mut client).await;
    drop(client);
    server.stop().await;
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_survive_a_restart_a_restore_and_a_rebuild() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    let mut client = server.client().await;
    let requests = vec![seen(0, "one", Some(fetch(1))), seen(10, "one", Some(fetch(2)))];
    client.archive.batch_record_observations(pb::BatchRecordObservationsRequest { requests }).await.unwrap();
    write(&mut client, seen(20, "two", Some(fetch(3)))).await;
    write(&mut client, seen(30, "two", Some(fetch(4)))).await;
    let before = everything(&mut client).await;
    let (article, _, changes) = &before;
    assert_eq!(article.latest_fetch, Some(fetch(4)));
    let of_changes: Vec<_> = changes.iter().map(|change| change.fetch.clone()).collect();
    assert_eq!(of_changes, (1..=4).map(|number| Some(fetch(number))).collect::<Vec<_>>());
    let of_revisions: Vec<_> = changes.iter().map(|change| change.revision.clone().unwrap().fetch).collect();
    assert_eq!(of_revisions, [1, 1, 3, 3].map(|number| Some(fetch(number))));
    let file = stream_backup(&server.archive, FeedStart::Beginning).await;
    drop(client);
    server.stop().await;
    assert_eq!(everything_on(directory.path()).await, before, "after a restart");

    let others = TempDir::new().unwrap();
    let (folder, restored) = (others.path().join("backup"), others.path().join("restored"));
    keep(&file, &folder);
    restore(&[folder], &restored, Until::End).unwrap();
    assert_eq!(everything_on(&restored).await, before, "restored");

    let options = Options { free_space_floor_bytes: 0, ..Options::default() };
    rebuild_directory(&restored, &options, holder(), &mut |_| ControlFlow::Continue(())).unwrap().unwrap();
    let mut findings = Vec::new();
    let mut listener = |event| collect(event, &mut findings);
    verify_directory(&restored, &options, holder(), &mut listener).unwrap().unwrap();
    assert_eq!(findings, []);
    assert_eq!(everything_on(&restored).await, before, "rebuilt");
}

#[tokio::test]
async fn a_fetch_within_the_limits_is_stored_verbatim_and_others_are_rejected() {
    let (_directory, server, mut client) = fresh().await;
    let with = |change: fn(&mut pb::Fetch)| {
        let mut fetch = fetch(1);
        change(&mut fetch);
        seen(0, "one", Some(fetch))
    };
    let cases = [
        (with(|fetch| fetch.url = String::new()), "fetch.url"),
        (with(|fetch| fetch.url = "/bridge".into()), "fetch.url"),
        (with(|fetch| fetch.url = "ftp://courier.example/bridge".into()), "fetch.url"),
        (with(|fetch| fetch.url = "https://courier.example/a\tb".into()), "fetch.url"),
        (with(|fetch| fetch.url = format!("https://courier.example/{}", "x".repeat(4_096))), "fetch.url"),
        (with(|fetch| fetch.etag = "\"a\r\nb\"".into()), "fetch.etag"),
        (with(|fetch| fetch.etag = "x".repeat(1_025)), "fetch.etag"),
        (with(|fetch| fetch.last_modified = "\u{7f}".into()), "fetch.last_modified"),
        (with(|fetch| fetch.last_modified = "x".repeat(129)), "fetch.last_modified"),
    ];
    for (request, field) in cases {
        let error = ServerError::from(client.archive.record_observation(request.clone()).await.unwrap_err());
        assert_eq!((error.reason.as_str(), error.metadata["field"].as_str()), ("FIELD_INVALID", field));
        let requests = vec![seen(0, "one", None), request];
        let batch = pb::BatchRecordObservationsRequest { requests };
        let error = ServerError::from(client.archive.batch_record_observations(batch).await.unwrap_err());
        assert_eq!((error.metadata["item"].as_str(), error.metadata["field"].as_str()), ("requests[1]", field));
    }
    // The size of the whole log record is limited.
    let large =
        pb::RecordObservationRequest { content: Some(content(&"x".repeat(65_500), "t")), ..seen(0, "one", None) };
    let with_fetch = pb::RecordObservationRequest {
        fetch: Some(pb::Fetch { etag: "x".repeat(1_024), ..fetch(1) }),
        ..large.clone()
    };
    let error = ServerError::from(client.archive.record_observation(with_fetch).await.unwrap_err());
    assert_eq!(error.reason, "ARTICLE_TOO_LARGE");
    write(&mut client, pb::RecordObservationRequest { article_id: "large".into(), ..large }).await;

    // A URL may contain escapes that its key would not; no key is made from a fetch.
    let longest = pb::Fetch {
        url: format!("https://courier.example/{}", "é".repeat(2_000)),
        etag: "é".repeat(512),
        last_modified: "x".repeat(128),
    };
    write(&mut client, seen(0, "one", Some(longest.clone()))).await;
    assert_eq!(told(&mut client).await, (Some(longest.clone()), Some(longest)));
    let lookup = pb::LookupArticleRequest { url: fetch(1).url, ..pb::LookupArticleRequest::default() };
    let error = ServerError::from(client.archive.lookup_article(lookup).await.unwrap_err());
    assert_eq!(error.reason, "ARTICLE_UNKNOWN");
    drop(client);
    server.stop().await;
}
