//! Reads web archives: each page that was returned is an observation, each visit that found it unchanged is a sighting,
//! and each one that found it missing is an absence.

use std::io::{BufRead, Seek};
use std::path::Path;

use bytes::Bytes;
use url::Url;

use super::input::Position;
use super::item::{Action, Done, Item, ItemError, ItemSender, MissedPage, Revisit, Stopped};
use super::overrides::Overrides;
use crate::capture::CaptureError;
use crate::capture::pages::{media_type, source_of};
use crate::ingest::warc::{self, Page, Reader};
use crate::ingest::{self, Format};
use crate::model::Limits;
use crate::wire::{content_to_pb, pb, timestamp_to_pb};

/// Where a web archive is in what is imported.
pub(super) struct Place<'a> {
    /// Its name, for people.
    pub(super) name: &'a str,
    /// The number of items before it.
    pub(super) items: u64,
    /// How far the file is read.
    pub(super) position: &'a Position,
}

/// Reads the records of a web archive and sends them on, leaving out the first `skip` items of what is imported. Returns
/// the number of items up to its end.
pub(super) fn read(
    place: &Place<'_>,
    bytes: impl BufRead + Seek,
    overrides: &Overrides,
    skip: u64,
    items: &ItemSender,
) -> Result<u64, Stopped> {
    let Place { name, items: mut count, position } = *place;
    let done = |count| Done { items: count, measure: position.get() };
    let mut reader = match Reader::new(bytes) {
        Ok(reader) => reader,
        Err(error) => {
            items.send_cut_off(name.to_owned(), error, done(count + 1))?;
            return Ok(count + 1);
        }
    };
    loop {
        let record = match reader.next_record() {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(count),
            Err(error) => {
                items.send_cut_off(name.to_owned(), error, done(count + 1))?;
                return Ok(count + 1);
            }
        };
        count += 1;
        if count <= skip {
            continue;
        }
        let bytes = if let warc::RecordContent::Page(page) = &record.found { 2 * page.body.len() } else { 0 };
        let (place, action) = match record.found {
            warc::RecordContent::Page(page) => {
                (Some(page.url.clone()), observation(page, overrides).unwrap_or_else(Action::Fail))
            }
            warc::RecordContent::Revisit(revisit) => (Some(revisit.url.clone()), sighting(revisit, overrides)),
            warc::RecordContent::Missing(missing) => (Some(missing.url.clone()), absence(missing, overrides)),
            warc::RecordContent::Other(what) => (None, Action::Skip(what)),
            warc::RecordContent::Broken(reason) => (None, Action::Fail(ItemError::Record(reason).into())),
        };
        let place = match place {
            Some(url) => format!("{name}, byte {}, {url}", record.offset),
            None => format!("{name}, byte {}", record.offset),
        };
        items.send(Item { place, action, done: done(count) }, bytes)?;
    }
}

fn observation(page: Page, overrides: &Overrides) -> Result<Action, CaptureError> {
    let url = Url::parse(&page.url).map_err(ItemError::from)?;
    let options = ingest::Options {
        format: Some(Format::Html),
        reference_date: Some(page.time.day()),
        url: Some(url.clone()),
        charset: page.charset.clone(),
        ..ingest::Options::default()
    };
    let document = ingest::read(&page.body, &options)?;
    let source = source_of(overrides.source.clone(), &document, Some(&url))?;
    let mut urls = vec![page.url.clone()];
    urls.extend(document.urls.iter().filter(|url| **url != page.url).cloned());
    let mut request = pb::RecordObservationRequest {
        parent: source.to_string(),
        content: Some(content_to_pb(&document.content)),
        observe_time: Some(timestamp_to_pb(page.time)),
        urls,
        labels: document.labels,
        fetch: Some(pb::Fetch {
            url: page.url,
            etag: header(page.etag, Limits::ETAG_BYTES_MAX),
            last_modified: header(page.last_modified, Limits::LAST_MODIFIED_BYTES_MAX),
        }),
        ..pb::RecordObservationRequest::default()
    };
    let media_type = media_type(None, page.charset.as_deref());
    overrides.apply(&mut request, &media_type, Bytes::from(page.body));
    Ok(Action::Record(Box::new(request)))
}

/// A header that the archive accepts. An invalid one is left out, so that the page is not rejected with it.
fn header(value: String, bytes_max: usize) -> String {
    if value.len() > bytes_max || value.contains(char::is_control) { String::new() } else { value }
}

fn sighting(revisit: warc::Revisit, overrides: &Overrides) -> Action {
    let request = pb::RecordObservationRequest {
        parent: overrides.source.as_ref().map(ToString::to_string).unwrap_or_default(),
        observe_time: Some(timestamp_to_pb(revisit.time)),
        urls: vec![revisit.url.clone()],
        labels: overrides.labels.clone(),
        ..pb::RecordObservationRequest::default()
    };
    Action::Sight(Box::new(Revisit {
        request,
        url: revisit.refers_to_url,
        at: revisit.refers_to_time.map(timestamp_to_pb),
    }))
}

fn absence(missing: warc::MissingPage, overrides: &Overrides) -> Action {
    let (reason, gone_after) = match missing.is_permanent {
        true => (pb::AbsenceReason::Gone, 1),
        false => (pb::AbsenceReason::NotFound, 0),
    };
    let request = pb::RecordAbsenceRequest {
        observe_time: Some(timestamp_to_pb(missing.time)),
        reason: reason.into(),
        http_status: missing.http_status,
        gone_after,
        ..pb::RecordAbsenceRequest::default()
    };
    Action::MissPage(Box::new(MissedPage { request, url: missing.url, source: overrides.source.clone() }))
}

/// Whether a file has the beginning of a web archive.
pub(super) fn is_web_archive(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(b"WARC/") || first_bytes.starts_with(b"filedesc:")
}

/// Whether a file has the name of a web archive.
pub(super) fn has_web_archive_name(path: &Path) -> bool {
    let name = path.to_string_lossy().to_ascii_lowercase();
    [".warc", ".warc.gz", ".arc", ".arc.gz"].iter().any(|ending| name.ends_with(ending))
}
