//! Receives requests within limits on the memory that they take once decoded, and not only on their length.
//!
//! Two bytes of a message can decode to a struct of hundreds of bytes. A small message, smaller still when compressed,
//! could therefore take all memory before any limit of the service is checked. So before a request is decoded, its
//! length is checked against the limit of its method, its tags are walked to count the elements of its repeated fields,
//! and the memory that it will take is reserved from a budget that all requests of a server share.

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
pub(crate) use error::RequestError;
pub use service::Bounded;
