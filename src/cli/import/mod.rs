//! `import`: archives whole collections.
//!
//! A reader on its own thread ([`lines`], [`web_archive`], [`git`]) turns a collection into items and sends them
//! through a channel with a bound in bytes ([`item`]). [`uploader`] sends them to the archive, [`summary`] reports the
//! outcomes, and [`checkpoint`] saves the progress.

mod checkpoint;
mod git;
mod input;
mod item;
mod lines;
mod overrides;
mod summary;
mod uploader;
mod web_archive;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use self::checkpoint::{Checkpoint, Kept};
use self::git::Repository;
use self::input::{Position, Raw};
use self::item::{Items, Stopped};
use self::overrides::Overrides;
use self::summary::Summary;
use self::uploader::{End, Uploader};
use super::args::globals::Globals;
use super::args::import::{CollectionFormat, ImportArgs};
use super::connect::Session;
use super::count;
use super::exit::{Exit, Failure, interrupted};
use super::output::Output;
use super::signals::Signals;
use super::state_file::{Place, StateFile};
use crate::client::ServerError;
use crate::wire::pb;

/// The pattern of files in a repository if none is given.
const MARKDOWN: &str = "**/*.md";

/// Imports the collections one after the other, even after one that failed in part.
pub(super) async fn run(
    session: &Session,
    args: &ImportArgs,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let stopping = Signals::listen()?.token();
    let state_file = match args.dry_run {
        true => None,
        false => Some(Place::of(session, args.state_dir.as_deref(), "import").await?),
    };
    let mut collections = collections(args)?.into_iter();
    let mut failed = Vec::new();
    while let Some(collection) = collections.next() {
        let import = Import { session, args, globals, state_file: state_file.as_ref(), stopping: &stopping };
        let ended = import.run(collection, out).await;
        let left = collections.len() as u64;
        match ended {
            Ok(()) => {}
            Err(failure) if left == 0 && failed.is_empty() => return Err(failure),
            // The other collections would fail the same way.
            Err(failure) if is_passing(&failure) => return Err(failure),
            Err(failure) => {
                super::tell(&failure);
                failed.push(failure.exit);
            }
        }
        if left > 0 && stopping.is_cancelled() {
            return Err(interrupted(&format!("{} not imported; run the same command again", count(left, "file"))));
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        [exit, ..] => {
            Err(Failure::new(*exit, format!("{} failed, at least in part", count(failed.len() as u64, "file"))))
        }
    }
}

/// Whether a failure is temporary and of the archive, not of the collection.
fn is_passing(failure: &Failure) -> bool {
    failure.exit == Exit::Unreachable || failure.server.as_ref().is_some_and(|error| error.is_passing())
}

/// A collection to import.
enum Collection {
    File(PathBuf),
    Repository(PathBuf),
}

fn collections(args: &ImportArgs) -> Result<Vec<Collection>, Failure> {
    if let Some(folder) = &args.git {
        return Ok(vec![Collection::Repository(folder.clone())]);
    }
    if args.files.iter().filter(|file| *file == Path::new("-")).count() > 1 {
        return Err(Failure::new(Exit::Usage, "standard input can be read only once"));
    }
    Ok(args.files.iter().cloned().map(Collection::File).collect())
}

/// A collection that was opened.
struct Readable {
    name: String,
    /// Identifies this state of the collection; `None` if it can be read only once, so that its progress is not saved.
    state: Option<String>,
    size: Size,
    contents: Contents,
}

/// The size of a collection, in the unit of its progress.
enum Size {
    /// The size of the file on disk, before decompression; 0 if unknown.
    Bytes(u64),
    Commits(u64),
}

enum Contents {
    Lines(Raw, Position),
    WebArchive(Raw, Position),
    Repository(Box<Repository>),
}

/// The context in which one collection is imported.
struct Import<'a> {
    session: &'a Session,
    args: &'a ImportArgs,
    globals: &'a Globals,
    state_file: Option<&'a Place>,
    stopping: &'a CancellationToken,
}

impl Import<'_> {
    async fn run(&self, collection: Collection, out: &mut Output) -> Result<(), Failure> {
        let overrides = Overrides {
            source: self.args.source.clone(),
            labels: self.args.label.clone(),
            keep_original: self.args.keep_original,
        };
        let Readable { name, state, size, contents } = self.open(&collection, &overrides).await?;
        let mut checkpoint = self.checkpoint(&collection, &name, state.as_deref())?;
        if let Some(known_at) = checkpoint.known_at()
            && !self.has(known_at).await?
        {
            checkpoint.begin_anew();
        }
        let (before, failed) = checkpoint.before();
        let mut summary = Summary::new(self.globals, out, before, failed);
        if before.items > 0 {
            summary.note(format_args!("{name}: continues after {}", count(before.items, "item")));
        }
        match size {
            Size::Bytes(bytes) => summary.begin(&name, bytes),
            Size::Commits(commits) => summary.begin_commits(&name, commits),
        }
        let (items, arriving) = Items::new();
        let reading = tokio::task::spawn_blocking(move || contents.read(&name, &overrides, before.items, &items));
        let uploader = Uploader::new(self.session, self.args.dry_run).await?;
        let sent = uploader.run(arriving, self.stopping, &mut summary, &mut checkpoint).await;
        if let Ok(End::Whole) = sent {
            let read = reading.await;
            read.map_err(|error| Failure::new(Exit::Failed, format!("reading failed: {error}")))?.ok();
            checkpoint.forget(&summary);
            return summary.finish();
        }
        // Do not wait for the reader: its input may never come.
        checkpoint.keep(&summary);
        let goes_on = if state.is_some() { "the same command continues there" } else { "nothing is archived twice" };
        let left = format!("{} done; {goes_on}", count(summary.done().items, "item"));
        drop(summary.finish());
        sent.and(Err(interrupted(&left)))
    }

    /// Whether this archive contains the given point. It does not if it was restored from a backup since.
    async fn has(&self, known_at: pb::AsOf) -> Result<bool, Failure> {
        let request = pb::ListArticlesRequest {
            parent: "sources/-".to_owned(),
            page_size: 1,
            as_of: Some(known_at),
            ..pb::ListArticlesRequest::default()
        };
        match self.session.archive().list_articles(request).await {
            Ok(_) => Ok(true),
            Err(status) => match ServerError::from(status) {
                error if matches!(error.reason.as_str(), "HISTORY_DIVERGED" | "AS_OF_IN_FUTURE") => Ok(false),
                error => Err(error.into()),
            },
        }
    }

    async fn open(&self, collection: &Collection, overrides: &Overrides) -> Result<Readable, Failure> {
        match collection {
            Collection::File(path) => {
                let opened = open_file(path, self.args.format, overrides).map_err(|error| {
                    Failure::new(Exit::Failed, format!("{}: can't be read: {error}", path.display())).kind("UNREADABLE")
                })?;
                if matches!(opened.contents, Contents::Lines(..)) && !overrides.are_none() {
                    let message = format!("{}: options for documents do not apply to JSON Lines", opened.name);
                    return Err(Failure::new(Exit::Usage, message).hint("leave out --source, --label, --keep-original"));
                }
                Ok(opened)
            }
            Collection::Repository(folder) => {
                let (folder, overrides) = (folder.clone(), overrides.clone());
                let mut args = self.args.repository.clone();
                if args.glob.is_empty() {
                    args.glob.push(MARKDOWN.to_owned());
                }
                let name = folder.display().to_string();
                let opened = tokio::task::spawn_blocking(move || Repository::open(&folder, &args, &overrides)).await;
                let repository = opened.map_err(|error| Failure::new(Exit::Failed, error))??;
                Ok(Readable {
                    name,
                    state: Some(repository.state()),
                    size: Size::Commits(repository.commits),
                    contents: Contents::Repository(Box::new(repository)),
                })
            }
        }
    }

    fn checkpoint(&self, collection: &Collection, name: &str, state: Option<&str>) -> Result<Checkpoint, Failure> {
        let (Some(place), Some(state)) = (self.state_file, state) else { return Ok(Checkpoint::new(None, name, "")) };
        let path = match collection {
            Collection::File(path) | Collection::Repository(path) => fs::canonicalize(path).unwrap_or(path.clone()),
        };
        let state_file: StateFile<Kept> = StateFile::of(place, &path.to_string_lossy()).map_err(|error| {
            let message =
                format!("the progress of an earlier import can't be read in {}: {error}", place.folder.display());
            Failure::new(Exit::Failed, message).hint(
                "--state-dir names another directory; without saved progress the \
                import starts over, and archives nothing twice",
            )
        })?;
        Ok(Checkpoint::new(Some(state_file), name, state))
    }
}

impl Contents {
    fn read(self, name: &str, overrides: &Overrides, skip: u64, items: &Items) -> Result<(), Stopped> {
        match self {
            Self::Lines(raw, position) => lines::read(name, raw, &position, skip, items),
            Self::WebArchive(raw, position) => web_archive::read(name, raw, &position, overrides, skip, items),
            Self::Repository(repository) => repository.read(skip, items),
        }
    }
}

/// Opens a file, and detects its format.
fn open_file(path: &Path, format: Option<CollectionFormat>, overrides: &Overrides) -> io::Result<Readable> {
    let is_standard_input = path == Path::new("-");
    let (state, bytes) = if is_standard_input { (None, 0) } else { state_of(path)? };
    let (mut raw, position) = input::open(path)?;
    let opening = input::opening(&mut raw)?;
    let looks_like_one = web_archive::is_named_so(path) || web_archive::is_web_archive(&opening);
    if format.is_none() && !looks_like_one && !lines::may_be(&opening) {
        let reason = "this is neither JSON Lines nor a web archive; `dateline add` takes documents";
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    let format = format.unwrap_or(if looks_like_one { CollectionFormat::Warc } else { CollectionFormat::Jsonl });
    if format == CollectionFormat::Warc && input::is_zstd(&mut raw)? {
        let reason = "web archives in zstd are not supported; `zstd -d` decompresses them";
        return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
    }
    // With other overrides it is a different import.
    let state = state.map(|state| format!("{state}, {format:?}, {overrides:?}"));
    let contents = match format {
        CollectionFormat::Jsonl => Contents::Lines(raw, position),
        CollectionFormat::Warc => Contents::WebArchive(raw, position),
    };
    let name = if is_standard_input { "standard input".to_owned() } else { path.display().to_string() };
    Ok(Readable { name, state, size: Size::Bytes(bytes), contents })
}

/// Identifies the state of a file by its length and modification time, as `make` does. Returns it with the length;
/// `None` and 0 for anything but a regular file.
fn state_of(path: &Path) -> io::Result<(Option<String>, u64)> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a directory; for a git repository, give it with --git",
        ));
    }
    if !metadata.is_file() {
        return Ok((None, 0));
    }
    let state = metadata.modified().map(|modified| format!("{} bytes, {modified:?}", metadata.len()));
    Ok((state.ok(), metadata.len()))
}
