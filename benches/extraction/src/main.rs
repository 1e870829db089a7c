//! How well Dateline finds the article in a page, compared with other extractors.
//!
//! `cargo run --release --manifest-path benches/extraction/Cargo.toml -- DIR`: each folder of DIR has a `source.html`,
//! an `expected.html` with the body, and an `expected-metadata.json` with `title` and `byline`, as the test pages of
//! mozilla/readability do. Prints a table in Markdown, and below it the pages with the worst scores.

mod reader;
mod score;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, panic, thread};

use dom_query::Document as Tree;

use reader::{READERS, Read};
use score::{contains, f1, same, text_of};

/// Far more stack than a page should need, so that only runaway recursion counts as a failure.
const STACK_BYTES: usize = 256 << 20;

struct Page {
    name: String,
    source: Vec<u8>,
    body: String,
    /// Captions that no paragraph repeats.
    captions: Vec<String>,
    title: String,
    byline: Option<String>,
}

/// The scores of one extractor over all pages.
#[derive(Default)]
struct Scores {
    f1: Vec<(f64, String)>,
    /// The same, but a standfirst that the page expects in the body counts as part of the body.
    f1_with_standfirst: Vec<f64>,
    failed: Vec<String>,
    titles: usize,
    bylines: usize,
    bylines_expected: usize,
    /// Captions that were found inside a paragraph.
    misplaced_captions: Vec<String>,
    took: Vec<Duration>,
}

fn main() {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: extraction DIR");
        std::process::exit(2);
    };
    // Panics are counted as failures; their messages would only clutter the output.
    panic::set_hook(Box::new(|_| {}));
    let pages = pages(&folder);
    println!(
        "| {} pages | word F1, mean | with standfirst | median | below 0.8 | failed | headline right | byline right | captions in a paragraph | ms a page |",
        pages.len()
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let scores: Vec<_> = READERS.iter().map(|(name, read)| (name, score(&pages, *read))).collect();
    scores.iter().for_each(|(name, scores)| print(name, scores, pages.len()));
    for (name, scores) in &scores {
        let mut worst = scores.f1.clone();
        worst.sort_by(|one, other| one.0.total_cmp(&other.0));
        let worst: Vec<_> = worst.iter().take(8).map(|(f1, page)| format!("{page} {f1:.2}")).collect();
        println!(
            "\n{name}: {}; failed: {:?}; captions: {:?}",
            worst.join(", "),
            scores.failed,
            scores.misplaced_captions
        );
    }
}

fn pages(folder: &Path) -> Vec<Page> {
    let mut folders: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("source.html").exists());
    folders.sort();
    folders.iter().map(|folder| page(folder)).collect()
}

fn page(folder: &Path) -> Page {
    let expected = Tree::from(fs::read_to_string(folder.join("expected.html")).unwrap());
    let metadata = fs::read_to_string(folder.join("expected-metadata.json")).unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let paragraphs: Vec<_> = expected.select("p").nodes().iter().map(text_of).collect();
    let captions = expected.select("figcaption");
    let captions = captions.nodes().iter().map(text_of);
    let captions = captions.filter(|caption| !paragraphs.iter().any(|paragraph| contains_whole(paragraph, caption)));
    Page {
        name: folder.file_name().unwrap().to_string_lossy().into_owned(),
        source: fs::read(folder.join("source.html")).unwrap(),
        body: text_of(&expected.root()),
        captions: captions.collect(),
        title: metadata["title"].as_str().unwrap_or_default().to_owned(),
        byline: metadata["byline"].as_str().map(str::to_owned),
    }
}

fn score(pages: &[Page], read: Read) -> Scores {
    let mut scores = Scores::default();
    for page in pages {
        let begun = Instant::now();
        let reading = thread::scope(|scope| {
            let reading = || panic::catch_unwind(|| read(&page.source)).ok().flatten();
            thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, reading).unwrap().join().unwrap()
        });
        scores.took.push(begun.elapsed());
        let found = reading.unwrap_or_else(|| {
            scores.failed.push(page.name.clone());
            Default::default()
        });
        let alone = f1(&found.body, &page.body);
        let with_standfirst = f1(&format!("{} {}", found.standfirst, found.body), &page.body);
        scores.f1.push((alone, page.name.clone()));
        scores.f1_with_standfirst.push(alone.max(with_standfirst));
        scores.titles += usize::from(is_headline(&found.title, &page.title));
        if let Some(byline) = &page.byline {
            scores.bylines_expected += 1;
            scores.bylines += usize::from(contains(&found.byline, byline));
        }
        let within = |caption: &&String| found.paragraphs.iter().any(|paragraph| contains_whole(paragraph, caption));
        let misplaced = page.captions.iter().filter(within);
        scores.misplaced_captions.extend(misplaced.map(|caption| format!("{}: {caption:.60}", page.name)));
    }
    scores
}

/// Whether a headline is the expected title, or the title followed by the name of the site.
fn is_headline(found: &str, expected: &str) -> bool {
    let rest = expected.trim().strip_prefix(found.trim()).map(str::trim_start);
    same(found, expected)
        || !found.is_empty() && rest.is_some_and(|rest| rest.starts_with(['-', '–', '|', '·', '[', '_']))
}

/// Whether a paragraph contains the whole caption. A caption of a few words may occur in the text by chance.
fn contains_whole(paragraph: &str, caption: &str) -> bool {
    caption.split_whitespace().count() >= 4 && score::normal(paragraph).contains(&score::normal(caption))
}

fn print(name: &str, scores: &Scores, pages: usize) {
    let mut f1: Vec<f64> = scores.f1.iter().map(|(f1, _)| *f1).collect();
    f1.sort_by(f64::total_cmp);
    let share = |count: usize, of: usize| format!("{count} of {of}");
    println!(
        "| {name} | {:.3} | {:.3} | {:.3} | {} | {} | {} | {} | {} | {:.0} |",
        f1.iter().sum::<f64>() / f1.len() as f64,
        scores.f1_with_standfirst.iter().sum::<f64>() / f1.len() as f64,
        f1[f1.len() / 2],
        f1.iter().filter(|f1| **f1 < 0.8).count(),
        scores.failed.len(),
        share(scores.titles, pages),
        share(scores.bylines, scores.bylines_expected),
        scores.misplaced_captions.len(),
        scores.took.iter().sum::<Duration>().as_secs_f64() * 1e3 / pages as f64,
    );
}
