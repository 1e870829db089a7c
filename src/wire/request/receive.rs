//! Receives the messages of a call within the memory budget for requests.
//!
//! tonic allocates memory for a message as soon as its length is announced, keeps what it has received however long the
//! rest takes, and decompresses the message in one go on the current thread. To avoid that, messages are received here,
//! and tonic gets an empty message in place of each. Our decoder then takes the real message from the call
//! ([`Call::take_message`]).
//!
//! Memory for a long message is reserved before it is received. A request that sends nothing for a while is ended. At
//! most as many long messages as there are cores are decompressed and decoded at the same time.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{FutureExt, Stream, stream};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use tokio::time::timeout;
use tonic::Status;

use super::call::Call;
use super::codec::offset_alone;
use super::error::RequestError;
use super::unpack::Packing;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Messages up to this length are received and decompressed without reserving memory.
pub(super) const FREE_BYTES: usize = 64 << 10;
/// A message of an import that is too long by up to this much is rejected individually, and the import continues.
const IMPORT_EXCESS_MAX: usize = 4 << 20;
/// The compression flag (1 byte) and the message length (4 bytes).
const HEADER_BYTES: usize = 5;

/// The frames that tonic receives in place of the frames of a call's body.
pub(super) fn frames<B>(
    body: B,
    call: Arc<Call>,
    packing: Option<Packing>,
) -> impl Stream<Item = Result<Frame<Bytes>, Status>> + Send
where
    B: Body + Send + Unpin,
    B::Data: Send,
    B::Error: Into<BoxError> + Send,
{
    let receiver = Receiver { body, call, packing, data: Bytes::new(), trailers: None, messages: 0 };
    stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.next().await {
            Ok(frame) => frame.map(|frame| (Ok(frame), Some(receiver))),
            Err(status) => {
                receiver.call.release();
                Some((Err(status), None))
            }
        }
    })
}

struct Receiver<B> {
    body: B,
    call: Arc<Call>,
    packing: Option<Packing>,
    /// Received bytes that are not part of a message yet.
    data: Bytes,
    trailers: Option<HeaderMap>,
    messages: u64,
}

impl<B> Receiver<B>
where
    B: Body + Send + Unpin,
    B::Data: Send,
    B::Error: Into<BoxError> + Send,
{
    /// Receives a message and returns an empty one in its place. At the end of the body, returns the trailers, if any.
    async fn next(&mut self) -> Result<Option<Frame<Bytes>>, Status> {
        // An import may pause between its messages for any length of time.
        let stalled_after = if self.call.is_import() { Duration::MAX } else { self.call.bounds.stalled_after };
        if self.data.is_empty() && !self.receive(stalled_after).await? {
            return Ok(self.trailers.take().map(Frame::trailers));
        }
        let mut header = self.bytes(HEADER_BYTES).await?;
        // In any other call, the previous message is still in memory.
        if self.messages > 0 && !self.call.is_import() {
            return Err(RequestError::Malformed("the call has more than one message".into()).into());
        }
        self.messages += 1;
        let packing = match (header.get_u8(), self.packing) {
            (0, _) => None,
            (1, Some(packing)) => Some(packing),
            (1, None) => {
                return Err(Status::internal("a message is compressed, but the call has no grpc-encoding header"));
            }
            (flag, _) => {
                return Err(Status::internal(format!(
                    "the compression flag of a message is {flag}; it must be 0 or 1"
                )));
            }
        };
        let length = usize::try_from(header.get_u32()).unwrap_or(usize::MAX);
        if length > self.length_max() {
            return Err(RequestError::TooLong { bytes: length, bytes_max: self.call.bytes_max() }.into());
        }
        self.call.release();
        if length > FREE_BYTES {
            self.reserve(length).await?;
        }
        let message = self.bytes(length).await?;
        match packing {
            None if length > FREE_BYTES => {
                let slot = self.call.bounds.slot().await;
                self.call.put_message(message, slot);
            }
            None => self.call.put_message(message, None),
            Some(packing) => self.unpack(packing, message).await?,
        }
        Ok(Some(Frame::data(Bytes::from_static(&[0; HEADER_BYTES]))))
    }

    /// The maximum length of a message that is received at all.
    fn length_max(&self) -> usize {
        self.call.bytes_max() + if self.call.is_import() { IMPORT_EXCESS_MAX } else { 0 }
    }

    /// Reserves memory for a message. An import waits until there is enough, and holds none while it waits.
    async fn reserve(&mut self, bytes: usize) -> Result<(), Status> {
        if !self.call.is_import() {
            return Ok(self.call.hold(bytes)?);
        }
        let reserved = timeout(self.call.bounds.stalled_after, self.call.hold_once_there_is_room(bytes)).await;
        Ok(reserved.unwrap_or(Err(RequestError::Busy))?)
    }

    /// Decompresses a message. A long message first waits for a slot, and is decompressed where it delays no other
    /// call.
    async fn unpack(&mut self, packing: Packing, packed: Bytes) -> Result<(), Status> {
        let bytes_max = self.length_max();
        let first = packing.unpack(&packed, FREE_BYTES).map_err(|error| undecodable(&error))?;
        if first.is_whole {
            self.call.put_message(first.bytes.into(), None);
            return Ok(());
        }
        let slot = self.call.bounds.slot().await;
        if let Err(busy) = self.call.hold(packed.len() + bytes_max) {
            if !self.call.is_import() {
                return Err(busy.into());
            }
            self.call.reject(busy);
            self.call.put_message(offset_alone(&first.bytes).into(), None);
            return Ok(());
        }
        // The memory stays reserved until decompression is done, even if the call ends earlier.
        let call = Arc::clone(&self.call);
        let work = move || {
            let unpacked = packing.unpack(&packed, bytes_max);
            drop(packed);
            drop(call);
            (unpacked, slot)
        };
        let done = tokio::task::spawn_blocking(work).await;
        let (unpacked, slot) = done.map_err(|error| Status::internal(format!("decompressing failed: {error}")))?;
        let unpacked = unpacked.map_err(|error| undecodable(&error))?;
        if !unpacked.is_whole {
            let problem = format!(
                "the message has more than {bytes_max} bytes once decompressed; split it into smaller messages"
            );
            return Err(Status::resource_exhausted(problem));
        }
        self.call.release_beyond(unpacked.bytes.len());
        self.call.put_message(unpacked.bytes.into(), slot);
        Ok(())
    }

    /// Receives the next `length` bytes of a message. The sender gets the time after which a request counts as stalled,
    /// once and then once more for each MiB. The time is limited because the memory of a long message is already
    /// reserved, and other requests need it.
    async fn bytes(&mut self, length: usize) -> Result<Bytes, Status> {
        if self.data.len() >= length {
            return Ok(self.data.split_to(length));
        }
        let stalled_after = self.call.bounds.stalled_after;
        let time_max = stalled_after.saturating_mul(u32::try_from(length >> 20).unwrap_or(u32::MAX).saturating_add(1));
        let received = timeout(time_max, self.bytes_in_parts(length)).await;
        received.unwrap_or_else(|_| Err(RequestError::Stalled(time_max).into()))
    }

    async fn bytes_in_parts(&mut self, length: usize) -> Result<Bytes, Status> {
        let mut bytes = BytesMut::with_capacity(if length > FREE_BYTES { length } else { 0 });
        loop {
            let part = self.data.split_to(self.data.len().min(length - bytes.len()));
            bytes.extend_from_slice(&part);
            if bytes.len() == length {
                return Ok(bytes.freeze());
            }
            if !self.receive(self.call.bounds.stalled_after).await? {
                return Err(Status::internal("the call ended in the middle of a message"));
            }
        }
    }

    /// Receives more of the body into `data`, which must be empty. Returns false at the end of the body.
    async fn receive(&mut self, stalled_after: Duration) -> Result<bool, Status> {
        while self.data.is_empty() {
            // Usually the data has already arrived, and no timer is needed.
            let received = match self.body.frame().now_or_never() {
                Some(frame) => Ok(frame),
                None => timeout(stalled_after, self.body.frame()).await,
            };
            let Some(frame) = received.map_err(|_| Status::from(RequestError::Stalled(stalled_after)))? else {
                return Ok(false);
            };
            match frame.map_err(|error| Status::from_error(error.into()))?.into_data() {
                Ok(mut data) => self.data = data.copy_to_bytes(data.remaining()),
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn undecodable(error: &std::io::Error) -> Status {
    Status::internal(format!("a message cannot be decompressed: {error}"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;

    use futures_util::StreamExt;
    use http_body_util::StreamBody;
    use tonic::Code;
    use tonic_types::StatusExt;

    use super::super::bounds::{Bounds, RequestKind};
    use super::*;
    use crate::model::Limits;

    const STALLED_AFTER: Duration = Duration::from_secs(60);

    /// A call whose body consists of the bytes in `sent` and does not end.
    struct TestCall {
        call: Arc<Call>,
        frames: Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Status>> + Send>>,
    }

    impl TestCall {
        fn new(bounds: &Arc<Bounds>, method: &str, packing: Option<Packing>, sent: Vec<Vec<u8>>) -> Self {
            let call = Arc::new(Call::new(bounds, method));
            let sent = stream::iter(sent).map(|data| Ok::<_, Infallible>(Frame::data(Bytes::from(data))));
            let body = StreamBody::new(sent.chain(stream::pending()));
            Self { frames: Box::pin(frames(body, Arc::clone(&call), packing)), call }
        }

        /// The next message.
        async fn next(&mut self) -> Result<Bytes, (Code, String)> {
            match self.frames.next().await.unwrap() {
                Ok(frame) => {
                    assert_eq!(frame.into_data().unwrap(), [0; 5].as_slice());
                    Ok(self.call.take_message().unwrap().0)
                }
                Err(status) => {
                    let reason = status.get_details_error_info().map(|info| info.reason);
                    Err((status.code(), reason.unwrap_or_default()))
                }
            }
        }

        /// Receives what was sent. Returns the error if the call is rejected without waiting.
        fn rejected_at_once(&mut self) -> Option<(Code, String)> {
            self.next().now_or_never().map(|message| message.unwrap_err())
        }
    }

    fn bounds() -> Arc<Bounds> {
        Arc::new(Bounds::new(&Limits::default(), STALLED_AFTER))
    }

    fn header(packed: u8, length: usize) -> Vec<u8> {
        let mut header = vec![packed];
        header.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        header
    }

    fn message(packed: u8, bytes: &[u8]) -> Vec<u8> {
        [header(packed, bytes.len()).as_slice(), bytes].concat()
    }

    fn busy() -> (Code, String) {
        (Code::ResourceExhausted, "MESSAGES_IN_FLIGHT".to_owned())
    }

    #[tokio::test]
    async fn unfinished_messages_count_against_the_budget_and_short_ones_do_not() {
        let bounds = bounds();
        let begun = |length| TestCall::new(&bounds, "RecordObservation", None, vec![header(0, length), vec![7; 100]]);
        let mut calls: Vec<_> = (0..100).map(|_| begun(10 << 20)).collect();
        let refused: Vec<_> = calls.iter_mut().filter_map(TestCall::rejected_at_once).collect();
        assert_eq!(refused, vec![busy(); 75], "25 of 10 MiB are within 256 MiB");
        let mut short: Vec<_> = (0..1_000).map(|_| begun(FREE_BYTES)).collect();
        assert!(short.iter_mut().all(|call| call.rejected_at_once().is_none()));
        // A call's memory is released when the call ends.
        drop(calls);
        assert_eq!(begun(10 << 20).rejected_at_once(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_request_ends_and_an_import_may_pause_between_messages() {
        let stalled = Err((Code::ResourceExhausted, "REQUEST_STALLED".to_owned()));
        for sent in [vec![], vec![header(0, 3)], vec![message(0, b"whole"), vec![0]]] {
            let mut import = TestCall::new(&bounds(), "ImportObservations", None, sent.clone());
            let mut record = TestCall::new(&bounds(), "RecordObservation", None, sent.clone());
            if sent.len() == 2 {
                assert_eq!(
                    (import.next().await.unwrap(), record.next().await.unwrap()),
                    (Bytes::from_static(b"whole"), Bytes::from_static(b"whole"))
                );
            }
            let began = tokio::time::Instant::now();
            assert_eq!(record.next().await, stalled);
            assert_eq!(began.elapsed().as_secs(), 60);
            let imported = timeout(STALLED_AFTER * 100, import.next()).await.ok();
            assert_eq!(imported, (!sent.is_empty()).then(|| stalled.clone()));
        }
    }

    /// By sending one byte now and then, a few senders could hold the whole budget for as long as they liked.
    #[tokio::test(start_paused = true)]
    async fn a_message_that_trickles_in_ends() {
        let bounds = bounds();
        let call = Arc::new(Call::new(&bounds, "RecordObservation"));
        let trickle = stream::iter([header(0, 3 << 20)]).chain(stream::unfold((), |()| async {
            tokio::time::sleep(STALLED_AFTER / 2).await;
            Some((vec![7], ()))
        }));
        let body = StreamBody::new(Box::pin(trickle).map(|data| Ok::<_, Infallible>(Frame::data(Bytes::from(data)))));
        let mut receiving = TestCall { frames: Box::pin(frames(body, Arc::clone(&call), None)), call };
        let began = tokio::time::Instant::now();
        assert_eq!(receiving.next().await, Err((Code::ResourceExhausted, "REQUEST_STALLED".to_owned())));
        assert_eq!(began.elapsed().as_secs(), 4 * 60);
        assert!(bounds.take(RequestKind::Observation, 250 << 20).is_some(), "its memory is released");
    }

    #[tokio::test]
    async fn a_length_above_the_limit_of_its_method_is_rejected_before_any_data_arrives() {
        let too_long = (Code::InvalidArgument, "MESSAGE_TOO_LARGE".to_owned());
        for (method, length, expected) in [
            ("GetArticle", 1 << 20, None),
            ("GetArticle", (1 << 20) + 1, Some(too_long.clone())),
            ("RecordObservation", 10 << 20, None),
            ("RecordObservation", 11 << 20, Some(too_long.clone())),
            ("ImportObservations", 18 << 20, None),
            ("ImportObservations", u32::MAX as usize, Some(too_long)),
        ] {
            for packed in [0, 1] {
                let mut call = TestCall::new(&bounds(), method, Some(Packing::Zstd), vec![header(packed, length)]);
                assert_eq!(call.rejected_at_once(), expected, "{method} {length} {packed}");
            }
        }
    }

    #[tokio::test]
    async fn messages_arrive_whole_however_they_are_divided() {
        let sent: Vec<Vec<u8>> = [1_usize, 0, 100_000, 4].iter().map(|length| vec![7; *length]).collect();
        let bytes = sent.iter().flat_map(|bytes| message(0, bytes)).collect::<Vec<u8>>();
        for piece in [1, 6, 4_096, bytes.len()] {
            let pieces = bytes.chunks(piece).map(<[u8]>::to_vec).collect();
            let mut import = TestCall::new(&bounds(), "ImportObservations", None, pieces);
            for expected in &sent {
                assert_eq!(import.next().await.unwrap(), expected);
            }
        }
        let mut record = TestCall::new(&bounds(), "RecordObservation", None, vec![bytes]);
        record.next().await.unwrap();
        let second = record.next().await;
        assert_eq!(second, Err((Code::InvalidArgument, "MESSAGE_MALFORMED".to_owned())), "a request is one message");
    }

    #[tokio::test(start_paused = true)]
    async fn an_import_waits_for_memory_and_is_rejected_after_a_timeout() {
        let bounds = bounds();
        let import = |sent| TestCall::new(&bounds, "ImportObservations", None, sent);
        let mut begun: Vec<_> = (0..7).map(|_| import(vec![header(0, 17 << 20)])).collect();
        assert!(begun.iter_mut().all(|import| import.rejected_at_once().is_none()));
        let whole = vec![7; 17 << 20];
        let mut waiting = import(vec![message(0, &whole)]);
        assert_eq!(waiting.rejected_at_once(), None);
        begun.pop();
        assert_eq!(waiting.next().await.unwrap(), whole);
        assert_eq!(import(vec![message(0, &whole)]).next().await, Err(busy()));
    }

    #[tokio::test]
    async fn only_as_many_long_messages_as_there_are_cores_are_decompressed_at_once() {
        let bounds = bounds();
        let [short, long] = [1 << 10, 9 << 20].map(|length| zstd::encode_all(vec![7; length].as_slice(), 3).unwrap());
        assert!(long.len() < FREE_BYTES);
        let record =
            |bytes: &[u8]| TestCall::new(&bounds, "RecordObservation", Some(Packing::Zstd), vec![message(1, bytes)]);
        let mut slots = Vec::new();
        while let Some(slot) = bounds.slot().now_or_never() {
            slots.push(slot.unwrap());
        }
        assert!(slots.len() >= 2);
        let mut waiting = record(&long);
        assert_eq!(waiting.rejected_at_once(), None, "it waits");
        assert_eq!(record(&short).next().await.unwrap().len(), 1 << 10);
        slots.pop();
        assert_eq!(waiting.next().await.unwrap().len(), 9 << 20);
        // A slot is free again once the message has been taken.
        assert_eq!(record(&long).next().await.unwrap().len(), 9 << 20);
        // While a message is decompressed, the most it can grow to is reserved.
        let other = Call::new(&bounds, "RecordObservation");
        other.hold(240 << 20).unwrap();
        assert_eq!(record(&long).next().await, Err(busy()));
    }

    #[tokio::test]
    async fn a_message_that_decompresses_to_too_much_is_rejected_early() {
        let bomb = zstd::encode_all(vec![0; 200 << 20].as_slice(), 1).unwrap();
        assert!(bomb.len() < FREE_BYTES);
        let mut call = TestCall::new(&bounds(), "GetArticle", Some(Packing::Zstd), vec![message(1, &bomb)]);
        assert_eq!(call.next().await, Err((Code::ResourceExhausted, String::new())));
    }
}
