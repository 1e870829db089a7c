//! The Connect protocol: calls over plain HTTP, in JSON and protobuf.

use bytes::{BufMut, Bytes, BytesMut};
use data_encoding::BASE64URL_NOPAD;
use dateline::internals::access::{Access, Permission};
use dateline::internals::clock::SystemClock;
use dateline::internals::server::Options;
use dateline::internals::wire::pb;
use dateline::model::{PrincipalName, SourcePattern};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::server::{TestServer, fresh, name, publish};

const ARCHIVE: &str = "/dateline.v1.ArchiveService/";
const FEED: &str = "/dateline.v1.ChangeFeedService/";

/// A response, whole.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The reason of an error.
    fn reason(&self) -> String {
        reason(&self.json())
    }

    /// The messages of a stream in JSON, each with its flags.
    fn messages(&self) -> Vec<(u8, Value)> {
        let (mut rest, mut messages) = (self.body.as_ref(), Vec::new());
        while let Some((&[flags, a, b, c, d], after)) = rest.split_first_chunk::<5>() {
            let (message, after) = after.split_at(u32::from_be_bytes([a, b, c, d]) as usize);
            messages.push((flags, serde_json::from_slice(message).unwrap()));
            rest = after;
        }
        messages
    }
}

fn reason(error: &Value) -> String {
    let details = error["details"].as_array().cloned().unwrap_or_default();
    let info = details.iter().find(|detail| detail["type"] == "google.rpc.ErrorInfo");
    info.and_then(|info| info["debug"]["reason"].as_str()).unwrap_or_default().to_owned()
}

/// Sends a request over a connection of its own.
async fn send(
    server: &TestServer,
    version: Version,
    request: http::request::Builder,
    body: impl Into<Bytes>,
) -> Answer {
    let address = server.url.strip_prefix("http://").unwrap();
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let body = Full::new(body.into());
    let response: Response<hyper::body::Incoming> = if version == Version::HTTP_2 {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let uri = request.uri_ref().unwrap().clone();
        let request = request.uri(format!("{}{uri}", server.url)).version(version).body(body).unwrap();
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let has_host = request.headers_ref().unwrap().contains_key("host");
        let request = if has_host { request } else { request.header("host", address) };
        sender.send_request(request.body(body).unwrap()).await.unwrap()
    };
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

fn post(path: &str, content_type: &str) -> http::request::Builder {
    Request::post(path).header("content-type", content_type)
}

async fn call(server: &TestServer, method: &str, message: Value) -> Answer {
    send(server, Version::HTTP_11, post(method, "application/json"), message.to_string()).await
}

/// A message in its envelope.
fn envelope(message: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).unwrap());
    bytes.put_slice(message.as_bytes());
    bytes.freeze()
}

fn observation() -> Value {
    let blocks = json!([{ "paragraph": { "text": "It closes in May." } }]);
    json!({
        "parent": "sources/courier",
        "articleId": "bridge",
        "content": { "headline": "Bridge to close", "blocks": blocks },
    })
}

#[tokio::test]
async fn an_article_is_recorded_and_read_in_json_over_both_versions_of_http() {
    let (_directory, server, client) = fresh().await;
    let recorded = call(&server, &format!("{ARCHIVE}RecordObservation"), observation()).await;
    assert_eq!(recorded.status, StatusCode::OK, "{:?}", recorded.body);
    assert_eq!(recorded.headers["content-type"], "application/json");
    let wanted = json!({ "name": name("bridge") }).to_string();
    let path = format!("{ARCHIVE}GetArticle");
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let read = send(&server, version, post(&path, "application/json; charset=utf-8"), wanted.clone()).await;
        assert_eq!(read.status, StatusCode::OK, "{:?}", read.body);
        assert_eq!(read.json()["article"]["revision"]["content"]["headline"], "Bridge to close");
    }
    // The same as over gRPC, to the byte.
    let request = pb::GetArticleRequest { name: name("bridge"), ..Default::default() };
    let expected = client.archive.clone().get_article(request.clone()).await.unwrap().into_inner();
    let read = send(&server, Version::HTTP_11, post(&path, "application/proto"), request.encode_to_vec()).await;
    assert_eq!((read.status, read.headers["content-type"].to_str().unwrap()), (StatusCode::OK, "application/proto"));
    assert_eq!(pb::GetArticleResponse::decode(read.body).unwrap(), expected);
    server.stop_serving().await;
}

#[tokio::test]
async fn a_method_without_side_effects_is_also_called_by_get() {
    let (_directory, server, mut client) = fresh().await;
    client.archive.record_observation(publish("bridge", "It closes.")).await.unwrap();
    let get = async |method: &str, query: String| {
        send(&server, Version::HTTP_11, Request::get(format!("{ARCHIVE}{method}?{query}")), Bytes::new()).await
    };
    let request = pb::GetArticleRequest { name: name("bridge"), ..Default::default() };
    let in_json = format!("%7B%22name%22%3A%22{}%22%7D", name("bridge"));
    let read = get("GetArticle", format!("connect=v1&encoding=json&message={in_json}")).await;
    assert_eq!(read.json()["article"]["name"], name("bridge"));
    let in_proto = BASE64URL_NOPAD.encode(&request.encode_to_vec());
    let read = get("GetArticle", format!("message={in_proto}&encoding=proto&base64=1")).await;
    assert_eq!(pb::GetArticleResponse::decode(read.body).unwrap().article.unwrap().name, name("bridge"));
    // Bytes that are no UTF-8 are percent-encoded.
    let long = pb::GetArticleRequest { name: name(&"a".repeat(116)), ..Default::default() };
    let bytes = long.encode_to_vec();
    let escaped: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
    assert!(std::str::from_utf8(&bytes).is_err());
    let missing = get("GetArticle", format!("encoding=proto&message={escaped}")).await;
    assert_eq!((missing.status, missing.reason().as_str()), (StatusCode::NOT_FOUND, "ARTICLE_UNKNOWN"));
    for (host, expected) in [
        ("localhost:7411", StatusCode::OK),
        ("[::1]:7411", StatusCode::OK),
        // A page at this name could have made it lead here, and would read the answer.
        ("evil.example", StatusCode::FORBIDDEN),
        ("127.0.0.1.evil.example:7411", StatusCode::FORBIDDEN),
    ] {
        let uri = format!("{ARCHIVE}GetArticle?connect=v1&encoding=json&message={in_json}");
        let request = Request::get(uri).header("host", host);
        assert_eq!(send(&server, Version::HTTP_11, request, Bytes::new()).await.status, expected, "{host}");
    }
    for (method, query) in [
        // A link must not be able to change anything.
        ("WithdrawArticle", format!("encoding=json&message={in_json}")),
        ("GetArticle", "encoding=json".to_owned()),
        ("GetArticle", format!("message={in_json}")),
        ("GetArticle", format!("encoding=json&message={in_json}&connect=v2")),
        ("GetArticle", "encoding=proto&base64=1&message=!".to_owned()),
    ] {
        let refused = get(method, query.clone()).await;
        assert_eq!(
            (refused.status, refused.reason().as_str()),
            (StatusCode::BAD_REQUEST, "MESSAGE_MALFORMED"),
            "{query}"
        );
    }
    server.stop_serving().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_status() {
    let (_directory, server, mut client) = fresh().await;
    for text in ["It closes in May.", "It closes in June."] {
        client.archive.record_observation(publish("bridge", text)).await.unwrap();
    }
    let subscribe = async |message: Value| {
        let request = post(&format!("{FEED}Subscribe"), "application/connect+json");
        send(&server, Version::HTTP_11, request, envelope(&message.to_string())).await
    };
    let streamed = subscribe(json!({ "start": { "beginning": true }, "endWhenCaughtUp": true })).await;
    assert_eq!(streamed.status, StatusCode::OK);
    let messages = streamed.messages();
    let ((end, status), events) = messages.split_last().unwrap();
    assert_eq!((*end, status), (2, &json!({})));
    assert!(events.iter().all(|(flags, _)| *flags == 0));
    let changes = events.iter().filter_map(|(_, event)| event["delivery"]["changes"].as_array()).flatten();
    assert_eq!(changes.count(), 2);
    // The same in protobuf.
    let request = pb::SubscribeRequest {
        start: Some(pb::FeedStart { position: Some(pb::feed_start::Position::Beginning(true)) }),
        end_when_caught_up: true,
        ..Default::default()
    };
    let mut body = BytesMut::new();
    body.put_u8(0);
    body.put_u32(u32::try_from(request.encoded_len()).unwrap());
    request.encode(&mut body).unwrap();
    let streamed =
        send(&server, Version::HTTP_2, post(&format!("{FEED}Subscribe"), "application/connect+proto"), body).await;
    assert!(streamed.body.ends_with(b"\x02\0\0\0\x02{}"), "{:?}", streamed.body);

    let refused = subscribe(json!({ "start": { "seq": 99 } })).await;
    let [(2, end)] = &refused.messages()[..] else { panic!("{:?}", refused.body) };
    assert_eq!(
        (end["error"]["code"].as_str().unwrap(), reason(&end["error"])),
        ("out_of_range", "START_IN_FUTURE".to_owned())
    );
    server.stop_serving().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_said_as_over_grpc() {
    let (_directory, server, _client) = fresh().await;
    let get = format!("{ARCHIVE}GetArticle");
    let unknown = call(&server, &get, json!({ "name": name("ferry") })).await;
    assert_eq!((unknown.status, unknown.reason().as_str()), (StatusCode::NOT_FOUND, "ARTICLE_UNKNOWN"));
    assert_eq!(unknown.json()["code"], "not_found");
    let misspelt = call(&server, &get, json!({ "nmae": name("ferry") })).await;
    assert_eq!((misspelt.status, misspelt.reason().as_str()), (StatusCode::BAD_REQUEST, "MESSAGE_MALFORMED"));
    assert!(misspelt.json()["message"].as_str().unwrap().contains("nmae"));
    let waiting = post(&format!("{FEED}ListChanges"), "application/json").header("connect-timeout-ms", "50");
    let wait = json!({ "start": { "beginning": true }, "wait": "10s" }).to_string();
    let late = send(&server, Version::HTTP_11, waiting, wait).await;
    assert_eq!((late.status, late.reason().as_str()), (StatusCode::GATEWAY_TIMEOUT, "DEADLINE_PASSED"));

    let long = format!("{{\"name\":\"{}\"}}", "a".repeat(4 << 20));
    let too_long = send(&server, Version::HTTP_11, post(&get, "application/json"), long).await;
    assert_eq!((too_long.status, too_long.reason().as_str()), (StatusCode::BAD_REQUEST, "MESSAGE_TOO_LARGE"));
    let compressed = post(&get, "application/json").header("content-encoding", "gzip");
    assert_eq!(send(&server, Version::HTTP_11, compressed, "{}").await.status, StatusCode::NOT_IMPLEMENTED);
    let newer = post(&get, "application/json").header("connect-protocol-version", "2");
    assert_eq!(send(&server, Version::HTTP_11, newer, "{}").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        call(&server, "/dateline.v1.ArchiveService/DropEverything", json!({})).await.status,
        StatusCode::NOT_IMPLEMENTED
    );
    // A stream needs envelopes, other methods must not have them, and nothing takes a stream of messages.
    for (path, content_type, expected) in [
        (format!("{FEED}Subscribe"), "application/json", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (get.clone(), "application/connect+json", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (get.clone(), "text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (get, "application/grpc", StatusCode::HTTP_VERSION_NOT_SUPPORTED),
    ] {
        let refused = send(&server, Version::HTTP_11, post(&path, content_type), "{}").await;
        assert_eq!(refused.status, expected, "{path} {content_type}");
    }
    let import = post(&format!("{ARCHIVE}ImportObservations"), "application/connect+json");
    let refused = send(&server, Version::HTTP_2, import, envelope("{}")).await;
    assert_eq!(refused.messages()[0].1["error"]["code"], "unimplemented");
    for body in [Bytes::new(), Bytes::from_static(b"\0\0\0\0\x03{}"), Bytes::from_static(b"\x01\0\0\0\x02{}")] {
        let subscribe = post(&format!("{FEED}Subscribe"), "application/connect+json");
        let refused = send(&server, Version::HTTP_11, subscribe, body).await;
        assert_eq!(reason(&refused.messages()[0].1["error"]), "MESSAGE_MALFORMED");
    }
    server.stop_serving().await;
}

#[tokio::test]
async fn a_web_page_calls_only_if_its_origin_is_allowed() {
    let directory = TempDir::new().unwrap();
    let allow_origin = vec!["https://news.example".parse().unwrap()];
    let server = TestServer::with_options(directory.path(), Options { allow_origin, ..Options::default() }).await;
    let status = "/dateline.v1.AdminService/GetStatus";
    let from = async |origin: &str| {
        send(&server, Version::HTTP_11, post(status, "application/json").header("origin", origin), "{}").await
    };
    let allowed = from("https://news.example").await;
    assert_eq!(
        (allowed.status, allowed.headers["access-control-allow-origin"].to_str().unwrap()),
        (StatusCode::OK, "https://news.example")
    );
    for origin in ["https://evil.example", "http://news.example", "https://news.example:8443", "null"] {
        let refused = from(origin).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{origin}");
        assert!(!refused.headers.contains_key("access-control-allow-origin"));
    }
    let asked = Request::options(status)
        .header("origin", "https://news.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,authorization");
    let told = send(&server, Version::HTTP_11, asked, Bytes::new()).await;
    assert_eq!(told.status, StatusCode::OK);
    assert!(told.headers["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    server.stop_serving().await;
}

#[tokio::test]
async fn the_rules_apply_to_these_calls_too() {
    let directory = TempDir::new().unwrap();
    let access = Arc::new(Access::open(directory.path(), Arc::new(SystemClock)).unwrap());
    let (reader, all) = (PrincipalName::parse("reader").unwrap(), [SourcePattern::parse("courier").unwrap()]);
    let token = access.create_token(&reader, &[Permission::Read], &all, None).unwrap();
    let options = Options { access: Some(access), ..Options::default() };
    let server = TestServer::with_options(&directory.path().join("archive"), options).await;
    let path = format!("{ARCHIVE}RecordObservation");
    let anonymous = call(&server, &path, observation()).await;
    assert_eq!((anonymous.status, anonymous.reason().as_str()), (StatusCode::UNAUTHORIZED, "CREDENTIALS_MISSING"));
    let denied = post(&path, "application/json").header("authorization", format!("Bearer {token}"));
    let denied = send(&server, Version::HTTP_11, denied, observation().to_string()).await;
    assert_eq!((denied.status, denied.reason().as_str()), (StatusCode::FORBIDDEN, "PERMISSION_DENIED"));
    let me = post("/dateline.v1.AccessService/GetCaller", "application/json")
        .header("authorization", format!("Bearer {token}"));
    let me = send(&server, Version::HTTP_11, me, "{}").await;
    assert_eq!(me.json()["caller"]["name"], "reader");
    server.stop_serving().await;
}
