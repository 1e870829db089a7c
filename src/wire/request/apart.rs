//! Unpacks large messages where that holds up no other call.
//!
//! tonic unpacks a compressed message while its stream is polled, all of it at once: for 17 MiB of text that takes some 0.2 s,
//! in which an async worker would do nothing else. So it is counted what has come of a compressed message. Once that is much,
//! the body comes only to a caller that polls it apart from the worker's other tasks.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Buf;
use hyper::body::{Body, Frame, SizeHint};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::scope::Call;

/// More of a compressed message is unpacked apart. This much becomes 16 MiB at most, in some 10 ms.
const INLINE_BYTES_MAX: usize = 16 << 10;

/// What has come of a call's compressed message.
#[derive(Debug, Default)]
pub(super) struct Packed {
    bytes: AtomicUsize,
    /// Whether who polls the call does so apart now.
    is_apart: AtomicBool,
}

impl Packed {
    /// Polls what reads the call's messages, apart where one may be unpacked that is large.
    pub(super) fn poll<T>(&self, poll: impl FnOnce() -> T) -> T {
        if self.bytes.load(Ordering::Relaxed) <= INLINE_BYTES_MAX {
            return poll();
        }
        self.is_apart.store(true, Ordering::Relaxed);
        let polled = apart(poll);
        self.is_apart.store(false, Ordering::Relaxed);
        polled
    }

    /// A message is unpacked.
    pub(super) fn unpacked(&self) {
        self.bytes.store(0, Ordering::Relaxed);
    }
}

/// A call, polled apart where a large message may be unpacked.
#[derive(Debug)]
pub struct Apart<F> {
    pub(super) future: F,
    pub(super) call: Arc<Call>,
}

impl<F: Future + Unpin> Future for Apart<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, call } = &mut *self;
        call.packed.poll(|| Pin::new(future).poll(context))
    }
}

/// The body of a call, which is counted if it is compressed.
#[derive(Debug)]
pub struct Counted<B> {
    body: B,
    /// None where nothing is compressed.
    call: Option<Arc<Call>>,
    /// Whether it was asked for to be polled apart: that is done once for what comes next, and never waited for.
    asked: bool,
}

impl<B> Counted<B> {
    pub(super) fn new(body: B, call: Option<Arc<Call>>) -> Self {
        Self { body, call, asked: false }
    }
}

impl<B: Body + Unpin> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Self { body, call, asked } = &mut *self;
        let Some(packed) = call.as_ref().map(|call| &call.packed) else { return Pin::new(body).poll_frame(context) };
        let is_much = packed.bytes.load(Ordering::Relaxed) > INLINE_BYTES_MAX;
        if is_much && !packed.is_apart.load(Ordering::Relaxed) && !*asked {
            *asked = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = Pin::new(body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            packed.bytes.fetch_add(frame.data_ref().map_or(0, Buf::remaining), Ordering::Relaxed);
            *asked = false;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Does what takes a while. Where there are other workers, they take over this one's other tasks.
pub(super) fn apart<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::io::Write;
    use std::task::Waker;
    use std::time::{Duration, Instant};

    use bytes::Bytes;

    use super::*;

    struct Frames(VecDeque<usize>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|bytes| Ok(Frame::data(vec![0; bytes].into()))))
        }
    }

    /// Polls for the next frame, by itself or as a call is polled, and answers whether it came.
    fn comes(body: &mut Counted<Frames>) -> bool {
        Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn what_makes_a_compressed_message_large_comes_to_who_polls_it_apart() {
        let call = Call::current();
        let mut body = Counted::new(Frames([10_000, 10_000, 10_000, 10_000].into()), Some(Arc::clone(&call)));
        assert!(comes(&mut body) && comes(&mut body), "little of a message holds up no call");
        assert!(!comes(&mut body), "who polls is asked to do so apart");
        assert!(call.packed.poll(|| call.packed.is_apart.load(Ordering::Relaxed) && comes(&mut body)));
        call.packed.unpacked();
        assert!(!call.packed.poll(|| call.packed.is_apart.load(Ordering::Relaxed)), "the next message is small again");
        assert!(comes(&mut body));
    }

    #[test]
    fn a_body_that_nobody_polls_apart_comes_all_the_same() {
        let call = Call::current();
        let mut body = Counted::new(Frames([20_000, 20_000].into()), Some(call));
        assert_eq!([comes(&mut body), comes(&mut body), comes(&mut body)], [true, false, true]);
    }

    /// The figures of docs/RELIABILITY.md: as tonic unpacks the longest message that there is.
    #[test]
    #[ignore = "takes a release build: cargo test --release --lib apart -- --ignored --nocapture"]
    fn the_longest_message_is_unpacked_within_a_second() {
        const BYTES: usize = 17 << 20;
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        // Words of a vocabulary of 256, of lengths as in English.
        let words: Vec<Vec<u8>> = (0..256).map(|n| (0..3 + n % 8).map(|_| b'a' + noise() % 26).collect()).collect();
        let text: Vec<u8> = std::iter::repeat_with(|| words[usize::from(noise())].iter().copied().chain([b' ']))
            .flatten()
            .take(BYTES)
            .collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&text).unwrap();
        let (gzip, zstd) = (gzip.finish().unwrap(), zstd::encode_all(text.as_slice(), 3).unwrap());
        let unpack: [(&str, &dyn Fn(&mut Vec<u8>) -> u64); 2] = [
            ("gzip", &|into| std::io::copy(&mut flate2::read::GzDecoder::new(gzip.as_slice()), into).unwrap()),
            ("zstd", &|into| std::io::copy(&mut zstd::Decoder::new(zstd.as_slice()).unwrap(), into).unwrap()),
        ];
        for (name, unpack) in unpack {
            let (began, mut unpacked) = (Instant::now(), Vec::new());
            assert_eq!(unpack(&mut unpacked), BYTES as u64);
            println!("{name}: {BYTES} bytes in {:.0?}", began.elapsed());
            assert!(began.elapsed() < Duration::from_secs(1), "{name}");
        }
    }

    #[test]
    fn what_is_not_compressed_comes_at_once() {
        let mut body = Counted::new(Frames([20_000, 20_000].into()), None);
        assert_eq!([comes(&mut body), comes(&mut body)], [true, true]);
    }
}
