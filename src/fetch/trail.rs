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

/// Ports of other protocols, where a page's address could make us say something to a mail server or the like.
/// Source: <https://fetch.spec.whatwg.org/#port-blocking>.
const BAD_PORTS: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// Why an address is not asked for, if it isn't. What its host is, is checked when it is connected to.
fn refuse(url: &Url) -> Option<&'static str> {
    if !matches!(url.scheme(), "http" | "https") {
        return Some("only http and https addresses are fetched");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("an address with a user name or a password is not fetched; leave them out");
    }
    if url.port().is_some_and(|port| BAD_PORTS.contains(&port)) {
        return Some("its port is that of another protocol, and is not asked for pages");
    }
    (!url.has_host()).then_some("it has no host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_other_protocols_are_not_asked() {
        for (url, is_asked) in [
            ("http://tidewater.example:22/", false),
            ("http://tidewater.example:0/", false),
            ("https://tidewater.example:4190/", false),
            ("https://tidewater.example:6679/", false),
            ("https://tidewater.example:6667/", false),
            ("http://tidewater.example:10080/", false),
            ("http://tidewater.example:8080/", true),
            ("https://tidewater.example/", true),
        ] {
            assert_eq!(Trail::new(&Url::parse(url).unwrap()).is_ok(), is_asked, "{url}");
        }
    }
}
