//! Exports JSON Lines: the requests that reproduce the articles, one per line.
//!
//! Pages come from the archive ([`History`], [`Newest`]) and are written in chunks. In a file, each chunk is a
//! checkpoint. Memory use is bounded by a page and a chunk, however long the archive is.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::ExportError;
use super::encoding::Encoding;
use super::history::History;
use super::newest::Newest;
use super::options::LinesOptions;
use super::page::Page;
use super::partial_file::{ExportState, PartialFile};
use super::selection::Selection;
use crate::client::Client;

/// Size and age at which a chunk is written, whichever comes first.
const CHUNK_BYTES: usize = 8 << 20;
const CHUNK_EVERY: Duration = Duration::from_secs(5);

/// An export of JSON Lines, to a file or to the caller.
pub struct LinesExport<'a> {
    source: Source<'a>,
    /// The number of changes in the snapshot or, with [`LinesOptions::newest`], of selected articles.
    total: u64,
    /// `None` if the lines go to the caller.
    file: Option<PartialFile>,
    encoding: Encoding,
    state: ExportState,
    /// Lines that are not written yet.
    chunk: Vec<u8>,
    /// When a chunk was last written.
    flushed: Instant,
}

enum Source<'a> {
    History(Box<History<'a>>),
    Newest(Box<Newest<'a>>),
}

impl<'a> LinesExport<'a> {
    /// Begins an export, or continues one from `state`. Without a file, [`Self::write`] returns the lines.
    ///
    /// If the caller stops waiting before this returns, no file has been touched: opening the file is the last step,
    /// and nothing is waited for after it.
    pub async fn begin(
        client: &'a Client,
        selection: &'a Selection,
        options: LinesOptions,
        mut file: Option<PartialFile>,
        mut state: ExportState,
    ) -> Result<Self, ExportError> {
        let (source, total) = if options.newest {
            let total = selection.count(client).await?;
            (Source::Newest(Box::new(Newest::new(client, selection, options, &state))), total)
        } else {
            let history = History::new(client, selection, options, &state).await?;
            (Source::History(Box::new(history)), selection.snapshot.next_seq)
        };
        if let Some(file) = &mut file {
            file.open(state.part_bytes)?;
            // From here on, the state file shows that the partial file is ours.
            file.checkpoint(Vec::new(), &mut state).await?;
        }
        let encoding = options.encoding;
        Ok(Self { source, total, file, encoding, state, chunk: Vec::new(), flushed: Instant::now() })
    }

    /// The number of changes in the snapshot or, with [`LinesOptions::newest`], of selected articles.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How far the export is.
    pub fn state(&self) -> &ExportState {
        &self.state
    }

    /// Reads the next page; there is none after [`Page::is_last`].
    ///
    /// If the caller stops waiting, the page is lost to this export, which can then only be [flushed](Self::flush). A
    /// new export continues from its state.
    pub async fn page(&mut self) -> Result<Page, ExportError> {
        match &mut self.source {
            Source::History(history) => history.page().await,
            Source::Newest(newest) => newest.page().await,
        }
    }

    /// Adds the lines of a page to the chunk, and writes the chunk if that is due. Returns the encoded chunk if there
    /// is no file.
    pub async fn write(&mut self, page: Page) -> Result<Vec<u8>, ExportError> {
        self.state.lines += page.count;
        self.state.line_bytes += page.lines.len() as u64;
        (self.state.page_token, self.state.done) = (page.token, page.done);
        self.state.is_complete = page.is_last;
        self.chunk.extend_from_slice(&page.lines);
        let is_due = match &self.file {
            Some(_) => self.chunk.len() >= CHUNK_BYTES || self.flushed.elapsed() >= CHUNK_EVERY,
            // Plain lines go to the caller page by page.
            None => self.encoding == Encoding::Plain || self.chunk.len() >= CHUNK_BYTES,
        };
        if is_due || page.is_last { self.flush().await } else { Ok(Vec::new()) }
    }

    /// Writes the lines that are not written yet. Returns them encoded if there is no file.
    pub async fn flush(&mut self) -> Result<Vec<u8>, ExportError> {
        let chunk = std::mem::take(&mut self.chunk);
        self.flushed = Instant::now();
        match &mut self.file {
            Some(file) => file.checkpoint(chunk, &mut self.state).await.map(|()| Vec::new()),
            // Compressed output has a header even if there are no lines.
            None if chunk.is_empty() && (self.state.lines > 0 || !self.state.is_complete) => Ok(Vec::new()),
            None => self.encoding.encode(chunk).await.map_err(ExportError::Compression),
        }
    }

    /// Renames a complete file to its target, and returns the final state and the target; `None` if there is no file.
    pub fn complete(self) -> Result<(ExportState, Option<PathBuf>), ExportError> {
        let target = self.file.as_ref().map(PartialFile::complete).transpose()?;
        Ok((self.state, target))
    }
}
