//! Receives requests, bounded by the memory they take once decoded rather than by their length.
//!
//! Two bytes of a message can decode to a struct of hundreds. A small message, smaller still when compressed, could
//! therefore take all memory before any limit of the service is checked. So the tags of each request are walked once
//! before it is decoded: its length is checked against its method's limit, its repeated fields are counted, and the
//! memory it will take is reserved from a budget that all requests of a server share.

mod bounds;
mod call;
mod codec;
mod error;
mod plan;
mod receive;
mod service;
mod unpack;
mod walk;

pub use bounds::Bounds;
pub use call::Incoming;
#[cfg(feature = "internals")]
pub use codec::read_request;
pub use codec::{RequestCodec, RequestDecoder};
pub use service::Bounded;
