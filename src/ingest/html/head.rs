//! Reads what a page states about its article outside the article's text: in JSON-LD, `meta`, `link`, `time` and marked
//! elements.
//!
//! If several of these state a value, the first in this order counts: JSON-LD; `meta`, in the order of the lists below;
//! elements marked with `itemprop` or `rel`; `time` elements; the page's `title`. A machine-readable time takes
//! precedence over the words that readers see.

use dom_query::{Document as Tree, Selection};
use url::Url;

use super::site;
use crate::ingest::claims::{ClaimContext, stated};
use crate::ingest::news_article::{self, NewsArticle};
use crate::ingest::words::fold_text;
use crate::ingest::{Guess, Options, article_url, distinct, is_absolute_url, language_tag, markup, quoted, without_by};
use crate::model::ClaimedTime;

const TITLES: [&str; 7] =
    ["dc:title", "dc.title", "dcterms.title", "og:title", "twitter:title", "parsely-title", "citation_title"];
const AUTHORS: [&str; 9] = [
    "dc:creator",
    "dc.creator",
    "dcterms:creator",
    "dcterms.creator",
    "author",
    "article:author",
    "parsely-author",
    "citation_author",
    "sailthru.author",
];
const SECTIONS: [&str; 3] = ["article:section", "parsely-section", "cxense-section"];
const DESCRIPTIONS: [&str; 3] = ["og:description", "description", "twitter:description"];
const PUBLISHED: [&str; 8] = [
    "article:published_time",
    "og:article:published_time",
    "datepublished",
    "parsely-pub-date",
    "dc.date.issued",
    "dc.date",
    "citation_publication_date",
    "sailthru.date",
];
const MODIFIED: [&str; 5] =
    ["article:modified_time", "og:updated_time", "datemodified", "dcterms.modified", "last-modified"];
const RIGHTS: [&str; 3] = ["copyright", "dc.rights", "dcterms.rights"];
const PUBLICATIONS: [&str; 2] = ["og:site_name", "application-name"];
/// At most this many `meta` elements of a page are read.
const METAS_MAX: usize = 1_000;
/// At most this many JSON-LD scripts of a page are read.
const SCRIPTS_MAX: usize = 64;

/// What a page states about its article. Each text is on one line, and empty if the page states none.
#[derive(Debug, Default)]
pub(super) struct PageMetadata {
    pub(super) headline: String,
    pub(super) description: String,
    pub(super) authors: Vec<String>,
    pub(super) section: String,
    pub(super) language: String,
    pub(super) canonical_url: String,
    pub(super) urls: Vec<String>,
    pub(super) publish_time: Option<ClaimedTime>,
    pub(super) modify_time: Option<ClaimedTime>,
    pub(super) keywords: Vec<String>,
    pub(super) rights: String,
    pub(super) publication: Option<String>,
    /// The JSON-LD data of the article, including its body.
    pub(super) data: NewsArticle,
}

/// Collects the metadata of a page. Conclusions and omissions are added to `guesses`.
pub(super) fn read(tree: &Tree, options: &Options, guesses: &mut Vec<Guess>) -> PageMetadata {
    let page = MetadataSource { tree, metas: metas(tree) };
    let mut data = data(&page, options, guesses);
    guesses.append(&mut data.guesses);
    let publication = data.publication.clone().or_else(|| page.first(&PUBLICATIONS));
    let mut head = PageMetadata {
        headline: page.headline(&data, publication.as_deref(), guesses),
        description: non_empty_or(&data.description, || page.first(&DESCRIPTIONS)),
        authors: page.authors(&data),
        section: data.sections.first().cloned().or_else(|| page.first(&SECTIONS)).unwrap_or_default(),
        language: non_empty_or(&page.language(), || Some(data.language.clone())),
        keywords: page.keywords(&data),
        rights: non_empty_or(&data.rights, || page.first(&RIGHTS)),
        publication,
        ..PageMetadata::default()
    };
    head.publish_time = data.publish_time.clone().or_else(|| page.published(options, guesses));
    head.modify_time = data.modify_time.clone().or_else(|| page.modified(options, head.publish_time.as_ref(), guesses));
    head.canonical_url = page.canonical(&data, options, guesses).unwrap_or_default();
    head.urls =
        data.urls.iter().filter(|url| is_of_site(url, options) && **url != head.canonical_url).cloned().collect();
    head.data = data;
    head
}

/// The JSON-LD data of the page's own article.
///
/// A page may also have the data of other articles. If the page's address is known, data for a different address is
/// never used, even if the page has no data of its own.
fn data(page: &MetadataSource<'_>, options: &Options, guesses: &mut Vec<Guess>) -> NewsArticle {
    let scripts = page.tree.select("script[type='application/ld+json']");
    let scripts: Vec<String> = scripts.iter().take(SCRIPTS_MAX).map(|script| script.text().to_string()).collect();
    // An id that is neither an absolute URL nor a path is only a name of the node.
    let resolved = |written: &str| {
        let url = match &options.url {
            Some(base) if written.starts_with('/') => base.join(written).ok()?,
            Some(_) | None => Url::parse(written).ok()?,
        };
        (article_url(url.as_str()).is_some()).then_some(url)
    };
    let stated = [page.canonical_link(), page.first(&["og:url"])].into_iter().flatten();
    let own: Vec<Url> = options.url.clone().into_iter().chain(stated.filter_map(|url| resolved(&url))).collect();
    let is_own = |written: &str| {
        let url = resolved(written).filter(|_| !own.is_empty())?;
        Some(own.iter().any(|own| site::is_same_page(own, &url)))
    };
    news_article::find(&scripts, &is_own).unwrap_or_else(|| {
        if let Some(other) = news_article::find(&scripts, &|_| None) {
            let why = format!("it describes another address, {}", other.urls.first().map_or("", String::as_str));
            guesses.push(Guess::new("ignored", format!("JSON-LD of {}", quoted(&other.headline)), why));
        }
        NewsArticle::default()
    })
}

/// The page's `meta` elements as pairs of name, in lower case, and content.
fn metas(tree: &Tree) -> Vec<(String, String)> {
    let read = |meta: Selection<'_>| {
        let name = ["property", "name", "itemprop", "http-equiv"].iter().find_map(|key| meta.attr(key))?;
        let content = one_line(&meta.attr("content")?);
        (!content.is_empty()).then(|| (name.to_ascii_lowercase(), content))
    };
    let metas = tree.select("meta").iter().take(METAS_MAX).filter_map(read).collect::<Vec<_>>();
    // One property may list several names.
    let each = |(names, content): (String, String)| {
        names.split_whitespace().map(|name| (name.to_owned(), content.clone())).collect::<Vec<_>>()
    };
    metas.into_iter().flat_map(each).collect()
}

/// `time` elements near the article that are not marked as the modification time, in order of preference.
const UNMARKED_TIMES: [&str; 3] = [
    "article time[datetime]:not([itemprop~='dateModified'])",
    "main time[datetime]:not([itemprop~='dateModified'])",
    "header time[datetime]:not([itemprop~='dateModified'])",
];

struct MetadataSource<'t> {
    tree: &'t Tree,
    metas: Vec<(String, String)>,
}

impl MetadataSource<'_> {
    /// The content of the first `meta` with one of these names; earlier names take precedence.
    fn first(&self, names: &[&str]) -> Option<String> {
        self.named(names).map(|(_, content)| content.to_owned()).next()
    }

    fn named<'n>(&'n self, names: &'n [&str]) -> impl Iterator<Item = (&'n str, &'n str)> {
        let of = |name: &'n &str| self.metas.iter().filter(move |(known, _)| known == name);
        names.iter().flat_map(of).map(|(name, content)| (name.as_str(), content.as_str()))
    }

    /// The text of the first element that matches.
    fn text(&self, selector: &str) -> Option<String> {
        let found = self.tree.select_single(selector);
        let text = one_line(&found.text());
        (!text.is_empty()).then_some(text)
    }

    /// The headline: the first candidate that the page's title also contains. The candidates are, in this order, the
    /// headlines of JSON-LD and `meta`, an element marked as the headline, and the `h1`, if there is only one. The
    /// title has to confirm a candidate, because a stated headline may be that of the site, and a heading that of a
    /// section. If the title confirms none, the first stated headline counts, or else the title, or else the only `h1`.
    fn headline(&self, data: &NewsArticle, publication: Option<&str>, guesses: &mut Vec<Guess>) -> String {
        let title = self.text("head title").or_else(|| self.text("title")).unwrap_or_default();
        let stated = [Some(data.headline.clone()), self.first(&TITLES)].into_iter().flatten();
        let stated: Vec<String> = stated.filter(|headline| !headline.is_empty()).collect();
        let marked = [self.text("[itemprop='headline']"), self.only_h1()].into_iter().flatten();
        let is_in_title = |headline: &String| has_words(&title, without_publication(headline, publication));
        let found = stated.iter().cloned().chain(marked).find(is_in_title).or_else(|| stated.first().cloned());
        if let Some(headline) = found {
            return without_publication(&headline, publication).to_owned();
        }
        let headline = without_publication(&title, publication);
        let headline = if headline == title { without_last_part(&title) } else { headline };
        if !headline.is_empty() {
            guesses.push(Guess::new("headline", headline, "from the page's title"));
            return headline.to_owned();
        }
        self.only_h1()
            .inspect(|text| guesses.push(Guess::new("headline", text, "the only h1 heading of the page")))
            .unwrap_or_default()
    }

    fn only_h1(&self) -> Option<String> {
        let headings = self.tree.select("h1");
        (headings.length() == 1).then(|| one_line(&headings.text())).filter(|text| !text.is_empty())
    }

    fn authors(&self, data: &NewsArticle) -> Vec<String> {
        if !data.authors.is_empty() {
            return data.authors.clone();
        }
        let of = |name| {
            let authors = self.named(std::slice::from_ref(name));
            let authors = authors.map(|(_, author)| without_address(without_by(author)).to_owned());
            distinct(authors.filter(|author| !is_absolute_url(author)))
        };
        AUTHORS.iter().map(of).find(|authors| !authors.is_empty()).unwrap_or_default()
    }

    fn language(&self) -> String {
        let stated = self.tree.select_single("html").attr("lang").map(|lang| lang.to_string());
        let tag = stated.as_deref().and_then(language_tag);
        let meta = || self.first(&["content-language", "og:locale", "dc.language"]).as_deref().and_then(language_tag);
        tag.or_else(meta).unwrap_or_default()
    }

    fn keywords(&self, data: &NewsArticle) -> Vec<String> {
        if !data.keywords.is_empty() {
            return data.keywords.clone();
        }
        let tags: Vec<String> = self.named(&["article:tag"]).map(|(_, tag)| tag.to_owned()).collect();
        if !tags.is_empty() {
            return tags;
        }
        let listed = self.first(&["news_keywords", "keywords"]).unwrap_or_default();
        listed.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    fn published(&self, options: &Options, guesses: &mut Vec<Guess>) -> Option<ClaimedTime> {
        let meta = self.first(&PUBLISHED).map(|words| (words, "meta"));
        let marked = || self.time(&["[itemprop='datePublished']", "time[pubdate]"]);
        // A page may also have the times of other articles. Of the unmarked times, only the first in the article is
        // likely to be the article's own.
        let unmarked = || self.time(&UNMARKED_TIMES);
        let (words, found_in) = meta.or_else(marked).or_else(unmarked)?;
        stated(
            "publish time",
            &words,
            ClaimContext { found_in, reference: options.reference_date, published: None },
            guesses,
        )
    }

    fn modified(
        &self,
        options: &Options,
        published: Option<&ClaimedTime>,
        guesses: &mut Vec<Guess>,
    ) -> Option<ClaimedTime> {
        let meta = self.first(&MODIFIED).map(|words| (words, "meta"));
        let (words, found_in) = meta.or_else(|| self.time(&["[itemprop='dateModified']"]))?;
        stated("modify time", &words, ClaimContext { found_in, reference: options.reference_date, published }, guesses)
    }

    /// The machine-readable time of the first element that matches, or else the element's text.
    fn time(&self, selectors: &[&str]) -> Option<(String, &'static str)> {
        selectors.iter().find_map(|selector| {
            let found = self.tree.select_single(selector);
            let value = found.attr("datetime").or_else(|| found.attr("content")).map(|value| value.to_string());
            let words = value.unwrap_or_else(|| one_line(&found.text()));
            (!words.trim().is_empty()).then(|| (words.trim().to_owned(), "time element"))
        })
    }

    fn canonical_link(&self) -> Option<String> {
        self.tree.select_single("link[rel='canonical']").attr("href").map(|href| href.trim().to_owned())
    }

    /// The address that the page declares as its own, if it belongs to the same site. Otherwise a page could take over
    /// the articles of another site by declaring their addresses.
    fn canonical(&self, data: &NewsArticle, options: &Options, guesses: &mut Vec<Guess>) -> Option<String> {
        let stated =
            self.canonical_link().or_else(|| self.first(&["og:url"])).or_else(|| data.urls.first().cloned())?;
        let joined = match &options.url {
            Some(base) => base.join(stated.trim()).ok(),
            None => Url::parse(stated.trim()).ok(),
        };
        let canonical = joined.map(String::from);
        let usable = canonical.as_deref().and_then(article_url);
        match usable {
            Some(url) if is_of_site(&url, options) => Some(url),
            Some(url) => {
                guesses.push(Guess::new("canonical URL", "left out", format!("{url} is not on this site")));
                None
            }
            None => {
                let why = format!("{stated:?} is not the address of an article");
                guesses.push(Guess::new("canonical URL", "left out", why));
                None
            }
        }
    }
}

fn is_of_site(url: &str, options: &Options) -> bool {
    let Some(base) = &options.url else { return true };
    Url::parse(url).is_ok_and(|url| site::is_same(&url, base))
}

/// Whether `text` contains `part`, compared by letters and digits.
fn has_words(text: &str, part: &str) -> bool {
    let part = fold_text(part);
    !part.is_empty() && fold_text(text).contains(&part)
}

/// Strips the publication from the end of a title such as `Ferry returns - The Tidewater Post`.
fn without_publication<'t>(title: &'t str, publication: Option<&str>) -> &'t str {
    let Some(publication) = publication else { return title };
    let stripped = title.strip_suffix(publication).map(str::trim_end).and_then(|title| title.strip_suffix(SEPARATORS));
    stripped.map(str::trim_end).filter(|title| !title.is_empty()).unwrap_or(title)
}

const SEPARATORS: [char; 7] = ['-', '–', '—', '|', '·', '»', ':'];

/// Strips the part after a title's last separator if that part has fewer words than the rest.
fn without_last_part(title: &str) -> &str {
    let parts = [" | ", " - ", " – ", " — ", " » ", " · "].iter().filter_map(|separator| title.rsplit_once(separator));
    let (before, after) = parts.min_by_key(|(_, after)| after.len()).unwrap_or((title, ""));
    if before.split_whitespace().count() > after.split_whitespace().count() { before } else { title }
}

/// Strips the address that follows an author's name.
fn without_address(author: &str) -> &str {
    let name =
        author.split_once(" (http").or_else(|| author.split_once(" <")).map_or(author, |(name, _)| name.trim_end());
    if name.is_empty() { author } else { name }
}

/// `first`, or `second` if `first` is empty.
fn non_empty_or(first: &str, second: impl FnOnce() -> Option<String>) -> String {
    if first.is_empty() { second().unwrap_or_default() } else { first.to_owned() }
}

/// The text on one line. Titles may contain line breaks, and character references that were escaped twice.
fn one_line(text: &str) -> String {
    markup::one_line(&markup::unescape(text))
}
