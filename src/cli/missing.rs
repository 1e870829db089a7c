//! Formats the absences of an article: since when its page is missing, with two bounds.

use super::count;
use super::output::Output;
use crate::wire::{instant, pb};

/// The state of an article whose page is missing, in one word: `gone`, or `missing` if that is not certain yet.
pub(super) fn verb(article: &pb::Article) -> &'static str {
    if article.state() == pb::ArticleState::Gone { "gone" } else { "missing" }
}

/// Describes the absences of an article: `last seen …, first missed …; 2 of 3 looks, status 404`. `None` if the latest
/// look did not find its page missing.
pub(super) fn missing(article: &pb::Article, out: &Output) -> Option<String> {
    let absence = article.absence.as_ref()?;
    let time = |time: Option<&prost_types::Timestamp>| instant(time).map(|time| out.time(time)).unwrap_or_default();
    let (seen, missed) = (time(absence.last_seen_time.as_ref()), time(absence.first_missed_time.as_ref()));
    let looks = looks(absence, article.state() == pb::ArticleState::Gone);
    Some(format!("last seen {seen}, first missed {missed}; {looks}, {}", how(absence)))
}

/// The number of looks that found the page missing, and how many it takes unless the article is gone already.
pub(super) fn looks(absence: &pb::Absence, is_gone: bool) -> String {
    if is_gone || absence.count >= absence.gone_after {
        count(absence.count.into(), "look")
    } else {
        format!("{} of {} looks", absence.count, absence.gone_after)
    }
}

/// How the page was missing, such as `status 404`.
pub(super) fn how(absence: &pb::Absence) -> String {
    match (absence.reason(), absence.http_status) {
        (pb::AbsenceReason::Redirected, _) => "redirected to the front page".to_owned(),
        (_, status) if status > 0 => format!("status {status}"),
        (pb::AbsenceReason::Gone, _) => "removed permanently".to_owned(),
        (pb::AbsenceReason::NotFound | pb::AbsenceReason::Unspecified, _) => "not found".to_owned(),
    }
}
