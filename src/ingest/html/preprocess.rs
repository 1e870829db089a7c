//! Preprocesses a page for Readability, which finds the body.
//!
//! Readability keeps paragraphs and video frames, and drops much of the rest. Other parts of an article are therefore
//! rewritten into elements that Readability keeps: frames that show documents, maps, charts and posts; the elements of
//! AMP pages; and correction notes, which many pages put into an aside or a footer. Parts of an article element that
//! are not the article's text, such as readers' comments, are removed.

use dom_query::{Document as Tree, NodeRef};
use url::{Host, Url};

use crate::ingest::{is_correction, markup};

/// At most this many elements of a kind are rewritten.
const ELEMENTS_MAX: usize = 1_000;
/// The name and value of an attribute that makes Readability keep a frame. Readability keeps every frame that has the
/// address of a video site in any attribute.
const VIDEO_MARK: (&str, &str) = ("data-kept", "//archive.org");
/// An element with more words or nodes contains more than a correction note.
const NOTE_WORDS_MAX: usize = 150;
const NOTE_NODES_MAX: usize = 300;

/// Parts of an article element that are not the article's text: readers' comments, which change on their own; the
/// controls of video players; and the edit links of Wikipedia's headings.
const NOT_ARTICLE_TEXT: &str = "#comments, #comment-list, #disqus_thread, #respond, .comment-list, .commentlist, \
    .comments-area, .vjs-control-bar, .vjs-modal-dialog, .vjs-error-display, .mejs-controls, .jw-controls, \
    .plyr__controls, .mw-editsection";

/// Rewrites a page in place.
pub(super) fn preprocess(tree: &Tree) {
    for node in tree.select(NOT_ARTICLE_TEXT).nodes() {
        // A class of the whole page does not mean that all of the page is such a part.
        if !node.is("html, body, main, article") {
            node.remove_from_parent();
        }
    }
    tree.select("amp-img").rename("img");
    // The footer of a quotation names the person quoted, but Readability drops footers.
    tree.select("blockquote footer").rename("cite");
    replace_amp_elements(tree);
    for frame in tree.select("iframe").nodes().iter().take(ELEMENTS_MAX) {
        keep_frame(frame);
    }
    for note in
        tree.select("aside, footer, [class*='orrection'], [class*='larification']").nodes().iter().take(ELEMENTS_MAX)
    {
        keep_note(note);
    }
}

/// Replaces AMP elements with the frames that they stand for.
fn replace_amp_elements(tree: &Tree) {
    const ELEMENTS: [(&str, &str, &str); 7] = [
        ("amp-iframe", "src", ""),
        ("amp-facebook", "data-href", ""),
        ("amp-youtube", "data-videoid", "https://www.youtube.com/embed/"),
        ("amp-vimeo", "data-videoid", "https://player.vimeo.com/video/"),
        ("amp-dailymotion", "data-videoid", "https://www.dailymotion.com/embed/video/"),
        ("amp-twitter", "data-tweetid", "https://twitter.com/i/status/"),
        ("amp-instagram", "data-shortcode", "https://www.instagram.com/p/"),
    ];
    for (name, attribute, address) in ELEMENTS {
        for node in tree.select(name).nodes().iter().take(ELEMENTS_MAX) {
            if let Some(value) = node.attr(attribute) {
                node.rename("iframe");
                node.remove_children();
                node.set_attr("src", &format!("{address}{value}"));
                node.set_attr(VIDEO_MARK.0, VIDEO_MARK.1);
            }
        }
    }
}

/// Marks a frame to be kept if articles commonly embed content from its site. Most other frames are advertisements.
fn keep_frame(frame: &NodeRef<'_>) {
    const SOURCES: [&str; 3] = ["src", "data-src", "data-lazy-src"];
    let is_address = |url: &String| !matches!(url.trim(), "" | "about:blank");
    let Some(url) = SOURCES.iter().filter_map(|name| frame.attr(name)).map(String::from).find(is_address) else {
        return;
    };
    if frame.has_class("mastodon-embed") || is_commonly_embedded(&url) {
        frame.set_attr("src", &url);
        frame.set_attr(VIDEO_MARK.0, VIDEO_MARK.1);
    }
}

fn is_commonly_embedded(address: &str) -> bool {
    const SITES: [(&str, &str); 34] = [
        ("docs.google.com", "/"),
        ("drive.google.com", "/"),
        ("google.com", "/maps"),
        ("maps.google.com", "/"),
        ("openstreetmap.org", "/"),
        ("arcgis.com", "/"),
        ("mapbox.com", "/"),
        ("carto.com", "/"),
        ("umap.openstreetmap.fr", "/"),
        ("datawrapper.dwcdn.net", "/"),
        ("flo.uri.sh", "/"),
        ("flourish.studio", "/"),
        ("infogram.com", "/"),
        ("public.tableau.com", "/"),
        ("ourworldindata.org", "/"),
        ("documentcloud.org", "/"),
        ("scribd.com", "/"),
        ("issuu.com", "/"),
        ("slideshare.net", "/"),
        ("cdn.knightlab.com", "/"),
        ("soundcloud.com", "/"),
        ("open.spotify.com", "/"),
        ("bandcamp.com", "/"),
        ("embed.podcasts.apple.com", "/"),
        ("embed.acast.com", "/"),
        ("ted.com", "/"),
        ("streamable.com", "/"),
        ("players.brightcove.net", "/"),
        ("platform.twitter.com", "/embed/"),
        ("facebook.com", "/plugins/post.php"),
        ("facebook.com", "/plugins/video.php"),
        ("instagram.com", "/p/"),
        ("tiktok.com", "/embed"),
        ("embed.bsky.app", "/"),
    ];
    // An address without a scheme takes that of the page.
    let address = address.trim();
    let address = if address.starts_with("//") { format!("https:{address}") } else { address.to_owned() };
    let Ok(url) = Url::parse(&address) else { return false };
    let Some(Host::Domain(host)) = url.host() else { return false };
    SITES.iter().any(|(site, path)| markup::is_of(host, site) && url.path().starts_with(path))
}

/// Rewrites an element so that Readability keeps it like any other block, if the element is a correction note.
fn keep_note(note: &NodeRef<'_>) {
    let name = note.node_name().unwrap_or_default();
    let class = note.class().unwrap_or_default().to_lowercase();
    let is_named = class.contains("correction") || class.contains("clarification");
    if !matches!(&*name, "aside" | "footer" | "div" | "section" | "p") || !(is_named || is_correction(&opening(note))) {
        return;
    }
    // An element that contains more than the note stays as it is.
    if is_short(note) {
        if &*name != "p" {
            note.rename("div");
        }
        note.remove_attrs(&["id", "role", "hidden"]);
        note.set_attr("class", "article correction");
    }
}

fn is_short(node: &NodeRef<'_>) -> bool {
    let (mut nodes, mut words) = (0, 0);
    node.descendants_it().all(|node| {
        nodes += 1;
        if node.is_text() {
            words += node.text().split_whitespace().take(NOTE_WORDS_MAX + 1).count();
        }
        nodes <= NOTE_NODES_MAX && words <= NOTE_WORDS_MAX
    })
}

/// The first words of an element: at least 60 characters, unless the first 16 nodes have fewer.
fn opening(node: &NodeRef<'_>) -> String {
    const CHARS_MIN: usize = 60;
    const NODES_MAX: usize = 16;
    let mut text = String::new();
    for node in node.descendants_it().take(NODES_MAX).filter(NodeRef::is_text) {
        text.extend(node.text().chars().take(2 * CHARS_MIN));
        text.push(' ');
        if markup::one_line(&text).chars().count() >= CHARS_MIN {
            break;
        }
    }
    markup::one_line(&text)
}
