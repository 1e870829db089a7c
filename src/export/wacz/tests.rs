use std::collections::BTreeMap;
use std::io::Cursor;

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};
use zip::{CompressionMethod, ZipArchive};

use super::*;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn observation(seq: u64, observe_time: &str) -> Observation<'static> {
    Observation {
        revision: "sources/express/articles/bridge/revisions/1",
        seq,
        observe_time: time(observe_time),
        archive_time: time("2026-06-01T00:00:00Z"),
        content_digest: &[7; 32],
        etag: "\"a\"",
        last_modified: "",
    }
}

fn origin() -> Origin {
    Origin {
        archive_id: vec![1; 16],
        next_seq: 9,
        log_digest: vec![2; 16],
        archive_time: time("2026-06-01T00:00:00.5Z"),
    }
}

const URL: &str = "https://user:secret@www.express.example/Bridge?b=2&a=1#top";
const DATA: &[u8] = b"<p>The bridge is closed.";

/// An original that was seen again, a revision without an original that was seen again, and a destroyed one.
fn written() -> Vec<u8> {
    let mut writer = Writer::new(Cursor::new(Vec::new()), origin(), tempfile::tempfile).unwrap();
    let source = PageSource::Original { url: Some(URL), media_type: "text/html; charset=utf-8" };
    writer.capture(&observation(0, "2026-05-01T09:00:00Z"), &Page { title: "Bridge", data: DATA, source }).unwrap();
    let (sha256, observe_time) = (Sha256::digest(DATA), time("2026-05-01T09:00:00Z"));
    let original = SeenOriginal { url: Some(URL), sha256: &sha256, seen_at: Some("https://m.express.example/bridge") };
    let seen = Seen { seq: 0, observe_time, original: Some(original) };
    writer.sighting(&observation(1, "2026-05-02T09:00:00.25Z"), &seen).unwrap();
    let page = Page { title: "Fair", data: b"<p>Fair", source: PageSource::Generated };
    writer.capture(&observation(2, "2026-05-03T09:00:00Z"), &page).unwrap();
    let seen = Seen { seq: 2, observe_time: time("2026-05-03T09:00:00Z"), original: None };
    writer.sighting(&observation(3, "2026-05-04T09:00:00Z"), &seen).unwrap();
    writer.leave_out_expunged();
    let (file, contents) = writer.finish().unwrap();
    assert_eq!(contents, Contents { originals: 1, generated: 1, sightings: 2, expunged: 1 });
    file.into_inner()
}

/// The files of a WACZ, in their order, each with whether it is stored as it is.
fn files(wacz: &[u8]) -> Vec<(String, bool, Vec<u8>)> {
    let mut archive = ZipArchive::new(Cursor::new(wacz)).unwrap();
    let read = |number| {
        let mut file = archive.by_index(number).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        (file.name().unwrap().into_owned(), file.compression() == CompressionMethod::Stored, bytes)
    };
    (0..6).map(read).collect()
}

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_data_package_lists_every_file_with_its_digest() {
    let files = files(&written());
    let names: Vec<_> = files.iter().map(|(name, is_stored, _)| (name.as_str(), *is_stored)).collect();
    let expected = [
        ("archive/data.warc.gz", true),
        ("indexes/index.cdx.gz", true),
        ("indexes/index.idx", false),
        ("pages/pages.jsonl", false),
        ("datapackage.json", false),
        ("datapackage-digest.json", false),
    ];
    assert_eq!(names, expected);
    let package: Value = serde_json::from_slice(&files[4].2).unwrap();
    let listed = package["resources"].as_array().unwrap();
    for (resource, (name, _, bytes)) in listed.iter().zip(&files) {
        let hash = format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(bytes)));
        let found = (&resource["path"], &resource["hash"], &resource["bytes"]);
        assert_eq!(found, (&json!(name), &json!(hash), &json!(bytes.len())));
    }
    assert_eq!((listed.len(), &package["created"]), (4, &json!("2026-06-01T00:00:00Z")));
    assert!(package["description"].as_str().unwrap().ends_with("because their text was destroyed: 1."), "{package}");
    let digest: Value = serde_json::from_slice(&files[5].2).unwrap();
    assert_eq!(digest["hash"], format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(&files[4].2))));
}

/// Each line of the index leads to a gzip member with the record that it is about.
#[test]
fn every_capture_is_where_the_index_says() {
    let files = files(&written());
    let (warc, index) = (&files[0].2, gunzip(&files[1].2));
    let mut found = Vec::new();
    for line in index.lines() {
        let (key, json) = line.split_once(" {").unwrap();
        let fields: BTreeMap<String, String> = serde_json::from_str(&format!("{{{json}")).unwrap();
        let (offset, length): (usize, usize) = (fields["offset"].parse().unwrap(), fields["length"].parse().unwrap());
        let record = gunzip(&warc[offset..offset + length]);
        assert!(record.contains(&format!("WARC-Target-URI: {}\r\n", fields["url"])), "{record}");
        assert!(record.contains(&format!("WARC-Payload-Digest: {}\r\n", fields["digest"])), "{record}");
        found.push((key.to_owned(), fields["mime"].clone()));
    }
    let expected = [
        ("example,express)/bridge?a=1&b=2 20260501090000", "text/html"),
        ("example,express,m)/bridge 20260502090000", "warc/revisit"),
        ("urn:dateline:sources/express/articles/bridge/revisions/1 20260503090000", "text/html"),
    ];
    assert_eq!(found, expected.map(|(key, mime)| (key.to_owned(), mime.to_owned())));
}

#[test]
fn a_record_says_what_is_known_and_nothing_else() {
    let warc = gunzip(&files(&written())[0].2);
    assert!(!warc.contains("secret") && !warc.contains("HTTP/1"), "{warc}");
    let types: Vec<_> = warc.lines().filter_map(|line| line.strip_prefix("WARC-Type: ")).collect();
    let expected = ["warcinfo", "resource", "metadata", "revisit", "metadata", "resource", "metadata", "metadata"];
    assert_eq!(types, expected);
    assert_eq!(warc.matches("http-etag: \"a\"").count(), 4);
    assert_eq!(warc.matches("Dateline wrote this page from the archived text").count(), 1);
    assert!(warc.contains("WARC-Refers-To-Date: 2026-05-01T09:00:00Z\r\n"), "{warc}");
    assert!(warc.contains("WARC-Date: 2026-05-02T09:00:00.25Z\r\n"), "{warc}");
}

#[test]
fn only_captures_are_pages() {
    let pages = String::from_utf8(files(&written()).remove(3).2).unwrap();
    let pages: Vec<Value> = pages.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((pages.len(), &pages[0]["format"]), (3, &json!("json-pages-1.0")));
    assert_eq!((&pages[1]["title"], &pages[1]["dateline"]["isOriginal"]), (&json!("Bridge"), &json!(true)));
    let title = json!("Fair (archived text; the original was not kept)");
    assert_eq!((&pages[2]["title"], &pages[2]["dateline"]["isOriginal"]), (&title, &json!(false)));
}

#[test]
fn the_same_captures_give_the_same_bytes() {
    assert!(written() == written());
}

/// A failure is returned, and nothing tries to write any further: the end of the file would go to standard error.
#[test]
fn a_full_disk_is_reported_once() {
    struct Full(u64);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Seek for Full {
        fn seek(&mut self, _: io::SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }
    let mut writer = Writer::new(Full(1_000), origin(), tempfile::tempfile).unwrap();
    let page = Page { title: "", data: &[0; 1 << 20], source: PageSource::Generated };
    let observation = observation(0, "2026-05-01T09:00:00Z");
    let error = (0..).find_map(|_| writer.capture(&observation, &page).err()).unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    drop(writer);
}
