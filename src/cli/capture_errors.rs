//! Exit statuses and hints for the errors of capturing and exporting.

use super::exit::{Exit, Failure};
use super::short_name::short;
use crate::capture::export::{ExportError, FileConflict};
use crate::capture::import::{CollectionError, GitError};
use crate::capture::{CaptureError, PageError};
use crate::fetch::FetchError;
use crate::ingest::wacz::WaczError;

/// Files that a hint names.
const NAMES_MAX: usize = 3;

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        if let CaptureError::Server(error) = error {
            return (*error).into();
        }
        // One page of many is reported without its hint, so these remedies are part of the message.
        let remedy = if matches!(error, CaptureError::Fetch(FetchError::PrivateAddress { .. })) {
            "; pass --allow-private to fetch from private networks"
        } else if matches!(error, CaptureError::Fetch(FetchError::Robots { .. })) {
            "; if you may fetch it anyway, pass --ignore-robots"
        } else {
            ""
        };
        let failure = Self::new(exit_of_capture(&error), format!("{error}{remedy}")).kind(error.reason());
        Self { hint: hint_of_capture(&error), ..failure }
    }
}

fn exit_of_capture(error: &CaptureError) -> Exit {
    match error {
        CaptureError::Fetch(error) => exit_of_fetch(error),
        CaptureError::Page(PageError::NoSource | PageError::Feed { .. })
        | CaptureError::Git(GitError::NoSource)
        | CaptureError::Overrides { .. } => Exit::Usage,
        CaptureError::Page(PageError::FrontPage { .. })
        | CaptureError::Git(GitError::NoCommit { .. } | GitError::NoMatch { .. }) => Exit::NotFound,
        CaptureError::BrokenOff => Exit::Unreachable,
        CaptureError::Server(_)
        | CaptureError::Unreadable(_)
        | CaptureError::Page(_)
        | CaptureError::Item(_)
        | CaptureError::Git(_)
        | CaptureError::Collection { .. }
        | CaptureError::State { .. }
        | CaptureError::Reader(_) => Exit::Failed,
    }
}

fn exit_of_fetch(error: &FetchError) -> Exit {
    if matches!(error, FetchError::NotHttp { .. } | FetchError::PrivateAddress { .. }) {
        Exit::Usage
    } else if error.is_missing() {
        Exit::NotFound
    } else if error.is_transient() {
        Exit::Unreachable
    } else {
        Exit::Failed
    }
}

fn hint_of_capture(error: &CaptureError) -> Option<String> {
    let hint = match error {
        CaptureError::Page(PageError::NoSource) => "name it: --source express-gazette",
        CaptureError::Page(PageError::FrontPage { .. }) => {
            "the page is probably gone; `dateline withdraw` records that"
        }
        CaptureError::Page(PageError::Feed { url }) => {
            return Some(format!("`dateline follow {url}` archives its entries"));
        }
        CaptureError::Git(GitError::NotInstalled) => "install git; it is needed to read a repository",
        CaptureError::Git(GitError::Shallow { .. }) => {
            "`git fetch --unshallow` fetches them; --allow-shallow imports the commits that are there"
        }
        CaptureError::Git(GitError::NoCommit { .. }) => "`git branch --all` lists the branches; --branch names one",
        CaptureError::Git(GitError::NoMatch { .. }) => {
            "patterns start at the top of the repository; `*` stays in one directory: '**/*.md' is all Markdown"
        }
        CaptureError::Git(GitError::NoSource) => "name the source: --source express-gazette",
        CaptureError::Collection { error: CollectionError::Directory, .. } => {
            "for a git repository, give it with --git"
        }
        CaptureError::Collection { error: CollectionError::UnknownFormat, .. } => "`dateline add` takes documents",
        CaptureError::Collection { error: CollectionError::Zstd, .. } => "`zstd -d` decompresses them",
        CaptureError::Collection { error: CollectionError::WaczStream, .. } => "save it to a file first, and name that",
        CaptureError::Collection { error: CollectionError::Wacz(WaczError::NotZip), .. } => {
            "if it is JSON Lines or a WARC file, say so: --format jsonl, --format warc"
        }
        CaptureError::Collection { error: CollectionError::Wacz(WaczError::NoPackage { warcs }), .. } => {
            return Some(unpack(warcs));
        }
        CaptureError::Collection { error: CollectionError::Wacz(WaczError::Name { .. }), .. } => {
            "unpack it, and import the WARC files in it"
        }
        CaptureError::Collection { error: CollectionError::Wacz(WaczError::NoWarc), .. } => {
            "if it contains other WACZ files, unpack it and import those"
        }
        CaptureError::Overrides { .. } => "leave out --source, --label, --keep-original, --no-keep-original",
        CaptureError::State { .. } => {
            "--state-dir names another directory; without saved state the command starts over, and archives nothing \
             twice"
        }
        CaptureError::BrokenOff => "run the same command again: it continues where it stopped",
        CaptureError::Server(_)
        | CaptureError::Fetch(_)
        | CaptureError::Unreadable(_)
        | CaptureError::Page(_)
        | CaptureError::Item(_)
        | CaptureError::Git(_)
        | CaptureError::Collection { error: CollectionError::Read(_) | CollectionError::Wacz(_), .. }
        | CaptureError::Reader(_) => return None,
    };
    Some(hint.to_owned())
}

/// What to do with a ZIP file that is not a WACZ.
fn unpack(warcs: &[String]) -> String {
    let named: Vec<_> = warcs.iter().take(NAMES_MAX).map(String::as_str).collect();
    match warcs.len().saturating_sub(NAMES_MAX) {
        _ if named.is_empty() => "unpack it, and import the files in it".to_owned(),
        0 => format!("unpack it, and import {}", named.join(", ")),
        more => format!("unpack it, and import {} and {more} more", named.join(", ")),
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        let (exit, hint) = match &error {
            ExportError::Server(error) => return Self::of_call((**error).clone()),
            ExportError::UnknownArticle { article, is_as_of } => {
                let then = if *is_as_of { " at that time" } else { "" };
                let message = format!("there is no article {}{then}", short(article));
                let failure = Self::new(Exit::NotFound, message).kind(error.reason());
                return failure.hint("`dateline list` lists the articles");
            }
            ExportError::NotSelected => (Exit::NotFound, None),
            ExportError::State(_) | ExportError::Conflict(FileConflict::NotAState(_)) => {
                (Exit::Conflict, Some("give --force to start over"))
            }
            ExportError::Conflict(FileConflict::OtherOptions(_)) => {
                (Exit::Conflict, Some("run the command that began it, or give --force to start over"))
            }
            ExportError::Conflict(FileConflict::Exists(_)) => {
                (Exit::Conflict, Some("name another file, or give --force to overwrite it"))
            }
            ExportError::Conflict(FileConflict::NoState(_)) => (Exit::Conflict, Some("--force overwrites it")),
            ExportError::Conflict(FileConflict::Foreign(_)) => {
                // One document of many is reported without its hint, so the remedy is part of the message.
                let message = format!("{error}; --force overwrites it");
                return Self::new(Exit::Conflict, message).kind(error.reason());
            }
            ExportError::Write { error, .. } if error.kind() == std::io::ErrorKind::StorageFull => {
                (Exit::Failed, Some("free some space, and run the same command again"))
            }
            ExportError::NoFolder(_) => (Exit::Failed, Some("create it first, or correct the path")),
            ExportError::Write { .. }
            | ExportError::Read { .. }
            | ExportError::Invalid { .. }
            | ExportError::NoRequest
            | ExportError::Compression(_)
            | ExportError::Task(_) => (Exit::Failed, None),
        };
        let failure = Self::new(exit, &error).kind(error.reason());
        Self { hint: hint.map(str::to_owned), ..failure }
    }
}
