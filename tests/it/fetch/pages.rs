//! Pages that are fetched, and fetched again conditionally.

use dateline::internals::fetch::{Fetched, Fetcher, Options, PRODUCT, Validators};

use super::server::{Answer, Server};
use super::web::Web;
use super::{error, fetcher, options, page, url};

#[tokio::test]
async fn a_page_comes_with_its_http_facts() {
    let server = Server::start().await;
    server.route("/a?b=c", |_| {
        Answer::ok("Text/HTML; charset=\"ISO-8859-1\"", "caf\u{e9}".chars().map(|c| c as u8).collect::<Vec<u8>>())
            .header("ETag", "W/\"1\"")
            .header("Last-Modified", "Sun, 02 Nov 2025 10:00:00 GMT")
    });
    let page = page(&fetcher(&Web::of(&server)), "http://news.example/a?b=c#d").await;
    assert_eq!(page.requested.as_str(), "http://news.example/a?b=c");
    assert_eq!(page.url, page.requested);
    assert_eq!(page.redirects, []);
    assert_eq!(page.content_type.as_deref(), Some("text/html"));
    assert_eq!(page.charset.as_deref(), Some("ISO-8859-1"));
    assert_eq!(page.body.as_ref(), b"caf\xe9");
    let validators = Validators {
        url: page.url.clone(),
        etag: Some("W/\"1\"".to_owned()),
        last_modified: Some("Sun, 02 Nov 2025 10:00:00 GMT".to_owned()),
    };
    assert_eq!(page.validators, Some(validators));
}

#[tokio::test]
async fn a_request_identifies_dateline_and_nothing_else() {
    let server = Server::start().await;
    server.html("/", "x");
    let page = page(&fetcher(&Web::of(&server)), "http://news.example").await;
    assert_eq!((page.content_type.as_deref(), page.validators), (Some("text/html"), None));
    let request = &server.seen().requests[0];
    let agent = request.header("user-agent").unwrap();
    assert!(agent.starts_with(&format!("dateline/{} (", env!("CARGO_PKG_VERSION"))), "{agent}");
    assert!(agent.contains(PRODUCT) && agent.contains("README"), "{agent}");
    assert_eq!(request.method, "GET");
    assert_eq!(request.header("host"), Some("news.example"));
    assert_eq!(request.header("accept-encoding"), Some("gzip, br, zstd"));
    for unsaid in ["cookie", "referer", "if-none-match", "if-modified-since", "authorization", "accept-language"] {
        assert_eq!(request.header(unsaid), None, "{unsaid}");
    }
    let named = Options { user_agent: "someone/1".parse().unwrap(), ..options(&Web::of(&server)) };
    super::page(&Fetcher::new(named), "http://news.example").await;
    assert_eq!(server.seen().requests[1].header("user-agent"), Some("someone/1"));
}

#[tokio::test]
async fn connections_are_reused() {
    let server = Server::start().await;
    server.html("/1", "x");
    server.html("/2", "y");
    let fetcher = fetcher(&Web::of(&server));
    page(&fetcher, "http://news.example/1").await;
    page(&fetcher, "http://news.example/2").await;
    let seen = server.seen();
    assert_eq!((seen.opened, seen.requests[0].connection, seen.requests[1].connection), (1, 1, 1));
}

#[tokio::test]
async fn an_unchanged_page_is_not_transferred_again() {
    let server = Server::start().await;
    server.route("/", |request| match request.header("if-none-match") {
        Some("\"1\"") => Answer::status(304).header("ETag", "\"1\"").header("Last-Modified", "later"),
        _ => Answer::ok("text/html", "new").header("ETag", "\"2\""),
    });
    let fetcher = fetcher(&Web::of(&server));
    let url = url("http://news.example/");
    let date = Some("earlier".to_owned());
    let known = Validators { url: url.clone(), etag: Some("\"1\"".to_owned()), last_modified: date };
    let Fetched::NotModified(same) = fetcher.fetch(&url, Some(&known)).await.unwrap() else { panic!() };
    assert_eq!((&same.requested, &same.url, same.redirects.len()), (&url, &url, 0));
    assert_eq!(same.validators, Validators { last_modified: Some("later".to_owned()), ..known.clone() });
    assert_eq!(server.seen().requests[0].header("if-modified-since"), Some("earlier"));
    let old = Validators { etag: Some("\"0\"".to_owned()), ..known };
    let Fetched::Page(page) = fetcher.fetch(&url, Some(&old)).await.unwrap() else { panic!() };
    assert_eq!(page.validators.unwrap().etag.as_deref(), Some("\"2\""));
}

#[tokio::test]
async fn not_modified_is_an_error_unless_the_request_was_conditional() {
    let server = Server::start().await;
    server.route("/", |_| Answer::status(304));
    let fetcher = fetcher(&Web::of(&server));
    let message = error(&fetcher, "http://news.example/").await.to_string();
    assert!(message.contains("unconditional request"), "{message}");
    // Validators of another page are not sent, so this request is not conditional either.
    let url = url("http://news.example/");
    let other = Validators { url: url.join("/b").unwrap(), etag: Some("\"1\"".to_owned()), last_modified: None };
    fetcher.fetch(&url, Some(&other)).await.unwrap_err();
    let empty = Validators { url: url.clone(), etag: None, last_modified: None };
    fetcher.fetch(&url, Some(&empty)).await.unwrap_err();
    assert!(server.seen().requests.iter().all(|request| request.header("if-none-match").is_none()));
}

#[tokio::test]
async fn addresses_outside_the_web_are_reported() {
    let web = Web::new();
    let fetcher = fetcher(&web);
    for (address, told) in [
        ("ftp://news.example/a", "ftp://news.example/a cannot be fetched: only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("data:text/html,x", "only http and https"),
        ("mailto:desk@news.example", "only http and https"),
        ("http://me:secret@news.example/", "http://news.example/ cannot be fetched: an address with a user name"),
    ] {
        let error = error(&fetcher, address).await;
        assert!(error.to_string().contains(told), "{error}");
        assert!(!error.to_string().contains("secret") && !error.is_transient(), "{error}");
    }
    let long = format!("http://news.example/{}", "a".repeat(70_000));
    assert!(error(&fetcher, &long).await.to_string().contains("too long"));
    assert_eq!(web.resolved(), [""; 0]);
}

#[tokio::test]
async fn odd_characters_in_an_address_are_sent_as_they_are() {
    let server = Server::start().await;
    let fetcher = fetcher(&Web::of(&server));
    for target in ["/a|b", "/a?b={c}[d]^`", "/%zz%", "/caf%C3%A9?q=%22", "//", "/a;b=c,d!*'()@:$&"] {
        server.html(target, "x");
        page(&fetcher, &format!("http://news.example{target}")).await;
    }
}
