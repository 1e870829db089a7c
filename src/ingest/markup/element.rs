//! Classifies elements by what they mean for the body's text.

/// The role of an element in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// Part of a line of text.
    Inline,
    /// Part of a line of text that links elsewhere.
    Link,
    /// Separates the texts before, within and after the element.
    Block,
    /// A paragraph, which also ends where the next block begins.
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
    /// Text that keeps its line breaks.
    Verbatim,
    /// Text that is marked as deleted or struck through.
    Struck,
    /// A short quotation; the element stands for its quotation marks.
    Quoted,
    /// The title of a work, or the name under a quotation.
    Cite,
    /// The closing part of a quotation or of a body.
    Footer,
    LineBreak,
    Rule,
    Picture,
    /// Embedded content from another address.
    Frame,
    /// A void element without meaning for the text.
    Empty,
}

impl Element {
    /// The role of the element with this lower-case name.
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

    /// Whether a line of text continues through the element.
    pub(super) fn is_inline(self) -> bool {
        matches!(self, Self::Inline | Self::Link | Self::Struck | Self::Quoted | Self::Cite | Self::Empty)
    }

    /// Whether the element has neither content nor an end tag.
    pub(super) fn is_void(self) -> bool {
        matches!(self, Self::LineBreak | Self::Rule | Self::Picture | Self::Empty)
    }
}
