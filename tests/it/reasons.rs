//! docs/ERRORS.md and the code have the same reasons: programs are written from the document and run against the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The only files that create statuses.
const STATUSES: [&str; 2] = ["src/service/status.rs", "src/wire/request/error.rs"];
/// The files with the reasons.
const REASONS: [&str; 3] = ["src/service/status.rs", "src/model/field_errors.rs", "src/wire/request/error.rs"];

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The code without its tests.
fn code(path: impl AsRef<Path>) -> String {
    read(path).split("#[cfg(test)]").next().unwrap().to_owned()
}

fn is_reason(text: &str) -> bool {
    text.len() > 4 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

fn in_code() -> BTreeSet<String> {
    let literals = REASONS.map(|path| code(path).split('"').map(str::to_owned).collect::<Vec<_>>());
    literals.into_iter().flatten().filter(|text| is_reason(text)).collect()
}

/// The second column of the table of codes. Each reason must be in one row.
fn in_docs() -> BTreeSet<String> {
    let docs = read("docs/ERRORS.md");
    let rows = docs.lines().skip_while(|line| !line.starts_with("| code | reason |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let reasons: Vec<_> = rows.map(|row| row.split('|').nth(2).unwrap().trim().to_owned()).collect();
    let distinct: BTreeSet<_> = reasons.iter().cloned().collect();
    assert_eq!(distinct.len(), reasons.len(), "a reason is in two rows of docs/ERRORS.md");
    distinct
}

#[test]
fn every_reason_is_documented_and_every_documented_reason_is_in_the_code() {
    let (code, docs) = (in_code(), in_docs());
    assert!(code.len() > 30, "{code:?}");
    assert_eq!(code.difference(&docs).collect::<Vec<_>>(), Vec::<&String>::new(), "not in docs/ERRORS.md");
    assert_eq!(docs.difference(&code).collect::<Vec<_>>(), Vec::<&String>::new(), "only in docs/ERRORS.md");
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn statuses_with_reasons_are_made_in_two_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    sources(&root.join("src"), &mut found);
    // The command line writes failures of its own in the same form, with reasons of its own.
    let served = found.iter().filter(|path| !path.starts_with(root.join("src/cli")));
    let making = served.filter(|path| code(path).contains("with_error_details("));
    let making: BTreeSet<_> = making.map(|path| path.strip_prefix(root).unwrap().to_str().unwrap()).collect();
    assert_eq!(making, BTreeSet::from(STATUSES));
}
