//! Acknowledged changes to subscriptions are durable, and so are parked changes.

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
    faults.extend(parked_changes_are_there(told, found));
    faults
}

/// A change is parked, or is not, as the last reply said, unless a later request got no reply.
fn parked_changes_are_there(told: &[Line], found: &Found) -> Vec<Fault> {
    // What the last reply said; `None` if a request followed.
    let mut changes: BTreeMap<(&str, u64), Option<bool>> = BTreeMap::new();
    for line in told {
        if let Line::ParkAsked { id, seq } = line {
            changes.insert((id, *seq), None);
        } else if let Line::Parked { id, seq, parked } = line {
            changes.insert((id, *seq), Some(*parked));
        }
    }
    let is_parked = |id: &str, seq: u64| found.parked.contains(&(id.to_owned(), seq));
    let known = changes.iter().filter_map(|((id, seq), parked)| Some((*id, *seq, (*parked)?)));
    let mut faults: Vec<_> = known
        .filter(|(id, seq, parked)| is_parked(id, *seq) != *parked)
        .map(|(id, seq, parked)| Fault::Lost(format!("change {seq} of {id} was parked: {parked}, and is not so now")))
        .collect();
    let unasked = found.parked.iter().filter(|(id, seq)| !changes.contains_key(&(id.as_str(), *seq)));
    faults.extend(unasked.map(|(id, seq)| Fault::Broken(format!("nobody parked change {seq} of {id}"))));
    faults
}
