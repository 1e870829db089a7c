//! Web pages and syndication feeds by URL, good and bad, through the real binary.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::site::run;
use super::{Cli, Running, json_lines};
use crate::fetch::server::{Answer, Server};

const BODY: &str = "The night ferry came back to its berth at dawn on Sunday, two weeks after it had left, with forty lorries \
                    and two hundred passengers on board, and the quay was full of people who had waited since midnight.";

fn page(headline: &str) -> String {
    format!(
        "<!DOCTYPE html><html><head><meta charset='utf-8'><title>{headline}</title>\
         <meta property='og:site_name' content='The Tidewater Post'><meta property='article:published_time' content='soon'></head>\
         <body><article><h1>{headline}</h1><p>{BODY}</p></article></body></html>"
    )
}

fn url(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.address())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_archived_concurrently_and_each_failure_is_reported() {
    let (cli, server) = (Arc::new(Cli::new()), Server::start().await);
    server.html("/one", &page("One ferry returns"));
    server.html("/two", &page("Two ferries return"));
    server.route("/old", |_| Answer::redirect(301, "/one"));
    let addresses = ["/one", "/two", "/gone", "/old"].map(|path| url(&server, path));
    let args: Vec<_> = ["add", "--allow-private"].into_iter().chain(addresses.iter().map(String::as_str)).collect();
    let dry = run(&cli, &[&args[..], &["--dry-run"]].concat()).await;
    assert!(dry.out.contains("would create") && !cli.archive().exists(), "{dry:?}");

    let done = run(&cli, &args).await;
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.err.contains("/gone could not be fetched: the site says 404"), "{}", done.err);
    assert!(done.err.contains("4 pages: 2 created, 0 revised, 1 unchanged, 1 failed (1 NOT_FOUND)"), "{}", done.err);
    assert!(done.err.contains("\"soon\" is not fully understood"), "an invented date? {}", done.err);
    let shown = run(&cli, &["show", &url(&server, "/old"), "--json"]).await;
    assert!(shown.out.contains("sources/tidewater-post/articles/"), "{shown:?}");

    // An unchanged page prints nothing.
    let again = run(&cli, &["add", "--allow-private", &addresses[0]]).await;
    assert_eq!((again.code, again.out.as_str(), again.err.as_str()), (0, "", ""), "{again:?}");
    let json = run(&cli, &[&args[..], &["--json", "--quiet"]].concat()).await;
    let lines = json_lines(&json.out);
    assert_eq!(lines.iter().filter(|line| line["error"]["details"][0]["reason"] == "NOT_FOUND").count(), 1, "{json:?}");
    assert_eq!(lines.len(), 4);
}

/// The bytes of pages are evidence, so they are kept without being asked for.
#[tokio::test(flavor = "multi_thread")]
async fn the_originals_of_pages_are_kept_unless_the_user_declines() {
    let (cli, server) = (Arc::new(Cli::new()), Server::start().await);
    let html = page("One ferry returns");
    server.html("/one", &html);
    server.html("/two", &page("Two ferries return"));
    let (one, two) = (url(&server, "/one"), url(&server, "/two"));
    assert_eq!(run(&cli, &["add", "--allow-private", &one]).await.code, 0);
    assert_eq!(run(&cli, &["add", "--allow-private", "--no-keep-original", &two]).await.code, 0);
    assert_eq!(run(&cli, &["show", &one, "--original"]).await.out, html);
    let without = run(&cli, &["show", &two, "--original"]).await;
    assert!(without.code == 3 && without.err.contains("unless --no-keep-original was given"), "{without:?}");
    let both = run(&cli, &["add", "--keep-original", "--no-keep-original", &one]).await;
    assert_eq!(both.code, 2, "{both:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_cannot_be_archived_are_reported_with_advice() {
    let (cli, server) = (Arc::new(Cli::new()), Server::start().await);
    let nested = format!("<html><body>{}", "<div>".repeat(200_000));
    let heavy = bytes::Bytes::from(vec![b' '; 100 << 20]);
    server.html("/empty", "");
    server.html("/script", "<html><body><p>Please enable JavaScript to read this page.</p></body></html>");
    server.html("/nested", &nested);
    server.html("/", &page("The front page"));
    server.route("/pdf", |_| Answer::ok("application/pdf", "%PDF-1.7"));
    server.route("/image", |_| Answer::ok("image/png", "\u{89}PNG"));
    server.route("/feed", |_| Answer::ok("application/rss+xml", "<rss version='2.0'></rss>"));
    server.route("/heavy", move |_| Answer::ok("text/html", heavy.clone()));
    server.route("/round", |_| Answer::redirect(302, "/and-round"));
    server.route("/and-round", |_| Answer::redirect(302, "/round"));
    server.route("/home", |_| Answer::redirect(302, "/"));
    server.route("/busy", |_| Answer::status(503).header("Retry-After", "7"));
    server.route("/silent", |_| Answer::never());
    for (path, code, words) in [
        ("/empty", 1, "the document is empty"),
        ("/script", 1, "enable JavaScript"),
        ("/nested", 1, "its elements nest more than 512 deep"),
        ("/pdf", 1, "a PDF file"),
        ("/image", 1, "this is image/png, not a page"),
        ("/feed", 2, "`dateline follow "),
        ("/heavy", 1, "more than 16777216 bytes"),
        ("/round", 1, "its redirects go in a circle"),
        ("/home", 3, "the site redirects this page to its front page"),
        ("/busy", 5, "try again in 7 s"),
        ("/silent", 5, "there was no answer within 1s"),
    ] {
        let done = run(&cli, &["add", "--allow-private", "--timeout", "1s", &url(&server, path)]).await;
        assert_eq!((done.code, done.out.as_str()), (code, ""), "{path}: {done:?}");
        assert!(done.err.contains(words), "{path} says: {}", done.err);
    }
    let private = run(&cli, &["add", &url(&server, "/")]).await;
    assert_eq!(private.code, 2, "{private:?}");
    assert!(private.err.contains("not on the public internet"), "{}", private.err);
    server.route("/robots.txt", |_| Answer::ok("text/plain", "User-agent: dateline\nDisallow: /private"));
    server.html("/private/a", &page("A private ferry"));
    let forbidden = run(&cli, &["add", "--allow-private", &url(&server, "/private/a")]).await;
    assert_eq!(forbidden.code, 1, "{forbidden:?}");
    assert!(forbidden.err.contains("--ignore-robots"), "{}", forbidden.err);
    assert_eq!(run(&cli, &["list"]).await.out, "", "none of these was archived");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_entry_is_archived_again_only_when_it_changes() {
    let (cli, server) = (Arc::new(Cli::new()), Server::start().await);
    let edition = Arc::new(AtomicUsize::new(0));
    let of_now = Arc::clone(&edition);
    server.route("/feed.xml", move |_| {
        let second = if of_now.load(Ordering::SeqCst) == 0 { "It sails at six." } else { "It sails at seven." };
        let items = format!(
            "<item><title>A ferry</title><guid>1</guid><description>It came in.</description></item>\
             <item><title></title><guid>2</guid></item>\
             <item><title>Another</title><guid>3</guid><description>{second}</description></item>"
        );
        let feed = format!("<rss version='2.0'><channel><title>Tidewater</title>{items}</channel></rss>");
        Answer::ok("application/rss+xml", feed)
    });
    let feed = url(&server, "/feed.xml");
    let first = run(&cli, &["follow", "--allow-private", &feed]).await;
    assert_eq!((first.code, first.out.matches("created").count()), (1, 2), "{first:?}");
    assert!(first.err.contains("no headline: the entry has no title"), "{}", first.err);
    // An entry that cannot be read is reported once.
    let second = run(&cli, &["follow", "--allow-private", &feed]).await;
    assert_eq!((second.code, second.out.as_str()), (0, ""), "{second:?}");
    edition.store(1, Ordering::SeqCst);
    let third = run(&cli, &["follow", "--allow-private", &feed]).await;
    assert_eq!((third.code, third.out.matches("revised").count()), (0, 1), "{third:?}");

    server.html("/feed.xml", "<!DOCTYPE html><title>Sorry</title>");
    let broken = run(&cli, &["follow", "--allow-private", &feed]).await;
    assert_eq!(broken.code, 1, "{broken:?}");
    assert!(broken.err.contains("it is a web page, perhaps an error page"), "{}", broken.err);
}

/// What a feed says of a page is shorter than the page. A label on the article hid that it had been fetched as a page,
/// and its text was replaced with the feed's.
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_entry_does_not_replace_a_page_even_if_the_article_was_labelled() {
    let (cli, server) = (Arc::new(Cli::new()), Server::start().await);
    server.html("/ferry", &page("The ferry returns"));
    let ferry = url(&server, "/ferry");
    let item = format!("<item><title>A ferry</title><link>{ferry}</link><description>It came in.</description></item>");
    let feed = format!("<rss version='2.0'><channel><title>Tidewater</title>{item}</channel></rss>");
    server.route("/feed.xml", move |_| Answer::ok("application/rss+xml", feed.clone()));
    let added = run(&cli, &["add", "--allow-private", &ferry]).await;
    assert_eq!(added.code, 0, "{added:?}");
    let labelled = run(&cli, &["label", &ferry, "+harbour"]).await;
    assert_eq!(labelled.code, 0, "{labelled:?}");
    let followed = run(&cli, &["follow", "--allow-private", &url(&server, "/feed.xml")]).await;
    assert_eq!((followed.code, followed.out.as_str()), (0, ""), "{followed:?}");
    let shown = run(&cli, &["show", &ferry]).await;
    assert!(shown.out.contains("The ferry returns") && !shown.out.contains("It came in."), "{shown:?}");
}

/// Atom 0.3 has another namespace, so none of its entries is recognised.
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_without_recognised_entries_is_reported() {
    let (cli, server) = (Arc::new(Cli::new()), Server::start().await);
    let feed = "<feed version='0.3' xmlns='http://purl.org/atom/ns#'><title>Quay</title><entry><title>A</title></entry></feed>";
    server.route("/feed", move |_| Answer::ok("application/atom+xml", feed));
    let feed = url(&server, "/feed");
    let done = run(&cli, &["follow", "--allow-private", &feed]).await;
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{done:?}");
    assert!(done.err.contains(&format!("{feed}: no entries found")), "{done:?}");
}

/// A feed of any length does not delay the others: the rest is read the next time, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn one_pass_over_a_feed_reads_a_bounded_number_of_entries_and_reports_the_rest() {
    let (cli, server) = (Arc::new(Cli::new()), Server::start().await);
    let items: String = (0..2_003)
        .rev()
        .map(|n| {
            format!(
                "<item><title>Ferry {n}</title><link>http://q.example/{n}</link><description>x</description></item>"
            )
        })
        .collect();
    let feed = format!("<rss version='2.0'><channel><title>Quay Notes</title>{items}</channel></rss>");
    // The feed does not change, so the rest is only seen if the request has no validators.
    server.route("/feed", move |request| match request.header("if-none-match") {
        Some(_) => Answer::status(304),
        None => Answer::ok("application/rss+xml", feed.clone()).header("etag", "\"1\""),
    });
    let feed = url(&server, "/feed");
    let dry = run(&cli, &["follow", "--allow-private", "--dry-run", &feed]).await;
    assert!(dry.err.contains("2000 new entries are read at once; the other 3 are read next time"), "{}", dry.err);
    let first = run(&cli, &["follow", "--allow-private", &feed]).await;
    assert!(
        first.err.contains("2000 created") && first.err.contains("the other 3 are read next time"),
        "{}",
        first.err
    );
    let second = run(&cli, &["follow", "--allow-private", &feed]).await;
    assert_eq!(second.out.lines().count(), 3, "{second:?}");
    let listed = run(&cli, &["watch", "--from", "beginning", "--until-caught-up"]).await;
    assert_eq!(listed.out.lines().count(), 2_003);
    let third = run(&cli, &["follow", "--allow-private", &feed]).await;
    assert_eq!((third.code, third.out.as_str()), (0, ""), "{third:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn follow_continues_until_it_is_interrupted() {
    let (cli, server) = (Arc::new(Cli::new()), Server::start().await);
    server.route("/feed.xml", |_| {
        let item = "<item><title>A ferry</title><guid>1</guid><description>It came in.</description></item>";
        Answer::ok("application/rss+xml", format!("<rss version='2.0'><channel><title>T</title>{item}</channel></rss>"))
    });
    let feed = url(&server, "/feed.xml");
    let mut command = cli.command(&["follow", "--allow-private", "--every", "1s", &feed]);
    let mut running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    server.until(|seen| seen.requests.iter().filter(|request| request.target == "/feed.xml").count() >= 2).await;
    running.signal("TERM");
    assert!(running.0.wait().unwrap().success());
    assert_eq!(run(&cli, &["list"]).await.out.lines().count(), 1);
}

/// A feed has less of an article than its page. Archived after the page, its summary would be a revision that lost
/// most of the text.
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_entry_does_not_revise_an_archived_page() {
    let (cli, server) = (Arc::new(Cli::new()), Server::start().await);
    server.html("/one", &page("One ferry returns"));
    let (address, feed) = (url(&server, "/one"), url(&server, "/feed"));
    let item =
        format!("<item><title>One ferry</title><link>{address}</link><description>It is back.</description></item>");
    let text = format!("<rss version=\"2.0\"><channel><title>The Tidewater Post</title>{item}</channel></rss>");
    server.route("/feed", move |_| Answer::ok("application/rss+xml", text.clone()));
    run(&cli, &["add", "--allow-private", &address]).await;
    let followed = run(&cli, &["follow", "--allow-private", &feed]).await;
    assert_eq!((followed.code, followed.out.as_str()), (0, ""), "{followed:?}");
    assert_eq!(cli.ok(&["log", &address, "--json"]).lines().count(), 1);

    // Entries that were archived from the feed alone are still fetched as pages on request.
    let other = Arc::new(Cli::new());
    run(&other, &["follow", "--allow-private", &feed]).await;
    let pages = run(&other, &["follow", "--allow-private", "--pages", &feed]).await;
    assert!(pages.out.contains("revised"), "{pages:?}");
    assert_eq!(other.ok(&["log", &address, "--json"]).lines().count(), 2);
}

/// A page of an archived article that is missing was an error, and nothing in the archive said that it was missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_page_of_an_archived_article_is_recorded_and_the_article_is_gone_after_three_looks() {
    let (cli, server) = (Arc::new(Cli::new()), Server::start().await);
    server.html("/", &page("The front page"));
    server.html("/ferry", &page("The ferry returns"));
    let ferry = url(&server, "/ferry");
    let add = ["add", "--allow-private", &ferry];
    let first = run(&cli, &add).await;
    assert_eq!(first.code, 0, "{first:?}");
    server.route("/ferry", |_| Answer::status(404));
    let dry = run(&cli, &[&add[..], &["--dry-run"]].concat()).await;
    assert!(dry.code == 0 && dry.out.starts_with("would record as missing"), "{dry:?}");
    for (look, words) in [(1, "1 of 3 looks, status 404"), (2, "2 of 3 looks, status 404")] {
        let done = run(&cli, &add).await;
        assert_eq!(done.code, 0, "{done:?}");
        assert!(done.out.starts_with("missing  ") && done.out.contains(words), "look {look}: {done:?}");
    }
    assert!(run(&cli, &["list"]).await.out.contains("live"));
    // The third look is led to the front page, which must not become a revision of the article.
    server.route("/ferry", |_| Answer::redirect(302, "/"));
    let third = run(&cli, &add).await;
    assert!(third.code == 0 && third.out.starts_with("gone  "), "{third:?}");
    assert!(third.out.contains("3 looks, redirected to the front page"), "{third:?}");
    let shown = run(&cli, &["show", &ferry]).await;
    assert!(shown.out.contains("State      gone: last seen ") && shown.out.contains(BODY), "{shown:?}");
    assert!(run(&cli, &["log", &ferry]).await.out.starts_with("gone: last seen "));
    assert_eq!(run(&cli, &["list", "--state", "gone"]).await.out.lines().count(), 1);
    let watched = run(&cli, &["watch", "--from", "beginning", "--until-caught-up", "--kind", "absent"]).await;
    assert!(watched.out.lines().last().unwrap().contains("gone; redirected to the front page; 3 looks"), "{watched:?}");
    server.html("/ferry", &page("The ferry returns"));
    let again = run(&cli, &add).await;
    assert_eq!((again.code, again.out.as_str()), (0, ""), "{again:?}");
    assert_eq!(run(&cli, &["list", "--state", "live"]).await.out.lines().count(), 1);
    // One look at a 410 is enough.
    server.route("/ferry", |_| Answer::status(410));
    let done = run(&cli, &add).await;
    assert!(done.out.starts_with("gone  ") && done.out.contains("1 look, status 410"), "{done:?}");
    let unknown = run(&cli, &["add", "--allow-private", &url(&server, "/never")]).await;
    assert_eq!(unknown.code, 3, "{unknown:?}");
    // A copy has the same history.
    let lines = cli.path("lines.jsonl").display().to_string();
    cli.ok(&["export", "--output", &lines]);
    let copy = Cli::new();
    let imported = copy.run(&["import", &lines]);
    assert!(imported.code == 0 && imported.err.contains("; 4 absences"), "{imported:?}");
    let changes = |cli: &Cli| cli.ok(&["watch", "--from", "beginning", "--until-caught-up", "--json"]);
    let facts = |text: String| {
        let fact = |line: &serde_json::Value| (line["kind"].clone(), line["state"].clone(), line["absence"].clone());
        json_lines(&text).iter().map(fact).collect::<Vec<_>>()
    };
    assert_eq!(facts(changes(&copy)), facts(changes(&cli)));
}

/// A further address that ended made the article gone, although its page was up.
#[tokio::test(flavor = "multi_thread")]
async fn a_further_address_that_is_missing_does_not_make_an_article_gone_whose_page_is_up() {
    let (cli, server) = (Arc::new(Cli::new()), Server::start().await);
    server.html("/", &page("The front page"));
    server.html("/ferry", &page("The ferry returns"));
    server.route("/short", |_| Answer::redirect(302, "/ferry"));
    let (ferry, short) = (url(&server, "/ferry"), url(&server, "/short"));
    let first = run(&cli, &["add", "--allow-private", &short]).await;
    assert_eq!(first.code, 0, "{first:?}");
    for answer in [|| Answer::status(410), || Answer::redirect(302, "/")] {
        server.route("/short", move |_| answer());
        let done = run(&cli, &["add", "--allow-private", &short]).await;
        assert!(done.code == 0 && done.out.is_empty(), "{done:?}");
        assert!(done.err.contains(&format!("nothing was recorded; look at {ferry}")), "{done:?}");
        let json = run(&cli, &["add", "--allow-private", "--json", &short]).await;
        let line = json_lines(&json.out).remove(0);
        assert_eq!(line["article"]["state"], "ARTICLE_STATE_LIVE", "{line}");
        assert_ne!(line["changed"], true, "{line}");
    }
    let watched = run(&cli, &["watch", "--from", "beginning", "--until-caught-up", "--kind", "absent"]).await;
    assert_eq!(watched.out, "", "{watched:?}");
    // A short address that still leads to the page finds that the page is missing.
    server.route("/short", |_| Answer::redirect(302, "/ferry"));
    server.route("/ferry", |_| Answer::status(410));
    let done = run(&cli, &["add", "--allow-private", &short]).await;
    assert!(done.code == 0 && done.out.starts_with("gone  "), "{done:?}");
    // It stays gone when it is reinstated: no look found the page.
    let reinstated = run(&cli, &["reinstate", &ferry]).await;
    assert!(reinstated.code == 0 && reinstated.out.starts_with("reinstated, still gone  "), "{reinstated:?}");
}

/// `follow` looked at the page of an entry once, and never again while the feed said nothing new of it.
#[tokio::test(flavor = "multi_thread")]
async fn follow_looks_again_at_a_missing_page_until_it_is_gone() {
    let (cli, server) = (Arc::new(Cli::new()), Server::start().await);
    server.html("/ferry", &page("The ferry returns"));
    let ferry = url(&server, "/ferry");
    let titles = Arc::new(AtomicUsize::new(0));
    let (link, of_now) = (ferry.clone(), Arc::clone(&titles));
    server.route("/feed.xml", move |_| {
        let item = format!(
            "<item><title>Ferry {}</title><guid>1</guid><link>{link}</link></item>",
            of_now.load(Ordering::SeqCst)
        );
        Answer::ok("application/rss+xml", format!("<rss version='2.0'><channel><title>T</title>{item}</channel></rss>"))
    });
    let feed = url(&server, "/feed.xml");
    let follow = ["follow", "--allow-private", "--pages", "--gone-after", "2", &feed];
    assert_eq!(run(&cli, &follow).await.code, 0);
    server.route("/ferry", |_| Answer::status(404));
    titles.store(1, Ordering::SeqCst);
    let first = run(&cli, &follow).await;
    assert!(first.code == 0 && first.out.contains("1 of 2 looks"), "{first:?}");
    let second = run(&cli, &follow).await;
    assert!(second.code == 0 && second.out.starts_with("gone  "), "{second:?}");
    let third = run(&cli, &follow).await;
    assert_eq!((third.code, third.out.as_str()), (0, ""), "it is certain by now: {third:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absence_is_recorded_by_hand() {
    let cli = Cli::new();
    let file = cli.file("a.md", "# Ferry returns\n\nIt is back.\n");
    cli.ok(&["add", &file, "--source", "press", "--article", "ferry", "--observed-at", "2026-05-01T00:00:00Z"]);
    let absent = |args: &[&str]| cli.ok(&[&["absent", "press/ferry"], args].concat());
    let first = absent(&["--status", "404", "--observed-at", "2026-05-02T00:00:00Z", "--gone-after", "2"]);
    let expected = "missing  press/ferry  last seen 2026-05-01T00:00:00Z, first missed 2026-05-02T00:00:00Z; \
                    1 of 2 looks, status 404\n";
    assert_eq!(first, expected);
    let second = absent(&["--how", "front-page", "--observed-at", "2026-05-03T00:00:00Z", "--gone-after", "2"]);
    assert!(
        second.starts_with("gone  press/ferry  last seen 2026-05-01T00:00:00Z, first missed 2026-05-02"),
        "{second}"
    );
    assert!(second.ends_with("2 looks, redirected to the front page\n"), "{second}");
    let early = cli.run(&["absent", "press/ferry", "--observed-at", "2026-04-01T00:00:00Z"]);
    assert!(
        early.code == 4 && early.err.contains("cannot be withdrawn, reinstated or missing before that"),
        "{early:?}"
    );
    let newest = cli.path("newest.jsonl").display().to_string();
    cli.ok(&["export", "--newest", "--output", &newest]);
    let copy = Cli::new();
    copy.ok(&["import", &newest]);
    assert!(copy.ok(&["list", "--state", "gone"]).starts_with("press/ferry"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_with_another_scheme_is_rejected() {
    let cli = Arc::new(Cli::new());
    let done = run(&cli, &["add", "ftp://harbour.example/a"]).await;
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.err.contains("expected a URL that begins with http:// or https://"), "{done:?}");
}
