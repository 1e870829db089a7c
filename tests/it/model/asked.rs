//! The operations of a plan, in the forms that the archive and the model take.

use dateline::internals::archive::request::{
    AbsenceLookRequest, Action, ArticleTarget, LabelEdit, Observation, Operation, Precondition, UrlMove, Writer,
};
use dateline::model::{AbsenceLook, AbsenceReason, ArticleUrl};

use super::plan::{To, What, Write};
use super::rules::{Addressed, Asked};
use super::shown::content;
use crate::support;

/// The whole request as text, which distinguishes it from any other.
pub(crate) fn words(write: &Write) -> String {
    format!("{write:?}")
}

/// A write as an operation of the archive.
pub(crate) fn operation(write: &Write, precondition: Option<Precondition>) -> Operation {
    let target = match addressed(write.to) {
        Addressed::Named(name) => ArticleTarget::Named(name),
        Addressed::Found { source, derived } => ArticleTarget::ByUrl { source, derived },
        Addressed::Holder(url) => ArticleTarget::ByAddress(url),
    };
    Operation {
        precondition,
        request: write.request.map(|id| support::request(id, &words(write))),
        by: Writer::default(),
        ..support::operation(target, support::at(write.at), action(&asked(&write.what)))
    }
}

pub(crate) fn addressed(to: To) -> Addressed {
    match to {
        To::Article(number) => Addressed::Named(support::article(number)),
        To::Found(source) => {
            Addressed::Found { source: support::source(source), derived: support::named(source, "derived") }
        }
        To::Holder(url) => Addressed::Holder(support::url(url)),
    }
}

pub(crate) fn asked(what: &What) -> Asked {
    match what {
        What::Observe { text, urls, original, fetch, labels, coalesce_within } => {
            let mut all = Vec::new();
            let given = urls.iter().map(|number| support::url(*number));
            for url in support::canonical_url(content(*text)).into_iter().chain(given) {
                if !all.iter().any(|known: &ArticleUrl| known.key == url.key) {
                    all.push(url);
                }
            }
            let (text, original, fetch, coalesce_within) = (*text, *original, *fetch, *coalesce_within);
            Asked::Observe { text, urls: all, original, fetch, labels: support::labels(labels), coalesce_within }
        }
        What::Rollback(number) => Asked::Rollback(*number),
        What::Withdraw(reason) => Asked::Mark { withdrawn: true, reason: format!("reason {reason}") },
        What::Reinstate(reason) => Asked::Mark { withdrawn: false, reason: format!("reason {reason}") },
        What::Miss { how, gone_after, fetch, coalesce_within } => {
            Asked::Miss { look: look(*how, *gone_after), fetch: *fetch, coalesce_within: *coalesce_within }
        }
        What::Move { url, from, reason } => Asked::Move {
            url: support::url(*url),
            from: from.map(support::article),
            reason: format!("reason {reason}"),
        },
        What::End { url, reason } => {
            Asked::End { url: support::url(*url), is_part: false, reason: format!("reason {reason}") }
        }
        What::Label { add, remove, reason } => Asked::Label {
            add: support::labels(add),
            remove: support::labels(remove),
            reason: format!("reason {reason}"),
        },
    }
}

/// The nth way in which a page is missing.
pub(crate) fn look(how: u8, gone_after: u32) -> AbsenceLook {
    let (reason, http_status) = match how {
        0 => (AbsenceReason::NotFound, 404),
        1 => (AbsenceReason::NotFound, 0),
        _ => (AbsenceReason::Redirected, 301),
    };
    AbsenceLook { reason, http_status, gone_after }
}

fn action(what: &Asked) -> Action {
    match what {
        Asked::Observe { text, urls, original, fetch, labels, coalesce_within } => {
            let mut observation = Observation::new(content(*text).clone(), urls.clone());
            observation.original = original.map(support::original);
            observation.fetch = fetch.map(|number| Box::new(support::fetch(number)));
            observation.labels = LabelEdit::adding(labels.clone(), support::LABELS_MAX);
            observation.coalesce_within_micros = *coalesce_within;
            Action::Observe(Box::new(observation))
        }
        Asked::Rollback(number) => Action::Rollback(support::number(*number)),
        Asked::Mark { withdrawn, reason } => Action::SetState { withdrawn: *withdrawn, reason: reason.clone() },
        Asked::Miss { look, fetch, coalesce_within } => Action::Absent(Box::new(AbsenceLookRequest {
            look: *look,
            fetch: fetch.map(|number| Box::new(support::fetch(number))),
            coalesce_within_micros: *coalesce_within,
        })),
        Asked::Label { add, remove, reason } => {
            let edit = LabelEdit { add: add.clone(), remove: remove.clone(), count_max: support::LABELS_MAX };
            Action::Label { edit, reason: reason.clone() }
        }
        Asked::Move { url, from, reason } => {
            Action::BindUrl(UrlMove { url: url.clone(), from: from.clone(), reason: reason.clone() })
        }
        Asked::End { url, reason, .. } => {
            Action::EndUrl(UrlMove { url: url.clone(), from: None, reason: reason.clone() })
        }
    }
}
