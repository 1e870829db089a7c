//! The reasons for which a document cannot be read.

/// Why a document cannot be read. If the user can do something about it, the message says what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// The document has only white space.
    #[error("the document is empty")]
    Empty,
    /// The document is larger than [`super::DOCUMENT_BYTES_MAX`].
    #[error("the document has {bytes} bytes; the limit is {} MiB", super::DOCUMENT_BYTES_MAX >> 20)]
    TooLarge {
        /// The document's length in bytes.
        bytes: usize,
    },
    /// The bytes are not text.
    #[error("this is {what}, not text; extract or convert the text to UTF-8 first")]
    Binary {
        /// What the bytes look like, with an indefinite article if it needs one: "a PDF file".
        what: &'static str,
    },
    /// The bytes are damaged, or are text in another encoding.
    #[error("byte {at} is not UTF-8; convert the document first, for example with `iconv -t utf-8`")]
    NotUtf8 {
        /// The offset of the first invalid byte, from 0.
        at: usize,
    },
    /// The document is XML, a feed or a web archive and not a single article.
    #[error(
        "this looks like {what}; archive feeds with `follow` and web archives with `import`, or give one page as HTML, \
         Markdown or text"
    )]
    Html {
        /// What the document looks like, in words for a person.
        what: &'static str,
    },
    /// The document is not well-formed JSON.
    #[error("line {line}, column {column}: {reason}")]
    JsonSyntax {
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
        /// What the parser expected or found at that position.
        reason: String,
    },
    /// The document exceeds a limit that no real page reaches, so that reading it could take hours or gigabytes; or a
    /// third-party parser panicked on it.
    #[error("the page cannot be read: {what}")]
    Unreasonable {
        /// The limit that the document exceeds, or the part of the reader that failed.
        what: String,
    },
    /// The document was read, but it contains no article.
    #[error("no article found: {reason}")]
    NoArticle {
        /// What the document contains instead.
        reason: String,
    },
    /// The publisher states that the item must not be published.
    #[error("the item is {status}, so it is not archived; if the article was archived before, use `withdraw`")]
    NotPublished {
        /// The item's publication status: `withheld` or `canceled`.
        status: &'static str,
    },
    /// The document is protobuf JSON, which the caller reads instead of this module.
    #[error("this JSON is neither JSON-LD nor ninjs; give it as an article in protobuf JSON")]
    Json,
    /// Nothing in the document can be its headline.
    #[error("no headline: {reason}")]
    NoHeadline {
        /// What was found, and what was expected.
        reason: String,
    },
    /// The front matter of a Markdown document cannot be read.
    #[error("front matter, line {line}: {reason}")]
    FrontMatter {
        /// The line of the document, from 1.
        line: usize,
        /// What is wrong with the front matter.
        reason: String,
    },
    /// The document is not a feed, or the feed is malformed.
    #[error("this is not a readable feed: {reason}")]
    NotAFeed {
        /// What is wrong with the feed.
        reason: String,
    },
}
