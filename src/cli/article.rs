//! The ARTICLE argument, names of articles as people write them, and points to read at.

use std::str::FromStr;

use super::connect::Session;
use super::exit::Failure;
use crate::client::as_of;
use crate::model::{ArticleName, NameError, Timestamp};
use crate::wire::pb;

/// An article as named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ArticleRef {
    /// By its resource name, or in the short form `source/article`.
    Name(ArticleName),
    /// By one of its URLs.
    Url(String),
}

impl FromStr for ArticleRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Url(text.to_owned()));
        }
        let parse = |name: &str| ArticleName::parse(name).map(Self::Name);
        let message = |error: NameError| match error {
            NameError::Empty { .. }
            | NameError::TooLong { .. }
            | NameError::Character { .. }
            | NameError::Beginning { .. } => error.to_string(),
            NameError::Shape { .. } => "expected source/article, sources/…/articles/… or a URL".to_owned(),
        };
        match text.split('/').collect::<Vec<_>>().as_slice() {
            ["sources", source, "articles", article, "revisions", number] => {
                Err(format!("that names a revision; write {source}/{article} --revision {number} instead"))
            }
            // Articles of a source whose id is `sources` or `articles` can still be named in full.
            ["sources", source] => {
                Err(format!("that names a source; `dateline list --source {source}` lists its articles"))
            }
            ["articles", article] => Err(format!("the source is missing; write source/{article}")),
            [source, article] => parse(&format!("sources/{source}/articles/{article}")).map_err(message),
            _ => parse(text).map_err(message),
        }
    }
}

impl ArticleRef {
    /// The article's resource name. A URL is looked up at `at`, as the archive knew it at `known_at`.
    pub(super) async fn resolve(
        &self,
        session: &Session,
        at: Option<Timestamp>,
        known_at: Option<Timestamp>,
    ) -> Result<String, Failure> {
        let url = match self {
            Self::Name(name) => return Ok(name.to_string()),
            Self::Url(url) => url,
        };
        let request = pb::LookupArticleRequest {
            url: url.clone(),
            as_of: as_of(at, known_at),
            view: pb::ArticleView::Basic.into(),
            min_next_seq: 0,
        };
        let found = session.archive().lookup_article(request).await?.into_inner();
        Ok(found.article.unwrap_or_default().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_article_can_be_named_in_three_ways() {
        let name = ArticleRef::from_str("sources/a/articles/b").unwrap();
        assert_eq!(ArticleRef::from_str("a/b").unwrap(), name);
        let url = "https://a.example/b/c";
        assert_eq!(ArticleRef::from_str(url).unwrap(), ArticleRef::Url(url.to_owned()));
    }

    #[test]
    fn an_invalid_name_gets_an_error_that_shows_a_valid_one() {
        for (text, expected) in [
            ("b", "expected source/article, sources/"),
            ("a/b/c", "expected source/article, sources/"),
            ("a/", "the article id is empty"),
            ("ä/b", "the source id has the character 'ä'"),
            ("sources/a/articles/b/revisions/3", "that names a revision; write a/b --revision 3 instead"),
            ("sources/a", "that names a source; `dateline list --source a` lists its articles"),
            ("articles/b", "the source is missing; write source/b"),
        ] {
            let error = ArticleRef::from_str(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }
}
