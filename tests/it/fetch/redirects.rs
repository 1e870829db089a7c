//! Redirects, followed one by one.

use dateline::internals::fetch::{FetchError, Fetched, Fetcher, Options, Validators};

use super::server::{Answer, Server};
use super::web::Web;
use super::{error, fetcher, options, page, url};

#[tokio::test]
async fn a_page_lists_the_redirects_that_led_to_it() {
    let server = Server::start().await;
    let web = Web::of(&server);
    web.site("www.news.example", &server);
    server.route("news.example/a", |_| Answer::redirect(301, "http://www.news.example/b"));
    server.route("www.news.example/b", |_| Answer::redirect(302, "c?d#e"));
    server.route("/c?d", |_| Answer::redirect(303, "//news.example/f"));
    server.route("/f", |_| Answer::redirect(307, "?g"));
    server.route("/f?g", |_| Answer::redirect(308, "./h"));
    server.html("/h", "found");
    let page = page(&fetcher(&web), "http://news.example/a").await;
    assert_eq!(page.requested.as_str(), "http://news.example/a");
    assert_eq!(page.url.as_str(), "http://news.example/h");
    assert_eq!(page.body.as_ref(), b"found");
    let hops: Vec<_> = page.redirects.iter().map(|hop| (hop.status.as_u16(), hop.to.as_str())).collect();
    assert_eq!(
        hops,
        [
            (301, "http://www.news.example/b"),
            (302, "http://www.news.example/c?d"),
            (303, "http://news.example/f"),
            (307, "http://news.example/f?g"),
            (308, "http://news.example/h"),
        ]
    );
    assert!(page.redirects.windows(2).all(|pair| pair[0].to == pair[1].from));
    assert!(page.redirects.iter().all(|hop| !hop.is_downgrade()));
}

#[tokio::test]
async fn redirect_loops_are_reported() {
    let server = Server::start().await;
    server.route("/a", |_| Answer::redirect(302, "/b"));
    server.route("/b", |_| Answer::redirect(302, "/a"));
    server.route("/self", |_| Answer::redirect(302, "/self#again"));
    let fetcher = fetcher(&Web::of(&server));
    let error_a = error(&fetcher, "http://news.example/a").await;
    assert!(matches!(error_a, FetchError::RedirectLoop { .. }), "{error_a:?}");
    let circle = "http://news.example/a → http://news.example/b → http://news.example/a";
    assert!(error_a.to_string().ends_with(circle), "{error_a}");
    let error = error(&fetcher, "http://news.example/self").await;
    assert!(matches!(error, FetchError::RedirectLoop { .. }), "{error:?}");
    assert_eq!(server.targets(), ["/a", "/b", "/self"]);
}

#[tokio::test]
async fn at_most_ten_redirects_are_followed() {
    let server = Server::start().await;
    for number in 0..20 {
        server.route(&format!("/{number}"), move |_| Answer::redirect(302, &format!("/{}", number + 1)));
    }
    server.html("/20", "x");
    let fetcher = fetcher(&Web::of(&server));
    assert_eq!(page(&fetcher, "http://news.example/10").await.redirects.len(), 10);
    let error = error(&fetcher, "http://news.example/9").await;
    let FetchError::TooManyRedirects { requested, limit: 10, hops } = &error else { panic!("{error:?}") };
    assert_eq!(requested, "http://news.example/9");
    assert_eq!(hops.len(), 12);
    assert_eq!(server.targets().last().unwrap(), "/19");
    let none = Fetcher::new(Options { redirects_max: 0, ..options(&Web::of(&server)) });
    assert!(matches!(super::error(&none, "http://news.example/1").await, FetchError::TooManyRedirects { .. }));
}

#[tokio::test]
async fn invalid_redirects_are_reported() {
    let server = Server::start().await;
    let web = Web::of(&server);
    let fetcher = fetcher(&web);
    for (location, told) in [
        ("", "Location header is missing or empty"),
        ("http://", "not a valid address"),
        ("http://[1", "not a valid address"),
        ("ftp://news.example/", "only http and https"),
        ("javascript:alert(1)", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("http://a:secret@news.example/", "it redirects to \"http://news.example/\": an address with a user name"),
    ] {
        server.route("/", move |_| Answer::redirect(302, location));
        let error = error(&fetcher, "http://news.example/").await;
        assert!(matches!(error, FetchError::RedirectInvalid { .. }), "{error:?}");
        assert!(error.to_string().contains(told) && !error.to_string().contains("secret"), "{error}");
    }
    server.route("/", |_| Answer::status(301));
    assert!(matches!(error(&fetcher, "http://news.example/").await, FetchError::RedirectInvalid { .. }));
    server.route("/", |_| {
        Answer::raw("HTTP/1.1 302 x\r\nLocation: /\u{fffd}\u{a0}caf\u{e9}\r\nContent-Length: 0\r\n\r\n")
    });
    server.html("/%EF%BF%BD%C2%A0caf%C3%A9", "x");
    page(&fetcher, "http://news.example/").await;
    server.route("/", |_| Answer::raw(&b"HTTP/1.1 302 x\r\nLocation: /caf\xe9\r\nContent-Length: 0\r\n\r\n"[..]));
    server.html("/caf%E9", "x");
    page(&fetcher, "http://news.example/").await;
}

#[tokio::test]
async fn validators_are_sent_only_with_the_page_that_they_belong_to() {
    let server = Server::start().await;
    let web = Web::of(&server);
    web.site("other.example", &server);
    server.route("news.example/short", |_| Answer::redirect(301, "/long"));
    server.route("news.example/long", |_| Answer::status(304));
    server.route("news.example/moved", |_| Answer::redirect(301, "http://other.example/"));
    server.html("other.example/", "other");
    let fetcher = fetcher(&web);
    let long = url("http://news.example/long");
    let known = Validators { url: long.clone(), etag: Some("\"1\"".to_owned()), last_modified: None };
    let Fetched::NotModified(same) = fetcher.fetch(&url("http://news.example/short"), Some(&known)).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((same.requested.path(), &same.url, same.redirects.len()), ("/short", &long, 1));
    assert_eq!(same.validators, known);
    let moved = url("http://news.example/moved");
    let known = Validators { url: moved.clone(), ..known };
    let Fetched::Page(page) = fetcher.fetch(&moved, Some(&known)).await.unwrap() else { panic!() };
    assert_eq!(page.body.as_ref(), b"other");
    let asked = server.seen().requests;
    let conditions: Vec<_> = asked.iter().map(|request| request.header("if-none-match").is_some()).collect();
    assert_eq!(conditions, [false, true, true, false]);
}
