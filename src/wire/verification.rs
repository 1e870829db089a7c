//! Converts the events of a verification to messages.

use super::pb;
use super::pb::verify_response::Event;
use crate::model::verification::{self, Finding, Phase, Progress, Summary, Table};

/// Converts a progress report or a finding.
pub fn event_to_pb(event: verification::Event) -> Event {
    match event {
        verification::Event::Progress(progress) => Event::Progress(progress_to_pb(progress)),
        verification::Event::Finding(finding) => Event::Finding(finding_to_pb(finding)),
    }
}

fn progress_to_pb(progress: Progress) -> pb::VerifyProgress {
    let phase = match progress.phase {
        Phase::Log => pb::VerifyPhase::Log,
        Phase::Articles => pb::VerifyPhase::Articles,
        Phase::Entries => pb::VerifyPhase::Entries,
    };
    pb::VerifyProgress { phase: phase.into(), done: progress.done, total: progress.total }
}

fn finding_to_pb(finding: Finding) -> pb::VerifyFinding {
    let table = match finding.table {
        Table::Log => pb::VerifyTable::Log,
        Table::Content => pb::VerifyTable::Content,
        Table::Original => pb::VerifyTable::Original,
        Table::Article => pb::VerifyTable::Article,
        Table::Name => pb::VerifyTable::Name,
        Table::Source => pb::VerifyTable::Source,
        Table::Url => pb::VerifyTable::Url,
        Table::Meta => pb::VerifyTable::Meta,
        Table::Subscription => pb::VerifyTable::Subscription,
        Table::Tree => pb::VerifyTable::Tree,
        Table::Unknown => pb::VerifyTable::Unspecified,
    };
    pb::VerifyFinding {
        table: table.into(),
        seq: finding.seq.map(|seq| seq.0),
        article: finding.article.map(|article| article.to_string()).unwrap_or_default(),
        detail: finding.detail,
    }
}

/// Converts the totals at the end of a verification.
pub fn summary_to_pb(summary: Summary) -> pb::VerifySummary {
    let Summary { changes, articles, contents, originals, entries, findings } = summary;
    pb::VerifySummary { changes, articles, contents, originals, entries, findings }
}

impl From<Event> for pb::VerifyResponse {
    fn from(event: Event) -> Self {
        Self { event: Some(event) }
    }
}
