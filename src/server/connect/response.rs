//! Translates a gRPC response to a Connect response.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use prost_reflect::MessageDescriptor;
use serde_json::{Value, json};
use tonic::body::Body;
use tonic::{Code, Status};

use super::json::Converter;
use super::request::{PREFIX_BYTES, envelope};
use super::status::{error_json, http_status};
use super::{CallKind, Encoding, Translator};
use crate::service::status::Refusal;

/// The flag of the last message of a stream, which has the status.
const END_STREAM: u8 = 2;

/// The response that stands for a status other than OK.
pub(super) fn failed(kind: CallKind, status: &Status) -> Response<Body> {
    let error = error_json(status);
    if kind.is_stream {
        let end = json!({ "error": error }).to_string();
        return response(StatusCode::OK, kind.content_type(), envelope(END_STREAM, end.as_bytes()));
    }
    response(http_status(status.code()), "application/json", error.to_string().into())
}

fn response(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    let length = body.len();
    let mut response = Response::new(Body::new(Full::new(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    // What an article says changes, and is not everybody's to read.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl Translator {
    /// Translates the response of a method that responds with one message.
    pub(super) async fn one(&self, kind: CallKind, output: MessageDescriptor, of: Response<Body>) -> Response<Body> {
        if of.status() != StatusCode::OK {
            return of;
        }
        let (head, body) = of.into_parts();
        let collected = match body.collect().await {
            Ok(collected) => collected,
            Err(status) => return failed(kind, &status),
        };
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let status = Status::from_header_map(&trailers).or_else(|| Status::from_header_map(&head.headers));
        match status {
            Some(status) if status.code() == Code::Ok => {}
            Some(status) => return failed(kind, &status),
            None => return failed(kind, &Refusal::internal().into()),
        }
        let mut message = collected.to_bytes();
        message.advance(PREFIX_BYTES.min(message.len()));
        let message = match kind.encoding {
            Encoding::Proto => Ok(message),
            Encoding::Json => self.converter.write(output, message).await,
        };
        let mut response = match message {
            Ok(message) => response(StatusCode::OK, kind.content_type(), message),
            Err(status) => return failed(kind, &status),
        };
        copy_metadata(&head.headers, "", response.headers_mut());
        copy_metadata(&trailers, "trailer-", response.headers_mut());
        self.responses.keep(response).await
    }

    /// Translates the response of a method that responds with a stream.
    pub(super) fn stream(&self, kind: CallKind, output: MessageDescriptor, of: Response<Body>) -> Response<Body> {
        if of.status() != StatusCode::OK {
            return of;
        }
        let (head, body) = of.into_parts();
        let mut response = Response::new(());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind.content_type()));
        copy_metadata(&head.headers, "", response.headers_mut());
        let messages = Messages {
            body,
            early_status: Status::from_header_map(&head.headers),
            received: BytesMut::new(),
            output,
            encoding: kind.encoding,
            converter: self.converter.clone(),
        };
        let frames = futures_util::stream::unfold(Some(messages), |messages| async {
            let mut messages = messages?;
            match messages.next().await {
                Ok(message) => Some((Ok::<_, Status>(Frame::data(message)), Some(messages))),
                Err(status) => Some((Ok(Frame::data(end(&status))), None)),
            }
        });
        response.map(|()| Body::new(StreamBody::new(frames)))
    }
}

/// The messages of a stream.
struct Messages {
    body: Body,
    /// The status of a stream that ended before it began.
    early_status: Option<Status>,
    /// What was received, and is not translated yet.
    received: BytesMut,
    output: MessageDescriptor,
    encoding: Encoding,
    converter: Converter,
}

impl Messages {
    /// The next message in its envelope, or a piece of it; the status at the end.
    async fn next(&mut self) -> Result<Bytes, Status> {
        loop {
            if let Some(message) = self.received_message() {
                let message = self.converter.write(self.output.clone(), message).await?;
                return Ok(envelope(0, &message));
            }
            let Some(frame) = self.body.frame().await else {
                return Err(self.early_status.take().unwrap_or_else(|| Refusal::internal().into()));
            };
            match frame?.into_data() {
                // Both protocols have the same envelope.
                Ok(data) if self.encoding == Encoding::Proto => return Ok(data),
                Ok(data) => self.received.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return Err(Status::from_header_map(&trailers).unwrap_or_else(|| Refusal::internal().into()));
                }
            }
        }
    }

    /// Takes a message out of what was received, if there is a whole one.
    fn received_message(&mut self) -> Option<Bytes> {
        let (&[_, a, b, c, d], rest) = self.received.split_first_chunk::<PREFIX_BYTES>()?;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        if rest.len() < length {
            return None;
        }
        self.received.advance(PREFIX_BYTES);
        Some(self.received.split_to(length).freeze())
    }
}

/// The last message of a stream.
fn end(status: &Status) -> Bytes {
    let end = if status.code() == Code::Ok {
        Value::Object(Default::default())
    } else {
        json!({ "error": error_json(status) })
    };
    envelope(END_STREAM, end.to_string().as_bytes())
}

/// Copies what a service says besides its message, with `prefix` before each name.
fn copy_metadata(from: &HeaderMap, prefix: &str, to: &mut HeaderMap) {
    for (name, value) in from {
        let is_of_http = matches!(*name, CONTENT_TYPE | CONTENT_LENGTH | http::header::DATE | http::header::TRAILER);
        if is_of_http || name.as_str().starts_with("grpc-") {
            continue;
        }
        if let Ok(name) = HeaderName::try_from(format!("{prefix}{name}")) {
            to.append(name, value.clone());
        }
    }
}
