//! Exports articles: their history as JSON Lines ([`LinesExport`]), their originals as a WACZ ([`WaczExport`]), or each
//! one as a document ([`DocumentsExport`]).
//!
//! All reads of an export use one snapshot, which is fixed when it begins and stored next to its output. An export that
//! was interrupted therefore ends with the same result as one that was not.

mod changes;
mod documents;
mod encoding;
mod error;
mod file_names;
mod fingerprint;
mod folder;
mod history;
mod item;
mod lines;
mod manifest;
mod newest;
mod options;
mod page;
mod partial_file;
mod selection;
mod wacz;

pub use self::documents::{DocumentEvent, DocumentsExport, DocumentsOptions, document, write_document};
pub use self::encoding::Encoding;
pub use self::error::{ExportError, FileConflict};
pub use self::folder::check_parent;
pub use self::item::{OriginalBytes, item, revision_at};
pub use self::lines::LinesExport;
pub use self::options::LinesOptions;
pub use self::partial_file::{EarlierExport, ExportState, PartialFile};
pub use self::selection::Selection;
pub use self::wacz::{Contents, WaczDone, WaczExport, WaczOptions};
