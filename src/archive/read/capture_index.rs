//! The index of captures: those of a range of addresses, by address and then by time, each with what its revision is.
//!
//! A page is bounded in captures and in entries of addresses examined. It names the place from which to continue.

use std::sync::Arc;

use crate::archive::read::captures::{Capture, CaptureOrder, CaptureQuery, Leads};
use crate::archive::read::list::EXAMINED_MAX;
use crate::archive::read::point::ReadPoint;
use crate::archive::read::reader::{ReadError, Reader};
use crate::archive::{Archive, ArchiveError};
use crate::model::{Change, Timestamp, UrlKey};
use crate::store::address::UrlEntry;

/// The most bytes of the URLs that a page repeats.
const URL_BYTES_MAX: usize = 2 << 20;

/// A range of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexRange {
    /// One address.
    Exact(UrlKey),
    /// Those whose keys begin with this one.
    Prefix(UrlKey),
    /// Those of the host of this one, on any port.
    Host(UrlKey),
    /// Those of the host of this one, and of its subdomains.
    Domain(UrlKey),
}

/// A place in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexPlace {
    /// The address.
    pub url: UrlKey,
    /// The first instant of the observe axis, with captures of that address.
    pub from: Timestamp,
}

/// A capture in the index.
#[derive(Clone, Debug)]
pub struct IndexedCapture {
    /// The key of the address.
    pub key: UrlKey,
    /// The address as it was recorded.
    pub url: Arc<str>,
    /// The capture.
    pub capture: Capture,
    /// The change that created its revision.
    pub created_by: Arc<Change>,
}

/// A page of the index.
#[derive(Clone, Debug, Default)]
pub struct IndexPage {
    /// The captures. May be empty even if more follow.
    pub items: Vec<IndexedCapture>,
    /// Where the next page begins; `None` if there are no more.
    pub next: Option<IndexPlace>,
    /// Whether `next` names an address that the caller may not see, and so must not be shown.
    pub is_next_hidden: bool,
}

impl IndexRange {
    /// The text with which the keys of the range begin. Others may begin with it, too.
    fn beginning(&self) -> &str {
        match self {
            Self::Exact(key) | Self::Prefix(key) => key.as_str(),
            Self::Host(key) | Self::Domain(key) => host(key),
        }
    }

    /// Whether a page of this range may begin at a place.
    pub fn may_begin_at(&self, place: &IndexPlace) -> bool {
        place.url.as_str().starts_with(self.beginning())
    }

    fn has(&self, key: &UrlKey) -> bool {
        let after = |beginning: &str| key.as_str().strip_prefix(beginning).and_then(|rest| rest.chars().next());
        match self {
            Self::Exact(own) => key == own,
            Self::Prefix(own) => key.starts_with(own),
            Self::Host(own) => matches!(after(host(own)), Some(')' | ':')),
            Self::Domain(own) => matches!(after(host(own)), Some(')' | ':' | ',')),
        }
    }
}

/// For the layers above.
#[doc(hidden)]
impl Archive {
    /// Lists the captures of a range of addresses, from `place` on, each with what the revision is.
    pub async fn capture_index(
        &self,
        point: ReadPoint,
        range: IndexRange,
        place: Option<IndexPlace>,
        query: CaptureQuery,
    ) -> Result<IndexPage, ArchiveError> {
        let read = move |reader: &Reader<'_>| capture_index(reader, &point, &range, place.as_ref(), &query);
        self.read_in(&self.pools.scans, read).await
    }
}

/// The host in a key, without its port.
fn host(key: &UrlKey) -> &str {
    let host = key.as_str().split(')').next().unwrap_or_default();
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

/// A page of the captures of a range of addresses, from `place` on. The order of `query` matters for one address only.
fn capture_index(
    reader: &Reader<'_>,
    point: &ReadPoint,
    range: &IndexRange,
    place: Option<&IndexPlace>,
    query: &CaptureQuery,
) -> Result<IndexPage, ReadError> {
    let entries = reader.tables()?.url_entries_within(range.beginning(), place.map(|place| &place.url), point.below());
    let mut page = PageBuilder { reader, point, query, place, page: IndexPage::default(), url_bytes: 0 };
    let mut address: Option<(UrlKey, Vec<UrlEntry>)> = None;
    for (examined, entry) in entries.enumerate() {
        let (key, entry) = entry?;
        if let Some((_, entries)) = address.as_mut().filter(|(known, _)| *known == key) {
            entries.push(entry);
            continue;
        }
        if let Some((key, entries)) = address.take()
            && !page.add(&key, &entries)?
        {
            return Ok(page.page);
        }
        if matches!(range, IndexRange::Exact(own) if *own != key) {
            // The keys that begin with this one are after it.
            return Ok(page.page);
        }
        if examined >= EXAMINED_MAX {
            page.page.next = Some(IndexPlace { url: key, from: query.from });
            page.page.is_next_hidden = !query.within.is_all();
            return Ok(page.page);
        }
        if range.has(&key) {
            address = Some((key, vec![entry]));
        }
    }
    if let Some((key, entries)) = address {
        page.add(&key, &entries)?;
    }
    Ok(page.page)
}

struct PageBuilder<'a> {
    reader: &'a Reader<'a>,
    point: &'a ReadPoint,
    query: &'a CaptureQuery,
    place: Option<&'a IndexPlace>,
    page: IndexPage,
    url_bytes: usize,
}

impl PageBuilder<'_> {
    /// Adds the captures of an address. Returns whether the page may have more.
    fn add(&mut self, key: &UrlKey, entries: &[UrlEntry]) -> Result<bool, ReadError> {
        let scan = self.reader.of_scan();
        let leads = Leads::from_entries(&scan, entries, &self.query.within)?;
        if leads.is_empty() {
            return Ok(true);
        }
        let left = self.query.captures_max.saturating_sub(self.page.items.len());
        let begun = self.place.filter(|place| place.url == *key).map(|place| place.from);
        if left == 0 || self.url_bytes > URL_BYTES_MAX {
            self.page.next = Some(IndexPlace { url: key.clone(), from: begun.unwrap_or(self.query.from) });
            return Ok(false);
        }
        let mut query = CaptureQuery { captures_max: left, ..self.query.clone() };
        match (begun, query.order) {
            (Some(begun), CaptureOrder::OldestFirst) => query.from = query.from.max(begun),
            (Some(begun), CaptureOrder::NewestFirst) => query.until = query.until.min(begun),
            (None, CaptureOrder::OldestFirst | CaptureOrder::NewestFirst) => {}
        }
        let found = leads.captures(&scan.tables()?, self.point.below(), &query)?;
        let mut created: Option<Arc<Change>> = None;
        let url: Arc<str> = match found.items.is_empty() {
            true => return Ok(true),
            false => stated(&scan, key, entries, &leads)?.into(),
        };
        for capture in found.items {
            let known = created.take().filter(|change| change.seq == capture.created_seq);
            let created_by = known.map_or_else(|| scan.change(capture.created_seq), Ok)?;
            created = Some(Arc::clone(&created_by));
            self.url_bytes += url.len() + key.as_str().len();
            self.page.items.push(IndexedCapture { key: key.clone(), url: Arc::clone(&url), capture, created_by });
        }
        self.page.next = found.next.map(|from| IndexPlace { url: key.clone(), from });
        Ok(self.page.next.is_none())
    }
}

/// An address as the first entry of a visible article states it; the simplest with the same key if that was destroyed.
fn stated(reader: &Reader<'_>, key: &UrlKey, entries: &[UrlEntry], leads: &Leads) -> Result<String, ReadError> {
    let first = entries.iter().find(|entry| leads.has(entry.article));
    let Some(first) = first else { return Ok(key.to_url()) };
    let change = reader.change(first.seq)?;
    let all = change.entry.bound_urls.iter().chain(&change.entry.ended_urls);
    let stated = all.map(|bound| &bound.url).find(|url| url.key == *key);
    Ok(stated.map_or_else(|| key.to_url(), |url| url.original.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_what_is_below_it() {
        let key = |url: &str| UrlKey::of(url).unwrap();
        let own = || key("https://example.com/world/");
        for (url, expected) in [
            ("https://example.com/world/", [true, true, true, true]),
            ("http://example.com/world/a", [false, true, true, true]),
            ("https://example.com/sport", [false, false, true, true]),
            ("https://example.com:81/sport", [false, false, true, true]),
            ("https://www.example.com/world/", [false, false, false, true]),
            ("https://examples.com/world/", [false, false, false, false]),
            ("https://example.com.au/world/", [false, false, false, false]),
        ] {
            let ranges = [
                IndexRange::Exact(own()),
                IndexRange::Prefix(own()),
                IndexRange::Host(own()),
                IndexRange::Domain(own()),
            ];
            assert_eq!(ranges.map(|range| range.has(&key(url))), expected, "{url}");
        }
        assert_eq!(host(&key("https://[2001:db8::1]:99/a")), "[2001:db8::1]");
        assert_eq!(host(&key("https://[2001:db8::1]/a")), "[2001:db8::1]");
    }
}
