//! The way from the address that was asked for to the page: each redirect checked before it is followed.

use http::StatusCode;
use url::Url;

use super::{FetchError, Redirect};

/// How much of a location that leads nowhere is told.
const SHOWN_CHARS_MAX: usize = 200;

/// The way so far. It never holds an address that may not be asked for.
pub(super) struct Trail {
    /// The address asked for, without its fragment, and where each redirect led.
    visited: Vec<Url>,
    here: Url,
    redirects: Vec<Redirect>,
}

impl Trail {
    /// Begins at an address, if it is one to ask for.
    pub(super) fn new(url: &Url) -> Result<Self, FetchError> {
        let mut url = url.clone();
        let refused = refuse(&url);
        url.set_fragment(None);
        // Both only fail where there can be none.
        let _ = url.set_password(None);
        let _ = url.set_username("");
        match refused {
            Some(reason) => Err(FetchError::NotHttp { url: url.to_string(), reason }),
            None => Ok(Self { visited: vec![url.clone()], here: url, redirects: Vec::new() }),
        }
    }

    /// The address to ask next.
    pub(super) fn here(&self) -> &Url {
        &self.here
    }

    /// How many redirects were followed.
    pub(super) fn redirects(&self) -> usize {
        self.redirects.len()
    }

    /// Goes where a redirect says, unless that leads nowhere, to where it has been, or on and on.
    pub(super) fn follow(&mut self, status: StatusCode, location: &[u8], limit: usize) -> Result<(), FetchError> {
        let location = ascii(location);
        let invalid = |reason| FetchError::RedirectInvalid {
            url: self.here.to_string(),
            location: location.chars().take(SHOWN_CHARS_MAX).collect(),
            reason,
        };
        if location.trim().is_empty() {
            return Err(invalid("does not say where to"));
        }
        let mut to = self.here.join(&location).map_err(|_| invalid("that is no address"))?;
        if let Some(reason) = refuse(&to) {
            return Err(invalid(reason));
        }
        to.set_fragment(None);
        let looped = self.visited.contains(&to);
        self.visited.push(to.clone());
        let requested = self.visited.first().unwrap_or(&self.here).to_string();
        if looped {
            return Err(FetchError::RedirectLoop { requested, hops: std::mem::take(&mut self.visited) });
        }
        if self.redirects.len() >= limit {
            return Err(FetchError::TooManyRedirects { requested, limit, hops: std::mem::take(&mut self.visited) });
        }
        let from = std::mem::replace(&mut self.here, to.clone());
        self.redirects.push(Redirect { from, to, status });
        Ok(())
    }

    /// The address that was asked for, the one that it led to, and how.
    pub(super) fn end(mut self) -> (Url, Url, Vec<Redirect>) {
        self.visited.truncate(1);
        (self.visited.pop().unwrap_or_else(|| self.here.clone()), self.here, self.redirects)
    }
}

/// A location with every byte that isn't ASCII percent-encoded, which asks for the very bytes that the site means,
/// whatever charset they are in.
fn ascii(location: &[u8]) -> String {
    location.iter().fold(String::with_capacity(location.len()), |mut text, byte| {
        if byte.is_ascii() {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

/// Why an address is not asked for, if it isn't. What its host is, is checked when it is connected to.
fn refuse(url: &Url) -> Option<&'static str> {
    if !matches!(url.scheme(), "http" | "https") {
        return Some("only http and https addresses are fetched");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("an address with a user name or a password is not fetched; leave them out");
    }
    (!url.has_host()).then_some("it has no host")
}
