//! Third pass: reads every entry of the database in order of keys, and checks that something in the log accounts for
//! it.
//!
//! Entries that belong to a change or an article were compared before; here it is enough that their change or article
//! exists. Two kinds of entries are legitimate although the log, as it was read, does not account for them: those
//! written since, and chunks after the end of the log.

use std::ops::Bound;

use crate::archive::recover::verify::log::LogSummary;
use crate::archive::recover::verify::report::{Stopped, VerificationReport};
use crate::model::merkle::TileId;
use crate::model::verification::{Phase, Table};
use crate::model::{ArticleKey, Change, LogKind, Seq};
use crate::store::content::StoredContent;
use crate::store::engine::{Direction, KeyRange, Read};
use crate::store::key::Kind;
use crate::store::key::article::ArticleIndexKey;
use crate::store::key::content::{ContentKey, OriginalKey};
use crate::store::key::log::LogKey;
use crate::store::key::meta::MetaKey;
use crate::store::key::name::NameKey;
use crate::store::key::parked::ParkedKey;
use crate::store::key::source::SourceKey;
use crate::store::key::stub::StubKey;
use crate::store::key::subscription::SubscriptionKey;
use crate::store::key::tile::TileKey;
use crate::store::key::url::UrlIndexKey;
use crate::store::seal::unseal;
use crate::store::{StoreError, Tables, checkpoint, record, subscription};

/// Checks that the log accounts for every entry. If the storage fails at an entry, the check continues after it.
pub(crate) fn read_entries(
    read: &dyn Read,
    log: &LogSummary,
    report: &mut VerificationReport<'_>,
) -> Result<(), Stopped> {
    report.begin(Phase::Entries, log.entries_expected)?;
    let mut entries = EntryCheck { read, log, report };
    let mut next = Some(Vec::new());
    while let Some(start) = next {
        next = entries.scan_from(start)?;
    }
    report.end()
}

struct EntryCheck<'r, 'a> {
    read: &'r dyn Read,
    log: &'r LogSummary,
    report: &'r mut VerificationReport<'a>,
}

impl EntryCheck<'_, '_> {
    /// Reads from `start` to the end, or to where the storage fails. Returns where to continue.
    fn scan_from(&mut self, start: Vec<u8>) -> Result<Option<Vec<u8>>, Stopped> {
        let mut last = start.clone();
        let range = KeyRange { start: Bound::Included(start), end: Bound::Unbounded };
        for entry in self.read.scan(range, Direction::Forward) {
            match entry {
                Ok((key, value)) => {
                    self.report.summary.entries += 1;
                    self.check(&key, &value)?;
                    self.report.advance()?;
                    last = key;
                }
                Err(error) => {
                    // An entry of a change or an article was read by its key in an earlier pass, which reported this
                    // error.
                    let table = table_of(&last);
                    if !matches!(table, Table::Log | Table::Content | Table::Original | Table::Article) {
                        self.report.add_error(table, None, None, error.into())?;
                    }
                    return Ok(start_after(&last));
                }
            }
        }
        Ok(None)
    }

    fn check(&mut self, key: &[u8], value: &[u8]) -> Result<(), Stopped> {
        let table = table_of(key);
        match self.is_accounted_for(table, key, value) {
            Ok(true) => Ok(()),
            // A parked change may have been resolved since, and a checkpoint superseded.
            Ok(false) if self.is_gone(table, key) => Ok(()),
            Ok(false) => {
                let error = StoreError::damaged(key, "nothing in the log accounts for an entry");
                self.report.add_error(table, None, None, error)
            }
            Err(error) => self.report.add_error(table, None, None, error),
        }
    }

    fn is_accounted_for(&self, table: Table, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        match table {
            Table::Log if key.first() == Some(&(Kind::Stub as u8)) => self.is_stub(key, value),
            // The first pass checked the log up to the end that it read. Only later entries remain to be checked.
            Table::Log => match LogKey::decode(key) {
                Some(LogKey(seq)) => Ok(seq < self.log.end || self.follows(seq, key, value)?),
                None => Ok(true),
            },
            Table::Content => match ContentKey::decode(key) {
                Some(content) => self.is_chunk_of_content(content),
                None => Ok(false),
            },
            Table::Original => match OriginalKey::decode(key) {
                Some(original) => self.is_chunk_of_original(original),
                None => Ok(false),
            },
            Table::Article => match ArticleIndexKey::article_of(key) {
                Some(article) => self.is_article(article),
                None => Ok(false),
            },
            Table::Name => self.is_name(key, value),
            Table::Source => {
                unseal(key, value)?;
                let source = SourceKey::decode(key).map(|key| key.0);
                match source {
                    Some(source) if self.log.sources.contains(&source) => Ok(true),
                    Some(source) => {
                        let stats = Tables::new(self.read).source_stats(&source)?;
                        stats.map_or(Ok(false), |(last, _)| self.is_new(last.seq))
                    }
                    None => Ok(false),
                }
            }
            Table::Url => self.is_url(key, value),
            Table::Meta => {
                unseal(key, value)?;
                let meta_keys = [
                    MetaKey::FormatVersion,
                    MetaKey::ArchiveId,
                    MetaKey::ClosedTime,
                    MetaKey::Commits,
                    MetaKey::LogEpoch,
                    MetaKey::DestructionPending,
                ];
                Ok(meta_keys.iter().any(|meta_key| meta_key.encode() == key))
            }
            Table::Subscription if key.first() == Some(&(Kind::Parked as u8)) => self.is_parked(key, value),
            Table::Subscription => {
                let (_, record) = subscription::decode(key, value)?;
                Ok(record.next_seq <= self.log.end || self.is_new(Seq(record.next_seq.0.saturating_sub(1)))?)
            }
            Table::Tree if key.first() == Some(&(Kind::Checkpoint as u8)) => self.is_checkpoint(key, value),
            Table::Tree => match TileKey::decode(key) {
                // The first pass compared the tiles up to the end that it read.
                Some(TileKey(id)) => Ok(id.end().is_some_and(|end| end <= self.log.end.0) || self.is_new_tile(id)?),
                None => Ok(false),
            },
            Table::Unknown => Ok(false),
        }
    }

    /// Whether the tree that a checkpoint signs is there. The first pass compared the root.
    fn is_checkpoint(&self, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        let checkpoint = checkpoint::decode(key, value)?;
        Ok(checkpoint.size <= self.log.end.0 || self.is_new(Seq(checkpoint.size.saturating_sub(1)))?)
    }

    /// Whether a tile was filled by changes that were written since the log was read.
    fn is_new_tile(&self, id: TileId) -> Result<bool, StoreError> {
        id.end().and_then(|end| end.checked_sub(1)).map_or(Ok(false), |last| self.is_new(Seq(last)))
    }

    /// Whether an entry that may be removed has been, since the scan read it.
    fn is_gone(&self, table: Table, key: &[u8]) -> bool {
        let may_be_removed = table == Table::Subscription || key.first() == Some(&(Kind::Checkpoint as u8));
        may_be_removed && self.read.get(key).is_ok_and(|value| value.is_none())
    }

    fn is_chunk_of_content(&self, ContentKey { seq, chunk }: ContentKey) -> Result<bool, StoreError> {
        let has_payload = self.log.contents.contains(seq) || self.is_new(seq)?;
        Ok(has_payload && (chunk == 0 || u32::from(chunk) < StoredContent::chunk_count(self.read, seq)?))
    }

    /// Every chunk except the first must follow another one. A surplus chunk after the original's last one would have
    /// been read as a part of the original, and so would have been reported by the second pass.
    fn is_chunk_of_original(&self, OriginalKey { seq, chunk }: OriginalKey) -> Result<bool, StoreError> {
        let has_payload = self.log.originals.contains(seq) || self.is_new(seq)?;
        let Some(chunk) = chunk.checked_sub(1) else { return Ok(has_payload) };
        Ok(has_payload && self.read.get(&OriginalKey { seq, chunk }.encode())?.is_some())
    }

    /// Whether a change that was written since the log was read continues the change before it.
    fn follows(&self, seq: Seq, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        let (change, _, leaf) = record::decode_with_record(key, value)?;
        let before = match seq.previous() {
            Some(previous) => Tables::new(self.read).change(previous)?.map(|change| change.log_digest),
            None => return Ok(true),
        };
        Ok(before.is_some_and(|before| before.after(leaf) == change.log_digest))
    }

    /// Whether a change was written since the log was read. A change is in the log before its index entries can be
    /// seen.
    fn is_new(&self, seq: Seq) -> Result<bool, StoreError> {
        let is_in_log = || Ok(Tables::new(self.read).last_change()?.is_some_and(|last| seq <= last.seq));
        if seq < self.log.end { Ok(false) } else { is_in_log() }
    }

    fn is_article(&self, article: ArticleKey) -> Result<bool, StoreError> {
        let latest = usize::try_from(article.0).ok().and_then(|number| self.log.latest.get(number));
        match latest {
            Some(latest) => Ok(latest.is_some()),
            None => match Tables::new(self.read).head(article)? {
                Some(head) => self.is_new(head.first_seq),
                None => Ok(false),
            },
        }
    }

    fn is_name(&self, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        let (name, tables) = (NameKey::decode(key), Tables::new(self.read));
        unseal(key, value)?;
        let Some(NameKey(name)) = name else { return Ok(false) };
        let Some((article, seq)) = tables.named(&name)? else { return Ok(false) };
        let change = tables.change(seq)?.map(|change| change.entry);
        Ok(change.is_some_and(|entry| entry.kind == LogKind::Created && entry.article == article && entry.name == name))
    }

    fn is_stub(&self, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        unseal(key, value)?;
        let Some(StubKey(seq)) = StubKey::decode(key) else { return Ok(false) };
        Ok(Tables::new(self.read).change(seq)?.is_some_and(|change| change.entry.expunged.is_some()))
    }

    /// Whether the subscription of a parked change exists, and the log has the change.
    fn is_parked(&self, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        let (ParkedKey { subscription, seq }, _) = subscription::decode_parked(key, value)?;
        let has_subscription = self.read.get(&SubscriptionKey(subscription).encode())?.is_some();
        Ok(has_subscription && (seq < self.log.end || self.is_new(seq)?))
    }

    fn is_url(&self, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        unseal(key, value)?;
        let Some(UrlIndexKey { url, seq }) = UrlIndexKey::decode(key) else { return Ok(false) };
        let change = Tables::new(self.read).change(seq)?;
        let names = |change: &Change| {
            let mut urls = change.entry.bound_urls.iter().chain(&change.entry.ended_urls);
            urls.any(|bound| bound.url.key == url)
        };
        Ok(change.as_ref().is_some_and(names))
    }
}

fn table_of(key: &[u8]) -> Table {
    const TABLES: [(Kind, Table); 13] = [
        (Kind::Log, Table::Log),
        (Kind::Stub, Table::Log),
        (Kind::Content, Table::Content),
        (Kind::Original, Table::Original),
        (Kind::Article, Table::Article),
        (Kind::Name, Table::Name),
        (Kind::Source, Table::Source),
        (Kind::Url, Table::Url),
        (Kind::Meta, Table::Meta),
        (Kind::Subscription, Table::Subscription),
        (Kind::Parked, Table::Subscription),
        (Kind::Tile, Table::Tree),
        (Kind::Checkpoint, Table::Tree),
    ];
    let of_kind = |(kind, _): &&(Kind, Table)| key.first() == Some(&(*kind as u8));
    TABLES.iter().find(of_kind).map_or(Table::Unknown, |(_, table)| *table)
}

/// Where to continue after `last` if the entry after it cannot be read: at the next position or article, or else at the
/// next table.
fn start_after(last: &[u8]) -> Option<Vec<u8>> {
    let (kind, rest) = last.split_first()?;
    let is_numbered = matches!(table_of(last), Table::Log | Table::Content | Table::Original | Table::Article);
    let number = rest.first_chunk::<8>().filter(|_| is_numbered).map(|number| u64::from_be_bytes(*number));
    match number.and_then(|number| number.checked_add(1)) {
        Some(number) => Some([&[*kind], number.to_be_bytes().as_slice()].concat()),
        None => kind.checked_add(1).map(|kind| vec![kind]),
    }
}
