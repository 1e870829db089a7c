//! `import`: archives whole collections.
//!
//! A reader on a thread of its own ([`lines`], [`web_archive`], [`git`]) makes items of a collection and puts them into a
//! channel whose room is bounded in bytes ([`item`]); [`sending`] asks the archive for them; [`tally`] tells what comes of
//! it; [`keeping`] remembers how far it came.

mod git;
mod input;
mod item;
mod keeping;
mod lines;
mod sending;
mod tally;
mod web_archive;
mod wishes;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use self::git::Repository;
use self::input::{Position, Raw};
use self::item::{Items, Stopped};
use self::keeping::{Keeping, Kept};
use self::sending::{End, Sending};
use self::tally::Tally;
use self::wishes::Wishes;
use super::args::Globals;
use super::connect::Session;
use super::count;
use super::exit::{Exit, Failure, interrupted};
use super::import_args::{CollectionFormat, ImportArgs};
use super::memory::{Memory, Place};
use super::output::Output;
use super::signals::Signals;
use crate::client::ServerError;
use crate::wire::pb;

/// The files of a repository that are imported where none are named.
const MARKDOWN: &str = "**/*.md";

/// Imports each collection, one after the other, also after one that failed in part.
pub(super) async fn run(
    session: &Session,
    args: &ImportArgs,
    globals: &Globals,
    out: &mut Output,
) -> Result<(), Failure> {
    let stopping = Signals::listen()?.token();
    let memory = match args.dry_run {
        true => None,
        false => Some(Place::of(session, args.memory.as_deref(), "import").await?),
    };
    let mut collections = collections(args)?.into_iter();
    let mut failed = Vec::new();
    while let Some(collection) = collections.next() {
        let import = Import { session, args, globals, memory: memory.as_ref(), stopping: &stopping };
        let ended = import.run(collection, out).await;
        let left = collections.len() as u64;
        match ended {
            Ok(()) => {}
            Err(failure) if left == 0 && failed.is_empty() => return Err(failure),
            // Others would fare no better.
            Err(failure) if is_passing(&failure) => return Err(failure),
            Err(failure) => {
                super::tell(&failure);
                failed.push(failure.exit);
            }
        }
        if left > 0 && stopping.is_cancelled() {
            return Err(interrupted(&format!("{} not looked at; give the same command again", count(left, "file"))));
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        [exit, ..] => {
            Err(Failure::new(*exit, format!("{} failed, at least in part", count(failed.len() as u64, "file"))))
        }
    }
}

/// Whether a failure is one of the archive and of the moment, and not of the collection.
fn is_passing(failure: &Failure) -> bool {
    failure.exit == Exit::Unreachable || failure.server.as_ref().is_some_and(|error| error.is_passing())
}

/// Something to import.
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

/// A collection that can be read.
struct Readable {
    name: String,
    /// What tells this state of it from others; none where it can be read only once.
    state: Option<String>,
    size: Size,
    contents: Contents,
}

/// How much there is of it.
enum Size {
    /// 0 where nobody knows.
    Bytes(u64),
    Commits(u64),
}

enum Contents {
    Lines(Raw, Position),
    WebArchive(Raw, Position),
    Repository(Box<Repository>),
}

/// One import.
struct Import<'a> {
    session: &'a Session,
    args: &'a ImportArgs,
    globals: &'a Globals,
    memory: Option<&'a Place>,
    stopping: &'a CancellationToken,
}

impl Import<'_> {
    async fn run(&self, collection: Collection, out: &mut Output) -> Result<(), Failure> {
        let wishes = Wishes {
            source: self.args.source.clone(),
            labels: self.args.label.clone(),
            keep_original: self.args.keep_original,
        };
        let Readable { name, state, size, contents } = self.open(&collection, &wishes).await?;
        let mut keeping = self.keeping(&collection, &name, state.as_deref())?;
        if let Some(known_at) = keeping.known_at()
            && !self.has(known_at).await?
        {
            keeping.begin_anew();
        }
        let (before, failed) = keeping.before();
        let mut tally = Tally::new(self.globals, out, before, failed);
        if before.items > 0 {
            tally.note(format_args!("{name}: goes on after {}", count(before.items, "item")));
        }
        match size {
            Size::Bytes(bytes) => tally.begin(&name, bytes),
            Size::Commits(commits) => tally.begin_commits(&name, commits),
        }
        let (items, arriving) = Items::new();
        let reading = tokio::task::spawn_blocking(move || contents.read(&name, &wishes, before.items, &items));
        let sending = Sending::new(self.session, self.args.dry_run).await?;
        let sent = sending.run(arriving, self.stopping, &mut tally, &mut keeping).await;
        if let Ok(End::Whole) = sent {
            let read = reading.await;
            read.map_err(|error| Failure::new(Exit::Failed, format!("reading ended unexpectedly: {error}")))?.ok();
            keeping.forget(&tally);
            return tally.finish();
        }
        // The reader is not waited for: it may wait for an input that never comes.
        keeping.keep(&tally);
        let goes_on = if state.is_some() { "the same command goes on there" } else { "nothing is archived twice" };
        let left = format!("{} of it are done; {goes_on}", count(tally.done().items, "item"));
        drop(tally.finish());
        sent.and(Err(interrupted(&left)))
    }

    /// Whether the archive was at this point: not one that was restored from a backup since.
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

    async fn open(&self, collection: &Collection, wishes: &Wishes) -> Result<Readable, Failure> {
        match collection {
            Collection::File(path) => {
                let opened = open_file(path, self.args.format, wishes).map_err(|error| {
                    Failure::new(Exit::Failed, format!("{}: can't be read: {error}", path.display())).kind("UNREADABLE")
                })?;
                if matches!(opened.contents, Contents::Lines(..)) && !wishes.are_none() {
                    let message = format!("{}: JSON Lines say of each article all that there is to say", opened.name);
                    return Err(Failure::new(Exit::Usage, message).hint("leave out --source, --label, --keep-original"));
                }
                Ok(opened)
            }
            Collection::Repository(folder) => {
                let (folder, wishes) = (folder.clone(), wishes.clone());
                let mut args = self.args.repository.clone();
                if args.glob.is_empty() {
                    args.glob.push(MARKDOWN.to_owned());
                }
                let name = folder.display().to_string();
                let opened = tokio::task::spawn_blocking(move || Repository::open(&folder, &args, &wishes)).await;
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

    fn keeping(&self, collection: &Collection, name: &str, state: Option<&str>) -> Result<Keeping, Failure> {
        let (Some(place), Some(state)) = (self.memory, state) else { return Ok(Keeping::new(None, name, "")) };
        let path = match collection {
            Collection::File(path) | Collection::Repository(path) => fs::canonicalize(path).unwrap_or(path.clone()),
        };
        let memory: Memory<Kept> = Memory::of(place, &path.to_string_lossy()).map_err(|error| {
            let message =
                format!("how far an earlier import came can't be read in {}: {error}", place.folder.display());
            Failure::new(Exit::Failed, message).hint(
                "--memory names another folder; without what is remembered the \
                import begins anew, and archives nothing twice",
            )
        })?;
        Ok(Keeping::new(Some(memory), name, state))
    }
}

impl Contents {
    fn read(self, name: &str, wishes: &Wishes, skip: u64, items: &Items) -> Result<(), Stopped> {
        match self {
            Self::Lines(raw, position) => lines::read(name, raw, &position, skip, items),
            Self::WebArchive(raw, position) => web_archive::read(name, raw, &position, wishes, skip, items),
            Self::Repository(repository) => repository.read(skip, items),
        }
    }
}

/// Opens a file, and finds out what it holds.
fn open_file(path: &Path, format: Option<CollectionFormat>, wishes: &Wishes) -> io::Result<Readable> {
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
        let reason = "a web archive in zstd, which is not read; `zstd -d` unpacks it";
        return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
    }
    // With other wishes it is another import.
    let state = state.map(|state| format!("{state}, {format:?}, {wishes:?}"));
    let contents = match format {
        CollectionFormat::Jsonl => Contents::Lines(raw, position),
        CollectionFormat::Warc => Contents::WebArchive(raw, position),
    };
    let name = if is_standard_input { "standard input".to_owned() } else { path.display().to_string() };
    Ok(Readable { name, state, size: Size::Bytes(bytes), contents })
}

/// What tells a file from what it was before, as `make` does: its length and when it was last written. Only of a plain file
/// can it be said, and how long it is.
fn state_of(path: &Path) -> io::Result<(Option<String>, u64)> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a folder; for a git repository, give it with --git",
        ));
    }
    if !metadata.is_file() {
        return Ok((None, 0));
    }
    let state = metadata.modified().map(|modified| format!("{} bytes, {modified:?}", metadata.len()));
    Ok((state.ok(), metadata.len()))
}
