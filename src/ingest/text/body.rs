//! Reads the body of a page. Each segment becomes a block, with a confidence in percent. List items in a row become one
//! block.

use crate::model::{Block, BlockKind};

use super::super::{Guess, is_absolute_url, is_correction, quoted};
use super::captions::{self, ShortLine};
use super::credit;
use super::head::ends_sentence;
use super::segments::{TextSegment, list_item};

/// The body of a page.
#[derive(Clone, Debug, Default)]
pub(super) struct TextBody {
    pub(super) blocks: Vec<Block>,
    /// The copyright line at the end; empty if there is none.
    pub(super) rights: String,
    /// URLs on lines of their own at the end.
    pub(super) urls: Vec<String>,
    pub(super) guesses: Vec<Guess>,
}

/// Reads the body: first `leading`, the segments above the last meta line that belong to the body, then `rest`.
pub(super) fn read(leading: &[TextSegment], rest: &[TextSegment]) -> TextBody {
    let mut segments: Vec<TextSegment> = leading.iter().chain(rest).cloned().collect();
    let mut body = TextBody::default();
    take_footer(&mut segments, &mut body);
    let mut at = 0;
    while let Some(segment) = segments.get(at) {
        let items = list(segments.get(at..).unwrap_or_default());
        if let Some(list) = items.list {
            body.push(list, 95, None);
        } else {
            body.read_segment(segment, &segments, at);
        }
        at += items.segments.max(1);
    }
    body
}

/// Moves the copyright line and lines with only a URL from the end of `segments` to `body`.
fn take_footer(segments: &mut Vec<TextSegment>, body: &mut TextBody) {
    while let Some(last) = segments.pop() {
        if is_rights(&last.text) && body.rights.is_empty() {
            body.rights = last.text;
        } else if is_absolute_url(&last.text) {
            body.urls.push(last.text);
        } else {
            segments.push(last);
            break;
        }
    }
    body.urls.reverse();
}

fn is_rights(text: &str) -> bool {
    let has_sign = ["©", "(c) ", "Copyright "].iter().any(|sign| text.starts_with(sign));
    has_sign && text.split_whitespace().count() <= 30
}

/// What [`list`] found at the start of some segments.
struct Items {
    /// The list; `None` if there is none.
    list: Option<BlockKind>,
    /// The number of segments read: those of the list, or 1.
    segments: usize,
}

/// Reads the list at the start of `segments`, if there is one. A single item is not a list, since a line of dialogue
/// may start with a dash.
fn list(segments: &[TextSegment]) -> Items {
    let mut items = Vec::new();
    let mut ordered = false;
    for segment in segments {
        match list_item(&segment.text) {
            Some((item, numbered)) if items.is_empty() || numbered == ordered => {
                ordered = numbered;
                items.push(item.to_owned());
            }
            _ => break,
        }
    }
    let count = items.len();
    match count {
        0 | 1 => Items { list: None, segments: 1 },
        _ => Items { list: Some(BlockKind::List { items, ordered }), segments: count },
    }
}

impl TextBody {
    fn push(&mut self, kind: BlockKind, percent: u8, guess: Option<(&str, &str, &str)>) {
        self.blocks.push(Block { kind, confidence_percent: Some(percent) });
        if let Some((what, text, why)) = guess {
            let value = format!("block {} {}", self.blocks.len(), quoted(text));
            self.guesses.push(Guess::new(what, value, format!("{why}, {percent} %")));
        }
    }

    fn read_segment(&mut self, segment: &TextSegment, segments: &[TextSegment], at: usize) {
        let text = segment.text.clone();
        if is_correction(&text) {
            let kind = BlockKind::CorrectionNote { text: text.clone() };
            return self.push(kind, 95, Some(("correction note", &text, "its first words say so")));
        }
        if let Some((caption, credit)) = credit::credited(&text) {
            let kind = BlockKind::Caption { text: caption, image_url: String::new(), credit };
            return self.push(kind, 95, Some(("caption", &text, "has a picture credit")));
        }
        let Some(verdict) = captions::classify(segments, at) else {
            let percent = if ends_sentence(&text) { 99 } else { 80 };
            return self.push(BlockKind::Paragraph { text }, percent, None);
        };
        let (what, kind) = match verdict.kind {
            ShortLine::Caption => {
                let kind = BlockKind::Caption { text: text.clone(), image_url: String::new(), credit: String::new() };
                ("caption", kind)
            }
            ShortLine::Subheading => ("subheading", BlockKind::Subheading { text: text.clone() }),
        };
        self.push(kind, verdict.percent, Some((what, &text, &verdict.why)));
    }
}
