use std::io::{Cursor, Write};

use proptest::prelude::*;
use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

const WARC: &str = "archive/data.warc";

/// A ZIP file of these files.
fn zip(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::DEFAULT.compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn stored(files: &[(&str, &[u8])]) -> Vec<u8> {
    zip(files, CompressionMethod::Stored)
}

fn hash(bytes: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER_PERMISSIVE.encode(&Sha256::digest(bytes)))
}

/// A data package that lists these files as they are.
fn package(files: &[(&str, &[u8])]) -> Vec<u8> {
    let resources: Vec<_> =
        files.iter().map(|(path, bytes)| json!({ "path": path, "hash": hash(bytes), "bytes": bytes.len() })).collect();
    json!({ "profile": "data-package", "resources": resources }).to_string().into_bytes()
}

fn wacz(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let package = package(files);
    let digest = json!({ "path": PACKAGE, "hash": hash(&package) }).to_string();
    let mut all = files.to_vec();
    all.extend([(PACKAGE, package.as_slice()), (PACKAGE_DIGEST, digest.as_bytes())]);
    zip(&all, method)
}

/// A web archive by its name, as it was read, or why it was not.
type Found = (String, Result<Vec<u8>, String>);

/// The web archives, each as it was read or why it was not; or why the file was not opened.
fn read(file: &[u8]) -> Result<Vec<Found>, String> {
    let wacz = Wacz::open(file, file.len() as u64).map_err(|error| error.to_string())?;
    let bytes = |warc: &Warc| {
        wacz.check(warc)?;
        let mut bytes = Vec::new();
        wacz.read(warc)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let read = |warc: &Warc| (warc.name.clone(), bytes(warc).map_err(|error: WaczError| error.to_string()));
    Ok(wacz.warcs().iter().map(read).collect())
}

/// The one web archive.
fn one(file: &[u8]) -> Result<Vec<u8>, String> {
    read(file)?.remove(0).1
}

#[test]
fn web_archives_are_read_in_the_order_of_the_file() {
    let files: [(&str, &[u8]); 4] = [
        ("archive/b.warc.gz", b"second"),
        ("pages/pages.jsonl", b"{}"),
        ("archive/a.warc", b""),
        ("archive/x.txt", b"x"),
    ];
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let found = read(&wacz(&files, method)).unwrap();
        assert_eq!(
            found,
            [("archive/b.warc.gz".to_owned(), Ok(b"second".to_vec())), ("archive/a.warc".to_owned(), Ok(Vec::new()))]
        );
    }
}

#[test]
fn what_is_stored_can_seek_and_only_within_itself() {
    let file = wacz(&[(WARC, b"0123456789")], CompressionMethod::Stored);
    let wacz = Wacz::open(file.as_slice(), file.len() as u64).unwrap();
    let mut bytes = wacz.read(&wacz.warcs()[0]).unwrap();
    let mut two = [0; 2];
    for (to, expected) in [(SeekFrom::Start(3), b"34"), (SeekFrom::Current(2), b"78"), (SeekFrom::End(-2), b"89")] {
        bytes.seek(to).unwrap();
        bytes.read_exact(&mut two).unwrap();
        assert_eq!(&two, expected);
    }
    for outside in [SeekFrom::Start(11), SeekFrom::End(1), SeekFrom::Start(u64::MAX), SeekFrom::End(i64::MIN)] {
        bytes.seek(outside).unwrap_err();
    }
}

#[test]
fn an_altered_web_archive_is_not_read() {
    let mut file = wacz(&[(WARC, b"WARC/1.1 original")], CompressionMethod::Stored);
    let at = file.windows(8).position(|part| part == b"original").unwrap();
    file[at] = b'O';
    assert_eq!(one(&file).unwrap_err(), "it was damaged or altered: its SHA-256 is not the one in datapackage.json");

    let added = stored(&[(WARC, b"a"), (PACKAGE, &package(&[]))]);
    assert_eq!(one(&added).unwrap_err(), "datapackage.json does not list it, so it may have been added later");
    let md5 = json!({ "resources": [{ "path": WARC, "hash": "md5:0cc175b9c0f1b6a831c399e269772661" }] }).to_string();
    let error = one(&stored(&[(WARC, b"a"), (PACKAGE, md5.as_bytes())])).unwrap_err();
    assert!(error.ends_with("only sha256 can be checked"), "{error}");
}

#[test]
fn what_is_listed_and_not_there_is_reported() {
    let listed: [(&str, &[u8]); 3] =
        [("archive/A.WARC.GZ", b"a"), ("archive/gone.warc", b"b"), ("archive/x.txt", b"x")];
    let found = read(&stored(&[listed[0], (PACKAGE, &package(&listed))])).unwrap();
    let missing = "datapackage.json lists it, but it is not in the ZIP file".to_owned();
    assert_eq!(
        found,
        [("archive/A.WARC.GZ".to_owned(), Ok(b"a".to_vec())), ("archive/gone.warc".to_owned(), Err(missing.clone()))]
    );
    assert_eq!(one(&stored(&[(PACKAGE, &package(&listed[1..]))])).unwrap_err(), missing);
}

#[test]
fn names_that_cannot_be_kept_are_reported() {
    let long = format!("archive/{}.warc", "a".repeat(NAME_BYTES_MAX));
    let expected = format!("it has a WARC file whose name has more than 1000 bytes: {}…", &long[..60]);
    let listed = package(&[(long.as_str(), b"b")]);
    for files in [vec![(long.as_str(), &b"b"[..]), (PACKAGE, &package(&[]))], vec![(PACKAGE, listed.as_slice())]] {
        assert_eq!(read(&stored(&files)).unwrap_err(), expected);
    }
    let mut file = wacz(&[(WARC, b"a")], CompressionMethod::Stored);
    let end = file.windows(WARC.len()).rposition(|part| part == WARC.as_bytes()).unwrap();
    file[end + 8] = 0xe9;
    assert_eq!(read(&file).unwrap_err(), "it has a WARC file whose name is not UTF-8: archive/\u{fffd}ata.warc…");
    // Files of no use may have any name.
    let (other, package) = (format!("pages/{}", "a".repeat(2_000)), package(&[(WARC, b"a")]));
    assert_eq!(one(&stored(&[(WARC, b"a"), (other.as_str(), b""), (PACKAGE, &package)])).unwrap(), b"a");
}

#[test]
fn an_altered_data_package_is_not_believed() {
    let digest = json!({ "path": PACKAGE, "hash": hash(b"another") }).to_string();
    let files: [(&str, &[u8]); 1] = [(WARC, b"a")];
    let file = stored(&[(WARC, b"a"), (PACKAGE, &package(&files)), (PACKAGE_DIGEST, digest.as_bytes())]);
    let expected = "its datapackage.json cannot be read: it was damaged or altered: its SHA-256 is not the one in \
                    datapackage-digest.json";
    assert_eq!(read(&file).unwrap_err(), expected);
    // The format does not require that digest.
    assert_eq!(one(&stored(&[(WARC, b"a"), (PACKAGE, &package(&files))])).unwrap(), b"a");
}

#[test]
fn other_zip_files_are_told_apart() {
    let error = |files: &[(&str, &[u8])]| read(&stored(files)).unwrap_err();
    assert_eq!(error(&[]), "it is a ZIP file without a datapackage.json, and so not a WACZ");
    assert_eq!(error(&[("a.txt", b"")]), "it is a ZIP file without a datapackage.json, and so not a WACZ");
    let file = stored(&[("archive/b.warc.gz", b""), ("archive/a.warc", b""), ("archive/c.txt", b"")]);
    let found = Wacz::open(file.as_slice(), file.len() as u64).unwrap_err();
    assert!(matches!(found, WaczError::NoPackage { warcs } if warcs == ["archive/a.warc", "archive/b.warc.gz"]));
    for bytes in [&b""[..], b"{}", b"WARC/1.1\r\n"] {
        assert_eq!(read(bytes).unwrap_err(), "it is not a ZIP file, and so not a WACZ");
    }
    // A collection of WACZ.
    assert_eq!(error(&[("a.wacz", b""), (PACKAGE, &package(&[]))]), "it has no WARC file in archive/");
    let broken = error(&[(WARC, b""), (PACKAGE, b"{\"resources\": 1}")]);
    assert!(broken.starts_with("its datapackage.json cannot be read: invalid type"), "{broken}");
}

/// Some megabytes of zeros that pretend to be a data package take few bytes in the file.
#[test]
fn a_data_package_that_does_not_end_is_not_read() {
    let zeros = vec![b' '; PACKAGE_BYTES_MAX + 1];
    let file = zip(&[(WARC, b""), (PACKAGE, &zeros)], CompressionMethod::Deflated);
    assert!(file.len() < zeros.len() / 100);
    assert_eq!(read(&file).unwrap_err(), "its datapackage.json cannot be read: it has more than 4 MiB");
}

/// The fields at these offsets are those of PKWARE's APPNOTE.TXT.
#[test]
fn what_headers_claim_is_not_believed() {
    let file = wacz(&[(WARC, b"WARC/1.1")], CompressionMethod::Stored);
    let directory = file.windows(4).position(|part| part == b"PK\x01\x02").unwrap();
    let end = file.windows(4).rposition(|part| part == b"PK\x05\x06").unwrap();
    let altered = |at: usize, bytes: &[u8]| {
        let mut altered = file.clone();
        altered[at..at + bytes.len()].copy_from_slice(bytes);
        one(&altered)
    };
    assert_eq!(altered(directory + 8, &[1]).unwrap_err(), "it is encrypted");
    assert_eq!(altered(directory + 10, &[12]).unwrap_err(), "it is compressed by method 12; only deflate can be read");
    // A size beyond the end of the file, and an offset.
    altered(directory + 20, &[0xfe, 0xff, 0xff, 0xff]).unwrap_err();
    altered(directory + 42, &[0xfe, 0xff, 0xff, 0xff]).unwrap_err();
    // More files than there are, and a directory that begins elsewhere.
    assert_eq!(altered(end + 8, &[9, 0, 9, 0]).unwrap_err(), "it is not a complete ZIP file: its directory ends early");
    altered(end + 16, &[0xfe, 0xff, 0xff, 0x7f]).unwrap_err();
}

#[test]
fn a_name_must_be_that_of_one_file() {
    let package = package(&[(WARC, b"a")]);
    let mut file = stored(&[(WARC, b"a"), ("archive/late.warc", b"b"), (PACKAGE, &package)]);
    // The writer does not write a name twice, so the second one is altered afterwards.
    for at in 0..file.len() - 17 {
        if &file[at..at + 17] == b"archive/late.warc" {
            file[at..at + 17].copy_from_slice(b"archive/same.warc");
        }
    }
    assert!(read(&file).is_ok());
    for at in 0..file.len() - 17 {
        if &file[at..at + 17] == WARC.as_bytes() {
            file[at..at + 17].copy_from_slice(b"archive/same.warc");
        }
    }
    assert_eq!(read(&file).unwrap_err(), "it has two files named archive/same.warc");
}

#[test]
fn a_file_that_was_cut_off_is_not_read() {
    let file = wacz(&[(WARC, b"WARC/1.1 original")], CompressionMethod::Deflated);
    for end in 0..file.len() {
        assert!(read(&file[..end]).is_err(), "cut at {end}");
    }
}

proptest! {
    /// Whatever bytes are altered, a web archive is read as it was or not at all.
    #[test]
    fn damage_is_found(
        deflated: bool,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let method = if deflated { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        let original = b"WARC/1.1 original, with some more text";
        let mut file = wacz(&[(WARC, original)], method);
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        for (name, found) in read(&file).unwrap_or_default() {
            if name == WARC && let Ok(found) = found {
                prop_assert_eq!(found, original);
            }
        }
    }
}
