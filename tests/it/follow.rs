//! The client that subscribes and reconnects, against a scripted server: it breaks off, ends and rejects streams as
//! each test requires.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dateline::internals::client::{Client, Followed, Following, ServerError};
use dateline::internals::wire::frame::{EventFrame, PageFrame};
use dateline::internals::wire::pb;
use dateline::internals::wire::pb::change_feed_service_server::{ChangeFeedService, ChangeFeedServiceServer};
use dateline::internals::wire::pb::feed_start::Position;
use dateline::internals::wire::pb::subscribe_response::Event;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The script of one stream: its events, and how it ends.
struct Act {
    events: Vec<Event>,
    ends: Ends,
}

enum Ends {
    /// The stream ends with OK.
    Well,
    /// The stream ends with this status.
    With(Status),
    /// The stream is rejected with this status.
    Refused(Status),
    /// The stream stays open.
    Never,
}

/// A server that plays one act per stream.
#[derive(Default)]
struct Script {
    acts: Mutex<VecDeque<Act>>,
    asked: Mutex<Vec<pb::SubscribeRequest>>,
    /// Held by each stream that stays open.
    open: Arc<()>,
}

type Events = Pin<Box<dyn Stream<Item = Result<EventFrame, Status>> + Send>>;

#[tonic::async_trait]
impl ChangeFeedService for Script {
    type SubscribeStream = Events;

    async fn subscribe(&self, request: Request<pb::SubscribeRequest>) -> Result<Response<Events>, Status> {
        self.asked.lock().unwrap().push(request.into_inner());
        let never = Act { events: Vec::new(), ends: Ends::Never };
        let act = self.acts.lock().unwrap().pop_front().unwrap_or(never);
        let frame = |event| EventFrame::Other(Box::new(pb::SubscribeResponse { event: Some(event) }));
        let events: Vec<_> = act.events.into_iter().map(|event| Ok(frame(event))).collect();
        let events = tokio_stream::iter(events);
        Ok(Response::new(match act.ends {
            Ends::Well => Box::pin(events),
            Ends::With(status) => Box::pin(events.chain(tokio_stream::once(Err(status)))),
            Ends::Never => {
                let open = Arc::clone(&self.open);
                Box::pin(events.chain(tokio_stream::pending().map(move |never| {
                    let _open = &open;
                    never
                })))
            }
            Ends::Refused(status) => return Err(status),
        }))
    }

    async fn list_changes(&self, _: Request<pb::ListChangesRequest>) -> Result<Response<PageFrame>, Status> {
        unreachable!()
    }
    async fn test_webhook(
        &self,
        _: Request<pb::TestWebhookRequest>,
    ) -> Result<Response<pb::TestWebhookResponse>, Status> {
        unreachable!()
    }
    async fn rotate_webhook_key(
        &self,
        _: Request<pb::RotateWebhookKeyRequest>,
    ) -> Result<Response<pb::RotateWebhookKeyResponse>, Status> {
        unreachable!()
    }
    async fn create_subscription(
        &self,
        _: Request<pb::CreateSubscriptionRequest>,
    ) -> Result<Response<pb::CreateSubscriptionResponse>, Status> {
        unreachable!()
    }
    async fn get_subscription(
        &self,
        _: Request<pb::GetSubscriptionRequest>,
    ) -> Result<Response<pb::GetSubscriptionResponse>, Status> {
        unreachable!()
    }
    async fn list_subscriptions(
        &self,
        _: Request<pb::ListSubscriptionsRequest>,
    ) -> Result<Response<pb::ListSubscriptionsResponse>, Status> {
        unreachable!()
    }
    async fn delete_subscription(
        &self,
        _: Request<pb::DeleteSubscriptionRequest>,
    ) -> Result<Response<pb::DeleteSubscriptionResponse>, Status> {
        unreachable!()
    }
    async fn acknowledge_subscription(
        &self,
        _: Request<pb::AcknowledgeSubscriptionRequest>,
    ) -> Result<Response<pb::AcknowledgeSubscriptionResponse>, Status> {
        unreachable!()
    }
    async fn seek_subscription(
        &self,
        _: Request<pb::SeekSubscriptionRequest>,
    ) -> Result<Response<pb::SeekSubscriptionResponse>, Status> {
        unreachable!()
    }
    async fn update_subscription(
        &self,
        _: Request<pb::UpdateSubscriptionRequest>,
    ) -> Result<Response<pb::UpdateSubscriptionResponse>, Status> {
        unreachable!()
    }
    async fn park_change(&self, _: Request<pb::ParkChangeRequest>) -> Result<Response<pb::ParkChangeResponse>, Status> {
        unreachable!()
    }
    async fn list_parked_changes(
        &self,
        _: Request<pb::ListParkedChangesRequest>,
    ) -> Result<Response<pb::ListParkedChangesResponse>, Status> {
        unreachable!()
    }
    async fn resolve_parked_changes(
        &self,
        _: Request<pb::ResolveParkedChangesRequest>,
    ) -> Result<Response<pb::ResolveParkedChangesResponse>, Status> {
        unreachable!()
    }
}

/// Subscribes to a server that plays `acts`.
async fn follow(request: pb::SubscribeRequest, acts: Vec<Act>) -> (Arc<Script>, Following) {
    let script = Arc::new(Script { acts: Mutex::new(acts.into()), ..Script::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = ChangeFeedServiceServer::from_arc(Arc::clone(&script));
    let router = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    let following = Client::connect(&url).await.unwrap().follow(request);
    (script, following)
}

fn from_beginning() -> pb::SubscribeRequest {
    let start = pb::FeedStart { position: Some(Position::Beginning(true)) };
    pb::SubscribeRequest { start: Some(start), ..pb::SubscribeRequest::default() }
}

fn bookmark(next_seq: u64) -> pb::Bookmark {
    pb::Bookmark { next_seq, resume_token: format!("t{next_seq}"), ..pb::Bookmark::default() }
}

fn started(next_seq: u64, epoch: u64) -> Event {
    Event::Started(pb::Started { bookmark: Some(bookmark(next_seq)), epoch, snapshot: None })
}

fn batch(seqs: std::ops::Range<u64>) -> Event {
    let end = seqs.end;
    let changes = seqs.map(|seq| pb::Change { seq, ..pb::Change::default() }).collect();
    Event::Delivery(pb::Delivery { changes, articles: Vec::new(), bookmark: Some(bookmark(end)) })
}

fn caught_up(next_seq: u64) -> Event {
    Event::CaughtUp(pb::CaughtUp { bookmark: Some(bookmark(next_seq)) })
}

fn refusal(code: Code, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "dateline", HashMap::new());
    Status::with_error_details(code, "no", details)
}

/// The client's events, abbreviated, until it ends or `count` of them were received.
async fn told(following: &mut Following, count: usize) -> String {
    let mut told = Vec::new();
    while told.len() < count
        && let Some(event) = following.next().await
    {
        told.push(match event {
            Err(error) => format!("error {}", error.reason),
            Ok(Followed::Started { epoch, .. }) => format!("started {epoch}"),
            Ok(Followed::Change(change)) => format!("{}", change.seq),
            Ok(Followed::Article(article)) => article.name,
            Ok(Followed::SnapshotEnd) => "snapshot end".to_owned(),
            Ok(Followed::Bookmark(bookmark)) => bookmark.resume_token,
            Ok(Followed::CaughtUp) => "caught up".to_owned(),
            Ok(Followed::FellBehind { durable_next_seq }) => format!("behind {durable_next_seq}"),
            Ok(Followed::Lost { .. }) => "lost".to_owned(),
        });
    }
    told.join(", ")
}

/// The start that each stream requested.
fn starts(script: &Script) -> Vec<String> {
    let start = |request: &pb::SubscribeRequest| match request.start.clone().and_then(|start| start.position) {
        Some(Position::ResumeToken(token)) => token,
        Some(Position::Beginning(_)) => "beginning".to_owned(),
        None => "none".to_owned(),
        other => panic!("{other:?}"),
    };
    script.asked.lock().unwrap().iter().map(start).collect()
}

#[tokio::test]
async fn the_client_resumes_after_every_kind_of_interruption() {
    let acts = vec![
        Act { events: vec![], ends: Ends::Refused(refusal(Code::Unavailable, "STARTING")) },
        Act { events: vec![started(0, 0), batch(0..2)], ends: Ends::With(Status::unknown("h2 broke")) },
        Act { events: vec![started(2, 0), batch(2..3)], ends: Ends::With(refusal(Code::Unavailable, "DRAINING")) },
        Act { events: vec![], ends: Ends::Refused(refusal(Code::ResourceExhausted, "TOO_MANY_STREAMS")) },
        Act {
            events: vec![started(3, 0), Event::Bookmark(bookmark(7))],
            ends: Ends::With(refusal(Code::ResourceExhausted, "SUBSCRIBER_STALLED")),
        },
        Act { events: vec![started(7, 0)], ends: Ends::Well },
        Act { events: vec![started(7, 0), batch(7..8), caught_up(8)], ends: Ends::Never },
    ];
    let (script, mut following) = follow(from_beginning(), acts).await;
    assert_eq!(
        told(&mut following, 26).await,
        "lost, started 0, t0, 0, 1, t2, lost, started 0, t2, 2, t3, lost, lost, started 0, t3, t7, lost, \
         started 0, t7, lost, started 0, t7, 7, t8, t8, caught up"
    );
    assert_eq!(starts(&script), ["beginning", "beginning", "t2", "t3", "t3", "t7", "t7"]);
}

#[tokio::test]
async fn an_error_that_a_retry_cannot_fix_ends_the_client() {
    for (code, reason) in [
        (Code::FailedPrecondition, "HISTORY_DIVERGED"),
        (Code::Aborted, "CONSUMER_FENCED"),
        (Code::NotFound, "SUBSCRIPTION_UNKNOWN"),
        (Code::InvalidArgument, "FILTER_INVALID"),
    ] {
        let acts = vec![
            Act { events: vec![started(0, 0), batch(0..1)], ends: Ends::Well },
            Act { events: vec![], ends: Ends::Refused(refusal(code, reason)) },
        ];
        let (_script, mut following) = follow(from_beginning(), acts).await;
        assert_eq!(told(&mut following, 99).await, format!("started 0, t0, 0, t1, lost, error {reason}"));
        assert_eq!(following.resume_token(), Some("t1"));
    }
}

#[tokio::test]
async fn the_client_ends_when_caught_up_on_request() {
    for ends in [Ends::Well, Ends::With(Status::unknown("h2 broke"))] {
        let acts = vec![
            Act { events: vec![started(0, 0), batch(0..1)], ends: Ends::Well },
            Act { events: vec![started(1, 0), caught_up(1)], ends },
        ];
        let request = pb::SubscribeRequest { end_when_caught_up: true, ..from_beginning() };
        let (_script, mut following) = follow(request, acts).await;
        let expected = "started 0, t0, 0, t1, lost, started 0, t1, t1, caught up";
        assert_eq!(told(&mut following, 99).await, expected);
    }
}

#[tokio::test]
async fn a_durable_subscription_is_attached_again() {
    let acts = vec![
        Act { events: vec![started(0, 4), batch(0..2)], ends: Ends::Well },
        Act { events: vec![started(1, 5), batch(1..2)], ends: Ends::Never },
    ];
    let request = pb::SubscribeRequest { subscription: "subscriptions/x".into(), ..pb::SubscribeRequest::default() };
    let (script, mut following) = follow(request, acts).await;
    assert_eq!(following.epoch(), 0);
    assert_eq!(told(&mut following, 5).await, "started 4, t0, 0, 1, t2");
    assert_eq!(following.epoch(), 4);
    assert_eq!(told(&mut following, 5).await, "lost, started 5, t1, 1, t2");
    assert_eq!(following.epoch(), 5);
    assert_eq!(starts(&script), ["none", "t2"], "the archive knows the start; the token is sent to be checked");
}

#[tokio::test]
async fn a_snapshot_resumes_in_the_middle() {
    let articles = |name: &str, token: &str| {
        let article = pb::Article { name: name.into(), ..pb::Article::default() };
        let bookmark = pb::Bookmark { resume_token: token.into(), ..pb::Bookmark::default() };
        Event::Delivery(pb::Delivery { changes: Vec::new(), articles: vec![article], bookmark: Some(bookmark) })
    };
    let end = Event::SnapshotEnd(pb::SnapshotEnd { bookmark: Some(bookmark(9)) });
    let acts = vec![
        Act { events: vec![articles("a", "in a")], ends: Ends::Well },
        Act { events: vec![articles("b", "in b"), end], ends: Ends::Well },
    ];
    let (script, mut following) = follow(from_beginning(), acts).await;
    assert_eq!(told(&mut following, 7).await, "a, in a, lost, b, in b, snapshot end, t9");
    assert_eq!(told(&mut following, 1).await, "lost");
    assert_eq!(following.bookmark(), Some(&bookmark(9)));
    assert_eq!(starts(&script), ["beginning", "in a"]);
}

#[tokio::test]
async fn the_resume_token_covers_only_what_was_handed_out() {
    let acts = vec![Act { events: vec![started(0, 0), batch(0..2)], ends: Ends::Never }];
    let (_script, mut following) = follow(from_beginning(), acts).await;
    assert_eq!(following.resume_token(), None);
    assert_eq!(told(&mut following, 3).await, "started 0, t0, 0");
    assert_eq!(following.resume_token(), Some("t0"), "the delivery is not yet complete");
    assert!(following.has_arrived());
    assert_eq!(told(&mut following, 2).await, "1, t2");
    assert_eq!(following.resume_token(), Some("t2"));
    assert!(!following.has_arrived());
}

#[tokio::test]
async fn a_dropped_call_loses_nothing() {
    let acts = (0..3).map(|n| Act { events: vec![started(n, 0), batch(n..n + 1)], ends: Ends::Well }).collect();
    let (script, mut following) = follow(from_beginning(), acts).await;
    let mut seqs = Vec::new();
    while seqs.len() < 3 {
        // Polled once, then dropped, whatever it was doing.
        tokio::select! {
            biased;
            event = following.next() => if let Some(Ok(Followed::Change(change))) = event {
                seqs.push(change.seq);
            },
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(seqs, [0, 1, 2]);
    assert_eq!(starts(&script), ["beginning", "t1", "t2"], "no stream is opened twice");
}

#[tokio::test]
#[allow(clippy::result_large_err, reason = "one error per test is not too many")]
async fn the_changes_alone_can_be_read_as_a_stream() {
    let acts = vec![
        Act { events: vec![started(0, 0), batch(0..2)], ends: Ends::Well },
        Act { events: vec![batch(2..3)], ends: Ends::With(refusal(Code::FailedPrecondition, "HISTORY_DIVERGED")) },
    ];
    let (_script, following) = follow(from_beginning(), acts).await;
    let told: Vec<Result<u64, ServerError>> =
        following.changes().map(|change| change.map(|change| change.seq)).collect().await;
    let (error, seqs) = told.split_last().unwrap();
    assert_eq!(error.as_ref().unwrap_err().reason, "HISTORY_DIVERGED");
    assert_eq!(seqs, [Ok(0), Ok(1), Ok(2)]);
}

#[tokio::test]
async fn dropping_the_client_closes_the_stream() {
    let acts = vec![Act { events: vec![started(0, 0)], ends: Ends::Never }];
    let (script, mut following) = follow(from_beginning(), acts).await;
    assert_eq!(told(&mut following, 2).await, "started 0, t0");
    assert_eq!(Arc::strong_count(&script.open), 2);
    drop(following);
    let closed = async {
        while Arc::strong_count(&script.open) > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), closed).await.unwrap();
}
