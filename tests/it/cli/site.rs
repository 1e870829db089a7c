//! A day of a news site that changes while it is archived: the archive has exactly the history of the site.
//!
//! The site is a local server. Every hour its stories appear, are edited, reverted, moved or taken down, or return
//! errors for a while, as does the feed; then `follow` and `add` run. A plain list of what each run must have found is
//! the expected history.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::{Cli, Done, json_lines};
use crate::feed::dice::Dice;
use crate::fetch::server::{Answer, Server};

const HOURS: u64 = 24;

/// The present state of a story's page.
#[derive(Clone, Debug)]
struct Story {
    number: u64,
    /// The path of the page, and its path before the last move.
    path: String,
    /// The number of its present text.
    text: u64,
    texts: u64,
    /// Permanently taken down.
    gone: bool,
    /// Returns an error during this hour.
    fails: bool,
}

/// What the archive must have of a story: each state of its page, with the number of consecutive sightings. A page that
/// has moved names another canonical URL, and so its content differs.
type Found = Vec<(Story, u64)>;

#[derive(Default)]
struct Site {
    stories: Vec<Story>,
    /// Earlier paths, and where they redirect to.
    moved: BTreeMap<String, String>,
    feed_fails: bool,
}

impl Story {
    fn headline(&self) -> String {
        format!("Story {} of the harbour", self.number)
    }

    fn sentence(&self) -> String {
        format!("The ferry of story {} carried {} lorries over the sound that morning.", self.number, 100 + self.text)
    }

    fn etag(&self) -> String {
        format!("\"{}-{}-{}\"", self.number, self.text, self.path.len())
    }

    fn page(&self, origin: &str) -> String {
        let (headline, sentence, path) = (self.headline(), self.sentence(), &self.path);
        let filler = "Passengers waited on the quay while the crew cleared the deck, and the harbour master kept a log \
                      of every departure, as he has done each day for thirty years without missing one.";
        format!(
            r#"<!DOCTYPE html><html lang="en-GB"><head><meta charset="utf-8"><title>{headline} - The Tidewater Post</title>
            <link rel="canonical" href="{origin}{path}"><meta property="og:site_name" content="The Tidewater Post">
            <meta property="og:title" content="{headline}"></head><body><nav><a href="/">Home</a></nav><article>
            <h1>{headline}</h1><p>{sentence}</p><p>{filler}</p><figure><img src="/f.jpg"><figcaption>The ferry</figcaption></figure>
            <p>{filler} It was the busiest morning that anybody can remember in this port.</p></article>
            <footer>Contact us</footer></body></html>"#
        )
    }
}

impl Site {
    fn feed(&self, origin: &str) -> String {
        let items = self.stories.iter().filter(|story| !story.gone).map(|story| {
            let (headline, path, number) = (story.headline(), &story.path, story.number);
            format!("<item><title>{headline}</title><guid>s{number}</guid><link>{origin}{path}</link></item>")
        });
        let items: String = items.collect();
        format!("<rss version=\"2.0\"><channel><title>The Tidewater Post</title>{items}</channel></rss>")
    }

    fn answer(&self, path: &str, asked: Option<&str>, origin: &str) -> Answer {
        if path == "/feed.xml" {
            return match self.feed_fails {
                true => Answer::ok("text/html", "<!DOCTYPE html><title>Sorry</title><h1>We will be back soon</h1>"),
                false => Answer::ok("application/rss+xml", self.feed(origin)),
            };
        }
        if let Some(to) = self.moved.get(path) {
            return Answer::redirect(301, to);
        }
        let Some(story) = self.stories.iter().find(|story| story.path == path) else { return Answer::status(404) };
        match story {
            Story { gone: true, .. } => Answer::status(404),
            Story { fails: true, .. } => Answer::status(503).header("Retry-After", "60"),
            story if asked == Some(&story.etag()) => Answer::status(304).header("ETag", &story.etag()),
            story => Answer::ok("text/html", story.page(origin)).header("ETag", &story.etag()),
        }
    }

    /// Applies the events of one hour.
    fn pass_an_hour(&mut self, dice: &mut Dice) {
        self.feed_fails = dice.percent(15);
        for story in &mut self.stories {
            story.fails = dice.percent(10);
            match dice.below(10) {
                0..3 => {
                    story.texts += 1;
                    story.text = story.texts;
                }
                // An edit is reverted.
                3 => story.text = story.text.saturating_sub(1),
                4 => {
                    let to = format!("{}-moved", story.path);
                    self.moved.insert(std::mem::replace(&mut story.path, to.clone()), to);
                }
                5 if dice.percent(20) => story.gone = true,
                _ => {}
            }
        }
        if self.stories.len() < 6 && dice.percent(60) {
            let number = self.stories.len() as u64;
            let path = format!("/2026/{number}");
            self.stories.push(Story { number, path, text: 0, texts: 0, gone: false, fails: false });
        }
    }
}

/// Records what one look at a story finds.
fn look(story: &Story, found: &mut Found) {
    if story.gone || story.fails {
        return;
    }
    match found.last_mut() {
        Some((known, times)) if (known.text, &known.path) == (story.text, &story.path) => *times += 1,
        _ => found.push((story.clone(), 1)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_has_exactly_the_history_of_the_site() {
    let seed = std::env::var("DATELINE_SITE_SEED").map_or(20_261_125, |seed| seed.parse().unwrap());
    println!("DATELINE_SITE_SEED={seed}");
    let mut dice = Dice::new(seed);
    let (site, server) = (Arc::new(Mutex::new(Site::default())), Server::start().await);
    let origin = format!("http://{}", server.address());
    let (answering, base) = (Arc::clone(&site), origin.clone());
    server.otherwise(move |request| {
        answering.lock().unwrap().answer(&request.target, request.header("if-none-match"), &base)
    });
    let cli = Arc::new(Cli::new());
    let mut found: BTreeMap<u64, Found> = BTreeMap::new();
    // What the feed said when `follow` last archived each entry.
    let mut followed: BTreeMap<u64, String> = BTreeMap::new();
    for _ in 0..HOURS {
        site.lock().unwrap().pass_an_hour(&mut dice);
        let (stories, feed_fails) = {
            let site = site.lock().unwrap();
            (site.stories.clone(), site.feed_fails)
        };
        let feed = format!("{origin}/feed.xml");
        let done = run(&cli, &["follow", &feed, "--pages", "--allow-private"]).await;
        let mut all_well = !feed_fails;
        for story in stories.iter().filter(|story| !feed_fails && !story.gone) {
            if followed.get(&story.number) != Some(&story.path) {
                look(story, found.entry(story.number).or_default());
                all_well &= !story.fails;
                if !story.fails {
                    followed.insert(story.number, story.path.clone());
                }
            }
        }
        // An entry that is no longer in the feed is forgotten.
        if !feed_fails {
            followed.retain(|number, _| stories.iter().any(|story| story.number == *number && !story.gone));
        }
        assert_eq!(done.code == 0, all_well, "{done:?}");

        // By their original addresses.
        let addresses: Vec<_> = stories.iter().map(|story| format!("{origin}/2026/{}", story.number)).collect();
        if !addresses.is_empty() {
            let args: Vec<_> =
                ["add", "--allow-private"].into_iter().chain(addresses.iter().map(String::as_str)).collect();
            let done = run(&cli, &args).await;
            stories.iter().for_each(|story| look(story, found.entry(story.number).or_default()));
            // A page of an archived article that is missing is recorded as missing, which is no failure.
            let is_archived = |story: &Story| found.get(&story.number).is_some_and(|found| !found.is_empty());
            let is_well = |story: &Story| if story.gone { is_archived(story) } else { !story.fails };
            let all_well = stories.iter().all(is_well);
            assert_eq!(done.code == 0, all_well, "{done:?}");
        }
        check(&cli, &site, &found, &origin).await;
    }
    check_texts(&cli, &found, &origin).await;
    let revisions: usize = found.values().map(Vec::len).sum();
    assert!(found.len() >= 4 && revisions >= 12, "too little happened: {found:?}");
    assert!(server.seen().requests.iter().any(|request| request.header("if-none-match").is_some()));
    assert_eq!(run(&cli, &["verify"]).await.code, 0);
}

/// Checks everything that the archive has of each story, by each of its addresses.
async fn check(cli: &Arc<Cli>, site: &Arc<Mutex<Site>>, found: &BTreeMap<u64, Found>, origin: &str) {
    let stories = site.lock().unwrap().stories.clone();
    let seen = |story: &&Story| found.get(&story.number).is_some_and(|found| !found.is_empty());
    for story in stories.iter().filter(seen) {
        let expected = &found[&story.number];
        let first = format!("{origin}/2026/{}", story.number);
        let done = run(cli, &["log", &first, "--oldest-first", "--json"]).await;
        assert_eq!(done.code, 0, "{done:?}");
        let logged: Vec<_> = json_lines(&done.out).iter().map(|line| line["observationCount"].to_string()).collect();
        let counts: Vec<_> = expected.iter().map(|(_, times)| times.to_string()).collect();
        assert_eq!(
            logged.iter().map(|count| count.trim_matches('"')).collect::<Vec<_>>(),
            counts,
            "{story:?}: {expected:?}, {}",
            done.out
        );
        let (then, _) = &expected[expected.len() - 1];
        // The canonical URL of that state leads to the article as well.
        let shown = run(cli, &["show", &format!("{origin}{}", then.path)]).await.out;
        assert!(shown.contains(&then.headline()) && shown.contains(&then.sentence()), "{then:?}: {shown}");
    }
}

/// Checks that the text of each revision is that of the page.
async fn check_texts(cli: &Arc<Cli>, found: &BTreeMap<u64, Found>, origin: &str) {
    for (number, expected) in found.iter().filter(|(_, expected)| !expected.is_empty()) {
        let first = format!("{origin}/2026/{number}");
        for (revision, (then, _)) in (1..).zip(expected) {
            let shown = run(cli, &["show", &first, "--revision", &format!("{revision}")]).await.out;
            assert!(shown.contains(&then.headline()) && shown.contains(&then.sentence()), "{then:?}: {shown}");
            assert!(!shown.contains("Contact us"), "{shown}");
        }
    }
}

/// Runs a command without blocking this runtime, which drives the site's server.
pub(super) async fn run(cli: &Arc<Cli>, args: &[&str]) -> Done {
    let (cli, args) = (Arc::clone(cli), args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
    tokio::task::spawn_blocking(move || cli.run(&args.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap()
}
