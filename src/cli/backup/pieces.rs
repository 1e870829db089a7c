//! A channel of bytes from async code to a thread, which reads them through [`Read`].

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

/// Capacity of the channel, in pieces.
const WAITING_MAX: usize = 2;

/// A sender, and the reader of what it sends.
pub(super) fn channel() -> (mpsc::Sender<io::Result<Bytes>>, Pieces) {
    let (sender, waiting) = mpsc::channel(WAITING_MAX);
    (sender, Pieces { waiting, current: Bytes::new() })
}

/// The reading end, which blocks its thread. It ends when the sender is dropped.
pub(super) struct Pieces {
    waiting: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !buffer.is_empty() {
            match self.waiting.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let count = self.current.len().min(buffer.len());
        if let Some(buffer) = buffer.get_mut(..count) {
            self.current.copy_to_slice(buffer);
        }
        Ok(count)
    }
}
