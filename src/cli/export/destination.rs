//! Determines where an export goes.

use std::path::{Path, PathBuf};

use crate::capture::export::Encoding;
use crate::cli::args::export::{ExportArgs, ExportFormat};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;

/// The destination of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    Stdout(Encoding),
    File(PathBuf, Encoding),
    /// A directory, with a subdirectory of documents for each source.
    Folder(PathBuf),
}

impl Destination {
    pub(super) fn of(args: &ExportArgs, out: &Output) -> Result<Self, Failure> {
        let is_one_file = args.format.of_documents().is_none();
        let path = args.output.as_deref().filter(|path| *path != Path::new("-"));
        let Some(path) = path else { return Self::stdout(args, is_one_file, out) };
        // A complete export replaces what is at the path, which would destroy a device or a pipe.
        if path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
            return Err(usage(format!("{} is not a regular file; - is standard output", path.display())));
        }
        let is_one = args.articles.len() == 1;
        let names_folder = path.is_dir() || path.as_os_str().to_string_lossy().ends_with(std::path::MAIN_SEPARATOR);
        match (is_one_file, names_folder) {
            (true, true) => {
                let what = if args.format == ExportFormat::Wacz { "a WACZ is" } else { "JSON Lines go to" };
                Err(usage(format!("{} is a directory; {what} one file", path.display())))
            }
            (true, false) => Ok(Self::File(path.to_owned(), encoding(args, Some(path)))),
            (false, false) if is_one => Ok(Self::File(path.to_owned(), Encoding::Plain)),
            (false, _) if path.is_file() => {
                Err(usage(format!("{} is a file; several articles need a directory", path.display())))
            }
            (false, _) => Ok(Self::Folder(path.to_owned())),
        }
    }

    fn stdout(args: &ExportArgs, is_one_file: bool, out: &Output) -> Result<Self, Failure> {
        if args.dry_run {
            return Ok(Self::Stdout(encoding(args, None)));
        }
        if args.format == ExportFormat::Wacz {
            return Err(usage("a WACZ cannot be written to standard output").hint("name a file: --output FILE.wacz"));
        }
        if !is_one_file && args.articles.len() != 1 {
            return Err(usage("several articles need a directory").hint("name it: --output DIR"));
        }
        if out.json {
            return Err(usage("standard output cannot carry both the export and JSON about it")
                .hint("leave out --json, or name a file: --output FILE"));
        }
        let encoding = encoding(args, None);
        if encoding != Encoding::Plain && out.is_terminal() {
            return Err(usage("compressed lines cannot be written to a terminal; name a file: --output FILE"));
        }
        Ok(Self::Stdout(encoding))
    }
}

fn usage(message: impl ToString) -> Failure {
    Failure::new(Exit::Usage, message)
}

fn encoding(args: &ExportArgs, path: Option<&Path>) -> Encoding {
    if args.format == ExportFormat::Wacz {
        return Encoding::Plain;
    }
    let ending = path.and_then(Path::extension).map(|ending| ending.to_ascii_lowercase());
    match ending.as_ref().and_then(|ending| ending.to_str()) {
        _ if args.gzip => Encoding::Gzip,
        _ if args.zstd => Encoding::Zstd,
        Some("gz") => Encoding::Gzip,
        Some("zst") => Encoding::Zstd,
        Some(_) | None => Encoding::Plain,
    }
}
