//! Whole pages of invented publications, in tests/fixtures/pages, each next to everything that is read from it.
//!
//! `UPDATE_PAGES=1` writes what is read now; review the difference.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use dateline::internals::ingest::{self, Document, Format, Options, times};
use dateline::model::{BlockKind, ClaimedTime};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pages")
}

#[test]
fn pages_are_read_as_recorded() {
    let mut pages: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "html"));
    pages.sort();
    assert!(pages.len() >= 11, "{pages:?}");
    let differing: Vec<String> = pages.iter().filter_map(|page| difference(page)).collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// How the document read from a page differs from the recorded one, if it does.
fn difference(page: &Path) -> Option<String> {
    let name = page.file_stem().unwrap().to_str().unwrap();
    let url = format!("https://news.example/{name}").parse().unwrap();
    let options = Options { format: Some(Format::Html), url: Some(url), ..Options::default() };
    let read = match ingest::read(&fs::read(page).unwrap(), &options) {
        Ok(document) => told(&document),
        Err(error) => format!("refused: {error}\n"),
    };
    let expected = page.with_extension("txt");
    if env::var_os("UPDATE_PAGES").is_some() {
        fs::write(&expected, read).unwrap();
        return None;
    }
    let expected = fs::read_to_string(&expected).unwrap_or_default();
    (read != expected).then(|| format!("{name} was\n{expected}\nand is\n{read}"))
}

/// All of a document, with one line per part.
fn told(document: &Document) -> String {
    let content = &document.content;
    let time = |claim: &Option<ClaimedTime>| claim.as_ref().map(times::describe).unwrap_or_default();
    let mut text = String::new();
    for (name, value) in [
        ("publication", document.publication.clone().unwrap_or_default()),
        ("headline", content.headline.clone()),
        ("standfirst", content.standfirst.clone()),
        ("bylines", content.bylines.join("; ")),
        ("section", content.section.clone()),
        ("language", content.language.clone()),
        ("canonical URL", content.canonical_url.clone()),
        ("published", time(&content.publish_time)),
        ("modified", time(&content.modify_time)),
        ("keywords", content.keywords.join("; ")),
        ("rights", content.rights.clone()),
    ] {
        if !value.is_empty() {
            writeln!(text, "{name}: {value}").unwrap();
        }
    }
    for block in &content.blocks {
        writeln!(text, "\n{}", block_told(&block.kind)).unwrap();
    }
    text.push('\n');
    for guess in &document.guesses {
        writeln!(text, "guessed {guess}").unwrap();
    }
    text
}

fn block_told(kind: &BlockKind) -> String {
    match kind {
        BlockKind::Paragraph { text } => format!("paragraph: {text}"),
        BlockKind::Subheading { text } => format!("subheading: {text}"),
        BlockKind::Caption { text, image_url, credit } => {
            format!("caption: {text}\n  picture: {image_url}\n  credit: {credit}")
        }
        BlockKind::Quote { text, attribution } => format!("quote: {text}\n  of: {attribution}"),
        BlockKind::List { items, ordered } => {
            let items: Vec<String> = items.iter().map(|item| format!("\n  item: {item}")).collect();
            format!("{} list:{}", if *ordered { "ordered" } else { "unordered" }, items.concat())
        }
        BlockKind::Embed { url, text } => format!("embed: {url}\n  text: {text}"),
        BlockKind::CorrectionNote { text } => format!("correction note: {text}"),
    }
}
