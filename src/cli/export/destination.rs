//! Determines where an export goes.

use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use crate::capture::export::Encoding;
use crate::cli::args::export::{ExportArgs, ExportFormat};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;

/// Where documents go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Documents {
    Stdout,
    File(PathBuf),
    /// A directory, with a subdirectory of documents for each source.
    Folder(PathBuf),
}

/// The file that a WACZ goes to.
pub(super) fn wacz(args: &ExportArgs) -> Result<PathBuf, Failure> {
    match path(args)? {
        Some(path) if names_folder(path) => {
            Err(usage(format!("{} is a directory; a WACZ is one file", path.display())))
        }
        Some(path) if has_ending(path, &["jsonl", "gz", "zst"]) => Err(other_ending(path, "JSON Lines, not a WACZ")),
        Some(path) => Ok(path.to_owned()),
        None => Err(usage("a WACZ cannot be written to standard output").hint("name a file: --output FILE.wacz")),
    }
}

/// The file that JSON Lines go to, or `None` for standard output, and their compression.
pub(super) fn lines(args: &ExportArgs, out: &Output) -> Result<(Option<PathBuf>, Encoding), Failure> {
    let path = path(args)?;
    let encoding = encoding(args, path);
    match path {
        Some(path) if names_folder(path) => {
            Err(usage(format!("{} is a directory; JSON Lines go to one file", path.display())))
        }
        Some(path) if has_ending(path, &["wacz"]) => Err(other_ending(path, "a WACZ, not JSON Lines")),
        Some(path) => Ok((Some(path.to_owned()), encoding)),
        None if args.dry_run => Ok((None, encoding)),
        None if out.json => Err(two_outputs()),
        None if encoding != Encoding::Plain && out.is_terminal() => {
            Err(usage("compressed lines cannot be written to a terminal; name a file: --output FILE"))
        }
        None => Ok((None, encoding)),
    }
}

/// Where documents go.
pub(super) fn documents(args: &ExportArgs, out: &Output) -> Result<Documents, Failure> {
    let is_one = args.articles.len() == 1;
    match path(args)? {
        Some(path) if is_one && !names_folder(path) => match has_ending(path, &["wacz"]) {
            true => Err(other_ending(path, "a WACZ, not a document")),
            false => Ok(Documents::File(path.to_owned())),
        },
        Some(path) if path.is_file() => {
            Err(usage(format!("{} is a file; several articles need a directory", path.display())))
        }
        Some(path) => Ok(Documents::Folder(path.to_owned())),
        None if args.dry_run => Ok(Documents::Stdout),
        None if !is_one => Err(usage("several articles need a directory").hint("name it: --output DIR")),
        None if out.json => Err(two_outputs()),
        None => Ok(Documents::Stdout),
    }
}

/// The path of the output; `None` for standard output.
fn path(args: &ExportArgs) -> Result<Option<&Path>, Failure> {
    let path = args.output.as_deref().filter(|path| *path != Path::new("-"));
    match path.map(|path| (path, path.metadata())) {
        // A complete export replaces what is at the path, which would destroy a device or a pipe.
        Some((path, Ok(metadata))) if !metadata.is_file() && !metadata.is_dir() => {
            Err(usage(format!("{} is not a regular file; - is standard output", path.display())))
        }
        Some((path, _)) => Ok(Some(path)),
        None => Ok(None),
    }
}

fn names_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().to_string_lossy().ends_with(MAIN_SEPARATOR)
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|found| endings.iter().any(|ending| found.eq_ignore_ascii_case(ending)))
}

fn encoding(args: &ExportArgs, path: Option<&Path>) -> Encoding {
    let has_ending = |ending| path.is_some_and(|path| has_ending(path, &[ending]));
    match () {
        () if args.gzip => Encoding::Gzip,
        () if args.zstd => Encoding::Zstd,
        () if has_ending("gz") => Encoding::Gzip,
        () if has_ending("zst") => Encoding::Zstd,
        () => Encoding::Plain,
    }
}

impl ExportArgs {
    /// The format asked for, or else the one that the name of the file says.
    pub(super) fn format(&self) -> ExportFormat {
        let names_wacz = || self.output.as_deref().is_some_and(|path| has_ending(path, &["wacz"]));
        self.format.unwrap_or_else(|| if names_wacz() { ExportFormat::Wacz } else { ExportFormat::Jsonl })
    }
}

fn usage(message: impl ToString) -> Failure {
    Failure::new(Exit::Usage, message)
}

fn other_ending(path: &Path, what: &str) -> Failure {
    usage(format!("{} has the name of {what}", path.display())).hint("name another file, or another --format")
}

fn two_outputs() -> Failure {
    usage("standard output cannot carry both the export and JSON about it")
        .hint("leave out --json, or name a file: --output FILE")
}
