//! Reads Markdown (CommonMark with tables and footnotes) with YAML or TOML front matter.
//!
//! The headline comes from the front matter or else from the first heading. Inline markup becomes plain text, and a
//! picture becomes a caption. Blocks have no confidence, since the markup states their kinds; correction notes are the
//! exception.

mod blocks;
mod fields;
mod front;
mod tags;
mod value;

use crate::model::BlockKind;

use super::{Document, Guess, IngestError, Options, quoted};
use blocks::{MarkdownBody, Piece};

/// Reads a Markdown document. Fails if it has no headline and `options.untitled` gives none.
pub(super) fn read(text: &str, options: &Options) -> Result<Document, IngestError> {
    let untitled = options.untitled.as_deref().filter(|name| !name.trim().is_empty());
    let (mut document, body) = match (front::split(text), untitled) {
        (Err(error), Some(name)) => (untitled_document(name, &error), text),
        (split, _) => split.map(|(front, body)| (fields::read(front, options), body))?,
    };
    let MarkdownBody { mut pieces, tags } = blocks::read(body);
    if document.content.headline.is_empty() {
        take_headline(&mut pieces, &mut document);
    } else {
        drop_repeated_headline(&mut pieces, &document.content.headline);
    }
    if document.content.headline.is_empty() {
        let name = untitled.ok_or_else(|| no_headline(text))?;
        document.guesses.push(Guess::new("headline", quoted(name), "the document has none"));
        document.content.headline = name.to_owned();
    }
    if !tags.is_empty() {
        let tags = tags.into_iter().map(|tag| format!("<{tag}>")).collect::<Vec<_>>().join(" ");
        document.guesses.push(Guess::new("ignored", tags, "only the text of HTML in Markdown is kept"));
    }
    document.content.blocks = pieces.into_iter().map(|piece| piece.block).collect();
    Ok(document)
}

/// A document whose front matter is unreadable, with a name in place of the headline. The front matter counts as text.
fn untitled_document(name: &str, error: &IngestError) -> Document {
    let mut document = Document::default();
    document.content.headline = name.to_owned();
    document.guesses.push(Guess::new("headline", quoted(name), error.to_string()));
    document
}

fn no_headline(text: &str) -> IngestError {
    let front = text.trim_start().starts_with(['-', '+']);
    let reason = if front { "the front matter has no title" } else { "no front matter and no `# heading`" };
    IngestError::NoHeadline { reason: format!("{reason}; add `title: …` between two lines of `---` at the top") }
}

/// Takes the first top-level heading as the headline, or else a lower-level heading at the start of the body.
fn take_headline(pieces: &mut Vec<Piece>, document: &mut Document) {
    let top = pieces.iter().position(|piece| piece.heading_level == Some(1));
    let first = pieces.first().is_some_and(|piece| piece.heading_level.is_some()).then_some(0);
    let Some(at) = top.or(first) else { return };
    if let BlockKind::Subheading { text } = pieces.remove(at).block.kind {
        if top.is_none() {
            let why = "the first heading, since there is no top-level one";
            document.guesses.push(Guess::new("headline", quoted(&text), why));
        }
        document.content.headline = text;
    }
}

/// Drops a top-level heading at the start of the body that repeats the front matter's headline.
fn drop_repeated_headline(pieces: &mut Vec<Piece>, headline: &str) {
    let repeats = |piece: &Piece| {
        let BlockKind::Subheading { text } = &piece.block.kind else { return false };
        piece.heading_level == Some(1) && text == headline
    };
    if pieces.first().is_some_and(repeats) {
        pieces.remove(0);
    }
}

#[cfg(test)]
mod tests;
