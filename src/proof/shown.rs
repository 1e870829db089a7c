//! What a proof file shows of a change, as JSON: the fields of its leaf, and for each group its data with the salt, or the
//! commitment alone.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::model::leaf::{Commitment, Group, LeafAbsence, LeafFields, LeafRun};
use crate::model::{Content, ContentDigest, Fetch, Salt, TreeHash};
use crate::store::{content_encoding, record};

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

impl ShownAbsence {
    fn has_run_or_nothing_of_it(&self) -> bool {
        let Self { last_seen, first_missed, last_missed, count, gone, .. } = self;
        let has = [last_seen.is_some(), first_missed.is_some(), last_missed.is_some(), count.is_some(), gone.is_some()];
        has == [true; 5] || has == [false; 5]
    }
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

    /// Whether the change created a revision.
    pub fn has_revision(&self) -> bool {
        self.has(Group::Content)
    }

    /// Whether an original is kept with the revision that the change created.
    pub fn has_original(&self) -> bool {
        self.has(Group::Original)
    }

    /// The SHA-256 of the original, if it is shown and there is one.
    pub fn original_digest(&self) -> Option<[u8; 32]> {
        self.data(Group::Original)?.try_into().ok()
    }

    /// The content, if it is shown, with its digest computed from what is returned.
    pub fn decoded_content(&self) -> Option<Content> {
        let content = content_encoding::from_bytes(&self.content()?)?;
        (self.content_digest() == Some(ContentDigest::of(&content))).then_some(content)
    }

    /// Leaves out of the content what its digest does not cover, and so is not proved: relative claims, the words of claims
    /// and where they were found, and how certain the kinds of blocks are. Does nothing without a content.
    ///
    /// Returns whether what is left has the digest that was recorded. It has not if the encoding of the content can be read
    /// in two ways.
    pub fn keep_what_is_proved(&mut self) -> bool {
        if self.content.is_none() {
            return true;
        }
        let Some(mut content) = self.decoded_content() else { return false };
        for claim in [&mut content.publish_time, &mut content.modify_time] {
            *claim = claim.take().filter(|claim| !claim.relative);
            if let Some(claim) = claim {
                claim.words.clear();
                claim.found_in.clear();
            }
        }
        content.blocks.iter_mut().for_each(|block| block.confidence_percent = None);
        self.show_content(&content_encoding::to_bytes(&content));
        self.content_matches()
    }

    /// The HTTP facts of the observation, if they are shown and there are any.
    pub fn fetch(&self) -> Option<Fetch> {
        record::fetch_of(&self.data(Group::Attributes)?)
    }

    /// The media type of the original, if it is shown and there is one.
    pub fn media_type(&self) -> Option<String> {
        record::media_type_of(&self.data(Group::Attributes)?)
    }

    fn has(&self, wanted: Group) -> bool {
        self.groups.iter().any(|shown| shown.number() == wanted as u8)
    }

    fn data(&self, wanted: Group) -> Option<Vec<u8>> {
        self.groups.iter().find_map(|shown| match shown {
            ShownGroup::Open { group, data, .. } if *group == wanted as u8 => BASE64.decode(data.as_bytes()).ok(),
            ShownGroup::Open { .. } | ShownGroup::Withheld { .. } => None,
        })
    }

    /// The hash of the leaf that has all this; `None` if something is malformed.
    pub fn leaf_hash(&self) -> Option<TreeHash> {
        let fields = self.fields();
        // Otherwise, bytes of an absence could be taken for a commitment.
        let has_run = fields.absence.as_ref().is_some_and(|absence| absence.run.is_some());
        let is_whole = self.absence.as_ref().is_none_or(ShownAbsence::has_run_or_nothing_of_it);
        let expected = u8::from(fields.absence.is_some()) | u8::from(has_run) << 1;
        if self.flags >> 4 != expected || !is_whole {
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
        is_complete.then(|| TreeHash::of_leaf(&fields.encode(commitments)))
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
    fn number(&self) -> u8 {
        match self {
            Self::Open { group, .. } | Self::Withheld { group, .. } => *group,
        }
    }

    fn commitment(&self) -> Option<(u8, Commitment)> {
        let decode = |text: &String| BASE64.decode(text.as_bytes()).ok();
        match self {
            Self::Open { group, salt, data } => {
                let salt = Salt(decode(salt)?.try_into().ok()?);
                let (of, data) = (Group::from_number(*group)?, decode(data)?);
                let is_digest = matches!(of, Group::Content | Group::Original);
                (!is_digest || data.len() == 32).then(|| (*group, Commitment::of(of, salt, &data)))
            }
            Self::Withheld { group, commitment } => Some((*group, Commitment(decode(commitment)?.try_into().ok()?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown of an absence with a run, with nothing else shown.
    fn absence() -> serde_json::Value {
        let run = Some(LeafRun { last_seen: 1, first_missed: 2, last_missed: 3, count: 2, gone: 1 });
        let absence = Some(LeafAbsence { reason: 1, http_status: 404, gone_after: 2, run });
        let mut shown = Shown::new(LeafFields {
            seq: 7,
            kind: 12,
            archive_time: 9,
            observe_time: 3,
            article: 0,
            revision: 0,
            batch_first: 7,
            previous: 6,
            created_seq: 1,
            since: 1,
            state_seq: 7,
            labels_seq: u64::MAX,
            flags: 0b11_1000,
            absence,
        });
        shown.withhold(Group::Name, Commitment([1; 32]));
        shown.withhold(Group::Attributes, Commitment([2; 32]));
        serde_json::to_value(&shown).unwrap()
    }

    fn leaf_hash(shown: serde_json::Value) -> Option<TreeHash> {
        serde_json::from_value::<Shown>(shown).ok()?.leaf_hash()
    }

    /// Where flags and members disagree, bytes of an absence could be taken for a commitment, or a number be shown that
    /// nothing proves.
    #[test]
    fn flags_and_members_must_agree() {
        assert!(leaf_hash(absence()).is_some());
        for flags in [0, 0b01_1000, 0b10_1000, 0b111_1000] {
            let mut shown = absence();
            shown["flags"] = flags.into();
            assert_eq!(leaf_hash(shown), None, "{flags:b}");
        }
        for member in ["last_seen", "first_missed", "last_missed", "count", "gone", "reason"] {
            let mut shown = absence();
            shown["absence"].as_object_mut().unwrap().remove(member).unwrap();
            assert_eq!(leaf_hash(shown.clone()), None, "without {member}");
            shown["flags"] = 0b01_1000.into();
            assert_eq!(leaf_hash(shown), None, "without {member} and without the flag");
        }
        let mut shown = absence();
        shown["absence"]["more"] = 1.into();
        assert_eq!(leaf_hash(shown), None);
    }
}
