//! Validates contents, and the HTTP facts of observations.

use oxilangtag::LanguageTag;

use super::super::field_errors::{all, every};
use super::super::{FieldError, FieldErrors, pb};
use super::{check_bytes, check_url, timestamp};
use crate::model::{Block, BlockKind, ClaimedTime, Content, Fetch, Limits, Precision, UrlKey};

/// Validates a content against the limits. Canonicalises its language.
pub fn content(message: Option<pb::Content>, limits: &Limits) -> Result<Content, FieldErrors> {
    let message = message.ok_or_else(|| FieldError::invalid("content", "is missing"))?;
    let size = check_content_size(&message, limits);
    let headline = match message.headline.trim() {
        "" => Err(FieldError::invalid("content.headline", "is empty; an article needs a headline")),
        _ => Ok(message.headline),
    };
    let canonical_url = match message.canonical_url.as_str() {
        "" => Ok(message.canonical_url),
        url => check_url("content.canonical_url", url, limits).map(|_| message.canonical_url),
    };
    let language = language("content.language", &message.language);
    let publish_time = optional_claim("content.publish_time", message.publish_time);
    let modify_time = optional_claim("content.modify_time", message.modify_time);
    let blocks = every(message.blocks.into_iter().enumerate().map(|(index, item)| block(index, item)));
    let ((), headline, canonical_url, language, publish_time, modify_time, blocks) =
        all!(size, headline, canonical_url, language, publish_time, modify_time, blocks)?;
    Ok(Content {
        headline,
        standfirst: message.standfirst,
        bylines: message.bylines,
        section: message.section,
        language,
        canonical_url,
        publish_time,
        modify_time,
        keywords: message.keywords,
        rights: message.rights,
        blocks,
    })
}

fn check_content_size(message: &pb::Content, limits: &Limits) -> Result<(), FieldError> {
    // The encoded size is at least the size of the text, and close to it for large contents.
    let bytes = prost::Message::encoded_len(message);
    let blocks = message.blocks.len();
    if blocks > Limits::BLOCKS_MAX {
        let problem = format!("has {blocks} blocks; at most {} are allowed", Limits::BLOCKS_MAX);
        return Err(FieldError::too_large("content.blocks", problem));
    }
    if bytes <= limits.content_bytes_max {
        return Ok(());
    }
    let problem = format!("has {bytes} bytes; at most {} are allowed", limits.content_bytes_max);
    Err(FieldError::too_large("content", problem))
}

/// Validates the HTTP facts of an observation.
pub fn fetch(message: Option<pb::Fetch>, limits: &Limits) -> Result<Option<Fetch>, FieldErrors> {
    let Some(pb::Fetch { url, etag, last_modified }) = message else { return Ok(None) };
    let url = fetch_url(url, limits);
    let etag = header_text("fetch.etag", etag, Limits::ETAG_BYTES_MAX);
    let last_modified = header_text("fetch.last_modified", last_modified, Limits::LAST_MODIFIED_BYTES_MAX);
    let (url, etag, last_modified) = all!(url, etag, last_modified)?;
    Ok(Some(Fetch { url, etag, last_modified }))
}

fn fetch_url(url: String, limits: &Limits) -> Result<String, FieldError> {
    let path = "fetch.url";
    if url.is_empty() {
        return Err(FieldError::invalid(path, "is empty; give the URL the page was fetched from, or omit fetch"));
    }
    let url = header_text(path, url, limits.url_bytes_max)?;
    // The key of this URL is not stored, so its length does not matter.
    UrlKey::of(&url).map_err(|error| FieldError::invalid(path, error))?;
    Ok(url)
}

fn header_text(path: &str, text: String, bytes_max: usize) -> Result<String, FieldError> {
    check_bytes(path, &text, bytes_max)?;
    if text.contains(char::is_control) {
        return Err(FieldError::invalid(path, "contains a control character, which is not allowed"));
    }
    Ok(text)
}

fn language(path: &str, tag: &str) -> Result<String, FieldError> {
    language_tag(tag).map_err(|problem| FieldError::invalid(path, problem))
}

/// Canonicalises a language tag; an empty one stays empty. Fails with what is wrong with it.
pub fn language_tag(tag: &str) -> Result<String, String> {
    if tag.is_empty() {
        return Ok(String::new());
    }
    if tag.len() > Limits::NAME_BYTES_MAX {
        return Err(format!("is longer than {} bytes", Limits::NAME_BYTES_MAX));
    }
    let malformed = |error| format!("{tag:?} is not a BCP 47 language tag: {error}");
    Ok(LanguageTag::parse_and_normalize(tag).map_err(malformed)?.into_inner())
}

/// Validates the labels in the field `path`, and returns them sorted and without duplicates.
pub fn labels(path: &str, labels: Vec<String>, limits: &Limits) -> Result<Vec<String>, FieldErrors> {
    let mut labels = every(labels.into_iter().enumerate().map(|(index, text)| label(path, index, text)))?;
    labels.sort_unstable();
    labels.dedup();
    if labels.len() > limits.labels_max {
        let problem = format!("has {} labels; at most {} are allowed", labels.len(), limits.labels_max);
        return Err(FieldError::invalid(path, problem).into());
    }
    Ok(labels)
}

fn label(path: &str, index: usize, label: String) -> Result<String, FieldError> {
    check_label(&label).map_err(|problem| FieldError::invalid(format!("{path}[{index}]"), problem))?;
    Ok(label)
}

/// Validates a label. Fails with what is wrong with it.
pub fn check_label(label: &str) -> Result<(), String> {
    if label.is_empty() || label.len() > Limits::NAME_BYTES_MAX {
        return Err(format!("must have 1 to {} bytes", Limits::NAME_BYTES_MAX));
    }
    if label.contains(char::is_control) {
        return Err("contains a control character, which is not allowed".to_owned());
    }
    Ok(())
}

fn optional_claim(path: &str, claim: Option<pb::ClaimedTime>) -> Result<Option<ClaimedTime>, FieldErrors> {
    claim.map(|claim| claimed_time(path, claim)).transpose()
}

/// Validates a claimed time in the field `path`.
pub fn claimed_time(path: &str, claim: pb::ClaimedTime) -> Result<ClaimedTime, FieldErrors> {
    let time_path = format!("{path}.time");
    let time = claim.time.ok_or_else(|| FieldError::invalid(&time_path, "is missing"));
    let time = time.and_then(|time| timestamp(&time_path, &time));
    let precision = match pb::TimePrecision::try_from(claim.precision) {
        Ok(pb::TimePrecision::Unspecified | pb::TimePrecision::Instant) => Ok(Precision::Instant),
        Ok(pb::TimePrecision::Day) => Ok(Precision::Day),
        Ok(pb::TimePrecision::Month) => Ok(Precision::Month),
        Ok(pb::TimePrecision::Year) => Ok(Precision::Year),
        Err(_) => Err(FieldError::invalid(format!("{path}.precision"), "is not a known precision")),
    };
    let (time, precision) = all!(time, precision)?;
    Ok(ClaimedTime { time, precision, words: claim.words, found_in: claim.found_in, relative: claim.relative })
}

fn block(index: usize, block: pb::Block) -> Result<Block, FieldErrors> {
    use pb::block::Kind;
    let path = || format!("content.blocks[{index}]");
    let kind = block.kind.ok_or_else(|| FieldError::invalid(path(), "has no kind"));
    let confidence = u8::try_from(block.confidence_percent).ok().filter(|percent| *percent <= 100);
    let bad = || FieldError::invalid(format!("{}.confidence_percent", path()), "must be from 0 to 100");
    let confidence = confidence.ok_or_else(bad);
    let (kind, confidence) = all!(kind, confidence)?;
    let kind = match kind {
        Kind::Paragraph(pb::Paragraph { text }) => BlockKind::Paragraph { text },
        Kind::Subheading(pb::Subheading { text }) => BlockKind::Subheading { text },
        Kind::Caption(pb::Caption { text, image_url, credit }) => BlockKind::Caption { text, image_url, credit },
        Kind::Quote(pb::Quote { text, attribution }) => BlockKind::Quote { text, attribution },
        Kind::List(pb::List { items, ordered }) => BlockKind::List { items, ordered },
        Kind::Embed(pb::Embed { url, text }) => BlockKind::Embed { url, text },
        Kind::CorrectionNote(pb::CorrectionNote { text }) => BlockKind::CorrectionNote { text },
    };
    Ok(Block { kind, confidence_percent: (confidence > 0).then_some(confidence) })
}
