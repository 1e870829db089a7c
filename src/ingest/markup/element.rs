//! What each element means for the body's text.

/// The kinds of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// Part of a line of text.
    Inline,
    /// Part of a line of text that leads elsewhere.
    Link,
    /// Parts what stands before and after it.
    Block,
    /// A paragraph, which the next block ends.
    Paragraph,
    Heading,
    Quote,
    List {
        ordered: bool,
    },
    Item,
    Figure,
    Caption,
    Table,
    Row,
    Cell,
    /// Text that is kept with its line ends.
    Verbatim,
    /// Text that is struck through.
    Struck,
    /// A short quotation, which has its marks from the element.
    Quoted,
    /// A title of a work, or the name under a quotation.
    Cite,
    /// What ends a quotation, or a body.
    Footer,
    LineBreak,
    Rule,
    Picture,
    /// Something from elsewhere.
    Frame,
    /// An element without content that is no text.
    Empty,
}

impl Element {
    /// The element of this name, which is in lower case.
    pub(super) fn of(name: &str) -> Self {
        match name {
            "p" | "para" => Self::Paragraph,
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "hl1" | "hl2" => Self::Heading,
            "blockquote" | "bq" => Self::Quote,
            "ul" | "menu" => Self::List { ordered: false },
            "ol" => Self::List { ordered: true },
            "li" => Self::Item,
            "figure" | "media" => Self::Figure,
            "figcaption" | "media-caption" => Self::Caption,
            "table" => Self::Table,
            "tr" => Self::Row,
            "td" | "th" => Self::Cell,
            "pre" => Self::Verbatim,
            "del" | "s" | "strike" => Self::Struck,
            "q" => Self::Quoted,
            "cite" => Self::Cite,
            "footer" => Self::Footer,
            "br" => Self::LineBreak,
            "hr" => Self::Rule,
            "img" | "amp-img" | "media-reference" => Self::Picture,
            "iframe" | "embed" => Self::Frame,
            "a" => Self::Link,
            "area" | "base" | "col" | "input" | "link" | "meta" | "param" | "source" | "track" | "wbr" => Self::Empty,
            "address" | "article" | "aside" | "block" | "body" | "center" | "dd" | "details" | "dialog" | "div"
            | "dl" | "dt" | "fieldset" | "form" | "header" | "hgroup" | "html" | "legend" | "main" | "nav"
            | "option" | "search" | "section" | "select" | "summary" | "tbody" | "tfoot" | "thead" | "title"
            | "caption" | "noscript" | "object" | "video" | "audio" | "body.head" | "body.content" | "body.end"
            | "byline" | "dateline" | "distributor" | "headline" | "hedline" | "nitf" | "abstract" | "tagline" => {
                Self::Block
            }
            _ => Self::Inline,
        }
    }

    /// Whether text goes on through it.
    pub(super) fn is_inline(self) -> bool {
        matches!(self, Self::Inline | Self::Link | Self::Struck | Self::Quoted | Self::Cite | Self::Empty)
    }

    /// Whether it has no content and no end.
    pub(super) fn is_void(self) -> bool {
        matches!(self, Self::LineBreak | Self::Rule | Self::Picture | Self::Empty)
    }
}
