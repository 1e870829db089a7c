use proptest::prelude::*;

use super::*;
use crate::model::{BlockKind, Limits};

/// A line for each block, with a letter for its kind.
fn lines(markup: &str) -> Vec<String> {
    let line = |block: Block| match block.kind {
        BlockKind::Paragraph { text } => format!("p {text}"),
        BlockKind::Crosshead { text } => format!("x {text}"),
        BlockKind::Caption { text, figure_url, credit } => format!("c {text} [{figure_url}] [{credit}]"),
        BlockKind::Quote { text, attribution } => format!("q {text} [{attribution}]"),
        BlockKind::List { items, ordered } => format!("{} {}", if ordered { "o" } else { "u" }, items.join("; ")),
        BlockKind::Embed { url, text } => format!("e {url} {text}"),
        BlockKind::CorrectionNote { text } => format!("n {text}"),
    };
    blocks(markup, None).into_iter().map(line).collect()
}

#[test]
fn elements_become_blocks() {
    for (markup, expected) in [
        ("<p>One.</p><p>Two <b>and</b> a\n half.</p>", &["p One.", "p Two and a half."][..]),
        ("<p>One<p>Two<div>Three</div>Four", &["p One", "p Two", "p Three", "p Four"]),
        ("Loose, <i>then</i> <h2>A  head</h2> loose", &["p Loose, then", "x A head", "p loose"]),
        ("<p>One<br>line<br/><br />Next</p>", &["p One\nline", "p Next"]),
        ("<ul><li>a<li>b <p>c</p><ol><li>d</li></ol></ul>e", &["u a; b\nc; d", "p e"]),
        ("<ol><li>a</li></ol>", &["o a"]),
        ("<blockquote><p>One</p><p>Two</p><footer>— Ada Quill</footer></blockquote>", &["q One\nTwo [Ada Quill]"]),
        ("<blockquote>I read <cite>The Quay</cite> daily</blockquote>", &["q I read The Quay daily []"]),
        ("<p>Correction: it was Monday.</p>", &["n Correction: it was Monday."]),
        ("<pre>  a\n    b\n</pre>", &["p   a\n    b"]),
        ("<table><tr><th>A</th><th>B</th></tr><tr><td><p>1</p></td><td>2</td></tr></table>", &["p A | B\n1 | 2"]),
        ("<p>Dead: <del>12</del> 92. <q>Yes</q></p>", &["p Dead: ~~12~~ 92. “Yes”"]),
        ("<s><p>a</p></s><q/>b", &["p a", "p b"]),
        ("<iframe src='https://v.example/1'></iframe><p>a</p>", &["e https://v.example/1 ", "p a"]),
        ("<html><head><title>T</title></head><body><p>a</p></body></html>", &["p a"]),
        ("<p>a</p><!-- <p>b</p> --><script>'<p>c</p>'</script><style>p{}</style>", &["p a"]),
        ("&lt;b&gt; &eacute;&#8217;&#146;&nbsp;AT&amp;T 1 < 2 <3", &["p <b> é’’\u{a0}AT&T 1 < 2 <3"]),
        ("<![CDATA[a & b]]>", &["p a & b"]),
        ("<x:p xmlns:x='y'>a</x:p><hl2>b</hl2>", &["p a", "x b"]),
        ("", &[]),
    ] {
        assert_eq!(lines(markup), expected, "{markup:?}");
    }
}

#[test]
fn figures_become_captions_where_they_stand() {
    let figure = "<p>a</p><figure><img alt='x' src='https://a.example/1.jpg?a=1&amp;b=2'/>\
        <div class='byline'>Ana Reis</div><figcaption>The <b>quay</b> at dusk.</figcaption></figure><p>b</p>";
    assert_eq!(lines(figure), ["p a", "c The quay at dusk. [https://a.example/1.jpg?a=1&b=2] [Ana Reis]", "p b"]);
    let credited =
        "<figure><img src='/1.jpg'><figcaption>The quay. <span class='credit'>Ana Reis</span></figcaption></figure>";
    assert_eq!(lines(credited), ["c The quay. [] [Ana Reis]"]);
    let enclosed = "<ul><li>a<figure><figcaption>The quay</figcaption></figure></li><li>b</li></ul><p>c</p>";
    assert_eq!(lines(enclosed), ["u a; b", "c The quay [] []", "p c"]);
    assert_eq!(lines("<figure><img src='https://a.example/1.jpg' alt='The quay'></figure>"), [""; 0]);
    assert_eq!(lines("<figure><blockquote>Said.</blockquote></figure>"), ["q Said. []"]);
}

#[test]
fn broken_markup_keeps_its_text() {
    for (markup, expected) in [
        ("a <b", &["p a <b"][..]),
        ("a <!-- b", &["p a <!-- b"]),
        ("a <![CDATA[ b", &["p a <![CDATA[ b"]),
        ("a<!-->b<p title='c>d</p>e", &["p ab", "p d", "p e"]),
        ("a<script>b", &["p ab"]),
        ("a</p>b</blockquote>c</figure>", &["p a", "p b", "p c"]),
        ("<blockquote>a<ul><li>b", &["q a\nb []"]),
        ("<p title=\"a>b\">c</p>", &["p c"]),
    ] {
        assert_eq!(lines(markup), expected, "{markup:?}");
    }
}

#[test]
fn a_field_is_markup_only_when_it_surely_is() {
    for (field, is) in [
        ("Ferry <em>returns</em>", true),
        ("Ferry<br>returns", true),
        ("1 < 2 and 3 > 2", false),
        ("Why <script> is an element", false),
        ("Ferry returns", false),
        ("A &lt;b&gt;", false),
    ] {
        assert_eq!(is_markup(field), is, "{field:?}");
    }
    assert_eq!(text("Ferry <em>re</em>turns,<br>says &amp;c."), "Ferry returns, says &c.");
    assert_eq!(unescape("Q&amp;A &#8217;&eacute; ?a=1&copy=2 &;&x; & &amp"), "Q&A ’é ?a=1&copy=2 &;&x; & &amp");
}

#[test]
fn hostile_markup_takes_no_time() {
    let deep = "<b>".repeat(1_000);
    for piece in [
        "<div>",
        "<b a=1><i>",
        "<a \"",
        "<a x='",
        "<!--",
        "</p",
        "</u>",
        "<![CDATA[",
        "<li><ul>",
        "&",
        "<a b ",
        "<p>x",
        "<script>",
        "<td>",
        "<br>",
        "<figure>",
        "<q>",
        "<?",
    ] {
        let markup = piece.repeat((128 << 10) / piece.len());
        let started = std::time::Instant::now();
        for markup in [format!("{markup}>"), format!("{deep}{markup}"), format!("<table>{markup}</b>")] {
            assert!(blocks(&markup, None).len() <= Limits::BLOCKS_MAX, "{piece:?}");
            text(&markup);
        }
        // Some two hundred times as long, were it quadratic.
        assert!(started.elapsed().as_secs() < 20, "{piece:?} {:?}", started.elapsed());
    }
}

/// Pieces that markup is made of, for markup that nobody would write.
const PIECES: [&str; 30] = [
    "<p>",
    "</p>",
    "<ul>",
    "</ul>",
    "<li>",
    "<ol>",
    "</ol>",
    "<blockquote>",
    "</blockquote>",
    "<figure>",
    "</figure>",
    "<figcaption>",
    "</figcaption>",
    "<table>",
    "</table>",
    "<tr>",
    "<td>",
    "</tr>",
    "<h2>",
    "</h2>",
    "<pre>",
    "</pre>",
    "<br>",
    "<cite>",
    "</cite>",
    "<footer>",
    "<div class=credit>",
    "</div>",
    "<hr>",
    "<b>",
];

proptest! {
    #[test]
    fn no_markup_panics(markup in "\\PC{0,40}|([<>/=!\"'&;-]|a|p |<b|<!--|\\]\\]>|é){0,40}") {
        blocks(&markup, None);
        text(&markup);
        is_markup(&markup);
        unescape(&markup);
    }

    #[test]
    fn no_text_is_dropped(pieces in prop::collection::vec(0..PIECES.len(), 0..40)) {
        let markup: String = pieces.iter().enumerate().map(|(word, &piece)| format!("{}w{word} ", PIECES[piece])).collect();
        let lines = lines(&markup).join("\n");
        let mut words: Vec<usize> = lines
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter_map(|word| word.strip_prefix('w')?.parse().ok())
            .collect();
        words.sort_unstable();
        prop_assert_eq!(words, (0..pieces.len()).collect::<Vec<_>>(), "{} became {}", markup, lines);
    }
}
