//! Tokens from which a list or a feed continues.
//!
//! A page token has a version byte, a digest of the request it belongs to, the snapshot that all pages are read at, and
//! the position in the list. A resume token has its own version byte, a digest of its filter and kinds, the position in
//! the log and, while a snapshot is sent, the last article sent.
//!
//! Both are sealed: masked, so that no client comes to depend on what is inside, and checked, so that no client can
//! change it by mistake (AIP-158). The text is URL-safe base64. A token contains no secret, and a forged token can do no
//! more than request another page, so there is no key: every server opens every token, also after a restore. Tokens
//! never expire.

use data_encoding::BASE64URL_NOPAD;
use prost::Name;
use sha2::{Digest, Sha256};

use super::{article_filter_to_pb, feed_kinds_to_pb, pb};
use crate::model::{ArticleName, FeedQuery, LogDigest, RequestDigest, Seq, Snapshot, Timestamp};

const VERSION: u8 = 1;
const RESUME_VERSION: u8 = 2;

/// Why a token was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was not issued by this service.
    #[error("is not a token of this service; pass the token back unchanged, or start again without one")]
    Malformed,
    /// It was issued for a request whose fields differ.
    #[error("belongs to another request; repeat the fields of the first request, or start again without a token")]
    OtherRequest,
}

/// Where a list continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// The snapshot that all pages are read at.
    pub snapshot: Snapshot,
    /// The last item of the previous page, in the list's own encoding.
    pub position: String,
}

impl PageToken {
    /// Encodes the token for the request whose digest is `request`.
    pub fn encode(&self, request: RequestDigest) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(request.0);
        bytes.extend(self.snapshot.next_seq.0.to_be_bytes());
        bytes.extend(self.snapshot.archive_time.map_or(i64::MIN, Timestamp::micros).to_be_bytes());
        bytes.extend(self.snapshot.log_digest.0);
        bytes.extend(self.position.as_bytes());
        seal(bytes)
    }

    /// Decodes a token of the request whose digest is `request`. An empty token means the first page and returns
    /// `None`.
    pub fn decode(token: &str, request: RequestDigest) -> Result<Option<Self>, TokenError> {
        if token.is_empty() {
            return Ok(None);
        }
        let bytes = open(token)?;
        let mut rest = bytes.as_slice();
        let [version] = split_array(&mut rest)?;
        let digest = RequestDigest(split_array(&mut rest)?);
        let next_seq = Seq(u64::from_be_bytes(split_array(&mut rest)?));
        let archive_time = Timestamp::from_micros(i64::from_be_bytes(split_array(&mut rest)?));
        let log_digest = LogDigest(split_array(&mut rest)?);
        let position = std::str::from_utf8(rest).map_err(|_| TokenError::Malformed)?.to_owned();
        match (version, digest == request) {
            (VERSION, true) => Ok(Some(Self { snapshot: Snapshot { next_seq, archive_time, log_digest }, position })),
            (VERSION, false) => Err(TokenError::OtherRequest),
            _ => Err(TokenError::Malformed),
        }
    }
}

/// Where a feed continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeToken {
    /// All matching changes below this position have been delivered. While a snapshot is sent, the snapshot's position.
    pub next_seq: Seq,
    /// The log digest at that position.
    pub log_digest: LogDigest,
    /// How much of the snapshot has been sent; `None` once changes are sent.
    pub snapshot: Option<SnapshotPlace>,
}

/// How much of a snapshot has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPlace {
    /// The last article sent; `None` before the first.
    pub after: Option<ArticleName>,
}

impl ResumeToken {
    /// Encodes the token for the feed whose query digest is `query`.
    pub fn encode(&self, query: RequestDigest) -> String {
        let mut bytes = Vec::with_capacity(48);
        bytes.push(RESUME_VERSION);
        bytes.extend(query.0);
        bytes.extend(self.next_seq.0.to_be_bytes());
        bytes.extend(self.log_digest.0);
        if let Some(SnapshotPlace { after }) = &self.snapshot {
            bytes.push(1);
            bytes.extend(after.iter().flat_map(|name| name.to_string().into_bytes()));
        }
        seal(bytes)
    }

    /// Decodes a token, and returns the digest of the query it belongs to.
    pub fn decode(token: &str) -> Result<(Self, RequestDigest), TokenError> {
        let bytes = open(token)?;
        let mut rest = bytes.as_slice();
        let [version] = split_array(&mut rest)?;
        let digest = RequestDigest(split_array(&mut rest)?);
        let next_seq = Seq(u64::from_be_bytes(split_array(&mut rest)?));
        let log_digest = LogDigest(split_array(&mut rest)?);
        let snapshot = match rest {
            [] => None,
            [1] => Some(SnapshotPlace { after: None }),
            [1, name @ ..] => {
                let name = std::str::from_utf8(name).ok().and_then(|name| ArticleName::parse(name).ok());
                Some(SnapshotPlace { after: Some(name.ok_or(TokenError::Malformed)?) })
            }
            _ => return Err(TokenError::Malformed),
        };
        if version != RESUME_VERSION {
            return Err(TokenError::Malformed);
        }
        Ok((Self { next_seq, log_digest, snapshot }, digest))
    }
}

/// The digest of a feed's filter and kinds, and of what its caller may read. The order of a filter's values makes no
/// difference.
///
/// The last bytes stand for what the caller may read, so that a token for more or less than that is not mistaken for
/// one of another query: see [`is_of_other_scope`].
pub fn query_digest(query: &FeedQuery) -> RequestDigest {
    let mut digest = request_digest(&pb::SubscribeRequest {
        filter: Some(article_filter_to_pb(&query.filter)),
        kinds: feed_kinds_to_pb(query.kinds),
        ..pb::SubscribeRequest::default()
    });
    let within = &query.filter.within;
    let scope = match within.is_all() {
        true => RequestDigest::default(),
        false => {
            let patterns: Vec<String> = within.patterns().iter().map(ToString::to_string).collect();
            RequestDigest::of(&[b"scope", patterns.join("\n").as_bytes()])
        }
    };
    let of_scope = scope.0.iter().take(SCOPE_BYTES);
    digest.0.iter_mut().rev().zip(of_scope).for_each(|(byte, of_scope)| *byte ^= of_scope);
    digest
}

/// Whether two digests are of the same query for callers who may read different sources.
pub fn is_of_other_scope(a: RequestDigest, b: RequestDigest) -> bool {
    let of_query = a.0.len() - SCOPE_BYTES;
    a != b && a.0.get(..of_query) == b.0.get(..of_query)
}

/// How many bytes of a query's digest stand for what the caller may read.
const SCOPE_BYTES: usize = 4;

/// The digest of a request, including its message type.
pub fn request_digest<M: Name>(request: &M) -> RequestDigest {
    RequestDigest::of(&[M::full_name().as_bytes(), &request.encode_to_vec()])
}

/// The length of a token's checksum, in bytes.
const CHECKSUM_BYTES: usize = 8;

/// Masks the bytes of a token and puts their checksum in front.
fn seal(bytes: Vec<u8>) -> String {
    let checksum = checksum(&bytes);
    let sealed: Vec<u8> = checksum.into_iter().chain(masked(bytes, checksum)).collect();
    BASE64URL_NOPAD.encode(&sealed)
}

/// The bytes of a sealed token.
fn open(token: &str) -> Result<Vec<u8>, TokenError> {
    let sealed = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| TokenError::Malformed)?;
    let mut rest = sealed.as_slice();
    let stated = split_array(&mut rest)?;
    let bytes = masked(rest.to_vec(), stated);
    if checksum(&bytes) == stated { Ok(bytes) } else { Err(TokenError::Malformed) }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest: [u8; 32] = Sha256::new().chain_update("dateline token").chain_update(bytes).finalize().into();
    std::array::from_fn(|index| digest.get(index).copied().unwrap_or_default())
}

/// Masks bytes with a stream that the checksum determines, or unmasks them.
fn masked(mut bytes: Vec<u8>, checksum: [u8; CHECKSUM_BYTES]) -> Vec<u8> {
    for (block, count) in bytes.chunks_mut(32).zip(0_u64..) {
        let mask = Sha256::new().chain_update("dateline mask").chain_update(checksum);
        let mask = mask.chain_update(count.to_be_bytes()).finalize();
        block.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
    bytes
}

/// Splits the first `N` bytes off `rest`.
fn split_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], TokenError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(TokenError::Malformed)?;
    *rest = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips(next_seq: u64, micros in proptest::option::of(-5_i64..5), position: String, digest: [u8; 16]) {
            let archive_time = micros.and_then(Timestamp::from_micros);
            let snapshot = Snapshot { next_seq: Seq(next_seq), archive_time, log_digest: LogDigest(digest) };
            let token = PageToken { snapshot, position };
            let text = token.encode(RequestDigest(digest));
            prop_assert_eq!(PageToken::decode(&text, RequestDigest(digest)), Ok(Some(token)));
            let mut other = digest;
            other[0] ^= 1;
            prop_assert_eq!(PageToken::decode(&text, RequestDigest(other)), Err(TokenError::OtherRequest));
        }

        #[test]
        fn a_resume_token_round_trips(next_seq: u64, digest: [u8; 16], in_snapshot: bool, id in "[a-z0-9]{0,9}") {
            let after = ArticleName::parse(&format!("sources/a/articles/{id}")).ok();
            let snapshot = in_snapshot.then_some(SnapshotPlace { after });
            let token = ResumeToken { next_seq: Seq(next_seq), log_digest: LogDigest(digest), snapshot };
            let text = token.encode(RequestDigest(digest));
            prop_assert_eq!(ResumeToken::decode(&text), Ok((token, RequestDigest(digest))));
            prop_assert!(PageToken::decode(&text, RequestDigest(digest)).is_err());
        }

        #[test]
        fn a_token_shows_nothing_of_its_content_and_no_change_goes_unnoticed(id in "[a-z0-9]{8,60}", at: prop::sample::Index) {
            let snapshot = Snapshot { next_seq: Seq(7), archive_time: None, log_digest: LogDigest([0; 16]) };
            let request = RequestDigest([0; 16]);
            let token = PageToken { snapshot, position: id.clone() }.encode(request);
            let mut bytes = BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
            prop_assert!(!bytes.windows(4).any(|window| window == &id.as_bytes()[..4] || window == [0; 4]));
            let at = at.index(bytes.len());
            bytes[at] ^= 1;
            let changed = PageToken::decode(&BASE64URL_NOPAD.encode(&bytes), request);
            prop_assert_eq!(changed, Err(TokenError::Malformed));
        }

        #[test]
        fn garbage_is_rejected(text in ".{1,90}") {
            prop_assert!(ResumeToken::decode(&text).is_err());
            prop_assert!(PageToken::decode(&text, RequestDigest([0; 16])).is_err());
        }
    }
}
