//! How values are shown: times, links, texts, blocks and changed words. Each is a small template of its own, which
//! escapes what it is given, so pages may contain it as it is.

use askama::Template;
use askama::filters::HtmlSafe;
use data_encoding::HEXLOWER;

use crate::export::{is_rtl, web_url};
use crate::model::unseen::{Sides, visible, visible_change};
use crate::model::{ArticleName, Precision, SourceId, Timestamp};
use crate::wire::{claimed_time, instant, pb};

/// A text from elsewhere, with invisible characters named.
pub(super) fn text(text: &str) -> String {
    visible(text).into_owned()
}

/// A text from elsewhere; `None` if it is empty.
pub(super) fn some_text(given: &str) -> Option<String> {
    (!given.is_empty()).then(|| text(given))
}

/// An instant, to the minute or to the second.
#[derive(Clone, Debug, Template)]
#[template(source = r#"<time datetime="{{ iso }}">{{ words }}</time>"#, ext = "html")]
pub(super) struct When {
    iso: String,
    words: String,
}

impl HtmlSafe for When {}

impl When {
    /// `16 May 2026, 18:00`.
    pub(super) fn brief(time: Timestamp) -> Self {
        Self::formatted(time, "%-d %B %Y, %H:%M")
    }

    /// `16 May 2026, 18:00:07 UTC`.
    pub(super) fn exact(time: Timestamp) -> Self {
        Self::formatted(time, "%-d %B %Y, %H:%M:%S UTC")
    }

    fn formatted(time: Timestamp, format: &str) -> Self {
        Self { iso: time.to_string(), words: time.to_jiff().strftime(format).to_string() }
    }

    /// A time of a message; `None` if it is unset.
    pub(super) fn of(time: Option<&prost_types::Timestamp>) -> Option<Self> {
        instant(time).map(Self::brief)
    }

    /// A time of a message, to the second; `None` if it is unset.
    pub(super) fn exactly(time: Option<&prost_types::Timestamp>) -> Option<Self> {
        instant(time).map(Self::exact)
    }

    /// A claimed time, no more precise than the claim.
    pub(super) fn claimed(claim: Option<&pb::ClaimedTime>) -> Option<Self> {
        let claim = claimed_time("claim", claim?.clone()).ok()?;
        let format = match claim.precision {
            Precision::Instant => return Some(Self::brief(claim.time)),
            Precision::Day => "%-d %B %Y",
            Precision::Month => "%B %Y",
            Precision::Year => "%Y",
        };
        let words = claim.time.to_jiff().strftime(format).to_string();
        let said = if claim.relative && !claim.words.is_empty() { Some(text(&claim.words)) } else { None };
        let words = said.map_or_else(|| words.clone(), |said| format!("{words} (\u{201c}{said}\u{201d})"));
        Some(Self { iso: claim.iso(), words })
    }
}

/// A URL from elsewhere: a link if it is of the web, and text otherwise.
#[derive(Clone, Debug, Template)]
#[template(
    source = r#"{% if let Some(href) = href %}<a href="{{ href }}" rel="noreferrer noopener nofollow">{{ words }}</a>{% else %}{{ words }}{% endif %}"#,
    ext = "html"
)]
pub(super) struct Link {
    href: Option<String>,
    words: String,
}

impl HtmlSafe for Link {}

impl Link {
    /// The URL as its own text; `None` if it is empty.
    pub(super) fn to(url: &str) -> Option<Self> {
        (!url.is_empty()).then(|| Self { href: web_url(url), words: text(url) })
    }

    /// A URL with other words; `None` if it is empty.
    pub(super) fn named(url: &str, words: &str) -> Option<Self> {
        (!url.is_empty()).then(|| Self { href: web_url(url), words: words.to_owned() })
    }
}

/// The language and direction of a text, as attributes.
#[derive(Clone, Debug, Template)]
#[template(source = r#"lang="{{ tag }}" dir="{{ direction }}""#, ext = "html")]
pub(super) struct Tongue {
    tag: String,
    direction: &'static str,
}

impl HtmlSafe for Tongue {}

impl Tongue {
    /// Those of a language. If it is unknown, browsers find the direction from the first letters.
    pub(super) fn of(tag: &str) -> Self {
        let direction = match tag {
            "" => "auto",
            tag if is_rtl(tag) => "rtl",
            _ => "ltr",
        };
        Self { tag: tag.to_owned(), direction }
    }
}

/// One block of a body.
pub(super) enum Block {
    Paragraph(String),
    Subheading(String),
    Caption { words: String, credit: Option<String>, picture: Option<Link> },
    Quote { words: String, attribution: Option<String> },
    List { items: Vec<String>, ordered: bool },
    Embed { words: Option<String>, link: Option<Link> },
    Correction(String),
}

impl Block {
    /// The blocks of a content.
    pub(super) fn all(content: &pb::Content) -> Vec<Self> {
        content.blocks.iter().filter_map(Self::of).collect()
    }

    fn of(block: &pb::Block) -> Option<Self> {
        use pb::block::Kind;
        Some(match block.kind.as_ref()? {
            Kind::Paragraph(paragraph) => Self::Paragraph(text(&paragraph.text)),
            Kind::Subheading(subheading) => Self::Subheading(text(&subheading.text)),
            Kind::Caption(caption) => Self::Caption {
                words: text(&caption.text),
                credit: some_text(&caption.credit),
                picture: Link::named(&caption.image_url, "Picture"),
            },
            Kind::Quote(quote) => Self::Quote { words: text(&quote.text), attribution: some_text(&quote.attribution) },
            Kind::List(list) => {
                Self::List { items: list.items.iter().map(|item| text(item)).collect(), ordered: list.ordered }
            }
            Kind::Embed(embed) => Self::Embed { words: some_text(&embed.text), link: Link::to(&embed.url) },
            Kind::CorrectionNote(note) => Self::Correction(text(&note.text)),
        })
    }
}

/// A run of text that is on one side or on both.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) side: Side,
    pub(super) words: String,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Both,
    Old,
    New,
}

/// Text with its changes. Marks for screen readers say where a change begins and ends, and `lynx` shows them, too.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "runs.html")]
pub(super) struct Runs(Vec<Run>);

impl HtmlSafe for Runs {}

impl Runs {
    /// Both sides, interleaved. Invisible characters that changed are named.
    pub(super) fn of(spans: &[pb::Span], sides: Sides) -> Self {
        let run = |span: &pb::Span| match span.kind() {
            pb::SpanKind::Equal | pb::SpanKind::Unspecified => Run { side: Side::Both, words: text(&span.text) },
            pb::SpanKind::Insert => Run { side: Side::New, words: visible_change(&span.text, sides).into_owned() },
            pb::SpanKind::Delete => Run { side: Side::Old, words: visible_change(&span.text, sides).into_owned() },
        };
        Self(spans.iter().map(run).collect())
    }

    /// What is on one side.
    pub(super) fn on(&self, side: Side) -> Self {
        Self(self.0.iter().filter(|run| run.side == Side::Both || run.side == side).cloned().collect())
    }

    /// Whether there is anything.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Words that were added and removed.
#[derive(Clone, Copy, Debug, Template)]
#[template(
    source = r#"<span class="delta"><span class="more">+{{ inserted }}</span> <span class="less">−{{ deleted }}</span><span class="apart"> words</span></span>"#,
    ext = "html"
)]
pub(super) struct Delta {
    inserted: u32,
    deleted: u32,
}

impl HtmlSafe for Delta {}

impl From<pb::WordDelta> for Delta {
    fn from(delta: pb::WordDelta) -> Self {
        Self { inserted: delta.inserted, deleted: delta.deleted }
    }
}

/// The parts of a content that differ, in words: `headline, body`.
pub(super) fn parts(changed: impl Iterator<Item = pb::ContentPart>) -> String {
    let words = changed.filter_map(|part| {
        Some(match part {
            pb::ContentPart::Unspecified => return None,
            pb::ContentPart::Headline => "headline",
            pb::ContentPart::Standfirst => "standfirst",
            pb::ContentPart::Body => "body",
            pb::ContentPart::Captions => "captions",
            pb::ContentPart::Byline => "byline",
            pb::ContentPart::Section => "section",
            pb::ContentPart::Keywords => "keywords",
            pb::ContentPart::ClaimedTimes => "claimed times",
            pb::ContentPart::Address => "address",
            pb::ContentPart::Markup => "markup",
            pb::ContentPart::Language => "language",
            pb::ContentPart::Rights => "rights",
        })
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// The path of an article's page, from which those of its other pages continue.
pub(super) fn path_of(name: &ArticleName) -> String {
    format!("/a/{}/{}", name.source.as_str(), name.article.as_str())
}

/// The path of an article's page itself. A slash keeps an id from being taken for the address of JSON.
pub(super) fn page_of(name: &ArticleName) -> String {
    let path = path_of(name);
    if path.ends_with(".json") { format!("{path}/") } else { path }
}

/// The path of a source's page. A slash keeps an id from being taken for the address of JSON.
pub(super) fn path_of_source(id: &SourceId) -> String {
    let slash = if id.as_str().ends_with(".json") { "/" } else { "" };
    format!("/s/{}{slash}", id.as_str())
}

/// Why a text was destroyed, in words.
pub(super) fn expunge_reason(reason: pb::ExpungeReason) -> &'static str {
    match reason {
        pb::ExpungeReason::CourtOrder => "a court or an authority ordered it",
        pb::ExpungeReason::PersonalData => "a person whose data it had asked for it",
        pb::ExpungeReason::Copyright => "it infringed a copyright",
        pb::ExpungeReason::Other | pb::ExpungeReason::Unspecified => "another reason",
    }
}

/// `1 word`, `2 words`.
pub(super) fn count(number: u64, noun: &str) -> String {
    let digits = grouped(number);
    if number == 1 { format!("{digits} {noun}") } else { format!("{digits} {noun}s") }
}

/// A number with its digits in groups of three: `12,345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A size for people: `33.5 MB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut shown = (bytes as f64, UNITS[0]);
    for unit in UNITS {
        shown.1 = unit;
        if shown.0 < 1_000.0 || unit == UNITS[4] {
            break;
        }
        shown.0 /= 1_000.0;
    }
    if shown.1 == UNITS[0] { format!("{bytes} B") } else { format!("{:.1} {}", shown.0, shown.1) }
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
    }

    #[test]
    fn numbers_are_shown_for_people() {
        assert_eq!([grouped(0), grouped(999), grouped(1_234_567)], ["0", "999", "1,234,567"]);
        assert_eq!([count(1, "word"), count(2_000, "word")], ["1 word", "2,000 words"]);
        assert_eq!([size(999), size(33_500_000), size(1_000)], ["999 B", "33.5 MB", "1.0 kB"]);
    }

    #[test]
    fn the_two_sides_of_a_change_are_marked() {
        let span = |kind: pb::SpanKind, text: &str| pb::Span { kind: kind.into(), text: text.to_owned() };
        let spans = [
            span(pb::SpanKind::Equal, "Bridge "),
            span(pb::SpanKind::Delete, "<to>"),
            span(pb::SpanKind::Insert, "could"),
        ];
        let runs = Runs::of(&spans, Sides::Both);
        let shown = runs.render().unwrap();
        assert!(
            shown.starts_with("Bridge <del>") && shown.contains("&#60;to&#62;") && shown.ends_with("</ins>"),
            "{shown}"
        );
        assert!(!runs.on(Side::Old).render().unwrap().contains("could"));
    }
}
