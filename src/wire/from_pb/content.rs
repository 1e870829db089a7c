//! Converts contents and the HTTP facts of observations, and checks them.

use super::super::pb;
use super::timestamp;
use crate::model::field_errors::{FieldError, FieldErrors, all, every};
use crate::model::{Block, BlockKind, ClaimedTime, Content, Fetch, Limits, Precision, check};

/// Converts a content and checks it against the limits. Canonicalises its language.
pub fn content(message: Option<pb::Content>, limits: &Limits) -> Result<Content, FieldErrors> {
    let message = message.ok_or_else(|| FieldError::invalid("content", "is missing"))?;
    let publish_time = optional_claim("content.publish_time", message.publish_time);
    let modify_time = optional_claim("content.modify_time", message.modify_time);
    let blocks = every(message.blocks.into_iter().enumerate().map(|(index, item)| block(index, item)));
    let rest = Content {
        headline: message.headline,
        standfirst: message.standfirst,
        bylines: message.bylines,
        section: message.section,
        language: message.language,
        canonical_url: message.canonical_url,
        publish_time: None,
        modify_time: None,
        keywords: message.keywords,
        rights: message.rights,
        blocks: Vec::new(),
    };
    match all!(publish_time, modify_time, blocks) {
        Ok((publish_time, modify_time, blocks)) => {
            check::content(Content { publish_time, modify_time, blocks, ..rest }, limits)
        }
        Err(malformed) => {
            let mut errors = check::content(rest, limits).err().unwrap_or_default();
            errors.add(malformed);
            Err(errors)
        }
    }
}

/// Converts the HTTP facts of an observation and checks them.
pub fn fetch(message: Option<pb::Fetch>, limits: &Limits) -> Result<Option<Fetch>, FieldErrors> {
    let Some(pb::Fetch { url, etag, last_modified }) = message else { return Ok(None) };
    check::fetch(Fetch { url, etag, last_modified }, limits).map(Some)
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
    let kind = block.kind.ok_or_else(|| FieldError::invalid(format!("content.blocks[{index}]"), "has no kind"));
    let confidence_percent = check::confidence_percent(index, block.confidence_percent);
    let (kind, confidence_percent) = all!(kind, confidence_percent)?;
    let kind = match kind {
        Kind::Paragraph(pb::Paragraph { text }) => BlockKind::Paragraph { text },
        Kind::Subheading(pb::Subheading { text }) => BlockKind::Subheading { text },
        Kind::Caption(pb::Caption { text, image_url, credit }) => BlockKind::Caption { text, image_url, credit },
        Kind::Quote(pb::Quote { text, attribution }) => BlockKind::Quote { text, attribution },
        Kind::List(pb::List { items, ordered }) => BlockKind::List { items, ordered },
        Kind::Embed(pb::Embed { url, text }) => BlockKind::Embed { url, text },
        Kind::CorrectionNote(pb::CorrectionNote { text }) => BlockKind::CorrectionNote { text },
    };
    Ok(Block { kind, confidence_percent })
}
