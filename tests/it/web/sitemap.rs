//! What search engines may fetch.

use dateline::internals::web::Options;
use tempfile::TempDir;

use super::{Rules, Site, content, rules};

#[tokio::test]
async fn search_engines_are_kept_out_unless_the_operator_lets_them_in() {
    let site = Site::open().await.with_bridge().await;
    assert_eq!(site.get("/robots.txt").await.body, "User-agent: *\nDisallow: /\n");
    for path in ["/sitemap.xml", "/sitemap/0.xml"] {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }

    let directory = TempDir::new().unwrap();
    let granted = "[[principal]]\nname = \"anonymous\"\ngrant = [{ may = [\"read\"], sources = [\"courier\"] }]\n";
    let url = Some("https://archive.example.org/".parse().unwrap());
    let options = Options { index: true, url, ..Options::default() };
    let site = Site::with(Rules::Of(rules(&directory, granted)), options).await.with_bridge().await;
    site.record("courier/mayor", content("Mayor resigns", "She did."), "2026-05-01T00:00:00Z").await;
    site.record("courier/mayor", content("Mayor stays", "She did."), "2026-05-02T00:00:00Z").await;
    let robots = site.get("/robots.txt").await;
    robots.shows(&["Sitemap: https://archive.example.org/sitemap.xml\n", "Disallow: /web/\n"]);
    robots.hides(&["Disallow: /\n"]);
    let index = site.get("/sitemap.xml").await;
    assert_eq!(index.header("content-type"), Some("application/xml; charset=utf-8"));
    index.shows(&["<loc>https://archive.example.org/sitemap/0.xml</loc>"]);
    let file = site.get("/sitemap/0.xml").await;
    assert_eq!(file.body.matches("<loc>").count(), 1, "{}", file.body);
    file.shows(&["<loc>https://archive.example.org/a/courier/mayor</loc>"]);
    for path in ["/sitemap/1.xml", "/sitemap/x.xml", "/sitemap/0", "/sitemap/99999999.xml"] {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }
}
