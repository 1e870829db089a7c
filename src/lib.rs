//! Dateline: an archive of articles that never forgets what a page said.
//!
//! A program can open an archive itself, or use one that a server has open.
//!
//! # Open an archive
//!
//! With `dateline = { version = "0.1", default-features = false, features = ["archive"] }` and a [tokio] runtime:
//!
//! ```
//! use dateline::{Archive, AsOf, Content, FeedStart, Observation, Timestamp};
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("articles");
//! let archive = Archive::open(path)?;
//! let name = "express/harbour".parse()?;
//!
//! // What the page said each time we looked. Times may arrive in any order; the default is now.
//! let closes = Content::new("Bridge to close in June").paragraph("Lorries will cross by ferry.");
//! archive.record(&name, Observation::new(closes).observed_at("2026-05-01T09:00:00Z".parse()?)).await?;
//! archive.record(&name, Content::new("Bridge closes today").paragraph("Lorries cross by ferry.")).await?;
//!
//! // What does it say now, what did it say on 2 May, and which revisions are there?
//! let now = archive.get(&name, AsOf::NEWEST).await?;
//! let then = archive.get(&name, "2026-05-02T00:00:00Z".parse::<Timestamp>()?).await?;
//! assert_eq!((now.headline(), then.headline()), ("Bridge closes today", "Bridge to close in June"));
//! assert_eq!(archive.history(&name).await?.len(), 2);
//!
//! // Every change, in order, from the beginning or from a stored position on.
//! let mut changes = archive.subscribe(FeedStart::Beginning).until_caught_up();
//! while let Some(change) = changes.next().await {
//!     let change = change?;
//!     println!("{} {:?} {}", change.seq(), change.kind, change.revision.headline());
//! }
//! archive.close().await;
//! # Ok(()) }
//! ```
//!
//! [`Archive`] has all there is to do, [`Observation`] everything that can be recorded with a content, and
//! [`ArchiveError`] what can go wrong. `examples/embed.rs` is a longer example.
//!
//! # Use a server
//!
//! With `features = ["client"]`. Requests and responses are the messages of the gRPC contract, in [`pb`]:
//!
//! ```no_run
//! use dateline::{Client, Followed, pb};
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Client::connect("http://127.0.0.1:7411").await?;
//! let name = "sources/express/articles/harbour".to_owned();
//! let request = pb::GetArticleRequest { name, ..Default::default() };
//! let article = client.archive.get_article(request).await?.into_inner().article;
//!
//! // Reconnects by itself, and neither loses nor repeats a change.
//! let mut events = client.follow(pb::SubscribeRequest::default());
//! while let Some(event) = events.next().await {
//!     if let Followed::Change(change) = event? {
//!         println!("{} {}", change.seq, change.article);
//!     }
//! }
//! # drop(article); Ok(()) }
//! ```
//!
//! `examples/subscribe.rs` follows a server and continues where it stopped. [`server`] serves an archive from a program
//! of your own.
//!
//! # Features
//!
//! | feature | for | what it has |
//! | --- | --- | --- |
//! | none | names, contents, digests and comparisons | [`model`] |
//! | `client` | programs that call a server | [`Client`], [`pb`] |
//! | `archive` | programs that open an archive, or serve it | [`Archive`], [`server`], [`pb`] |
//! | `cli`, the default | the command line | everything |
//!
//! There is a feature `ingest`, too, which is for the command line only for now: it has no public items.
//!
//! [tokio]: https://docs.rs/tokio

// The layers, in reading order. Data flows one way, and each knows only those below it:
//
// - `model`: the terms of the product as plain types, and the rules for what may be recorded;
// - `store`: records and keys on an ordered key-value engine;
// - `backup`: backups as files, without an open archive;
// - `proof`: keys, signed checkpoints and proof files, without an archive;
// - `archive`: the product's rules: decide, commit and read, on both time axes;
// - `wire`: the generated contract, and conversions between it and the model;
// - `service`: the gRPC handlers: parse, call, render;
// - `server`: the listener, middleware, services and shutdown;
// - `web`: pages for readers, over HTTP;
// - `metrics`: shows monitoring what the layers below count;
// - `witness`: asks witnesses to cosign checkpoints;
// - `webhook_keys`: the keys that sign the messages of webhooks;
// - `webhook`: sends changes to webhooks;
// - `client`: a typed client, for the command line, tests and other programs;
// - `ingest`: converts documents to articles;
// - `export`: converts articles to documents;
// - `fetch`: fetches web pages: an address in, bytes out;
// - `capture`: captures pages, feeds and collections, and exports articles, without a terminal;
// - `evidence`: a revision with all that proves it, as one file that is checked without an archive;
// - `config`: the settings of `serve`;
// - `cli`: the command line;
// - `protobuf`: writes messages field by field;
// - `unix_socket`: Unix sockets at paths of any length;
// - `clock`, `histogram` and `telemetry`: the time, counts in buckets, and the diagnostic log.
//
// Cargo features select them: `archive` is also `store`, `backup`, `proof`, `service` and `server`, `client` has the part of
// `proof` that needs no store, `ingest` is also `export` and `fetch`. `model` and `clock` are always there, and `wire` comes with the layers that use it.

// `pub` items of private modules are those that the project's tests use, through `internals`.
#![cfg_attr(not(feature = "internals"), allow(unreachable_pub, reason = "`internals` makes these items public"))]
// Without the layers above it, a layer has unused items. With all layers, the compiler warns about unused items.
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports, reason = "used by other layers"))]

#[cfg(feature = "archive")]
mod access;
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
#[cfg(feature = "cli")]
mod evidence;
#[cfg(feature = "ingest")]
mod export;
#[cfg(feature = "ingest")]
mod fetch;
#[cfg(feature = "archive")]
mod histogram;
#[cfg(feature = "ingest")]
mod ingest;
#[cfg(feature = "cli")]
mod metrics;
pub mod model;
#[cfg(any(feature = "archive", feature = "client"))]
mod proof;
#[cfg(feature = "archive")]
mod protobuf;
#[cfg(feature = "archive")]
pub mod server;
#[cfg(feature = "archive")]
mod service;
#[cfg(feature = "archive")]
mod store;
#[cfg(feature = "cli")]
mod telemetry;
#[cfg(any(feature = "archive", feature = "client"))]
mod unix_socket;
#[cfg(feature = "cli")]
mod web;
#[cfg(feature = "cli")]
mod webhook;
#[cfg(feature = "archive")]
mod webhook_keys;
#[cfg(feature = "wire")]
mod wire;
#[cfg(feature = "cli")]
mod witness;

#[cfg(feature = "archive")]
pub use crate::archive::changefeed::{ArticleChange, Changes, FeedStart};
#[cfg(feature = "archive")]
pub use crate::archive::error::{Conflict, InvalidReadPoint, Missing, SubscriptionError, Unavailable};
#[cfg(feature = "archive")]
pub use crate::archive::observation::Observation;
#[cfg(feature = "archive")]
pub use crate::archive::read::article::{ArticleAt, RevisionAt, StateChangeAt};
#[cfg(feature = "archive")]
pub use crate::archive::read::list::RevisionEntry;
#[cfg(feature = "archive")]
pub use crate::archive::request::{Outcome, Receipt, Warning};
#[cfg(feature = "archive")]
pub use crate::archive::{
    Archive, ArchiveError, ArchiveInfo, Articles, ClockFault, EditOptions, OpenArchiveError, OpenError,
    Options as ArchiveOptions,
};
#[cfg(feature = "cli")]
#[doc(hidden)]
pub use crate::cli::main;
#[cfg(feature = "client")]
pub use crate::client::{
    Client, ClientCertificate, ConnectOptions, FieldViolation, Followed, Following, ServerError, TrustError,
    TrustedLog, is_safe_for_secrets,
};
pub use crate::clock::{Clock, SystemClock};
pub use crate::model::{
    ArticleFilter, ArticleName, ArticleState, AsOf, Block, BlockKind, ChangeKind, Content, ContentParts, Fetch,
    FieldError, FieldErrors, KnownAt, Limits, Original, Position, RevisionNumber, Seq, Snapshot, SourceId, Timestamp,
};
#[cfg(feature = "client")]
pub use crate::proof::{KeyError, VerifierKey};
#[cfg(feature = "wire")]
pub use crate::wire::pb;

/// All layers, for the project's own tests and benchmarks. Anything in it may change at any time.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub mod access {
        #![doc = "See the module of this name."]
        pub use crate::access::*;
    }
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
    pub mod evidence {
        #![doc = "See the module of this name."]
        pub use crate::evidence::*;
    }
    pub mod export {
        #![doc = "See the module of this name."]
        pub use crate::export::*;
    }
    pub mod fetch {
        #![doc = "See the module of this name."]
        pub use crate::fetch::*;
    }
    pub mod histogram {
        #![doc = "See the module of this name."]
        pub use crate::histogram::*;
    }
    pub mod ingest {
        #![doc = "See the module of this name."]
        pub use crate::ingest::*;
    }
    pub mod metrics {
        #![doc = "See the module of this name."]
        pub use crate::metrics::*;
    }
    pub mod proof {
        #![doc = "See the module of this name."]
        pub use crate::proof::*;
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
    pub mod web {
        #![doc = "See the module of this name."]
        pub use crate::web::*;
    }
    pub mod webhook {
        #![doc = "See the module of this name."]
        pub use crate::webhook::*;
    }
    pub mod webhook_keys {
        #![doc = "See the module of this name."]
        pub use crate::webhook_keys::*;
    }
    pub mod wire {
        #![doc = "See the module of this name."]
        pub use crate::wire::*;
    }
    pub mod witness {
        #![doc = "See the module of this name."]
        pub use crate::witness::*;
    }
}
