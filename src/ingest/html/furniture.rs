//! Signs that stand in a page between the paragraphs of its article and belong to the page.

use std::collections::BTreeMap;

use super::normal;
use crate::ingest::Guess;
use crate::model::{Block, BlockKind};

/// All that such a block says, as letters and digits. Nothing that could be a sentence of an article is among them.
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

/// What may stand above a picture or film, for those who cannot see it.
const KINDS: [&str; 7] = ["photo", "image", "video", "foto", "bild", "play", "slideshow"];

/// The blocks without those that are nothing but a sign. Which ones is told.
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
        guesses.push(Guess::new("left out", format!("{text:?}"), format!("a sign of the page{times}")));
    }
    kept
}

fn says_one_of(block: &Block, signs: &[&str]) -> bool {
    let (BlockKind::Paragraph { text } | BlockKind::Crosshead { text }) = &block.kind else { return false };
    text.len() <= 80 && signs.contains(&normal(text).as_str())
}

fn note(block: &Block, left_out: &mut BTreeMap<String, usize>) {
    for text in block.kind.texts() {
        *left_out.entry(text.clone()).or_default() += 1;
    }
}
