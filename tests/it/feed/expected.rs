//! The messages that the feed must send, according to the truth.

use dateline::internals::wire::{self, article_state_to_pb, fetch_to_pb, pb, timestamp_to_pb, word_delta_to_pb};
use dateline::model::diff::{diff, word_delta};
use dateline::model::{
    AbsenceReason, ArticleName, ArticleState, ArticleUrl, Content, ContentDigest, LogKind, RevisionRecord, Timestamp,
};

use crate::model::naive::{Missing, Record, makes_revision};
use crate::model::shown;
use crate::support;

use super::truth::{Truth, index};

impl Truth {
    /// The change at `seq`, without the flags that depend on the query.
    pub(crate) fn change(&self, seq: u64, view: pb::FeedView) -> &pb::Change {
        let messages = &self.messages[index(seq)];
        let message = match view {
            pb::FeedView::Unspecified | pb::FeedView::Basic => &messages[0],
            pb::FeedView::Full => &messages[1],
            pb::FeedView::Diff => &messages[2],
            pb::FeedView::Request => panic!("replay requests are checked in `export`"),
        };
        message.get_or_init(|| self.render(seq, view))
    }

    fn render(&self, seq: u64, view: pb::FeedView) -> pb::Change {
        let (record, after, kind) = (self.record(seq), self.after(seq), self.kind(seq));
        let is_about_newest = matches!(
            kind,
            pb::ChangeKind::Withdrawn
                | pb::ChangeKind::Reinstated
                | pb::ChangeKind::Aliased
                | pb::ChangeKind::Labelled
                | pb::ChangeKind::Absent
                | pb::ChangeKind::UrlMoved
        );
        let is_of_labels_alone = matches!(record.kind, LogKind::Labelled | LogKind::LabelsRepeated);
        let edit = record.labels.clone();
        let shown = record.revision.filter(|_| !is_about_newest).unwrap_or(after.revision);
        let is_full = view == pb::FeedView::Full && kind != pb::ChangeKind::Withdrawn;
        let makes_diff = view == pb::FeedView::Diff && makes_revision(record.kind);
        pb::Change {
            principal: String::new(),
            seq,
            kind: kind.into(),
            article: record.article.to_string(),
            observe_time: (!is_of_labels_alone).then(|| timestamp_to_pb(record.at)),
            archive_time: record.archive_time.map(timestamp_to_pb),
            revision: Some(self.revision(&record.article, shown, is_full)),
            is_newest: self.is_newest(seq),
            newest_revision_number: after.revision,
            state: article_state_to_pb(after.state).into(),
            reason: record.reason.clone(),
            urls: record.urls.iter().map(|(url, until)| article_url(url, Some(record.at), *until)).collect(),
            diff: makes_diff.then(|| self.diff(seq)),
            left_filter: false,
            batch_end: false,
            fetch: fetch(record),
            request: None,
            labels: after.labels.clone(),
            labels_added: edit.as_ref().map(|edit| edit.added.clone()).unwrap_or_default(),
            labels_removed: edit.map(|edit| edit.removed).unwrap_or_default(),
            absence: record.run.map(absence),
            urls_ended: record.ended.iter().map(|(url, _)| article_url(url, None, Some(record.at))).collect(),
            expunging: None,
        }
    }

    /// Whether what a change records is in force at the end of the observe axis, as known with this change. A change of
    /// URLs or labels always counts as newest, because these have no end.
    fn is_newest(&self, seq: u64) -> bool {
        let record = self.record(seq);
        match record.kind {
            _ if matches!(self.kind(seq), pb::ChangeKind::Aliased | pb::ChangeKind::Labelled) => true,
            LogKind::Labelled | LogKind::LabelsRepeated => true,
            LogKind::UrlEnded | LogKind::UrlBound | LogKind::UrlsRepeated | LogKind::Expunged => true,
            LogKind::Withdrawn | LogKind::Reinstated | LogKind::StateRepeated => {
                let mark = self.known(&record.article, seq + 1).mark_at(&record.article, None);
                mark.is_some_and(|mark| mark.at <= record.at)
            }
            LogKind::Absent | LogKind::AbsenceRepeated => record.is_latest_look,
            LogKind::Created
            | LogKind::Revised
            | LogKind::RolledBack
            | LogKind::Sighted
            | LogKind::Repeated
            | LogKind::Aliased => record.revision == Some(self.after(seq).revision),
        }
    }

    /// The difference between the revision that a change created and the one in force before it on the observe axis.
    fn diff(&self, seq: u64) -> pb::ChangeDiff {
        let Record { article, revision, .. } = self.record(seq);
        let runs = self.known(article, seq + 1).runs(article);
        let place = runs.iter().position(|run| Some(run.revision) == *revision).expect("a new revision is in force");
        let before = place.checked_sub(1).map(|before| runs[before].revision);
        let empty = Content::default();
        let base = before.map_or(&empty, |before| self.content(article, before));
        let target = self.content(article, runs[place].revision);
        let diff = diff(base, target);
        let (field_changes, mut hunks) = wire::diff_to_pb(&diff);
        hunks.retain(|hunk| hunk.kind() != pb::HunkKind::Equal);
        pb::ChangeDiff {
            base_revision_number: before.unwrap_or_default(),
            field_changes,
            hunks,
            word_delta: Some(word_delta_to_pb(word_delta(base, target))),
        }
    }

    fn revision(&self, name: &ArticleName, number: u32, is_full: bool) -> pb::Revision {
        let (seq, made) = self.made(name, number);
        let content = shown::content(made.text.unwrap());
        pb::Revision {
            name: name.revision(support::number(number)),
            number,
            seq,
            observe_time: Some(timestamp_to_pb(made.at)),
            archive_time: made.archive_time.map(timestamp_to_pb),
            content_digest: ContentDigest::of(content).0.to_vec(),
            content: Some(if is_full { wire::content_to_pb(content) } else { basic(content) }),
            word_count: content.word_count(),
            word_delta: made.word_delta.map(word_delta_to_pb),
            rollback_of: made.rollback_of.unwrap_or_default(),
            original: None,
            fetch: fetch(made),
            changed_parts: wire::content_parts_to_pb(made.changed_parts),
            expunged: None,
        }
    }

    /// An article of a snapshot, as known below `bound`.
    pub(crate) fn article(&self, name: &ArticleName, bound: u64, view: pb::FeedView) -> pb::Article {
        let known = self.known(name, bound);
        let latest = self.latest_below(bound, name).expect("the article is known below the bound");
        let after = self.after(latest);
        let mark = known.mark_at(name, None).filter(|_| after.state != ArticleState::Gone);
        let (_, first) = known.of(name).next().expect("the article is known below the bound");
        let is_full = view != pb::FeedView::Basic && after.state != ArticleState::Withdrawn;
        // What is known of one article does not say where a URL leads after it.
        let urls = self.model.below(bound).urls(name).into_iter().map(|led| pb::ArticleUrl {
            moved_to: led.moved_to.map(|article| article.to_string()).unwrap_or_default(),
            ..article_url(&led.url, Some(led.since), led.until)
        });
        pb::Article {
            name: name.to_string(),
            state: article_state_to_pb(after.state).into(),
            state_time: known.state_since(name, None).map(timestamp_to_pb),
            state_reason: mark.map(|mark| mark.reason).unwrap_or_default(),
            revision: Some(self.revision(name, after.revision, is_full)),
            valid_from: Some(timestamp_to_pb(after.since)),
            valid_until: None,
            etag: String::new(),
            urls: urls.collect(),
            revision_count: known.revision_count(name),
            create_time: first.archive_time.map(timestamp_to_pb),
            update_time: self.record(latest).archive_time.map(timestamp_to_pb),
            seq: latest,
            latest_fetch: known.latest_fetch(name).map(|number| fetch_to_pb(&support::fetch(number))),
            labels: known.labels(name),
            absence: known.missing_at(name, None).map(absence),
        }
    }
}

fn fetch(record: &Record) -> Option<pb::Fetch> {
    record.fetch.map(|number| fetch_to_pb(&support::fetch(number)))
}

fn absence(missing: Missing) -> pb::Absence {
    let reason = match missing.look.reason {
        AbsenceReason::NotFound => pb::AbsenceReason::NotFound,
        AbsenceReason::Gone => pb::AbsenceReason::Gone,
        AbsenceReason::Redirected => pb::AbsenceReason::Redirected,
    };
    pb::Absence {
        last_seen_time: Some(timestamp_to_pb(missing.last_seen)),
        first_missed_time: Some(timestamp_to_pb(missing.first)),
        last_missed_time: Some(timestamp_to_pb(missing.last)),
        count: missing.count,
        reason: reason.into(),
        http_status: missing.look.http_status,
        gone_after: missing.look.gone_after,
    }
}

fn article_url(url: &ArticleUrl, since: Option<Timestamp>, until: Option<Timestamp>) -> pb::ArticleUrl {
    pb::ArticleUrl {
        url: url.original.clone(),
        key: url.key.to_string(),
        observe_time: since.map(timestamp_to_pb),
        end_time: until.map(timestamp_to_pb),
        moved_to: String::new(),
    }
}

/// A content in view BASIC.
fn basic(content: &Content) -> pb::Content {
    let record = RevisionRecord::of(content, ContentDigest::of(content), content.word_count());
    wire::basic_content_to_pb(&record)
}
