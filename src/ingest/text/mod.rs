//! Reads a news page from its extracted text.
//!
//! ```text
//! TP                                     logo          ┐
//! The Tidewater Post                     masthead      │ each optional
//! Saturday, November 8, 2025             page date     ┘
//!
//! Headline
//!
//! Standfirst                             optional; needs a meta line after it, or no blank line before
//!
//! City · 2 months ago                    meta lines: section, times, byline, in any order; optional
//!
//! Paragraphs, captions, subheadings …
//! ```
//!
//! Blank lines and line breaks both separate paragraphs; hard-wrapped lines are joined. The masthead and the page's
//! date are never part of the content, so an article that is scraped again on another day has the same content.

mod body;
mod captions;
mod credit;
mod head;
mod meta;
mod segments;

use jiff::civil::Date;

use crate::model::{ClaimedTime, Content};

use super::{Document, Guess, IngestError, Options, times};
use head::PageTop;
use meta::Meta;

/// Reads a news page. Fails if the first line after the masthead is too long to be a headline.
pub(super) fn read(text: &str, options: &Options) -> Result<Document, IngestError> {
    let segments = segments::segments(text);
    let (head, rest) = head::split(&segments)?;
    let mut guesses = Vec::new();
    let (publication, page_date) = masthead(&head, &mut guesses);
    let reference = page_date.map(Reference::Page).or(options.reference_date.map(Reference::Caller));
    let Meta { bylines, section, published, modified, mut urls } = head.meta;
    let publish_time = published.and_then(|words| claim("publish time", &words, reference, None, &mut guesses));
    let published = publish_time.as_ref();
    let modify_time = modified.and_then(|words| claim("modify time", &words, reference, published, &mut guesses));
    let body = body::read(&head.leading, rest);
    guesses.extend(body.guesses);
    urls.extend(body.urls);
    let content = Content {
        headline: head.headline,
        standfirst: head.standfirst,
        bylines,
        section: section.unwrap_or_default(),
        publish_time,
        modify_time,
        rights: body.rights,
        blocks: body.blocks,
        ..Content::default()
    };
    Ok(Document { content, publication, page_date, urls, guesses, ..Document::default() })
}

/// The paragraphs of a text that is only a body, without a page header.
pub(super) fn paragraphs(body: &str) -> impl Iterator<Item = String> {
    segments::segments(body).into_iter().map(|segment| segment.text)
}

/// Caption and credit of a line that states a picture credit; `None` for any other line.
pub(super) fn credited(line: &str) -> Option<(String, String)> {
    credit::credited(line)
}

/// The day that relative times count from.
#[derive(Clone, Copy)]
enum Reference {
    /// The date printed on the page.
    Page(Date),
    /// The date that the caller states in [`Options`].
    Caller(Date),
}

/// The publication and the page's date. How the publication was recognised is noted as a guess.
fn masthead(head: &PageTop, guesses: &mut Vec<Guess>) -> (Option<String>, Option<Date>) {
    let publication = head.masthead.as_ref().map(|masthead| {
        guesses.push(Guess::new("publication", masthead.name.clone(), masthead.why));
        masthead.name.clone()
    });
    (publication, head.page_date)
}

/// Reads a claimed time. Anything that had to be guessed or was not understood is noted as a guess about `what`.
fn claim(
    what: &str,
    words: &str,
    reference: Option<Reference>,
    published: Option<&ClaimedTime>,
    guesses: &mut Vec<Guess>,
) -> Option<ClaimedTime> {
    let day = reference.map(|reference| match reference {
        Reference::Page(day) | Reference::Caller(day) => day,
    });
    let claim = times::claimed_change(words, day, published, "page header");
    match (&claim, reference) {
        (None, Some(_)) => guesses.push(Guess::new(what, "not read", format!("\"{words}\" is ambiguous"))),
        (None, None) => guesses.push(Guess::new(what, "not read", format!("\"{words}\" needs the date of the page"))),
        (Some(claim), Some(reference)) if claim.relative => {
            let day = match reference {
                Reference::Page(day) => format!("on a page dated {}", times::describe_date(day)),
                Reference::Caller(day) => format!("counted from {}", times::describe_date(day)),
            };
            guesses.push(Guess::new(what, times::describe(claim), format!("from \"{words}\" {day}")));
        }
        (Some(claim), None) if claim.relative => {
            let why = format!("from \"{words}\", the first since publication");
            guesses.push(Guess::new(what, times::describe(claim), why));
        }
        (Some(claim), _) if times::has_unplaced_clock(words) => {
            let why = format!("the time of day in \"{words}\" has no unambiguous zone");
            guesses.push(Guess::new(what, times::describe(claim), why));
        }
        (Some(_), _) => {}
    }
    claim
}

#[cfg(test)]
mod tests;
