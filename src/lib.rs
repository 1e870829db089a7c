//! Dateline: an archive of articles that never forgets what a page said.
//!
//! Data flows one way, and each layer knows only the one below. In reading order:
//!
//! - [`model`]: the words of the product as plain types;
//! - [`store`]: records and keys on an ordered key-value engine;
//! - [`archive`]: what the product does: judge, commit, read, on both time axes;
//! - [`wire`]: the generated contract, and conversions between it and the model;
//! - [`service`]: the gRPC handlers: parse, call, render;
//! - [`ingest`]: documents to articles;

pub mod archive;
pub mod clock;
pub mod ingest;
pub mod model;
pub mod service;
pub mod store;
pub mod wire;
