//! Self-contained HTML pages: one shows a revision, the other compares two.
//!
//! A page has no scripts and loads nothing, so pictures are links; its content security policy enforces this. The
//! templates escape all text, and only http and https URLs become links. The parts of a page (`parts.rs`) are also those of
//! the web pages.

mod compare;
mod facts;
mod language;
pub(crate) mod parts;

use askama::Template;

pub use self::compare::compare;
use self::facts::Facts;
use self::parts::{Text, Tongue, When, named, verbatim};
use super::Item;

#[derive(Template)]
#[template(path = "document.html")]
struct Document {
    title: String,
    withdrawn: Option<Withdrawn>,
    tongue: Tongue,
    text: Text,
    facts: Facts,
}

/// That an article was withdrawn.
struct Withdrawn {
    since: Option<When>,
    reason: Option<String>,
}

/// Writes the page that shows a revision.
pub fn revision(item: &Item) -> String {
    let withdrawn = item.withdrawn.as_ref().map(|withdrawn| Withdrawn {
        since: withdrawn.since.map(When::exact),
        reason: Some(named(&withdrawn.reason)).filter(|reason| !reason.is_empty()),
    });
    written(&Document {
        title: item.content.headline.clone(),
        withdrawn,
        tongue: Tongue::of(&item.content.language),
        text: Text::of(&item.content, verbatim),
        facts: Facts::of(item, "About this copy"),
    })
}

/// The page. Writing to a string cannot fail, and no template of ours does.
fn written(page: &impl Template) -> String {
    let page = page.render();
    debug_assert!(page.is_ok(), "{page:?}");
    page.unwrap_or_default() + "\n"
}
