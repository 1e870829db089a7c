//! GET requests, for methods without side effects: the message is in the query (Connect, "Unary-Get-Request").

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use data_encoding::{BASE64URL, BASE64URL_NOPAD};
use http::Uri;
use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use percent_encoding::percent_decode_str;
use prost_reflect::MethodDescriptor;
use prost_types::method_options::IdempotencyLevel;
use tonic::Status;

use super::{Encoding, json};
use crate::wire::request::RequestError;

/// How the message in the query is written; `None` if it is not the address of a method.
pub(super) fn encoding(uri: &Uri) -> Option<Encoding> {
    json::method(uri.path())?;
    Some(match parameter(uri, "encoding").as_deref() {
        Some("proto") => Encoding::Proto,
        Some(_) | None => Encoding::Json,
    })
}

/// The message in the query.
pub(super) fn message(uri: &Uri, method: &MethodDescriptor) -> Result<Bytes, Status> {
    let invalid = |what: &str| Status::from(RequestError::Malformed(what.to_owned()));
    let level = method.method_descriptor_proto().options.as_ref().map(|options| options.idempotency_level());
    if level != Some(IdempotencyLevel::NoSideEffects) {
        return Err(invalid("this method may change something, so it is called by POST"));
    }
    if !matches!(parameter(uri, "encoding").as_deref(), Some("json" | "proto")) {
        return Err(invalid("the query needs encoding=json or encoding=proto"));
    }
    if parameter(uri, "connect").is_some_and(|version| version != "v1") {
        return Err(invalid("connect must be v1"));
    }
    if parameter(uri, "compression").is_some_and(|compression| !compression.is_empty() && compression != "identity") {
        return Err(Status::unimplemented("compressed messages are not supported over Connect"));
    }
    let message = bytes(uri, "message").ok_or_else(|| invalid("the query has no message"))?;
    if parameter(uri, "base64").as_deref() != Some("1") {
        return Ok(message.into());
    }
    let encoding = if message.ends_with(b"=") { BASE64URL } else { BASE64URL_NOPAD };
    let decoded = encoding.decode(&message).map_err(|error| invalid(&format!("message: {error}")))?;
    Ok(decoded.into())
}

/// Whether the request names its server by an address, or as localhost. A browser says of a GET request only to another
/// origin from which page it comes; so a page could make its own name lead to this server (DNS rebinding), and read
/// what a server without authentication answers.
pub(super) fn is_to_an_address(request: &Parts) -> bool {
    let header = request.headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let Some(authority) = request.uri.authority().cloned().or(header) else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

/// The bytes of a parameter of the query: those of a message in protobuf need not be UTF-8.
fn bytes(uri: &Uri, name: &str) -> Option<Vec<u8>> {
    let pairs = uri.query().unwrap_or_default().split('&');
    let (_, value) = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
    Some(percent_decode_str(&value.replace('+', " ")).collect())
}

/// The value of a parameter of the query.
fn parameter<'q>(uri: &'q Uri, name: &str) -> Option<Cow<'q, str>> {
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
}
