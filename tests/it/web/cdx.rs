//! The CDX server API: the index of captures.

use dateline::Observation;
use dateline::internals::web::Options;
use dateline::model::Original;
use tempfile::TempDir;

use super::{Answer, Rules, Site, content, rules, time};

const HARBOUR: &str = "https://www.express.example/harbour?id=1";

async fn recorded(site: Site) -> Site {
    let original = Original { media_type: "text/html; charset=utf-8".to_owned(), data: "<p>x".to_owned().into() };
    for (article, url, headline, at) in [
        ("express/harbour", HARBOUR, "Bridge to close", "2026-05-01T09:00:00Z"),
        ("express/harbour", HARBOUR, "Bridge to close", "2026-05-03T09:00:00Z"),
        ("express/harbour", HARBOUR, "Bridge closes today", "2026-06-02T08:00:00Z"),
        ("express/ferry", "https://www.express.example/ferry", "Ferry returns", "2026-05-02T00:00:00Z"),
        ("express/town", "https://town.express.example/", "Town hall", "2026-05-02T00:00:00Z"),
        ("courier/mayor", "https://courier.example/mayor", "Mayor resigns", "2026-05-02T00:00:00Z"),
    ] {
        let seen = Observation::new(content(headline, headline)).url(url).observed_at(time(at));
        let seen = if headline == "Bridge to close" { seen.original(original.clone()) } else { seen };
        site.observe(article, seen).await;
    }
    site
}

async fn site() -> Site {
    recorded(Site::open().await).await
}

async fn query(site: &Site, parameters: &[(&str, &str)]) -> Answer {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    site.get(&format!("/cdx?{query}")).await
}

/// The lines of a text, of one field each.
async fn timestamps(site: &Site, parameters: &[(&str, &str)]) -> Vec<String> {
    let parameters = [&[("url", HARBOUR), ("fl", "timestamp")], parameters].concat();
    let answer = query(site, &parameters).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_line_has_seven_fields_and_a_sighting_is_a_revisit() {
    let site = site().await;
    let answer = query(&site, &[("url", HARBOUR)]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    let lines: Vec<Vec<&str>> = answer.body.lines().map(|line| line.split(' ').collect()).collect();
    let key = "example,express,www)/harbour?id=1";
    let digest = lines[0][5];
    assert_eq!(digest.len(), 64);
    assert_eq!(lines[0], [key, "20260501090000", HARBOUR, "text/html", "200", digest, "4"]);
    assert_eq!(lines[1], [key, "20260503090000", HARBOUR, "warc/revisit", "-", digest, "4"]);
    assert_eq!((lines[2][1], lines[2][3], lines[2][4], lines[2][6]), ("20260602080000", "text/html", "200", "-"));
    assert_ne!(lines[2][5], digest);
    assert_eq!(lines.len(), 3);
    let wayback = site.get("/cdx/search/cdx?url=www.express.example/harbour?id%3D1").await;
    assert_eq!(wayback.body, answer.body);
    assert_eq!(query(&site, &[("url", "https://www.express.example/nothing")]).await.body, "");
}

#[tokio::test]
async fn the_range_of_addresses_is_a_page_a_beginning_a_host_or_a_domain() {
    let site = site().await;
    for (url, match_type, expected) in [
        ("https://www.express.example/", "exact", vec![]),
        ("https://www.express.example/", "prefix", vec!["ferry", "harbour?id=1"]),
        ("https://www.express.example/h*", "", vec!["harbour?id=1"]),
        ("https://www.express.example/x", "host", vec!["ferry", "harbour?id=1"]),
        ("express.example", "domain", vec!["", "ferry", "harbour?id=1"]),
        ("*.express.example", "", vec!["", "ferry", "harbour?id=1"]),
        ("https://www.express.example/ferry", "exact", vec!["ferry"]),
    ] {
        let given = [("url", url), ("matchType", match_type), ("fl", "original"), ("collapse", "urlkey")];
        let answer = query(&site, &given).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let paths: Vec<_> = answer.body.lines().map(|line| line.splitn(4, '/').nth(3).unwrap()).collect();
        assert_eq!(paths, expected, "{url} {match_type}");
    }
}

#[tokio::test]
async fn captures_are_chosen_by_time_by_their_fields_and_by_place() {
    let site = site().await;
    let (first, second, third) = ("20260501090000", "20260503090000", "20260602080000");
    for (parameters, expected) in [
        (vec![("from", "20260502")], vec![second, third]),
        (vec![("to", "202605")], vec![first, second]),
        (vec![("from", "20260503"), ("to", "20260503")], vec![second]),
        (vec![("limit", "1")], vec![first]),
        (vec![("limit", "0")], vec![]),
        (vec![("limit", "1"), ("offset", "1")], vec![second]),
        (vec![("limit", "-2")], vec![second, third]),
        (vec![("filter", "statuscode:200")], vec![first, third]),
        (vec![("filter", "!statuscode:200")], vec![second]),
        (vec![("filter", "mimetype:text/.*"), ("filter", "=length:4")], vec![first]),
        (vec![("filter", "~mimetype:warc")], vec![second]),
        (vec![("filter", "!statuscode:[23]..")], vec![second]),
        (vec![("filter", "mimetype:(?i)TEXT/\\w+")], vec![first, third]),
        (vec![("collapse", "digest")], vec![first, third]),
        (vec![("collapse", "timestamp:6")], vec![first, third]),
        (vec![("closest", "20260504"), ("limit", "2")], vec![second, first]),
    ] {
        assert_eq!(timestamps(&site, &parameters).await, expected, "{parameters:?}");
    }
    for (name, value) in [
        ("from", "yesterday"),
        ("limit", "x"),
        ("filter", "statuscode:[23"),
        ("filter", "original:.*a.{30}"),
        ("filter", "nothing:x"),
        ("fl", "timestamp,nothing"),
        ("output", "xml"),
        ("matchType", "all"),
        ("resumeKey", "x"),
        ("resumeKey", "MjAyNjA1MDEwOTAwMDBvcmcsb3RoZXIpLw"),
        ("page", "1"),
        ("showNumPages", "true"),
        ("sort", "reverse"),
        ("fl", "timestamp,timestamp"),
    ] {
        assert_eq!(query(&site, &[("url", HARBOUR), (name, value)]).await.status, 400, "{name}={value}");
    }
    let without_url = query(&site, &[("output", "json")]).await;
    assert_eq!((without_url.status, without_url.header("content-type")), (400, Some("application/json")));
}

/// Clients ask for status 200, and would not see that the text was new.
#[tokio::test]
async fn a_new_text_that_is_seen_again_within_a_second_is_a_capture_of_it() {
    let site = site().await;
    for (headline, at) in [("Bridge open", "2026-06-05T00:00:00.1Z"), ("Bridge open", "2026-06-05T00:00:00.9Z")] {
        let seen = Observation::new(content(headline, headline)).url(HARBOUR).observed_at(time(at));
        site.observe("express/harbour", seen).await;
    }
    for order in [("limit", "100"), ("limit", "-1")] {
        let found = timestamps(&site, &[("from", "20260605"), ("filter", "statuscode:200"), order]).await;
        assert_eq!(found, ["20260605000000"], "{order:?}");
    }
}

#[tokio::test]
async fn an_index_continues_where_a_response_ended() {
    let site = site().await;
    for output in ["text", "json"] {
        let (mut found, mut key) = (Vec::new(), None::<String>);
        loop {
            let mut parameters = vec![
                ("url", "express.example"),
                ("matchType", "domain"),
                ("fl", "timestamp"),
                ("limit", "2"),
                ("showResumeKey", "true"),
                ("output", output),
            ];
            let resume = key.take();
            parameters.extend(resume.as_deref().map(|resume| ("resumeKey", resume)));
            let answer = query(&site, &parameters).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            if output == "text" {
                let (lines, next) = answer.body.split_once("\n\n").map_or((&*answer.body, None), |(a, b)| (a, Some(b)));
                found.extend(lines.lines().map(str::to_owned));
                key = next.map(|next| next.trim().to_owned());
            } else {
                let mut rows: Vec<Vec<String>> = serde_json::from_str(&answer.body).unwrap();
                assert_eq!(rows.remove(0), ["timestamp"]);
                if let Some(end) = rows.iter().position(Vec::is_empty) {
                    key = Some(rows[end + 1][0].clone());
                    rows.truncate(end);
                }
                found.extend(rows.concat());
            }
            if key.is_none() {
                break;
            }
        }
        let expected = ["20260502000000", "20260502000000", "20260501090000", "20260503090000", "20260602080000"];
        assert_eq!(found, expected, "{output}");
    }
    let cdxj = query(&site, &[("url", HARBOUR), ("output", "cdxj"), ("limit", "1")]).await;
    let mut parts = cdxj.body.trim().splitn(3, ' ');
    assert_eq!((parts.next(), parts.next()), (Some("example,express,www)/harbour?id=1"), Some("20260501090000")));
    let fields: serde_json::Value = serde_json::from_str(parts.next().unwrap()).unwrap();
    assert_eq!(
        (&fields["url"], &fields["mime"], &fields["status"]),
        (&HARBOUR.into(), &"text/html".into(), &"200".into())
    );
}

#[tokio::test]
async fn what_is_not_granted_is_not_in_the_index() {
    let directory = TempDir::new().unwrap();
    let granted = "[[principal]]\nname = \"anonymous\"\ngrant = [{ may = [\"read\"], sources = [\"courier\"] }]\n";
    let site = recorded(Site::with(Rules::Of(rules(&directory, granted)), Options::default()).await).await;
    for match_type in ["exact", "prefix", "host", "domain"] {
        assert_eq!(query(&site, &[("url", HARBOUR), ("matchType", match_type)]).await.body, "", "{match_type}");
    }
    query(&site, &[("url", "courier.example"), ("matchType", "domain")]).await.shows(&["courier.example/mayor"]);
    // The key to continue names no address that is hidden: it is of the next line.
    let given = [("url", "example"), ("matchType", "domain"), ("limit", "1"), ("showResumeKey", "true")];
    let answer = query(&site, &given).await;
    assert_eq!(answer.body.lines().count(), 1, "{}", answer.body);
}
