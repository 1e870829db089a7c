//! Turns pictures into captions: those associated with an item, and an item that is itself a picture.

use std::collections::HashMap;

use serde_json::Value;

use crate::model::{Block, BlockKind};

use super::super::{Guess, is_absolute_url};
use super::item::NinjsObject;
use super::texts;

/// Appends the captions of an item's pictures to the item's body. A caption that the body already has is not repeated;
/// the picture only supplies the URL or credit that the caption in the body lacks.
pub(super) fn add(item: NinjsObject<'_>, blocks: &mut Vec<Block>, guesses: &mut Vec<Guess>) {
    let mut placed: HashMap<String, usize> = HashMap::new();
    for (at, block) in blocks.iter().enumerate() {
        if let BlockKind::Caption { text, .. } = &block.kind {
            placed.entry(text.clone()).or_insert(at);
        }
    }
    let itself = is_picture(&item.kind()).then_some(item);
    let mut others: Vec<String> = Vec::new();
    for associated in item.objects(&["associations"]) {
        let kind = associated.kind();
        if is_picture(&kind) {
            place(caption(associated), blocks, &mut placed);
        } else if !others.contains(&kind) && others.len() < 10 {
            others.push(kind);
        }
    }
    itself.into_iter().for_each(|item| place(caption(item), blocks, &mut placed));
    if !others.is_empty() {
        let kinds = others.iter().map(|kind| if kind.is_empty() { "no type" } else { kind }).collect::<Vec<_>>();
        guesses.push(Guess::new("ignored", format!("associations of {}", kinds.join(", ")), "only pictures are kept"));
    }
}

fn is_picture(kind: &str) -> bool {
    matches!(kind, "picture" | "graphic")
}

/// The caption, URL and credit of a picture, in this order; `None` if it has neither caption nor credit.
fn caption(picture: NinjsObject<'_>) -> Option<[String; 3]> {
    let (caption, credit) = texts::caption(picture);
    let by = picture.text(&["by", "byline", "copyrightHolder", "copyrightNotice"]);
    let credit = if credit.is_empty() { by } else { credit };
    (!(caption.is_empty() && credit.is_empty())).then(|| [caption, rendition(picture), credit])
}

/// Appends a caption, or completes the caption with the same text that the body already has.
fn place(caption: Option<[String; 3]>, blocks: &mut Vec<Block>, placed: &mut HashMap<String, usize>) {
    let Some([text, url, credit]) = caption else { return };
    let existing = placed.get(&text).filter(|_| !text.is_empty()).and_then(|at| blocks.get_mut(*at));
    let Some(Block { kind: BlockKind::Caption { image_url: own_url, credit: own_credit, .. }, .. }) = existing else {
        placed.entry(text.clone()).or_insert(blocks.len());
        return blocks.push(BlockKind::Caption { text, image_url: url, credit }.into());
    };
    if own_url.is_empty() {
        *own_url = url;
    }
    if own_credit.is_empty() {
        *own_credit = credit;
    }
}

/// The URL of the widest rendition that is an image; empty if there is none.
fn rendition(picture: NinjsObject<'_>) -> String {
    let renditions = picture.objects(&["renditions"]).into_iter().filter_map(|rendition| {
        let kind = rendition.text(&["contentType", "mimetype"]);
        let href = rendition.raw_text("href").filter(|href| is_absolute_url(href))?;
        let is_picture = kind.is_empty() || kind.starts_with("image/");
        is_picture.then(|| (rendition.value("width").and_then(Value::as_u64).unwrap_or(0), href))
    });
    renditions.max_by_key(|(width, _)| *width).map(|(_, href)| href.to_owned()).unwrap_or_default()
}
