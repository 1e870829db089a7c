//! Addresses end: a URL leads to an article from a time until a time, and may then lead to another one.

use dateline::internals::client::{Client, ServerError};
use dateline::internals::wire::pb;
use pb::ChangeKind::{Aliased, Created, Revised, Sighted, UrlMoved};
use pb::move_url_request::Destination;
use tonic::Code;

use crate::server::{at, content, fresh, name, publish};

const LIVE: &str = "https://www.example.com/live";

/// An observation of an article under the address.
fn seen(id: &str, text: &str, seconds: i64) -> pb::RecordObservationRequest {
    pb::RecordObservationRequest { urls: vec![LIVE.to_owned()], observe_time: Some(at(seconds)), ..publish(id, text) }
}

/// An observation that names no article.
fn found(text: &str, seconds: i64) -> pb::RecordObservationRequest {
    pb::RecordObservationRequest { article_id: String::new(), ..seen("", text, seconds) }
}

fn to(id: &str, seconds: i64) -> pb::MoveUrlRequest {
    pb::MoveUrlRequest {
        url: LIVE.to_owned(),
        destination: Some(Destination::Name(name(id))),
        observe_time: Some(at(seconds)),
        ..pb::MoveUrlRequest::default()
    }
}

fn end(seconds: i64) -> pb::MoveUrlRequest {
    pb::MoveUrlRequest { destination: Some(Destination::Ends(true)), ..to("a", seconds) }
}

async fn record(client: &Client, request: pb::RecordObservationRequest) -> pb::RecordObservationResponse {
    client.archive.clone().record_observation(request).await.unwrap().into_inner()
}

async fn moved(client: &Client, request: pb::MoveUrlRequest) -> pb::MoveUrlResponse {
    client.archive.clone().move_url(request).await.unwrap().into_inner()
}

async fn rejected(client: &Client, request: pb::MoveUrlRequest) -> ServerError {
    client.archive.clone().move_url(request).await.unwrap_err().into()
}

/// The id of the article to which the address leads at a time, or the reason why it leads nowhere.
async fn leads(client: &Client, seconds: Option<i64>, next_seq: Option<u64>) -> String {
    let known_at = next_seq.map(pb::as_of::KnownAt::NextSeq);
    let as_of = Some(pb::AsOf { observe_time: seconds.map(at), known_at, ..pb::AsOf::default() });
    let request = pb::LookupArticleRequest { url: format!("{LIVE}#top"), as_of, ..Default::default() };
    match client.archive.clone().lookup_article(request).await {
        Ok(found) => found.into_inner().article.unwrap().name.rsplit_once('/').unwrap().1.to_owned(),
        Err(status) => ServerError::from(status).reason,
    }
}

async fn article(client: &Client, id: &str) -> pb::Article {
    let request = pb::GetArticleRequest { name: name(id), ..Default::default() };
    client.archive.clone().get_article(request).await.unwrap().into_inner().article.unwrap()
}

/// The periods of the article's addresses: since when, until when, and where each leads then.
async fn periods(client: &Client, id: &str) -> Vec<(i64, Option<i64>, String)> {
    let seconds = |time: &prost_types::Timestamp| time.seconds - at(0).seconds;
    let period = |url: &pb::ArticleUrl| {
        (seconds(url.observe_time.as_ref().unwrap()), url.end_time.as_ref().map(seconds), url.moved_to.clone())
    };
    article(client, id).await.urls.iter().map(period).collect()
}

async fn changes(client: &Client) -> Vec<pb::Change> {
    let position = pb::feed_start::Position::Beginning(true);
    let start = Some(pb::FeedStart { position: Some(position) });
    let kinds = [Created, Revised, Sighted, Aliased, UrlMoved].map(i32::from).to_vec();
    let request = pb::ListChangesRequest { start, kinds, ..Default::default() };
    client.feed.clone().list_changes(request).await.unwrap().into_inner().changes
}

/// Two articles, of which `a` was seen under the address at 10, and `b` elsewhere at 5.
async fn two(client: &Client) {
    record(client, seen("a", "one", 10)).await;
    let b = pb::RecordObservationRequest { urls: Vec::new(), ..seen("b", "two", 5) };
    record(client, b).await;
}

#[tokio::test]
async fn a_moved_address_leads_to_each_article_in_its_time() {
    let (_directory, _server, client) = fresh().await;
    two(&client).await;
    let response = moved(&client, pb::MoveUrlRequest { reason: "the day is over".to_owned(), ..to("b", 20) }).await;
    assert!(response.changed && !response.replayed);
    assert_eq!((response.lost_by, response.leads_to), (name("a"), name("b")));
    assert_eq!(response.article.unwrap().name, name("b"));
    for (seconds, id) in [(Some(10), "a"), (Some(19), "a"), (Some(20), "b"), (None, "b")] {
        assert_eq!(leads(&client, seconds, None).await, id, "{seconds:?}");
    }
    assert_eq!(leads(&client, None, Some(2)).await, "a", "as known before the move");
    assert_eq!(leads(&client, Some(9), None).await, "NOT_YET_OBSERVED", "before its first time, it leads there too");
    assert_eq!(periods(&client, "a").await, [(10, Some(20), name("b"))]);
    assert_eq!(periods(&client, "b").await, [(20, None, String::new())]);

    let told = &changes(&client).await[2..];
    let ids: Vec<_> = told.iter().map(|change| change.article.clone()).collect();
    assert_eq!(ids, [name("a"), name("b")], "one change of each article");
    assert!(told.iter().all(|change| change.kind() == UrlMoved && change.reason == "the day is over"));
    assert_eq!((told[0].batch_end, told[1].batch_end), (false, true), "one atomic batch");
    assert_eq!((told[0].urls.len(), told[0].urls_ended.len()), (0, 1));
    assert_eq!((told[1].urls.len(), told[1].urls_ended.len()), (1, 0));
    assert_eq!(told[0].urls_ended[0].end_time, Some(at(20)));
}

#[tokio::test]
async fn a_late_observation_by_url_goes_to_the_article_of_its_time() {
    let (_directory, _server, client) = fresh().await;
    two(&client).await;
    moved(&client, to("b", 20)).await;
    let article_of = |response: pb::RecordObservationResponse| response.revision.unwrap().name;
    assert_eq!(article_of(record(&client, found("late", 15)).await), format!("{}/revisions/2", name("a")));
    assert_eq!(article_of(record(&client, found("new", 25)).await), format!("{}/revisions/2", name("b")));
    let late = record(&client, seen("a", "later", 30)).await;
    assert_eq!(late.warnings[0].reason, "URL_BELONGS_TO_OTHER_ARTICLE");
    assert!(record(&client, seen("a", "earlier", 12)).await.warnings.is_empty(), "it had the address then");
}

#[tokio::test]
async fn an_ended_address_leads_nowhere_until_an_article_is_seen_there() {
    let (_directory, _server, client) = fresh().await;
    let created = record(&client, found("one", 10)).await;
    let a = created.revision.unwrap().name.split_once("/revisions/").unwrap().0.to_owned();
    let response = moved(&client, end(20)).await;
    assert_eq!((response.lost_by, response.leads_to.as_str()), (a.clone(), ""));
    assert_eq!(leads(&client, Some(25), None).await, "URL_ENDED");
    assert_eq!(leads(&client, Some(15), None).await, a.rsplit_once('/').unwrap().1);
    let request = pb::LookupArticleRequest { url: LIVE.to_owned(), ..Default::default() };
    let error: ServerError = client.archive.clone().lookup_article(request).await.unwrap_err().into();
    assert_eq!((error.code, error.reason.as_str()), (Code::NotFound, "URL_ENDED"));
    assert_eq!(error.metadata["article"], a);
    assert_eq!(error.metadata["end_time"], "2026-01-01T00:00:20Z");

    // The name that is derived from the address is in use.
    let second = record(&client, found("another text", 30)).await;
    assert!(second.warnings.is_empty());
    assert_eq!(second.revision.unwrap().name, format!("{a}-2/revisions/1"));
    assert_eq!(leads(&client, None, None).await, format!("{}-2", a.rsplit_once('/').unwrap().1));
    assert_eq!(leads(&client, Some(25), None).await, "URL_ENDED", "nothing is known of the time in between");
    let again = record(&client, found("another text", 40)).await;
    assert_eq!(again.revision.unwrap().name, format!("{a}-2/revisions/1"));
}

#[tokio::test]
async fn a_repeated_move_gets_the_first_reply() {
    let (_directory, _server, client) = fresh().await;
    two(&client).await;
    let asked = pb::MoveUrlRequest { request_id: "r".to_owned(), ..to("b", 20) };
    let first = moved(&client, asked.clone()).await;
    let again = moved(&client, asked.clone()).await;
    assert!(again.replayed && again.changed);
    assert_eq!((&again.lost_by, &again.leads_to, &again.snapshot), (&first.lost_by, &first.leads_to, &first.snapshot));
    let other = pb::MoveUrlRequest { reason: "another".to_owned(), ..asked };
    assert_eq!(rejected(&client, other).await.reason, "REQUEST_ID_REUSED");

    // An end is remembered by the article that lost the address, even after it was moved on.
    let ended = pb::MoveUrlRequest { request_id: "e".to_owned(), ..end(30) };
    assert_eq!(moved(&client, ended.clone()).await.lost_by, name("b"));
    moved(&client, to("a", 30)).await;
    let again = moved(&client, ended).await;
    assert_eq!((again.replayed, again.lost_by), (true, name("b")));
    assert_eq!(leads(&client, None, None).await, "a");
    // So is an observation that was found by the address.
    let observed = pb::RecordObservationRequest { request_id: "o".to_owned(), ..found("five", 40) };
    let first = record(&client, observed.clone()).await;
    moved(&client, to("b", 40)).await;
    let again = record(&client, observed).await;
    assert_eq!((again.replayed, again.revision), (true, first.revision));
}

#[tokio::test]
async fn a_move_that_changes_nothing_is_not_recorded() {
    let (_directory, server, client) = fresh().await;
    two(&client).await;
    moved(&client, to("b", 20)).await;
    let tail = server.archive.tail();
    let again = moved(&client, to("b", 20)).await;
    assert!(!again.changed && again.lost_by.is_empty());
    assert!(!moved(&client, to("b", 25)).await.changed, "it leads there already");
    let tried = moved(&client, pb::MoveUrlRequest { validate_only: true, ..end(30) }).await;
    assert_eq!((tried.changed, tried.lost_by, tried.leads_to), (true, name("b"), name("b")));
    assert_eq!(server.archive.tail(), tail);
    moved(&client, end(30)).await;
    assert!(!moved(&client, end(40)).await.changed, "it leads nowhere already");
    let from = |id: &str| pb::MoveUrlRequest { from_name: name(id), ..end(40) };
    assert!(!moved(&client, from("b")).await.changed, "it led there until it ended");
    let error = rejected(&client, from("a")).await;
    assert_eq!((error.reason.as_str(), error.metadata.get("article")), ("URL_LEADS_ELSEWHERE", None));
    // An import of the same moves: the later one does not make the earlier one new.
    assert!(!moved(&client, to("b", 20)).await.changed);
    let from_a = pb::MoveUrlRequest { from_name: name("a"), ..end(20) };
    assert!(!moved(&client, from_a).await.changed);
}

#[tokio::test]
async fn a_move_at_an_earlier_time_leaves_later_ones_as_they_are() {
    let (_directory, _server, client) = fresh().await;
    two(&client).await;
    record(&client, seen("c", "three", 1)).await;
    moved(&client, to("b", 20)).await;
    let response = moved(&client, to("c", 15)).await;
    assert_eq!((response.lost_by, response.leads_to), (name("a"), name("b")));
    assert_eq!(periods(&client, "c").await, [(15, Some(20), name("b"))]);
    assert_eq!(periods(&client, "a").await, [(10, Some(15), name("c"))]);
    assert_eq!(leads(&client, Some(17), None).await, "c");
    assert_eq!(leads(&client, Some(20), None).await, "b");
    // From its first time on: then the article never had it.
    moved(&client, to("b", 10)).await;
    assert_eq!(periods(&client, "a").await, []);
}

#[tokio::test]
async fn a_move_names_what_is_wrong() {
    let (_directory, _server, client) = fresh().await;
    two(&client).await;
    let reason = async |request| {
        let error = rejected(&client, request).await;
        (error.code, error.reason)
    };
    let expected = |code, reason: &str| (code, reason.to_owned());
    let precondition = Code::FailedPrecondition;
    assert_eq!(reason(to("none", 20)).await, expected(Code::NotFound, "ARTICLE_UNKNOWN"));
    assert_eq!(reason(to("b", 4)).await, expected(precondition, "URL_MOVE_TOO_EARLY"));
    assert_eq!(reason(end(4)).await, expected(precondition, "URL_LEADS_ELSEWHERE"));
    let from = |id: &str, request| pb::MoveUrlRequest { from_name: name(id), ..request };
    assert_eq!(reason(from("c", to("b", 20))).await, expected(precondition, "URL_LEADS_ELSEWHERE"));
    assert_eq!(reason(from("b", end(20))).await, expected(precondition, "URL_LEADS_ELSEWHERE"));
    assert_eq!(reason(from("b", to("b", 20))).await, expected(Code::InvalidArgument, "FIELD_INVALID"));
    let unknown = pb::MoveUrlRequest { url: "https://www.example.com/other".to_owned(), ..end(20) };
    assert_eq!(reason(unknown).await, expected(Code::NotFound, "ARTICLE_UNKNOWN"));
    let nameless = Some(Destination::Name("b".to_owned()));
    let malformed = pb::MoveUrlRequest { url: "ftp://x".to_owned(), destination: nameless, ..end(20) };
    let error = rejected(&client, malformed).await;
    assert!(error.message.contains("url") && error.message.contains("1 more field is wrong"), "{}", error.message);
    // A field that was forgotten must not end an address.
    for (destination, field) in
        [(None, "name"), (Some(Destination::Name(String::new())), "name"), (Some(Destination::Ends(false)), "ends")]
    {
        let error = rejected(&client, pb::MoveUrlRequest { destination, ..end(20) }).await;
        assert_eq!((error.code, error.reason.as_str()), (Code::InvalidArgument, "FIELD_INVALID"));
        assert_eq!(error.metadata["field"], field);
    }
    let must_not_exist = pb::precondition::Condition::MustNotExist(true);
    let condition = Some(pb::Precondition { condition: Some(must_not_exist) });
    let conditional = pb::MoveUrlRequest { precondition: condition, ..to("b", 20) };
    assert_eq!(reason(conditional).await, expected(Code::AlreadyExists, "ARTICLE_EXISTS"));
    assert_eq!(leads(&client, None, None).await, "a", "a rejected move leaves no half of it");
}

#[tokio::test]
async fn a_filter_by_address_sees_one_article_leave_and_the_other_enter() {
    let (_directory, _server, client) = fresh().await;
    two(&client).await;
    moved(&client, to("b", 20)).await;
    let filter = Some(pb::ArticleFilter { url_prefix: LIVE.to_owned(), ..Default::default() });
    let start = Some(pb::FeedStart { position: Some(pb::feed_start::Position::Beginning(true)) });
    let request = pb::ListChangesRequest { start, filter: filter.clone(), ..Default::default() };
    let told = client.feed.clone().list_changes(request).await.unwrap().into_inner().changes;
    let told: Vec<_> = told.iter().map(|change| (change.seq, change.left_filter)).collect();
    assert_eq!(told, [(0, false), (2, true), (3, false)]);
    // Until 20, `b` did not have the address, because another article had it.
    for (seconds, ids) in [(None, &["b"][..]), (Some(15), &["a"][..]), (Some(7), &[][..])] {
        let as_of = Some(pb::AsOf { observe_time: seconds.map(at), ..Default::default() });
        let parent = "sources/-".to_owned();
        let request = pb::ListArticlesRequest { parent, filter: filter.clone(), as_of, ..Default::default() };
        let listed = client.archive.clone().list_articles(request).await.unwrap().into_inner().articles;
        let names: Vec<_> = listed.into_iter().map(|article| article.name).collect();
        assert_eq!(names, ids.iter().map(|id| name(id)).collect::<Vec<_>>(), "{seconds:?}");
    }
}

/// Thirty words that no other of these texts has.
fn words(stem: &str) -> String {
    (0..30).map(|number| format!("{stem}{number}")).collect::<Vec<_>>().join(" ")
}

fn page(canonical: &str, stem: &str, seconds: i64, urls: &[&str]) -> pb::RecordObservationRequest {
    let content =
        pb::Content { canonical_url: canonical.to_owned(), ..content(&words(&format!("{stem}h")), &words(stem)) };
    let urls = urls.iter().map(ToString::to_string).collect();
    pb::RecordObservationRequest { content: Some(content), urls, ..found("", seconds) }
}

#[tokio::test]
async fn a_reused_address_is_warned_about() {
    let (_directory, _server, client) = fresh().await;
    const OWN: &str = "https://www.example.com/2026/storm";
    let reasons = |response: &pb::RecordObservationResponse| {
        response.warnings.iter().map(|warning| warning.reason.clone()).collect::<Vec<_>>()
    };
    record(&client, page("", "storm", 10, &[LIVE])).await;
    let first = record(&client, page("", "rain", 12, &[LIVE])).await;
    assert_eq!(reasons(&first), [""; 0], "it is the article's only address");
    record(&client, page(OWN, "storm", 20, &[LIVE])).await;
    let own = record(&client, page(OWN, "sun", 22, &[])).await;
    assert_eq!(reasons(&own), [""; 0], "it is the article's own address");
    let asked = pb::RecordObservationRequest { request_id: "r".to_owned(), ..page("", "match", 30, &[LIVE]) };
    let reused = record(&client, asked.clone()).await;
    assert_eq!(reasons(&reused), ["URL_REUSED"]);
    assert!(reused.warnings[0].message.contains("dateline move-url"), "{}", reused.warnings[0].message);
    let again = record(&client, asked).await;
    assert_eq!((again.replayed, again.warnings), (true, reused.warnings));

    record(&client, page(OWN, "sun", 32, &[])).await;
    let mut similar = page("", "sun", 34, &[LIVE]);
    let paragraph = crate::server::paragraph(&format!("{} {}", words("sun"), words("more")));
    similar.content.as_mut().unwrap().blocks = vec![paragraph];
    assert_eq!(reasons(&record(&client, similar).await), [""; 0], "it still has the words");
    record(&client, page(OWN, "sun", 36, &[])).await;
    let named = pb::RecordObservationRequest { article_id: "named".to_owned(), ..page("", "golf", 38, &[]) };
    record(&client, named.clone()).await;
    let named = pb::RecordObservationRequest { observe_time: Some(at(40)), ..named };
    assert_eq!(reasons(&record(&client, named).await), [""; 0]);
}

#[tokio::test]
async fn a_missing_page_is_that_of_the_article_to_which_its_address_leads_then() {
    let (_directory, _server, client) = fresh().await;
    two(&client).await;
    moved(&client, end(20)).await;
    moved(&client, to("b", 30)).await;
    for (seconds, expected) in [(9, "STATE_CHANGE_TOO_EARLY"), (15, "a"), (25, "URL_ENDED"), (35, "b")] {
        let request = pb::RecordAbsenceRequest {
            target: Some(pb::record_absence_request::Target::Url(LIVE.to_owned())),
            observe_time: Some(at(seconds)),
            reason: pb::AbsenceReason::NotFound.into(),
            ..Default::default()
        };
        let missed = match client.archive.clone().record_absence(request).await {
            Ok(missed) => missed.into_inner().article.unwrap().name.rsplit_once('/').unwrap().1.to_owned(),
            Err(status) => ServerError::from(status).reason,
        };
        assert_eq!(missed, expected, "at {seconds}");
    }
}

#[tokio::test]
async fn before_its_first_time_an_address_leads_where_it_leads_first() {
    let (_directory, _server, client) = fresh().await;
    two(&client).await;
    // It never led to `a`, for any time.
    moved(&client, end(10)).await;
    assert_eq!(leads(&client, Some(7), None).await, "ARTICLE_UNKNOWN", "it leads nowhere at all");
    moved(&client, to("b", 20)).await;
    assert_eq!(leads(&client, Some(7), None).await, "b");
    assert_eq!(leads(&client, Some(15), None).await, "URL_ENDED");
    assert_eq!(leads(&client, Some(7), Some(3)).await, "ARTICLE_UNKNOWN", "as known before the move");
}

#[tokio::test]
async fn an_address_is_moved_or_ended_at_most_1024_times() {
    let (_directory, _server, client) = fresh().await;
    two(&client).await;
    // Each ends it earlier than the one before. With the observation, these are all that are allowed.
    for seconds in (12..=1_034).rev() {
        assert!(moved(&client, end(seconds)).await.changed);
    }
    let error = rejected(&client, end(11)).await;
    assert_eq!((error.code, error.reason.as_str()), (Code::FailedPrecondition, "TOO_MANY_MOVES"));
    assert_eq!((error.metadata["url"].as_str(), error.metadata["moves_max"].as_str()), (LIVE, "1024"));
    assert!(!moved(&client, end(500)).await.changed, "it ended there before");
    assert!(record(&client, seen("a", "back", 2_000)).await.warnings.is_empty(), "an observation is always taken");
    assert_eq!(rejected(&client, to("b", 3_000)).await.reason, "TOO_MANY_MOVES");
    assert_eq!(leads(&client, None, None).await, "a");
}

#[tokio::test]
async fn an_article_takes_at_most_256_periods_of_addresses() {
    let (_directory, _server, client) = fresh().await;
    two(&client).await;
    let mut bound = 0;
    for batch in 0..16 {
        let urls = (0..16).map(|url| format!("https://www.example.com/b/{batch}/{url}")).collect::<Vec<_>>();
        bound += urls.len();
        let request = pb::RecordObservationRequest { urls, ..seen("b", "two", 5) };
        assert!(record(&client, request).await.warnings.is_empty());
    }
    assert_eq!(bound, 256);
    let error = rejected(&client, to("b", 20)).await;
    assert_eq!((error.code, error.reason.as_str()), (Code::FailedPrecondition, "TOO_MANY_URLS"));
    assert_eq!(leads(&client, Some(25), None).await, "a");
    // One that never led there at all makes room, and one that ended does not.
    moved(&client, pb::MoveUrlRequest { url: "https://www.example.com/b/0/0".to_owned(), ..end(30) }).await;
    assert_eq!(rejected(&client, to("b", 20)).await.reason, "TOO_MANY_URLS");
    moved(&client, pb::MoveUrlRequest { url: "https://www.example.com/b/0/1".to_owned(), ..end(5) }).await;
    assert!(moved(&client, to("b", 20)).await.changed);
    assert_eq!(article(&client, "b").await.urls.len(), 256);
}
