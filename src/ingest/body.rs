//! Splits a body that a document states as one text, with or without markup, into blocks.

use crate::model::{Block, BlockKind};

use super::{is_correction, markup, text};

/// The blocks of a body: split by markup if there is any, or else by lines.
pub(super) fn blocks(body: &str) -> Vec<Block> {
    if markup::is_markup(body) {
        return markup::blocks(body, None);
    }
    if is_escaped_markup(body) {
        return markup::blocks(&markup::unescape(body), None);
    }
    plain(body)
}

/// The blocks of a body without markup: a paragraph or correction note for each line. Hard-wrapped lines are joined.
pub(super) fn plain(body: &str) -> Vec<Block> {
    let body = markup::unescape(body).replace("\r\n", "\n").replace('\r', "\n");
    let block = |text: String| match is_correction(&text) {
        true => Block { kind: BlockKind::CorrectionNote { text }, confidence_percent: Some(95) },
        false => BlockKind::Paragraph { text }.into(),
    };
    text::paragraphs(&body).map(block).collect()
}

/// Whether the whole body is markup that was escaped one time too many.
fn is_escaped_markup(body: &str) -> bool {
    let body = body.trim_start();
    ["&lt;p&gt;", "&lt;p ", "&lt;div"].iter().any(|start| body.starts_with(start)) && body.contains("&lt;/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_split_by_markup_or_else_by_lines() {
        let kinds = |body: &str| blocks(body).into_iter().map(|block| block.kind).collect::<Vec<_>>();
        let paragraph = |text: &str| BlockKind::Paragraph { text: text.to_owned() };
        for body in [
            "One &amp; two.\n\nThree.",
            "One &amp; two.\r\nThree.\r\n",
            "<p>One &amp; two.</p><p>Three.</p>",
            "&lt;p&gt;One &amp;amp; two.&lt;/p&gt;&lt;p&gt;Three.&lt;/p&gt;",
            "One &amp; two.<br><br>Three.",
        ] {
            assert_eq!(kinds(body), [paragraph("One & two."), paragraph("Three.")], "{body:?}");
        }
        assert_eq!(kinds(" \n "), []);
        assert!(matches!(kinds("Correction: it was Monday.").as_slice(), [BlockKind::CorrectionNote { .. }]));
    }
}
