//! `ArchiveService.ReadOriginal`: streams the bytes of a kept original.

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::caller::Caller;
use super::sink::{Messages, NotTaken, Sink};
use super::status::Refusal;
use super::{Context, render};
use crate::access::Permission;
use crate::archive::read::article::{RevisionAt, View};
use crate::model::RevisionSelector;
use crate::model::name::parse_revision_name;
use crate::wire::{self, FieldError, all, pb, snapshot_to_pb};
use pb::read_original_response::Part;

/// The largest original that fits into a response of GetRevision together with the content.
pub(super) const INLINE_BYTES_MAX: u64 = 2 << 20;
/// The most bytes of an original in one message.
const PIECE_BYTES_MAX: usize = 256 << 10;

/// The memory that all originals being sent may take, in KiB: 256 MiB. An original is in memory until its client has
/// received all of it.
const MEMORY_KIB: u32 = 256 << 10;
static MEMORY: Semaphore = Semaphore::const_new(MEMORY_KIB as usize);

impl Context {
    /// Adds the original to a revision that has one. Fails if the original does not fit into the response.
    pub(super) async fn with_original(
        &self,
        point: crate::archive::ReadPoint,
        mut revision: RevisionAt,
    ) -> Result<RevisionAt, Refusal> {
        let Some(size_bytes) = size(&revision) else { return Ok(revision) };
        if size_bytes > INLINE_BYTES_MAX {
            let name = revision.article.revision(revision.number);
            return Err(Refusal::original_too_large(&name, size_bytes, INLINE_BYTES_MAX));
        }
        let number = RevisionSelector::Number(revision.number);
        let read = self.archive.revision_with_original(point, revision.article.clone(), number, View::Basic).await?;
        revision.original = read.original;
        Ok(revision)
    }

    /// Starts to send an original. Nothing in the archive is locked while the client reads.
    pub(super) async fn read_original(
        &self,
        caller: &Caller,
        request: pb::ReadOriginalRequest,
    ) -> Result<Messages<pb::ReadOriginalResponse>, Refusal> {
        let name = parse_revision_name(&request.name).map_err(|error| FieldError::invalid("name", error));
        let as_of = wire::as_of(request.as_of);
        let ((name, selector), as_of) = all!(name, as_of)?;
        caller.require(Permission::Read, &name.source)?;
        let point = self.read_point(as_of, request.min_next_seq).await?;
        let revision = self.archive.revision(point, name.clone(), selector, View::Basic).await?;
        let full_name = name.revision(revision.number);
        let Some(size_bytes) = size(&revision) else { return Err(Refusal::original_unknown(&full_name)) };
        let kib = u32::try_from(size_bytes.div_ceil(1 << 10)).unwrap_or(MEMORY_KIB).min(MEMORY_KIB);
        let memory =
            MEMORY.try_acquire_many(kib).map_err(|_| Refusal::originals_being_read(u64::from(MEMORY_KIB) << 10))?;
        let number = RevisionSelector::Number(revision.number);
        let read = self.archive.revision_with_original(point, name, number, View::Basic).await?;
        let data = read.original.clone().ok_or_else(|| Refusal::original_unknown(&full_name))?;
        let begin = pb::OriginalBegin {
            name: full_name,
            original: read.record().and_then(|record| record.original.as_ref()).map(render::original),
            snapshot: Some(snapshot_to_pb(&point.snapshot)),
        };
        let (sink, received) = Sink::new(1, self.stalled_after);
        let stopping = self.stopping.clone();
        self.subscribers.spawn(async move {
            let sent = tokio::select! {
                sent = send(&sink, begin, data, memory) => sent,
                () = stopping.cancelled() => return sink.end(Refusal::draining().into()),
            };
            if sent == Err(NotTaken::Stalled) {
                sink.end_unread();
            }
        });
        Ok(received)
    }
}

fn size(revision: &RevisionAt) -> Option<u64> {
    revision.record()?.original.as_ref().map(|original| original.size_bytes)
}

/// Sends the whole original, unless the client is gone or reads nothing. `_memory` is held meanwhile.
async fn send(
    sink: &Sink<pb::ReadOriginalResponse>,
    begin: pb::OriginalBegin,
    mut data: Bytes,
    _memory: SemaphorePermit<'static>,
) -> Result<(), NotTaken> {
    let mut part = Some(Part::Begin(begin));
    while let Some(next) = part {
        sink.send(pb::ReadOriginalResponse { part: Some(next) }).await?;
        part = (!data.is_empty()).then(|| Part::Data(data.split_to(data.len().min(PIECE_BYTES_MAX))));
    }
    sink.taken().await
}
