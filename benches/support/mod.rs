//! Shared code of the benchmarks: articles to record, a server to record them with, load, and the floors.

pub(crate) mod arguments;
pub(crate) mod bare_stream;
pub(crate) mod batches;
pub(crate) mod callers;
pub(crate) mod child;
pub(crate) mod corpus;
pub(crate) mod counted;
pub(crate) mod echo;
pub(crate) mod encrypted;
pub(crate) mod engine_alone;
pub(crate) mod history;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod memory;
pub(crate) mod pair;
pub(crate) mod prose;
pub(crate) mod running;
pub(crate) mod sync_loop;
pub(crate) mod table;

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
