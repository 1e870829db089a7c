//! Tests with feeds of each format and the documents made from their entries.

use super::*;
use crate::ingest::times::describe;
use crate::model::{BlockKind, Precision};

const RSS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel>
  <title>The Tidewater Post &amp; Echo</title>
  <link>https://tidewater.example/</link>
  <language>en-gb</language>
  <copyright>Tidewater Media</copyright>
  <item>
    <title>Ferry &lt;em&gt;returns&lt;/em&gt; to port</title>
    <link>/2026/03/ferry</link>
    <guid isPermaLink="false">tp-17</guid>
    <dc:creator>Ada Quay</dc:creator>
    <category>Harbour</category>
    <pubDate>Sun, 01 Mar 2026 18:00:00 GMT</pubDate>
    <description>The night ferry is back after two weeks.</description>
    <content:encoded><![CDATA[<p>The ferry came in at dawn.</p><figure><img src="/f.jpg"><figcaption>The ferry at dawn</figcaption></figure><p>All are well.</p>]]></content:encoded>
  </item>
  <item>
    <title></title>
    <link>https://tidewater.example/untitled</link>
    <description>No title.</description>
  </item>
  <item>
    <title>Tides of the week</title>
    <link>https://tidewater.example/tides</link>
    <pubDate>1 March 2026</pubDate>
    <description>&lt;p&gt;High at noon.&lt;/p&gt;&lt;p&gt;Low at six.&lt;/p&gt;</description>
  </item>
</channel></rss>"#;

fn options() -> Options {
    Options { url: Url::parse("https://tidewater.example/feed.xml").ok(), ..Options::default() }
}

fn paragraphs(document: &Document) -> Vec<&str> {
    let texts = document.content.blocks.iter().filter_map(|block| {
        let BlockKind::Paragraph { text } = &block.kind else { return None };
        Some(text.as_str())
    });
    texts.collect()
}

#[test]
fn entries_of_rss_become_articles() {
    let entries = read(RSS.as_bytes(), &options()).unwrap();
    let [ferry, untitled, tides] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!(ferry.document.as_ref().unwrap().publication.as_deref(), Some("The Tidewater Post & Echo"));
    assert_eq!(ferry.id, "tp-17");
    assert_eq!(ferry.url.as_ref().unwrap().as_str(), "https://tidewater.example/2026/03/ferry");
    let document = ferry.document.as_ref().unwrap();
    let content = &document.content;
    assert_eq!(content.headline, "Ferry returns to port");
    assert_eq!(content.standfirst, "The night ferry is back after two weeks.");
    assert_eq!(content.bylines, ["Ada Quay"]);
    assert_eq!((content.language.as_str(), content.rights.as_str()), ("en-GB", "Tidewater Media"));
    assert_eq!(content.keywords, ["Harbour"]);
    assert_eq!(document.source.as_deref(), Some("tidewater-post-echo"));
    let published = content.publish_time.as_ref().unwrap();
    assert_eq!((describe(published).as_str(), published.found_in.as_str()), ("2026-03-01T18:00:00Z", "feed"));
    assert_eq!(paragraphs(document), ["The ferry came in at dawn.", "All are well."]);
    assert!(content.blocks.iter().any(|block| matches!(&block.kind,
        BlockKind::Caption { text, image_url, .. }
            if text == "The ferry at dawn" && image_url == "https://tidewater.example/f.jpg")));

    // An unusable entry does not affect the others.
    assert!(matches!(untitled.document, Err(IngestError::NoHeadline { .. })));
    let tides = tides.document.as_ref().unwrap();
    assert_eq!(paragraphs(tides), ["High at noon.", "Low at six."]);
    assert_eq!(tides.guesses[0].to_string(), "body: the summary (the feed has no content for this entry)");
    let published = tides.content.publish_time.as_ref().unwrap();
    assert_eq!((published.precision, published.words.as_str()), (Precision::Day, "1 March 2026"));
}

#[test]
fn entries_of_atom_and_json_feed_become_articles() {
    let atom = r#"<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de"><title>Hafenblatt</title><id>urn:h</id>
        <entry><id>urn:h:1</id><title type="html">F&amp;auml;hre zur&amp;uuml;ck</title>
        <link rel="alternate" href="https://hafen.example/1"/><link rel="self" href="https://hafen.example/1.atom"/>
        <updated>2026-03-02T08:00:00+01:00</updated><published>2026-03-01T18:00:00Z</published>
        <author><name>Ada Kai</name></author><content type="html">&lt;p&gt;Sie kam an.&lt;/p&gt;</content></entry></feed>"#;
    let json = r#"{"version": "https://jsonfeed.org/version/1.1", "title": "Hafenblatt", "language": "de", "items": [
        {"id": "urn:h:1", "url": "https://hafen.example/1", "title": "Fähre zurück", "content_html": "<p>Sie kam an.</p>",
         "date_published": "2026-03-01T18:00:00Z", "date_modified": "2026-03-02T08:00:00+01:00",
         "authors": [{"name": "Ada Kai"}]}]}"#;
    for feed in [atom, json] {
        let feed = read(feed.as_bytes(), &Options::default()).unwrap();
        let entry = &feed[0];
        let document = entry.document.as_ref().unwrap();
        assert_eq!((entry.id.as_str(), entry.url.as_ref().unwrap().as_str()), ("urn:h:1", "https://hafen.example/1"));
        let content = &document.content;
        assert_eq!(content.headline, "Fähre zurück");
        assert_eq!(content.bylines, ["Ada Kai"]);
        assert_eq!(paragraphs(document), ["Sie kam an."]);
        assert_eq!(describe(content.modify_time.as_ref().unwrap()), "2026-03-02T07:00:00Z");
    }
}

#[test]
fn a_fingerprint_changes_exactly_when_the_entry_does() {
    let fingerprints = |feed: &str| -> Vec<_> {
        read(feed.as_bytes(), &options()).unwrap().into_iter().map(|entry| (entry.id, entry.fingerprint)).collect()
    };
    let first = fingerprints(RSS);
    assert_eq!(fingerprints(RSS), first);
    let edited = fingerprints(&RSS.replace("Low at six", "Low at seven"));
    assert_eq!(edited[..2], first[..2]);
    assert_eq!(edited[2].0, first[2].0);
    assert_ne!(edited[2].1, first[2].1);
}

#[test]
fn bytes_that_are_not_a_feed_are_rejected_with_a_reason() {
    for (bytes, reason) in [
        (&b"<!DOCTYPE html><title>404</title>"[..], "a web page"),
        (b"", "empty"),
        (b"not a feed", "no root element"),
        (br#"{"items": 3}"#, ""),
        (b"<rss version=\"2.0\"><channel><item><title>a", ""),
    ] {
        match read(bytes, &options()) {
            Err(error @ IngestError::NotAFeed { .. }) => assert!(error.to_string().contains(reason), "{error}"),
            // feed-rs keeps the entries before a truncation.
            Ok(feed) => assert!(feed.len() <= 1),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Covers each form of UTF-16. The parser's own decoding ends the process on one of them.
#[test]
fn a_feed_in_utf_16_is_read_like_any_other() {
    let text = RSS.replace("UTF-8", "UTF-16");
    for mark in ["\u{feff}", ""] {
        let units: Vec<u16> = format!("{mark}{text}").encode_utf16().collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        for bytes in [big, little] {
            let feed = read(&bytes, &options()).unwrap();
            let publication = feed[0].document.as_ref().unwrap().publication.as_deref();
            assert_eq!((publication, feed.len()), (Some("The Tidewater Post & Echo"), 3));
        }
    }
    let feed = b"<rss version='2.0'><channel><item><title>F\xe4hre</title></item></channel></rss>";
    let stated = Options { charset: Some("windows-1252".to_owned()), ..options() };
    assert_eq!(read(feed, &stated).unwrap()[0].document.as_ref().unwrap().content.headline, "F\u{e4}hre");
}

#[test]
fn a_panic_in_the_parser_is_an_error() {
    let read = unless_it_panics::<()>(|| panic!("a third-party parser"));
    assert!(matches!(read, Err(IngestError::Unreasonable { .. })));
}

fn rss(items: &str) -> Vec<Entry> {
    let feed = format!(
        "<rss version='2.0' xmlns:dc='http://purl.org/dc/elements/1.1/'><channel><title>Tidewater</title>{items}</channel></rss>"
    );
    read(feed.as_bytes(), &options()).unwrap()
}

#[test]
fn entries_with_the_same_guid_are_distinguished_by_their_urls() {
    let item = |at: &str, title: &str| {
        format!("<item><title>{title}</title><link>/{at}</link><guid isPermaLink='false'>g</guid></item>")
    };
    let feed = rss(&[item("a", "Pier opens"), item("b", "Pier closes"), item("a", "An older pier")].concat());
    let ids: Vec<_> = feed.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["g\nhttps://tidewater.example/a", "g\nhttps://tidewater.example/b"]);
    assert_eq!(feed[0].document.as_ref().unwrap().content.headline, "Pier opens");
    assert_eq!(rss(&item("a", "Pier opens"))[0].id, "g");
}

#[test]
fn entries_with_the_same_instant_in_different_words_keep_their_own_precision() {
    let day = "<item><title>A</title><guid>1</guid><dc:date>2026-05-04</dc:date></item>";
    let instant = "<item><title>B</title><guid>2</guid><pubDate>Mon, 04 May 2026 00:00:00 GMT</pubDate></item>";
    let (one, other) = (rss(&format!("{day}{instant}")), rss(&format!("{instant}{day}")));
    let times = |feed: &[Entry]| -> Vec<_> {
        let times = feed.iter().map(|entry| entry.document.as_ref().unwrap().content.publish_time.clone().unwrap());
        times.map(|time| (time.precision, time.time)).collect()
    };
    assert_eq!(times(&one).iter().map(|time| time.0).collect::<Vec<_>>(), [Precision::Day, Precision::Instant]);
    assert_eq!(times(&one)[0], times(&other)[1]);
    assert_eq!(one[0].fingerprint, other[1].fingerprint, "the order of entries does not matter");
}

#[test]
fn tracking_parameters_are_not_part_of_the_content() {
    let content = |query: &str| {
        let feed = rss(&format!("<item><title>A</title><link>/a?p=1&amp;utm_campaign={query}</link></item>"));
        feed[0].document.as_ref().unwrap().content.clone()
    };
    assert_eq!(content("mon"), content("tue"));
    assert_eq!(content("mon").canonical_url, "https://tidewater.example/a?p=1");
}

proptest::proptest! {
    /// Any bytes are either read as a feed or rejected.
    #[test]
    fn no_bytes_panic(at in 0..RSS.len(), bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..8)) {
        let mut feed = RSS.as_bytes().to_vec();
        feed.splice(at..(at + bytes.len()).min(RSS.len()), bytes);
        drop(read(&feed, &options()));
    }
}
