//! The rules for what may be recorded, and the limits on it. Everything that reaches the archive passes them, whether
//! it arrives over the wire or from a program that embeds the archive.
//!
//! Each check names the field that is wrong, as the contract names it, and says what would be valid. Some return the
//! value in canonical form.

use std::time::Duration;

use oxilangtag::LanguageTag;

use super::field_errors::{FieldError, FieldErrors, all, every};
use super::{ArticleUrl, BlockKind, Content, Fetch, Limits, Original, RequestId, Timestamp, UrlKey};

/// Checks a content against the limits, and canonicalises its language.
pub fn content(content: Content, limits: &Limits) -> Result<Content, FieldErrors> {
    let lists = lists(&content);
    let size = content_size(&content, limits);
    let headline = match content.headline.trim() {
        "" => Err(FieldError::invalid("content.headline", "is empty; an article needs a headline")),
        _ => Ok(()),
    };
    let canonical_url = match content.canonical_url.as_str() {
        "" => Ok(()),
        given => url("content.canonical_url", given, limits).map(drop),
    };
    let language = language_tag(&content.language).map_err(|problem| FieldError::invalid("content.language", problem));
    let confidences = every(content.blocks.iter().enumerate().filter_map(|(index, block)| {
        let percent = block.confidence_percent?;
        Some(confidence_percent(index, percent.into()).map(drop))
    }));
    let (_, (), (), (), language, _) = all!(lists, size, headline, canonical_url, language, confidences)?;
    Ok(Content { language, ..content })
}

/// Checks the number of elements in each list of a content.
fn lists(content: &Content) -> Result<Vec<()>, FieldErrors> {
    let fields =
        [("bylines", content.bylines.len()), ("keywords", content.keywords.len()), ("blocks", content.blocks.len())];
    let fields = fields.into_iter().map(|(field, count)| (count, format!("content.{field}")));
    let lists = content.blocks.iter().enumerate().filter_map(|(index, block)| {
        let BlockKind::List { items, .. } = &block.kind else { return None };
        Some((items.len(), format!("content.blocks[{index}].list.items")))
    });
    every(fields.chain(lists).map(|(count, path)| {
        if count <= Limits::BLOCKS_MAX {
            return Ok(());
        }
        Err(FieldError::too_large(path, too_many_elements(Limits::BLOCKS_MAX)))
    }))
}

/// What is wrong with a list that has more than `elements_max` elements.
pub fn too_many_elements(elements_max: usize) -> String {
    format!("has too many elements; at most {elements_max} are allowed")
}

fn content_size(content: &Content, limits: &Limits) -> Result<(), FieldError> {
    let bytes = content.encoded_bytes();
    if bytes <= limits.content_bytes_max {
        return Ok(());
    }
    let problem = format!("has {bytes} bytes; at most {} are allowed", limits.content_bytes_max);
    Err(FieldError::too_large("content", problem))
}

/// Checks how certain the kind of a content's block is. 0 means that no certainty is stated.
pub fn confidence_percent(block: usize, percent: u32) -> Result<Option<u8>, FieldError> {
    let known = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
    let bad = || FieldError::invalid(format!("content.blocks[{block}].confidence_percent"), "must be from 0 to 100");
    known.ok_or_else(bad).map(|percent| (percent > 0).then_some(percent))
}

/// Checks a URL that identifies an article, and returns its key.
pub fn url(path: &str, url: &str, limits: &Limits) -> Result<UrlKey, FieldError> {
    text_bytes(path, url, limits.url_bytes_max)?;
    let key = UrlKey::of(url).map_err(|error| FieldError::invalid(path, error))?;
    // Escapes make a key longer than its URL, and the key becomes part of a database key.
    if key.as_str().len() > limits.url_bytes_max {
        return Err(FieldError::invalid(path, "is too long after normalisation"));
    }
    Ok(key)
}

/// Checks the URLs of an article, except the canonical one.
pub fn urls(path: &str, given: Vec<String>, limits: &Limits) -> Result<Vec<ArticleUrl>, FieldErrors> {
    if given.len() > limits.urls_max {
        let problem = format!("has {} URLs; at most {} are allowed", given.len(), limits.urls_max);
        return Err(FieldError::invalid(path, problem).into());
    }
    every(given.into_iter().enumerate().map(|(index, original)| {
        let key = url(&format!("{path}[{index}]"), &original, limits)?;
        Ok::<_, FieldError>(ArticleUrl { original, key })
    }))
}

/// Checks that an observe time is at most one minute ahead of `now`.
pub fn observe_time(time: Timestamp, now: Timestamp) -> Result<Timestamp, FieldError> {
    if time.micros_since(now) > Limits::AHEAD_MICROS_MAX {
        let problem = format!("{time} is more than one minute ahead of the server's clock, {now}");
        return Err(FieldError::invalid("observe_time", problem));
    }
    Ok(time)
}

/// Checks the time within which sightings are coalesced, and returns it in microseconds.
pub fn coalesce_within(within: Duration) -> Result<i64, FieldError> {
    let micros = i64::try_from(within.as_micros()).ok();
    micros.filter(|_| within.as_secs() <= Limits::COALESCE_SECONDS_MAX).ok_or_else(coalesce_out_of_range)
}

/// The error of a time to coalesce within that is negative, malformed or too long.
pub fn coalesce_out_of_range() -> FieldError {
    let most = Limits::COALESCE_SECONDS_MAX;
    FieldError::invalid("coalesce_within", format!("must be from 0 s to {most} s, with nanos from 0 to 999,999,999"))
}

/// Checks an original, without copying it.
pub fn original(original: Original, limits: &Limits) -> Result<Original, FieldErrors> {
    let data = match original.data.len() {
        0 => Err(FieldError::invalid("original.data", "is empty; omit the original instead")),
        bytes if bytes > limits.original_bytes_max => {
            let problem = format!("has {bytes} bytes; at most {} are allowed", limits.original_bytes_max);
            Err(FieldError::too_large("original.data", problem))
        }
        _ => Ok(()),
    };
    let media_type = if original.media_type.len() > Limits::NAME_BYTES_MAX {
        let problem = format!("is longer than {} bytes", Limits::NAME_BYTES_MAX);
        Err(FieldError::invalid("original.media_type", problem))
    } else {
        Ok(())
    };
    let ((), ()) = all!(data, media_type)?;
    Ok(original)
}

/// Checks the HTTP facts of an observation.
pub fn fetch(fetch: Fetch, limits: &Limits) -> Result<Fetch, FieldErrors> {
    let url = fetch_url(&fetch.url, limits);
    let etag = header_text("fetch.etag", &fetch.etag, Limits::ETAG_BYTES_MAX);
    let last_modified = header_text("fetch.last_modified", &fetch.last_modified, Limits::LAST_MODIFIED_BYTES_MAX);
    let ((), (), ()) = all!(url, etag, last_modified)?;
    Ok(fetch)
}

fn fetch_url(url: &str, limits: &Limits) -> Result<(), FieldError> {
    let path = "fetch.url";
    if url.is_empty() {
        return Err(FieldError::invalid(path, "is empty; give the URL the page was fetched from, or omit fetch"));
    }
    header_text(path, url, limits.url_bytes_max)?;
    // The key of this URL is not stored, so its length does not matter.
    UrlKey::of(url).map(drop).map_err(|error| FieldError::invalid(path, error))
}

fn header_text(path: &str, text: &str, bytes_max: usize) -> Result<(), FieldError> {
    text_bytes(path, text, bytes_max)?;
    if text.contains(char::is_control) {
        return Err(FieldError::invalid(path, "contains a control character, which is not allowed"));
    }
    Ok(())
}

fn text_bytes(path: &str, text: &str, bytes_max: usize) -> Result<(), FieldError> {
    if text.len() <= bytes_max {
        return Ok(());
    }
    let problem = format!("has {} bytes; at most {bytes_max} are allowed", text.len());
    Err(FieldError::invalid(path, problem))
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

/// Checks the labels in the field `path`, and returns them sorted and without duplicates.
pub fn labels(path: &str, labels: Vec<String>, limits: &Limits) -> Result<Vec<String>, FieldErrors> {
    let mut labels = every(labels.into_iter().enumerate().map(|(index, text)| {
        label(&text).map_err(|problem| FieldError::invalid(format!("{path}[{index}]"), problem))?;
        Ok::<_, FieldError>(text)
    }))?;
    labels.sort_unstable();
    labels.dedup();
    if labels.len() > limits.labels_max {
        let problem = format!("has {} labels; at most {} are allowed", labels.len(), limits.labels_max);
        return Err(FieldError::invalid(path, problem).into());
    }
    Ok(labels)
}

/// Checks a label. Fails with what is wrong with it.
pub fn label(label: &str) -> Result<(), String> {
    if label.is_empty() || label.len() > Limits::NAME_BYTES_MAX {
        return Err(format!("must have 1 to {} bytes", Limits::NAME_BYTES_MAX));
    }
    if label.contains(char::is_control) {
        return Err("contains a control character, which is not allowed".to_owned());
    }
    Ok(())
}

/// Checks that no label is to be both added and removed.
pub fn labels_distinct(add: &[String], remove: &[String]) -> Result<(), FieldError> {
    match remove.iter().position(|label| add.contains(label)) {
        Some(index) => Err(FieldError::invalid(format!("remove_labels[{index}]"), "is also to be added")),
        None => Ok(()),
    }
}

/// Checks the reason given with a state change or with labels.
pub fn reason(reason: String) -> Result<String, FieldError> {
    text_bytes("reason", &reason, Limits::REASON_BYTES_MAX)?;
    Ok(reason)
}

/// Checks a request id.
pub fn request_id(id: &str) -> Result<RequestId, FieldError> {
    RequestId::parse(id).map_err(|error| FieldError::invalid("request_id", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Block;

    #[test]
    fn a_certainty_is_at_most_100_percent() {
        let block = |confidence_percent| Block {
            confidence_percent,
            ..BlockKind::Paragraph { text: "It closes.".to_owned() }.into()
        };
        let with = |blocks| content(Content { blocks, ..Content::new("The bridge") }, &Limits::default());
        assert!(with(vec![block(None), block(Some(100))]).is_ok());
        let errors = with(vec![block(None), block(Some(101))]).unwrap_err();
        assert_eq!(errors.listed()[0].path, "content.blocks[1].confidence_percent");
    }
}
