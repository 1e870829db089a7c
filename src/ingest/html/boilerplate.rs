//! Drops page boilerplate, such as "Advertisement", from between the paragraphs of an article.

use std::collections::BTreeMap;

use super::normal;
use crate::ingest::Guess;
use crate::model::{Block, BlockKind};

/// The whole text of a boilerplate block, reduced to its letters and digits in lower case. None of these could be a
/// sentence of an article.
const SIGNS: [&str; 34] = [
    "advertisement",
    "advertisementcontinuereadingthemainstory",
    "advertisementscrolltocontinue",
    "advertising",
    "anuncio",
    "anzeige",
    "articlecontinuesafterad",
    "articlecontinuesafteradvertisement",
    "articlecontinuesbelow",
    "backtotop",
    "clickheretosubscribe",
    "continuereadingthemainstory",
    "copylink",
    "gotocomments",
    "playvideo",
    "publicidad",
    "publicidade",
    "publicité",
    "reklama",
    "reusecontent",
    "scrolltocontinue",
    "sharethis",
    "sharethisarticle",
    "sharethisstory",
    "signupforournewsletter",
    "signuptoournewsletter",
    "skipadvertisement",
    "skiptocontent",
    "skiptomaincontent",
    "sponsored",
    "storycontinuesbelow",
    "storycontinuesbelowadvertisement",
    "viewphoto",
    "werbung",
];

/// Labels that pages print above a picture or video, for readers who cannot see it.
const KINDS: [&str; 7] = ["photo", "image", "video", "foto", "bild", "play", "slideshow"];

/// Drops boilerplate blocks and records them as guesses.
pub(super) fn without(blocks: Vec<Block>, guesses: &mut Vec<Guess>) -> Vec<Block> {
    let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<Block> = Vec::with_capacity(blocks.len());
    for block in blocks {
        let is_picture = matches!(block.kind, BlockKind::Caption { .. } | BlockKind::Embed { .. });
        if is_picture && let Some(above) = kept.pop_if(|above| says_one_of(above, &KINDS)) {
            note(&above, &mut left_out);
        }
        if says_one_of(&block, &SIGNS) { note(&block, &mut left_out) } else { kept.push(block) }
    }
    for (text, count) in left_out {
        let times = if count == 1 { String::new() } else { format!(", {count} times") };
        guesses.push(Guess::new("left out", format!("{text:?}"), format!("page boilerplate{times}")));
    }
    kept
}

fn says_one_of(block: &Block, signs: &[&str]) -> bool {
    let (BlockKind::Paragraph { text } | BlockKind::Subheading { text }) = &block.kind else { return false };
    text.len() <= 80 && signs.contains(&normal(text).as_str())
}

fn note(block: &Block, left_out: &mut BTreeMap<String, usize>) {
    for text in block.kind.texts() {
        *left_out.entry(text.clone()).or_default() += 1;
    }
}
