//! The terms of Dateline as plain types: names, instants, contents, revisions, digests and limits.
//!
//! Everything here is a value. Nothing reads a clock, a file or a socket, and nothing knows how a value is stored or
//! sent. Names, instants and digests that exist are valid: each is parsed once, at the edge, and trusted from then on.
//! A [`Content`] can be filled in freely; [`check`] has the rules that the archive applies before it records one.

pub mod absence;
pub mod as_of;
pub mod change;
pub mod check;
pub mod claimed;
pub mod content;
pub mod content_part;
pub mod diff;
pub mod digest;
pub mod expunge;
pub mod feed;
pub mod fetch;
pub mod field_errors;
pub mod filter;
pub mod leaf;
pub mod limits;
pub mod merkle;
pub mod name;
pub mod scope;
pub mod seq;
pub mod slug;
pub mod time_text;
pub(crate) mod time_words;
pub mod timestamp;
pub mod unseen;
pub mod url_key;
pub mod verification;
pub mod webhook;
mod word_bounds;

pub use absence::{Absence, AbsenceLook, AbsenceReason, AbsenceRecord, AbsenceRun, ArticleState};
pub use as_of::{AsOf, KnownAt};
pub use change::{
    ArticleKey, BoundUrl, Change, ChangeEntry, LabelChange, LatestState, LogKind, Original, OriginalRecord,
    RepeatedMove, RevisionRecord,
};
pub use claimed::{ClaimedTime, Precision};
pub use content::{Block, BlockKind, BlockTag, Content};
pub use content_part::{ContentPart, ContentParts};
pub use diff::WordDelta;
pub use digest::{ContentDigest, LogDigest, RequestDigest};
pub use expunge::{
    ExpungeOrder, ExpungeReason, ExpungeRegister, Expunged, ExpungedChange, Expunging, RegisteredExpunge,
};
pub use feed::{ChangeKind, ChangeKinds, FeedQuery, FeedView};
pub use fetch::Fetch;
pub use field_errors::{FieldError, FieldErrorKind, FieldErrors};
pub use filter::{ArticleFilter, TimeRange};
pub use leaf::Salt;
pub use limits::Limits;
pub use merkle::TreeHash;
pub use name::{
    ArticleId, ArticleName, NameError, PrincipalName, RequestId, RevisionNumber, RevisionSelector, SourceId,
    SubscriptionId,
};
pub use scope::{SourcePattern, SourceScope};
pub use seq::{Position, PositionError, Seq, Snapshot};
pub use time_text::TimeTextError;
pub use timestamp::Timestamp;
pub use url_key::{ArticleUrl, UrlKey};
pub use webhook::{Webhook, WebhookScheme, WebhookState, WebhookUpdate};
