//! Formats a change as a line: archive time, kind, article, headline, and what changed.

use crate::wire::instant;
use anstyle::Style;

use crate::cli::expunge::{headline, why};
use crate::cli::missing::{how, looks};
use crate::cli::output::Output;
use crate::cli::short_name::short;
use crate::cli::{changed_parts, count, label_edit, style, words};
use crate::wire::pb;

/// The width of the longest kinds, `rolled-back` and `reinstated`.
const KIND_COLUMNS: usize = 11;
/// The maximum width of the article column on a terminal.
const ARTICLE_COLUMNS_MAX: usize = 48;
/// The minimum width of the headline, however narrow the terminal is.
const HEADLINE_COLUMNS_MIN: usize = 20;

/// Formats changes as lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The widest article so far. A column that grows is easier to read than one that is always wide.
    article_columns: usize,
}

impl Lines {
    /// Formats a change: in columns for a terminal, otherwise as tab-separated fields.
    pub(super) fn line(&mut self, change: &pb::Change, out: &Output) -> String {
        let time = instant(change.archive_time.as_ref()).map(|time| out.brief_time(time)).unwrap_or_default();
        let (kind, kind_style) = kind(change);
        let article = short(&change.article);
        let headline = change.revision.as_ref().map(headline).unwrap_or_default();
        let what = what_changed(change, out);
        if !out.is_terminal() {
            return [time.as_str(), kind, &article, &headline, &what].join("\t");
        }
        let article = style::truncate(&article, ARTICLE_COLUMNS_MAX);
        self.article_columns = self.article_columns.max(textwrap::core::display_width(&article));
        let taken = time.len() + KIND_COLUMNS + self.article_columns + textwrap::core::display_width(&what) + 8;
        let room = out.width.map_or(usize::MAX, |width| width.saturating_sub(taken).max(HEADLINE_COLUMNS_MIN));
        let painter = out.painter();
        let line = [
            painter.paint(style::FAINT, &time),
            painter.paint(kind_style, &style::pad(kind, KIND_COLUMNS)),
            painter.paint(style::NAME, &style::pad(&article, self.article_columns)),
            style::truncate(&headline, room),
            painter.paint(style::FAINT, &what),
        ];
        line.join("  ").trim_end().to_owned()
    }
}

/// The kind, spelled as `--kind` accepts it, and its style.
pub(in crate::cli) fn kind(change: &pb::Change) -> (&'static str, Style) {
    match change.kind() {
        pb::ChangeKind::Created => ("created", style::GOOD),
        pb::ChangeKind::Revised => ("revised", style::CHANGED),
        pb::ChangeKind::Sighted => ("sighted", style::FAINT),
        pb::ChangeKind::Withdrawn => ("withdrawn", style::BAD),
        pb::ChangeKind::Reinstated => ("reinstated", style::GOOD),
        pb::ChangeKind::RolledBack => ("rolled-back", style::CHANGED),
        pb::ChangeKind::Aliased => ("aliased", style::FAINT),
        pb::ChangeKind::Labelled => ("labelled", style::CHANGED),
        pb::ChangeKind::Absent => ("absent", style::BAD),
        pb::ChangeKind::UrlMoved => ("url-moved", style::CHANGED),
        pb::ChangeKind::Expunged => ("expunged", style::BAD),
        pb::ChangeKind::Unspecified => ("changed", style::FAINT),
    }
}

/// Describes what changed, such as `+9 -29 words; headline, body; late, seen 2026-05-16 18:00`.
fn what_changed(change: &pb::Change, out: &Output) -> String {
    let nothing = pb::Revision::default();
    let revision = change.revision.as_ref().unwrap_or(&nothing);
    let parts = changed_parts(revision);
    let mut what = match change.kind() {
        pb::ChangeKind::Created => vec![count(revision.word_count.into(), "word")],
        pb::ChangeKind::Revised => revision.word_delta.map(words).into_iter().chain([parts]).collect(),
        pb::ChangeKind::RolledBack => {
            let again = format!("revision {} again", revision.rollback_of);
            revision.word_delta.map(words).into_iter().chain([parts, again]).collect()
        }
        pb::ChangeKind::Withdrawn | pb::ChangeKind::Reinstated => vec![style::safe_line(&change.reason)],
        pb::ChangeKind::Aliased => change.urls.iter().map(|url| style::safe_line(&url.url)).collect(),
        pb::ChangeKind::Absent => absence(change, out),
        pb::ChangeKind::UrlMoved => {
            let bound = change.urls.iter().map(|url| format!("+{}", style::safe_line(&url.url)));
            let ended = change.urls_ended.iter().map(|url| format!("-{}", style::safe_line(&url.url)));
            bound.chain(ended).chain([style::safe_line(&change.reason)]).collect()
        }
        pb::ChangeKind::Expunged => change.expunging.iter().flat_map(expunging).collect(),
        pb::ChangeKind::Labelled | pb::ChangeKind::Sighted | pb::ChangeKind::Unspecified => Vec::new(),
    };
    what.push(label_edit(&change.labels_added, &change.labels_removed));
    if change.kind() == pb::ChangeKind::Labelled {
        what.push(style::safe_line(&change.reason));
    }
    if !change.is_newest {
        let seen = instant(change.observe_time.as_ref()).map(|time| format!(", seen {}", out.brief_time(time)));
        what.push(format!("late{}", seen.unwrap_or_default()));
    }
    if change.left_filter {
        what.push("left the filter".to_owned());
    }
    what.retain(|part| !part.is_empty());
    what.join("; ")
}

/// Describes what was destroyed and why, such as `revision 2; court order 14 O 82/26`.
fn expunging(expunging: &pb::Expunging) -> [String; 2] {
    let numbers: Vec<String> = expunging.revision_numbers.iter().map(ToString::to_string).collect();
    let what = match numbers.as_slice() {
        [] => "all text".to_owned(),
        [number] => format!("revision {number}"),
        _ => format!("revisions {}", numbers.join(", ")),
    };
    [what, why(expunging.reason(), &expunging.reference)]
}

/// Describes an absence: whether the article is gone, how often its page was missing, and when it was last seen.
fn absence(change: &pb::Change, out: &Output) -> Vec<String> {
    let Some(absence) = &change.absence else { return Vec::new() };
    let is_gone = change.state() == pb::ArticleState::Gone;
    let gone = is_gone.then(|| "gone".to_owned());
    let seen = instant(absence.last_seen_time.as_ref()).map(|time| format!("last seen {}", out.brief_time(time)));
    gone.into_iter().chain([how(absence), looks(absence, is_gone)]).chain(seen).collect()
}
