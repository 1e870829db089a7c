//! Imports with messages that our own client would never send.

use bytes::BufMut;
use dateline::internals::client::ServerError;
use dateline::internals::wire::pb;
use dateline::internals::wire::pb::import_observations_response::Result as ImportResult;
use dateline::internals::wire::status_from_pb;
use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::{ProstCodec, ProstDecoder};

use crate::server::{fresh, publish};

/// A codec that sends bytes unchanged.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = pb::ImportObservationsResponse;
    type Encoder = Self;
    type Decoder = ProstDecoder<Self::Decode>;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<(), Self::Decode>::raw_decoder(tonic::codec::BufferSettings::default())
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&bytes);
        Ok(())
    }
}

/// The offset in a reply, and the code and reason if the item was rejected.
type Told = (u64, Option<(Code, String)>);

async fn import(url: String, messages: Vec<Vec<u8>>) -> Vec<Told> {
    let mut grpc = Grpc::new(Channel::from_shared(url).unwrap().connect().await.unwrap());
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static("/dateline.v1.ArchiveService/ImportObservations");
    let answers = grpc.streaming(Request::new(tokio_stream::iter(messages)), path, Raw).await.unwrap();
    let (mut answers, mut told) = (answers.into_inner(), Vec::new());
    while let Some(answer) = answers.message().await.unwrap() {
        told.push(match answer.result.unwrap() {
            ImportResult::Recorded(_) | ImportResult::Results(_) => (answer.offset, None),
            ImportResult::Error(error) => {
                let error = ServerError::from(status_from_pb(&error));
                (answer.offset, Some((error.code, error.reason)))
            }
        });
    }
    told
}

#[tokio::test]
async fn an_import_continues_after_a_message_that_is_unreadable_or_too_large() {
    let (_directory, server, client) = fresh().await;
    drop(client);
    let message =
        |offset, requests| pb::ImportObservationsRequest { offset, requests, independent: false }.encode_to_vec();
    let good = |offset: u64| message(offset, vec![publish(&format!("a{offset}"), "one")]);
    let cut = good(3)[..40].to_vec();
    let filled = pb::RecordObservationRequest {
        original: Some(pb::Original { data: vec![7; 18 << 20].into(), ..pb::Original::default() }),
        ..publish("b", "one")
    };
    let messages = vec![
        good(1),
        message(2, vec![pb::RecordObservationRequest::default(); 10_000]),
        cut,
        good(4),
        vec![0xff; 5],
        message(6, vec![filled]),
        good(7),
    ];
    let refused = |reason: &str| Some((Code::InvalidArgument, reason.to_owned()));
    let expected = [
        (1, None),
        (2, refused("FIELD_INVALID")),
        (3, refused("MESSAGE_MALFORMED")),
        (4, None),
        (0, refused("MESSAGE_MALFORMED")),
        (6, refused("MESSAGE_TOO_LARGE")),
        (7, None),
    ];
    assert_eq!(import(server.url.clone(), messages).await, expected);
    assert_eq!(server.archive.tail().next_seq.0, 3, "the others are recorded, and nothing else");
    server.stop_serving().await;
}

/// With one worker thread, the thread that decompresses is also the one that serves all callers.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn large_messages_are_read_with_every_compression() {
    let (_directory, server, client) = fresh().await;
    // Half of it does not compress, so that the message stays large.
    let data: Vec<u8> = (0..6_000_000_u32)
        .map(|n| if n % 2 == 0 { (n.wrapping_mul(2_654_435_761) >> 19).to_le_bytes()[0] } else { 7 })
        .collect();
    let with_original = |id: &str| pb::RecordObservationRequest {
        original: Some(pb::Original { data: data.clone().into(), ..pb::Original::default() }),
        ..publish(id, "one")
    };
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut archive = client.archive.clone().send_compressed(encoding);
        archive.record_observation(with_original(&format!("a-{encoding}"))).await.unwrap();
        let message = |offset, id: &str| pb::ImportObservationsRequest {
            offset,
            requests: vec![with_original(id)],
            independent: false,
        };
        let messages = [message(1, &format!("b-{encoding}")), message(2, &format!("c-{encoding}"))];
        let answers = archive.import_observations(tokio_stream::iter(messages)).await.unwrap().into_inner();
        let answers: Vec<_> = tokio_stream::StreamExt::collect(answers).await;
        let published = |answer: &Result<pb::ImportObservationsResponse, Status>| matches!(answer, Ok(answer) if matches!(answer.result, Some(ImportResult::Recorded(_))));
        assert!(answers.len() == 2 && answers.iter().all(published), "{encoding}: {answers:?}");
    }
    assert_eq!(server.archive.tail().next_seq.0, 6);
    drop(client);
    server.stop_serving().await;
}
