//! The memory that all responses together may take until their clients have read them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// In KiB: 128 MiB.
const MEMORY_KIB: u32 = 128 << 10;

/// Counts the memory of responses.
#[derive(Clone)]
pub(super) struct Budget(Arc<Semaphore>);

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MEMORY_KIB as usize)))
    }
}

impl Budget {
    /// The body of a response; `None` if too much is waiting to be read already.
    pub(super) fn body(&self, bytes: Bytes) -> Option<CountedBody> {
        let kib = u32::try_from(bytes.len().div_ceil(1 << 10)).unwrap_or(MEMORY_KIB).min(MEMORY_KIB);
        let memory = Arc::clone(&self.0).try_acquire_many_owned(kib).ok()?;
        Some(CountedBody { bytes: Some(bytes).filter(|bytes| !bytes.is_empty()), _memory: memory })
    }
}

/// A body that counts until it is dropped.
pub(super) struct CountedBody {
    bytes: Option<Bytes>,
    _memory: OwnedSemaphorePermit,
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
