//! What a proof file shows of a change, as JSON: the fields of its leaf, and for each group its data with the salt, or the
//! commitment alone.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::model::leaf::{Commitment, Group, LeafAbsence, LeafFields, LeafRun};
use crate::model::{ContentDigest, Salt, TreeHash};
use crate::store::content_encoding;

/// How much of a change a proof shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclosure {
    /// Everything: the name, all attributes, and the content.
    Full,
    /// Nothing but numbers, times and commitments.
    Withheld,
}

/// What a proof shows of a change.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    seq: u64,
    kind: u8,
    archive_time: i64,
    observe_time: i64,
    article: u64,
    revision: u32,
    batch_first: u64,
    previous: u64,
    created_seq: u64,
    since: i64,
    state_seq: u64,
    labels_seq: u64,
    flags: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    absence: Option<ShownAbsence>,
    groups: Vec<ShownGroup>,
    /// An encoded `dateline.v1.Content`, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShownAbsence {
    reason: u8,
    http_status: u32,
    gone_after: u32,
    // The run, or none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_seen: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_missed: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_missed: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone: Option<u8>,
}

impl From<LeafAbsence> for ShownAbsence {
    fn from(absence: LeafAbsence) -> Self {
        let LeafAbsence { reason, http_status, gone_after, run } = absence;
        Self {
            reason,
            http_status,
            gone_after,
            last_seen: run.as_ref().map(|run| run.last_seen),
            first_missed: run.as_ref().map(|run| run.first_missed),
            last_missed: run.as_ref().map(|run| run.last_missed),
            count: run.as_ref().map(|run| run.count),
            gone: run.as_ref().map(|run| run.gone),
        }
    }
}

impl From<&ShownAbsence> for LeafAbsence {
    fn from(absence: &ShownAbsence) -> Self {
        let run = || {
            Some(LeafRun {
                last_seen: absence.last_seen?,
                first_missed: absence.first_missed?,
                last_missed: absence.last_missed?,
                count: absence.count?,
                gone: absence.gone?,
            })
        };
        let ShownAbsence { reason, http_status, gone_after, .. } = *absence;
        Self { reason, http_status, gone_after, run: run() }
    }
}

/// A group: with its data and salt, or with its commitment.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum ShownGroup {
    Open { group: u8, salt: String, data: String },
    Withheld { group: u8, commitment: String },
}

impl Shown {
    /// Shows the fields of a leaf. Its groups are added afterwards, in order.
    pub fn new(leaf: LeafFields) -> Self {
        let LeafFields { seq, kind, archive_time, observe_time, article, revision, batch_first, .. } = leaf;
        let LeafFields { previous, created_seq, since, state_seq, labels_seq, flags, absence, .. } = leaf;
        let absence = absence.map(ShownAbsence::from);
        let (groups, content) = (Vec::new(), None);
        Self {
            seq,
            kind,
            archive_time,
            observe_time,
            article,
            revision,
            batch_first,
            previous,
            created_seq,
            since,
            state_seq,
            labels_seq,
            flags,
            absence,
            groups,
            content,
        }
    }

    /// Shows the data of a group. `salt` is that of the group.
    pub fn show(&mut self, group: Group, salt: Salt, data: &[u8]) {
        let (salt, data) = (BASE64.encode(&salt.0), BASE64.encode(data));
        self.groups.push(ShownGroup::Open { group: group as u8, salt, data });
    }

    /// Withholds the data of a group.
    pub fn withhold(&mut self, group: Group, commitment: Commitment) {
        self.groups.push(ShownGroup::Withheld { group: group as u8, commitment: BASE64.encode(&commitment.0) });
    }

    /// Shows the encoded content.
    pub fn show_content(&mut self, content: &[u8]) {
        self.content = Some(BASE64.encode(content));
    }

    /// The position of the change.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Its archive time, in microseconds since 1970.
    pub fn archive_time(&self) -> i64 {
        self.archive_time
    }

    /// Its observe time, in microseconds since 1970.
    pub fn observe_time(&self) -> i64 {
        self.observe_time
    }

    /// The number of the revision that the change created, confirmed or found in force; 0 if there is none.
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// The number of its kind.
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// The encoded content, if it is shown: a `dateline.v1.Content`.
    pub fn content(&self) -> Option<Vec<u8>> {
        BASE64.decode(self.content.as_ref()?.as_bytes()).ok()
    }

    /// Whether the content is that of the content digest, or is not shown.
    pub(super) fn content_matches(&self) -> bool {
        let digest = || content_encoding::digest(&self.content()?);
        self.content.is_none() || digest().is_some_and(|digest| self.content_digest() == Some(digest))
    }

    /// The article's resource name, if it is shown.
    pub fn name(&self) -> Option<String> {
        String::from_utf8(self.data(Group::Name)?).ok()
    }

    /// The content digest, if it is shown and the change created a revision.
    pub fn content_digest(&self) -> Option<ContentDigest> {
        self.data(Group::Content)?.try_into().ok().map(ContentDigest)
    }

    fn data(&self, wanted: Group) -> Option<Vec<u8>> {
        self.groups.iter().find_map(|shown| match shown {
            ShownGroup::Open { group, data, .. } if *group == wanted as u8 => BASE64.decode(data.as_bytes()).ok(),
            ShownGroup::Open { .. } | ShownGroup::Withheld { .. } => None,
        })
    }

    /// The hash of the leaf that has all this; `None` if something is malformed.
    pub fn leaf_hash(&self) -> Option<TreeHash> {
        // Otherwise, bytes of an absence could be taken for a commitment.
        let has_run = self.absence.as_ref().map(|absence| absence.last_seen.is_some());
        if self.flags >> 6 != 0
            || (self.flags >> 4 & 1 == 1) != has_run.is_some()
            || (self.flags >> 5 & 1 == 1) != has_run.unwrap_or(false)
        {
            return None;
        }
        let mut commitments = Vec::with_capacity(self.groups.len());
        for shown in &self.groups {
            let (group, commitment) = shown.commitment()?;
            if commitments.last().is_some_and(|(last, _)| *last >= group) {
                return None;
            }
            commitments.push((group, commitment));
        }
        let has = |group: Group| commitments.iter().any(|(number, _)| *number == group as u8);
        let is_complete = has(Group::Name) && has(Group::Attributes);
        is_complete.then(|| TreeHash::of_leaf(&self.fields().encode(commitments)))
    }

    fn fields(&self) -> LeafFields {
        LeafFields {
            seq: self.seq,
            kind: self.kind,
            archive_time: self.archive_time,
            observe_time: self.observe_time,
            article: self.article,
            revision: self.revision,
            batch_first: self.batch_first,
            previous: self.previous,
            created_seq: self.created_seq,
            since: self.since,
            state_seq: self.state_seq,
            labels_seq: self.labels_seq,
            flags: self.flags,
            absence: self.absence.as_ref().map(LeafAbsence::from),
        }
    }
}

impl ShownGroup {
    fn commitment(&self) -> Option<(u8, Commitment)> {
        let decode = |text: &String| BASE64.decode(text.as_bytes()).ok();
        match self {
            Self::Open { group, salt, data } => {
                let salt = Salt(decode(salt)?.try_into().ok()?);
                Some((*group, Commitment::of(Group::from_number(*group)?, salt, &decode(data)?)))
            }
            Self::Withheld { group, commitment } => Some((*group, Commitment(decode(commitment)?.try_into().ok()?))),
        }
    }
}
