//! Taking articles out: as requests that make them again, and as documents.

mod contents;
pub(crate) mod copies;
mod documents;
mod pages;
