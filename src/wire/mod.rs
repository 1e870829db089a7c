//! What goes over the wire: the generated code of `proto/dateline/v1`, conversions between it and the model, JSON, and
//! the tokens that clients pass back.
//!
//! Conversions from the wire reject what the model cannot express. They, or the archive, apply the model's rules
//! (`model/check.rs`) to the rest. Both name the fields that are wrong.

#[cfg(feature = "archive")]
pub mod frame;
mod from_pb;
#[cfg(feature = "cli")]
pub mod json;
#[cfg(feature = "cli")]
pub mod json_lines;
#[cfg(feature = "archive")]
mod json_words;
#[cfg(feature = "archive")]
pub mod request;
mod to_pb;
pub mod token;
pub mod verification;

#[expect(clippy::all, clippy::allow_attributes_without_reason, reason = "generated from proto/dateline/v1")]
pub mod pb {
    //! The messages and services of `dateline.v1`.
    tonic::include_proto!("dateline.v1");
    #[cfg(feature = "client")]
    include!(concat!(env!("OUT_DIR"), "/client/dateline.v1.ArchiveService.rs"));
    #[cfg(feature = "client")]
    include!(concat!(env!("OUT_DIR"), "/client/dateline.v1.ChangeFeedService.rs"));
    #[cfg(feature = "archive")]
    include!(concat!(env!("OUT_DIR"), "/server/dateline.v1.ArchiveService.rs"));
    #[cfg(feature = "archive")]
    include!(concat!(env!("OUT_DIR"), "/server/dateline.v1.ChangeFeedService.rs"));
}

#[cfg(feature = "archive")]
pub(crate) use self::json_words::in_plain_words;
pub use crate::model::check::{label as check_label, language_tag, url as check_url};
#[cfg(feature = "archive")]
pub(crate) use crate::model::field_errors::all;
pub use crate::model::field_errors::{FieldError, FieldErrorKind, FieldErrors, every};
pub use from_pb::{
    article_filter, as_of, as_of_at, claimed_time, coalesce_within, content, content_parts, duration, feed_query,
    fetch, instant, log_digest, observe_time, timestamp,
};
pub use to_pb::{
    absence_reason_to_pb, absence_to_pb, article_filter_to_pb, article_state_to_pb, basic_content_to_pb, claim_to_pb,
    content_parts_to_pb, content_to_pb, diff_to_pb, expunge_reason_to_pb, expunged_to_pb, expunging_to_pb,
    feed_kind_to_pb, feed_kinds_to_pb, fetch_to_pb, snapshot_to_pb, status_from_pb, status_to_pb, timestamp_to_pb,
    word_delta_to_pb,
};

/// The compiled contract, as a `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/dateline_descriptor.bin"));

/// The longest `google.protobuf.Duration`, 10,000 years. It exceeds the distance between any two observations.
pub const DURATION_MAX: prost_types::Duration = prost_types::Duration { seconds: 315_576_000_000, nanos: 0 };

/// The domain of `google.rpc.ErrorInfo` in every error of this service.
pub const ERROR_DOMAIN: &str = "dateline";
