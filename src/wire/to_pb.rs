//! Converts values of the model to messages.

use std::collections::BTreeSet;

use prost::Message;
use tonic::{Code, Status};

use super::pb;
use crate::model::diff::{ContentDiff, FieldChange, Hunk, HunkKind, Span, SpanKind};
use crate::model::{
    AbsenceLook, AbsenceReason, AbsenceRun, ArticleFilter, ArticleState, Block, BlockKind, ChangeKind, ChangeKinds,
    ClaimedTime, Content, ContentPart, ContentParts, ExpungeOrder, ExpungeReason, Expunged, Expunging, Fetch,
    Precision, RevisionNumber, RevisionRecord, Snapshot, TimeRange, Timestamp, UrlKey, WordDelta,
};

/// Converts an instant without loss of precision.
pub fn timestamp_to_pb(time: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = time.seconds_and_nanos();
    prost_types::Timestamp { seconds, nanos }
}

/// Converts a status to a message, with its details.
pub fn status_to_pb(status: &Status) -> tonic_types::Status {
    let (code, message) = (i32::from(status.code()), status.message());
    // By the convention of gRPC, the details are this message already.
    match tonic_types::Status::decode(status.details()) {
        Ok(decoded) if decoded.code == code => decoded,
        Ok(_) | Err(_) => tonic_types::Status { code, message: message.to_owned(), details: Vec::new() },
    }
}

/// Converts a message to the status that it describes.
pub fn status_from_pb(message: &tonic_types::Status) -> Status {
    Status::with_details(Code::from(message.code), message.message.clone(), message.encode_to_vec().into())
}

/// Converts a snapshot; the archive time is unset if the log is empty.
pub fn snapshot_to_pb(snapshot: &Snapshot) -> pb::Snapshot {
    pb::Snapshot {
        next_seq: snapshot.next_seq.0,
        archive_time: snapshot.archive_time.map(timestamp_to_pb),
        log_digest: snapshot.log_digest.0.to_vec(),
    }
}

/// Converts a filter. Its values are sorted and deduplicated, so that equal selections give equal messages.
pub fn article_filter_to_pb(filter: &ArticleFilter) -> pb::ArticleFilter {
    pb::ArticleFilter {
        sources: in_order(filter.sources.iter().map(ToString::to_string)),
        articles: in_order(filter.articles.iter().map(ToString::to_string)),
        states: filter.states.iter().map(|state| article_state_to_pb(*state).into()).collect(),
        languages: in_order(filter.languages.iter().cloned()),
        labels: in_order(filter.labels.iter().cloned()),
        url_prefix: filter.url_prefix.as_ref().map(UrlKey::to_url).unwrap_or_default(),
        observe_time: time_range_to_pb(filter.observe_time),
        publish_time: time_range_to_pb(filter.publish_time),
        changed_parts: content_parts_to_pb(filter.changed_parts),
    }
}

fn in_order(values: impl Iterator<Item = String>) -> Vec<String> {
    values.collect::<BTreeSet<_>>().into_iter().collect()
}

fn time_range_to_pb(range: TimeRange) -> Option<pb::TimeRange> {
    (!range.is_unbounded()).then(|| pb::TimeRange {
        start_time: range.start.map(timestamp_to_pb),
        end_time: range.end.map(timestamp_to_pb),
    })
}

/// Converts selected kinds of change. The default selection gives an empty list.
pub fn feed_kinds_to_pb(kinds: ChangeKinds) -> Vec<i32> {
    const ALL: [ChangeKind; 11] = [
        ChangeKind::Created,
        ChangeKind::Revised,
        ChangeKind::Sighted,
        ChangeKind::Withdrawn,
        ChangeKind::Reinstated,
        ChangeKind::RolledBack,
        ChangeKind::Aliased,
        ChangeKind::Labelled,
        ChangeKind::Absent,
        ChangeKind::UrlMoved,
        ChangeKind::Expunged,
    ];
    let requested = ALL.into_iter().filter(|kind| !kinds.is_default() && kinds.names(*kind));
    requested.map(|kind| feed_kind_to_pb(kind).into()).collect()
}

/// Converts a kind of change.
pub fn feed_kind_to_pb(kind: ChangeKind) -> pb::ChangeKind {
    match kind {
        ChangeKind::Created => pb::ChangeKind::Created,
        ChangeKind::Revised => pb::ChangeKind::Revised,
        ChangeKind::Sighted => pb::ChangeKind::Sighted,
        ChangeKind::Withdrawn => pb::ChangeKind::Withdrawn,
        ChangeKind::Reinstated => pb::ChangeKind::Reinstated,
        ChangeKind::RolledBack => pb::ChangeKind::RolledBack,
        ChangeKind::Aliased => pb::ChangeKind::Aliased,
        ChangeKind::Labelled => pb::ChangeKind::Labelled,
        ChangeKind::Absent => pb::ChangeKind::Absent,
        ChangeKind::UrlMoved => pb::ChangeKind::UrlMoved,
        ChangeKind::Expunged => pb::ChangeKind::Expunged,
    }
}

/// Converts why a text was destroyed.
pub fn expunge_reason_to_pb(reason: ExpungeReason) -> pb::ExpungeReason {
    match reason {
        ExpungeReason::CourtOrder => pb::ExpungeReason::CourtOrder,
        ExpungeReason::PersonalData => pb::ExpungeReason::PersonalData,
        ExpungeReason::Copyright => pb::ExpungeReason::Copyright,
        ExpungeReason::Other => pb::ExpungeReason::Other,
    }
}

/// Converts what is left of a text that was destroyed.
pub fn expunged_to_pb(expunged: &Expunged) -> pb::Expunged {
    let ExpungeOrder { reason, reference, time } = &expunged.order;
    pb::Expunged {
        reason: expunge_reason_to_pb(*reason).into(),
        reference: reference.clone(),
        expunge_time: Some(timestamp_to_pb(*time)),
        content_commitment: expunged.commitments.content.map(|content| content.0.to_vec()).unwrap_or_default(),
    }
}

/// Converts what a change destroyed. `revisions` are those among it; none if it was all text of the article.
pub fn expunging_to_pb(expunging: &Expunging, revisions: &[RevisionNumber]) -> pb::Expunging {
    pb::Expunging {
        seqs: expunging.targets.iter().map(|target| target.seq.0).collect(),
        revision_numbers: revisions.iter().map(|number| number.get()).collect(),
        with_name: expunging.with_name,
        reason: expunge_reason_to_pb(expunging.order.reason).into(),
        reference: expunging.order.reference.clone(),
    }
}

/// Converts the state of an article.
pub fn article_state_to_pb(state: ArticleState) -> pb::ArticleState {
    match state {
        ArticleState::Live => pb::ArticleState::Live,
        ArticleState::Withdrawn => pb::ArticleState::Withdrawn,
        ArticleState::Gone => pb::ArticleState::Gone,
    }
}

/// Converts how a page was missing.
pub fn absence_reason_to_pb(reason: AbsenceReason) -> pb::AbsenceReason {
    match reason {
        AbsenceReason::NotFound => pb::AbsenceReason::NotFound,
        AbsenceReason::Gone => pb::AbsenceReason::Gone,
        AbsenceReason::Redirected => pb::AbsenceReason::Redirected,
    }
}

/// Converts an absence, with the run that it ends.
pub fn absence_to_pb(look: AbsenceLook, run: AbsenceRun) -> pb::Absence {
    pb::Absence {
        last_seen_time: Some(timestamp_to_pb(run.last_seen)),
        first_missed_time: Some(timestamp_to_pb(run.first_missed)),
        last_missed_time: Some(timestamp_to_pb(run.last_missed)),
        count: run.count,
        reason: absence_reason_to_pb(look.reason).into(),
        http_status: look.http_status,
        gone_after: look.gone_after,
    }
}

/// Converts parts of a content, in order.
pub fn content_parts_to_pb(parts: ContentParts) -> Vec<i32> {
    parts.iter().map(|part| content_part_to_pb(part).into()).collect()
}

fn content_part_to_pb(part: ContentPart) -> pb::ContentPart {
    match part {
        ContentPart::Headline => pb::ContentPart::Headline,
        ContentPart::Standfirst => pb::ContentPart::Standfirst,
        ContentPart::Body => pb::ContentPart::Body,
        ContentPart::Captions => pb::ContentPart::Captions,
        ContentPart::Byline => pb::ContentPart::Byline,
        ContentPart::Section => pb::ContentPart::Section,
        ContentPart::Keywords => pb::ContentPart::Keywords,
        ContentPart::ClaimedTimes => pb::ContentPart::ClaimedTimes,
        ContentPart::Address => pb::ContentPart::Address,
        ContentPart::Markup => pb::ContentPart::Markup,
        ContentPart::Language => pb::ContentPart::Language,
        ContentPart::Rights => pb::ContentPart::Rights,
    }
}

/// Converts a word delta.
pub fn word_delta_to_pb(delta: WordDelta) -> pb::WordDelta {
    pb::WordDelta { inserted: delta.inserted, deleted: delta.deleted }
}

/// Converts the HTTP facts of an observation.
pub fn fetch_to_pb(fetch: &Fetch) -> pb::Fetch {
    let Fetch { url, etag, last_modified } = fetch.clone();
    pb::Fetch { url, etag, last_modified }
}

/// Converts a whole content, as in view FULL.
pub fn content_to_pb(content: &Content) -> pb::Content {
    pb::Content {
        headline: content.headline.clone(),
        standfirst: content.standfirst.clone(),
        bylines: content.bylines.clone(),
        section: content.section.clone(),
        language: content.language.clone(),
        canonical_url: content.canonical_url.clone(),
        publish_time: content.publish_time.as_ref().map(claim_to_pb),
        modify_time: content.modify_time.as_ref().map(claim_to_pb),
        keywords: content.keywords.clone(),
        rights: content.rights.clone(),
        blocks: content.blocks.iter().map(block_to_pb).collect(),
    }
}

/// The content that a revision's log record alone provides, as in view BASIC.
pub fn basic_content_to_pb(record: &RevisionRecord) -> pb::Content {
    pb::Content {
        headline: record.headline.clone(),
        section: record.section.clone(),
        language: record.language.clone(),
        canonical_url: record.canonical_url.clone(),
        publish_time: record.publish_time.as_ref().map(claim_to_pb),
        modify_time: record.modify_time.as_ref().map(claim_to_pb),
        ..pb::Content::default()
    }
}

/// Converts a claimed time.
pub fn claim_to_pb(claim: &ClaimedTime) -> pb::ClaimedTime {
    let precision = match claim.precision {
        Precision::Instant => pb::TimePrecision::Instant,
        Precision::Day => pb::TimePrecision::Day,
        Precision::Month => pb::TimePrecision::Month,
        Precision::Year => pb::TimePrecision::Year,
    };
    pb::ClaimedTime {
        time: Some(timestamp_to_pb(claim.time)),
        precision: precision.into(),
        words: claim.words.clone(),
        found_in: claim.found_in.clone(),
        relative: claim.relative,
    }
}

fn block_to_pb(block: &Block) -> pb::Block {
    use pb::block::Kind;
    let kind = match &block.kind {
        BlockKind::Paragraph { text } => Kind::Paragraph(pb::Paragraph { text: text.clone() }),
        BlockKind::Subheading { text } => Kind::Subheading(pb::Subheading { text: text.clone() }),
        BlockKind::Caption { text, image_url, credit } => {
            Kind::Caption(pb::Caption { text: text.clone(), image_url: image_url.clone(), credit: credit.clone() })
        }
        BlockKind::Quote { text, attribution } => {
            Kind::Quote(pb::Quote { text: text.clone(), attribution: attribution.clone() })
        }
        BlockKind::List { items, ordered } => Kind::List(pb::List { items: items.clone(), ordered: *ordered }),
        BlockKind::Embed { url, text } => Kind::Embed(pb::Embed { url: url.clone(), text: text.clone() }),
        BlockKind::CorrectionNote { text } => Kind::CorrectionNote(pb::CorrectionNote { text: text.clone() }),
    };
    pb::Block { kind: Some(kind), confidence_percent: block.confidence_percent.map_or(0, u32::from) }
}

/// Converts a comparison of two contents: the fields that differ, and the hunks of the body.
pub fn diff_to_pb(diff: &ContentDiff) -> (Vec<pb::FieldChange>, Vec<pb::Hunk>) {
    let field = |change: &FieldChange| pb::FieldChange {
        field: change.field.to_owned(),
        spans: change.spans.iter().map(span_to_pb).collect(),
    };
    (diff.fields.iter().map(field).collect(), diff.hunks.iter().map(hunk_to_pb).collect())
}

fn hunk_to_pb(hunk: &Hunk) -> pb::Hunk {
    let kind = match hunk.kind {
        HunkKind::Equal => pb::HunkKind::Equal,
        HunkKind::Insert => pb::HunkKind::Insert,
        HunkKind::Delete => pb::HunkKind::Delete,
        HunkKind::Move => pb::HunkKind::Move,
        HunkKind::Modify => pb::HunkKind::Modify,
    };
    let index = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
    pb::Hunk {
        kind: kind.into(),
        base_block: hunk.base_block.map(index),
        target_block: hunk.target_block.map(index),
        spans: hunk.spans.iter().map(span_to_pb).collect(),
    }
}

fn span_to_pb(span: &Span) -> pb::Span {
    let kind = match span.kind {
        SpanKind::Equal => pb::SpanKind::Equal,
        SpanKind::Insert => pb::SpanKind::Insert,
        SpanKind::Delete => pb::SpanKind::Delete,
    };
    pb::Span { kind: kind.into(), text: span.text.clone() }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::model::{BlockKind, Precision};

    /// The limit on the size of a content counts the bytes of its message, and the model does not know messages.
    #[test]
    fn the_model_knows_the_size_of_a_content_s_message() {
        let texts = ["", "x", "Überschrift", &"long ".repeat(40), &"longer ".repeat(4_000)];
        for (index, text) in texts.into_iter().enumerate() {
            let text = || text.to_owned();
            let claim = |seconds, nanos, relative| {
                let time = Timestamp::from_seconds_and_nanos(seconds, nanos).unwrap();
                Some(ClaimedTime { time, precision: Precision::Instant, words: text(), found_in: text(), relative })
            };
            let kinds = [
                BlockKind::Paragraph { text: text() },
                BlockKind::Subheading { text: text() },
                BlockKind::Caption { text: text(), image_url: text(), credit: text() },
                BlockKind::Quote { text: text(), attribution: text() },
                BlockKind::List { items: vec![text(), String::new()], ordered: true },
                BlockKind::List { items: Vec::new(), ordered: false },
                BlockKind::Embed { url: text(), text: text() },
                BlockKind::CorrectionNote { text: text() },
            ];
            let mut blocks: Vec<Block> = kinds.into_iter().map(Block::from).collect();
            blocks[0].confidence_percent = Some(60);
            let content = Content {
                headline: text(),
                standfirst: text(),
                bylines: vec![text(), String::new()],
                section: text(),
                language: text(),
                canonical_url: text(),
                publish_time: claim(-1, 999_999_000, true),
                modify_time: claim(1_777_626_000, 0, false).filter(|_| index > 0),
                keywords: vec![text()],
                rights: text(),
                blocks,
            };
            assert_eq!(content.encoded_bytes(), content_to_pb(&content).encoded_len());
        }
        assert_eq!(Content::default().encoded_bytes(), 0);
    }
}
