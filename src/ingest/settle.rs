//! What a document says that an archive would refuse is left out, so that the rest of it is kept.

use super::{Document, Guess, quoted};
use crate::model::url_key::untracked;
use crate::model::{Limits, UrlKey};

impl Document {
    /// Leaves out what is not an address, and notes each. The canonical one is kept without tracking parameters: it is part
    /// of the content, and another campaign is no other content.
    pub(super) fn settle(mut self) -> Self {
        let Self { content, urls, guesses, .. } = &mut self;
        if !content.canonical_url.is_empty() && !is_address(&content.canonical_url, guesses) {
            content.canonical_url.clear();
        }
        content.canonical_url = untracked(&content.canonical_url);
        urls.retain(|url| is_address(url, guesses));
        self
    }
}

/// Whether an article can be found by an address, as the archive judges it.
fn is_address(url: &str, guesses: &mut Vec<Guess>) -> bool {
    let bytes_max = Limits::default().url_bytes_max;
    let reason = match UrlKey::of(url) {
        Err(error) => error.to_string(),
        Ok(key) if url.len().max(key.as_str().len()) > bytes_max => format!("it has over {bytes_max} bytes"),
        Ok(_) => return true,
    };
    guesses.push(Guess::new("ignored", format!("the address {}", quoted(url)), reason));
    false
}
