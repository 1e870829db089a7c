//! Answers that are not read: how much of them is kept, and for how long.
//!
//! What the reader of an answer has no room for stays in memory. So an answer is handed to the transport in pieces, and
//! what is left of all answers is bounded. Where it would be more, the answer of which nothing was taken for longest is
//! dropped, and so is one of which nothing was taken for a while. Its stream then ends with a status, for a reader that
//! wakes up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use crate::service::status::Refusal;

/// What all answers that are not read may take.
const BYTES_MAX: usize = 128 << 20;
/// Bytes that the transport gets at once. It is a frame of HTTP/2, and what is kept beyond the bound for each call.
const PIECE_BYTES: usize = 16 << 10;
/// Shorter answers are not worth a count: their stream takes as much.
const SHORT_BYTES: usize = 4 << 10;

/// The answers of a server that are not read yet.
#[derive(Clone)]
pub(super) struct Answers(Arc<Mutex<Kept>>);

struct Kept {
    bytes_max: usize,
    bytes: usize,
    answers: HashMap<u64, Unread>,
    next: u64,
}

struct Unread {
    data: Bytes,
    /// When something was taken last.
    taken: Instant,
}

impl Answers {
    /// None yet. Those of which nothing is taken for `stalled_after` are dropped. Needs a runtime.
    pub(super) fn new(stalled_after: Duration) -> Self {
        Self::bounded(BYTES_MAX, stalled_after)
    }

    fn bounded(bytes_max: usize, stalled_after: Duration) -> Self {
        let kept = Arc::new(Mutex::new(Kept { bytes_max, bytes: 0, answers: HashMap::new(), next: 0 }));
        let of_server = Arc::downgrade(&kept);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep((stalled_after / 8).max(Duration::from_millis(5))).await;
                let Some(kept) = of_server.upgrade() else { return };
                lock(&kept).drop_stalled(stalled_after);
            }
        });
        Self(kept)
    }

    /// Keeps an answer that is whole until it is read or dropped.
    pub(super) async fn keep(&self, answer: Response<Body>) -> Response<Body> {
        use hyper::body::Body as _;
        if answer.body().is_end_stream() {
            return answer;
        }
        let (head, body) = answer.into_parts();
        let whole = match body.collect().await {
            Ok(whole) => whole,
            Err(status) => return status.into_http(),
        };
        let trailers = whole.trailers().cloned();
        let data = whole.to_bytes();
        let leaving = if data.len() <= SHORT_BYTES {
            Leaving::Short { data }
        } else {
            Leaving::Kept {
                place: Place { id: lock(&self.0).put(data), kept: Arc::clone(&self.0) },
                since: Instant::now(),
            }
        };
        let frames = futures_util::stream::unfold(Some((leaving, trailers)), |state| async {
            let (leaving, trailers) = state?;
            leaving.next(trailers)
        });
        Response::from_parts(head, Body::new(StreamBody::new(frames)))
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    /// Makes room for an answer and keeps it. One that is longer than all that may be kept is kept alone.
    fn put(&mut self, data: Bytes) -> u64 {
        while self.bytes + data.len() > self.bytes_max {
            let longest = self.answers.iter().min_by_key(|(_, unread)| unread.taken).map(|(id, _)| *id);
            let Some(id) = longest else { break };
            self.remove(id);
        }
        let id = self.next;
        self.next += 1;
        self.bytes += data.len();
        self.answers.insert(id, Unread { data, taken: Instant::now() });
        id
    }

    /// The next piece of an answer, which is empty at its end; `None` if it was dropped.
    fn take(&mut self, id: u64) -> Option<Bytes> {
        let unread = self.answers.get_mut(&id)?;
        unread.taken = Instant::now();
        let piece = unread.data.split_to(unread.data.len().min(PIECE_BYTES));
        self.bytes -= piece.len();
        Some(piece)
    }

    fn remove(&mut self, id: u64) {
        if let Some(unread) = self.answers.remove(&id) {
            self.bytes -= unread.data.len();
        }
    }

    fn drop_stalled(&mut self, stalled_after: Duration) {
        let stalled = self.answers.iter().filter(|(_, unread)| unread.taken.elapsed() >= stalled_after);
        for id in stalled.map(|(id, _)| *id).collect::<Vec<_>>() {
            tracing::info!("an answer was not read and is dropped");
            self.remove(id);
        }
    }
}

/// The place of an answer among those that are kept, given back when its stream is gone.
struct Place {
    kept: Arc<Mutex<Kept>>,
    id: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.kept).remove(self.id);
    }
}

/// What is left of an answer.
enum Leaving {
    Short { data: Bytes },
    Kept { place: Place, since: Instant },
}

type Trailers = Option<HeaderMap>;
type Step = (Result<Frame<Bytes>, Status>, Option<(Leaving, Trailers)>);

impl Leaving {
    /// The next frame, and what is left after it.
    fn next(self, trailers: Trailers) -> Option<Step> {
        match self {
            Self::Short { data } if data.is_empty() => end(trailers),
            Self::Short { data } => Some((Ok(Frame::data(data)), Some((Self::Short { data: Bytes::new() }, trailers)))),
            Self::Kept { place, since } => {
                let piece = lock(&place.kept).take(place.id);
                match piece {
                    None => {
                        let dropped = Refusal::unread(since.elapsed());
                        let mut status = HeaderMap::new();
                        Status::from(dropped).add_header(&mut status).ok().and_then(|()| end(Some(status)))
                    }
                    Some(piece) if piece.is_empty() => end(trailers),
                    Some(piece) => {
                        Some((Ok(Frame::data(piece)), Some((Self::Kept { place, since: Instant::now() }, trailers))))
                    }
                }
            }
        }
    }
}

fn end(trailers: Trailers) -> Option<Step> {
    Some((Ok(Frame::trailers(trailers?)), None))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    const STALLED_AFTER: Duration = Duration::from_secs(60);

    fn answer(bytes: usize) -> Response<Body> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", 0.into());
        let frames = [Ok::<_, Status>(Frame::data(vec![7; bytes].into())), Ok(Frame::trailers(trailers))];
        Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))))
    }

    /// How many bytes a reader gets, and with which status.
    async fn read(answer: Response<Body>) -> (usize, String) {
        let mut frames = http_body_util::BodyStream::new(answer.into_body());
        let (mut bytes, mut status) = (0, String::new());
        while let Some(frame) = frames.next().await {
            match frame.unwrap().into_data() {
                Ok(data) => {
                    assert!(data.len() <= PIECE_BYTES, "{} bytes at once", data.len());
                    bytes += data.len();
                }
                Err(frame) => status = frame.into_trailers().unwrap()["grpc-status"].to_str().unwrap().to_owned(),
            }
        }
        (bytes, status)
    }

    #[tokio::test]
    async fn an_answer_that_is_read_is_whole_and_leaves_nothing() {
        let answers = Answers::new(STALLED_AFTER);
        for bytes in [0, 1, SHORT_BYTES, SHORT_BYTES + 1, PIECE_BYTES, 3 * PIECE_BYTES + 5] {
            let kept = answers.keep(answer(bytes)).await;
            assert_eq!(read(kept).await, (bytes, "0".to_owned()));
            assert_eq!(lock(&answers.0).bytes, 0);
            assert!(lock(&answers.0).answers.is_empty());
        }
        let one = answers.keep(answer(1 << 20)).await;
        assert_eq!(lock(&answers.0).bytes, 1 << 20);
        drop(one);
        assert_eq!(lock(&answers.0).bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn unread_answers_are_bounded_and_the_one_that_waits_longest_gives_way() {
        let answers = Answers::bounded(3 << 20, STALLED_AFTER);
        let mut kept = Vec::new();
        for _ in 0..3 {
            kept.push(answers.keep(answer(1 << 20)).await);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // The first makes progress, so that the second waits longest.
        let mut first = http_body_util::BodyStream::new(kept.remove(0).into_body());
        assert!(first.next().await.unwrap().is_ok());
        kept.push(answers.keep(answer(1 << 20)).await);
        assert!(lock(&answers.0).bytes <= 3 << 20);
        assert_eq!(read(kept.remove(0)).await, (0, "8".to_owned()), "RESOURCE_EXHAUSTED");
        assert_eq!(lock(&answers.0).answers.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_which_nothing_is_taken_is_dropped_and_says_so() {
        let answers = Answers::new(STALLED_AFTER);
        let kept = answers.keep(answer(1 << 20)).await;
        tokio::time::sleep(STALLED_AFTER / 2).await;
        assert_eq!(lock(&answers.0).bytes, 1 << 20);
        tokio::time::sleep(STALLED_AFTER).await;
        assert_eq!(lock(&answers.0).bytes, 0);
        assert_eq!(read(kept).await, (0, "8".to_owned()));
    }
}
