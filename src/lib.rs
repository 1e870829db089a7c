//! Dateline: an archive of articles that never forgets what a page said.
//!
//! Data flows one way, and each layer knows only those below it. In reading order:
//!
//! - `model`: the terms of the product as plain types;
//! - `store`: records and keys on an ordered key-value engine;
//! - `backup`: backups as files, without an open archive;
//! - `archive`: the product's rules: decide, commit and read, on both time axes;
//! - `wire`: the generated contract, and conversions between it and the model;
//! - `service`: the gRPC handlers: parse, call, render;
//! - `server`: the listener, middleware, services and shutdown;
//! - `client`: a typed client, for the command line, tests and other programs;
//! - `ingest`: converts documents to articles;
//! - `export`: converts articles to documents;
//! - `fetch`: fetches web pages: an address in, bytes out;
//! - `capture`: captures pages, feeds and collections, and exports articles, without a terminal;
//! - `config`: the settings of `serve`;
//! - `cli`: the command line;
//! - `clock` and `telemetry`: the time and the diagnostic log.
//!
//! Cargo features select the layers. `client`, `archive` (with `store`, `backup`, `service` and `server`) and `ingest`
//! (with `export` and `fetch`) can each be used without the others; `cli`, the default, is everything. `model` and
//! `clock` are always there, and `wire` comes with the layers that use it.

// `pub` items of private modules are those that the project's tests use, through `internals`.
#![cfg_attr(not(feature = "internals"), allow(unreachable_pub, reason = "`internals` makes these items public"))]
// Without the layers above it, a layer has unused items. With all layers, the compiler warns about unused items.
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports, reason = "used by other layers"))]

#[cfg(feature = "archive")]
mod archive;
#[cfg(feature = "archive")]
mod backup;
#[cfg(feature = "cli")]
mod capture;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "client")]
mod client;
mod clock;
#[cfg(feature = "cli")]
mod config;
#[cfg(feature = "ingest")]
mod export;
#[cfg(feature = "ingest")]
mod fetch;
#[cfg(feature = "ingest")]
mod ingest;
pub mod model;
#[cfg(feature = "archive")]
pub mod server;
#[cfg(feature = "archive")]
mod service;
#[cfg(feature = "archive")]
mod store;
#[cfg(feature = "cli")]
mod telemetry;
#[cfg(feature = "wire")]
mod wire;

#[cfg(feature = "archive")]
pub use crate::archive::{Archive, OpenArchiveError, Options as ArchiveOptions};
#[cfg(feature = "cli")]
#[doc(hidden)]
pub use crate::cli::main;
#[cfg(feature = "client")]
pub use crate::client::{Client, FieldViolation, Followed, Following, ServerError};
pub use crate::clock::{Clock, SystemClock};
#[cfg(feature = "wire")]
pub use crate::wire::pb;

/// All layers, for the project's own tests and benchmarks. Anything in it may change at any time.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub mod archive {
        #![doc = "See the module of this name."]
        pub use crate::archive::*;
    }
    pub mod backup {
        #![doc = "See the module of this name."]
        pub use crate::backup::*;
    }
    pub mod capture {
        #![doc = "See the module of this name."]
        pub use crate::capture::*;
    }
    pub mod cli {
        #![doc = "See the module of this name."]
        pub use crate::cli::*;
    }
    pub mod client {
        #![doc = "See the module of this name."]
        pub use crate::client::*;
    }
    pub mod clock {
        #![doc = "See the module of this name."]
        pub use crate::clock::*;
    }
    pub mod config {
        #![doc = "See the module of this name."]
        pub use crate::config::*;
    }
    pub mod export {
        #![doc = "See the module of this name."]
        pub use crate::export::*;
    }
    pub mod fetch {
        #![doc = "See the module of this name."]
        pub use crate::fetch::*;
    }
    pub mod ingest {
        #![doc = "See the module of this name."]
        pub use crate::ingest::*;
    }
    pub mod server {
        #![doc = "See the module of this name."]
        pub use crate::server::*;
    }
    pub mod service {
        #![doc = "See the module of this name."]
        pub use crate::service::*;
    }
    pub mod store {
        #![doc = "See the module of this name."]
        pub use crate::store::*;
    }
    pub mod telemetry {
        #![doc = "See the module of this name."]
        pub use crate::telemetry::*;
    }
    pub mod wire {
        #![doc = "See the module of this name."]
        pub use crate::wire::*;
    }
}
