//! Reads the history of files in a git repository. The content of a file in a commit is an observation at the commit's
//! time.
//!
//! All data comes from the `git` command. By default, the history is that of the branch itself, with each merge as one
//! commit, since a commit of another branch was not published before it was merged. A renamed file stays the same
//! article, a removed one is withdrawn, and one that returns is reinstated.

mod articles;
mod blobs;
mod command;
mod log;
mod ties;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use url::Url;

use self::articles::Articles;
use self::blobs::{Blob, Blobs};
use self::command::Git;
use self::log::{Commit, FileChange, Log};
use self::ties::Ties;
use super::item::{Done, Found, Item, Items, Stopped};
use super::overrides::Overrides;
use crate::cli::args::import::RepositoryArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::times;
use crate::ingest::{self, Format};
use crate::model::slug::slug;
use crate::model::{SourceId, Timestamp};
use crate::wire::{content_to_pb, pb, timestamp_to_pb};

/// A repository, and which part of its history is imported.
pub(super) struct Repository {
    git: Git,
    args: RepositoryArgs,
    overrides: Overrides,
    source: SourceId,
    /// The commit at the end of the history.
    tip: String,
    /// The number of commits in that history that touch the selected files.
    pub(super) commits: u64,
}

impl Repository {
    /// Opens a repository, and counts its commits.
    pub(super) fn open(folder: &Path, args: &RepositoryArgs, overrides: &Overrides) -> Result<Self, Failure> {
        let git = Git::new(folder);
        let top =
            git.line(&["rev-parse", "--show-toplevel"]).or_else(|_| git.line(&["rev-parse", "--absolute-git-dir"]))?;
        let source = match &overrides.source {
            Some(source) => source.clone(),
            None => source_of(Path::new(&top))?,
        };
        if git.line(&["rev-parse", "--is-shallow-repository"])? == "true" && !args.allow_shallow {
            let message = format!("{} is a shallow clone: its first commits are missing", folder.display());
            return Err(Failure::new(Exit::Failed, message)
                .kind("SHALLOW")
                .hint("`git fetch --unshallow` gets them; --allow-shallow imports what is there"));
        }
        let tip = git.line(&["rev-parse", "--verify", "--end-of-options", &format!("{}^{{commit}}", args.branch)]);
        let tip = tip.map_err(|_| {
            let message =
                format!("{} has no branch, tag or commit {}, or no commit yet", folder.display(), args.branch);
            Failure::new(Exit::NotFound, message).hint("`git branch --all` lists the branches; --branch names one")
        })?;
        let git = git.at_the_top(PathBuf::from(top));
        let commits = log::count(&git, &tip, args)?;
        if commits == 0 {
            let message =
                format!("no commit of {} touches a file that matches {}", args.branch, args.glob.join(" or "));
            return Err(Failure::new(Exit::NotFound, message).hint(
                "patterns start at the top of the repository; `*` stays in one directory: '**/*.md' is all Markdown",
            ));
        }
        Ok(Self { git, args: args.clone(), overrides: overrides.clone(), source, tip, commits })
    }

    /// Identifies the history that is imported: with another tip or other options, it is a different one.
    pub(super) fn state(&self) -> String {
        format!("{} {:?} {:?} {}", self.tip, self.args, self.overrides, self.source)
    }

    /// Sends what each commit did to each file, starting after the first `skip` items.
    pub(super) fn read(&self, skip: u64, items: &Items) -> Result<(), Stopped> {
        let mut reading = Reading {
            repository: self,
            articles: Articles::default(),
            ties: Ties::default(),
            done: Done::default(),
            skip,
            items,
        };
        let read = Log::start(&self.git, &self.tip, &self.args).and_then(|log| Ok((log, Blobs::start(&self.git)?)));
        let (mut log, mut blobs) = match read {
            Ok(read) => read,
            Err(error) => return reading.end(error),
        };
        loop {
            match log.next() {
                Ok(Some(commit)) => reading.commit(&commit, &mut blobs)?,
                Ok(None) => return Ok(()),
                Err(error) => return reading.end(error),
            }
        }
    }
}

/// The state of reading a history.
struct Reading<'a> {
    repository: &'a Repository,
    articles: Articles,
    ties: Ties,
    done: Done,
    skip: u64,
    items: &'a Items,
}

impl Reading<'_> {
    /// The observe time of what a commit did to an article.
    fn time_of(&mut self, commit: &Commit, article: &str) -> Timestamp {
        self.ties.time_of(article, self.done.measure, commit.time)
    }

    fn commit(&mut self, commit: &Commit, blobs: &mut Blobs) -> Result<(), Stopped> {
        self.done.measure += 1;
        for change in &commit.changes {
            match change {
                FileChange::Removed { path } => {
                    if let Some(article) = self.articles.remove(path) {
                        self.mark(commit, path, &article, true)?;
                    }
                }
                FileChange::Written { path, from, blob } => {
                    let (article, is_back) = self.articles.write(path, from.as_deref(), &commit.id);
                    if is_back {
                        self.mark(commit, path, &article, false)?;
                    }
                    self.written(commit, path, &article, blob, blobs)?;
                }
            }
        }
        Ok(())
    }

    fn mark(&mut self, commit: &Commit, path: &str, article: &str, withdrawn: bool) -> Result<(), Stopped> {
        let name = format!("{}/articles/{article}", self.repository.source);
        let observe_time = Some(timestamp_to_pb(self.time_of(commit, article)));
        let reason = format!("{} by commit {}", if withdrawn { "removed" } else { "added again" }, commit.id);
        self.put(commit, path, 0, || match withdrawn {
            true => Found::Withdraw(pb::WithdrawArticleRequest { name, observe_time, reason, ..Default::default() }),
            false => Found::Reinstate(pb::ReinstateArticleRequest { name, observe_time, reason, ..Default::default() }),
        })
    }

    fn written(
        &mut self,
        commit: &Commit,
        path: &str,
        article: &str,
        blob: &str,
        blobs: &mut Blobs,
    ) -> Result<(), Stopped> {
        let time = self.time_of(commit, article);
        if self.done.items < self.skip {
            return self.put(commit, path, 0, || Found::PassedOver(""));
        }
        let found = match blobs.read(blob) {
            Ok(Blob::Text(bytes)) => {
                let length = bytes.len();
                let found = self.repository.observation(time, path, article, bytes);
                return self.put(commit, path, 2 * length, || found.unwrap_or_else(Found::Broken));
            }
            Ok(Blob::TooLarge(bytes)) => {
                let message = format!("the file has {bytes} bytes, more than the maximum size of a document");
                Found::Broken(Failure::new(Exit::Failed, message).kind("TOO_LARGE"))
            }
            Ok(Blob::Missing) => {
                let message = format!("the repository lacks its content, {blob}");
                Found::Broken(Failure::new(Exit::Failed, message).kind("MISSING"))
            }
            Err(error) => return self.end(error).and(Err(Stopped)),
        };
        self.put(commit, path, 0, || found)
    }

    /// Ends reading after a failure of git; the next import continues after the items sent so far.
    fn end(&self, error: Failure) -> Result<(), Stopped> {
        let place = self.repository.git.folder().display().to_string();
        self.items.put(Item { place, found: Found::Ended(error), done: self.done }, 0)
    }

    /// Sends an item, unless an earlier import did.
    fn put(&mut self, commit: &Commit, path: &str, bytes: usize, found: impl FnOnce() -> Found) -> Result<(), Stopped> {
        self.done.items += 1;
        if self.done.items <= self.skip {
            return Ok(());
        }
        let id = commit.id.get(..10).unwrap_or(&commit.id);
        self.items.put(Item { place: format!("commit {id}, {path}"), found: found(), done: self.done }, bytes)
    }
}

impl Repository {
    fn observation(&self, time: Timestamp, path: &str, article: &str, bytes: Vec<u8>) -> Result<Found, Failure> {
        let address = self.args.base_url.as_ref().and_then(|base| address(base, path));
        let format = Format::of_path(Path::new(path));
        let options = ingest::Options {
            format,
            reference_date: Some(times::day_of(time)),
            url: address.clone(),
            untitled: Some(name_of(path).to_owned()),
            ..ingest::Options::default()
        };
        let document = ingest::read(&bytes, &options);
        let document = document.map_err(|error| Failure::new(Exit::Failed, error).kind("UNREADABLE"))?;
        let mut request = pb::RecordObservationRequest {
            parent: self.source.to_string(),
            article_id: article.to_owned(),
            content: Some(content_to_pb(&document.content)),
            observe_time: Some(timestamp_to_pb(time)),
            urls: document.urls.into_iter().chain(address.map(String::from)).collect(),
            ..pb::RecordObservationRequest::default()
        };
        let media_type = format.unwrap_or(Format::NewsText).media_type();
        self.overrides.apply(&mut request, media_type, Bytes::from(bytes));
        Ok(Found::Publish(Box::new(request)))
    }
}

/// The URL of a file: its path after the base URL.
fn address(base: &Url, path: &str) -> Option<Url> {
    let mut address = base.clone();
    address.path_segments_mut().ok()?.pop_if_empty().extend(path.split('/'));
    Some(address)
}

/// The name of a file, without its extension.
fn name_of(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem).trim_start_matches('.')
}

/// The source of a repository if none is given: the name of its directory.
fn source_of(top: &Path) -> Result<SourceId, Failure> {
    let folder = if top.ends_with(".git") { top.parent().unwrap_or(top) } else { top };
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    SourceId::parse(&slug(name.trim_end_matches(".git"))).map_err(|_| {
        Failure::new(Exit::Usage, "the name of the repository's directory can't be a source")
            .hint("name the source: --source express-gazette")
    })
}
