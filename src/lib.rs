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
//!
//! Cargo features select the layers. `client`, `archive` (with `store`, `backup`, `service` and `server`) and `ingest`
//! (with `export` and `fetch`) can each be used without the others; `cli`, the default, is everything. `model` and
//! `clock` are always there, and `wire` comes with the layers that use it.

#[cfg(feature = "archive")]
pub mod archive;
#[cfg(feature = "archive")]
pub mod backup;
#[cfg(feature = "cli")]
pub mod capture;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
#[cfg(feature = "cli")]
pub mod config;
#[cfg(feature = "ingest")]
pub mod export;
#[cfg(feature = "ingest")]
pub mod fetch;
#[cfg(feature = "ingest")]
pub mod ingest;
pub mod model;
#[cfg(feature = "archive")]
pub mod server;
#[cfg(feature = "archive")]
pub mod service;
#[cfg(feature = "archive")]
pub mod store;
#[cfg(feature = "cli")]
pub mod telemetry;
#[cfg(feature = "wire")]
pub mod wire;
