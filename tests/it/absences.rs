//! An absence is an observation: looks that find a page missing are recorded, enough of them in a row make the article
//! GONE, and the next observation makes it LIVE again, by itself.

use dateline::internals::client::{Client, ServerError};
use dateline::internals::wire::pb;
use pb::ArticleState::{Gone, Live, Withdrawn};
use pb::ChangeKind::{Absent, Created, Labelled, Sighted};
use pb::record_absence_request::Target;
use tonic::Code;

use crate::server::{at, fresh, name, publish};

const NOT_FOUND: i32 = pb::AbsenceReason::NotFound as i32;

fn missing(seconds: i64) -> pb::RecordAbsenceRequest {
    pb::RecordAbsenceRequest {
        target: Some(Target::Name(name("a"))),
        observe_time: Some(at(seconds)),
        reason: NOT_FOUND,
        http_status: 404,
        ..pb::RecordAbsenceRequest::default()
    }
}

async fn miss(client: &Client, request: pb::RecordAbsenceRequest) -> pb::RecordAbsenceResponse {
    client.archive.clone().record_absence(request).await.unwrap().into_inner()
}

async fn rejected(client: &Client, request: pb::RecordAbsenceRequest) -> ServerError {
    client.archive.clone().record_absence(request).await.unwrap_err().into()
}

async fn see(client: &Client, seconds: i64) -> pb::RecordObservationResponse {
    let request = pb::RecordObservationRequest { observe_time: Some(at(seconds)), ..publish("a", "It closes.") };
    client.archive.clone().record_observation(request).await.unwrap().into_inner()
}

async fn article(client: &Client, as_of: pb::AsOf) -> pb::Article {
    let request = pb::GetArticleRequest { name: name("a"), as_of: Some(as_of), ..Default::default() };
    client.archive.clone().get_article(request).await.unwrap().into_inner().article.unwrap()
}

async fn newest(client: &Client) -> pb::Article {
    article(client, pb::AsOf::default()).await
}

async fn then(client: &Client, seconds: i64) -> pb::Article {
    article(client, pb::AsOf { observe_time: Some(at(seconds)), ..Default::default() }).await
}

/// The changes of the log, of these kinds or the default ones: kind and state of each.
async fn changes(client: &Client, kinds: Vec<i32>) -> Vec<(pb::ChangeKind, pb::ArticleState)> {
    let position = pb::feed_start::Position::Beginning(true);
    let start = Some(pb::FeedStart { position: Some(position) });
    let request = pb::ListChangesRequest { start, kinds, ..Default::default() };
    let changes = client.feed.clone().list_changes(request).await.unwrap().into_inner().changes;
    changes.iter().map(|change| (change.kind(), change.state())).collect()
}

/// When a run of absences began and ended, and how many there are.
fn bounds(article: &pb::Article) -> Option<(i64, i64, i64, u32)> {
    let absence = article.absence.as_ref()?;
    let seconds = |time: &Option<prost_types::Timestamp>| time.unwrap().seconds - at(0).seconds;
    let (seen, first) = (seconds(&absence.last_seen_time), seconds(&absence.first_missed_time));
    Some((seen, first, seconds(&absence.last_missed_time), absence.count))
}

#[tokio::test]
async fn an_article_is_gone_from_the_first_of_three_absences_and_live_when_it_is_seen_again() {
    let (_directory, _server, client) = fresh().await;
    see(&client, 0).await;
    see(&client, 10).await;
    for (seconds, count) in [(20, 1), (30, 2)] {
        let done = miss(&client, missing(seconds)).await;
        let shown = done.article.unwrap();
        assert_eq!((done.changed, shown.state(), bounds(&shown)), (true, Live, Some((10, 20, seconds, count))));
        assert_eq!(shown.absence.as_ref().unwrap().gone_after, 3);
    }
    let before = newest(&client).await;
    let done = miss(&client, missing(40)).await;
    let shown = done.article.clone().unwrap();
    assert_eq!((shown.state(), shown.state_time, shown.state_reason.as_str()), (Gone, Some(at(20)), ""));
    let gone = newest(&client).await;
    assert_eq!((gone.state(), gone.etag == done.etag, gone.etag == before.etag), (Gone, true, false));
    assert_eq!(done.state(), Gone);
    assert_eq!(bounds(&gone), Some((10, 20, 40, 3)));
    assert_eq!(gone.revision.unwrap().content.unwrap().blocks.len(), 1, "the body is still returned");
    // In hindsight it was gone from the first absence on; as known before, it was not.
    for (seconds, state, count) in [(19, Live, None), (20, Gone, Some(1)), (35, Gone, Some(2)), (99, Gone, Some(3))] {
        let shown = then(&client, seconds).await;
        let counted = shown.absence.as_ref().map(|absence| absence.count);
        assert_eq!((shown.state(), counted), (state, count), "at {seconds}");
    }
    let known_at = Some(pb::as_of::KnownAt::NextSeq(4));
    let shown = article(&client, pb::AsOf { observe_time: Some(at(35)), known_at, ..Default::default() }).await;
    assert_eq!((shown.state(), bounds(&shown)), (Live, Some((10, 20, 30, 2))));

    let again = see(&client, 50).await;
    let live = newest(&client).await;
    assert_eq!((live.state(), live.absence, live.state_time), (Live, None, None));
    assert_eq!((&again.etag, again.state()), (&live.etag, Live));
    assert_ne!(live.etag, gone.etag, "a sighting that ends GONE changes the state");
    assert_eq!(then(&client, 45).await.state(), Gone);
    // The sighting at 10 is left out by default, and the one that changed the state is not.
    let expected = [(Created, Live), (Absent, Live), (Absent, Live), (Absent, Gone), (Sighted, Live)];
    assert_eq!(changes(&client, Vec::new()).await, expected);
}

#[tokio::test]
async fn a_late_observation_may_show_that_the_article_was_not_gone() {
    let (_directory, _server, client) = fresh().await;
    see(&client, 0).await;
    for seconds in [10, 20, 30] {
        miss(&client, missing(seconds)).await;
    }
    assert_eq!(newest(&client).await.state(), Gone);
    see(&client, 15).await;
    let shown = newest(&client).await;
    assert_eq!((shown.state(), bounds(&shown)), (Live, Some((15, 20, 30, 2))));
    assert_eq!(changes(&client, Vec::new()).await.last(), Some(&(Sighted, Live)));
    // A late absence makes it gone again, from the first absence after that observation.
    let late = miss(&client, missing(17)).await.article.unwrap();
    assert_eq!((late.state(), bounds(&late)), (Gone, Some((15, 17, 17, 1))));
    assert_eq!(bounds(&newest(&client).await), Some((15, 17, 30, 3)));
}

#[tokio::test]
async fn a_withdrawal_takes_precedence() {
    let (_directory, _server, client) = fresh().await;
    see(&client, 0).await;
    let observe_time = Some(at(10));
    let withdraw = pb::WithdrawArticleRequest { name: name("a"), observe_time, ..Default::default() };
    client.archive.clone().withdraw_article(withdraw).await.unwrap();
    let before = newest(&client).await;
    let done = miss(&client, pb::RecordAbsenceRequest { gone_after: 1, ..missing(20) }).await;
    assert_eq!((&done.etag, done.state()), (&before.etag, Withdrawn), "its state is what it was");
    let shown = done.article.unwrap();
    assert_eq!((shown.state(), shown.state_time, bounds(&shown)), (Withdrawn, observe_time, Some((0, 20, 20, 1))));
    // Reinstated, it is what looks have found.
    let reinstate = pb::ReinstateArticleRequest { name: name("a"), observe_time: Some(at(30)), ..Default::default() };
    client.archive.clone().reinstate_article(reinstate).await.unwrap();
    let shown = newest(&client).await;
    assert_eq!((shown.state(), shown.state_time), (Gone, Some(at(30))));
    see(&client, 40).await;
    assert_eq!(newest(&client).await.state(), Live);
}

/// The reinstatement moved the beginning of GONE, although the article had been GONE before it.
#[tokio::test]
async fn a_reinstatement_of_an_article_that_was_not_withdrawn_does_not_alter_since_when_it_is_gone() {
    let (_directory, _server, client) = fresh().await;
    see(&client, 0).await;
    for seconds in [20, 30, 40] {
        miss(&client, missing(seconds)).await;
    }
    let reinstate = pb::ReinstateArticleRequest { name: name("a"), observe_time: Some(at(50)), ..Default::default() };
    let done = client.archive.clone().reinstate_article(reinstate).await.unwrap().into_inner().article.unwrap();
    assert_eq!((done.state(), done.state_time), (Gone, Some(at(20))));
    for shown in [newest(&client).await, then(&client, 60).await, then(&client, 45).await] {
        assert_eq!((shown.state(), shown.state_time), (Gone, Some(at(20))));
    }
    see(&client, 70).await;
    let shown = newest(&client).await;
    assert_eq!((shown.state(), shown.state_time), (Live, Some(at(50))), "the reinstatement is in force");
}

/// The whole run was read for each late look, and its count had no limit.
#[tokio::test]
async fn a_run_is_counted_up_to_as_many_absences_as_a_look_can_require() {
    let (_directory, _server, client) = fresh().await;
    see(&client, 0).await;
    let instants: Vec<i64> = (1..=1_003).rev().collect();
    for some in instants.chunks(50) {
        let mut looks = tokio::task::JoinSet::new();
        for seconds in some {
            let request = pb::RecordAbsenceRequest { gone_after: 1_000, ..missing(*seconds) };
            let client = client.clone();
            looks.spawn(async move { miss(&client, request).await });
        }
        looks.join_all().await;
    }
    let gone = newest(&client).await;
    assert_eq!((gone.state(), bounds(&gone)), (Gone, Some((0, 1, 1_003, 1_000))));
    for (seconds, count) in [(1, 1), (999, 999), (1_000, 1_000), (1_002, 1_000)] {
        let shown = then(&client, seconds).await;
        assert_eq!((shown.state(), bounds(&shown)), (Gone, Some((0, 1, seconds, count))));
    }
    let next = miss(&client, missing(1_004)).await.article.unwrap();
    assert_eq!(bounds(&next), Some((0, 1, 1_004, 1_000)));
    // An observation in the middle leaves two runs of too few looks, but for the last look, which requires only three.
    see(&client, 500).await;
    let (before, after) = (then(&client, 499).await, newest(&client).await);
    assert_eq!((before.state(), bounds(&before)), (Live, Some((0, 1, 499, 499))));
    assert_eq!((after.state(), bounds(&after)), (Gone, Some((500, 501, 1_004, 504))));
}

#[tokio::test]
async fn the_first_absences_always_count_and_later_ones_may_be_coalesced() {
    let (_directory, _server, client) = fresh().await;
    see(&client, 0).await;
    let hour = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let mut changed = Vec::new();
    for seconds in [10, 20, 30, 40, 50, 4_000] {
        let request = pb::RecordAbsenceRequest { coalesce_within: hour, ..missing(seconds) };
        changed.push(miss(&client, request).await.changed);
    }
    assert_eq!(changed, [true, true, true, false, false, true]);
    // One sighting just after the last is not coalesced either: it ends the run.
    let request = pb::RecordObservationRequest {
        observe_time: Some(at(4_010)),
        coalesce_within: Some(prost_types::Duration { seconds: 86_400, nanos: 0 }),
        ..publish("a", "It closes.")
    };
    client.archive.clone().record_observation(request).await.unwrap();
    assert_eq!(newest(&client).await.state(), Live);
}

#[tokio::test]
async fn an_absence_is_recorded_once_and_a_request_carried_out_once() {
    let (_directory, _server, client) = fresh().await;
    see(&client, 0).await;
    let first = miss(&client, pb::RecordAbsenceRequest { request_id: "one".into(), ..missing(10) }).await;
    let again = miss(&client, pb::RecordAbsenceRequest { request_id: "one".into(), ..missing(10) }).await;
    assert_eq!(again, pb::RecordAbsenceResponse { replayed: true, ..first });
    assert!(!miss(&client, missing(10)).await.changed);
    assert!(!miss(&client, pb::RecordAbsenceRequest { request_id: "two".into(), ..missing(10) }).await.changed);
    let all = changes(&client, (1..=9).collect()).await;
    assert_eq!(all, [(Created, Live), (Absent, Live), (Sighted, Live)], "one with an id is logged, as a repetition");
    let reused = rejected(&client, pb::RecordAbsenceRequest { request_id: "two".into(), ..missing(11) }).await;
    assert_eq!((reused.code, reused.reason.as_str()), (Code::FailedPrecondition, "REQUEST_ID_REUSED"));
    // Another status at the same instant is another look.
    let other = pb::RecordAbsenceRequest { http_status: 410, gone_after: 1, ..missing(10) };
    assert_eq!(bounds(&miss(&client, other).await.article.unwrap()), Some((0, 10, 10, 2)));
}

#[tokio::test]
async fn an_article_is_found_by_its_url_and_an_unknown_one_is_an_error() {
    let (_directory, _server, client) = fresh().await;
    let urls = vec!["https://courier.example/a?utm_source=feed".to_owned()];
    let request = pb::RecordObservationRequest { observe_time: Some(at(0)), urls, ..publish("a", "It closes.") };
    client.archive.clone().record_observation(request).await.unwrap();
    let at_url = |url: &str| Some(Target::Url(url.to_owned()));
    let fetch = Some(pb::Fetch { url: "https://courier.example/sorry".into(), ..pb::Fetch::default() });
    let request = pb::RecordAbsenceRequest { target: at_url("http://COURIER.example/a#top"), fetch, ..missing(10) };
    let done = miss(&client, request).await.article.unwrap();
    assert_eq!((done.name, done.latest_fetch), (name("a"), None));
    for target in [at_url("https://courier.example/b"), Some(Target::Name(name("b")))] {
        let error = rejected(&client, pb::RecordAbsenceRequest { target, ..missing(10) }).await;
        assert_eq!((error.code, error.reason.as_str()), (Code::NotFound, "ARTICLE_UNKNOWN"));
    }
    let early = rejected(&client, missing(-1)).await;
    assert_eq!((early.code, early.reason.as_str()), (Code::FailedPrecondition, "STATE_CHANGE_TOO_EARLY"));
    let dry = miss(&client, pb::RecordAbsenceRequest { validate_only: true, ..missing(20) }).await;
    assert!(dry.changed && bounds(&dry.article.unwrap()) == Some((0, 10, 10, 1)), "nothing is written");
}

#[tokio::test]
async fn invalid_fields_are_named() {
    let (_directory, _server, client) = fresh().await;
    let request = pb::RecordAbsenceRequest {
        target: None,
        reason: 0,
        http_status: 99,
        gone_after: 1_001,
        coalesce_within: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
        ..missing(0)
    };
    let error = rejected(&client, request).await;
    let fields: Vec<_> = error.field_violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["name", "reason", "http_status", "gone_after", "coalesce_within"]);
    let request = pb::RecordAbsenceRequest { target: Some(Target::Url("ftp://x".into())), reason: 9, ..missing(0) };
    let error = rejected(&client, request).await;
    let fields: Vec<_> = error.field_violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["url", "reason"]);
}

#[tokio::test]
async fn filters_know_articles_that_are_gone() {
    let (_directory, _server, client) = fresh().await;
    see(&client, 0).await;
    let list = async |states: &[pb::ArticleState]| {
        let states = states.iter().map(|state| i32::from(*state)).collect();
        let filter = Some(pb::ArticleFilter { states, ..Default::default() });
        let request = pb::ListArticlesRequest { parent: "sources/-".into(), filter, ..Default::default() };
        client.archive.clone().list_articles(request).await.unwrap().into_inner().articles.len()
    };
    assert_eq!((list(&[Live]).await, list(&[Gone]).await, list(&[]).await), (1, 0, 1));
    miss(&client, pb::RecordAbsenceRequest { gone_after: 1, ..missing(10) }).await;
    assert_eq!((list(&[Live, Withdrawn]).await, list(&[Gone]).await, list(&[Live, Withdrawn, Gone]).await), (0, 1, 1));
    let label = pb::LabelArticleRequest { name: name("a"), add_labels: vec!["x".into()], ..Default::default() };
    client.archive.clone().label_article(label).await.unwrap();
    see(&client, 20).await;
    // A subscriber to what is gone learns that it no longer is.
    let position = pb::feed_start::Position::Beginning(true);
    let request = pb::ListChangesRequest {
        start: Some(pb::FeedStart { position: Some(position) }),
        filter: Some(pb::ArticleFilter { states: vec![Gone.into()], ..Default::default() }),
        ..Default::default()
    };
    let changes = client.feed.clone().list_changes(request).await.unwrap().into_inner().changes;
    let left: Vec<_> = changes.iter().map(|change| (change.kind(), change.left_filter)).collect();
    assert_eq!(left, [(Absent, false), (Labelled, false), (Sighted, true)]);
    let absence = changes[0].absence.unwrap();
    assert_eq!((absence.last_seen_time, absence.first_missed_time, absence.count), (Some(at(0)), Some(at(10)), 1));
}
