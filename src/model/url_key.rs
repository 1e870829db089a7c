//! URL keys: one identity for all spellings of one address.
//!
//! A key is `com,example,www)/path?query`: the Sort-friendly URI Reordering Transform (SURT) by which web archives
//! index, applied to the URL as the WHATWG standard normalises it. Unlike the archives' usual form, it preserves
//! `www.`, the letter case of path and query, and the order of parameters, since a site may respond differently to
//! each: two keys for one page can be joined later by an alias, but two pages under one key can never be separated. It
//! drops what cannot select content: the scheme with its default port (sites moved from http to https), credentials,
//! the dot at the host's end, the fragment, and known tracking parameters. Percent-encoding is normalised as in RFC 3986,
//! sections 6.2.2.1 and 6.2.2.2: its digits are upper case, and a character that needs none has none.
//!
//! Keys are stored: changing these rules changes the storage format.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use url::{Host, ParseError, Url};

/// The key under which a URL is found: normalised, without fragment and tracking parameters, and with the host's labels
/// reversed so that keys sort by domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UrlKey(Arc<str>);

/// A URL as a client or page states it, with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArticleUrl {
    /// The URL, byte for byte as stated.
    pub original: String,
    /// The key derived from it.
    pub key: UrlKey,
}

/// Why a text is not a usable URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It cannot be parsed.
    #[error("{url:?} is not a URL: {reason}")]
    Malformed {
        /// The text, cut to 160 characters.
        url: String,
        /// Why it cannot be parsed.
        reason: String,
    },
    /// It has a scheme other than http and https.
    #[error("{url:?} is not an http or https URL")]
    Scheme {
        /// The text, cut to 160 characters.
        url: String,
    },
}

impl UrlKey {
    /// The key of `url`, an absolute http or https URL.
    ///
    /// # Errors
    /// [`UrlError::Scheme`] for any other scheme, [`UrlError::Malformed`] if the text cannot be parsed or has no host.
    pub fn of(url: &str) -> Result<Self, UrlError> {
        let parsed = Url::parse(url).map_err(|error| malformed(url, error))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(UrlError::Scheme { url: excerpt(url) });
        }
        let mut key = sortable_host(parsed.host()).ok_or_else(|| malformed(url, ParseError::EmptyHost))?;
        // The parser has already dropped the scheme's default port.
        if let Some(port) = parsed.port() {
            key.push_str(&format!(":{port}"));
        }
        key.push(')');
        key.push_str(&with_normal_escapes(parsed.path()));
        let query = parsed.query().map(with_normal_escapes);
        let query = query.map(|query| without_tracking(&query)).unwrap_or_default();
        if !query.is_empty() {
            key.push('?');
            key.push_str(&query);
        }
        Ok(Self(key.into()))
    }

    /// The prefix that the keys of all URLs beginning with `url` have in common.
    ///
    /// `https://example.com` covers the whole host, but not `example.com.au`, `www.example.com` or another port, since
    /// a key closes the host with `)`. After the host the prefix is plain text: `…/world/` is a section, while
    /// `…/world` also covers `…/world-cup`.
    ///
    /// # Errors
    /// As [`UrlKey::of`].
    pub fn prefix_of(url: &str) -> Result<Self, UrlError> {
        // The key of an address without a path ends in `/`, with which every path begins.
        Self::of(url)
    }

    /// Whether `prefix`, a result of [`UrlKey::prefix_of`], covers this key.
    pub fn starts_with(&self, prefix: &Self) -> bool {
        self.0.starts_with(&*prefix.0)
    }

    /// A key read from storage. It is not checked.
    pub fn from_stored(key: &str) -> Self {
        Self(key.into())
    }

    /// The simplest URL that has this key, over https where possible.
    pub fn to_url(&self) -> String {
        let (host, rest) = self.0.split_once(')').unwrap_or((&self.0, "/"));
        let (reversed, port) = match host.rsplit_once(':') {
            Some((reversed, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (reversed, Some(port)),
            Some(_) | None => (host, None),
        };
        let labels: Vec<_> = reversed.rsplit(',').map(|label| label.replace("%2C", ",").replace("%29", ")")).collect();
        // With https, port 443 would be dropped as the default and give another key.
        let scheme = if port == Some("443") { "http" } else { "https" };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{}{port}{rest}", labels.join("."))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ArticleUrl {
    /// Parses a URL, and keeps the original byte for byte.
    ///
    /// # Errors
    /// As [`UrlKey::of`].
    pub fn parse(original: &str) -> Result<Self, UrlError> {
        UrlKey::of(original).map(|key| Self { original: original.to_owned(), key })
    }
}

impl fmt::Display for UrlKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The host with its labels reversed. An IP address stays as it is, since its most significant part comes first.
/// `None` if there is no host.
fn sortable_host(host: Option<Host<&str>>) -> Option<String> {
    match host? {
        Host::Domain(domain) => {
            // One trailing dot denotes the root. A second one would mean an empty label, which no host has. It must not
            // be dropped either: `2..` without its dots would be the address 0.0.0.2.
            let labels = domain.strip_suffix('.').unwrap_or(domain);
            if labels.ends_with('.') {
                return None;
            }
            // The standard allows `,` and `)` in a host. Unescaped, they could produce the key of another host. The
            // escapes are unambiguous, because `%` is not allowed in a host.
            let reversed = || labels.rsplit('.').map(|label| label.replace(',', "%2C").replace(')', "%29"));
            (!labels.is_empty()).then(|| reversed().collect::<Vec<_>>().join(","))
        }
        Host::Ipv4(address) => Some(address.to_string()),
        Host::Ipv6(address) => Some(format!("[{address}]")),
    }
}

/// A path or a query with its percent-encoding in normal form. A percent sign that encodes nothing stays.
fn with_normal_escapes(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut normal = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let encoded =
            piece.split_at_checked(2).filter(|(digits, _)| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match encoded.and_then(|(digits, rest)| Some((u8::from_str_radix(digits, 16).ok()?, rest))) {
            Some((byte, rest)) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') => {
                normal.push(byte.into());
                normal.push_str(rest);
            }
            Some((byte, rest)) => normal.push_str(&format!("%{byte:02X}{rest}")),
            None => normal.push_str(&format!("%{piece}")),
        }
    }
    normal
}

/// The query without tracking parameters. The rest keeps its bytes and its order.
fn without_tracking(query: &str) -> String {
    let name = |parameter: &str| parameter.split_once('=').map_or(parameter, |(name, _)| name).to_owned();
    query.split('&').filter(|parameter| !is_tracking(&name(parameter))).collect::<Vec<_>>().join("&")
}

/// A URL without its known tracking parameters, which do not affect what it leads to. Nothing else in it changes.
pub fn untracked(url: &str) -> String {
    let (address, fragment) = url.find('#').map_or((url, ""), |at| url.split_at(at));
    let Some((path, query)) = address.split_once('?') else { return url.to_owned() };
    let kept = without_tracking(query);
    match kept.as_str() {
        kept if kept == query => url.to_owned(),
        "" => format!("{path}{fragment}"),
        kept => format!("{path}?{kept}{fragment}"),
    }
}

/// Whether a query parameter of this name only says how a reader got to the page. A name is listed if the maker of a
/// tool documents it as the tool's own, and the tool adds it to links to *other people's* sites. Plain words such as
/// `ref`, `source` or `cmp` are not listed, nor are other spellings or cases of the listed names: if one parameter too
/// many is kept, a page has two keys, but if one too many is dropped, two pages share a key.
fn is_tracking(name: &str) -> bool {
    // Campaign tags of Google Analytics, which most newsletters and social tools set, and of Matomo.
    if name.starts_with("utm_") || name.starts_with("mtm_") {
        return true;
    }
    matches!(
        name,
        // Google Ads and Merchant Center: click and campaign ids.
        "gclid" | "gclsrc" | "dclid" | "gbraid" | "wbraid" | "gad_source" | "gad_campaignid" | "srsltid"
            // Google Analytics: identifies a visitor across domains.
            | "_ga" | "_gl"
            // Click and share ids of Facebook and Instagram, Microsoft Ads, X, TikTok, LinkedIn, Reddit.
            | "fbclid" | "igshid" | "igsh" | "msclkid" | "twclid" | "ttclid" | "li_fat_id" | "rdt_cid"
            // Yandex: click ids of its advertisements and its search.
            | "yclid" | "ysclid"
            // Mailings: Mailchimp's campaign and recipient, HubSpot's, Marketo's.
            | "mc_cid" | "mc_eid" | "_hsenc" | "_hsmi" | "mkt_tok"
            // Matomo's campaign tags under its former name, Piwik.
            | "pk_campaign" | "pk_kwd" | "pk_keyword"
            // Piano Analytics, formerly AT Internet: set in the feeds of the BBC and of French papers.
            | "at_medium" | "at_campaign" | "xtor"
            // comScore Digital Analytix.
            | "ns_mchannel" | "ns_source" | "ns_campaign" | "ns_linkname"
    )
}

fn malformed(url: &str, error: ParseError) -> UrlError {
    UrlError::Malformed { url: excerpt(url), reason: error.to_string() }
}

fn excerpt(url: &str) -> String {
    without_credentials(url).chars().take(160).collect()
}

/// A URL without user name and password, for messages. Any other text stays as it is.
pub fn without_credentials(url: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else { return Cow::Borrowed(url) };
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((credentials, _)) => {
            Cow::Owned(format!("{scheme}://{}", rest.get(credentials.len() + 1..).unwrap_or_default()))
        }
        None => Cow::Borrowed(url),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(url: &str) -> String {
        UrlKey::of(url).unwrap_or_else(|error| panic!("{error}")).to_string()
    }

    #[test]
    fn a_message_has_no_password() {
        for (url, shown) in [
            ("https://u:p@a.example/x", "https://a.example/x"),
            ("https://u:p@ss@a.example?q=@", "https://a.example?q=@"),
            ("https://u@a.example", "https://a.example"),
            ("https://a.example/@u:p", "https://a.example/@u:p"),
            ("u:p@a.example", "u:p@a.example"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
        let error = UrlKey::of("ftp://u:secret@a.example").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn a_key_converts_back_to_a_url_with_that_key() {
        for url in [
            "https://www.example.com/world/story?id=1",
            "https://example.com",
            "http://example.com:443/a",
            "https://example.com:80/a",
            "http://127.0.0.1:7411/a)b",
            "https://[::1]:99/a",
            "https://[2001:db8::1]/a",
            "http://localhost/",
        ] {
            let key = UrlKey::of(url).unwrap();
            assert_eq!(UrlKey::of(&key.to_url()).unwrap(), key, "{url} became {}", key.to_url());
        }
        assert_eq!(UrlKey::of("http://www.example.com/a").unwrap().to_url(), "https://www.example.com/a");
    }

    /// Found by fuzzing: without its dots, `2..` was read as a numeric address, and the URL of its key had another key.
    #[test]
    fn a_host_with_an_empty_label_is_rejected() {
        assert_eq!(key("https://example.com./a"), "com,example)/a");
        assert!(UrlKey::of("https://2../x").is_err());
    }

    #[test]
    fn the_labels_of_the_host_are_reversed() {
        assert_eq!(key("https://www.example.com/world/story?id=1"), "com,example,www)/world/story?id=1");
        assert_eq!(key("https://example.com"), "com,example)/");
        assert_eq!(key("http://localhost/"), "localhost)/");
        assert_ne!(key("https://www.example.com/"), key("https://example.com/"));
    }

    #[test]
    fn what_cannot_change_the_page_is_not_part_of_the_key() {
        let plain = key("https://example.com/a");
        for same in [
            "http://example.com/a",
            "HTTPS://Example.COM/a",
            "http://example.com:80/a",
            "https://example.com:443/a",
            "https://example.com./a",
            "https://reader:secret@example.com/a",
            "https://example.com/a#top",
            "https://example.com/a?",
            "https://example.com/a?#top",
            "https://example.com/b/../a",
            "https://example.com/%2e/a",
            "https:\\\\example.com\\a",
            " https://exa\tmple.com/a\n",
        ] {
            assert_eq!(key(same), plain, "{same:?}");
        }
    }

    #[test]
    fn spellings_of_percent_encoding_are_one_key() {
        for (url, expected) in [
            ("https://example.com/%7Ea/%c3%a9", "com,example)/~a/%C3%A9"),
            ("https://example.com/~a/é", "com,example)/~a/%C3%A9"),
            ("https://example.com/st%6frm?%75tm_source=x&q=%d8%AE", "com,example)/storm?q=%D8%AE"),
            ("https://example.com/%2561", "com,example)/%2561"),
        ] {
            assert_eq!(key(url), expected);
        }
    }

    #[test]
    fn what_can_change_the_page_is_part_of_the_key() {
        assert_eq!(key("https://example.com/Story/A"), "com,example)/Story/A");
        assert_eq!(key("https://example.com/a//b/"), "com,example)/a//b/");
        assert_eq!(key("https://example.com/index.html"), "com,example)/index.html");
        assert_eq!(key("https://example.com/a%2Fb%25%zz%"), "com,example)/a%2Fb%25%zz%");
        assert_eq!(key("https://example.com/é"), "com,example)/%C3%A9");
        assert_eq!(key("https://example.com/?b=2&a=1&b=1"), "com,example)/?b=2&a=1&b=1");
        assert_eq!(key("https://example.com/?q=A+b%20c%2c&&=&x"), "com,example)/?q=A+b%20c%2C&&=&x");
    }

    #[test]
    fn a_port_other_than_the_default_is_kept() {
        assert_eq!(key("https://example.com:8443/a"), "com,example:8443)/a");
        assert_eq!(key("http://example.com:443/a"), "com,example:443)/a");
        assert_eq!(key("http://[2001:DB8:0::1]:8080/"), "[2001:db8::1]:8080)/");
    }

    #[test]
    fn an_ip_address_is_not_reversed() {
        assert_eq!(key("http://192.0.2.7/a"), "192.0.2.7)/a");
        assert_eq!(key("http://0xC0000207/a"), "192.0.2.7)/a");
        assert_eq!(key("https://[2001:db8::1]/a"), "[2001:db8::1])/a");
    }

    #[test]
    fn an_international_host_becomes_punycode() {
        assert_eq!(key("https://www.bücher.example/"), "example,xn--bcher-kva,www)/");
        assert_eq!(key("https://www.B%C3%BCcher.example/"), "example,xn--bcher-kva,www)/");
    }

    #[test]
    fn no_two_hosts_share_a_key() {
        assert_eq!(key("https://a,b.example/"), "example,a%2Cb)/");
        assert_ne!(key("https://a,b.example/"), key("https://b.a.example/"));
        assert_eq!(key("https://a)b.example/"), "example,a%29b)/");
    }

    #[test]
    fn tracking_parameters_are_dropped() {
        let plain = key("https://example.com/a");
        assert_eq!(key("https://example.com/a?utm_source=x&utm_medium=y&fbclid=z"), plain);
        assert_eq!(key("https://example.com/a?gclid"), plain);
        assert_eq!(key("https://example.com/a?at_medium=RSS&at_campaign=rss#x"), plain);
        assert_eq!(key("https://example.com/a?p=1&utm_source=x&q=%c3%a9"), format!("{plain}?p=1&q=%C3%A9"));
        assert_eq!(key("https://example.com/a?_ga=1.2&p=1&mc_eid=3"), format!("{plain}?p=1"));
    }

    #[test]
    fn a_url_loses_nothing_but_its_tracking_parameters() {
        for (url, left) in [
            ("https://example.com/a?utm_source=x&p=%c3&_ga=2#top", "https://example.com/a?p=%c3#top"),
            ("https://Example.com/a?utm_source=x#top?utm_medium=y", "https://Example.com/a#top?utm_medium=y"),
            ("https://example.com/a?", "https://example.com/a?"),
            ("https://example.com/a?p=1&&q", "https://example.com/a?p=1&&q"),
            ("https://example.com/a#utm_source=x", "https://example.com/a#utm_source=x"),
        ] {
            assert_eq!(untracked(url), left);
        }
    }

    #[test]
    fn parameters_that_resemble_tracking_ones_are_kept() {
        for query in [
            "ref=x",
            "id=1",
            "source=rss",
            "utm=1",
            "xutm_source=1",
            "UTM_source=1",
            "q=gclid",
            "gclid2=1",
            "a;gclid=1",
        ] {
            assert_eq!(key(&format!("https://example.com/a?{query}")), format!("com,example)/a?{query}"));
        }
    }

    #[test]
    fn other_schemes_and_broken_urls_are_rejected() {
        for other in ["ftp://example.com/", "mailto:a@example.com", "data:,x", "file:///etc/passwd", "localhost:8080/a"]
        {
            assert!(matches!(UrlKey::of(other), Err(UrlError::Scheme { .. })), "{other:?}");
        }
        for broken in [
            "",
            "example.com/a",
            "//example.com/",
            "https://",
            "https://./",
            "https://a b/",
            "http://[::1",
            "http://a:99999/",
        ] {
            assert!(matches!(UrlKey::of(broken), Err(UrlError::Malformed { .. })), "{broken:?}");
        }
    }

    #[test]
    fn an_error_quotes_at_most_160_characters() {
        let Err(UrlError::Scheme { url }) = UrlKey::of(&format!("data:{}", "é".repeat(500))) else {
            panic!("accepted")
        };
        assert_eq!(url.chars().count(), 160);
    }

    #[test]
    fn the_original_is_kept() {
        let url = ArticleUrl::parse(" https://Example.com/a?utm_source=x#y").unwrap();
        assert_eq!(url.original, " https://Example.com/a?utm_source=x#y");
        assert_eq!(url.key.as_str(), "com,example)/a");
    }

    #[test]
    fn a_prefix_covers_its_host_and_path_only() {
        let within = |url, prefix| UrlKey::of(url).unwrap().starts_with(&UrlKey::prefix_of(prefix).unwrap());
        for prefix in
            ["https://example.com", "http://example.com/", "https://example.com/world/", "https://example.com/w"]
        {
            assert!(within("https://example.com/world/a?b=1", prefix), "{prefix}");
        }
        for other in [
            "https://example.com.au/world/a",
            "https://www.example.com/world/a",
            "https://example.community/world/a",
            "https://example.com:8443/world/a",
            "https://xexample.com/world/a",
        ] {
            assert!(!within(other, "https://example.com"), "{other}");
        }
        assert!(!within("https://example.com/worldwide", "https://example.com/world/"));
        assert!(within("https://example.com/worldwide", "https://example.com/world"));
        assert!(!within("https://example.com/World/a", "https://example.com/world/"));
    }

    #[test]
    fn a_domain_sorts_before_its_subdomains_which_sort_together() {
        let urls = [
            "https://example.com/z",
            "https://example.com:81/",
            "https://a.example.com/",
            "https://b.example.com/a",
            "https://examples.com/",
        ];
        let mut keys = urls.map(key);
        keys.sort();
        assert_eq!(
            keys,
            ["com,example)/z", "com,example,a)/", "com,example,b)/a", "com,example:81)/", "com,examples)/"]
        );
    }

    fn host() -> impl Strategy<Value = String> {
        "([a-zA-Z0-9é,)_-]{1,8}\\.){0,3}[a-z]{2,5}\\.?|[0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[[0-9a-f:]{2,12}\\]"
    }

    fn web_url() -> impl Strategy<Value = String> {
        let parameter = prop_oneof!["[a-zA-Z%+é;=]{0,6}", "utm_[a-z]{0,4}=[a-z]{0,3}", Just("gclid=1".to_owned())];
        let query = proptest::collection::vec(parameter, 0..5).prop_map(|parameters| parameters.join("&"));
        let scheme = prop_oneof!["https?", Just("HTTP".to_owned())];
        (
            scheme,
            host(),
            prop_oneof!["", ":[0-9]{1,5}"],
            "[a-zA-Z0-9%./é\\\\ ~)!-]{0,20}",
            query,
            prop_oneof!["", "#[a-z]{0,3}"],
        )
            .prop_map(|(scheme, host, port, path, query, end)| format!("{scheme}://{host}{port}/{path}?{query}{end}"))
    }

    /// A URL that has the key `key`, over https unless the port is 443.
    fn address(key: &str) -> String {
        let (host, rest) = key.split_once(')').unwrap();
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, format!(":{port}")),
            _ => (host, String::new()),
        };
        let labels = host.rsplit(',').map(|label| label.replace("%2C", ",").replace("%29", ")"));
        let scheme = if port == ":443" { "http" } else { "https" };
        format!("{scheme}://{}{port}{rest}", labels.collect::<Vec<_>>().join("."))
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = UrlKey::of(&text);
            let _ = UrlKey::of(&format!("http://{text}"));
            let _ = ArticleUrl::parse(&format!("https://example.com/{text}"));
        }

        #[test]
        fn a_key_is_the_key_of_its_own_address(url in web_url()) {
            if let Ok(first) = UrlKey::of(&url) {
                prop_assert_eq!(key(&address(first.as_str())), first.as_str());
            }
        }

        #[test]
        fn normalising_first_changes_nothing(url in web_url()) {
            if let Ok(normal) = Url::parse(&url) {
                prop_assert_eq!(UrlKey::of(normal.as_str()), UrlKey::of(&url).map_err(|_| malformed(normal.as_str(), ParseError::EmptyHost)));
            }
        }

        #[test]
        fn a_tracking_parameter_changes_nothing(url in web_url(), at in 0_usize..4) {
            let (bare, _) = url.split_once('#').unwrap_or((&url, ""));
            let (path, query) = bare.split_once('?').unwrap();
            let mut parameters: Vec<&str> = query.split('&').collect();
            parameters.insert(at.min(parameters.len()), "utm_campaign=x");
            let tracked = format!("{path}?{}", parameters.join("&"));
            prop_assert_eq!(UrlKey::of(&tracked).ok(), UrlKey::of(&url).ok());
        }

        #[test]
        fn every_key_is_within_its_own_host(url in web_url()) {
            if let Ok(found) = UrlKey::of(&url) {
                let (site, _) = url.split_at(url.match_indices('/').nth(2).unwrap().0);
                prop_assert!(found.starts_with(&UrlKey::prefix_of(site).unwrap()));
            }
        }
    }
}
