//! Why a document can't be read.

/// Why a document can't be read. Every message says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// There is nothing but white space.
    #[error("the document is empty")]
    Empty,
    /// The document is over [`super::DOCUMENT_BYTES_MAX`].
    #[error("the document has {bytes} bytes; at most {} are read", super::DOCUMENT_BYTES_MAX)]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The bytes are not text.
    #[error("this is {what}, not text; extract or convert the text to UTF-8 first")]
    Binary {
        /// What they look like, with an article.
        what: &'static str,
    },
    /// The bytes are text of another encoding, or damaged.
    #[error("byte {at} is not UTF-8; convert the document first, for example with `iconv -t utf-8`")]
    NotUtf8 {
        /// The offset of the first byte that can't be read, from 0.
        at: usize,
    },
    /// The document is HTML or XML.
    #[error("this looks like {what}, which comes in a later release; give the page's text, or Markdown")]
    Html {
        /// What it looks like.
        what: &'static str,
    },
    /// The document is not well-formed JSON.
    #[error("line {line}, column {column}: {reason}")]
    JsonSyntax {
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A page is beyond what any page has, so that reading it could take any time.
    #[error("the page is not read: {what}")]
    Unreasonable {
        /// What of it is too much.
        what: String,
    },
    /// The document holds data, and none of it is an article.
    #[error("there is no article in it: {reason}")]
    NoArticle {
        /// What it holds instead.
        reason: String,
    },
    /// The publisher says that the item is not to be published.
    #[error(
        "the item is {status}: it is not to be published, and so not archived; `withdraw` ends an article that was"
    )]
    NotPublished {
        /// Its status.
        status: &'static str,
    },
    /// The document is JSON, which the caller reads.
    #[error("this is JSON, which is not read as a page; give it as an article in protobuf JSON")]
    Json,
    /// No line can be the headline.
    #[error("no headline: {reason}")]
    NoHeadline {
        /// What was found and what is expected.
        reason: String,
    },
    /// The front matter of a Markdown document can't be read.
    #[error("front matter, line {line}: {reason}")]
    FrontMatter {
        /// The line of the document, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// What should be a feed is none, or is broken.
    #[error("this is no feed that can be read: {reason}")]
    NotAFeed {
        /// What is wrong with it.
        reason: String,
    },
}
