//! Removes addresses that the archive would reject, so that the rest of the document can be archived.

use super::{Document, Guess, quoted};
use crate::model::url_key::untracked;
use crate::model::{Limits, UrlKey};

impl Document {
    /// Removes every URL that is not a valid address of an article, with a note among the guesses. Tracking parameters
    /// are removed from the canonical URL, which is part of the content: a link from another campaign must not make
    /// different content.
    pub(super) fn sanitize(mut self) -> Self {
        let Self { content, urls, guesses, .. } = &mut self;
        if !content.canonical_url.is_empty() && !is_address(&content.canonical_url, guesses) {
            content.canonical_url.clear();
        }
        content.canonical_url = untracked(&content.canonical_url);
        urls.retain(|url| is_address(url, guesses));
        self
    }
}

/// Whether the archive accepts the URL as an address of an article. If not, the reason is noted.
fn is_address(url: &str, guesses: &mut Vec<Guess>) -> bool {
    let bytes_max = Limits::default().url_bytes_max;
    let reason = match UrlKey::of(url) {
        Err(error) => error.to_string(),
        Ok(key) if url.len().max(key.as_str().len()) > bytes_max => format!("it is longer than {bytes_max} bytes"),
        Ok(_) => return true,
    };
    guesses.push(Guess::new("ignored", format!("the address {}", quoted(url)), reason));
    false
}
