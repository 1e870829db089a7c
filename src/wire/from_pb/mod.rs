//! Validates messages and converts them to the model.

mod content;
mod filter;

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{DURATION_MAX, pb};
use crate::model::field_errors::{FieldError, FieldErrors, all};
use crate::model::{AsOf, KnownAt, LogDigest, Seq, Timestamp, check};

pub use content::{claimed_time, content, fetch};
#[cfg(feature = "archive")]
pub(super) use filter::FILTER_VALUES_MAX;
pub use filter::{article_filter, content_parts, feed_query};

/// Converts an instant. One that is unset or outside the calendar is `None`.
pub fn instant(time: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    time.and_then(|time| Timestamp::from_seconds_and_nanos(time.seconds, time.nanos))
}

/// Validates an instant in the field `path`.
pub fn timestamp(path: &str, time: &prost_types::Timestamp) -> Result<Timestamp, FieldError> {
    let read = Timestamp::from_seconds_and_nanos(time.seconds, time.nanos);
    read.ok_or_else(|| FieldError::invalid(path, "must be in the years 1 to 9999, with nanos from 0 to 999,999,999"))
}

/// Validates an observe time: `now` if unset, and at most one minute ahead of `now`.
pub fn observe_time(time: Option<&prost_types::Timestamp>, now: Timestamp) -> Result<Timestamp, FieldError> {
    let Some(time) = time else { return Ok(now) };
    check::observe_time(timestamp("observe_time", time)?, now)
}

/// A point to read at. The last hours of the year 9999 are outside the range of recordable times; like any later
/// instant, they read as the end of time.
fn as_of_time(path: &str, time: &prost_types::Timestamp) -> Result<Timestamp, FieldError> {
    const END_OF_9999_SECONDS: i64 = 253_402_300_800;
    let last_hours = Timestamp::MAX.seconds_and_nanos().0..END_OF_9999_SECONDS;
    if last_hours.contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos) {
        return Ok(Timestamp::MAX);
    }
    timestamp(path, time)
}

/// Validates a point of both time axes in the field `as_of`.
pub fn as_of(message: Option<pb::AsOf>) -> Result<AsOf, FieldErrors> {
    as_of_at("as_of", message)
}

/// Validates a point of both time axes in the field `path`.
pub fn as_of_at(path: &str, message: Option<pb::AsOf>) -> Result<AsOf, FieldErrors> {
    use pb::as_of::KnownAt::{ArchiveTime, NextSeq};
    let Some(message) = message else { return Ok(AsOf::default()) };
    let within = |field: &str| format!("{path}.{field}");
    let observe_time = message.observe_time.as_ref().map(|time| as_of_time(&within("observe_time"), time));
    let observe_time = observe_time.transpose();
    let log_digest = log_digest(&within("log_digest"), &message.log_digest);
    let is_of_next_seq = matches!(message.known_at, Some(NextSeq(_)));
    let log_digest = match log_digest {
        Ok(Some(_)) if !is_of_next_seq => {
            Err(FieldError::invalid(within("log_digest"), "is only valid with next_seq, which is not set"))
        }
        log_digest => log_digest,
    };
    let archive_time = match &message.known_at {
        Some(ArchiveTime(time)) => as_of_time(&within("archive_time"), time).map(Some),
        Some(NextSeq(_)) | None => Ok(None),
    };
    let (observe_time, archive_time, log_digest) = all!(observe_time, archive_time, log_digest)?;
    let known_at = match (message.known_at, archive_time) {
        (Some(NextSeq(next_seq)), _) => KnownAt::NextSeq { next_seq: Seq(next_seq), log_digest },
        (_, Some(time)) => KnownAt::ArchiveTime(time),
        (_, None) => KnownAt::Newest,
    };
    Ok(AsOf { observe_time, known_at })
}

/// Validates a log digest, as in `Snapshot.log_digest`; `None` if it is empty.
pub fn log_digest(path: &str, bytes: &[u8]) -> Result<Option<LogDigest>, FieldError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let bad = |_| FieldError::invalid(path, "must be the 16 bytes from a Snapshot");
    Ok(Some(LogDigest(bytes.try_into().map_err(bad)?)))
}

/// Validates a duration of a number of `seconds` in this range; `default` if unset.
pub fn duration(
    path: &str,
    given: Option<prost_types::Duration>,
    default: Duration,
    seconds: RangeInclusive<u64>,
) -> Result<Duration, FieldError> {
    let Some(given) = given else { return Ok(default) };
    let (least, most) = (*seconds.start(), *seconds.end());
    let range = Duration::from_secs(least)..=Duration::from_secs(most);
    let given = unsigned(&given).filter(|given| range.contains(given));
    given.ok_or_else(|| FieldError::invalid(path, format!("must be from {least} s to {most} s")))
}

/// Converts `coalesce_within`; zero if unset.
pub fn coalesce_within(given: Option<&prost_types::Duration>) -> Result<Duration, FieldError> {
    let Some(given) = given else { return Ok(Duration::ZERO) };
    unsigned(given).ok_or_else(check::coalesce_out_of_range)
}

/// Converts a duration that `google.protobuf.Duration` allows and that is not negative.
fn unsigned(given: &prost_types::Duration) -> Option<Duration> {
    let is_valid = (0..=DURATION_MAX.seconds).contains(&given.seconds) && (0..1_000_000_000).contains(&given.nanos);
    let nanos = u32::try_from(given.nanos).ok()?;
    Some(Duration::new(u64::try_from(given.seconds).ok()?, nanos)).filter(|_| is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hours_of_9999_read_as_the_end_of_time_and_later_ones_are_rejected() {
        let read = |seconds| {
            let observe_time = Some(prost_types::Timestamp { seconds, nanos: 999_999_999 });
            as_of(Some(pb::AsOf { observe_time, ..pb::AsOf::default() }))
        };
        assert_eq!(read(253_402_300_799).unwrap().observe_time, Some(Timestamp::MAX));
        assert_eq!(read(253_402_207_200).unwrap().observe_time, Some(Timestamp::MAX));
        assert!(read(253_402_300_800).is_err());
    }
    #[test]
    fn an_invalid_duration_is_rejected_instead_of_normalised() {
        let refused = [(-1, 0), (0, -1), (1, -1), (0, 1_000_000_000), (315_576_000_001, 0), (i64::MAX, 0)];
        for (seconds, nanos) in refused {
            let given = prost_types::Duration { seconds, nanos };
            assert!(coalesce_within(Some(&given)).is_err(), "{given:?}");
            assert!(duration("wait", Some(given), Duration::ZERO, 0..=u64::MAX).is_err(), "{given:?}");
        }
        let micros = |given| coalesce_within(given).and_then(check::coalesce_within);
        assert_eq!(micros(Some(&DURATION_MAX)), Ok(315_576_000_000_000_000));
        let longest = prost_types::Duration { nanos: 999_999_999, ..DURATION_MAX };
        assert_eq!(micros(Some(&longest)), Ok(315_576_000_000_999_999));
        assert_eq!(micros(None), Ok(0));
    }

    #[test]
    fn every_invalid_field_of_a_point_is_listed() {
        let early = prost_types::Timestamp { seconds: i64::MIN, nanos: 0 };
        let known_at = Some(pb::as_of::KnownAt::ArchiveTime(early));
        let errors = as_of(Some(pb::AsOf { observe_time: Some(early), log_digest: vec![1], known_at })).unwrap_err();
        let paths: Vec<_> = errors.listed().iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, ["as_of.observe_time", "as_of.archive_time", "as_of.log_digest"]);
    }
}
