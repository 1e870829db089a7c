//! Citations of a revision: BibTeX, CSL-JSON, and a line of text.
//!
//! The date of a citation is the observe time: when the article was seen to say this. The archive time is in its note.
//! Sources: <https://docs.citationstyles.org/en/stable/specification.html>, the manual of biblatex for `@online`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::Response;
use serde_json::json;

use super::super::Site;
use super::super::paths::revision_of;
use super::super::problem::Problem;
use super::super::respond;
use super::super::visit::{Form, Visit};
use super::{article_name, revision, revision_number};
use crate::model::{ArticleName, ClaimedTime, RevisionNumber, Timestamp};
use crate::wire::{claimed_time, instant};

/// What a citation says.
struct Citation {
    key: String,
    title: String,
    authors: Vec<String>,
    source: String,
    published: Option<ClaimedTime>,
    /// The address of the publisher's page; empty if unknown.
    url: String,
    language: String,
    observed: Timestamp,
    archived: Timestamp,
    /// The address of the revision in this archive.
    permalink: String,
    number: RevisionNumber,
    digest: String,
}

impl Citation {
    async fn read(site: &Site, visit: &Visit, name: &ArticleName, number: RevisionNumber) -> Result<Self, Problem> {
        let (found, _) = revision::read(site, visit, name, number).await?;
        let revision = found.revision.unwrap_or_default();
        if revision.expunged.is_some() {
            return Err(Problem::expunged("The text of this revision was destroyed, so there is nothing to cite."));
        }
        let content = revision.content.unwrap_or_default();
        let url = match content.canonical_url.as_str() {
            "" => revision.fetch.map(|fetch| fetch.url).unwrap_or_default(),
            url => url.to_owned(),
        };
        Ok(Self {
            key: format!("{}-{}-r{number}", name.source.as_str(), name.article.as_str()),
            title: content.headline,
            authors: content.bylines,
            source: name.source.as_str().to_owned(),
            published: content.publish_time.and_then(|claim| claimed_time("claim", claim).ok()),
            url,
            language: content.language,
            observed: instant(revision.observe_time.as_ref()).ok_or_else(Problem::internal)?,
            archived: instant(revision.archive_time.as_ref()).ok_or_else(Problem::internal)?,
            permalink: site.address(&revision_of(name, number.get())),
            number,
            digest: super::super::shown::hex(&revision.content_digest),
        })
    }

    fn text(&self) -> String {
        let authors = if self.authors.is_empty() { String::new() } else { format!("{}. ", self.authors.join(", ")) };
        let published = self.published.as_ref().map(|claim| format!(", {}", claim.iso())).unwrap_or_default();
        let url = if self.url.is_empty() { String::new() } else { format!(" {}.", self.url) };
        format!(
            "{authors}\u{201c}{}.\u{201d} {}{published}.{url} Observed {}, archived {} (revision {}), {}. SHA-256 {}.\n",
            self.title.trim_end_matches('.'),
            self.source,
            self.observed,
            self.archived,
            self.number,
            self.permalink,
            self.digest,
        )
    }

    fn bibtex(&self) -> String {
        let mut fields = vec![("title", format!("{{{}}}", tex(&self.title)))];
        if !self.authors.is_empty() {
            // Bylines are kept as printed, and braces keep them from being taken apart.
            let authors: Vec<_> = self.authors.iter().map(|author| format!("{{{}}}", tex(author))).collect();
            fields.push(("author", authors.join(" and ")));
        }
        fields.push(("organization", tex(&self.source)));
        if let Some(published) = &self.published {
            let iso = published.iso();
            fields.push(("date", iso.split('T').next().unwrap_or(&iso).to_owned()));
        }
        fields.push(("url", address(&self.permalink)));
        fields.push(("urldate", self.observed.day().to_string()));
        if !self.url.is_empty() {
            fields.push(("origurl", address(&self.url)));
        }
        if !self.language.is_empty() {
            fields.push(("langid", tex(&self.language)));
        }
        let note = format!(
            "Observed {}, archived {}, revision {}, SHA-256 {}",
            self.observed, self.archived, self.number, self.digest
        );
        fields.push(("note", note));
        let fields: String = fields.iter().map(|(name, value)| format!("  {name} = {{{value}}},\n")).collect();
        format!("@online{{{},\n{fields}}}\n", self.key)
    }

    fn csl(&self) -> String {
        let day = |date: jiff::civil::Date| json!({ "date-parts": [[date.year(), date.month(), date.day()]] });
        let authors: Vec<_> = self.authors.iter().map(|author| json!({ "literal": author })).collect();
        let mut item = json!({
            "id": self.key,
            "type": "article-newspaper",
            "title": self.title,
            "container-title": self.source,
            "accessed": day(self.observed.day()),
            "archive": "Dateline",
            "archive_location": self.permalink,
            "version": self.number.to_string(),
            "note": format!("observed: {}; archived: {}; sha256: {}", self.observed, self.archived, self.digest),
        });
        let published = self.published.as_ref().map(|claim| {
            let parts = claim.iso();
            let parts =
                parts.split('T').next().unwrap_or_default().split('-').filter_map(|part| part.parse::<i64>().ok());
            json!({ "date-parts": [parts.collect::<Vec<_>>()] })
        });
        let given = |text: &str| (!text.is_empty()).then(|| json!(text));
        let optional = [
            ("author", (!authors.is_empty()).then(|| json!(authors))),
            ("issued", published),
            ("URL", given(&self.url).or_else(|| given(&self.permalink))),
            ("language", given(&self.language)),
        ];
        if let Some(item) = item.as_object_mut() {
            item.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        }
        format!("{:#}\n", json!([item]))
    }
}

/// Text in which nothing is a command of TeX.
fn tex(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => written.push_str("\\textbackslash{}"),
            '{' | '}' | '#' | '$' | '%' | '&' | '_' => written.extend(['\\', character]),
            '~' => written.push_str("\\textasciitilde{}"),
            '^' => written.push_str("\\textasciicircum{}"),
            character if character.is_whitespace() => written.push(' '),
            character if character.is_control() => {}
            character => written.push(character),
        }
    }
    written
}

/// An address for a field that TeX reads verbatim.
fn address(url: &str) -> String {
    url.replace('{', "%7B").replace('}', "%7D").replace('\\', "%5C")
}

/// A line of text, or CSL-JSON.
pub(super) async fn plain(
    State(site): State<Arc<Site>>,
    Path((source, article, number)): Path<(String, String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let citation = Citation::read(&site, &visit, &article_name(&source, &article)?, revision_number(&number)?).await?;
    Ok(match visit.form {
        Form::Page => {
            let file = format!("{}.txt", citation.key);
            respond::file(&visit, "text/plain; charset=utf-8", &file, citation.text())
        }
        Form::Json => {
            let file = format!("{}.json", citation.key);
            respond::file(&visit, "application/vnd.citationstyles.csl+json", &file, citation.csl())
        }
    })
}

/// BibTeX.
pub(super) async fn bibtex(
    State(site): State<Arc<Site>>,
    Path((source, article, number)): Path<(String, String, String)>,
    visit: Visit,
) -> Result<Response<Body>, Problem> {
    let citation = Citation::read(&site, &visit, &article_name(&source, &article)?, revision_number(&number)?).await?;
    let file = format!("{}.bib", citation.key);
    Ok(respond::file(&visit, "text/x-bibtex; charset=utf-8", &file, citation.bibtex()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_title_is_a_command() {
        assert_eq!(
            tex("50% of {x} & \\input{y}_~"),
            "50\\% of \\{x\\} \\& \\textbackslash{}input\\{y\\}\\_\\textasciitilde{}"
        );
        assert_eq!(address("https://a.example/{x}"), "https://a.example/%7Bx%7D");
    }
}
