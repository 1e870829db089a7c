//! Dateline: an archive of articles that never forgets what a page said.
//!
//! Data flows one way, and each layer knows only those below it. In reading order:
//!
//! - [`model`]: the terms of the product as plain types;
//! - [`store`]: records and keys on an ordered key-value engine;
//! - [`backup`]: backups as files, without an open archive;
//! - [`archive`]: the product's rules: decide, commit and read, on both time axes;
//! - [`wire`]: the generated contract, and conversions between it and the model;
//! - [`service`]: the gRPC handlers: parse, call, render;
//! - [`server`]: the listener, middleware, services and shutdown;
//! - [`client`]: a typed client, for the command line, tests and other programs;
//! - [`ingest`]: converts documents to articles;
//! - [`export`]: converts articles to documents;
//! - [`fetch`]: fetches web pages: an address in, bytes out;
//! - [`capture`]: captures pages, feeds and collections, and exports articles, without a terminal;
//! - [`config`]: the settings of `serve`;
//! - [`cli`]: the command line;
//! - [`clock`] and [`telemetry`]: the time and the diagnostic log.

pub mod archive;
pub mod backup;
pub mod capture;
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
