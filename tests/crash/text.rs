//! Contents and originals that follow from small numbers, so that what was asked for can be told in a few bytes and
//! made again.

use std::fmt::Write;

use dateline::model::{Block, BlockKind, Content, Original};
use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// What an article says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Text {
    /// Tells it from other texts.
    pub(crate) version: u64,
    /// How long it is, roughly.
    pub(crate) kilobytes: u32,
}

impl Text {
    /// The content. The texts share most of their words, as revisions do; what makes a long one long does not compress.
    pub(crate) fn content(self) -> Content {
        let Self { version, kilobytes } = self;
        let mut dice = Dice::new(version);
        let paragraph = |text: String| Block::from(BlockKind::Paragraph { text });
        let mut blocks = vec![
            paragraph(format!("The flood took {} lives, the ministry said.", dice.below(300))),
            paragraph("Schools stay shut. The river is expected to fall on Thursday.".to_owned()),
            paragraph(format!("Of the {} bridges, {} are open.", dice.below(20), dice.below(9))),
        ];
        blocks.extend((0..kilobytes).map(|_| paragraph(words(&mut dice, 1024))));
        Content {
            headline: format!("Flood, version {version}"),
            section: ["World", "Home"][usize::from(dice.percent(50))].to_owned(),
            language: "en".to_owned(),
            labels: vec!["flood".to_owned(); usize::from(dice.percent(50))],
            blocks,
            ..Content::default()
        }
    }

    /// The bytes of a page that says so.
    pub(crate) fn original(self) -> Original {
        let mut dice = Dice::nth(self.version, 1);
        let page = format!("<html>{}</html>", words(&mut dice, 64 + 1024 * usize::try_from(self.kilobytes).unwrap()));
        Original { media_type: "text/html".to_owned(), data: page.into() }
    }
}

fn words(dice: &mut Dice, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        write!(text, "{:x} ", dice.next()).unwrap();
    }
    text
}
