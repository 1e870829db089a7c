//! Converts a ninjs item into a document.

use crate::model::{BlockKind, ClaimedTime, Content};

use super::super::{
    Document, Guess, IngestError, article_url, claims, distinct, note_ignored, quoted, stated_language, without_by,
};
use super::item::NinjsObject;
use super::{pictures, texts};

/// Properties, in lower case, that are read, or that describe the item as a record rather than its content. Others are
/// noted as ignored.
const KNOWN: &[&str] = &[
    "altids",
    "associations",
    "bodies",
    "by",
    "byline",
    "charcount",
    "copyrightholder",
    "copyrightnotice",
    "descriptions",
    "embargoed",
    "embargoeduntil",
    "firstcreated",
    "headline",
    "headlines",
    "infosource",
    "infosources",
    "language",
    "mimetype",
    "people",
    "person",
    "profile",
    "pubstatus",
    "renditions",
    "representationtype",
    "rightsinfo",
    "standard",
    "$standard",
    "subject",
    "subjects",
    "title",
    "type",
    "uri",
    "urgency",
    "usageterms",
    "version",
    "versioncreated",
    "wordcount",
];

/// Converts an item. An item without a body is kept, with a note; one without a headline is an error.
pub(super) fn of(item: &NinjsObject<'_>) -> Result<Document, IngestError> {
    let item = *item;
    let mut guesses = Vec::new();
    let (headline, secondary_headline) = texts::headline(item, &mut guesses);
    if headline.is_empty() {
        return Err(IngestError::NoHeadline { reason: "the item has neither headlines nor a title".to_owned() });
    }
    let (mut blocks, secondary_body) = texts::body(item, &mut guesses);
    drop_repeated_headline(&mut blocks, &headline);
    if blocks.is_empty() {
        guesses.push(Guess::new("body", "none", "the item has no text; only its other fields are archived"));
    } else if matches!(item.text(&["representationType"]).as_str(), "partial" | "incomplete") {
        guesses.push(Guess::new("body", "maybe an excerpt", "the item says that it is incomplete"));
    }
    pictures::add(item, &mut blocks, &mut guesses);
    let standfirst = standfirst([secondary_headline, secondary_body], item, &mut guesses);
    let (publish_time, modify_time) = times(item, &mut guesses);
    let publication = publication(item, &mut guesses);
    let content = Content {
        headline,
        standfirst,
        bylines: bylines(item),
        language: language(item, &mut guesses),
        canonical_url: item.raw_text("uri").and_then(|uri| article_url(uri.trim())).unwrap_or_default(),
        publish_time,
        modify_time,
        keywords: keywords(item),
        rights: rights(item),
        blocks,
        ..Content::default()
    };
    note_embargo_and_unused(item, &mut guesses);
    Ok(Document { content, publication, guesses, ..Document::default() })
}

/// Drops a first heading of the body that repeats the headline.
fn drop_repeated_headline(blocks: &mut Vec<crate::model::Block>, headline: &str) {
    let repeats = |kind: &BlockKind| matches!(kind, BlockKind::Subheading { text } if text == headline);
    if blocks.first().is_some_and(|block| repeats(&block.kind)) {
        blocks.remove(0);
    }
}

/// The first non-empty text that is stated as the standfirst, or else the description.
fn standfirst(stated: [String; 2], item: NinjsObject<'_>, guesses: &mut Vec<Guess>) -> String {
    let description = if item.kind() == "picture" { String::new() } else { texts::description(item) };
    let mut stated = stated.into_iter().filter(|text| !text.is_empty());
    if let Some(standfirst) = stated.next() {
        let others = stated.chain(Some(description).filter(|text| !text.is_empty() && *text != standfirst));
        guesses.extend(others.map(|text| Guess::new("ignored", quoted(&text), "an article has one standfirst")));
        return standfirst;
    }
    if !description.is_empty() {
        guesses.push(Guess::new("standfirst", quoted(&description), "the description, which may be internal"));
    }
    description
}

fn bylines(item: NinjsObject<'_>) -> Vec<String> {
    let by = item.text(&["by", "byline"]);
    if !by.is_empty() {
        return vec![without_by(&by).to_owned()];
    }
    let wrote = |person: &NinjsObject<'_>| ["author", "creator"].iter().any(|rel| person.text(&["rel"]).ends_with(rel));
    let people = item.objects(&["people", "person"]).into_iter().filter(wrote);
    people.map(|person| person.text(&["name"])).filter(|name| !name.is_empty()).collect()
}

fn language(item: NinjsObject<'_>, guesses: &mut Vec<Guess>) -> String {
    stated_language(&item.text(&["language"]), guesses)
}

/// The publication and modification times. The first version of an item is its publication, and later versions are
/// modifications. If the item states neither the time of its first version nor that it is the first version, the
/// time of the present version counts as a modification time.
fn times(item: NinjsObject<'_>, guesses: &mut Vec<Guess>) -> (Option<ClaimedTime>, Option<ClaimedTime>) {
    let (first, version) = (item.text(&["firstCreated"]), item.text(&["versionCreated"]));
    let is_first = first.is_empty() && matches!(item.text(&["version"]).as_str(), "0" | "1");
    let (published, modified) = if is_first { (version, String::new()) } else { (first, version) };
    let modified = if modified == published { String::new() } else { modified };
    claims::stated_pair([&published, &modified], "ninjs", guesses)
}

fn publication(item: NinjsObject<'_>, guesses: &mut Vec<Guess>) -> Option<String> {
    let sources = item.objects(&["infoSources", "infoSource"]);
    let role = |source: &NinjsObject<'_>| source.text(&["role", "rel"]).to_ascii_lowercase();
    let publishes = |source: &NinjsObject<'_>| ["publisher", "provider"].iter().any(|word| role(source).contains(word));
    let publisher = sources.into_iter().find(publishes);
    if let Some(name) = publisher.map(|source| source.text(&["name"])).filter(|name| !name.is_empty()) {
        return Some(name);
    }
    let holder = Some(item.text(&["copyrightHolder"])).filter(|holder| !holder.is_empty())?;
    guesses.push(Guess::new("publication", holder.clone(), "the copyright holder"));
    Some(holder)
}

fn keywords(item: NinjsObject<'_>) -> Vec<String> {
    distinct(item.objects(&["subjects", "subject"]).into_iter().map(|subject| subject.text(&["name"])))
}

fn rights(item: NinjsObject<'_>) -> String {
    let notice = item.text(&["copyrightNotice"]);
    let holder = item.text(&["copyrightHolder"]);
    let notice = if notice.is_empty() && !holder.is_empty() { format!("© {holder}") } else { notice };
    let linked = item.value("rightsInfo").and_then(serde_json::Value::as_object).map(NinjsObject::of);
    let linked = linked.map(|rights| rights.text(&["linkedRights"])).unwrap_or_default();
    let parts = [notice, item.text(&["usageTerms"]), linked];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Notes an embargo, and the properties that were not used.
fn note_embargo_and_unused(item: NinjsObject<'_>, guesses: &mut Vec<Guess>) {
    let embargo = item.text(&["embargoedUntil", "embargoed"]);
    if !embargo.is_empty() {
        guesses.push(Guess::new("embargo", embargo, "not to be published before then"));
    }
    let is_known = |name: &str| {
        let name = name.to_ascii_lowercase();
        let prefixes = ["body_", "headline_", "description_"];
        KNOWN.contains(&name.as_str()) || prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    note_ignored(item.names().filter(|name| !is_known(name)), guesses);
}
