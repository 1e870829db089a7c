//! The leaf of a change: what proofs are about. It has the place and the times of a change in plain, and everything that
//! is text as commitments, so that a text can be destroyed and its place in the log still be proved.
//!
//! A commitment is a salted hash. The salt is as secret as the text: without it, a guess cannot be tested. Each group
//! of data has a salt of its own, derived from that of the change, so that a group can be shown, or its salt kept, without
//! the others. docs/PROOF.md specifies the bytes, with test vectors.

use sha2::{Digest, Sha256};

use super::{AbsenceRecord, ChangeEntry, LatestState, Seq, TreeHash};

const LEAF_DOMAIN: &[u8] = b"dateline leaf 1\n";
const SALT_DOMAIN: &[u8] = b"dateline salt 1\n";
const COMMITMENT_DOMAIN: &[u8] = b"dateline commitment 1\n";
/// Stands for the position of a change that does not exist.
pub const NO_SEQ: u64 = u64::MAX;
/// The size of a leaf with everything, in bytes.
const LEAF_BYTES: usize = 276;

/// The random salt of a change, or one derived from it for a group of its data.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

/// A part of a change's data with a commitment of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Group {
    /// The article's resource name.
    Name = 1,
    /// All other text, as an encoded `stored.v1.Attributes`.
    Attributes = 2,
    /// The content digest of the revision that the change created.
    Content = 3,
    /// The SHA-256 of the original that is kept with it.
    Original = 4,
}

impl Group {
    const ALL: [Self; 4] = [Self::Name, Self::Attributes, Self::Content, Self::Original];

    /// The group with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|group| *group as u8 == number)
    }
}

/// A salted hash of the data of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment(pub [u8; 32]);

/// The commitments of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitments {
    /// To the name.
    pub name: Commitment,
    /// To the attributes.
    pub attributes: Commitment,
    /// To the content digest; `None` if the change created no revision.
    pub content: Option<Commitment>,
    /// To the original; `None` if none was kept.
    pub original: Option<Commitment>,
}

impl Salt {
    /// The salt of a group, from that of the change. Neither that one nor another group's follows from it.
    #[must_use]
    pub fn of(self, group: Group) -> Self {
        let hash: [u8; 32] =
            Sha256::new().chain_update(SALT_DOMAIN).chain_update(self.0).chain_update([group as u8]).finalize().into();
        let mut salt = [0; 16];
        salt.copy_from_slice(hash.split_at(16).0);
        Self(salt)
    }
}

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt")
    }
}

impl Commitment {
    /// Commits to the data of a group with the group's salt.
    pub fn of(group: Group, salt: Salt, data: &[u8]) -> Self {
        let hasher = Sha256::new().chain_update(COMMITMENT_DOMAIN).chain_update([group as u8]);
        Self(hasher.chain_update(salt.0).chain_update(data).finalize().into())
    }
}

impl Commitments {
    /// The commitments to what a change records, with its attributes as they are stored.
    ///
    /// Of a change whose text was destroyed, they are what is left.
    pub fn of(entry: &ChangeEntry, attributes: &[u8]) -> Self {
        if let Some(expunged) = &entry.expunged {
            return expunged.commitments;
        }
        let commit = |group, data: &[u8]| Commitment::of(group, entry.salt.of(group), data);
        let new_revision = entry.new_revision.as_deref();
        let original = new_revision.and_then(|revision| revision.original.as_ref());
        Self {
            name: commit(Group::Name, entry.name.to_string().as_bytes()),
            attributes: commit(Group::Attributes, attributes),
            content: new_revision.map(|revision| commit(Group::Content, &revision.digest.0)),
            original: original.map(|original| commit(Group::Original, &original.sha256)),
        }
    }
}

impl Commitments {
    /// The groups that the change has, in order, each with its commitment.
    pub fn groups(&self) -> impl Iterator<Item = (Group, Commitment)> {
        let Self { name, attributes, content, original } = *self;
        let all = [
            (Group::Name, Some(name)),
            (Group::Attributes, Some(attributes)),
            (Group::Content, content),
            (Group::Original, original),
        ];
        all.into_iter().filter_map(|(group, commitment)| Some((group, commitment?)))
    }
}

/// The fields of a leaf that are not commitments. They say nothing that anybody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafFields {
    /// The position of the change.
    pub seq: u64,
    /// The number of its kind.
    pub kind: u8,
    /// When it was committed, in microseconds since 1970, as all times here.
    pub archive_time: i64,
    /// When the content was seen, the page was missing or the state change took effect.
    pub observe_time: i64,
    /// The article's internal number.
    pub article: u64,
    /// The revision that was created, confirmed or in force; 0 if there is none.
    pub revision: u32,
    /// The first change of its atomic batch.
    pub batch_first: u64,
    /// The article's previous change, or [`NO_SEQ`].
    pub previous: u64,
    /// The change that created the newest revision, as known with this one.
    pub created_seq: u64,
    /// Since when that revision is in force.
    pub since: i64,
    /// The change that last altered the article's state, or [`NO_SEQ`].
    pub state_seq: u64,
    /// The change that last altered its labels, or [`NO_SEQ`].
    pub labels_seq: u64,
    /// From the lowest bit: superseded, by rollback, two bits of state, has an absence, has a run of absences.
    pub flags: u8,
    /// The absence, if the flags say so.
    pub absence: Option<LeafAbsence>,
}

/// The absence in a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafAbsence {
    /// The number of the reason.
    pub reason: u8,
    /// The HTTP status; 0 if it is unknown.
    pub http_status: u32,
    /// How many absences in a row make the article gone.
    pub gone_after: u32,
    /// The run, if the flags say so.
    pub run: Option<LeafRun>,
}

/// The run of absences in a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRun {
    /// When the page was seen last before it.
    pub last_seen: i64,
    /// When its first absence was.
    pub first_missed: i64,
    /// When its last absence was.
    pub last_missed: i64,
    /// How many absences it has.
    pub count: u32,
    /// 1 if it makes the article gone, and 0 otherwise.
    pub gone: u8,
}

impl LeafFields {
    /// The fields of the change at `seq`.
    pub fn of(seq: Seq, entry: &ChangeEntry) -> Self {
        let LatestState { created_seq, since, state, state_seq, is_newest, labels_seq } = entry.latest_state;
        let position = |seq: Option<Seq>| seq.map_or(NO_SEQ, |seq| seq.0);
        let has_run = entry.absence.as_ref().is_some_and(|absence| absence.run.is_some());
        Self {
            seq: seq.0,
            kind: entry.kind.number(),
            archive_time: entry.archive_time.micros(),
            observe_time: entry.observe_time.micros(),
            article: entry.article.0,
            revision: entry.revision.map_or(0, |revision| revision.get()),
            batch_first: entry.batch_first.0,
            previous: position(entry.previous),
            created_seq: created_seq.0,
            since: since.micros(),
            state_seq: position(state_seq),
            labels_seq: position(labels_seq),
            flags: u8::from(!is_newest)
                | u8::from(entry.by_rollback) << 1
                | state.number() << 2
                | u8::from(entry.absence.is_some()) << 4
                | u8::from(has_run) << 5,
            absence: entry.absence.as_deref().map(LeafAbsence::of),
        }
    }

    /// The leaf: the fields, then the commitments, each after the number of its group.
    pub fn encode(&self, commitments: impl IntoIterator<Item = (u8, Commitment)>) -> Vec<u8> {
        let mut leaf = Vec::with_capacity(LEAF_BYTES);
        leaf.extend_from_slice(LEAF_DOMAIN);
        leaf.extend_from_slice(&self.seq.to_be_bytes());
        leaf.push(self.kind);
        leaf.extend_from_slice(&self.archive_time.to_be_bytes());
        leaf.extend_from_slice(&self.observe_time.to_be_bytes());
        leaf.extend_from_slice(&self.article.to_be_bytes());
        leaf.extend_from_slice(&self.revision.to_be_bytes());
        for position in [self.batch_first, self.previous, self.created_seq] {
            leaf.extend_from_slice(&position.to_be_bytes());
        }
        leaf.extend_from_slice(&self.since.to_be_bytes());
        for position in [self.state_seq, self.labels_seq] {
            leaf.extend_from_slice(&position.to_be_bytes());
        }
        leaf.push(self.flags);
        if let Some(absence) = &self.absence {
            absence.encode(&mut leaf);
        }
        for (group, commitment) in commitments {
            leaf.push(group);
            leaf.extend_from_slice(&commitment.0);
        }
        leaf
    }
}

impl LeafAbsence {
    fn of(absence: &AbsenceRecord) -> Self {
        let AbsenceRecord { look, run } = absence;
        let run = run.map(|run| LeafRun {
            last_seen: run.last_seen.micros(),
            first_missed: run.first_missed.micros(),
            last_missed: run.last_missed.micros(),
            count: run.count,
            gone: run.is_gone.into(),
        });
        Self { reason: look.reason.number(), http_status: look.http_status, gone_after: look.gone_after, run }
    }

    fn encode(&self, leaf: &mut Vec<u8>) {
        leaf.push(self.reason);
        leaf.extend_from_slice(&self.http_status.to_be_bytes());
        leaf.extend_from_slice(&self.gone_after.to_be_bytes());
        if let Some(run) = &self.run {
            for time in [run.last_seen, run.first_missed, run.last_missed] {
                leaf.extend_from_slice(&time.to_be_bytes());
            }
            leaf.extend_from_slice(&run.count.to_be_bytes());
            leaf.push(run.gone);
        }
    }
}

/// The hash of the leaf of the change at `seq`, whose attributes are stored as `attributes`.
pub fn leaf_hash(seq: Seq, entry: &ChangeEntry, attributes: &[u8]) -> TreeHash {
    let commitments = Commitments::of(entry, attributes);
    let groups = commitments.groups().map(|(group, commitment)| (group as u8, commitment));
    TreeHash::of_leaf(&LeafFields::of(seq, entry).encode(groups))
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    /// The test vector of docs/PROOF.md, which another program computed.
    #[test]
    fn a_leaf_has_the_documented_bytes() {
        let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap();
        let salt = Salt(hex("6e1f29637995c3934300c161d2ca8f44").try_into().unwrap());
        let attributes = "0a0a726571756573742d34321210283a4a2f04a5de0a8c624a31927ffff51a3108a20118042a1a436f756e63696c\
                          20766f74657320e280932074776963652034325a0e0a09746578742f68746d6c10aa20";
        let data = [
            (Group::Name, b"sources/gazette/articles/item-1".to_vec()),
            (Group::Attributes, hex(attributes)),
            (Group::Content, hex("9059220b11ccd3ffc120a1e54eb5eb4841dfba08b7680f9c2aded4f846c86c4b")),
            (Group::Original, hex("d647f176b2d56d9b7f8a6cca7730fbd1c88497f6ae545fb9540fcbf4ffa90553")),
        ];
        let salts = data.each_ref().map(|(group, _)| HEXLOWER.encode(&salt.of(*group).0));
        assert_eq!(
            salts,
            [
                "ffc64e385efaf4c80be2180be29b1efc",
                "e4377f5391bcf4995ea9db0b409ad902",
                "58072967d07575c79a183b4c004209a6",
                "7321e5cd56a2c61eb8e7a6c1053959e4",
            ]
        );
        let fields = LeafFields {
            seq: 42,
            kind: 2,
            archive_time: 1_764_500_042_000_126,
            observe_time: 1_764_413_632_666_634,
            article: 1,
            revision: 8,
            batch_first: 42,
            previous: 36,
            created_seq: 42,
            since: 1_764_409_999_999_958,
            state_seq: NO_SEQ,
            labels_seq: NO_SEQ,
            flags: 0,
            absence: None,
        };
        let leaf = fields
            .encode(data.iter().map(|(group, data)| (*group as u8, Commitment::of(*group, salt.of(*group), data))));
        assert_eq!(leaf.len(), 234);
        let hash = TreeHash::of_leaf(&leaf).to_string();
        assert_eq!(hash, "7ba99be748accc2f2339c20c73f641ac708c3c315284dab1bc65474dffa31bbb");
    }
}
