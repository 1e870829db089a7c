use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

const PAGE: &str = "<!doctype html><title>Bridge to close</title><p>The city closes the old bridge on Monday.</p>";

fn record(kind: &str, url: &str, block: &[u8]) -> Vec<u8> {
    with_length(kind, url, block, &block.len().to_string())
}

fn with_length(kind: &str, url: &str, block: &[u8], length: &str) -> Vec<u8> {
    let content_type = if kind == "response" { "application/http; msgtype=response" } else { "text/html" };
    let head = format!(
        "WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2025-11-08T10:00:00.25Z\r\n\
         WARC-Refers-To-Date: 2025-11-07T10:00:00Z\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), block, b"\r\n\r\n"].concat()
}

fn answer(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=\"utf-8\"\r\nETag: \"a1\"\r\n{fields}\r\n");
    [head.as_bytes(), body].concat()
}

fn response(url: &str) -> Vec<u8> {
    record("response", url, &answer("", PAGE.as_bytes()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read(bytes: &[u8]) -> Vec<Record> {
    let mut reader = Reader::new(Cursor::new(bytes)).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        records.push(record);
    }
    records
}

/// The records in short: each with its offset, and its URL or `broken` with the reason.
fn seen(bytes: &[u8]) -> Vec<(u64, String)> {
    let name = |found: RecordContent| match found {
        RecordContent::Page(page) => page.url.rsplit('/').next().unwrap().to_owned(),
        RecordContent::Revisit(revisit) => format!("again {}", revisit.url),
        RecordContent::Missing(missing) => format!("missing {} {}", missing.http_status, missing.url),
        RecordContent::Other(what) => what.to_owned(),
        RecordContent::Broken(reason) => format!("broken: {reason}"),
    };
    read(bytes).into_iter().map(|record| (record.offset, name(record.found))).collect()
}

fn names(bytes: &[u8]) -> Vec<String> {
    let short = |name: String| name.split(':').next().unwrap_or_default().to_owned();
    seen(bytes).into_iter().map(|(_, name)| short(name)).collect()
}

#[test]
fn a_leap_second_keeps_its_order_and_is_valid_only_in_the_last_minute_of_a_day() {
    let at = |time: &str| {
        let text = String::from_utf8(response("http://q.example/a")).unwrap().replace("2025-11-08T10:00:00.25Z", time);
        match read(text.as_bytes()).remove(0).found {
            RecordContent::Page(page) => page.time.to_string(),
            RecordContent::Revisit(_) | RecordContent::Missing(_) | RecordContent::Other(_) => panic!("it is a page"),
            RecordContent::Broken(reason) => reason,
        }
    };
    assert_eq!(at("2016-12-31T23:59:60.2Z"), "2016-12-31T23:59:59.999999Z");
    assert!(at("2016-12-31T12:00:60Z").starts_with("its WARC-Date is not a valid time"));
    assert!(at("2016-12-31T12:00:00+24:00").starts_with("its WARC-Date is not a valid time"));
}

/// W3C-DTF, as WARC 1.1 has it.
#[test]
fn a_date_without_a_time_of_day_is_its_beginning() {
    for (stated, expected) in [
        ("2025", "2025-01-01T00:00:00Z"),
        ("2025-11", "2025-11-01T00:00:00Z"),
        ("2025-11-08", "2025-11-08T00:00:00Z"),
        ("2025-11-08T10:30Z", "2025-11-08T10:30:00Z"),
    ] {
        let text = String::from_utf8(response("http://q.example/a")).unwrap();
        let RecordContent::Page(page) =
            read(text.replace("2025-11-08T10:00:00.25Z", stated).as_bytes()).remove(0).found
        else {
            panic!("it is a page: {stated}")
        };
        assert_eq!(page.time.to_string(), expected);
    }
}

#[test]
fn a_response_without_a_page_is_told_from_one_that_is_no_page() {
    let found = |status: &str, kind: &str| {
        let block = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n\r\nSorry");
        seen(&record("response", "http://q.example/a", block.as_bytes())).remove(0).1
    };
    assert_eq!(found("404 Not Found", "text/html"), "missing 404 http://q.example/a");
    assert_eq!(found("410 Gone", "text/html; charset=utf-8"), "missing 410 http://q.example/a");
    assert_eq!(found("404 Not Found", "image/png"), "responses that are not pages");
    assert_eq!(found("503 Busy", "text/html"), "responses that are not pages");
}

#[test]
fn a_page_is_decoded_as_the_server_sent_it() {
    let chunks = format!("{:x}\r\n{}\r\n5\r\nmore!\r\n0\r\n\r\n", PAGE.len(), PAGE);
    let zipped = gzip(PAGE.as_bytes());
    let mut packed = Vec::new();
    brotli::BrotliCompress(&mut PAGE.as_bytes(), &mut packed, &brotli::enc::BrotliEncoderParams::default()).unwrap();
    for (fields, body, expected) in [
        ("", PAGE.as_bytes(), PAGE.to_owned()),
        ("Transfer-Encoding: chunked\r\n", chunks.as_bytes(), format!("{PAGE}more!")),
        ("Content-Encoding: gzip\r\n", &zipped, PAGE.to_owned()),
        // Written by a crawler that decoded the body but kept the header fields.
        ("Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n", PAGE.as_bytes(), PAGE.to_owned()),
        ("Content-Encoding: br\r\n", PAGE.as_bytes(), PAGE.to_owned()),
        ("Content-Encoding: br\r\n", &packed, PAGE.to_owned()),
    ] {
        let records = read(&record("response", "https://example.org/a", &answer(fields, body)));
        let [Record { offset: 0, found: RecordContent::Page(page) }] = records.as_slice() else {
            panic!("{records:?}")
        };
        assert_eq!(String::from_utf8_lossy(&page.body), expected, "{fields}");
        assert_eq!((page.charset.as_deref(), page.etag.as_str()), (Some("utf-8"), "\"a1\""));
        assert_eq!(page.time.to_string(), "2025-11-08T10:00:00.25Z");
    }
}

#[test]
fn records_that_are_not_pages_are_named_by_kind() {
    let error = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<p>Gone.";
    let image = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n\x89PNG";
    let file = [
        record("warcinfo", "", b"software: x\r\n"),
        record("response", "https://example.org/404", error),
        record("response", "https://example.org/x.png", image),
        record("response", "dns:example.org", b"x"),
        record("resource", "urn:dateline:sources/a/articles/b/revisions/1", PAGE.as_bytes()),
        record("revisit", "<https://example.org/a>", b""),
        record("resource", "https://example.org/saved", PAGE.as_bytes()),
    ]
    .concat();
    let found: Vec<_> = seen(&file).into_iter().map(|(_, name)| name).collect();
    assert_eq!(
        found,
        [
            "requests and crawl metadata",
            "missing 404 https://example.org/404",
            "files that are not pages",
            "records that are not of web pages",
            "pages that Dateline exported without an original or a URL, to import from JSON Lines instead",
            "again https://example.org/a",
            "saved"
        ]
    );
}

/// In a plain file a length that is too long hides no record, because the file is read again from after the broken
/// header.
#[test]
fn a_wrong_length_costs_one_record() {
    let block = answer("", PAGE.as_bytes());
    let length = block.len();
    // A length up to four bytes too long covers the line ends after the block, which look like part of it.
    for wrong in [0, 5, length - 1, length + 5, length + 400, 5_000_000_000] {
        let broken = with_length("response", "https://example.org/b", &block, &wrong.to_string());
        let file = [response("https://example.org/a"), broken, response("https://example.org/c")].concat();
        assert_eq!(names(&file), ["a", "broken", "c"], "length {wrong} of {length}");
        let members: Vec<u8> = [
            response("https://example.org/a"),
            with_length("response", "https://example.org/b", &block, &wrong.to_string()),
            response("https://example.org/c"),
        ]
        .iter()
        .flat_map(|record| gzip(record))
        .collect();
        assert_eq!(names(&members), ["a", "broken", "c"], "length {wrong} of {length}, in members");
    }
    for nonsense in ["", "-1", "many"] {
        let broken = with_length("response", "https://example.org/b", &block, nonsense);
        let file = [response("https://example.org/a"), broken, response("https://example.org/c")].concat();
        assert_eq!(names(&file), ["a", "broken", "c"], "length {nonsense:?}");
    }
}

#[test]
fn each_record_has_its_offset_in_the_file() {
    let (a, b) = (response("https://example.org/a"), response("https://example.org/b"));
    let plain: Vec<u64> = seen(&[&*a, &b].concat()).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(plain, [0, a.len() as u64]);
    let (first, second) = (gzip(&a), gzip(&b));
    let zipped: Vec<u64> = seen(&[&*first, &second].concat()).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(zipped, [0, first.len() as u64]);
    assert_eq!(names(&gzip(&[a, b].concat())), ["a", "b"], "one member of two records");
}

#[test]
fn damage_within_a_member_costs_that_member() {
    let members = ["a", "b", "c"].map(|name| gzip(&response(&format!("https://example.org/{name}"))));
    let [first, second, _] = members.each_ref().map(Vec::len);
    for at in first + 12..first + second {
        let mut file = members.concat();
        file[at] ^= 0x55;
        let names = names(&file);
        assert_eq!(
            (names.first().map(String::as_str), names.last().map(String::as_str)),
            (Some("a"), Some("c")),
            "{at}"
        );
        assert!(!names.contains(&"b".to_owned()), "byte {at}: a damaged page was returned: {names:?}");
        assert!(names.contains(&"broken".to_owned()), "byte {at}: {names:?}");
    }
}

#[test]
fn a_truncated_file_yields_all_records_before_the_cut() {
    let (a, b) = (response("https://example.org/a"), response("https://example.org/b"));
    for zipped in [false, true] {
        let records = [&a, &b].map(|record| if zipped { gzip(record) } else { record.clone() });
        let file = records.concat();
        for cut in records[0].len() + 1..file.len() - 4 {
            let names = names(&file[..cut]);
            assert_eq!(names, ["a", "broken"], "cut at {cut}, in gzip: {zipped}");
        }
    }
}

/// Bytes between records used to pile up in memory until the end of the file, if they were line ends or lines shorter
/// than the start of a record. They are consumed as they are read.
#[test]
fn bytes_between_records_take_no_memory() {
    for filling in ["\n", "ab\n"] {
        let (first, last) = (response("https://example.org/a"), response("https://example.org/c"));
        let file = [&*first, filling.repeat(4 << 20).as_bytes(), &last].concat();
        let mut reader = Reader::new(Cursor::new(&file)).unwrap();
        let mut capacity = 0;
        while reader.next_record().unwrap().is_some() {
            capacity = capacity.max(reader.input.chunk_capacity());
        }
        assert!(capacity <= 256 << 10, "{capacity} bytes are in memory, filled with {filling:?}");
    }
}

/// In this file, each of many headers claims the rest of the file. The number of bytes that are read again is limited.
#[test]
fn reading_again_after_broken_headers_is_bounded() {
    let header = with_length("response", "https://example.org/b", b"", "99999999999");
    let file = header.repeat(20_000);
    let mut reader = Reader::new(Cursor::new(&file)).unwrap();
    while reader.next_record().unwrap().is_some() {}
    assert!(reader.read_again <= READ_AGAIN_BYTES + 4 * file.len() as u64);
}

#[test]
fn a_body_with_an_impossible_chunk_length_is_taken_as_it_is() {
    let body = b"FFFFFFFFFFFFFFFF\r\nx";
    let records = read(&record("response", "https://example.org/a", &answer("Transfer-Encoding: chunked\r\n", body)));
    assert!(matches!(&records[0].found, RecordContent::Page(page) if page.body == body), "{records:?}");
}

#[test]
fn a_response_that_decompresses_to_more_than_the_limit_is_rejected() {
    let bomb = gzip(&vec![b' '; 32 << 20]);
    let records = seen(&record("response", "https://example.org/b", &answer("Content-Encoding: gzip\r\n", &bomb)));
    assert!(records[0].1.contains("decompresses to over"), "{records:?}");
}

proptest! {
    /// Arbitrary bytes between two records affect neither of them.
    #[test]
    fn records_are_found_around_any_bytes(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (a, c) = (response("https://example.org/a"), response("https://example.org/c"));
        let file = [&*a, &noise, b"\r\n", &c].concat();
        let names = names(&file);
        prop_assert_eq!(names.last().map(String::as_str), Some("c"));
        prop_assert!(names.iter().all(|name| matches!(name.as_str(), "a" | "broken" | "c")), "{:?}", names);
    }
}
