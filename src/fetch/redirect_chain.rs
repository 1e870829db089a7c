//! The redirects from the requested URL to the page. Each target is checked before it is followed.

use http::StatusCode;
use url::Url;

use super::{FetchError, Redirect};

/// Maximum length of a Location header in an error, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// The redirects followed so far. Every URL in the chain may be fetched.
pub(super) struct RedirectChain {
    /// The requested URL, then the target of each redirect, all without fragments.
    visited: Vec<Url>,
    /// The last of `visited`.
    here: Url,
    redirects: Vec<Redirect>,
}

/// A chain that has reached the page.
pub(super) struct FinishedChain {
    pub(super) requested: Url,
    /// The URL of the page.
    pub(super) url: Url,
    pub(super) redirects: Vec<Redirect>,
}

impl RedirectChain {
    /// Starts at the requested URL; fails if that URL may not be fetched.
    pub(super) fn new(url: &Url) -> Result<Self, FetchError> {
        let mut url = url.clone();
        let problem = url_problem(&url);
        url.set_fragment(None);
        remove_credentials(&mut url);
        match problem {
            Some(reason) => Err(FetchError::NotHttp { url: url.to_string(), reason }),
            None => Ok(Self { visited: vec![url.clone()], here: url, redirects: Vec::new() }),
        }
    }

    /// The URL to request next.
    pub(super) fn here(&self) -> &Url {
        &self.here
    }

    /// Number of redirects followed so far.
    pub(super) fn redirects(&self) -> usize {
        self.redirects.len()
    }

    /// Follows a redirect. Rejects invalid targets, loops, and more than `limit` redirects.
    pub(super) fn follow(&mut self, status: StatusCode, location: &[u8], limit: usize) -> Result<(), FetchError> {
        let location = ascii(location);
        let invalid = |location: &str, reason| FetchError::RedirectInvalid {
            url: self.here.to_string(),
            location: location.chars().take(SHOWN_CHARS_MAX).collect(),
            reason,
        };
        if location.trim().is_empty() {
            return Err(invalid(&location, "the Location header is missing or empty"));
        }
        let joined = self.here.join(&location);
        let mut to = joined.map_err(|_| invalid(&location, "that is not a valid address"))?;
        if let Some(reason) = url_problem(&to) {
            if !has_credentials(&to) {
                return Err(invalid(&location, reason));
            }
            remove_credentials(&mut to);
            return Err(invalid(to.as_str(), reason));
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

    /// Ends the chain at the current URL, which answered with the page.
    pub(super) fn finish(mut self) -> FinishedChain {
        self.visited.truncate(1);
        let requested = self.visited.pop().unwrap_or_else(|| self.here.clone());
        FinishedChain { requested, url: self.here, redirects: self.redirects }
    }
}

/// Percent-encodes every byte of a Location header that is not ASCII. The request then has exactly the bytes that the
/// site means, whatever their charset.
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

/// Ports of other protocols. Without this list a URL could make us talk to a mail server, for example.
/// Source: <https://fetch.spec.whatwg.org/#port-blocking>.
const BAD_PORTS: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Removes the user name and password, which no message shows.
fn remove_credentials(url: &mut Url) {
    // Both fail only for URLs that cannot have them.
    let _ = url.set_password(None);
    let _ = url.set_username("");
}

/// Why a URL may not be fetched; `None` if it may. The address of the host is checked when the connection is made.
fn url_problem(url: &Url) -> Option<&'static str> {
    if !matches!(url.scheme(), "http" | "https") {
        return Some("only http and https addresses are fetched");
    }
    if has_credentials(url) {
        return Some("an address with a user name or password is not fetched; remove them");
    }
    if url.port().is_some_and(|port| BAD_PORTS.contains(&port)) {
        return Some("its port belongs to another protocol");
    }
    (!url.has_host()).then_some("it has no host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_other_protocols_are_rejected() {
        for (url, is_allowed) in [
            ("http://tidewater.example:22/", false),
            ("http://tidewater.example:0/", false),
            ("https://tidewater.example:4190/", false),
            ("https://tidewater.example:6679/", false),
            ("https://tidewater.example:6667/", false),
            ("http://tidewater.example:10080/", false),
            ("http://tidewater.example:8080/", true),
            ("https://tidewater.example/", true),
        ] {
            assert_eq!(RedirectChain::new(&Url::parse(url).unwrap()).is_ok(), is_allowed, "{url}");
        }
    }
}
