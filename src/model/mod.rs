//! The terms of Dateline as plain types: names, instants, contents, revisions, digests and limits.
//!
//! Everything here is a value. Nothing reads a clock, a file or a socket, and nothing knows how a value is stored or
//! sent. A value that exists is valid: each type is parsed once, at the edge, and trusted from then on.

pub mod as_of;
pub mod change;
pub mod claimed;
pub mod content;
pub mod content_part;
pub mod diff;
pub mod digest;
pub mod feed;
pub mod fetch;
pub mod filter;
pub mod limits;
pub mod name;
pub mod seq;
pub mod slug;
pub mod time_text;
pub mod timestamp;
pub mod unseen;
pub mod url_key;
pub mod verification;

pub use as_of::{AsOf, KnownAt};
pub use change::{
    ArticleKey, Change, ChangeEntry, LabelChange, LatestState, LogKind, Original, OriginalRecord, RevisionRecord,
};
pub use claimed::{ClaimedTime, Precision};
pub use content::{Block, BlockKind, BlockTag, Content};
pub use content_part::{ContentPart, ContentParts};
pub use diff::WordDelta;
pub use digest::{ContentDigest, LogDigest, RequestDigest};
pub use feed::{ChangeKind, ChangeKinds, FeedQuery};
pub use fetch::Fetch;
pub use filter::{ArticleFilter, TimeRange};
pub use limits::Limits;
pub use name::{
    ArticleId, ArticleName, NameError, RequestId, RevisionNumber, RevisionSelector, SourceId, SubscriptionId,
};
pub use seq::{Seq, Snapshot};
pub use time_text::TimeTextError;
pub use timestamp::Timestamp;
pub use url_key::{ArticleUrl, UrlKey};
