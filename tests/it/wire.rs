//! What is decided on the wire, before a handler sees the call.

use std::time::Duration;

use dateline::internals::wire::pb;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::http;
use tonic::codegen::http::{Request, Response};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::server::{TestServer, fresh};

const METHOD: &str = "/dateline.v1.AdminService/GetStatus";

async fn channel(server: &TestServer) -> Channel {
    Endpoint::new(server.url.clone()).unwrap().connect().await.unwrap()
}

/// Calls a method without a message, with these headers.
async fn call(channel: &mut Channel, url: &str, method: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut request = Request::post(format!("{url}{method}")).body(empty_message()).unwrap();
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    std::future::poll_fn(|cx| GrpcService::poll_ready(channel, cx)).await.unwrap();
    GrpcService::call(channel, request).await.unwrap()
}

fn empty_message() -> Body {
    Body::new(http_body_util::Full::new(bytes::Bytes::from_static(&[0; 5])))
}

#[tokio::test]
async fn what_is_neither_grpc_nor_connect_is_rejected_and_so_are_browsers() {
    let (_directory, server, _client) = fresh().await;
    let mut channel = channel(&server).await;
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
        let answer = call(&mut channel, &server.url, METHOD, &[("content-type", content_type)]).await;
        assert_eq!(answer.status(), 200, "{content_type}");
        assert!(Status::from_header_map(answer.headers()).is_none_or(|status| status.code() == Code::Ok));
    }
    for content_type in ["text/plain", "application/grpc-web", "application/grpc-web+proto", "application/xml", ""] {
        let answer = call(&mut channel, &server.url, METHOD, &[("content-type", content_type)]).await;
        assert_eq!(answer.status(), 415, "{content_type:?}");
    }
    let headers = [("content-type", "application/grpc"), ("origin", "https://page.example")];
    assert_eq!(call(&mut channel, &server.url, METHOD, &headers).await.status(), 403);
    drop((channel, _client));
    server.stop().await;
}

#[tokio::test]
async fn an_invalid_deadline_is_rejected() {
    let (_directory, server, client) = fresh().await;
    let mut reader = client.archive.clone();
    let mut request = tonic::Request::new(pb::GetArticleRequest::default());
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    let status = reader.get_article(request).await.unwrap_err();
    assert_eq!(
        (status.code(), status.get_details_error_info().unwrap().reason.as_str()),
        (Code::InvalidArgument, "FIELD_INVALID")
    );
    drop((reader, client));
    server.stop().await;
}

#[tokio::test]
async fn a_watch_of_the_health_of_an_unknown_service_stays_open_until_the_server_stops() {
    let (_directory, server, client) = fresh().await;
    let mut health = HealthClient::new(channel(&server).await);
    let ask = |service: &str| HealthCheckRequest { service: service.to_owned() };
    assert_eq!(health.check(ask("no.such.Service")).await.unwrap_err().code(), Code::NotFound);
    for service in ["", "dateline.v1.ArchiveService", "dateline.v1.ChangeFeedService", "dateline.v1.AdminService"] {
        let answer = health.check(ask(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let mut unknown = health.watch(ask("no.such.Service")).await.unwrap().into_inner();
    assert_eq!(unknown.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
    let more = tokio::time::timeout(Duration::from_millis(200), unknown.message()).await;
    assert!(more.is_err(), "the watch ended: {more:?}");
    let mut known = health.watch(ask("")).await.unwrap().into_inner();
    assert_eq!(known.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    drop(client);
    let stopped = tokio::spawn(server.stop());
    for mut watch in [unknown, known] {
        let ended = loop {
            match watch.message().await {
                Ok(Some(answer)) => assert_eq!(answer.status(), ServingStatus::NotServing),
                Ok(None) => panic!("a watch ended without a status"),
                Err(status) => break status,
            }
        };
        assert_eq!(ended.code(), Code::Unavailable);
        assert_eq!(ended.get_details_error_info().unwrap().reason, "DRAINING");
    }
    drop(health);
    stopped.await.unwrap();
}
