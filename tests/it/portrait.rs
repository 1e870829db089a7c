//! Everything that an archive answers, as text: readers cannot distinguish two archives with the same portrait.
//!
//! The lines name what they show and avoid the names of our types, because some of them are kept as files permanently.

use std::fmt::Write;
use std::sync::Arc;

use dateline::internals::archive::changefeed::{ChangeAt, FeedStart, FeedView, PagePlan};
use dateline::internals::archive::read::article::{ArticleAt, UrlAt, View};
use dateline::internals::archive::read::list::{ArticleQuery, RevisionOrder, RevisionQuery};
use dateline::internals::archive::{Archive, ReadPoint};
use dateline::model::{
    ArticleFilter, ArticleName, ArticleUrl, AsOf, BlockKind, ChangeKind, ChangeKinds, ClaimedTime, Content,
    ContentParts, FeedQuery, KnownAt, RevisionSelector, Seq, SourceScope, Timestamp,
};
use sha2::{Digest, Sha256};

/// More than any archive here has, so that one page is enough.
const ALL: usize = 10_000;

/// The portrait of an archive. Articles are read as known below each of `bounds`, at each of `instants` and at the end
/// of the observe axis.
pub(crate) async fn portrait(archive: &Archive, bounds: &[u64], instants: &[Timestamp]) -> String {
    let mut text = String::new();
    let end = archive.tail();
    writeln!(text, "the log ends at {}, with log digest {}", end.next_seq, hex(&end.log_digest.0)).unwrap();
    changes(archive, &mut text).await;
    for bound in bounds.iter().copied().chain([end.next_seq.0]) {
        let known_at = KnownAt::NextSeq { next_seq: Seq(bound), log_digest: None };
        let point = archive.read_point(AsOf { observe_time: None, known_at }, Seq::ZERO).await.unwrap();
        for observe_time in instants.iter().copied().map(Some).chain([None]) {
            articles(archive, ReadPoint { observe_time, ..point }, &mut text).await;
        }
    }
    sources(archive, &mut text).await;
    revisions(archive, &mut text).await;
    subscriptions(archive, &mut text).await;
    text
}

/// Fails unless two portraits are the same, and shows the first lines that differ.
pub(crate) fn assert_same(found: &str, expected: &str, when: &str) {
    let mut lines = found.lines().zip(expected.lines()).enumerate();
    if let Some((line, (found, expected))) = lines.find(|(_, (found, expected))| found != expected) {
        panic!("{when}, line {}:\n  found:    {found}\n  expected: {expected}", line + 1);
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{when}: lines");
}

/// Every kind, including the one that is left out by default.
fn every_kind() -> ChangeKinds {
    use ChangeKind::{
        Absent, Aliased, Created, Labelled, Reinstated, Revised, RolledBack, Sighted, UrlMoved, Withdrawn,
    };
    ChangeKinds::of([Created, Revised, Sighted, Withdrawn, Reinstated, RolledBack, Aliased, Labelled, Absent, UrlMoved])
}

async fn changes(archive: &Archive, text: &mut String) {
    let query = FeedQuery { kinds: every_kind(), ..FeedQuery::default() };
    let plan = PagePlan {
        query: Arc::new(query),
        view: FeedView::Basic,
        render: |change, bytes| bytes.extend(change_line(change).into_bytes()),
        changes_max: ALL,
        bytes_max: usize::MAX,
        examined_max: ALL,
    };
    let start = archive.feed_start(FeedStart::Beginning).await.unwrap();
    let page = archive.feed_page(start, archive.tail().next_seq, plan).await.unwrap();
    assert_eq!(page.next, archive.tail(), "the whole log fits into one page");
    for item in page.items {
        writeln!(text, "{}", std::str::from_utf8(&item.bytes).unwrap()).unwrap();
    }
}

fn change_line(shown: &ChangeAt) -> String {
    let change = &shown.change;
    let entry = &change.entry;
    let mut line = format!(
        "change {} {:?} {}: observed {}, archived {}, batch from {}, log digest {}",
        change.seq,
        entry.kind,
        entry.name,
        entry.observe_time,
        entry.archive_time,
        entry.batch_first,
        hex(&change.log_digest.0)
    );
    if let Some(previous) = entry.previous {
        write!(line, ", after {previous}").unwrap();
    }
    if let Some(revision) = entry.revision {
        write!(line, ", revision {revision}").unwrap();
    }
    if let Some((id, digest)) = &entry.request {
        write!(line, ", request {id} {}", hex(&digest.0)).unwrap();
    }
    for url in &entry.bound_urls {
        write!(line, ", binds {}{}", url_shown(&url.url), until(url.until)).unwrap();
    }
    for url in &entry.ended_urls {
        write!(line, ", ends {}{}", url_shown(&url.url), until(url.until)).unwrap();
    }
    if let Some(repeated) = &entry.repeated_move {
        let what = if repeated.ended { "ends" } else { "binds" };
        write!(line, ", {what} again {}", url_shown(&repeated.url)).unwrap();
    }
    if let Some(labels) = &entry.labels {
        write!(line, ", labels +{:?} -{:?} = {:?}", labels.added, labels.removed, labels.after).unwrap();
    }
    if let Some(labels_seq) = entry.latest_state.labels_seq {
        write!(line, ", labels by {labels_seq}").unwrap();
    }
    if !entry.reason.is_empty() {
        write!(line, ", reason {:?}", entry.reason).unwrap();
    }
    if let Some(principal) = &entry.principal {
        write!(line, ", by {}", principal.as_str()).unwrap();
    }
    if let Some(expunging) = &entry.expunging {
        write!(line, ", {expunging:?}").unwrap();
    }
    if let Some(fetch) = &entry.fetch {
        write!(line, ", fetched from {}, etag {:?}, last modified {:?}", fetch.url, fetch.etag, fetch.last_modified)
            .unwrap();
    }
    let latest_state = entry.latest_state;
    if let Some(absence) = &entry.absence {
        write!(line, ", missing {:?}, run {:?}", absence.look, absence.run).unwrap();
    }
    let (state, state_seq, newest) = (latest_state.state, latest_state.state_seq, latest_state.is_newest);
    write!(line, ", newest since {} by {}", latest_state.since, latest_state.created_seq).unwrap();
    write!(line, ", {state:?} by {state_seq:?}, is newest {newest}, newest revision {}", shown.newest).unwrap();
    line
}

fn until(until: Option<Timestamp>) -> String {
    until.map(|until| format!(" until {until}")).unwrap_or_default()
}

async fn articles(archive: &Archive, point: ReadPoint, text: &mut String) {
    let at = point.observe_time.map_or("the end".to_owned(), |at| at.to_string());
    writeln!(text, "at {at}, known below {}, log digest {}:", point.below(), hex(&point.snapshot.log_digest.0))
        .unwrap();
    for article in listed(archive, point).await {
        article_shown(&article, text);
        for UrlAt { url, period, moved_to } in &article.urls {
            let moved_to = moved_to.as_ref().map(|article| format!(", then {article}")).unwrap_or_default();
            let (url_text, since) = (url_shown(url), period.since);
            writeln!(text, "    url {url_text} since {since}{}{moved_to}", until(period.until)).unwrap();
            let observe_time = Some(period.since);
            let point = ReadPoint { observe_time, ..point };
            let key = url.key.clone();
            let found = archive
                .article_by_url(point, url.original.clone(), key, SourceScope::all(), View::Basic)
                .await
                .unwrap();
            assert_eq!(found.name, article.name, "the URL leads to its article");
        }
    }
}

async fn listed(archive: &Archive, point: ReadPoint) -> Vec<ArticleAt> {
    let query = ArticleQuery {
        source: None,
        filter: ArticleFilter::default(),
        view: View::Full,
        page_size: ALL,
        content_bytes_max: usize::MAX,
    };
    archive.articles_by_name(point, query, None).await.unwrap().items
}

fn article_shown(article: &ArticleAt, text: &mut String) {
    write!(
        text,
        "  {}: revision {} of {}, valid from {}",
        article.name, article.revision.number, article.revision_count, article.valid_from
    )
    .unwrap();
    if let Some(until) = article.valid_until {
        write!(text, " until {until}").unwrap();
    }
    let etag = article.etag.as_deref().unwrap_or("none");
    write!(text, ", etag {etag}, created {}, latest change {}", article.create_time, article.latest.seq).unwrap();
    if let Some(mark) = &article.state {
        write!(text, ", withdrawn {} since {} for {:?}", mark.withdrawn, mark.since, mark.reason).unwrap();
    }
    if let Some(absence) = article.absence {
        write!(text, ", {:?}, missing {:?}, run {:?}", article.article_state(), absence.look, absence.run).unwrap();
    }
    if !article.labels.is_empty() {
        write!(text, ", labels {:?}", article.labels).unwrap();
    }
    // A withdrawn article shows no content.
    writeln!(text, ", headline {:?}", article.revision.record().unwrap().headline).unwrap();
}

/// The counts of a source are always those of the present, whatever else is read.
async fn sources(archive: &Archive, text: &mut String) {
    let point = archive.read_point(AsOf::default(), Seq::ZERO).await.unwrap();
    for (source, figures) in archive.sources(point, None, SourceScope::all(), ALL).await.unwrap().items {
        let (articles, first, latest) = (figures.articles, figures.first_archive_time, figures.latest_archive_time);
        writeln!(text, "source {source}: {articles} articles, archived from {first} to {latest}").unwrap();
    }
}

async fn revisions(archive: &Archive, text: &mut String) {
    let point = archive.read_point(AsOf::default(), Seq::ZERO).await.unwrap();
    for article in listed(archive, point).await {
        let query = RevisionQuery {
            order: RevisionOrder::OldestFirst,
            changed_parts: ContentParts::NONE,
            view: View::Basic,
            page_size: ALL,
        };
        let name = article.name;
        let listed = archive.revisions(point, name.clone(), query, None).await.unwrap();
        for entry in listed.items {
            let (count, first, last) = (entry.observation_count, entry.first_seen, entry.last_seen);
            let number = entry.revision.number;
            writeln!(text, "{name} revision {number}: seen {count} times, from {first} to {last}").unwrap();
            revision(archive, point, &name, RevisionSelector::Number(number), text).await;
        }
    }
}

async fn revision(
    archive: &Archive,
    point: ReadPoint,
    name: &ArticleName,
    selector: RevisionSelector,
    text: &mut String,
) {
    let revision = archive.revision(point, name.clone(), selector, View::Full).await.unwrap();
    if revision.is_expunged() {
        writeln!(text, "  destroyed: {:?}", revision.created_by.entry.expunged.as_ref().unwrap().order).unwrap();
        return;
    }
    let revision = archive.revision_with_original(point, name.clone(), selector, View::Full).await.unwrap();
    let record = revision.record().unwrap();
    write!(text, "  digest {}, {} words", record.digest, record.word_count).unwrap();
    if let Some(delta) = record.word_delta {
        write!(text, ", {} in, {} out", delta.inserted, delta.deleted).unwrap();
    }
    if !record.changed_parts.is_empty() {
        write!(text, ", changed {:?}", record.changed_parts.iter().collect::<Vec<_>>()).unwrap();
    }
    if let Some(of) = record.rollback_of {
        write!(text, ", a rollback to {of}").unwrap();
    }
    writeln!(text).unwrap();
    content(revision.content().as_ref().unwrap(), text);
    match (&record.original, &revision.original) {
        (Some(known), Some(data)) => {
            let (media_type, size, sha256) = (&known.media_type, known.size_bytes, hex(&known.sha256));
            let data = shortened(&String::from_utf8_lossy(data));
            writeln!(text, "  original {media_type}, {size} bytes, SHA-256 {sha256}: {data}").unwrap();
        }
        (None, None) => {}
        (known, data) => panic!("the record says {known:?}, and the original is {data:?}"),
    }
}

fn content(content: &Content, text: &mut String) {
    let fields = [
        ("headline", &content.headline),
        ("standfirst", &content.standfirst),
        ("section", &content.section),
        ("language", &content.language),
        ("canonical url", &content.canonical_url),
        ("rights", &content.rights),
    ];
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(text, "  {name} {value:?}").unwrap();
    }
    let lists = [("bylines", &content.bylines), ("keywords", &content.keywords)];
    for (name, values) in lists.into_iter().filter(|(_, values)| !values.is_empty()) {
        writeln!(text, "  {name} {values:?}").unwrap();
    }
    for (name, claimed) in [("published", &content.publish_time), ("modified", &content.modify_time)] {
        if let Some(ClaimedTime { time, precision, words, found_in, relative }) = claimed {
            let how = format!("{precision:?}, words {words:?}, found in {found_in:?}, relative {relative}");
            writeln!(text, "  {name} {time}, {how}").unwrap();
        }
    }
    for block in &content.blocks {
        write!(text, "  ").unwrap();
        match &block.kind {
            BlockKind::Paragraph { text: said } => write!(text, "paragraph {}", shortened(said)),
            BlockKind::Subheading { text: said } => write!(text, "subheading {said:?}"),
            BlockKind::Caption { text: said, image_url, credit } => {
                write!(text, "caption {said:?} of {image_url:?} by {credit:?}")
            }
            BlockKind::Quote { text: said, attribution } => write!(text, "quote {said:?} of {attribution:?}"),
            BlockKind::List { items, ordered } => write!(text, "list {items:?}, ordered {ordered}"),
            BlockKind::Embed { url, text: said } => write!(text, "embed {url:?} {said:?}"),
            BlockKind::CorrectionNote { text: said } => write!(text, "correction {said:?}"),
        }
        .unwrap();
        match block.confidence_percent {
            Some(percent) => writeln!(text, ", {percent} percent sure").unwrap(),
            None => writeln!(text).unwrap(),
        }
    }
}

async fn subscriptions(archive: &Archive, text: &mut String) {
    for subscription in archive.subscriptions(None, ALL).await.unwrap().items {
        let record = &subscription.record;
        let (id, lag, next_seq) = (&subscription.id, subscription.lag_changes, record.next_seq);
        let (made, epoch) = (record.create_time, record.epoch);
        write!(text, "subscription {id} created {made}: at {next_seq}, lag {lag}, epoch {epoch}").unwrap();
        if let Some(since) = subscription.waiting_since {
            write!(text, ", waits since {since}").unwrap();
        }
        let FeedQuery { filter, kinds } = &record.query;
        let sources: Vec<_> = filter.sources.iter().map(ToString::to_string).collect();
        let articles: Vec<_> = filter.articles.iter().map(ToString::to_string).collect();
        let prefix = filter.url_prefix.as_ref().map_or("", |prefix| prefix.as_str());
        write!(text, ", sources {sources:?}, articles {articles:?}, labels {:?}", filter.labels).unwrap();
        write!(text, ", languages {:?}, urls {prefix:?}, states {:?}", filter.languages, filter.states).unwrap();
        writeln!(text, ", kinds {:#x}", kinds.bits()).unwrap();
        if let Some(webhook) = &record.webhook {
            writeln!(text, "  sends to {webhook:?}").unwrap();
        }
        for (request, digest) in &record.moves {
            writeln!(text, "  moved by request {request} with digest {:x?}", digest.0).unwrap();
        }
        for (seq, parked) in record.parked.iter() {
            let dateline::internals::store::subscription::ParkedChange {
                reason,
                attempts,
                park_time,
                left_filter,
                batch_end,
            } = parked;
            write!(text, "  put aside {seq} at {park_time} after {attempts} attempts because {reason:?}").unwrap();
            writeln!(text, ", left {left_filter}, batch end {batch_end}").unwrap();
        }
    }
}

/// A text, or its length and digest if it is long.
fn shortened(text: &str) -> String {
    if text.len() <= 1_000 {
        return format!("{text:?}");
    }
    format!("of {} bytes with SHA-256 {}", text.len(), hex(&Sha256::digest(text)))
}

fn url_shown(url: &ArticleUrl) -> String {
    format!("{} as {}", url.original, url.key.as_str())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
