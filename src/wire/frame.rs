//! Responses of which parts are encoded already: the changes of the feed, and articles and revisions with their
//! contents, which are stored in the contract's encoding.
//!
//! A change is encoded once for all subscribers that use the same view. Only two flags differ between subscribers,
//! `left_filter` and `batch_end`. They are appended to the encoded bytes, which is valid because the fields of a
//! message may be in any order (<https://protobuf.dev/programming-guides/encoding/#order>). Sending a delivery to one
//! of a thousand subscribers is therefore a copy. The bytes on the wire are those of [`pb::SubscribeResponse`] and
//! [`pb::ListChangesResponse`].

use std::marker::PhantomData;

use bytes::{BufMut, Bytes};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use prost::{Message, Name};
use tonic::Status;
use tonic::codec::{Codec, EncodeBuf, Encoder};

use super::pb;
use super::request::RequestDecoder;

/// The field number of `delivery` in `SubscribeResponse`.
const DELIVERY_FIELD: u32 = 2;
/// The field number of `changes` in both `Delivery` and `ListChangesResponse`.
const CHANGES_FIELD: u32 = 1;
/// The field number of `left_filter` in `Change`.
const LEFT_FILTER_FIELD: u32 = 13;
/// The field number of `batch_end` in `Change`.
const BATCH_END_FIELD: u32 = 14;
/// A flag takes two bytes: a key for a field number below 16, and `true`.
const FLAG_BYTES: usize = 2;

/// A change, encoded except for the flags that differ between subscribers.
#[derive(Clone, Debug)]
pub struct ChangeFrame {
    /// The encoded `Change`, without the flags.
    pub bytes: Bytes,
    /// The value of `Change.left_filter` for this subscriber.
    pub left_filter: bool,
    /// The value of `Change.batch_end` for this subscriber.
    pub batch_end: bool,
}

/// An event of a subscription. The variants are boxed because a channel reserves space for many events.
#[derive(Clone, Debug)]
pub enum EventFrame {
    /// Changes, and the feed's position after the last of them.
    Delivery(Box<DeliveryFrame>),
    /// Any event without changes.
    Other(Box<pb::SubscribeResponse>),
}

/// Changes of a subscription.
#[derive(Clone, Debug)]
pub struct DeliveryFrame {
    /// The changes, in ascending order of seq.
    pub changes: Vec<ChangeFrame>,
    /// The feed's position after them.
    pub bookmark: pb::Bookmark,
}

/// A page of changes.
#[derive(Clone, Debug)]
pub struct PageFrame {
    /// The changes on the page, in ascending order of seq.
    pub changes: Vec<ChangeFrame>,
    /// The other fields of the response; its `changes` are empty.
    pub rest: pb::ListChangesResponse,
}

/// A response whose articles, revisions or entries are encoded already.
#[derive(Clone, Debug)]
pub struct ResponseFrame<M> {
    /// The encoded messages in field 1, in order. A field that is not repeated has one.
    pub encoded: Vec<Bytes>,
    /// The other fields of the response.
    pub rest: M,
}

/// The field number of `encoded` in each response.
const ENCODED_FIELD: u32 = 1;

/// A value that can be written as an encoded message.
pub trait Frame: Send + 'static {
    /// The length of the encoded message in bytes.
    fn encoded_len(&self) -> usize;

    /// Writes the encoded message, exactly `encoded_len` bytes.
    fn encode(&self, buffer: &mut impl BufMut);
}

impl ChangeFrame {
    fn message_len(&self) -> usize {
        self.bytes.len() + FLAG_BYTES * (usize::from(self.left_filter) + usize::from(self.batch_end))
    }

    fn field_len(&self) -> usize {
        let length = self.message_len();
        key_len(CHANGES_FIELD) + encoded_len_varint(length as u64) + length
    }

    fn encode_field(&self, buffer: &mut impl BufMut) {
        encode_key(CHANGES_FIELD, WireType::LengthDelimited, buffer);
        encode_varint(self.message_len() as u64, buffer);
        buffer.put_slice(&self.bytes);
        for (field, is_set) in [(LEFT_FILTER_FIELD, self.left_filter), (BATCH_END_FIELD, self.batch_end)] {
            if is_set {
                encode_key(field, WireType::Varint, buffer);
                encode_varint(1, buffer);
            }
        }
    }
}

fn fields_len(changes: &[ChangeFrame]) -> usize {
    changes.iter().map(ChangeFrame::field_len).sum()
}

impl Frame for EventFrame {
    fn encoded_len(&self) -> usize {
        match self {
            Self::Other(message) => message.encoded_len(),
            Self::Delivery(delivery) => {
                let length = delivery.message_len();
                key_len(DELIVERY_FIELD) + encoded_len_varint(length as u64) + length
            }
        }
    }

    fn encode(&self, buffer: &mut impl BufMut) {
        match self {
            Self::Other(message) => message.encode_raw(buffer),
            Self::Delivery(delivery) => {
                encode_key(DELIVERY_FIELD, WireType::LengthDelimited, buffer);
                encode_varint(delivery.message_len() as u64, buffer);
                delivery.changes.iter().for_each(|change| change.encode_field(buffer));
                delivery.without_changes().encode_raw(buffer);
            }
        }
    }
}

impl DeliveryFrame {
    fn message_len(&self) -> usize {
        fields_len(&self.changes) + self.without_changes().encoded_len()
    }

    /// The message with only its bookmark.
    fn without_changes(&self) -> pb::Delivery {
        pb::Delivery { bookmark: Some(self.bookmark.clone()), ..pb::Delivery::default() }
    }
}

impl<M: Message + 'static> Frame for ResponseFrame<M> {
    fn encoded_len(&self) -> usize {
        let field_len = |bytes: &Bytes| key_len(ENCODED_FIELD) + encoded_len_varint(bytes.len() as u64) + bytes.len();
        self.encoded.iter().map(field_len).sum::<usize>() + self.rest.encoded_len()
    }

    fn encode(&self, buffer: &mut impl BufMut) {
        for bytes in &self.encoded {
            encode_key(ENCODED_FIELD, WireType::LengthDelimited, buffer);
            encode_varint(bytes.len() as u64, buffer);
            buffer.put_slice(bytes);
        }
        self.rest.encode_raw(buffer);
    }
}

impl Frame for PageFrame {
    fn encoded_len(&self) -> usize {
        fields_len(&self.changes) + self.rest.encoded_len()
    }

    fn encode(&self, buffer: &mut impl BufMut) {
        self.changes.iter().for_each(|change| change.encode_field(buffer));
        self.rest.encode_raw(buffer);
    }
}

/// The codec of a method that receives messages and responds with frames.
#[derive(Debug)]
pub struct FrameCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for FrameCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for FrameCodec<T, U>
where
    T: Frame,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = FrameEncoder<T>;
    type Decoder = RequestDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        FrameEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        RequestDecoder::of_this_call()
    }
}

/// Encodes frames for tonic.
#[derive(Debug)]
pub struct FrameEncoder<T>(PhantomData<T>);

impl<T: Frame> Encoder for FrameEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, frame: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(frame.encoded_len());
        frame.encode(buffer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(seq: u64, left_filter: bool, batch_end: bool) -> (ChangeFrame, pb::Change) {
        let message = pb::Change { seq, article: "sources/a/articles/b".repeat(20), ..pb::Change::default() };
        let frame = ChangeFrame { bytes: message.encode_to_vec().into(), left_filter, batch_end };
        (frame, pb::Change { left_filter, batch_end, ..message })
    }

    fn decoded<M: Message + Default>(frame: &impl Frame) -> M {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        assert_eq!(frame.encoded_len(), bytes.len());
        M::decode(bytes.as_slice()).unwrap()
    }

    #[test]
    fn frames_decode_as_the_messages_they_represent() {
        let (frames, changes): (Vec<_>, Vec<_>) =
            [change(0, false, false), change(1, true, false), change(2, true, true)].into_iter().unzip();
        let bookmark = pb::Bookmark { next_seq: 3, resume_token: "t".into(), ..pb::Bookmark::default() };
        let delivery = DeliveryFrame { changes: frames.clone(), bookmark: bookmark.clone() };
        let event = EventFrame::Delivery(Box::new(delivery));
        let message = pb::Delivery { changes: changes.clone(), articles: vec![], bookmark: Some(bookmark) };
        let expected = pb::SubscribeResponse { event: Some(pb::subscribe_response::Event::Delivery(message)) };
        assert_eq!(decoded::<pb::SubscribeResponse>(&event), expected);
        assert_eq!(decoded::<pb::SubscribeResponse>(&EventFrame::Other(Box::new(expected.clone()))), expected);

        let article = |name: &str| pb::Article { name: name.to_owned(), ..pb::Article::default() };
        let articles = vec![article("a"), article(&"b".repeat(200))];
        let rest = pb::ListArticlesResponse { next_page_token: "n".into(), ..Default::default() };
        let encoded = articles.iter().map(|article| article.encode_to_vec().into()).collect();
        let response = ResponseFrame { encoded, rest: rest.clone() };
        assert_eq!(decoded::<pb::ListArticlesResponse>(&response), pb::ListArticlesResponse { articles, ..rest });

        let rest = pb::ListChangesResponse { resume_token: "n".into(), next_seq: 3, ..Default::default() };
        let page = PageFrame { changes: frames, rest: rest.clone() };
        assert_eq!(decoded::<pb::ListChangesResponse>(&page), pb::ListChangesResponse { changes, ..rest });
    }
}
