//! Finds the body of a page.
//!
//! dom_smoothie, a port of Mozilla's Readability, does the search. It cannot tell whether a page has an article at all,
//! so that is decided here.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dom_query::Document as Tree;
use dom_smoothie::{Config, Readability, ReadabilityError};
use url::Url;

use super::head::PageMetadata;
use crate::ingest::{Guess, IngestError, markup};
use crate::model::{Block, BlockKind};

/// A page with more elements is rejected, because the search for the body would take too long. Real pages have from a
/// few hundred to about ten thousand.
const ELEMENTS_MAX: usize = 50_000;
/// A page with fewer words, and no body in JSON-LD, has no article.
const WORDS_MIN: usize = 8;
/// A page that asks for scripts or consent and has at most this many words has no other content.
const WORDS_OF_NOTICE_MAX: usize = 80;

/// A body, with the title and the byline that were found in the page's text.
#[derive(Debug, Default)]
pub(super) struct PageBody {
    pub(super) blocks: Vec<Block>,
    /// The title as printed on the page; empty if none was found.
    pub(super) title: String,
    /// The byline as printed on the page, with any date next to it.
    pub(super) byline: Option<String>,
}

/// Extracts the body. `tree` is consumed, because the body is cut out of it.
pub(super) fn read(
    tree: Tree,
    url: Option<&Url>,
    head: &PageMetadata,
    guesses: &mut Vec<Guess>,
) -> Result<PageBody, IngestError> {
    let config = Config { max_elements_to_parse: ELEMENTS_MAX, keep_classes: true, ..Config::default() };
    let find = || Readability::with_document(tree, url.map(Url::as_str), Some(config))?.parse();
    // dom_smoothie 0.19 panics when it slices some video addresses inside a character. A page must not end the process.
    let found = catch_unwind(AssertUnwindSafe(find)).map_err(|_| IngestError::Unreasonable {
        what: "the extraction of the text failed on its markup".to_owned(),
    })?;
    let mut body = match found {
        Ok(found) => PageBody { blocks: markup::blocks(&found.content, url), title: found.title, byline: found.byline },
        Err(ReadabilityError::TooManyElements(count, limit)) => {
            let what = format!("it has {count} elements; the limit is {limit}");
            return Err(IngestError::Unreasonable { what });
        }
        Err(ReadabilityError::GrabFailed | ReadabilityError::BadDocumentURL) => PageBody::default(),
    };
    let words = word_count(&body.blocks);
    if words < word_count(&head.data.body) / 2 {
        body.blocks.clone_from(&head.data.body);
        guesses.push(Guess::new("body", "taken from JSON-LD", format!("the page itself shows only {words} words")));
    } else if words < WORDS_MIN || is_notice(&body.blocks, words) {
        return Err(IngestError::NoArticle { reason: what_is_shown(&body.blocks, words) });
    }
    Ok(body)
}

fn word_count(blocks: &[Block]) -> usize {
    texts(blocks).map(|text| text.split_whitespace().count()).sum()
}

/// The texts that count as the body's words. Captions do not: they belong to pictures.
fn texts(blocks: &[Block]) -> impl Iterator<Item = &str> {
    let running = blocks.iter().filter(|block| !matches!(block.kind, BlockKind::Caption { .. }));
    running.flat_map(|block| block.kind.texts()).map(String::as_str)
}

fn text(blocks: &[Block]) -> String {
    texts(blocks).collect::<Vec<_>>().join(" ")
}

/// Whether the page only says that it needs scripts, consent or proof of a human reader before it shows more.
fn is_notice(blocks: &[Block], words: usize) -> bool {
    const NOTICES: [&str; 8] = [
        "enable javascript",
        "javascript is disabled",
        "requires javascript",
        "verify you are human",
        "checking your browser",
        "are you a robot",
        "accept cookies",
        "access denied",
    ];
    words <= WORDS_OF_NOTICE_MAX && {
        let text = text(blocks).to_lowercase();
        NOTICES.iter().any(|notice| text.contains(notice))
    }
}

/// What the page shows instead of an article, for an error message.
fn what_is_shown(blocks: &[Block], words: usize) -> String {
    match words {
        0 => "the page shows no text; perhaps its scripts would, but they are not run".to_owned(),
        _ => format!("the page shows only {}", crate::ingest::quoted(&text(blocks))),
    }
}
