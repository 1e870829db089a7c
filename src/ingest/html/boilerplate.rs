//! Drops page boilerplate, such as "Advertisement", from between the paragraphs of an article.

use std::collections::BTreeMap;

use crate::ingest::Guess;
use crate::ingest::words::{BOILERPLATE_TEXTS, PICTURE_LABELS, fold_text};
use crate::model::{Block, BlockKind};

/// The maximum length of a boilerplate text.
const TEXT_BYTES_MAX: usize = 80;

/// Returns the blocks without boilerplate, and notes what was left out among the guesses.
pub(super) fn without(blocks: Vec<Block>, guesses: &mut Vec<Guess>) -> Vec<Block> {
    let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<Block> = Vec::with_capacity(blocks.len());
    for block in blocks {
        let is_picture = matches!(block.kind, BlockKind::Caption { .. } | BlockKind::Embed { .. });
        if is_picture && let Some(above) = kept.pop_if(|above| says_one_of(above, &PICTURE_LABELS)) {
            note(&above, &mut left_out);
        }
        if says_one_of(&block, &BOILERPLATE_TEXTS) { note(&block, &mut left_out) } else { kept.push(block) }
    }
    for (text, count) in left_out {
        let times = if count == 1 { String::new() } else { format!(", {count} times") };
        guesses.push(Guess::new("left out", format!("{text:?}"), format!("page boilerplate{times}")));
    }
    kept
}

fn says_one_of(block: &Block, folded_texts: &[&str]) -> bool {
    let (BlockKind::Paragraph { text } | BlockKind::Subheading { text }) = &block.kind else { return false };
    text.len() <= TEXT_BYTES_MAX && folded_texts.contains(&fold_text(text).as_str())
}

fn note(block: &Block, left_out: &mut BTreeMap<String, usize>) {
    for text in block.kind.texts() {
        *left_out.entry(text.clone()).or_default() += 1;
    }
}
