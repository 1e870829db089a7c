//! The body of a page: where it is, and what of it is not the body.
//!
//! dom_smoothie finds it, as Mozilla's Readability does. It cannot tell that there is none, so that is judged here.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dom_query::Document as Tree;
use dom_smoothie::{Config, Readability, ReadabilityError};
use url::Url;

use super::head::Head;
use crate::ingest::{Guess, IngestError, markup};
use crate::model::{Block, BlockKind};

/// A page with more elements is refused, since looking for the body takes long. Pages have hundreds to some ten thousand.
const ELEMENTS_MAX: usize = 50_000;
/// With fewer words, and none in JSON-LD, there is no article.
const WORDS_MIN: usize = 8;
/// With fewer words, a page that asks for scripts or consent has nothing else to say.
const WORDS_OF_NOTICE_MAX: usize = 80;

/// A body, and what was found with it.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) blocks: Vec<Block>,
    /// The title and the authors as they stand in the page's text.
    pub(super) title: String,
    pub(super) byline: Option<String>,
}

/// Finds it. `tree` is used up, since the body is cut out of it.
pub(super) fn read(tree: Tree, url: Option<&Url>, head: &Head, guesses: &mut Vec<Guess>) -> Result<Body, IngestError> {
    let config = Config { max_elements_to_parse: ELEMENTS_MAX, keep_classes: true, ..Config::default() };
    let find = || Readability::with_document(tree, url.map(Url::as_str), Some(config))?.parse();
    // dom_smoothie 0.19 cuts some addresses of films amid a character, and a page could end the process by that.
    let found = catch_unwind(AssertUnwindSafe(find)).map_err(|_| IngestError::Unreasonable {
        what: "its markup is more than the extraction of the text can take".to_owned(),
    })?;
    let mut body = match found {
        Ok(found) => Body { blocks: markup::blocks(&found.content, url), title: found.title, byline: found.byline },
        Err(ReadabilityError::TooManyElements(found, most)) => {
            let what = format!("it has {found} elements, and at most {most} are looked through");
            return Err(IngestError::Unreasonable { what });
        }
        Err(ReadabilityError::GrabFailed | ReadabilityError::BadDocumentURL) => Body::default(),
    };
    let words = words(&body.blocks);
    if words < self::words(&head.data.body) / 2 {
        body.blocks.clone_from(&head.data.body);
        guesses.push(Guess::new("body", "that of the JSON-LD", format!("the page itself shows {words} words")));
    } else if words < WORDS_MIN || is_notice(&body.blocks, words) {
        return Err(IngestError::NoArticle { reason: shown(&body.blocks, words) });
    }
    Ok(body)
}

fn words(blocks: &[Block]) -> usize {
    texts(blocks).map(|text| text.split_whitespace().count()).sum()
}

/// What is read of a body; a caption is of a picture.
fn texts(blocks: &[Block]) -> impl Iterator<Item = &str> {
    let read = blocks.iter().filter(|block| !matches!(block.kind, BlockKind::Caption { .. }));
    read.flat_map(|block| block.kind.texts()).map(String::as_str)
}

fn text(blocks: &[Block]) -> String {
    texts(blocks).collect::<Vec<_>>().join(" ")
}

/// Whether all that the page says is that it needs something else to say more.
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

fn shown(blocks: &[Block], words: usize) -> String {
    match words {
        0 => "the page shows no text; it may be made by scripts, which are not run".to_owned(),
        _ => format!("all that the page shows is {}", crate::ingest::quoted(&text(blocks))),
    }
}
