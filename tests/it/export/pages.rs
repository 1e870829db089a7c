//! HTML pages: the text of an article cannot break out of its place, and a page loads nothing else.

use dateline::internals::export::{Format, html};
use dateline::model::{Block, BlockKind, Content};
use proptest::prelude::*;

use super::contents::{any_precision, content, item};

const ATTACK: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)></title></style><!--&lt;";

/// A content with an attack in every field.
fn hostile() -> Content {
    let text = || ATTACK.to_owned();
    let blocks = vec![
        BlockKind::Paragraph { text: text() },
        BlockKind::Subheading { text: text() },
        BlockKind::Caption { text: text(), image_url: "javascript:alert(1)".to_owned(), credit: text() },
        BlockKind::Caption { text: text(), image_url: format!("https://a.example/{ATTACK}"), credit: text() },
        BlockKind::Quote { text: text(), attribution: text() },
        BlockKind::List { items: vec![text(), text()], ordered: true },
        BlockKind::Embed { url: "data:text/html,<script>alert(1)</script>".to_owned(), text: text() },
        BlockKind::Embed { url: " JaVaScRiPt:alert(1)".to_owned(), text: String::new() },
        BlockKind::CorrectionNote { text: text() },
    ];
    Content {
        headline: text(),
        standfirst: text(),
        bylines: vec![text()],
        section: text(),
        language: "en".to_owned(),
        canonical_url: format!("https://a.example/?{ATTACK}"),
        keywords: vec![text()],
        rights: text(),
        blocks: blocks.into_iter().map(Block::from).collect(),
        ..Content::default()
    }
}

/// The names of a page's elements and attributes, and the addresses that it links to.
fn elements(page: &str) -> (Vec<String>, Vec<String>) {
    let document = dom_query::Document::from(page);
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for node in document.select("*").nodes() {
        names.push(node.node_name().unwrap().to_string());
        for attribute in node.attrs() {
            let name = attribute.name.local.to_string();
            if matches!(name.as_str(), "href" | "src") {
                addresses.push(attribute.value.to_string());
            }
            names.push(format!("@{name}"));
        }
    }
    (names, addresses)
}

const ELEMENTS: &str = "html head meta title style body main article header h1 h2 p time section dl dt dd code a br figure \
                        figcaption span blockquote footer ol ul li div ins del table tbody tr th td caption";
const ATTRIBUTES: &str = "@lang @dir @charset @http-equiv @content @name @class @datetime @href @rel @scope";

fn assert_harmless(page: &str) {
    let (names, addresses) = elements(page);
    for name in names {
        let known = if name.starts_with('@') { ATTRIBUTES } else { ELEMENTS };
        assert!(known.split_whitespace().any(|known| known == name), "{name} in {page}");
    }
    for address in addresses {
        assert!(address.starts_with("https://") || address.starts_with("http://"), "{address} in {page}");
    }
    assert!(page.contains("default-src 'none'"), "{page}");
    assert!(!page.contains("url(") && !page.contains("@import"), "{page}");
}

#[test]
fn hostile_text_stays_text() {
    let mut item = item(hostile());
    item.urls = vec!["javascript:alert(1)".to_owned(), ATTACK.to_owned()];
    item.withdrawn = Some(dateline::internals::export::Withdrawal { since: None, reason: ATTACK.to_owned() });
    let page = Format::Html.write(&item);
    assert_harmless(&page);
    let said = dom_query::Document::from(page.as_str()).select("article > p").first().text().to_string();
    assert_eq!(said, ATTACK);
    let mut other = item.clone();
    other.content.headline.push_str(ATTACK);
    other.content.blocks.rotate_left(2);
    assert_harmless(&html::compare(Some(&item), &other));
    assert_harmless(&html::compare(None, &item));
}

#[test]
fn a_comparison_shows_changes_of_invisible_characters() {
    let said = |text: &str| Content {
        headline: text.to_owned(),
        blocks: vec![BlockKind::Paragraph { text: text.to_owned() }.into()],
        ..Content::default()
    };
    for (base, target, shown) in [
        ("Pay 100 now", "Pay\u{202e} 100 now", "Pay&#60;U+202E&#62;"),
        ("می\u{200c}خواهم", "میخواهم", "می&#60;U+200C&#62;خواهم"),
        ("12\u{a0}km", "12 km", "&#60;U+00A0&#62;"),
        ("Pay\u{e0041} him", "Pay\u{e0041} her", "Pay&#60;U+E0041&#62;"),
    ] {
        let page = html::compare(Some(&item(said(base))), &item(said(target)));
        assert!(page.matches(shown).count() >= 2, "{shown} is not in {page}");
        assert!(!page.contains(['\u{202e}', '\u{e0041}', '\u{a0}']), "{page}");
    }
}

#[test]
fn a_page_names_its_article_and_revision() {
    let content = Content { headline: "جسر يغلق".to_owned(), language: "ar".to_owned(), ..Content::default() };
    let page = Format::Html.write(&item(content));
    let document = dom_query::Document::from(page.as_str());
    let article = document.select("article");
    assert_eq!((&*article.attr("lang").unwrap(), &*article.attr("dir").unwrap()), ("ar", "rtl"));
    for said in [
        "sources/courier/articles/bridge-to-close",
        "1 of 3",
        "2025-11-02T00:00:00Z",
        "2 November 2025, 00:00:01 UTC",
        "<a href=\"https://m.courier.example/bridge\"",
    ] {
        assert!(page.contains(said), "{said} is not in {page}");
    }
}

#[test]
fn a_comparison_marks_words_and_moves() {
    let paragraph = |text: &str| Block::from(BlockKind::Paragraph { text: text.to_owned() });
    let blocks =
        ["The bridge closes in May.", "Ferries go every hour until it opens again.", "Trains are not concerned."];
    let base =
        Content { headline: "Bridge to close".to_owned(), blocks: blocks.map(paragraph).into(), ..Content::default() };
    let mut target = Content { headline: "Bridge could close".to_owned(), ..base.clone() };
    target.blocks.rotate_left(1);
    target.blocks[2] = paragraph("The bridge closes in June.");
    let page = html::compare(Some(&item(base)), &item(target));
    assert_harmless(&page);
    let document = dom_query::Document::from(page.as_str());
    let texts = |selector: &str| document.select(selector).iter().map(|it| it.text().to_string()).collect::<Vec<_>>();
    assert!(texts("article ins").concat().contains("June"), "{page}");
    assert!(texts("article del").concat().contains("May"), "{page}");
    assert!(texts("td ins").concat().contains("could"), "{page}");
    assert!(!texts(".move .remark").is_empty(), "{page}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_page_is_harmless(base in content(any_precision), target in content(any_precision)) {
        let (base, target) = (item(base), item(target));
        assert_harmless(&Format::Html.write(&target));
        assert_harmless(&html::compare(Some(&base), &target));
        prop_assert!(Format::Text.write(&target).starts_with(&target.content.headline));
    }
}
