//! Exporting articles: as replay requests, and as documents.

mod contents;
pub(crate) mod copies;
mod documents;
mod pages;
