//! Which parts of a content changed, worked out from the documented rules.

use dateline::model::{BlockKind, ClaimedTime, Content, ContentPart, ContentParts};

/// The parts that differ.
pub(crate) fn changed_parts(base: &Content, target: &Content) -> ContentParts {
    let pairs = described(base).into_iter().zip(described(target));
    let mut changed: Vec<_> = pairs.filter(|(base, target)| base != target).map(|((part, _), _)| part).collect();
    if changed.contains(&ContentPart::Body) {
        changed.retain(|part| *part != ContentPart::Markup);
    }
    ContentParts::of(changed)
}

/// Each part as a text. That of the markup has the body's words, too, so it counts only if those are the same. It does
/// not say where captions are; no content of these tests has any.
fn described(content: &Content) -> Vec<(ContentPart, String)> {
    let is_caption = |kind: &BlockKind| matches!(kind, BlockKind::Caption { .. });
    let body: Vec<_> = content.blocks.iter().map(|block| &block.kind).filter(|kind| !is_caption(kind)).collect();
    let captions: Vec<_> = content.blocks.iter().map(|block| &block.kind).filter(|kind| is_caption(kind)).collect();
    let words: Vec<&str> = body.iter().flat_map(|kind| kind.texts()).flat_map(|text| text.split_whitespace()).collect();
    let claim = |claim: &Option<ClaimedTime>| match claim {
        Some(claim) if !claim.relative => format!("{} {:?}", claim.time, claim.precision),
        Some(_) | None => String::new(),
    };
    vec![
        (ContentPart::Headline, content.headline.clone()),
        (ContentPart::Standfirst, content.standfirst.clone()),
        (ContentPart::Body, words.join(" ")),
        (ContentPart::Captions, format!("{captions:?}")),
        (ContentPart::Byline, format!("{:?}", content.bylines)),
        (ContentPart::Section, content.section.clone()),
        (ContentPart::Keywords, format!("{:?}", content.keywords)),
        (ContentPart::ClaimedTimes, [claim(&content.publish_time), claim(&content.modify_time)].join(", ")),
        (ContentPart::Address, content.canonical_url.clone()),
        (ContentPart::Markup, format!("{body:?}")),
        (ContentPart::Language, content.language.clone()),
        (ContentPart::Rights, content.rights.clone()),
    ]
}

/// Whether a revision that changed `changed` is selected by `wanted`, where one that changed nothing is all new.
pub(crate) fn selects(wanted: ContentParts, changed: ContentParts) -> bool {
    wanted == ContentParts::NONE
        || changed == ContentParts::NONE
        || wanted.iter().any(|part| changed.iter().any(|other| other == part))
}
