//! Reads the history of files in a git repository. The content of a file in a commit is an observation at the commit's
//! time.
//!
//! All data comes from the `git` command. By default, the history is that of the branch itself, with each merge as one
//! commit, since a commit of another branch was not published before it was merged. A renamed file stays the same
//! article, a removed one is withdrawn, and one that returns is reinstated.

mod articles;
mod blobs;
mod command;
mod error;
mod log;
mod ties;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use url::Url;

use self::articles::Articles;
use self::blobs::{Blob, Blobs};
use self::command::Git;
pub use self::error::GitError;
use self::log::{Commit, FileChange, Log};
use self::ties::Ties;
use super::item::{Action, Done, Item, ItemError, ItemSender, Stopped};
use super::overrides::Overrides;
use crate::capture::CaptureError;
use crate::ingest::{self, Format};
use crate::model::slug::slug;
use crate::model::{SourceId, Timestamp};
use crate::wire::{content_to_pb, pb, timestamp_to_pb};

/// Which part of a repository's history is imported.
#[derive(Clone, Debug)]
pub struct RepositoryOptions {
    /// Patterns of the files, relative to the top of the repository; `*` matches within one directory, `**` across
    /// directories.
    pub glob: Vec<String>,
    /// The branch, tag or commit at the end of the history.
    pub branch: String,
    /// Whether each commit of a merged branch is imported, instead of the merge as one commit.
    pub every_commit: bool,
    /// The base of the articles' URLs, which the path of each file is appended to.
    pub base_url: Option<Url>,
    /// Whether a shallow clone is imported, which lacks the first commits.
    pub allow_shallow: bool,
}

/// A repository, and which part of its history is imported.
pub(super) struct Repository {
    git: Git,
    options: RepositoryOptions,
    overrides: Overrides,
    source: SourceId,
    /// The commit at the end of the history.
    tip: String,
    /// The number of commits in that history that touch the selected files.
    pub(super) commits: u64,
}

impl Repository {
    /// Opens a repository, and counts its commits.
    pub(super) fn open(folder: &Path, options: &RepositoryOptions, overrides: &Overrides) -> Result<Self, GitError> {
        let git = Git::new(folder);
        let top =
            git.line(&["rev-parse", "--show-toplevel"]).or_else(|_| git.line(&["rev-parse", "--absolute-git-dir"]))?;
        let source = match &overrides.source {
            Some(source) => source.clone(),
            None => source_of(Path::new(&top))?,
        };
        if git.line(&["rev-parse", "--is-shallow-repository"])? == "true" && !options.allow_shallow {
            return Err(GitError::Shallow { folder: folder.to_owned() });
        }
        let tip = git.line(&["rev-parse", "--verify", "--end-of-options", &format!("{}^{{commit}}", options.branch)]);
        let tip = tip.map_err(|_| GitError::NoCommit { folder: folder.to_owned(), branch: options.branch.clone() })?;
        let git = git.at_the_top(PathBuf::from(top));
        let commits = log::count(&git, &tip, options)?;
        if commits == 0 {
            return Err(GitError::NoMatch { branch: options.branch.clone(), patterns: options.glob.join(" or ") });
        }
        Ok(Self { git, options: options.clone(), overrides: overrides.clone(), source, tip, commits })
    }

    /// Identifies the history that is imported: with another tip or other options, it is a different one.
    pub(super) fn state(&self) -> String {
        format!("{} {:?} {:?} {}", self.tip, self.options, self.overrides, self.source)
    }

    /// Sends what each commit did to each file, starting after the first `skip` items.
    pub(super) fn read(&self, skip: u64, items: &ItemSender) -> Result<(), Stopped> {
        let mut walk = Walk {
            repository: self,
            articles: Articles::default(),
            ties: Ties::default(),
            done: Done::default(),
            skip,
            items,
        };
        let read = Log::start(&self.git, &self.tip, &self.options).and_then(|log| Ok((log, Blobs::start(&self.git)?)));
        let (mut log, mut blobs) = match read {
            Ok(read) => read,
            Err(error) => return walk.end(error),
        };
        loop {
            match log.next() {
                Ok(Some(commit)) => walk.commit(&commit, &mut blobs)?,
                Ok(None) => return Ok(()),
                Err(error) => return walk.end(error),
            }
        }
    }
}

/// What a commit did to an article, besides its text.
#[derive(Clone, Copy)]
enum StateChange {
    Removed,
    Returned,
}

/// A walk through a history, oldest commit first.
struct Walk<'a> {
    repository: &'a Repository,
    articles: Articles,
    ties: Ties,
    done: Done,
    skip: u64,
    items: &'a ItemSender,
}

impl Walk<'_> {
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
                        self.state_change(commit, path, &article, StateChange::Removed)?;
                    }
                }
                FileChange::Written { path, from, blob } => {
                    let (article, is_back) = self.articles.write(path, from.as_deref(), &commit.id);
                    if is_back {
                        self.state_change(commit, path, &article, StateChange::Returned)?;
                    }
                    self.written(commit, path, &article, blob, blobs)?;
                }
            }
        }
        Ok(())
    }

    fn state_change(&mut self, commit: &Commit, path: &str, article: &str, change: StateChange) -> Result<(), Stopped> {
        let name = format!("{}/articles/{article}", self.repository.source);
        let observe_time = Some(timestamp_to_pb(self.time_of(commit, article)));
        let commit_id = &commit.id;
        self.send(commit, path, 0, || match change {
            StateChange::Removed => Action::Withdraw(pb::WithdrawArticleRequest {
                name,
                observe_time,
                reason: format!("removed by commit {commit_id}"),
                ..Default::default()
            }),
            StateChange::Returned => Action::Reinstate(pb::ReinstateArticleRequest {
                name,
                observe_time,
                reason: format!("added again by commit {commit_id}"),
                ..Default::default()
            }),
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
            return self.send(commit, path, 0, || Action::Skip(""));
        }
        let action = match blobs.read(blob) {
            Ok(Blob::Text(bytes)) => {
                let length = bytes.len();
                let action = self.repository.observation(time, path, article, bytes);
                return self.send(commit, path, 2 * length, || action.unwrap_or_else(Action::Fail));
            }
            Ok(Blob::TooLarge(bytes)) => Action::Fail(ItemError::TooLarge { bytes }.into()),
            Ok(Blob::Missing) => Action::Fail(ItemError::Missing { blob: blob.to_owned() }.into()),
            Err(error) => return self.end(error).and(Err(Stopped)),
        };
        self.send(commit, path, 0, || action)
    }

    /// Ends reading after a failure of git; the next import continues after the items sent so far.
    fn end(&self, error: GitError) -> Result<(), Stopped> {
        let place = self.repository.git.folder().display().to_string();
        self.items.send(Item { place, action: Action::Abort(error.into()), done: self.done }, 0)
    }

    /// Sends an item, unless an earlier import did.
    fn send(
        &mut self,
        commit: &Commit,
        path: &str,
        bytes: usize,
        action: impl FnOnce() -> Action,
    ) -> Result<(), Stopped> {
        self.done.items += 1;
        if self.done.items <= self.skip {
            return Ok(());
        }
        let id = commit.id.get(..10).unwrap_or(&commit.id);
        self.items.send(Item { place: format!("commit {id}, {path}"), action: action(), done: self.done }, bytes)
    }
}

impl Repository {
    fn observation(&self, time: Timestamp, path: &str, article: &str, bytes: Vec<u8>) -> Result<Action, CaptureError> {
        let address = self.options.base_url.as_ref().and_then(|base| address(base, path));
        let format = Format::of_path(Path::new(path));
        let options = ingest::Options {
            format,
            reference_date: Some(time.day()),
            url: address.clone(),
            untitled: Some(name_of(path).to_owned()),
            ..ingest::Options::default()
        };
        let document = ingest::read(&bytes, &options)?;
        let mut request = pb::RecordObservationRequest {
            parent: self.source.to_string(),
            article_id: article.to_owned(),
            content: Some(content_to_pb(&document.content)),
            observe_time: Some(timestamp_to_pb(time)),
            urls: document.urls.into_iter().chain(address.map(String::from)).collect(),
            labels: document.labels,
            ..pb::RecordObservationRequest::default()
        };
        let media_type = format.unwrap_or(Format::NewsText).media_type();
        self.overrides.apply(&mut request, media_type, Bytes::from(bytes));
        Ok(Action::Record(Box::new(request)))
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
fn source_of(top: &Path) -> Result<SourceId, GitError> {
    let folder = if top.ends_with(".git") { top.parent().unwrap_or(top) } else { top };
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    SourceId::parse(&slug(name.trim_end_matches(".git"))).map_err(|_| GitError::NoSource)
}
