//! Random plans. Times, contents, URLs and request ids come from small sets, so that they often coincide.

use std::ops::Range;

use proptest::prelude::*;

use super::plan::{Expect, Failure, Plan, Step, Text, To, What, Write};
use super::run::TICKS;
use super::shown::TEXTS;
use crate::support::LABELS;

pub(super) fn plans(steps_max: usize) -> impl Strategy<Value = Plan> {
    let steps = proptest::collection::vec(step(), 1..=steps_max);
    (any::<bool>(), steps).prop_map(|(caches, steps)| Plan { caches, steps })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => write().prop_map(|write| Step::Write(vec![write])),
        4 => batch().prop_map(Step::Write),
        2 => batch().prop_map(Step::Validate),
        3 => (0..64_usize).prop_map(Step::Again),
        2 => (0..64_usize, 4..8_u32).prop_map(|(index, id)| Step::Anew(index, id)),
        2 => proptest::collection::vec(batch(), 2..5).prop_map(Step::Burst),
        2 => (failure(), batch()).prop_map(|(failure, writes)| Step::Fail(failure, writes)),
        1 => Just(Step::Reopen),
        2 => prop_oneof![-5..20_i64, -2_000_000..3_000_000_i64].prop_map(Step::Clock),
        2 => (-3..20_i64).prop_map(Step::AsKnown),
    ]
}

pub(super) fn batch() -> impl Strategy<Value = Vec<Write>> {
    proptest::collection::vec(write(), 1..5)
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![Just(Failure::Full), Just(Failure::BeforeWrite), Just(Failure::PowerCut), Just(Failure::Killed)]
}

/// Even ticks only, so that nothing happens at the odd instants in between. The first article is the busiest.
pub(crate) fn write() -> impl Strategy<Value = Write> {
    let to = prop_oneof![
        12 => Just(To::Article(0)),
        2 => (1..4_u8).prop_map(To::Article),
        1 => (0..2_u8).prop_map(To::Found),
    ];
    let expect = prop_oneof![14 => Just(None), 1 => expect().prop_map(Some)];
    let request = prop_oneof![3 => Just(None), 1 => (0..4_u32).prop_map(Some)];
    let write = (to, 0..=TICKS, what(), expect, request);
    write.prop_map(|(to, at, what, expect, request)| {
        // Every other address is ended wherever it leads.
        let is_anywhere = at % 2 == 0;
        let to = if let What::End { url, .. } = what
            && is_anywhere
        {
            To::Holder(url)
        } else {
            to
        };
        Write { to, at: 2 * at, what, expect, request }
    })
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        20 => observe(),
        2 => (1..4_u32).prop_map(What::Rollback),
        3 => (0..2_u8).prop_map(What::Withdraw),
        5 => (0..2_u8).prop_map(What::Reinstate),
        4 => label(),
        9 => miss(),
        3 => url_move(),
    ]
}

/// The first two URLs are the busiest.
fn url_move() -> impl Strategy<Value = What> {
    let url = || prop_oneof![3 => 0..2_u8, 1 => 0..8_u8];
    let from = prop_oneof![4 => Just(None), 1 => (0..3_u8).prop_map(Some)];
    prop_oneof![
        3 => (url(), from, 0..2_u8).prop_map(|(url, from, reason)| What::Move { url, from, reason }),
        2 => (url(), 0..2_u8).prop_map(|(url, reason)| What::End { url, reason }),
    ]
}

fn observe() -> impl Strategy<Value = What> {
    let urls = prop_oneof![3 => Just(Vec::new()), 1 => proptest::collection::vec(0..8_u8, 1..3)];
    let original = prop_oneof![3 => Just(None), 1 => (0..3_u8).prop_map(Some)];
    let fetch = prop_oneof![1 => Just(None), 1 => (0..3_u8).prop_map(Some)];
    let labels = prop_oneof![4 => Just(Vec::new()), 1 => labels(1..3)];
    let coalesce_within = prop_oneof![4 => Just(0), 1 => 1..8_i64];
    let parts = (text(), urls, original, fetch, labels, coalesce_within);
    parts.prop_map(|(text, urls, original, fetch, labels, coalesce_within)| What::Observe {
        text,
        urls,
        original,
        fetch,
        labels,
        coalesce_within,
    })
}

fn miss() -> impl Strategy<Value = What> {
    let fetch = prop_oneof![2 => Just(None), 1 => (0..3_u8).prop_map(Some)];
    let coalesce_within = prop_oneof![2 => Just(0), 1 => 1..8_i64];
    let parts = (0..3_u8, 1..4_u32, fetch, coalesce_within);
    parts.prop_map(|(how, gone_after, fetch, coalesce_within)| What::Miss { how, gone_after, fetch, coalesce_within })
}

/// No label is both added and removed. Sometimes there is neither.
fn label() -> impl Strategy<Value = What> {
    let parts = (labels(0..4), labels(0..4), 0..2_u8);
    parts.prop_map(|(add, mut remove, reason)| {
        remove.retain(|label| !add.contains(label));
        What::Label { add, remove, reason }
    })
}

/// Sorted and unique, as the archive gets them.
fn labels(count: Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::btree_set(0..LABELS, count).prop_map(|labels| labels.into_iter().collect())
}

/// The first contents are the most frequent.
pub(super) fn text() -> impl Strategy<Value = Text> {
    prop_oneof![4 => 0..2_u8, 2 => 0..TEXTS].prop_map(Text)
}

fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![
        1 => Just(Expect::Absent),
        3 => Just(Expect::EtagNow),
        2 => (0..8_usize).prop_map(Expect::EtagOf),
        3 => Just(Expect::RevisionNow),
        1 => (1..4_u32).prop_map(Expect::Revision),
    ]
}
