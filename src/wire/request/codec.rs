//! The codec of all methods.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use prost::{Message, Name};
use tokio::runtime::{Handle, RuntimeFlavor};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

#[cfg(any(test, feature = "internals"))]
use super::bounds::Bounds;
use super::call::Call;
use super::error::RequestError;
use super::walk::elements_bytes;

/// A message up to this length needs no walk: it decodes to at most about 750 bytes for every two of its own.
const SMALL_BYTES: usize = 4 << 10;
/// Messages longer than this are decoded where they do not hold up other calls.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// Decodes requests within their bounds. Everything else is as in prost's codec.
#[derive(Debug)]
pub struct RequestCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for RequestCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for RequestCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = RequestDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        RequestDecoder::of_this_call()
    }
}

/// On a server, decodes requests within the bounds of their call. On a client, decodes responses without bounds.
#[derive(Debug)]
pub struct RequestDecoder<U> {
    call: Option<Arc<Call>>,
    message: PhantomData<U>,
}

impl<U> RequestDecoder<U> {
    /// The decoder of the current call on a server, or of the responses on a client.
    pub(in super::super) fn of_this_call() -> Self {
        Self { call: Call::current(), message: PhantomData }
    }
}

impl<U: Message + Name + Default> Decoder for RequestDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let Some(call) = &self.call else {
            return U::decode(buffer).map(Some).map_err(|error| Status::internal(error.to_string()));
        };
        // The slot is released once the message is decoded.
        let (bytes, _slot) = call.take_message().unwrap_or_else(|| {
            let length = buffer.remaining();
            (buffer.copy_to_bytes(length), None)
        });
        let request = if bytes.len() <= INLINE_BYTES_MAX { read(call, bytes) } else { apart(|| read(call, bytes)) };
        request.map(Some)
    }
}

/// Decodes a request that did not arrive through a call, with the same checks as on a server.
#[cfg(any(test, feature = "internals"))]
pub fn read_request<U: Message + Name + Default>(bytes: Bytes, bounds: &Arc<Bounds>) -> Result<U, Status> {
    read(&Call::new(bounds, U::NAME.strip_suffix("Request").unwrap_or(U::NAME)), bytes)
}

/// Decodes a message. A rejected message of an import is recorded ([`super::Incoming`]) and decoded with its offset
/// only, because an error would end the stream.
fn read<U: Message + Name + Default>(call: &Call, bytes: Bytes) -> Result<U, Status> {
    match within_bounds(call, bytes.clone()) {
        Err(error) if call.is_import() => {
            call.reject(error);
            Ok(U::decode(offset_alone(&bytes).as_slice()).unwrap_or_default())
        }
        read => Ok(read?),
    }
}

fn within_bounds<U: Message + Name + Default>(call: &Call, bytes: Bytes) -> Result<U, RequestError> {
    if bytes.len() > SMALL_BYTES {
        let bytes_max = call.bytes_max();
        if bytes.len() > bytes_max {
            return Err(RequestError::TooLong { bytes: bytes.len(), bytes_max });
        }
        let elements = elements_bytes(&bytes, U::NAME, &call.bounds)?;
        call.hold(bytes.len() + elements)?;
    }
    U::decode(bytes).map_err(|error| RequestError::Malformed(error.to_string()))
}

/// The part of an import message that is decoded if the rest is rejected.
#[derive(Clone, PartialEq, Message)]
struct Offset {
    #[prost(uint64, tag = "1")]
    offset: u64,
}

/// Reduces an import message to its offset. The offset is 0 if the bytes end or become invalid before it.
pub(super) fn offset_alone(bytes: &[u8]) -> Vec<u8> {
    let mut offset = Offset::default();
    // Fields decoded before an error are kept.
    drop(offset.merge(bytes));
    offset.encode_to_vec()
}

/// Runs work that takes a while. On a multi-threaded runtime, other workers take over the tasks of this one.
fn apart<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use prost::encoding::{WireType, encode_key, encode_varint};
    use tonic::Code;
    use tonic_types::StatusExt;

    use std::time::Duration;

    use super::super::super::pb;
    use super::*;
    use crate::model::Limits;

    fn bounds() -> Arc<Bounds> {
        Arc::new(Bounds::new(&Limits::default(), Duration::MAX))
    }

    /// Decodes bytes as a request that must be rejected. Returns the reason of the error and the field it names.
    #[track_caller]
    fn rejection<U: Message + Name + Default + std::fmt::Debug>(bytes: Vec<u8>) -> (String, String) {
        let status = read_request::<U>(bytes.into(), &bounds()).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        let info = status.get_details_error_info().unwrap();
        (info.reason, info.metadata.get("field").cloned().unwrap_or_default())
    }

    fn field(number: u32, inner: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_key(number, WireType::LengthDelimited, &mut bytes);
        encode_varint(inner.len() as u64, &mut bytes);
        bytes.extend_from_slice(inner);
        bytes
    }

    fn because(reason: &str, field: &str) -> (String, String) {
        (reason.to_owned(), field.to_owned())
    }

    #[test]
    fn a_batch_of_a_million_empty_requests_is_rejected_before_it_is_decoded() {
        let bytes = field(1, &[]).repeat(1 << 20);
        assert_eq!(rejection::<pb::BatchRecordObservationsRequest>(bytes), because("FIELD_INVALID", "requests"));
    }

    #[test]
    fn too_many_empty_elements_are_rejected_with_their_field() {
        let content = |inner: Vec<u8>| pb::RecordObservationRequest::decode(field(3, &inner).as_slice()).unwrap();
        let blocks = content(field(12, &[]).repeat(20_001)).encode_to_vec();
        let labels = field(12, &[]).repeat(3_000);
        assert_eq!(
            rejection::<pb::RecordObservationRequest>(blocks.clone()),
            because("ARTICLE_TOO_LARGE", "content.blocks")
        );
        assert_eq!(rejection::<pb::RecordObservationRequest>(labels), because("FIELD_INVALID", "labels"));
        let batch = [field(1, b""), field(1, &blocks)].concat();
        let expected = because("ARTICLE_TOO_LARGE", "content.blocks");
        assert_eq!(rejection::<pb::BatchRecordObservationsRequest>(batch), expected);
        let filter = pb::ArticleFilter { sources: vec![String::new(); 3_000], ..pb::ArticleFilter::default() };
        let list = pb::ListArticlesRequest { filter: Some(filter), ..pb::ListArticlesRequest::default() };
        assert_eq!(
            rejection::<pb::ListArticlesRequest>(list.encode_to_vec()),
            because("FILTER_INVALID", "filter.sources")
        );
        let list = pb::ListChangesRequest { kinds: vec![1; 5_000], ..pb::ListChangesRequest::default() };
        assert_eq!(rejection::<pb::ListChangesRequest>(list.encode_to_vec()), because("FILTER_INVALID", "kinds"));
    }

    #[test]
    fn a_field_that_arrives_in_parts_is_counted_as_one() {
        let part = field(3, &field(12, &[]).repeat(10_001));
        let expected = because("ARTICLE_TOO_LARGE", "content.blocks");
        assert_eq!(rejection::<pb::RecordObservationRequest>(part.repeat(2)), expected);
    }

    #[test]
    fn lists_that_are_each_within_their_bound_are_bounded_together() {
        let list = pb::List { items: vec![String::new(); 20_000], ordered: false };
        let block = pb::Block { kind: Some(pb::block::Kind::List(list)), ..pb::Block::default() };
        let content = pb::Content { blocks: vec![block; 100], ..pb::Content::default() };
        let request =
            pb::RecordObservationRequest { content: Some(content), ..pb::RecordObservationRequest::default() };
        let (reason, field) = rejection::<pb::RecordObservationRequest>(request.encode_to_vec());
        assert_eq!(reason, "ARTICLE_TOO_LARGE");
        assert!(field.starts_with("content.blocks[") && field.ends_with("].list.items"), "{field}");
    }

    #[test]
    fn a_read_request_has_at_most_one_mebibyte() {
        let request = pb::GetArticleRequest { name: "x".repeat(1 << 20), ..pb::GetArticleRequest::default() };
        assert_eq!(rejection::<pb::GetArticleRequest>(request.encode_to_vec()).0, "MESSAGE_TOO_LARGE");
    }

    #[test]
    fn a_malformed_message_is_an_invalid_argument_at_any_length() {
        for length in [1, SMALL_BYTES, INLINE_BYTES_MAX] {
            let text = field(1, "x".repeat(length).as_bytes());
            let cases = [
                ("cut", text[..text.len() - 1].to_vec()),
                ("not UTF-8", field(1, &vec![0xff; length])),
                ("a bad wire type", [text.as_slice(), &[0x0f]].concat()),
                ("an endless number", [text.as_slice(), &[0xff; 11]].concat()),
                ("a group that never began", [text.as_slice(), &[0x0c]].concat()),
            ];
            for (what, bytes) in cases {
                assert_eq!(rejection::<pb::GetArticleRequest>(bytes).0, "MESSAGE_MALFORMED", "{what}, {length} bytes");
            }
        }
    }

    #[test]
    fn a_rejected_message_of_an_import_keeps_its_offset_and_its_stream() {
        let call = Arc::new(Call::new(&bounds(), "ImportObservations"));
        let incoming = super::super::Incoming(Some(Arc::clone(&call)));
        let message =
            |requests| pb::ImportObservationsRequest { offset: 7, requests, independent: false }.encode_to_vec();
        let good = message(vec![pb::RecordObservationRequest::default()]);
        let many = message(vec![pb::RecordObservationRequest::default(); 5_000]);
        let cut = good[..good.len() - 1].to_vec();
        let cases = [(many, 7, "FIELD_INVALID"), (cut, 7, "MESSAGE_MALFORMED"), (vec![0xff], 0, "MESSAGE_MALFORMED")];
        for (bytes, offset, reason) in cases {
            let message: pb::ImportObservationsRequest = read(&call, bytes.into()).unwrap();
            assert_eq!(message, pb::ImportObservationsRequest { offset, ..Default::default() });
            let info = incoming.rejection().and_then(|status| status.get_details_error_info()).unwrap();
            assert_eq!(info.reason, reason);
            assert!(incoming.rejection().is_none(), "it is reported once");
        }
        let message: pb::ImportObservationsRequest = read(&call, good.into()).unwrap();
        assert_eq!(message.requests.len(), 1);
        assert!(incoming.rejection().is_none());
    }

    #[test]
    fn a_message_at_its_limits_is_read_as_it_is() {
        let block = |text: usize| {
            let text = format!("Paragraph {text}");
            pb::Block { kind: Some(pb::block::Kind::Paragraph(pb::Paragraph { text })), ..pb::Block::default() }
        };
        let content = pb::Content { blocks: (0..20_000).map(block).collect(), ..pb::Content::default() };
        let original = pb::Original { data: vec![7; 8 << 20].into(), ..pb::Original::default() };
        let request = pb::RecordObservationRequest {
            content: Some(content),
            original: Some(original),
            urls: vec!["https://example.org/".into(); 16],
            labels: vec!["news".into(); 64],
            ..pb::RecordObservationRequest::default()
        };
        let read = read_request(request.encode_to_vec().into(), &bounds());
        assert!(read.is_ok_and(|read: pb::RecordObservationRequest| read == request));
    }
}
