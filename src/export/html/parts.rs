//! The parts that pages are made of: times, links, the text of an article, and changed words. Each is a small template,
//! which escapes what it is given, so that other templates contain it as it is.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::web_url;
use super::language::is_rtl;
use crate::model::diff::{Span, SpanKind};
use crate::model::unseen::{Sides, visible, visible_change};
use crate::model::{BlockKind, ClaimedTime, Content, Precision, Timestamp};

/// An instant, or a claimed time.
#[derive(Clone, Debug, Template)]
#[template(
    source = r#"<time datetime="{{ iso }}">{{ words }}</time>{% if let Some(said) = said %} (“{{ said }}”){% endif %}"#,
    ext = "html"
)]
pub(crate) struct When {
    iso: String,
    words: String,
    /// The words that a claim was read from, if they were relative to another date.
    said: Option<String>,
}

impl HtmlSafe for When {}

impl When {
    /// `16 May 2026, 18:00`.
    pub(crate) fn brief(time: Timestamp) -> Self {
        Self::formatted(time, "%-d %B %Y, %H:%M")
    }

    /// `16 May 2026, 18:00:07 UTC`.
    pub(crate) fn exact(time: Timestamp) -> Self {
        Self::formatted(time, "%-d %B %Y, %H:%M:%S UTC")
    }

    fn formatted(time: Timestamp, format: &str) -> Self {
        Self { iso: time.to_string(), words: time.to_jiff().strftime(format).to_string(), said: None }
    }

    /// A claimed time, no more precise than the claim.
    pub(crate) fn claimed(claim: &ClaimedTime) -> Self {
        let format = match claim.precision {
            Precision::Instant => return Self::exact(claim.time),
            Precision::Day => "%-d %B %Y",
            Precision::Month => "%B %Y",
            Precision::Year => "%Y",
        };
        let said = (claim.relative && !claim.words.is_empty()).then(|| visible(&claim.words).into_owned());
        Self { iso: claim.iso(), said, ..Self::formatted(claim.time, format) }
    }
}

/// A URL from elsewhere: a link if it is of the web, and text otherwise.
#[derive(Clone, Debug, Template)]
#[template(
    source = r#"{% if let Some(href) = href %}<a href="{{ href }}" rel="noreferrer noopener nofollow">{{ words }}</a>{% else %}{{ words }}{% endif %}"#,
    ext = "html"
)]
pub(crate) struct Link {
    href: Option<String>,
    words: String,
}

impl HtmlSafe for Link {}

impl Link {
    /// The URL as its own text; `None` if it is empty.
    pub(crate) fn to(url: &str) -> Option<Self> {
        Self::named(url, &visible(url))
    }

    /// A URL with other words; `None` if it is empty.
    pub(crate) fn named(url: &str, words: &str) -> Option<Self> {
        (!url.is_empty()).then(|| Self { href: web_url(url), words: words.to_owned() })
    }
}

/// The language and direction of a text, as attributes.
#[derive(Clone, Debug, Template)]
#[template(source = r#"lang="{{ tag }}" dir="{{ direction }}""#, ext = "html")]
pub(crate) struct Tongue {
    tag: String,
    direction: &'static str,
}

impl HtmlSafe for Tongue {}

impl Tongue {
    /// Those of a language. If it is unknown, browsers find the direction from the first letters.
    pub(crate) fn of(tag: &str) -> Self {
        let direction = match tag {
            "" => "auto",
            tag if is_rtl(tag) => "rtl",
            _ => "ltr",
        };
        Self { tag: tag.to_owned(), direction }
    }
}

/// What is done with texts before they are escaped.
pub(crate) type Shown = fn(&str) -> String;

/// Texts with their invisible characters named, for readers.
pub(crate) fn named(text: &str) -> String {
    visible(text).into_owned()
}

/// Texts as they are, so that a document can be read back.
pub(crate) fn verbatim(text: &str) -> String {
    text.to_owned()
}

/// What an article says.
#[derive(Template)]
#[template(path = "text.html")]
pub(crate) struct Text {
    headline: String,
    standfirst: Option<String>,
    byline: Option<String>,
    published: Option<When>,
    modified: Option<When>,
    blocks: Vec<Block>,
    rights: Option<String>,
}

impl HtmlSafe for Text {}

/// One block of a body.
enum Block {
    Paragraph(String),
    Subheading(String),
    Caption { words: String, credit: Option<String>, picture: Option<Link> },
    Quote { words: String, attribution: Option<String> },
    List { items: Vec<String>, ordered: bool },
    Embed { words: Option<String>, link: Option<Link> },
    Correction(String),
}

impl Text {
    /// The text of a content under its headline.
    pub(crate) fn of(content: &Content, shown: Shown) -> Self {
        Self::under(shown(&content.headline), content, shown)
    }

    /// The text of a content under another headline.
    pub(crate) fn under(headline: String, content: &Content, shown: Shown) -> Self {
        let some = |text: &str| (!text.is_empty()).then(|| shown(text));
        Self {
            headline,
            standfirst: some(&content.standfirst),
            byline: some(&content.bylines.join(", ")),
            published: content.publish_time.as_ref().map(When::claimed),
            modified: content.modify_time.as_ref().map(When::claimed),
            blocks: content.blocks.iter().map(|block| Block::of(&block.kind, shown)).collect(),
            rights: some(&content.rights),
        }
    }
}

impl Block {
    fn of(kind: &BlockKind, shown: Shown) -> Self {
        let some = |text: &str| (!text.is_empty()).then(|| shown(text));
        match kind {
            BlockKind::Paragraph { text } => Self::Paragraph(shown(text)),
            BlockKind::Subheading { text } => Self::Subheading(shown(text)),
            BlockKind::Caption { text, image_url, credit } => {
                Self::Caption { words: shown(text), credit: some(credit), picture: Link::named(image_url, "Picture") }
            }
            BlockKind::Quote { text, attribution } => {
                Self::Quote { words: shown(text), attribution: some(attribution) }
            }
            BlockKind::List { items, ordered } => {
                Self::List { items: items.iter().map(|item| shown(item)).collect(), ordered: *ordered }
            }
            BlockKind::Embed { url, text } => Self::Embed { words: some(text), link: Link::to(url) },
            BlockKind::CorrectionNote { text } => Self::Correction(shown(text)),
        }
    }
}

/// A run of text that is on one side or on both.
#[derive(Clone, Debug)]
struct Run {
    side: Side,
    words: String,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// On both sides.
    Both,
    /// Only in what was before.
    Old,
    /// Only in what is now.
    New,
}

/// Text with its changes: what is new in `<ins>`, what is old in `<del>`. Colour is never the only sign, and marks for screen
/// readers say where a change begins and ends.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "runs.html")]
pub(crate) struct Runs(Vec<Run>);

impl HtmlSafe for Runs {}

impl Runs {
    /// Both sides, interleaved. Invisible characters that changed are named.
    pub(crate) fn of(spans: &[Span], sides: Sides) -> Self {
        let run = |span: &Span| match span.kind {
            SpanKind::Equal => Run { side: Side::Both, words: named(&span.text) },
            SpanKind::Insert => Run { side: Side::New, words: visible_change(&span.text, sides).into_owned() },
            SpanKind::Delete => Run { side: Side::Old, words: visible_change(&span.text, sides).into_owned() },
        };
        Self(spans.iter().map(run).collect())
    }

    /// A field on both sides: a claimed time that moved as old, then new.
    pub(crate) fn of_field(spans: &[Span], is_moved_time: bool, sides: Sides) -> Self {
        let mut runs = Self::of(spans, sides);
        if is_moved_time {
            runs.0.insert(1, Run { side: Side::Both, words: " → ".to_owned() });
        }
        runs
    }

    /// What is on one side.
    pub(crate) fn on(&self, side: Side) -> Self {
        Self(self.0.iter().filter(|run| run.side == Side::Both || run.side == side).cloned().collect())
    }

    /// Whether there is anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_web_become_links() {
        let link = |url: &str| Link::to(url).unwrap().render().unwrap();
        assert_eq!(
            link("https://a.example/?a=1&b=2"),
            r#"<a href="https://a.example/?a=1&#38;b=2" rel="noreferrer noopener nofollow">https://a.example/?a=1&#38;b=2</a>"#
        );
        for url in ["javascript:alert(1)", "data:text/html,<script>", "vbscript:x", "//a.example/", "java\nscript:x"] {
            assert!(!link(url).contains("<a"), "{url}");
        }
        assert!(Link::to("").is_none());
    }

    #[test]
    fn times_are_absolute_and_have_a_form_for_programs() {
        let time: Timestamp = "2026-05-16T18:00:07.5Z".parse().unwrap();
        let shown = When::brief(time).render().unwrap();
        assert_eq!(shown, r#"<time datetime="2026-05-16T18:00:07.5Z">16 May 2026, 18:00</time>"#);
        assert!(When::exact(time).render().unwrap().contains(">16 May 2026, 18:00:07 UTC<"));
        let claim = ClaimedTime {
            time: "2025-09-01T00:00:00Z".parse().unwrap(),
            precision: Precision::Month,
            words: "2 months <ago>".to_owned(),
            found_in: String::new(),
            relative: true,
        };
        let shown = When::claimed(&claim).render().unwrap();
        assert_eq!(shown, r#"<time datetime="2025-09">September 2025</time> (“2 months &#60;ago&#62;”)"#);
    }

    #[test]
    fn the_two_sides_of_a_change_are_marked() {
        let span = |kind, text: &str| Span { kind, text: text.to_owned() };
        let spans = [span(SpanKind::Equal, "Bridge "), span(SpanKind::Delete, "<to>"), span(SpanKind::Insert, "could")];
        let runs = Runs::of(&spans, Sides::Both);
        let shown = runs.render().unwrap();
        assert!(
            shown.starts_with("Bridge <del>") && shown.contains("&#60;to&#62;") && shown.ends_with("</ins>"),
            "{shown}"
        );
        assert!(!runs.on(Side::Old).render().unwrap().contains("could"));
    }
}
