//! Maps the entries of front matter to the fields of an article.

use crate::model::{ClaimedTime, Content, Precision};

use super::super::claims::{self, ClaimContext};
use super::super::{Document, Guess, Options, is_absolute_url, stated_language, times};
use super::front::FrontEntries;
use super::value::FrontValue;

/// The keys for each field, in order of preference. Keys are compared in lower case and without `_` and `-`.
const HEADLINE: [&str; 2] = ["headline", "title"];
const STANDFIRST: [&str; 7] = ["standfirst", "dek", "deck", "subtitle", "description", "summary", "excerpt"];
const BYLINES: [&str; 5] = ["bylines", "byline", "authors", "author", "by"];
const SECTION: [&str; 3] = ["section", "category", "categories"];
const LANGUAGE: [&str; 3] = ["language", "lang", "locale"];
const URL: [&str; 4] = ["canonicalurl", "canonical", "url", "permalink"];
const PUBLISHED: [&str; 6] = ["publishtime", "datepublished", "publishdate", "published", "pubdate", "date"];
const MODIFIED: [&str; 6] = ["modifytime", "datemodified", "lastmodified", "lastmod", "modified", "updated"];
const KEYWORDS: [&str; 4] = ["keywords", "tags", "tag", "topics"];
const RIGHTS: [&str; 4] = ["rights", "copyright", "license", "licence"];
const PUBLICATION: [&str; 4] = ["publication", "publisher", "sitename", "source"];
const LABELS: [&str; 1] = ["labels"];
const OBSERVED: [&str; 4] = ["observetime", "observedat", "retrieved", "fetched"];

/// Reads the entries. Those that are not understood are listed in the document's guesses.
pub(super) fn read(entries: FrontEntries, options: &Options) -> Document {
    let mut front = Front { entries, guesses: Vec::new() };
    let mut document = Document::default();
    let content = &mut document.content;
    content.headline = front.text(&HEADLINE).unwrap_or_default();
    content.standfirst = front.text(&STANDFIRST).unwrap_or_default();
    content.bylines = front.texts(&BYLINES);
    content.section = front.texts(&SECTION).into_iter().next().unwrap_or_default();
    content.language = front.language();
    content.publish_time = front.time("publish time", &PUBLISHED, None, options);
    content.modify_time = front.time("modify time", &MODIFIED, content.publish_time.as_ref(), options);
    content.keywords = front.words(&KEYWORDS);
    content.rights = front.text(&RIGHTS).unwrap_or_default();
    front.urls(content, &mut document.urls);
    document.labels = front.words(&LABELS);
    document.labels.sort();
    document.labels.dedup();
    document.publication = front.texts(&PUBLICATION).into_iter().next();
    document.observe_time = front.observed();
    document.guesses = front.finish();
    document
}

struct Front {
    entries: FrontEntries,
    guesses: Vec<Guess>,
}

impl Front {
    /// Removes and returns the first entry, in the order of `keys`, that `read` understands.
    fn take<T>(&mut self, keys: &[&str], read: impl Fn(&FrontValue) -> Option<T>) -> Option<T> {
        for key in keys {
            let found = self.entries.iter().enumerate().find_map(|(at, (name, value))| {
                let found = (fold_key(name) == *key).then(|| read(value))??;
                Some((at, found))
            });
            if let Some((at, found)) = found {
                self.entries.remove(at);
                return Some(found);
            }
        }
        None
    }

    fn text(&mut self, keys: &[&str]) -> Option<String> {
        self.take(keys, FrontValue::text)
    }

    fn texts(&mut self, keys: &[&str]) -> Vec<String> {
        self.take(keys, |value| Some(value.texts()).filter(|texts| !texts.is_empty())).unwrap_or_default()
    }

    /// Words from a list, or from one text with commas.
    fn words(&mut self, keys: &[&str]) -> Vec<String> {
        let split = |value: &FrontValue| match value.text() {
            Some(text) => text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(String::from).collect(),
            None => value.texts(),
        };
        self.take(keys, |value| Some(split(value)).filter(|words| !words.is_empty())).unwrap_or_default()
    }

    fn language(&mut self) -> String {
        let written = self.text(&LANGUAGE).unwrap_or_default();
        stated_language(&written, &mut self.guesses)
    }

    fn time(
        &mut self,
        what: &str,
        keys: &[&str],
        published: Option<&ClaimedTime>,
        options: &Options,
    ) -> Option<ClaimedTime> {
        let words = self.text(keys)?;
        let place = ClaimContext { found_in: "front matter", reference: options.reference_date, published };
        claims::stated(what, &words, place, &mut self.guesses)
    }

    /// Takes the first absolute URL as the canonical one, and the others as further URLs. Relative URLs are ignored.
    fn urls(&mut self, content: &mut Content, urls: &mut Vec<String>) {
        let absolute = |value: &FrontValue| value.text().filter(|url| is_absolute_url(url));
        content.canonical_url = self.take(&URL, absolute).unwrap_or_default();
        while let Some(url) = self.take(&URL, absolute) {
            if url != content.canonical_url {
                urls.push(url);
            }
        }
    }

    fn observed(&mut self) -> Option<crate::model::Timestamp> {
        self.take(&OBSERVED, |value| {
            let claim = times::claimed_time(&value.text()?, None, "front matter")?;
            (claim.precision == Precision::Instant).then_some(claim.time)
        })
    }

    /// The guesses, with the keys that were not used. Keys with empty values are not reported.
    fn finish(self) -> Vec<Guess> {
        let Self { entries, mut guesses } = self;
        let said =
            |value: &FrontValue| value.text().is_some() || matches!(value, FrontValue::List(_) | FrontValue::Map(_));
        let keys: Vec<String> = entries.into_iter().filter(|(_, value)| said(value)).map(|(key, _)| key).collect();
        if !keys.is_empty() {
            guesses.push(Guess::new("ignored", keys.join(", "), "front matter that has no place in an article"));
        }
        guesses
    }
}

fn fold_key(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}
