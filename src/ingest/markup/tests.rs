use proptest::prelude::*;

use super::*;
use crate::model::{BlockKind, Limits};

/// One line for each block: a letter for its kind, and its text.
fn lines(markup: &str) -> Vec<String> {
    let line = |block: Block| match block.kind {
        BlockKind::Paragraph { text } => format!("p {text}"),
        BlockKind::Subheading { text } => format!("x {text}"),
        BlockKind::Caption { text, image_url, credit } => format!("c {text} [{image_url}] [{credit}]"),
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
        ("<table><caption>T</caption><tr><td>1</td><td>2</td></tr></table>", &["p T\n1 | 2"]),
        ("<p>Dead: <del>12</del> 92. <q>Yes</q></p>", &["p Dead: ~~12~~ 92. “Yes”"]),
        ("<s><p>a</p></s><q/>b", &["p a", "p b"]),
        ("<iframe src='https://v.example/1'></iframe><p>a</p>", &["e https://v.example/1 ", "p a"]),
        ("<html><head><title>T</title></head><body><p>a</p></body></html>", &["p a"]),
        ("<p>a</p><!-- <p>b</p> --><script>'<p>c</p>'</script><style>p{}</style>", &["p a"]),
        ("&lt;b&gt; &eacute;&#8217;&#146;&nbsp;AT&amp;T 1 < 2 <3", &["p <b> é’’\u{a0}AT&T 1 < 2 <3"]),
        ("<![CDATA[a & b]]>", &["p a & b"]),
        // The sign that links to a heading is dropped, but not the same sign in the heading's own text.
        ("<h2>Why now? <a href='#why'>#</a></h2><h3>Notes<a href='/p#n'>¶</a></h3>", &["x Why now?", "x Notes"]),
        ("<h2>Written in C #</h2><h2><a href='/c'>More on C #</a></h2>", &["x Written in C #", "x More on C #"]),
        ("<x:p xmlns:x='y'>a</x:p><hl2>b</hl2>", &["p a", "x b"]),
        ("", &[]),
    ] {
        assert_eq!(lines(markup), expected, "{markup:?}");
    }
}

#[test]
fn figures_become_captions_in_place() {
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
fn a_class_marks_a_caption_outside_a_figure() {
    for (markup, expected) in [
        (
            "<p>a</p><img src='https://a.example/1.jpg'><p class=caption>The quay</p><p>b</p>",
            &["p a", "c The quay [https://a.example/1.jpg] []", "p b"][..],
        ),
        (
            "<div class='wp-caption'><img src='https://a.example/1.jpg'><p class='wp-caption-text'>The quay</p></div>",
            &["c The quay [https://a.example/1.jpg] []"],
        ),
        (
            "<p>a <img src='https://a.example/1.jpg'><span class='media__caption'>The quay</span></p>",
            &["p a", "c The quay [https://a.example/1.jpg] []"],
        ),
        (
            "<div class='caption gallery'><img src='https://a.example/1.jpg'><p class=caption>One</p><p class=credit>Ana</p>\
            <img src='https://a.example/2.jpg'><p class=caption>Two</p></div>",
            &["c One [https://a.example/1.jpg] [Ana]", "c Two [https://a.example/2.jpg] []"],
        ),
        // A caption does not belong to a picture further up.
        ("<img src='https://a.example/1.jpg'><p>a</p><p class=caption>The quay</p>", &["p a", "c The quay [] []"]),
        ("<p class=caption>The quay <span class=credit>Ana Reis</span></p>", &["c The quay [] [Ana Reis]"]),
        (
            "<img src='https://a.example/1.jpg'><p class=photo-credit>Ana Reis</p>",
            &["c  [https://a.example/1.jpg] [Ana Reis]"],
        ),
        ("<p class=caption>The quay</p><p>Photo: Ana Reis</p>", &["c The quay [] [Ana Reis]"]),
        ("<figure><figcaption>The quay. Photo: Ana Reis</figcaption></figure>", &["c The quay. [] [Ana Reis]"]),
        (
            "<figure><img src='https://a.example/1.jpg'><p>The quay</p></figure>",
            &["c The quay [https://a.example/1.jpg] []"],
        ),
        ("<ul><li>a<p class=caption>The quay</p></li><li>b</li></ul>", &["u a; b", "c The quay [] []"]),
        // None of these is a caption, whatever the class says.
        ("<p class=credits>Ana Reis</p>", &["p Ana Reis"]),
        ("<div class=caption><h2>a</h2><p>b</p></div>", &["x a", "p b"]),
        ("<p>a</p><p>Photo: Ana Reis</p>", &["p a", "p Photo: Ana Reis"]),
    ] {
        assert_eq!(lines(markup), expected, "{markup}");
    }
    let long = "word ".repeat(200);
    let long = long.trim_end();
    assert_eq!(lines(&format!("<div class=caption>{long}</div>")), [format!("p {long}")]);
    assert_eq!(lines(&format!("<ul><li><p class=caption>{long}</p></li></ul>")), [format!("u {long}")]);
}

#[test]
fn posts_and_frames_are_embedded() {
    let tweet = "<blockquote class='twitter-tweet'><p>We <a href='https://x.com/a/status/1'>go</a></p>&mdash; Ada (@ada) \
        <a href='https://twitter.com/ada/status/2'>May 3</a></blockquote>";
    let embedded = "e https://twitter.com/ada/status/2 We go\n— Ada (@ada) May 3";
    assert_eq!(lines(tweet), [embedded]);
    assert_eq!(lines(&tweet.replace("twitter-tweet", "")), [embedded]);
    for (markup, expected) in [
        (
            "<blockquote class=instagram-media data-instgrm-permalink='https://www.instagram.com/p/1/'>The quay</blockquote>",
            "e https://www.instagram.com/p/1/ The quay",
        ),
        (
            "<blockquote class=bluesky-embed><p>We go</p>&mdash; <a href='https://bsky.app/profile/a.example/post/1'>Ada</a></blockquote>",
            "e https://bsky.app/profile/a.example/post/1 We go\n— Ada",
        ),
        (
            "<blockquote class=mastodon-embed data-embed-url='https://m.example/@a/1/embed'>We go</blockquote>",
            "e https://m.example/@a/1/embed We go",
        ),
        (
            "<iframe src='https://www.facebook.com/plugins/post.php?href=https%3A%2F%2Fwww.facebook.com%2Fa%2Fposts%2F1'></iframe>",
            "e https://www.facebook.com/a/posts/1 ",
        ),
        ("<iframe src='about:blank' data-src='https://maps.example/1'>No frames</iframe>", "e https://maps.example/1 "),
        // A comment on a post, and a post without an address, stay quotations.
        (
            "<blockquote>As <a href='https://x.com/a/status/1'>he said</a>, we go.</blockquote>",
            "q As he said, we go. []",
        ),
        ("<blockquote class=twitter-tweet>We go</blockquote>", "q We go []"),
    ] {
        assert_eq!(lines(markup), [expected], "{markup}");
    }
    let listed = "<ul><li>a<iframe src='https://v.example/1'></iframe></li><li>b</li></ul>";
    assert_eq!(lines(listed), ["u a; b", "e https://v.example/1 "]);
}

#[test]
fn tables_and_lists_that_only_lay_out_text_are_ignored() {
    for (markup, expected) in [
        (
            "<table role=presentation><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>",
            &["p a", "p b", "p c"][..],
        ),
        (
            "<table><tr><td><p>a</p><p>b</p></td><td><ul><li>c</li><li>d</li></ul></td></tr></table>",
            &["p a", "p b", "u c; d"],
        ),
        (
            "<table><tr><td>a<table><tr><td>1</td><td>2</td></tr><tr><td>3</td><td>4</td></tr></table></td></tr></table>b",
            &["p a", "p 1 | 2\n3 | 4", "p b"],
        ),
        ("<table><tr><td>1</td><td>2</td></tr><tr><td><p>3</p></td><td>4</td></tr></table>", &["p 1 | 2\n3 | 4"]),
        ("<ul><li><p>a</p><p>b</p></li></ul>", &["p a", "p b"]),
        ("<ul><li><h3>a</h3><p>b</p></li><li><h3>c</h3><p>d</p></li></ul>", &["x a", "p b", "x c", "p d"]),
        ("<ol><li><p>a</p></li><li><p>b</p><p>c</p></li></ol>", &["o a; b\nc"]),
        ("<ul><li><p>a</p><ul><li>b</li></ul></li></ul>c", &["p a", "u b", "p c"]),
    ] {
        assert_eq!(lines(markup), expected, "{markup}");
    }
}

#[test]
fn a_formula_is_not_repeated() {
    let math = "<math alttext='x'><mi>a</mi><mo>=</mo><msup><mi>b</mi><mn>2</mn></msup>ANN</math>";
    let tex = "<annotation encoding='application/x-tex'>{\\displaystyle a=b^2}</annotation>";
    let picture = "<img class='mwe-math-fallback-image-inline' alt='{\\displaystyle a=b^2}' src='https://a.example/1'>";
    for (markup, expected) in [
        (math.replace("ANN", tex), "p a=b^2"),
        (format!("{} {picture}", math.replace("ANN", tex)), "p a=b^2"),
        (format!("See {picture} and {picture}."), "p See a=b^2 and a=b^2."),
        (math.replace("ANN", ""), "p x"),
        (math.replace("ANN", "").replace("alttext", "title"), "p a = b 2"),
        (
            format!("<span class=katex>{}<span class=katex-html>a=b2</span></span>!", math.replace("ANN", tex)),
            "p a=b^2!",
        ),
        ("<math><mi>a</mi>b".to_owned(), "p ab"),
    ] {
        assert_eq!(lines(&markup), [expected], "{markup}");
    }
    assert_eq!(text(&math.replace("ANN", tex)), "a=b^2");
}

#[test]
fn correction_notes_are_recognised_by_words_or_class() {
    for markup in [
        "<aside class='article-correction'><h3>Correction</h3><p>It was Monday.</p></aside>",
        "<div class=correction>Correction<p>It was Monday.</p></div>",
    ] {
        assert_eq!(lines(markup), ["n Correction\nIt was Monday."], "{markup}");
    }
    assert_eq!(lines("<p>This version corrects the day.</p>"), ["n This version corrects the day."]);
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
fn a_field_counts_as_markup_only_if_it_certainly_is() {
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
fn hostile_markup_is_read_in_bounded_time() {
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
        "<math>",
        "<iframe>",
        "<p class=caption>",
        "<table><tr><td>",
        "<table></ul>",
        "<aside class=correction><p>x",
    ] {
        let markup = piece.repeat((128 << 10) / piece.len());
        let started = std::time::Instant::now();
        for markup in [format!("{markup}>"), format!("{deep}{markup}"), format!("<table>{markup}</b>")] {
            assert!(blocks(&markup, None).len() <= Limits::BLOCKS_MAX, "{piece:?}");
            text(&markup);
        }
        // A quadratic reader would take about two hundred times as long.
        assert!(started.elapsed().as_secs() < 20, "{piece:?} {:?}", started.elapsed());
    }
}

/// Fragments of markup, to be combined into markup that nobody would write.
const PIECES: [&str; 40] = [
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
    "<p class=caption>",
    "<span class=photo-credit>",
    "</span>",
    "<aside class=correction>",
    "</aside>",
    "<img src='https://a.example/1.jpg'>",
    "<table role=none>",
    "<iframe src='https://a.example/1'></iframe>",
    "<blockquote class=twitter-tweet>",
    "<a href='https://x.com/a/status/1'>",
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
