//! Acknowledged changes to subscriptions are durable.

use std::collections::BTreeMap;

use super::Fault;
use super::found::Found;
use crate::told::Line;

/// What a child reported about a subscription.
#[derive(Debug, Default)]
struct Told {
    /// The highest epoch and position that were acknowledged; `None` if nothing was.
    acknowledged: Option<(u64, u64)>,
    /// The highest position that was requested.
    asked: u64,
}

/// A subscription is where it was last acknowledged, or at a position whose request got no reply.
pub(super) fn subscriptions_are_there(told: &[Line], found: &Found) -> Vec<Fault> {
    let mut subscriptions: BTreeMap<&str, Told> = BTreeMap::new();
    for line in told {
        if let Line::Subscription { id, epoch, next_seq } = line {
            let known = subscriptions.entry(id).or_default();
            let (epoch_before, before) = known.acknowledged.unwrap_or_default();
            known.acknowledged = Some((epoch_before.max(*epoch), before.max(*next_seq)));
        } else if let Line::SubscriptionAsked { id, next_seq } = line {
            let known = subscriptions.entry(id).or_default();
            known.asked = known.asked.max(*next_seq);
        }
    }
    let mut faults = Vec::new();
    for (id, told) in subscriptions {
        let Some((epoch, next_seq)) = told.acknowledged else { continue };
        let now = found.subscriptions.get(id);
        if now.is_none_or(|now| now.0 < epoch || !(next_seq..=told.asked).contains(&now.1)) {
            faults.push(Fault::Lost(format!("{id} was {told:?}, and is {now:?}")));
        }
    }
    faults
}
