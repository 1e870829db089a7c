//! Compresses the contents and originals of all articles again, on all cores.
//!
//! Each thread takes the next article, reads its contents in order, and compresses each as a delta of the best of the
//! ones before it. What is done goes through a short channel to the thread that writes the staging file.

use std::collections::{HashMap, VecDeque};
use std::num::NonZero;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::{io, thread};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::staging::Staging;
use super::{CompactError, CompactListener, CompactPhase, CompactProgress, Counts, Stop, article_count};
use crate::archive::read::contents;
use crate::archive::recover::verify::payload;
use crate::model::{ArticleKey, Seq};
use crate::store::base_choice::{Candidate, pack_thoroughly};
use crate::store::content::{Effort, PackedContent, StoredContent, StoredOriginal};
use crate::store::engine::Direction;
use crate::store::engine::sled::SledEngine;
use crate::store::head::RECENT_CONTENTS;
use crate::store::{StoreError, Tables};

/// Threads at most. More would mostly wait for each other's reads.
const THREADS_MAX: usize = 16;
/// Payloads that wait to be written to the staging file; the threads pause while there are more.
const PAYLOADS_WAITING_MAX: usize = 64;

/// What a thread sends.
enum Message {
    Content(StoredContent),
    Original(Seq, StoredOriginal),
    ArticleDone,
    Failed(StoreError),
}

/// Compresses every content and original, and writes them to the staging file.
pub(super) fn stage_payloads(
    old: &SledEngine,
    staging: &mut Staging,
    listener: &mut CompactListener<'_>,
) -> Result<Counts, Stop> {
    let total = article_count(&Tables::new(old))?;
    let (next, is_stopping) = (AtomicU64::new(0), AtomicBool::new(false));
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let (sender, messages) = sync_channel(PAYLOADS_WAITING_MAX);
    let mut staged = Staged { staging, listener, counts: Counts::default(), done: 0, total };
    thread::scope(|scope| {
        for _ in 0..cores.min(THREADS_MAX) {
            let (sender, next, is_stopping) = (sender.clone(), &next, &is_stopping);
            scope.spawn(move || {
                while !is_stopping.load(Ordering::Relaxed) {
                    let article = next.fetch_add(1, Ordering::Relaxed);
                    if article >= total || compress_article(old, ArticleKey(article), &sender).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for message in messages {
            if let Err(stop) = staged.take(message) {
                // The threads end at their next message, which has no receiver any more.
                is_stopping.store(true, Ordering::Relaxed);
                return Err(stop);
            }
        }
        Ok(())
    })?;
    let counts = staged.counts;
    staging.complete().map_err(unwritten)?;
    Ok(counts)
}

pub(super) fn unwritten(error: io::Error) -> CompactError {
    CompactError::Write(error.to_string())
}

struct Staged<'a, 'l> {
    staging: &'a mut Staging,
    listener: &'a mut CompactListener<'l>,
    counts: Counts,
    done: u64,
    total: u64,
}

impl Staged<'_, '_> {
    fn take(&mut self, message: Message) -> Result<(), Stop> {
        match message {
            Message::Content(content) => {
                self.counts.contents += 1;
                self.staging.add_content(&content).map_err(unwritten)?;
            }
            Message::Original(seq, original) => {
                self.counts.originals += 1;
                self.staging.add_original(seq, &original).map_err(unwritten)?;
            }
            Message::ArticleDone => self.done += 1,
            Message::Failed(error) => return Err(error.into()),
        }
        let (done, total) = (self.done, self.total);
        match (self.listener)(CompactProgress { phase: CompactPhase::Compressing, done, total }) {
            std::ops::ControlFlow::Continue(()) => Ok(()),
            std::ops::ControlFlow::Break(()) => Err(Stop::Requested),
        }
    }
}

/// The work ends: messages have no receiver any more, or a failure was reported.
struct Ended;

/// Compresses the payloads of one article.
fn compress_article(old: &SledEngine, article: ArticleKey, sender: &SyncSender<Message>) -> Result<(), Ended> {
    let tables = Tables::new(old);
    let mut work =
        ArticleWork { old, tables, chain: VecDeque::new(), recent: VecDeque::new(), by_hash: HashMap::new() };
    let send = |message| sender.send(message).map_err(|_| Ended);
    let everything = (Bound::Unbounded, Bound::Unbounded);
    for revision in tables.revisions(article, everything, Direction::Forward, Seq(u64::MAX)) {
        let compressed = revision.and_then(|(_, seq)| work.compress(seq));
        match compressed {
            Ok(None) => {}
            Ok(Some((content, original))) => {
                let seq = content.seq();
                send(Message::Content(content))?;
                if let Some(original) = original {
                    send(Message::Original(seq, original))?;
                }
            }
            Err(error) => {
                send(Message::Failed(error))?;
                return Err(Ended);
            }
        }
    }
    send(Message::ArticleDone)
}

/// What is known of an article while its contents are compressed in order.
struct ArticleWork<'a> {
    old: &'a SledEngine,
    tables: Tables<'a>,
    /// The latest contents, on which the old deltas are based.
    chain: VecDeque<(Seq, Bytes)>,
    /// The latest different contents, on which the new deltas may be based. Each is where it was stored first.
    recent: VecDeque<Candidate>,
    /// Where each content was stored first, and its depth there, by the SHA-256 of its encoding.
    by_hash: HashMap<[u8; 32], (Seq, u32)>,
}

impl ArticleWork<'_> {
    /// Compresses the content and the original of the revision that the change at `seq` created; `None` if its text was
    /// destroyed.
    fn compress(&mut self, seq: Seq) -> Result<Option<(StoredContent, Option<StoredOriginal>)>, StoreError> {
        let change = self.tables.creating_change(seq)?;
        let Some(record) = change.entry.revision_with_content() else { return Ok(None) };
        let bytes = contents::load(self.old, seq, record.digest, |seq| self.in_chain(seq))?.0;
        let content = self.pack(seq, &bytes).at(seq);
        push_bounded(&mut self.chain, (seq, bytes), RECENT_CONTENTS);
        let original = match &record.original {
            Some(original_record) => {
                let stored = StoredOriginal::read(self.old, seq)?;
                payload::check_original(&change, Some(&stored))?;
                Some(compress_original(stored, original_record.size_bytes))
            }
            None => None,
        };
        Ok(Some((content, original)))
    }

    fn pack(&mut self, seq: Seq, bytes: &Bytes) -> PackedContent {
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        let first = self.by_hash.get(&hash).copied();
        if let Some(equal) = first.and_then(|(first, depth)| PackedContent::equal_to(first, depth, bytes.len())) {
            if let Some(at) = self.recent.iter().position(|recent| Some(recent.seq) == first.map(|(seq, _)| seq))
                && let Some(again) = self.recent.remove(at)
            {
                // It is the latest again, so it is a candidate for longer.
                self.recent.push_back(again);
            }
            return equal;
        }
        let packed = pack_thoroughly(bytes, self.recent.make_contiguous());
        let candidate = Candidate { seq, depth: packed.depth(), bytes: bytes.clone() };
        push_bounded(&mut self.recent, candidate, RECENT_CONTENTS);
        self.by_hash.entry(hash).or_insert((seq, packed.depth()));
        packed
    }

    fn in_chain(&self, seq: Seq) -> Option<Bytes> {
        self.chain.iter().rev().find(|(at, _)| *at == seq).map(|(_, bytes)| bytes.clone())
    }
}

/// Compresses an original again, or keeps it as it is if that does not make it smaller.
fn compress_original(stored: StoredOriginal, size_bytes: u64) -> StoredOriginal {
    let Some(bytes) = stored.unpack(size_bytes) else { return stored };
    let packed = StoredOriginal::pack(&bytes, Effort::Thorough);
    if packed.0.len() < stored.0.len() { packed } else { stored }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, length_max: usize) {
    if queue.len() >= length_max {
        queue.pop_front();
    }
    queue.push_back(item);
}
