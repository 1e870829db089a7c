//! Recognises posts of social networks, and finds the addresses of embedded content.

use url::Url;

use super::tokens::Tag;

/// Whether a quotation has a class by which a network's script recognises a post.
pub(super) fn is_marked(tag: Tag<'_>) -> bool {
    const CLASSES: [&str; 10] = [
        "twitter-tweet",
        "twitter-video",
        "instagram-media",
        "tiktok-embed",
        "bluesky-embed",
        "mastodon-embed",
        "reddit-embed-bq",
        "text-post-media",
        "fb-xfbml-parse-ignore",
        "tumblr-post",
    ];
    let class = tag.attribute("class").unwrap_or_default();
    class.split_ascii_whitespace().any(|name| CLASSES.contains(&name))
}

/// The address of a post, if an attribute of the quotation states one.
pub(super) fn stated_url(tag: Tag<'_>) -> Option<String> {
    const ATTRIBUTES: [&str; 5] =
        ["data-instgrm-permalink", "data-embed-url", "data-text-post-permalink", "data-href", "cite"];
    ATTRIBUTES.iter().find_map(|name| tag.attribute(name)).filter(|url| !url.trim().is_empty())
}

/// Whether the address is that of a post on a known network.
pub(super) fn is_post(url: &str) -> bool {
    const POSTS: [(&str, &[&str]); 10] = [
        ("twitter.com", &["/status/", "/statuses/"]),
        ("x.com", &["/status/"]),
        ("instagram.com", &["/p/", "/reel/", "/tv/"]),
        ("facebook.com", &["/posts/", "/videos/", "/permalink", "/photos/", "/watch"]),
        ("bsky.app", &["/post/"]),
        ("tiktok.com", &["/video/"]),
        ("threads.net", &["/post/"]),
        ("threads.com", &["/post/"]),
        ("reddit.com", &["/comments/"]),
        ("tumblr.com", &["/post/"]),
    ];
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    POSTS.iter().any(|(site, paths)| is_of(host, site) && paths.iter().any(|path| url.path().contains(path)))
}

/// The address of a frame's content. For a frame that shows a post, this is the address of the post itself.
pub(super) fn frame_url(tag: Tag<'_>) -> Option<String> {
    const ATTRIBUTES: [&str; 4] = ["src", "data-src", "data-lazy-src", "data-original"];
    let is_address = |url: &String| !matches!(url.trim(), "" | "about:blank");
    let url = ATTRIBUTES.iter().filter_map(|name| tag.attribute(name)).find(is_address)?;
    Some(post_in(&url).unwrap_or(url))
}

/// The address of the post that a frame shows; `None` if it shows something else.
fn post_in(frame: &str) -> Option<String> {
    let url = Url::parse(frame).ok()?;
    let host = url.host_str()?;
    let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    if is_of(host, "facebook.com") && url.path().contains("/plugins/") {
        return value("href");
    }
    let is_tweet = host == "platform.twitter.com" && url.path().ends_with("/Tweet.html");
    is_tweet.then(|| value("id")).flatten().map(|id| format!("https://twitter.com/i/status/{id}"))
}

/// Whether a host is the site's domain or a subdomain of it.
pub(in crate::ingest) fn is_of(host: &str, site: &str) -> bool {
    host.strip_suffix(site).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
