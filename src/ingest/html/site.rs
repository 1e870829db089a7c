//! Decides whether two addresses belong to the same site or to the same page.

use url::{Host, Url};

use crate::ingest::source_id;
use crate::model::UrlKey;

/// The source id of a site, from the first label of its registered domain: `example` for `news.example.co.uk`.
pub(in crate::ingest) fn source_of(url: &Url) -> Option<String> {
    match url.host()? {
        Host::Domain(host) => {
            let domain = psl::domain_str(host).unwrap_or(host);
            source_id(domain.split('.').next().unwrap_or(domain))
        }
        Host::Ipv4(_) | Host::Ipv6(_) => source_id(url.host_str()?),
    }
}

/// Whether two addresses have the same registered domain, or, if neither has one, the same host.
pub(super) fn is_same(one: &Url, other: &Url) -> bool {
    let registered = |url: &Url| match url.host() {
        Some(Host::Domain(host)) => psl::domain_str(host).map(str::to_owned),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => None,
    };
    match (registered(one), registered(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.host() == other.host(),
        _ => false,
    }
}

/// A last path segment with fewer bytes than this names a section or a page of a list, not an article.
const NAME_BYTES_MIN: usize = 12;

/// Whether two addresses are spellings of the same page's address. They may differ in the scheme, `www.`, tracking
/// parameters, a slash at the end of the path, and case. Sites move articles between sections, so it is enough that
/// their last path segments are the same and name an article.
pub(super) fn is_same_page(one: &Url, other: &Url) -> bool {
    let path = |url: &Url| url.path().trim_end_matches('/').to_ascii_lowercase();
    let query = |url: &Url| {
        let key = UrlKey::of(url.as_str()).ok()?;
        key.as_str().split_once('?').map(|(_, query)| query.to_owned())
    };
    let has_own_name = |path: &String| path.rsplit('/').next().is_some_and(names_article);
    let (one_path, other_path) = (path(one), path(other));
    let is_same_path = one_path == other_path
        || has_own_name(&one_path) && one_path.rsplit('/').next() == other_path.rsplit('/').next();
    is_same_path && is_same(one, other) && query(one) == query(other)
}

fn names_article(part: &str) -> bool {
    part.len() >= NAME_BYTES_MIN && part.contains(|c: char| c == '-' || c == '_' || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_site_is_a_registered_domain() {
        let same = |one, other| is_same(&url(one), &url(other));
        assert!(same("https://www.example.co.uk/a", "http://m.example.co.uk/b"));
        assert!(!same("https://one.co.uk/", "https://two.co.uk/"));
        assert!(!same("https://one.github.io/", "https://two.github.io/"));
        assert!(same("http://127.0.0.1:80/", "http://127.0.0.1:81/"));
        assert!(!same("http://127.0.0.1/", "http://127.0.0.2/"));
        assert!(!same("http://127.0.0.1/", "http://example.org/"));
        assert!(same("http://localhost/", "http://localhost:8080/"));
    }

    #[test]
    fn spellings_of_one_address_are_the_same_page() {
        let own = url("https://www.tidewater.example/news/ferry");
        for other in [
            "http://tidewater.example/news/ferry/",
            "https://m.tidewater.example/News/Ferry?utm_source=x#article",
            "https://www.tidewater.example/news/ferry#webpage",
        ] {
            assert!(is_same_page(&own, &url(other)), "{other}");
        }
        for other in [
            "https://www.tidewater.example/news/ferry-2",
            "https://www.tidewater.example/news/ferry?page=2",
            "https://other.example/news/ferry",
        ] {
            assert!(!is_same_page(&own, &url(other)), "{other}");
        }
        let moved = |one, other| is_same_page(&url(one), &url(other));
        assert!(moved("https://a.example/news/ferry-is-back-77", "https://a.example/ferry-is-back-77"));
        assert!(!moved("https://a.example/news/ferry-is-back-77", "https://a.example/ferry-is-back-78"));
        assert!(!moved("https://a.example/2025/index.html", "https://a.example/2026/index.html"));
    }

    #[test]
    fn a_site_has_a_source() {
        for (address, source) in [
            ("https://news.example.co.uk/a", "example"),
            ("https://tidewater.example/", "tidewater"),
            ("http://localhost:8080/", "localhost"),
            ("http://127.0.0.1/", "127-0-0-1"),
        ] {
            assert_eq!(source_of(&url(address)).as_deref(), Some(source), "{address}");
        }
    }
}
