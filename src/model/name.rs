//! Resource names and the identifiers in them, such as `sources/{source}/articles/{article}/revisions/{number}`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use super::Limits;

/// Why a name or identifier is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// An identifier is empty.
    #[error("{what} is empty")]
    Empty {
        /// The kind of identifier, such as `the source id`.
        what: &'static str,
    },
    /// An identifier is longer than [`Limits::NAME_BYTES_MAX`].
    #[error("{what} has {bytes} bytes; at most {} are allowed", Limits::NAME_BYTES_MAX)]
    TooLong {
        /// The kind of identifier.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// An identifier has a character that is not allowed.
    #[error("{what} has the character {character:?}; allowed characters are {allowed}")]
    Character {
        /// The kind of identifier.
        what: &'static str,
        /// The first such character.
        character: char,
        /// The characters that are allowed.
        allowed: &'static str,
    },
    /// An identifier begins with a character that is only allowed in later places.
    #[error("{what} begins with {character:?}; it must begin with a letter or a digit")]
    Beginning {
        /// The kind of identifier.
        what: &'static str,
        /// Its first character: `-`, `.`, `_` or `~`.
        character: char,
    },
    /// A resource name does not have the expected form.
    #[error("{name:?} is not of the form {expected}")]
    Shape {
        /// The name, cut to 160 characters.
        name: String,
        /// The expected form, such as `sources/{source}`.
        expected: &'static str,
    },
}

const ID_CHARACTERS: &str = "a-z A-Z 0-9 - . _ ~";

/// A source's identifier: 1 to 128 of the characters `a-z A-Z 0-9 - . _ ~`, the first of them a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(Arc<str>);

/// An article's identifier within its source, of the same form as a [`SourceId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArticleId(Arc<str>);

/// A durable subscription's identifier, of the same form as a [`SourceId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(Arc<str>);

/// The name of who calls, such as a crawler or a person, of the same form as a [`SourceId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalName(Arc<str>);

/// A client's identifier for a request: 1 to 128 printable ASCII characters without spaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Arc<str>);

impl SourceId {
    /// Parses an identifier and checks its length and characters.
    pub fn parse(id: &str) -> Result<Self, NameError> {
        check_id("the source id", id).map(|()| Self(id.into()))
    }

    /// Parses the resource name `sources/{source}`. Any other form is a [`NameError::Shape`].
    pub fn parse_name(name: &str) -> Result<Self, NameError> {
        match name.split('/').collect::<Vec<_>>().as_slice() {
            ["sources", source] => Self::parse(source),
            _ => Err(shape(name, "sources/{source}")),
        }
    }

    /// The identifier alone, without `sources/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ArticleId {
    /// Parses an identifier and checks its length and characters.
    pub fn parse(id: &str) -> Result<Self, NameError> {
        check_id("the article id", id).map(|()| Self(id.into()))
    }

    /// The identifier alone, without the source or `articles/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SubscriptionId {
    /// Parses an identifier and checks its length and characters.
    pub fn parse(id: &str) -> Result<Self, NameError> {
        check_id("the subscription id", id).map(|()| Self(id.into()))
    }

    /// Parses the resource name `subscriptions/{subscription}`. Any other form is a [`NameError::Shape`].
    pub fn parse_name(name: &str) -> Result<Self, NameError> {
        match name.split('/').collect::<Vec<_>>().as_slice() {
            ["subscriptions", id] => Self::parse(id),
            _ => Err(shape(name, "subscriptions/{subscription}")),
        }
    }

    /// The identifier alone, without `subscriptions/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The resource name: `subscriptions/{subscription}`.
impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "subscriptions/{}", self.0)
    }
}

impl PrincipalName {
    /// Parses a name and checks its length and characters.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        check_id("the principal's name", name).map(|()| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RequestId {
    /// Parses an identifier and checks its length and characters.
    pub fn parse(id: &str) -> Result<Self, NameError> {
        let what = "the request id";
        check_length(what, id)?;
        match id.chars().find(|c| !c.is_ascii_graphic()) {
            None => Ok(Self(id.into())),
            Some(character) => Err(NameError::Character { what, character, allowed: "printable ASCII without spaces" }),
        }
    }

    /// The identifier, unchanged.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The resource name: `sources/{source}`.
impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sources/{}", self.0)
    }
}

/// An article's name, which is its identity: `sources/{source}/articles/{article}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArticleName {
    /// The source that published the article.
    pub source: SourceId,
    /// The article within that source.
    pub article: ArticleId,
}

impl ArticleName {
    /// Parses `sources/{source}/articles/{article}`. Any other form is a [`NameError::Shape`].
    pub fn parse(name: &str) -> Result<Self, NameError> {
        match name.split('/').collect::<Vec<_>>().as_slice() {
            ["sources", source, "articles", article] => Self::new(source, article),
            _ => Err(shape(name, "sources/{source}/articles/{article}")),
        }
    }

    /// The name of the article `article` of `source`, each a valid identifier.
    pub fn new(source: &str, article: &str) -> Result<Self, NameError> {
        Ok(Self { source: SourceId::parse(source)?, article: ArticleId::parse(article)? })
    }

    /// The name as people write it: `{source}/{article}`.
    pub fn short(&self) -> String {
        format!("{}/{}", self.source.as_str(), self.article.as_str())
    }

    /// A text for people, in which the resource names of articles are [short](Self::short).
    pub fn shortened_in(text: &str) -> String {
        let shortened = |word: &str| {
            let name = word.trim_end_matches([',', ';', ':', '.']);
            Self::parse(name).map_or(word.to_owned(), |parsed| word.replacen(name, &parsed.short(), 1))
        };
        text.split(' ').map(shortened).collect::<Vec<_>>().join(" ")
    }

    /// The resource name of one of the article's revisions.
    pub fn revision(&self, number: RevisionNumber) -> String {
        format!("{self}/revisions/{number}")
    }
}

/// Parses `{source}/{article}`, such as `express/harbour`, or the resource name
/// `sources/{source}/articles/{article}`.
impl FromStr for ArticleName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        match name.split('/').collect::<Vec<_>>().as_slice() {
            [source, article] => Self::new(source, article),
            ["sources", _, "articles", _] => Self::parse(name),
            _ => Err(shape(name, "{source}/{article}")),
        }
    }
}

/// The resource name: `sources/{source}/articles/{article}`.
impl fmt::Display for ArticleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/articles/{}", self.source, self.article.as_str())
    }
}

/// The number of a revision within its article: 1, 2, … in the order in which the archive recorded them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevisionNumber(NonZeroU32);

impl RevisionNumber {
    /// The first revision of an article.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The revision number `number`; `None` if it is zero.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number as an integer, at least 1.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// The number of the revision after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for RevisionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The revision that a revision name refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionSelector {
    /// `…/revisions/{n}`: the revision with this number.
    Number(RevisionNumber),
    /// `…/revisions/latest`: the revision in force at the read point.
    Latest,
}

/// Parses `sources/{source}/articles/{article}/revisions/{n}`, or `…/latest`. `n` has no leading zero.
pub fn parse_revision_name(name: &str) -> Result<(ArticleName, RevisionSelector), NameError> {
    let malformed = || shape(name, "sources/{source}/articles/{article}/revisions/{n}, n from 1, or latest");
    let (article, number) = name.rsplit_once("/revisions/").ok_or_else(malformed)?;
    let article = ArticleName::parse(article).map_err(|error| match error {
        NameError::Shape { .. } => malformed(),
        error @ (NameError::Empty { .. }
        | NameError::TooLong { .. }
        | NameError::Character { .. }
        | NameError::Beginning { .. }) => error,
    })?;
    if number == "latest" {
        return Ok((article, RevisionSelector::Latest));
    }
    let canonical = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number = number.parse().ok().filter(|_| canonical).and_then(RevisionNumber::new);
    number.map(|number| (article, RevisionSelector::Number(number))).ok_or_else(malformed)
}

fn check_id(what: &'static str, id: &str) -> Result<(), NameError> {
    check_length(what, id)?;
    let is_punctuation = |c: char| matches!(c, '-' | '.' | '_' | '~');
    if let Some(character) = id.chars().find(|c| !c.is_ascii_alphanumeric() && !is_punctuation(*c)) {
        return Err(NameError::Character { what, character, allowed: ID_CHARACTERS });
    }
    match id.chars().next().filter(|first| is_punctuation(*first)) {
        None => Ok(()),
        Some(character) => Err(NameError::Beginning { what, character }),
    }
}

fn check_length(what: &'static str, id: &str) -> Result<(), NameError> {
    match id.len() {
        0 => Err(NameError::Empty { what }),
        bytes if bytes > Limits::NAME_BYTES_MAX => Err(NameError::TooLong { what, bytes }),
        _ => Ok(()),
    }
}

fn shape(name: &str, expected: &'static str) -> NameError {
    NameError::Shape { name: name.chars().take(160).collect(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        let name = "sources/express-gazette/articles/a1.b_c~D";
        assert_eq!(ArticleName::parse(name).unwrap().to_string(), name);
    }

    #[test]
    fn a_text_for_people_has_short_names() {
        for (text, shown) in [
            ("there is no article sources/press/articles/a", "there is no article press/a"),
            ("sources/press/articles/a: it leads to sources/x/articles/b.", "press/a: it leads to x/b."),
            (
                "sources/press and sources/press/articles/a/revisions/1",
                "sources/press and sources/press/articles/a/revisions/1",
            ),
            ("", ""),
        ] {
            assert_eq!(ArticleName::shortened_in(text), shown);
        }
    }

    #[test]
    fn malformed_names_are_rejected() {
        for bad in [
            "",
            "sources/a",
            "sources/a/articles/",
            "sources/-a/articles/b",
            "sources/a/articles/b/c",
            "x/a/articles/b",
        ] {
            assert!(ArticleName::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(SourceId::parse(&"x".repeat(129)).is_err());
        assert!(SourceId::parse("zeitung\u{fc}").is_err());
    }

    #[test]
    fn an_error_states_the_rule_that_the_name_breaks() {
        let error = |name: &str| ArticleName::parse(name).unwrap_err().to_string();
        let beginning = "the source id begins with '-'; it must begin with a letter or a digit";
        assert_eq!(error("sources/-/articles/-"), beginning);
        assert_eq!(
            error("sources/a/articles/b c"),
            "the article id has the character ' '; allowed characters are a-z A-Z 0-9 - . _ ~"
        );
        let revision = |name: &str| parse_revision_name(name).unwrap_err().to_string();
        assert_eq!(revision("sources/-/articles/b/revisions/1"), beginning);
        assert!(revision("sources/a/articles/b/revisions/0").contains("n from 1, or latest"));
    }

    #[test]
    fn revision_names_have_one_spelling() {
        let (_, selector) = parse_revision_name("sources/a/articles/b/revisions/12").unwrap();
        assert_eq!(selector, RevisionSelector::Number(RevisionNumber::new(12).unwrap()));
        for bad in ["0", "01", "+1", "", "4294967296", "Latest"] {
            assert!(parse_revision_name(&format!("sources/a/articles/b/revisions/{bad}")).is_err(), "{bad:?}");
        }
    }
}
