//! Translates a Connect request to a gRPC request.

use std::net::IpAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use prost_reflect::MethodDescriptor;
use tonic::Status;
use tonic::body::Body;

use super::memory::MessageSpace;
use super::{CallKind, Encoding, MESSAGE_BYTES_MAX, Translator, get};
use crate::service::Caller;
use crate::service::status::Refusal;
use crate::wire::request::RequestError;

/// The flags (1 byte) and the length (4 bytes) before a message, in both protocols.
pub(super) const PREFIX_BYTES: usize = 5;

/// Headers of HTTP that say something about the Connect request only.
const OWN_HEADERS: [http::HeaderName; 8] =
    [ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, TRANSFER_ENCODING];

impl Translator {
    /// The gRPC request of a Connect request.
    pub(super) async fn request(
        &self,
        kind: CallKind,
        method: &MethodDescriptor,
        request: Request<Body>,
    ) -> Result<Request<Body>, Status> {
        let (mut head, body) = request.into_parts();
        let headers = headers(&head.headers)?;
        let peer = head.extensions.get::<Caller>().and_then(|caller| caller.peer);
        let (message, _space) = if head.method == Method::GET {
            if self.is_open && !get::is_to_an_address(&head) {
                return Err(Refusal::host_not_allowed().into());
            }
            (get::message(&head.uri, method)?, MessageSpace::default())
        } else {
            let (body, space) = self.receive(body, peer).await?;
            (if kind.is_stream { only_message(body)? } else { body }, space)
        };
        let message = match kind.encoding {
            Encoding::Json => self.converter.read(method.input(), message).await?,
            Encoding::Proto => message,
        };
        head.headers = headers;
        head.method = Method::POST;
        head.uri = head.uri.path().parse::<Uri>().map_err(|_| Refusal::internal())?;
        head.version = http::Version::HTTP_2;
        Ok(Request::from_parts(head, Body::new(Full::new(envelope(0, &message)))))
    }

    /// Receives a body, which has its space in memory until that is dropped.
    async fn receive(&self, mut body: Body, peer: Option<IpAddr>) -> Result<(Bytes, MessageSpace), Status> {
        let receiving = async {
            let (mut received, mut space) = (BytesMut::new(), MessageSpace::default());
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame?.into_data() else { continue };
                let bytes = received.len() + data.len();
                if bytes > MESSAGE_BYTES_MAX {
                    return Err(RequestError::TooLong { bytes, bytes_max: MESSAGE_BYTES_MAX }.into());
                }
                if !self.memory.make_room(&mut space, bytes, peer) {
                    return Err(RequestError::Busy.into());
                }
                received.extend_from_slice(&data);
            }
            Ok((received.freeze(), space))
        };
        let received = tokio::time::timeout(self.arrives_within, receiving).await;
        received.unwrap_or_else(|_| Err(RequestError::Stalled(self.arrives_within).into()))
    }
}

/// A message in an envelope.
pub(super) fn envelope(flags: u8, message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    bytes.put_u8(flags);
    bytes.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    bytes.put_slice(message);
    bytes.freeze()
}

/// The message in the body of a request for a stream, which has one envelope.
pub(super) fn only_message(mut body: Bytes) -> Result<Bytes, Status> {
    let malformed = |what: &str| Err(RequestError::Malformed(what.to_owned()).into());
    let Some((&[flags, a, b, c, d], _)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return malformed("the body has no message");
    };
    let message = body.split_off(PREFIX_BYTES);
    if flags != 0 {
        return malformed("the flags of the message must be 0; it must not be compressed");
    }
    if usize::try_from(u32::from_be_bytes([a, b, c, d])) != Ok(message.len()) {
        return malformed("the body must have exactly one message");
    }
    Ok(message)
}

/// The headers of the gRPC request.
fn headers(of: &HeaderMap) -> Result<HeaderMap, Status> {
    let invalid = |what: &str| Status::from(RequestError::Malformed(what.to_owned()));
    for name in ["content-encoding", "connect-content-encoding"] {
        if of.get(name).is_some_and(|value| value != "identity") {
            return Err(Status::unimplemented(format!("{name}: compressed messages are not supported over Connect")));
        }
    }
    if of.get("connect-protocol-version").is_some_and(|version| version != "1") {
        return Err(invalid("connect-protocol-version must be 1"));
    }
    let mut headers = HeaderMap::with_capacity(of.len() + 2);
    for (name, value) in of {
        let is_own = OWN_HEADERS.contains(name) || name.as_str().starts_with("connect-");
        if !is_own && !name.as_str().starts_with("grpc-") {
            headers.append(name, value.clone());
        }
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if let Some(timeout) = of.get("connect-timeout-ms") {
        let milliseconds = timeout.to_str().ok().filter(|text| !text.is_empty() && text.len() <= 10);
        let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let milliseconds: u64 = milliseconds
            .filter(is_number)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| invalid("connect-timeout-ms must be a number of up to ten digits"))?;
        // A gRPC timeout has up to eight digits.
        let timeout =
            if milliseconds < 100_000_000 { format!("{milliseconds}m") } else { format!("{}S", milliseconds / 1_000) };
        headers.insert("grpc-timeout", HeaderValue::try_from(timeout).map_err(|_| Refusal::internal())?);
    }
    Ok(headers)
}
