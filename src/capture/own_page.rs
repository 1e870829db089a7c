//! Tells the page of an article from other addresses that lead to it.
//!
//! An absence says that the article's page is missing. An article may have further addresses, such as an old one, a
//! short one or one of a copy for phones, and these end while the page is up.

use crate::model::{Timestamp, UrlKey};
use crate::wire::{instant, pb};

/// The address of the article's page at `at`: the canonical URL that its content states, if that leads to the article,
/// or else the first URL that does.
pub(super) fn own_page(article: &pb::Article, at: Timestamp) -> Option<&pb::ArticleUrl> {
    let leads_there = |url: &&pb::ArticleUrl| {
        let is_after = |time: Option<&prost_types::Timestamp>| instant(time).is_some_and(|time| time > at);
        !is_after(url.observe_time.as_ref()) && (url.end_time.is_none() || is_after(url.end_time.as_ref()))
    };
    let content = article.revision.as_ref().and_then(|revision| revision.content.as_ref());
    let canonical = content.and_then(|content| UrlKey::of(&content.canonical_url).ok());
    let urls = || article.urls.iter().filter(leads_there);
    let stated = canonical.and_then(|canonical| urls().find(|url| url.key == canonical.as_str()));
    stated.or_else(|| urls().next())
}

/// Whether one of `urls` is the address of the article's page.
pub(super) fn is_own_page(article: &pb::Article, urls: &[&str], at: Timestamp) -> bool {
    let Some(own) = own_page(article, at) else { return false };
    urls.iter().any(|url| UrlKey::of(url).is_ok_and(|key| key.as_str() == own.key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::timestamp_to_pb;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    /// An article with URLs that lead to it from and until these times.
    fn article(canonical: &str, urls: &[(&str, i64, Option<i64>)]) -> pb::Article {
        let url = |(url, since, until): &(&str, i64, Option<i64>)| pb::ArticleUrl {
            url: (*url).to_owned(),
            key: UrlKey::of(url).unwrap().as_str().to_owned(),
            observe_time: Some(timestamp_to_pb(at(*since))),
            end_time: until.map(|until| timestamp_to_pb(at(until))),
            ..pb::ArticleUrl::default()
        };
        let content = pb::Content { canonical_url: canonical.to_owned(), ..pb::Content::default() };
        let revision = pb::Revision { content: Some(content), ..pb::Revision::default() };
        pb::Article { revision: Some(revision), urls: urls.iter().map(url).collect(), ..pb::Article::default() }
    }

    #[test]
    fn the_page_is_at_the_canonical_url_or_else_at_the_first_that_leads_to_the_article() {
        let (old, new) = ("https://example.org/old", "https://example.org/new");
        let own = |article: &pb::Article, seconds| own_page(article, at(seconds)).map(|url| url.url.clone());
        let both = [(old, 1, None), (new, 1, None)];
        assert_eq!(own(&article(new, &both), 5).as_deref(), Some(new));
        assert_eq!(own(&article("", &both), 5).as_deref(), Some(old));
        assert_eq!(own(&article("https://elsewhere.example/", &both), 5).as_deref(), Some(old));
        let moved = [(old, 1, Some(5)), (new, 3, None)];
        assert_eq!(own(&article(old, &moved), 4).as_deref(), Some(old));
        assert_eq!(own(&article(old, &moved), 5).as_deref(), Some(new), "the canonical URL no longer leads to it");
        assert_eq!(own(&article("", &[]), 5), None);
        assert!(is_own_page(&article(new, &both), &[old, "http://example.org/new?utm_source=x"], at(5)));
        assert!(!is_own_page(&article(new, &both), &[old], at(5)));
    }
}
