//! Dateline: an archive of articles that never forgets what a page said.
//!
//! Data flows one way, and each layer knows only the one below. In reading order:
//!
//! - [`model`]: the words of the product as plain types;
//! - [`store`]: records and keys on an ordered key-value engine;
//! - [`backup`]: backups as files;
//! - [`archive`]: what the product does: judge, commit, read, on both time axes;
//! - [`wire`]: the generated contract, and conversions between it and the model;
//! - [`service`]: the gRPC handlers: parse, call, render;
//! - [`server`]: listener, layers, services and shutdown, put together;
//! - [`client`]: a typed client, for the command line, tests and other programs;
//! - [`ingest`]: documents to articles;
//! - [`export`]: articles to documents;
//! - [`fetch`]: pages from the web, an address in and bytes out;
//! - [`config`]: what `serve` can be told;
//! - [`cli`]: the command line;
//! - [`clock`] and [`telemetry`]: the time, and the log.

pub mod archive;
pub mod backup;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod export;
pub mod fetch;
pub mod ingest;
pub mod model;
pub mod server;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod wire;
