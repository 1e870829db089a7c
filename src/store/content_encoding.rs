//! The encoding of a content: a protobuf message whose fields are those of `dateline.v1.Content`, so that a stored content
//! can be sent as it is.

use prost::Message;

use super::record::claim_from_stored;
use super::stored;
use super::stored::block::Kind;
use crate::model::digest::DigestEncoder;
use crate::model::{Block, BlockKind, BlockTag, ClaimedTime, Content, ContentDigest, Timestamp};
use crate::protobuf::{self, FieldValue, MessageWriter};

/// A content's encoding: the bytes that are compressed, that deltas are computed from, and that are sent.
pub fn to_bytes(content: &Content) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.encoded_bytes());
    write(content, &mut MessageWriter(&mut bytes));
    bytes
}

/// The inverse of [`to_bytes`]; `None` if the bytes are not the encoding of a content.
pub fn from_bytes(bytes: &[u8]) -> Option<Content> {
    let content = stored::Content::decode(bytes).ok()?;
    let claim = |claim: Option<stored::ClaimedTime>| claim.map(|claim| claim_from_stored(claim).ok_or(())).transpose();
    Some(Content {
        headline: content.headline,
        standfirst: content.standfirst,
        bylines: content.bylines,
        section: content.section,
        language: content.language,
        canonical_url: content.canonical_url,
        publish_time: claim(content.publish_time).ok()?,
        modify_time: claim(content.modify_time).ok()?,
        keywords: content.keywords,
        rights: content.rights,
        blocks: content.blocks.into_iter().map(block_from_stored).collect::<Option<_>>()?,
    })
}

/// The digest of an encoded content, computed from its bytes; `None` if they are not the encoding of a content.
pub fn digest(bytes: &[u8]) -> Option<ContentDigest> {
    /// The number of the field before the blocks.
    const LAST_SINGLE: usize = 10;
    let mut single: [&[u8]; LAST_SINGLE + 1] = [&[]; LAST_SINGLE + 1];
    let (mut bylines, mut keywords, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
    for field in protobuf::fields(bytes) {
        let (number, value) = field?;
        let value = value.bytes()?;
        match number {
            3 => bylines.push(value),
            9 => keywords.push(value),
            12 => blocks.push(value),
            _ => *single.get_mut(usize::try_from(number).ok()?)? = value,
        }
    }
    let [_, headline, standfirst, _, section, language, url, published, modified, _, rights] = single;
    let mut encoder = DigestEncoder::of_content();
    encoder.bytes(headline).bytes(standfirst);
    digest_list(&bylines, &mut encoder);
    encoder.bytes(section).bytes(language).bytes(url);
    digest_claim(published, &mut encoder)?;
    digest_claim(modified, &mut encoder)?;
    digest_list(&keywords, &mut encoder);
    encoder.bytes(rights).count(blocks.len());
    for block in blocks {
        digest_block(block, &mut encoder)?;
    }
    Some(encoder.finish_content())
}

fn digest_list(items: &[&[u8]], encoder: &mut DigestEncoder) {
    encoder.count(items.len());
    for item in items {
        encoder.bytes(item);
    }
}

/// An absent claim is empty, and no other is.
fn digest_claim(claim: &[u8], encoder: &mut DigestEncoder) -> Option<()> {
    let (mut time, mut precision, mut relative) = (&[][..], 0, claim.is_empty());
    for field in protobuf::fields(claim) {
        match field? {
            (1, FieldValue::Bytes(bytes)) => time = bytes,
            (2, FieldValue::Number(number)) => precision = u8::try_from(number).ok()?,
            (5, FieldValue::Number(number)) => relative = number != 0,
            _ => {}
        }
    }
    if relative {
        encoder.choice(0);
        return Some(());
    }
    let (mut seconds, mut nanos) = (0, 0);
    for field in protobuf::fields(time) {
        match field? {
            (1, FieldValue::Number(number)) => seconds = number.cast_signed(),
            (2, FieldValue::Number(number)) => nanos = i32::try_from(number).ok()?,
            _ => return None,
        }
    }
    encoder.time(precision, Timestamp::from_seconds_and_nanos(seconds, nanos)?.micros());
    Some(())
}

fn digest_block(block: &[u8], encoder: &mut DigestEncoder) -> Option<()> {
    let (kind, fields) = protobuf::fields(block).find_map(|field| match field {
        // The number of a kind is that of its field.
        Some((number, FieldValue::Bytes(fields))) => Some((BlockTag::from_number(number)?, fields)),
        Some((_, FieldValue::Number(_))) | None => None,
    })?;
    encoder.choice(kind.number());
    let mut texts: [&[u8]; 4] = [&[]; 4];
    let (mut items, mut ordered) = (Vec::new(), 0);
    for field in protobuf::fields(fields) {
        match field? {
            (_, FieldValue::Bytes(item)) if kind == BlockTag::List => items.push(item),
            (number, FieldValue::Bytes(text)) => *texts.get_mut(usize::try_from(number).ok()?)? = text,
            (_, FieldValue::Number(number)) => ordered = u8::try_from(number).ok()?,
        }
    }
    let [_, first, second, third] = texts;
    match kind {
        BlockTag::Paragraph | BlockTag::Subheading | BlockTag::CorrectionNote => encoder.bytes(first),
        BlockTag::Caption => encoder.bytes(first).bytes(second).bytes(third),
        BlockTag::Quote | BlockTag::Embed => encoder.bytes(first).bytes(second),
        BlockTag::List => {
            digest_list(&items, encoder.choice(ordered));
            encoder
        }
    };
    Some(())
}

fn write(content: &Content, writer: &mut MessageWriter<'_>) {
    writer.text(1, &content.headline);
    writer.text(2, &content.standfirst);
    writer.texts(3, &content.bylines);
    writer.text(4, &content.section);
    writer.text(5, &content.language);
    writer.text(6, &content.canonical_url);
    for (field, claim) in [(7, &content.publish_time), (8, &content.modify_time)] {
        if let Some(claim) = claim {
            writer.message(field, |writer| write_claim(claim, writer));
        }
    }
    writer.texts(9, &content.keywords);
    writer.text(10, &content.rights);
    for block in &content.blocks {
        writer.message(12, |writer| write_block(block, writer));
    }
}

fn write_claim(claim: &ClaimedTime, writer: &mut MessageWriter<'_>) {
    writer.timestamp(1, claim.time);
    writer.number(2, claim.precision.number().into());
    writer.text(3, &claim.words);
    writer.text(4, &claim.found_in);
    writer.flag(5, claim.relative);
}

fn write_block(block: &Block, writer: &mut MessageWriter<'_>) {
    // The number of a kind is that of its field.
    writer.message(block.kind.tag().number().into(), |writer| match &block.kind {
        BlockKind::Paragraph { text } | BlockKind::Subheading { text } | BlockKind::CorrectionNote { text } => {
            writer.text(1, text);
        }
        BlockKind::Caption { text, image_url, credit } => {
            writer.text(1, text);
            writer.text(2, image_url);
            writer.text(3, credit);
        }
        BlockKind::Quote { text, attribution } => {
            writer.text(1, text);
            writer.text(2, attribution);
        }
        BlockKind::List { items, ordered } => {
            writer.texts(1, items);
            writer.flag(2, *ordered);
        }
        BlockKind::Embed { url, text } => {
            writer.text(1, url);
            writer.text(2, text);
        }
    });
    writer.number(15, block.confidence_percent.unwrap_or(0).into());
}

fn block_from_stored(block: stored::Block) -> Option<Block> {
    let kind = match block.kind? {
        Kind::Paragraph(stored::Paragraph { text }) => BlockKind::Paragraph { text },
        Kind::Subheading(stored::Subheading { text }) => BlockKind::Subheading { text },
        Kind::Caption(stored::Caption { text, image_url, credit }) => BlockKind::Caption { text, image_url, credit },
        Kind::Quote(stored::Quote { text, attribution }) => BlockKind::Quote { text, attribution },
        Kind::List(stored::List { items, ordered }) => BlockKind::List { items, ordered },
        Kind::Embed(stored::Embed { url, text }) => BlockKind::Embed { url, text },
        Kind::CorrectionNote(stored::CorrectionNote { text }) => BlockKind::CorrectionNote { text },
    };
    let confidence = u8::try_from(block.confidence_percent).ok()?;
    Some(Block { kind, confidence_percent: (confidence > 0).then_some(confidence) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Precision, Timestamp};
    use crate::wire::content_to_pb;

    fn everything() -> Content {
        let text = |text: &str| text.to_owned();
        let claim = |micros| ClaimedTime {
            time: Timestamp::from_micros(micros).unwrap(),
            precision: Precision::Month,
            words: text("2 months ago"),
            found_in: text("header"),
            relative: true,
        };
        let kinds = [
            BlockKind::Paragraph { text: "The bridge is shut. ".repeat(20) },
            BlockKind::Paragraph { text: String::new() },
            BlockKind::Subheading { text: text("Detours") },
            BlockKind::Caption {
                text: text("The bridge"),
                image_url: text("https://a.example/1"),
                credit: text("A. Lens"),
            },
            BlockKind::Quote { text: text("We are sorry."), attribution: text("The mayor") },
            BlockKind::List { items: vec![text("north"), text(""), text("south")], ordered: true },
            BlockKind::Embed { url: text("https://video.example/1"), text: text("") },
            BlockKind::CorrectionNote { text: text("An earlier version gave another date.") },
        ];
        let confident = |kind| Block { kind, confidence_percent: Some(70) };
        Content {
            headline: text("Bridge to close"),
            standfirst: text("Repairs until May."),
            bylines: vec![text("Mara Quill"), text("")],
            section: text("City"),
            language: text("en-GB"),
            canonical_url: text("https://courier.example/bridge"),
            publish_time: Some(claim(-1)),
            modify_time: Some(claim(0)),
            keywords: vec![text("bridge"), text("repairs")],
            rights: text("© Courier"),
            blocks: kinds.clone().into_iter().map(Block::from).chain(kinds.into_iter().map(confident)).collect(),
        }
    }

    #[test]
    fn a_content_is_stored_in_the_encoding_of_the_contract() {
        for content in [Content::default(), Content::new("Bridge"), everything()] {
            let bytes = to_bytes(&content);
            assert_eq!(bytes, content_to_pb(&content).encode_to_vec());
            assert_eq!(bytes.len(), content.encoded_bytes());
            assert_eq!(digest(&bytes), Some(ContentDigest::of(&content)));
            assert_eq!(from_bytes(&bytes), Some(content));
        }
    }
}
