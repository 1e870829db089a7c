//! A change as a row of a list: what happened, to what, and when.

use askama::Template;
use askama::filters::HtmlSafe;

use super::paths::{page_of, path_of, path_of_source};
use super::shown::{Delta, When, expunge_reason, parts, recorded_diff_of, some_text, text, when};
use crate::model::ArticleName;
use crate::wire::{instant, pb};

/// What is recorded within this time counts as recorded when it was observed.
const AT_ONCE_MICROS: i64 = 10 * 60 * 1_000_000;

/// A change in a list.
#[derive(Template)]
#[template(path = "row.html")]
pub(super) struct Row {
    seq: u64,
    /// When it was so; without a time of its own, when it was recorded.
    observed: Option<When>,
    /// When it was recorded, if that is another time.
    recorded: Option<When>,
    kind: &'static str,
    class: &'static str,
    source: String,
    source_path: String,
    link: String,
    headline: String,
    delta: Option<Delta>,
    parts: String,
    reason: Option<String>,
    is_late: bool,
    details: Vec<String>,
}

impl HtmlSafe for Row {}

impl Row {
    /// A change as a row.
    pub(super) fn of(change: &pb::Change) -> Option<Self> {
        let name = ArticleName::parse(&change.article).ok()?;
        let revision = change.revision.clone().unwrap_or_default();
        let content = revision.content.clone().unwrap_or_default();
        let path = path_of(&name);
        let (kind, class) = kind(change);
        let (is_text, observed) = (is_text(change), change.observe_time.as_ref());
        let link = if is_text && revision.expunged.is_none() {
            recorded_diff_of(&name, &revision)
        } else if change.kind() == pb::ChangeKind::Created {
            format!("{path}/r/{}", revision.number)
        } else {
            page_of(&name)
        };
        Some(Self {
            seq: change.seq,
            observed: when(observed.or(change.archive_time.as_ref())),
            recorded: when(change.archive_time.as_ref()).filter(|_| is_recorded_later(change)),
            kind,
            class,
            source: name.source.as_str().to_owned(),
            link,
            headline: match &change.expunging {
                Some(expunging) => destroyed(expunging),
                None if revision.expunged.is_some() => "Expunged".to_owned(),
                None => text(&content.headline),
            },
            delta: revision.word_delta.filter(|_| is_text).map(Into::into),
            parts: if is_text { parts(revision.changed_parts()) } else { String::new() },
            reason: some_text(&change.reason),
            is_late: !change.is_newest,
            details: details(change),
            source_path: path_of_source(&name.source),
        })
    }

    /// The same, of an article that had gone and has been seen again.
    pub(super) fn seen_again(mut self) -> Self {
        self.details.push("seen again since".to_owned());
        self
    }

    /// What happened, with the headline.
    pub(super) fn title(&self) -> String {
        let late = if self.is_late { " late" } else { "" };
        let headline = if self.headline.is_empty() { String::new() } else { format!(": {}", self.headline) };
        format!("{}{late}{headline}", self.kind)
    }

    /// What happened, in a word.
    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    /// The path of the page that shows it.
    pub(super) fn link(&self) -> &str {
        &self.link
    }
}

/// Whether a change brought a further text.
pub(super) fn is_text(change: &pb::Change) -> bool {
    matches!(change.kind(), pb::ChangeKind::Revised | pb::ChangeKind::RolledBack)
}

/// What happened, in a word, and the class by which the stylesheet knows it.
pub(super) fn kind(change: &pb::Change) -> (&'static str, &'static str) {
    match change.kind() {
        pb::ChangeKind::Created => ("New", "new"),
        pb::ChangeKind::Revised => ("Revised", "revised"),
        pb::ChangeKind::RolledBack => ("Rolled back", "revised"),
        pb::ChangeKind::Sighted => ("Seen", "quiet"),
        pb::ChangeKind::Withdrawn => ("Withdrawn", "down"),
        pb::ChangeKind::Reinstated => ("Reinstated", "new"),
        pb::ChangeKind::Absent => match &change.absence {
            Some(run) if run.count == run.gone_after => ("Gone", "down"),
            Some(run) if run.count > run.gone_after && run.gone_after > 0 => ("Still gone", "down"),
            Some(_) | None => ("Missing", "down"),
        },
        pb::ChangeKind::Aliased => ("Address added", "quiet"),
        pb::ChangeKind::UrlMoved => ("Address moved", "quiet"),
        pb::ChangeKind::Labelled => ("Labels", "quiet"),
        pb::ChangeKind::Expunged => ("Expunged", "down"),
        pb::ChangeKind::Unspecified => ("Changed", "quiet"),
    }
}

/// Whether a change was recorded clearly later than it was observed, so that both times matter.
pub(super) fn is_recorded_later(change: &pb::Change) -> bool {
    let [observed, archived] = [&change.observe_time, &change.archive_time].map(|time| instant(time.as_ref()));
    observed.zip(archived).is_some_and(|(observed, archived)| archived.micros() - observed.micros() > AT_ONCE_MICROS)
}

/// What is known about a change besides its text and its reason: the status of a page that is missing, labels, addresses,
/// and why a text was destroyed.
pub(super) fn details(change: &pb::Change) -> Vec<String> {
    let status = change.absence.as_ref().map(|absence| absence.http_status).filter(|status| *status > 0);
    let mut details: Vec<String> = status.map(|status| format!("status {status}")).into_iter().collect();
    details.extend(change.labels_added.iter().map(|label| format!("+{}", text(label))));
    details.extend(change.labels_removed.iter().map(|label| format!("−{}", text(label))));
    if change.kind() == pb::ChangeKind::Aliased {
        details.extend(change.urls.iter().map(|led| text(&led.url)));
    } else if change.kind() == pb::ChangeKind::UrlMoved {
        details.extend(change.urls.iter().map(|led| format!("{} leads here", text(&led.url))));
        details.extend(change.urls_ended.iter().map(|led| format!("{} no longer leads here", text(&led.url))));
    }
    if let Some(expunging) = &change.expunging {
        details.push(expunge_reason(expunging.reason()).to_owned());
        details.extend(some_text(&expunging.reference));
    }
    details
}

/// What was destroyed.
pub(super) fn destroyed(expunging: &pb::Expunging) -> String {
    let numbers: Vec<String> = expunging.revision_numbers.iter().map(u32::to_string).collect();
    match numbers.as_slice() {
        [] if expunging.with_name => "All text of the article, and its name".to_owned(),
        [] => "All text of the article".to_owned(),
        [one] => format!("Revision {one}"),
        several => format!("Revisions {}", several.join(", ")),
    }
}
