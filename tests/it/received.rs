//! Clients whose long messages must not affect others.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use dateline::internals::wire::pb;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::server::{TestServer, fresh, publish};

const MIB: usize = 1 << 20;
const LONG: Duration = Duration::from_secs(30);

async fn channel(server: &TestServer) -> Channel {
    Endpoint::new(server.url.clone()).unwrap().connect().await.unwrap()
}

/// Begins to send an observation of 10 MiB, and stops after a small part of it.
async fn half_sent(mut channel: Channel, url: String) -> Response<Body> {
    let header = [&[0][..], &u32::try_from(10 * MIB).unwrap().to_be_bytes()].concat();
    let sent = [header, vec![0; 8 << 10]].map(|data| Ok::<_, Status>(Frame::data(Bytes::from(data))));
    let body = Body::new(StreamBody::new(stream::iter(sent).chain(stream::pending())));
    let request = Request::post(format!("{url}/dateline.v1.ArchiveService/RecordObservation"))
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap();
    poll_fn(|cx| GrpcService::poll_ready(&mut channel, cx)).await.unwrap();
    GrpcService::call(&mut channel, request).await.unwrap()
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

#[tokio::test]
async fn half_sent_messages_beyond_the_budget_are_rejected_and_others_are_served() {
    let (_directory, server, client) = fresh().await;
    let connection = channel(&server).await;
    let mut begun = JoinSet::new();
    for _ in 0..200 {
        begun.spawn(half_sent(connection.clone(), server.url.clone()));
    }
    // 25 messages of 10 MiB fit into 256 MiB; the others are rejected at once.
    for _ in 0..175 {
        let answer = timeout(LONG, begun.join_next()).await.unwrap().unwrap().unwrap();
        let status = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "MESSAGES_IN_FLIGHT"));
        assert!(status.get_details_retry_info().is_some());
        assert!(answer.into_body().collect().await.is_ok());
    }
    let mut other = client.archive.clone();
    other.record_observation(publish("a", "Words.")).await.unwrap();
    // When its calls end, the memory that they reserved is free again.
    begun.shutdown().await;
    drop(connection);
    let original = pb::Original { data: vec![7; 2 * MIB].into(), ..pb::Original::default() };
    let long = pb::RecordObservationRequest { original: Some(original), ..publish("b", "Words.") };
    let published = async {
        while let Err(status) = other.record_observation(long.clone()).await {
            assert_eq!(reason(&status), "MESSAGES_IN_FLIGHT");
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, published).await.unwrap();
    drop((client, other));
    server.stop_serving().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_compressed_messages_at_once_are_all_answered_and_others_are_served() {
    let (_directory, server, client) = fresh().await;
    let mut other = client.archive.clone();
    other.record_observation(publish("a", "Words.")).await.unwrap();
    let sender = channel(&server).await;
    let mut sent = JoinSet::new();
    for n in 0..32_usize {
        // Half of it does not compress.
        let data: Vec<u8> = (0..4 * MIB)
            .map(|at| if at % 2 == 0 { ((at * (n + 3) * 7_919) >> 7).to_le_bytes()[0] } else { 7 })
            .collect();
        let original = pb::Original { data: data.into(), ..pb::Original::default() };
        let request = pb::RecordObservationRequest { original: Some(original), ..publish(&format!("b{n}"), "Words.") };
        let encoding = if n % 2 == 0 { CompressionEncoding::Gzip } else { CompressionEncoding::Zstd };
        let mut sender =
            pb::archive_service_client::ArchiveServiceClient::new(sender.clone()).send_compressed(encoding);
        sent.spawn(async move { sender.record_observation(request).await });
    }
    let mut published = 0;
    let mut answers = 0;
    while let Some(answer) = timeout(LONG * 4, sent.join_next()).await.unwrap() {
        match answer.unwrap() {
            Ok(_) => published += 1,
            Err(status) => assert_eq!(reason(&status), "MESSAGES_IN_FLIGHT", "{status}"),
        }
        answers += 1;
        let request = pb::GetArticleRequest { name: crate::server::name("a"), ..pb::GetArticleRequest::default() };
        timeout(LONG, other.get_article(request)).await.unwrap().unwrap();
    }
    assert_eq!(answers, 32);
    assert!(published > 0);
    drop((client, other, sender));
    server.stop_serving().await;
}
