//! Taking articles out: as requests that make them again, and as documents.

mod contents;
mod copies;
mod documents;
mod pages;
