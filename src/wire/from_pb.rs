//! Messages as the model, checked.

use std::fmt;
use std::time::Duration;

use oxilangtag::LanguageTag;

use super::pb;
use crate::model::{
    ArticleFilter, ArticleName, AsOf, Block, BlockKind, ClaimedTime, Content, FeedKind, FeedKinds, FeedQuery, Fetch,
    History, Knowledge, Limits, Precision, Seq, SourceId, TimeRange, Timestamp, UrlKey,
};

/// A field that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct FieldError {
    /// Where it is, as a path such as `content.blocks[2].caption.figure_url`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub problem: String,
    /// What kind of mistake it is.
    pub kind: FieldErrorKind,
}

/// Kinds of mistake that a client may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// A malformed or missing value.
    Invalid,
    /// A filter that cannot be answered.
    Filter,
    /// More than the limits take.
    TooLarge,
}

impl FieldErrorKind {
    /// The reason of `google.rpc.ErrorInfo`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Invalid => "FIELD_INVALID",
            Self::Filter => "FILTER_INVALID",
            Self::TooLarge => "ARTICLE_TOO_LARGE",
        }
    }
}

impl FieldError {
    /// A malformed or missing value.
    pub fn invalid(path: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { path: path.into(), problem: problem.to_string(), kind: FieldErrorKind::Invalid }
    }

    /// More than the limits take.
    pub fn too_large(path: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { kind: FieldErrorKind::TooLarge, ..Self::invalid(path, problem) }
    }

    /// A filter that cannot be answered.
    pub fn filter(path: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { kind: FieldErrorKind::Filter, ..Self::invalid(path, problem) }
    }

    /// The same mistake, one level further in.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        Self { path: format!("{outer}.{}", self.path), ..self }
    }
}

/// An instant.
pub fn timestamp(path: &str, time: &prost_types::Timestamp) -> Result<Timestamp, FieldError> {
    let read = Timestamp::from_seconds_and_nanos(time.seconds, time.nanos);
    read.ok_or_else(|| FieldError::invalid(path, "must lie in the years 1 to 9999, with nanos from 0 to 999,999,999"))
}

/// The instant of an observation: `now` where it is unset, and at most a minute ahead of that.
pub fn observe_time(time: Option<&prost_types::Timestamp>, now: Timestamp) -> Result<Timestamp, FieldError> {
    let Some(time) = time else { return Ok(now) };
    let time = timestamp("observe_time", time)?;
    if time.micros_since(now) > Limits::AHEAD_MICROS_MAX {
        let problem = format!("{time} is more than a minute ahead of the server's clock, {now}");
        return Err(FieldError::invalid("observe_time", problem));
    }
    Ok(time)
}

/// A content, within the limits.
pub fn content(message: Option<pb::Content>, limits: &Limits) -> Result<Content, FieldError> {
    let message = message.ok_or_else(|| FieldError::invalid("content", "is missing"))?;
    check_content_size(&message, limits)?;
    if message.headline.trim().is_empty() {
        return Err(FieldError::invalid("content.headline", "is empty; an article needs a headline"));
    }
    if !message.canonical_url.is_empty() {
        check_url("content.canonical_url", &message.canonical_url, limits)?;
    }
    let blocks = message.blocks.into_iter().enumerate();
    Ok(Content {
        headline: message.headline,
        standfirst: message.standfirst,
        bylines: message.bylines,
        section: message.section,
        language: language("content.language", &message.language)?,
        canonical_url: message.canonical_url,
        publish_time: optional_claim("content.publish_time", message.publish_time)?,
        modify_time: optional_claim("content.modify_time", message.modify_time)?,
        keywords: message.keywords,
        rights: message.rights,
        labels: labels(message.labels, limits)?,
        blocks: blocks.map(|(index, item)| block(index, item)).collect::<Result<_, _>>()?,
    })
}

fn check_content_size(message: &pb::Content, limits: &Limits) -> Result<(), FieldError> {
    // The encoded size is at least that of the text, and nearly it for anything large.
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

/// Checks a URL that identifies an article, and answers its key.
pub fn check_url(path: &str, url: &str, limits: &Limits) -> Result<UrlKey, FieldError> {
    check_bytes(path, url, limits.url_bytes_max)?;
    let key = UrlKey::of(url).map_err(|error| FieldError::invalid(path, error))?;
    // Escapes make a key longer than its URL, and keys are part of the database's.
    if key.as_str().len() > limits.url_bytes_max {
        return Err(FieldError::invalid(path, "is too long once it is normalised"));
    }
    Ok(key)
}

fn check_bytes(path: &str, text: &str, bytes_max: usize) -> Result<(), FieldError> {
    if text.len() <= bytes_max {
        return Ok(());
    }
    let problem = format!("has {} bytes; at most {bytes_max} are allowed", text.len());
    Err(FieldError::invalid(path, problem))
}

/// How a page was had.
pub fn fetch(message: Option<pb::Fetch>, limits: &Limits) -> Result<Option<Fetch>, FieldError> {
    let Some(pb::Fetch { url, etag, last_modified }) = message else { return Ok(None) };
    if url.is_empty() {
        return Err(FieldError::invalid("fetch.url", "is empty; say where the page was found, or leave the fetch out"));
    }
    let fields = [
        ("fetch.url", &url, limits.url_bytes_max),
        ("fetch.etag", &etag, Limits::ETAG_BYTES_MAX),
        ("fetch.last_modified", &last_modified, Limits::LAST_MODIFIED_BYTES_MAX),
    ];
    for (path, text, bytes_max) in fields {
        check_bytes(path, text, bytes_max)?;
        if text.contains(char::is_control) {
            return Err(FieldError::invalid(path, "has a control character, which no header and no URL may have"));
        }
    }
    // Its key is not stored, so it may be as long as it comes.
    UrlKey::of(&url).map_err(|error| FieldError::invalid("fetch.url", error))?;
    Ok(Some(Fetch { url, etag, last_modified }))
}

fn language(path: &str, tag: &str) -> Result<String, FieldError> {
    if tag.is_empty() {
        return Ok(String::new());
    }
    if tag.len() > Limits::NAME_BYTES_MAX {
        return Err(FieldError::invalid(path, format!("has over {} bytes", Limits::NAME_BYTES_MAX)));
    }
    let malformed = |error| FieldError::invalid(path, format!("{tag:?} is not a BCP 47 language tag: {error}"));
    Ok(LanguageTag::parse_and_normalize(tag).map_err(malformed)?.into_inner())
}

fn labels(mut labels: Vec<String>, limits: &Limits) -> Result<Vec<String>, FieldError> {
    if labels.len() > limits.labels_max {
        let problem = format!("has {} labels; at most {} are allowed", labels.len(), limits.labels_max);
        return Err(FieldError::invalid("content.labels", problem));
    }
    let bad = |label: &String| label.is_empty() || label.len() > Limits::NAME_BYTES_MAX;
    if let Some(index) = labels.iter().position(bad) {
        let problem = format!("must have 1 to {} bytes", Limits::NAME_BYTES_MAX);
        return Err(FieldError::invalid(format!("content.labels[{index}]"), problem));
    }
    if let Some(index) = labels.iter().position(|label| label.contains(char::is_control)) {
        let problem = "has a control character, which no label may have";
        return Err(FieldError::invalid(format!("content.labels[{index}]"), problem));
    }
    labels.sort_unstable();
    labels.dedup();
    Ok(labels)
}

fn optional_claim(path: &str, claim: Option<pb::ClaimedTime>) -> Result<Option<ClaimedTime>, FieldError> {
    claim.map(|claim| claimed_time(path, claim)).transpose()
}

/// A claimed time.
pub fn claimed_time(path: &str, claim: pb::ClaimedTime) -> Result<ClaimedTime, FieldError> {
    let time_path = format!("{path}.time");
    let time = claim.time.ok_or_else(|| FieldError::invalid(&time_path, "is missing"))?;
    let precision = match pb::TimePrecision::try_from(claim.precision) {
        Ok(pb::TimePrecision::Unspecified | pb::TimePrecision::Instant) => Precision::Instant,
        Ok(pb::TimePrecision::Day) => Precision::Day,
        Ok(pb::TimePrecision::Month) => Precision::Month,
        Ok(pb::TimePrecision::Year) => Precision::Year,
        Err(_) => return Err(FieldError::invalid(format!("{path}.precision"), "is not a known precision")),
    };
    Ok(ClaimedTime {
        time: timestamp(&time_path, &time)?,
        precision,
        words: claim.words,
        found_in: claim.found_in,
        relative: claim.relative,
    })
}

fn block(index: usize, block: pb::Block) -> Result<Block, FieldError> {
    use pb::block::Kind;
    let path = || format!("content.blocks[{index}]");
    let kind = match block.kind.ok_or_else(|| FieldError::invalid(path(), "has no kind"))? {
        Kind::Paragraph(pb::Paragraph { text }) => BlockKind::Paragraph { text },
        Kind::Crosshead(pb::Crosshead { text }) => BlockKind::Crosshead { text },
        Kind::Caption(pb::Caption { text, figure_url, credit }) => BlockKind::Caption { text, figure_url, credit },
        Kind::Quote(pb::Quote { text, attribution }) => BlockKind::Quote { text, attribution },
        Kind::List(pb::List { items, ordered }) => BlockKind::List { items, ordered },
        Kind::Embed(pb::Embed { url, text }) => BlockKind::Embed { url, text },
        Kind::CorrectionNote(pb::CorrectionNote { text }) => BlockKind::CorrectionNote { text },
    };
    let confidence = u8::try_from(block.confidence_percent).ok().filter(|percent| *percent <= 100);
    let bad = || FieldError::invalid(format!("{}.confidence_percent", path()), "must be from 0 to 100");
    let confidence = confidence.ok_or_else(bad)?;
    Ok(Block { kind, confidence_percent: (confidence > 0).then_some(confidence) })
}

/// A point to look from. The last hours of the year 9999, where nothing can be recorded, are its end like any later one.
fn as_of_time(path: &str, time: &prost_types::Timestamp) -> Result<Timestamp, FieldError> {
    const END_OF_9999_SECONDS: i64 = 253_402_300_800;
    let last_hours = Timestamp::MAX.seconds_and_nanos().0..END_OF_9999_SECONDS;
    if last_hours.contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos) {
        return Ok(Timestamp::MAX);
    }
    timestamp(path, time)
}

/// A point of both axes.
pub fn as_of(message: Option<pb::AsOf>) -> Result<AsOf, FieldError> {
    let Some(message) = message else { return Ok(AsOf::default()) };
    let observe_time = message.observe_time.as_ref().map(|time| as_of_time("as_of.observe_time", time)).transpose()?;
    let history = match message.history.as_slice() {
        [] => None,
        bytes => {
            let bad = |_| FieldError::invalid("as_of.history", "must have 16 bytes, as a ReadStamp has them");
            Some(History(bytes.try_into().map_err(bad)?))
        }
    };
    let knowledge = match (message.knowledge, history) {
        (Some(pb::as_of::Knowledge::NextSeq(next_seq)), history) => {
            Knowledge::NextSeq { next_seq: Seq(next_seq), history }
        }
        (_, Some(_)) => return Err(FieldError::invalid("as_of.history", "belongs to next_seq, which is not set")),
        (Some(pb::as_of::Knowledge::ArchiveTime(time)), None) => {
            Knowledge::ArchiveTime(as_of_time("as_of.archive_time", &time)?)
        }
        (None, None) => Knowledge::Newest,
    };
    Ok(AsOf { observe_time, knowledge })
}

/// Which changes a subscriber wants.
pub fn feed_query(filter: Option<pb::ArticleFilter>, kinds: &[i32], limits: &Limits) -> Result<FeedQuery, FieldError> {
    let kind = |(index, kind): (usize, &i32)| {
        let unknown = || FieldError::filter(format!("kinds[{index}]"), "is not a known kind of change");
        pb::ChangeKind::try_from(*kind).ok().and_then(feed_kind).ok_or_else(unknown)
    };
    let kinds = kinds.iter().enumerate().map(kind).collect::<Result<Vec<_>, _>>()?;
    Ok(FeedQuery { filter: article_filter(filter, limits)?, kinds: FeedKinds::of(kinds) })
}

fn feed_kind(kind: pb::ChangeKind) -> Option<FeedKind> {
    Some(match kind {
        pb::ChangeKind::Unspecified => return None,
        pb::ChangeKind::Created => FeedKind::Created,
        pb::ChangeKind::Revised => FeedKind::Revised,
        pb::ChangeKind::Observed => FeedKind::Observed,
        pb::ChangeKind::Withdrawn => FeedKind::Withdrawn,
        pb::ChangeKind::Reinstated => FeedKind::Reinstated,
        pb::ChangeKind::RolledBack => FeedKind::RolledBack,
        pb::ChangeKind::Aliased => FeedKind::Aliased,
    })
}

/// A length of time from `least` to `most`, both in seconds; `default` where it is unset.
pub fn duration(
    path: &str,
    given: Option<prost_types::Duration>,
    default: Duration,
    (least, most): (u64, u64),
) -> Result<Duration, FieldError> {
    let Some(given) = given else { return Ok(default) };
    let range = Duration::from_secs(least)..=Duration::from_secs(most);
    let given = Duration::try_from(given).ok().filter(|given| range.contains(given));
    given.ok_or_else(|| FieldError::invalid(path, format!("must be from {least} s to {most} s")))
}

pub(super) const FILTER_VALUES_MAX: usize = 100;

/// A filter.
pub fn article_filter(message: Option<pb::ArticleFilter>, limits: &Limits) -> Result<ArticleFilter, FieldError> {
    let Some(message) = message else { return Ok(ArticleFilter::default()) };
    check_counts(&message)?;
    let sources = each("sources", &message.sources, SourceId::parse_name)?;
    let articles = each("articles", &message.articles, ArticleName::parse)?;
    let url_prefix = match message.url_prefix.as_str() {
        "" => None,
        url if url.len() > limits.url_bytes_max => {
            return Err(FieldError::filter("filter.url_prefix", "is longer than a URL may be"));
        }
        url => Some(UrlKey::prefix_of(url).map_err(|error| FieldError::filter("filter.url_prefix", error))?),
    };
    Ok(ArticleFilter {
        sources,
        articles,
        withdrawn: states(&message.states)?,
        languages: message.languages,
        labels: message.labels,
        url_prefix,
        observe_time: time_range("filter.observe_time", message.observe_time)?,
        publish_time: time_range("filter.publish_time", message.publish_time)?,
    })
}

fn check_counts(message: &pb::ArticleFilter) -> Result<(), FieldError> {
    let counts = [
        ("sources", message.sources.len()),
        ("articles", message.articles.len()),
        ("states", message.states.len()),
        ("languages", message.languages.len()),
        ("labels", message.labels.len()),
    ];
    match counts.into_iter().find(|(_, count)| *count > FILTER_VALUES_MAX) {
        None => Ok(()),
        Some((field, count)) => {
            let problem = format!("has {count} values; at most {FILTER_VALUES_MAX} are allowed");
            Err(FieldError::filter(format!("filter.{field}"), problem))
        }
    }
}

fn each<T, E: fmt::Display>(
    field: &str,
    values: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, FieldError> {
    let parse = |(index, value): (usize, &String)| {
        parse(value).map_err(|error| FieldError::filter(format!("filter.{field}[{index}]"), error))
    };
    values.iter().enumerate().map(parse).collect()
}

/// Both states, or none, let all pass.
fn states(states: &[i32]) -> Result<Option<bool>, FieldError> {
    let (mut live, mut withdrawn) = (false, false);
    for state in states {
        match pb::ArticleState::try_from(*state) {
            Ok(pb::ArticleState::Live) => live = true,
            Ok(pb::ArticleState::Withdrawn) => withdrawn = true,
            Ok(pb::ArticleState::Unspecified) | Err(_) => {
                return Err(FieldError::filter("filter.states", "has a state that is not known"));
            }
        }
    }
    Ok((live != withdrawn).then_some(withdrawn))
}

fn time_range(path: &str, range: Option<pb::TimeRange>) -> Result<TimeRange, FieldError> {
    let Some(range) = range else { return Ok(TimeRange::default()) };
    let end_of = |field: &str, time: Option<prost_types::Timestamp>| {
        let path = format!("{path}.{field}");
        time.map(|time| timestamp(&path, &time)).transpose()
    };
    Ok(TimeRange { start: end_of("start_time", range.start_time)?, end: end_of("end_time", range.end_time)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hours_of_9999_read_as_the_end_of_time_and_later_ones_are_refused() {
        let read = |seconds| {
            let observe_time = Some(prost_types::Timestamp { seconds, nanos: 999_999_999 });
            as_of(Some(pb::AsOf { observe_time, ..pb::AsOf::default() }))
        };
        assert_eq!(read(253_402_300_799).unwrap().observe_time, Some(Timestamp::MAX));
        assert_eq!(read(253_402_207_200).unwrap().observe_time, Some(Timestamp::MAX));
        assert!(read(253_402_300_800).is_err());
    }
}
