//! Whether the client of an HTTP/2 stream takes its response.
//!
//! A client that opens no flow-control window has nothing written to its socket, so nothing fails there; and the transport
//! does not ask a body for more while the client has not taken the last piece, so a body cannot notice it either. But the
//! transport runs each stream as a task. The task also watches the progress of its response, and ends when the client has
//! taken nothing for too long: then the body and what the transport has of it are dropped, and the stream is reset. The other
//! streams of the connection continue.
//!
//! In HTTP/1.1 a response that is not taken is one that the socket does not accept, which the connection notices.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, sleep, sleep_until};

tokio::task_local! {
    /// The progress of the stream that the task is for.
    static OF_STREAM: Progress;
}

/// Since when a client could take a piece of its response; `None` while there is no piece.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Mutex<Option<Instant>>>);

impl Progress {
    /// The progress that the task of this stream watches; in HTTP/1.1, one without a watcher.
    pub(super) fn of_stream() -> Self {
        OF_STREAM.try_with(Self::clone).unwrap_or_default()
    }

    /// A piece of the response is there to be taken.
    pub(super) fn offer(&self) {
        self.set(Some(Instant::now()));
    }

    /// The client has taken all that there is.
    pub(super) fn taken(&self) {
        self.set(None);
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Waits until the client has taken nothing for `stalled_after`.
    async fn stalled(&self, stalled_after: Duration) {
        loop {
            let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(since) = since else {
                // A piece that is offered meanwhile is not late before the next look.
                sleep(stalled_after).await;
                continue;
            };
            match since.checked_add(stalled_after) {
                None => pending().await,
                Some(late) if late <= Instant::now() => return,
                Some(late) => sleep_until(late).await,
            }
        }
    }
}

/// Runs the streams of HTTP/2 connections, and ends those whose client takes nothing for a time.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    pub(super) stalled_after: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let (progress, stalled_after) = (Progress::default(), self.stalled_after);
        let watched = progress.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = OF_STREAM.scope(progress, stream) => {}
                () = watched.stalled(stalled_after) => tracing::debug!("a client of the web pages took nothing of a response"),
            }
        });
    }
}
