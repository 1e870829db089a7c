//! Requests, bounded by what they become and not by what they weigh.
//!
//! Two bytes of a message can become a struct of hundreds, so that a small message, smaller still when it is
//! compressed, could take all memory before any of our limits is judged. So a request's tags are walked once, before
//! anything is made of them: its length is judged by its method, its repeated fields are counted, and what it will
//! take is taken from a budget that all requests of a server share.

mod bounds;
mod codec;
mod plan;
mod receive;
mod refused;
mod scope;
mod unpack;
mod walk;

pub use bounds::Bounds;
pub use codec::{RequestCodec, RequestDecoder, read_request};
pub use scope::{Bounded, Incoming};
