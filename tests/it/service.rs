//! The contract, call by call, over a real connection.

use dateline::internals::client::ServerError;
use dateline::internals::server::Options;
use dateline::internals::wire::pb;
use dateline::model::Limits;
use tonic::Code;

use crate::server::{TestServer, at, content, fresh, name, publish};

fn text(article: &pb::Article) -> String {
    let content = article.revision.as_ref().and_then(|revision| revision.content.as_ref()).unwrap();
    match content.blocks.first().and_then(|block| block.kind.as_ref()) {
        Some(pb::block::Kind::Paragraph(paragraph)) => paragraph.text.clone(),
        _ => String::new(),
    }
}

fn as_of(seconds: i64) -> Option<pb::AsOf> {
    Some(pb::AsOf { observe_time: Some(at(seconds)), ..pb::AsOf::default() })
}

#[tokio::test]
async fn an_article_can_be_read_as_of_both_time_axes() {
    let (_directory, server, mut client) = fresh().await;
    for (seconds, text) in [(0, "12 dead"), (100, "92 dead")] {
        let request = pb::RecordObservationRequest { observe_time: Some(at(seconds)), ..publish("toll", text) };
        client.archive.record_observation(request).await.unwrap();
    }
    let known_before = client.archive.get_article(get("toll", None)).await.unwrap().into_inner().snapshot.unwrap();
    // A late observation: at second 50 the page said 40.
    let late = pb::RecordObservationRequest { observe_time: Some(at(50)), ..publish("toll", "40 dead") };
    client.archive.record_observation(late).await.unwrap();

    let newest = client.archive.get_article(get("toll", None)).await.unwrap().into_inner().article.unwrap();
    assert_eq!(text(&newest), "92 dead");
    assert_eq!(newest.revision_count, 3);
    let then = client.archive.get_article(get("toll", as_of(60))).await.unwrap().into_inner().article.unwrap();
    assert_eq!(text(&then), "40 dead");
    assert_eq!((then.valid_from, then.valid_until), (Some(at(50)), Some(at(100))));
    // What the archive knew before that can still be read.
    let known_at = Some(pb::as_of::KnownAt::NextSeq(known_before.next_seq));
    let before = pb::AsOf { observe_time: Some(at(60)), known_at, log_digest: known_before.log_digest };
    let before = client.archive.get_article(get("toll", Some(before))).await.unwrap().into_inner().article.unwrap();
    assert_eq!(text(&before), "12 dead");
    assert_eq!(before.revision_count, 2);
    server.stop().await;
}

fn get(id: &str, as_of: Option<pb::AsOf>) -> pb::GetArticleRequest {
    pb::GetArticleRequest { name: name(id), as_of, ..pb::GetArticleRequest::default() }
}

/// A client can ask for the limits instead of finding them by trial. The status goes to everybody, so it does not say
/// where on the server's disk the archive is.
#[tokio::test]
async fn the_status_states_the_limits_and_no_path() {
    let directory = tempfile::TempDir::new().unwrap();
    let limits = Limits { url_bytes_max: 100, page_size_max: 7, ..Limits::default() };
    let server = TestServer::with_options(directory.path(), Options { limits, ..Options::default() }).await;
    let mut client = server.client().await;
    let status = client.admin.get_status(pb::GetStatusRequest {}).await.unwrap().into_inner();
    let stated = status.limits.unwrap();
    assert_eq!((stated.url_bytes_max, stated.page_size_max, stated.content_bytes_max), (100, 7, 1 << 20));
    assert!(!format!("{status:?}").contains(directory.path().to_str().unwrap()), "{status:?}");
    let long = format!("https://press.example/{}", "a".repeat(100));
    let rejected = pb::RecordObservationRequest { urls: vec![long], ..publish("a", "one") };
    let error = ServerError::from(client.archive.record_observation(rejected).await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (Code::InvalidArgument, "FIELD_INVALID"));
    server.stop().await;
}

#[tokio::test]
async fn a_request_id_always_gets_the_same_reply_even_after_a_restart() {
    let directory = tempfile::TempDir::new().unwrap();
    let server = TestServer::on_directory(directory.path()).await;
    let request = pb::RecordObservationRequest { request_id: "crawl-1".into(), ..publish("a", "one") };
    let mut client = server.client().await;
    let first = client.archive.record_observation(request.clone()).await.unwrap().into_inner();
    client.archive.record_observation(publish("a", "two")).await.unwrap();
    drop(client);
    server.stop().await;

    let server = TestServer::on_directory(directory.path()).await;
    let mut client = server.client().await;
    let again = client.archive.record_observation(request).await.unwrap().into_inner();
    assert_eq!(again, pb::RecordObservationResponse { replayed: true, ..first });
    let other = pb::RecordObservationRequest { request_id: "crawl-1".into(), ..publish("a", "three") };
    let error = ServerError::from(client.archive.record_observation(other).await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (Code::FailedPrecondition, "REQUEST_ID_REUSED"));
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn preconditions_guard_the_newest_state() {
    use pb::precondition::Condition;
    let (_directory, server, mut client) = fresh().await;
    let with = |condition, text| pb::RecordObservationRequest {
        precondition: Some(pb::Precondition { condition: Some(condition) }),
        ..publish("a", text)
    };
    client.archive.record_observation(with(Condition::MustNotExist(true), "one")).await.unwrap();
    let exists = client.archive.record_observation(with(Condition::MustNotExist(true), "two")).await.unwrap_err();
    assert_eq!(exists.code(), Code::AlreadyExists);
    let etag = client.archive.get_article(get("a", None)).await.unwrap().into_inner().article.unwrap().etag;
    client.archive.record_observation(with(Condition::Etag(etag.clone()), "two")).await.unwrap();
    let stale =
        ServerError::from(client.archive.record_observation(with(Condition::Etag(etag), "x")).await.unwrap_err());
    assert_eq!((stale.code, stale.reason.as_str()), (Code::Aborted, "REVISION_CONFLICT"));
    assert_eq!(stale.metadata.get("revision_number").map(String::as_str), Some("2"));
    assert!(stale.message.contains(" does not have the required etag: it is at revision 2"), "{}", stale.message);
    client.archive.record_observation(with(Condition::RevisionNumber(2), "three")).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn withdrawing_ends_an_article_at_a_time_and_keeps_its_history() {
    let (_directory, server, mut client) = fresh().await;
    let first = pb::RecordObservationRequest { observe_time: Some(at(0)), ..publish("a", "one") };
    client.archive.record_observation(first).await.unwrap();
    let withdraw = pb::WithdrawArticleRequest {
        name: name("a"),
        observe_time: Some(at(100)),
        reason: "court order".into(),
        ..pb::WithdrawArticleRequest::default()
    };
    let marked = client.archive.withdraw_article(withdraw.clone()).await.unwrap().into_inner();
    assert!(marked.changed);
    assert_eq!(marked.article.unwrap().state, i32::from(pb::ArticleState::Withdrawn));
    assert!(!client.archive.withdraw_article(withdraw).await.unwrap().into_inner().changed);

    let stub = client.archive.get_article(get("a", None)).await.unwrap().into_inner().article.unwrap();
    assert_eq!((text(&stub).as_str(), stub.state_reason.as_str()), ("", "court order"));
    let before = client.archive.get_article(get("a", as_of(50))).await.unwrap().into_inner().article.unwrap();
    assert_eq!(text(&before), "one");
    let later = pb::RecordObservationRequest { observe_time: Some(at(150)), ..publish("a", "two") };
    let refused = ServerError::from(client.archive.record_observation(later).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition, "ARTICLE_WITHDRAWN"));
    let reinstate = pb::ReinstateArticleRequest {
        name: name("a"),
        observe_time: Some(at(200)),
        ..pb::ReinstateArticleRequest::default()
    };
    client.archive.reinstate_article(reinstate).await.unwrap();
    let live = client.archive.get_article(get("a", None)).await.unwrap().into_inner().article.unwrap();
    assert_eq!((live.state, text(&live).as_str()), (i32::from(pb::ArticleState::Live), "one"));
    server.stop().await;
}

#[tokio::test]
async fn a_rollback_records_an_earlier_content_as_a_new_revision() {
    let (_directory, server, mut client) = fresh().await;
    for text in ["one", "two"] {
        client.archive.record_observation(publish("a", text)).await.unwrap();
    }
    let rollback =
        pb::RollbackArticleRequest { name: name("a"), revision_number: 1, ..pb::RollbackArticleRequest::default() };
    let done = client.archive.rollback_article(rollback.clone()).await.unwrap().into_inner();
    let revision = done.revision.unwrap();
    assert_eq!((revision.number, revision.rollback_of), (3, 1));
    let newest = client.archive.get_article(get("a", None)).await.unwrap().into_inner().article.unwrap();
    assert_eq!(text(&newest), "one");
    let again = client.archive.rollback_article(rollback).await.unwrap().into_inner();
    assert_eq!(again.outcome, i32::from(pb::ObservationOutcome::Unchanged));
    server.stop().await;
}

#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let (_directory, server, mut client) = fresh().await;
    let bad = pb::RecordObservationRequest {
        precondition: Some(pb::Precondition { condition: Some(pb::precondition::Condition::RevisionNumber(7)) }),
        ..publish("a", "three")
    };
    let requests = vec![publish("a", "one"), publish("b", "two"), bad];
    let batch = pb::BatchRecordObservationsRequest { requests: requests.clone() };
    let error = ServerError::from(client.archive.batch_record_observations(batch).await.unwrap_err());
    assert_eq!((error.reason.as_str(), error.metadata["item"].as_str()), ("REVISION_CONFLICT", "requests[2]"));
    assert!(error.message.starts_with("requests[2]: "), "{}", error.message);
    assert_eq!(server.archive.tail().next_seq.0, 0);

    let batch = pb::BatchRecordObservationsRequest { requests: requests[..2].to_vec() };
    let done = client.archive.batch_record_observations(batch).await.unwrap().into_inner();
    assert_eq!(done.snapshot.unwrap().next_seq, 2);
    // A position inside the batch is lowered to its start, where neither article exists yet.
    let inside = pb::AsOf { known_at: Some(pb::as_of::KnownAt::NextSeq(1)), ..pb::AsOf::default() };
    let error = ServerError::from(client.archive.get_article(get("a", Some(inside))).await.unwrap_err());
    assert_eq!(error.reason, "NOT_YET_ARCHIVED");
    server.stop().await;
}

#[tokio::test]
async fn an_import_replies_to_each_message_and_survives_a_bad_one() {
    let (_directory, server, mut client) = fresh().await;
    let message = |offset, requests| pb::ImportObservationsRequest { offset, requests, independent: false };
    let bad = pb::RecordObservationRequest { content: Some(content("", "no headline")), ..publish("b", "") };
    let messages = vec![
        message(10, vec![publish("a", "one"), publish("b", "two")]),
        message(20, vec![publish("a", "three"), bad]),
        message(30, vec![publish("a", "four")]),
    ];
    let mut answers = client.archive.import_observations(tokio_stream::iter(messages)).await.unwrap().into_inner();
    let mut seen = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        seen.push((answer.offset, matches!(answer.result, Some(pb::import_observations_response::Result::Error(_)))));
    }
    assert_eq!(seen, [(10, false), (20, true), (30, false)]);
    assert_eq!(server.archive.tail().next_seq.0, 3);
    server.stop().await;
}

/// Each observation of an independent message has the result that it would have in a message of its own.
#[tokio::test]
async fn observations_of_an_independent_message_do_not_affect_each_other() {
    use pb::import_observations_response::Result as ImportResult;
    use pb::import_result::Result as ItemResult;
    let (_directory, server, mut client) = fresh().await;
    let must_be = |number| pb::Precondition { condition: Some(pb::precondition::Condition::RevisionNumber(number)) };
    let only_if = |id: &str, text: &str, number| pb::RecordObservationRequest {
        precondition: Some(must_be(number)),
        ..publish(id, text)
    };
    let requests = vec![
        publish("a", "one"),
        pb::RecordObservationRequest { content: Some(content("", "no headline")), ..publish("b", "") },
        only_if("a", "two", 1),
        only_if("a", "not after three", 3),
        only_if("a", "three", 2),
        publish("c", "one"),
    ];
    let message = |requests| pb::ImportObservationsRequest { offset: 7, requests, independent: true };
    let validated = requests.iter().map(|it| pb::RecordObservationRequest { validate_only: true, ..it.clone() });
    let messages = vec![
        message(validated.collect()),
        message(requests),
        message(vec![pb::RecordObservationRequest::default(); 2]),
        message(Vec::new()),
    ];
    let mut answers = client.archive.import_observations(tokio_stream::iter(messages)).await.unwrap().into_inner();
    let mut told = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        assert_eq!(answer.offset, 7);
        told.push(match answer.result.unwrap() {
            ImportResult::Results(results) => results
                .results
                .into_iter()
                .map(|result| match result.result.unwrap() {
                    ItemResult::Recorded(recorded) => recorded.revision.unwrap().name,
                    ItemResult::Error(error) => {
                        let error = ServerError::from(dateline::internals::wire::status_from_pb(&error));
                        let fields: Vec<_> = error.field_violations.iter().map(|it| it.field.as_str()).collect();
                        format!("{} {}", error.reason, fields.join(" ")).trim().to_owned()
                    }
                })
                .collect(),
            ImportResult::Error(error) => vec![error.message],
            ImportResult::Recorded(recorded) => panic!("{recorded:?}"),
        });
    }
    let revision = |of: &str, number| format!("sources/courier/articles/{of}/revisions/{number}");
    let [validated, recorded, invalid, empty]: [Vec<String>; 4] = told.try_into().unwrap();
    let unwritten = "ARTICLE_UNKNOWN".to_owned();
    let (headline, conflict) = ("FIELD_INVALID content.headline".to_owned(), "REVISION_CONFLICT".to_owned());
    let first = revision("a", 1);
    assert_eq!(
        validated,
        [&first, &headline, &unwritten, &unwritten, &unwritten, &revision("c", 1)].map(String::clone),
        "nothing is written, so that each is the first"
    );
    assert_eq!(recorded, [first, headline, revision("a", 2), conflict, revision("a", 3), revision("c", 1)]);
    assert!(invalid.len() == 2 && invalid.iter().all(|error| error.starts_with("FIELD_INVALID parent")), "{invalid:?}");
    assert!(empty.len() == 1 && empty[0].contains("has 0 items"), "{empty:?}");
    assert_eq!(server.archive.tail().next_seq.0, 4);
    server.stop().await;
}

/// An import that is left open must not delay a shutdown, and what was acknowledged is kept.
#[tokio::test]
async fn a_shutdown_ends_an_open_import() {
    let (_directory, server, mut client) = fresh().await;
    let (messages, stream) = tokio::sync::mpsc::channel(1);
    let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
    let mut answers = client.archive.import_observations(stream).await.unwrap().into_inner();
    messages
        .send(pb::ImportObservationsRequest { offset: 1, requests: vec![publish("a", "one")], independent: false })
        .await
        .unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().offset, 1);
    let stopped = tokio::spawn(server.stop());
    let error = ServerError::from(answers.message().await.unwrap_err());
    assert_eq!((error.code, error.reason.as_str()), (Code::Unavailable, "DRAINING"));
    drop((messages, answers, client));
    stopped.await.unwrap();
}

#[tokio::test]
async fn all_pages_have_the_snapshot_of_the_first() {
    let (_directory, server, mut client) = fresh().await;
    for id in ["a", "b", "c", "d"] {
        client.archive.record_observation(publish(id, "one")).await.unwrap();
    }
    let mut request =
        pb::ListArticlesRequest { parent: "sources/-".into(), page_size: 2, ..pb::ListArticlesRequest::default() };
    let first = client.archive.list_articles(request.clone()).await.unwrap().into_inner();
    client.archive.record_observation(publish("bb", "late")).await.unwrap();
    client.archive.record_observation(publish("c", "two")).await.unwrap();
    request.page_token = first.next_page_token.clone();
    let second = client.archive.list_articles(request.clone()).await.unwrap().into_inner();
    let names: Vec<_> = first.articles.iter().chain(&second.articles).map(|article| article.name.clone()).collect();
    assert_eq!(names, ["a", "b", "c", "d"].map(name));
    assert!(second.articles.iter().all(|article| article.revision_count == 1));
    assert_eq!((first.snapshot, second.next_page_token.as_str()), (second.snapshot, ""));
    server.stop().await;
}

#[tokio::test]
async fn an_article_is_found_by_any_spelling_of_its_urls() {
    let (_directory, server, mut client) = fresh().await;
    let url = "https://courier.example/City/bridge?page=2";
    let request = pb::RecordObservationRequest {
        article_id: String::new(),
        content: Some(pb::Content { canonical_url: url.into(), ..content("Bridge to close", "one") }),
        urls: vec!["https://amp.courier.example/bridge".into()],
        ..publish("", "")
    };
    let made = client.archive.record_observation(request.clone()).await.unwrap().into_inner().revision.unwrap();
    let lookup = |url: &str| pb::LookupArticleRequest { url: url.into(), ..pb::LookupArticleRequest::default() };
    for spelling in
        ["http://COURIER.example:80/City/bridge?utm_source=x&page=2#top", "https://amp.courier.example/bridge?fbclid=1"]
    {
        let found = client.archive.lookup_article(lookup(spelling)).await.unwrap().into_inner().article.unwrap();
        assert!(made.name.starts_with(&found.name), "{spelling} led to {}", found.name);
    }
    let other_path = client.archive.lookup_article(lookup("https://courier.example/city/bridge?page=2")).await;
    assert_eq!(other_path.unwrap_err().code(), Code::NotFound);
    // Another article cannot take over the URL, and its writer gets a warning.
    let thief = pb::RecordObservationRequest { article_id: "thief".into(), ..request };
    let warned = client.archive.record_observation(thief).await.unwrap().into_inner().warnings;
    assert_eq!(warned.len(), 2);
    assert_eq!(warned[0].reason, "URL_BELONGS_TO_OTHER_ARTICLE");
    let (owner, _) = made.name.rsplit_once("/revisions/").unwrap();
    let belongs = format!(" was not recorded for this article, since it belongs to {owner}; if they are the same");
    assert!(warned[0].message.contains(&belongs), "{}", warned[0].message);
    server.stop().await;
}

#[tokio::test]
async fn an_original_is_stored_verbatim() {
    let (_directory, server, mut client) = fresh().await;
    let data: Vec<u8> = (0..300_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let request = pb::RecordObservationRequest {
        original: Some(pb::Original {
            media_type: "text/html".into(),
            data: data.clone().into(),
            ..pb::Original::default()
        }),
        ..publish("a", "one")
    };
    client.archive.record_observation(request).await.unwrap();
    let get = pb::GetRevisionRequest {
        name: format!("{}/revisions/latest", name("a")),
        include_original: true,
        ..pb::GetRevisionRequest::default()
    };
    let original = client.archive.get_revision(get).await.unwrap().into_inner().revision.unwrap().original.unwrap();
    assert_eq!((original.media_type.as_str(), original.size_bytes), ("text/html", 300_000));
    assert_eq!(original.data, data);
    server.stop().await;
}

#[tokio::test]
async fn a_read_can_wait_for_a_write() {
    let (_directory, server, client) = fresh().await;
    let mut reader = client.clone();
    let mut writer = client.clone();
    let waiting = tokio::spawn(async move {
        reader.archive.get_article(pb::GetArticleRequest { min_next_seq: 1, ..get("a", None) }).await
    });
    writer.archive.record_observation(publish("a", "one")).await.unwrap();
    let read = waiting.await.unwrap().unwrap().into_inner().article.unwrap();
    assert_eq!(text(&read), "one");
    drop((client, writer));
    server.stop().await;
}

#[tokio::test]
async fn a_read_as_known_now_is_repeatable() {
    let (_directory, server, mut client) = fresh().await;
    client.archive.record_observation(publish("a", "one")).await.unwrap();
    let now = dateline::internals::clock::Clock::now(&dateline::internals::clock::SystemClock);
    let now = pb::as_of::KnownAt::ArchiveTime(dateline::internals::wire::timestamp_to_pb(now));
    let as_of = Some(pb::AsOf { known_at: Some(now), ..pb::AsOf::default() });
    let read = client.archive.get_article(get("a", as_of.clone())).await.unwrap().into_inner();
    client.archive.record_observation(publish("a", "two")).await.unwrap();
    let again = client.archive.get_article(get("a", as_of)).await.unwrap().into_inner();
    assert_eq!(read.article.as_ref().map(text), again.article.as_ref().map(text));
    assert_eq!(read.snapshot, again.snapshot);
    server.stop().await;
}
