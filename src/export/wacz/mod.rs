//! Writes WACZ 1.1.1: a web archive in one file, with an index and a list of pages, that readers open without unpacking it.
//!
//! Source: <https://specs.webrecorder.net/wacz/1.1.1/>.
//!
//! A [`Writer`] takes captures and sightings one by one, in any order. The records go straight into the file; the index
//! and the list of pages go to temporary files until all records are written. So memory is bounded by one record and
//! what the index sorts at a time. The same calls give the same bytes.
//!
//! Nothing is invented: the HTTP headers of a page are not known, so an original is a `resource` record, which has none,
//! and not a `response`. What the archive knows about a record is in a `metadata` record that refers to it.

mod index;
mod package;
mod record;

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use data_encoding::HEXLOWER;
use serde_json::json;
use url::Url;

use self::index::{Blocks, Index, Line};
use self::package::{Method, Package};
use self::record::{Earlier, Fields, Kind, Record};
use crate::model::Timestamp;
use crate::model::url_key::without_credentials;

/// The version of the format.
const VERSION: &str = "1.1.1";
/// The name of the file that has the records.
const WARC: &str = "data.warc.gz";
/// What the name of a record begins with that is not of a page on the web but of a revision in the archive.
const OWN_NAME: &str = "urn:dateline:";
/// What writes the file.
const SOFTWARE: &str = concat!("Dateline ", env!("CARGO_PKG_VERSION"));
/// Bytes that are copied at once.
const COPY_BYTES: usize = 64 << 10;

/// What a file is an export of.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The id of the archive.
    pub archive_id: Vec<u8>,
    /// The position of the snapshot that is exported.
    pub next_seq: u64,
    /// The log digest of that snapshot.
    pub log_digest: Vec<u8>,
    /// The archive time of that snapshot; the earliest time if the archive is empty.
    pub archive_time: Timestamp,
}

/// A change that recorded a revision, or confirmed one.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The resource name of the revision.
    pub revision: &'a str,
    /// The position of the change.
    pub seq: u64,
    /// When the content was seen.
    pub observe_time: Timestamp,
    /// When the change was committed.
    pub archive_time: Timestamp,
    /// The content digest of the revision.
    pub content_digest: &'a [u8],
    /// The `ETag` header of the response; empty if it is not known.
    pub etag: &'a str,
    /// The `Last-Modified` header of the response; empty if it is not known.
    pub last_modified: &'a str,
}

/// What is captured of a revision.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The headline.
    pub title: &'a str,
    /// The bytes.
    pub data: &'a [u8],
    /// What they are.
    pub source: PageSource<'a>,
}

/// Where the bytes of a page come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageSource<'a> {
    /// They are the original, which was kept.
    Original {
        /// The URL of the page; `None` if it has none.
        url: Option<&'a str>,
        /// The media type.
        media_type: &'a str,
    },
    /// There is no original. They are an HTML page with the archived text.
    Generated,
}

/// An earlier capture, which was seen again.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The position of the change that recorded the revision.
    pub seq: u64,
    /// The observe time of that change.
    pub observe_time: Timestamp,
    /// The original; `None` if there is none.
    pub original: Option<SeenOriginal<'a>>,
}

/// The original of an earlier capture.
#[derive(Clone, Copy, Debug)]
pub struct SeenOriginal<'a> {
    /// The URL of its page, as [`PageSource::Original`] has it.
    pub url: Option<&'a str>,
    /// The SHA-256 of its bytes.
    pub sha256: &'a [u8],
    /// Where the sighting found it; `None` if it has no URL.
    pub seen_at: Option<&'a str>,
}

/// What a file contains, and what it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Originals.
    pub originals: u64,
    /// Pages that were written from the text of revisions without an original.
    pub generated: u64,
    /// Sightings.
    pub sightings: u64,
    /// Observations that were left out because their text was destroyed.
    pub expunged: u64,
}

/// A WACZ that is being written. `N` creates temporary files.
pub struct Writer<W: Write + Seek, N> {
    package: Package<W>,
    index: Index<N>,
    pages: File,
    origin: Origin,
    contents: Contents,
}

impl<W: Write + Seek, N: Fn() -> io::Result<File>> Writer<W, N> {
    /// Begins a file.
    pub fn new(to: W, origin: Origin, new_file: N) -> io::Result<Self> {
        let mut pages = new_file()?;
        let header = json!({ "format": "json-pages-1.0", "id": "pages", "title": "All Pages" });
        writeln!(pages, "{header}")?;
        let mut package = Package::new(to);
        package.begin("archive/data.warc.gz", Method::Stored)?;
        let mut writer = Self { package, index: Index::new(new_file), pages, origin, contents: Contents::default() };

        let mut fields = Fields::default();
        fields.add("software", SOFTWARE);
        fields.add("format", "WARC file version 1.1");
        fields.add("description", "An export of archived articles, and not a crawl");
        fields.add("dateline-archive-id", HEXLOWER.encode(&writer.origin.archive_id));
        fields.add("dateline-position", writer.origin.next_seq);
        fields.add("dateline-log-digest", HEXLOWER.encode(&writer.origin.log_digest));
        let id = writer.id(Kind::Info, writer.origin.next_seq);
        let time = writer.origin.archive_time;
        writer.add(&Record::info(&id, time, WARC, &fields))?;
        Ok(writer)
    }

    /// Adds a revision.
    pub fn capture(&mut self, observation: &Observation<'_>, page: &Page<'_>) -> io::Result<()> {
        let (uri, media_type, title) = match page.source {
            PageSource::Original { url, media_type } => {
                (uri(url, observation.revision), media_type, page.title.to_owned())
            }
            PageSource::Generated => {
                let title = format!("{} (archived text; the original was not kept)", page.title);
                (uri(None, observation.revision), "text/html; charset=utf-8", title)
            }
        };
        let media_type = media_type_or_bytes(media_type);
        let (id, time) = (self.id(Kind::Resource, observation.seq), observation.observe_time);
        let record = Record::resource(&id, time, &uri, media_type, page.data);
        let mime = media_type.split(';').next().unwrap_or_default().trim();
        self.add_indexed(&record, time, &uri, mime, &record::digest(page.data))?;

        let mut fields = self.facts(observation);
        match page.source {
            PageSource::Original { .. } => self.contents.originals += 1,
            PageSource::Generated => {
                fields.add(
                    "description",
                    "Dateline wrote this page from the archived text; it is not the page that the publisher sent",
                );
                self.contents.generated += 1;
            }
        }
        self.describe(observation, &uri, &id, &fields)?;
        let line = json!({
            "id": observation.revision,
            "url": uri,
            "ts": time.to_string(),
            "title": title,
            "dateline": {
                "revision": observation.revision,
                "seq": observation.seq.to_string(),
                "archiveTime": observation.archive_time.to_string(),
                "contentDigest": format!("sha256:{}", HEXLOWER.encode(observation.content_digest)),
                "isOriginal": page.source != PageSource::Generated,
            },
        });
        writeln!(self.pages, "{line}")
    }

    /// Adds a sighting of a revision.
    pub fn sighting(&mut self, observation: &Observation<'_>, seen: &Seen<'_>) -> io::Result<()> {
        let time = observation.observe_time;
        let fields = self.facts(observation);
        let earlier = self.id(Kind::Resource, seen.seq);
        self.contents.sightings += 1;
        let Some(original) = seen.original else {
            // Nothing was visited that a revisit could be of. What is known is about the page of the revision.
            return self.describe(observation, &uri(None, observation.revision), &earlier, &fields);
        };
        let earlier_uri = uri(original.url, observation.revision);
        let uri = uri(original.seen_at, observation.revision);
        let payload_digest = format!("sha256:{}", HEXLOWER.encode(original.sha256));
        let earlier =
            Earlier { id: earlier, uri: &earlier_uri, time: seen.observe_time, payload_digest: &payload_digest };
        let id = self.id(Kind::Revisit, observation.seq);
        let record = Record::revisit(&id, time, &uri, &earlier);
        self.add_indexed(&record, time, &uri, "warc/revisit", &payload_digest)?;
        self.describe(observation, &uri, &id, &fields)
    }

    /// Counts an observation that is left out because its text was destroyed.
    pub fn leave_out_expunged(&mut self) {
        self.contents.expunged += 1;
    }

    /// Writes the index, the list of pages and the data package.
    pub fn finish(self) -> io::Result<(W, Contents)> {
        let Self { mut package, index, mut pages, origin, contents } = self;
        package.end();

        let mut first_lines = (index.new_file)()?;
        write!(first_lines, "{}", Blocks::header())?;
        let mut blocks = Blocks::new();
        package.begin("indexes/index.cdx.gz", Method::Stored)?;
        index.write(|line| match blocks.add(line)? {
            Some(block) => {
                first_lines.write_all(block.first_line.as_bytes())?;
                package.write(&block.bytes)
            }
            None => Ok(()),
        })?;
        if let Some(block) = blocks.end()? {
            first_lines.write_all(block.first_line.as_bytes())?;
            package.write(&block.bytes)?;
        }
        package.end();
        copy("indexes/index.idx", &mut first_lines, &mut package)?;
        copy("pages/pages.jsonl", &mut pages, &mut package)?;

        let description = json!({
            "profile": "data-package",
            "wacz_version": VERSION,
            "software": SOFTWARE,
            "created": origin.archive_time.to_jiff().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "title": "Articles archived by Dateline",
            "description": describe_contents(contents),
            "dateline": {
                "archiveId": HEXLOWER.encode(&origin.archive_id),
                "nextSeq": origin.next_seq.to_string(),
                "logDigest": HEXLOWER.encode(&origin.log_digest),
                "originals": contents.originals.to_string(),
                "generatedPages": contents.generated.to_string(),
                "sightings": contents.sightings.to_string(),
                "expunged": contents.expunged.to_string(),
            },
        });
        Ok((package.finish(description)?, contents))
    }

    fn id(&self, kind: Kind, seq: u64) -> String {
        record::id(&self.origin.archive_id, kind, seq)
    }

    /// Adds a record. Returns its offset and its size.
    fn add(&mut self, record: &Record<'_>) -> io::Result<(u64, usize)> {
        let (offset, member) = (self.package.offset(), record.to_member()?);
        self.package.write(&member)?;
        Ok((offset, member.len()))
    }

    fn add_indexed(
        &mut self,
        record: &Record<'_>,
        time: Timestamp,
        url: &str,
        mime: &str,
        digest: &str,
    ) -> io::Result<()> {
        let (offset, length) = self.add(record)?;
        let (length, offset) = (length.to_string(), offset.to_string());
        self.index.add(time, &Line { url, mime, digest, length, offset, filename: WARC })
    }

    /// What the archive knows about an observation.
    fn facts(&self, observation: &Observation<'_>) -> Fields {
        let mut fields = Fields::default();
        fields.add("dateline-archive-id", HEXLOWER.encode(&self.origin.archive_id));
        fields.add("dateline-revision", observation.revision);
        fields.add("dateline-seq", observation.seq);
        fields.add("dateline-observe-time", observation.observe_time);
        fields.add("dateline-archive-time", observation.archive_time);
        fields.add("dateline-content-digest", format!("sha256:{}", HEXLOWER.encode(observation.content_digest)));
        fields.add("http-etag", observation.etag);
        fields.add("http-last-modified", observation.last_modified);
        fields
    }

    /// Adds the record that describes another one.
    fn describe(
        &mut self,
        observation: &Observation<'_>,
        uri: &str,
        refers_to: &str,
        fields: &Fields,
    ) -> io::Result<()> {
        let id = self.id(Kind::Metadata, observation.seq);
        self.add(&Record::metadata(&id, observation.observe_time, uri, refers_to, fields))?;
        Ok(())
    }
}

/// What people read about a file before they open it.
fn describe_contents(contents: Contents) -> String {
    let Contents { originals, generated, sightings, expunged } = contents;
    let mut text = format!(
        "Pages as they were kept: {originals}. Pages written from the archived text, because the original was not kept: \
         {generated}. Later visits that found the same text: {sightings}."
    );
    if expunged > 0 {
        text.push_str(&format!(" Observations left out because their text was destroyed: {expunged}."));
    }
    text
}

/// Adds a file from a temporary one.
fn copy<W: Write + Seek>(path: &'static str, from: &mut File, package: &mut Package<W>) -> io::Result<()> {
    from.rewind()?;
    package.begin(path, Method::Deflated)?;
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let bytes = from.read(&mut buffer)?;
        if bytes == 0 {
            package.end();
            return Ok(());
        }
        package.write(buffer.get(..bytes).unwrap_or_default())?;
    }
}

/// The URI of a page: its URL as the WHATWG standard normalises it, without credentials, or the name of the revision.
fn uri(url: Option<&str>, revision: &str) -> String {
    let url = url.and_then(|url| Url::parse(&without_credentials(url)).ok());
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    match url {
        Some(mut url) => {
            url.set_fragment(None);
            url.into()
        }
        None => format!("{OWN_NAME}{revision}"),
    }
}

/// A media type, if it can be the value of a field.
fn media_type_or_bytes(media_type: &str) -> &str {
    let is_value = !media_type.is_empty() && media_type.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_value { media_type } else { "application/octet-stream" }
}

#[cfg(test)]
mod tests;
