//! Compares an article's stored index entries with those projected from its changes.

use crate::archive::recover::verify::report::{Stopped, VerificationReport};
use crate::model::verification::{Finding, Table};
use crate::model::{ArticleKey, ArticleName, Seq};
use crate::store::engine::{Direction, Read};
use crate::store::key::article::ArticleIndexKey;
use crate::store::key::name::NameKey;
use crate::store::key::stub::StubKey;
use crate::store::key::url::UrlIndexKey;
use crate::store::seal::unseal;
use crate::store::{Batch, StoreError, Tables};

pub(crate) struct IndexComparison<'r, 'a> {
    pub(crate) read: &'r dyn Read,
    pub(crate) report: &'r mut VerificationReport<'a>,
    pub(crate) article: &'r ArticleName,
    /// The article's latest change that is compared, and the end of the log when it was read. Entries of changes after
    /// both were added since.
    pub(crate) bounds: (Seq, Seq),
}

impl IndexComparison<'_, '_> {
    /// Compares all entries except the head.
    pub(crate) fn compare(mut self, key: ArticleKey, expected: &Batch) -> Result<(), Stopped> {
        for (entry, value) in &expected.writes {
            if ArticleIndexKey::Head(key).encode() != *entry {
                self.compare_entry(entry, value.as_deref())?;
            }
        }
        for entry in self.read.scan(ArticleIndexKey::of_article(key), Direction::Forward) {
            match entry {
                Ok((entry, value)) => self.account_for(&entry, &value, expected)?,
                Err(error) => return self.report.add_error(Table::Article, None, Some(self.article), error.into()),
            }
        }
        Ok(())
    }

    fn compare_entry(&mut self, key: &[u8], expected: Option<&[u8]>) -> Result<(), Stopped> {
        let found = match self.read.get(key) {
            Ok(found) => found,
            Err(error) => return self.add_error(key, error.into()),
        };
        match &found {
            Some(value) if Some(value.as_slice()) == expected => Ok(()),
            None => self.add(key, "is missing"),
            Some(value) => match unseal(key, value) {
                Ok(_) => self.add(key, "does not match the log"),
                Err(error) => self.add_error(key, error),
            },
        }
    }

    /// Checks a stored entry that was not expected: either it was added since the log was read, or it should not exist.
    fn account_for(&mut self, key: &[u8], value: &[u8], expected: &Batch) -> Result<(), Stopped> {
        if expected.writes.contains_key(key) {
            return Ok(());
        }
        if let Err(error) = unseal(key, value) {
            return self.add_error(key, error);
        }
        let (latest, end) = self.bounds;
        match seq_of(key, value) {
            Some(seq) if seq > latest && seq >= end => match self.is_of_article(seq) {
                Ok(true) => Ok(()),
                Ok(false) => self.add(key, "does not follow from the log"),
                Err(error) => self.add_error(key, error),
            },
            Some(_) | None => self.add(key, "does not follow from the log"),
        }
    }

    fn is_of_article(&self, seq: Seq) -> Result<bool, StoreError> {
        let change = Tables::new(self.read).change(seq)?;
        Ok(change.is_some_and(|change| change.entry.name == *self.article))
    }

    fn add(&mut self, key: &[u8], found: &str) -> Result<(), Stopped> {
        let (table, seq, what) = describe(key);
        let (article, detail) = (Some(self.article.clone()), format!("{what} {found}"));
        self.report.add(Finding { table, seq, article, detail })
    }

    fn add_error(&mut self, key: &[u8], error: StoreError) -> Result<(), Stopped> {
        let (table, seq, _) = describe(key);
        self.report.add_error(table, seq, Some(self.article), error)
    }
}

/// Describes an entry for people, with its table and the change that its key names.
fn describe(key: &[u8]) -> (Table, Option<Seq>, String) {
    if let Some(name) = NameKey::decode(key) {
        return (Table::Name, None, format!("the name {}", name.0));
    }
    if let Some(url) = UrlIndexKey::decode(key) {
        return (Table::Url, Some(url.seq), format!("the URL with the key {}", url.url));
    }
    if let Some(StubKey(seq)) = StubKey::decode(key) {
        return (Table::Log, Some(seq), "the entry in the register of destructions".to_owned());
    }
    let (seq, what) = match ArticleIndexKey::decode(key) {
        Some(ArticleIndexKey::Head(_)) => (None, "the head".to_owned()),
        Some(ArticleIndexKey::Revision(_, number)) => (None, format!("the entry for revision {number}")),
        Some(ArticleIndexKey::Time(_, point)) => {
            (Some(point.seq), format!("the entry for what is in force from {}", point.observe_time))
        }
        Some(ArticleIndexKey::Sighting(_, point)) => {
            (Some(point.seq), format!("the entry for the sighting at {}", point.observe_time))
        }
        Some(ArticleIndexKey::State(_, point)) => {
            (Some(point.seq), format!("the entry for the state change at {}", point.observe_time))
        }
        Some(ArticleIndexKey::Request(_, id)) => (None, format!("the entry for request {id}")),
        Some(ArticleIndexKey::Url(_, seq)) => {
            (Some(seq), "the entry for a change that binds URLs or ends them".to_owned())
        }
        Some(ArticleIndexKey::Label(_, seq)) => (Some(seq), "the entry for a change of labels".to_owned()),
        Some(ArticleIndexKey::Absence(_, point)) => {
            (Some(point.seq), format!("the entry for the absence at {}", point.observe_time))
        }
        None => (None, "an entry with a malformed key".to_owned()),
    };
    (Table::Article, seq, what)
}

/// The change that wrote an index entry; `None` if the entry does not say.
fn seq_of(key: &[u8], value: &[u8]) -> Option<Seq> {
    match ArticleIndexKey::decode(key)? {
        ArticleIndexKey::Head(_) => None,
        ArticleIndexKey::Time(_, point)
        | ArticleIndexKey::Sighting(_, point)
        | ArticleIndexKey::State(_, point)
        | ArticleIndexKey::Absence(_, point) => Some(point.seq),
        ArticleIndexKey::Url(_, seq) | ArticleIndexKey::Label(_, seq) => Some(seq),
        ArticleIndexKey::Revision(..) | ArticleIndexKey::Request(..) => {
            let seq = unseal(key, value).ok()?.try_into().ok()?;
            Some(Seq(u64::from_be_bytes(seq)))
        }
    }
}
