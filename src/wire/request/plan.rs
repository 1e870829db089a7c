//! Finds the repeated fields of each request in the compiled contract.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use super::super::{DESCRIPTOR, pb};
use super::bounds::{Bound, UNKNOWN, bound};

/// The requests of all methods, and the messages they contain.
pub(super) struct RequestPlan {
    messages: Vec<MessagePlan>,
    requests: Vec<(String, usize)>,
    /// The total number of repeated fields.
    pub(super) repeated: usize,
}

/// The fields of a message that are repeated or contain repeated fields.
#[derive(Default)]
pub(super) struct MessagePlan {
    pub(super) fields: Vec<FieldPlan>,
}

/// A field that is repeated or contains repeated fields.
pub(super) struct FieldPlan {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) repeated: Option<Repeated>,
    /// Whether several elements may be packed into one run of bytes.
    pub(super) is_packed: bool,
    /// The index of the message type it holds, if that has anything to count.
    pub(super) message: Option<usize>,
}

/// A field whose elements are counted.
pub(super) struct Repeated {
    /// Its index among all repeated fields.
    pub(super) slot: usize,
    pub(super) bound: Bound,
    /// The memory of one element once decoded, in bytes, not counting its text.
    pub(super) bytes: usize,
}

/// `None` if the contract cannot be decoded, which the tests rule out.
static PLAN: LazyLock<Option<RequestPlan>> =
    LazyLock::new(|| Some(RequestPlan::of(&DescriptorPool::decode(DESCRIPTOR).ok()?)));

/// The plan, and the index of a request in it.
pub(super) fn of_request(name: &str) -> Option<(&'static RequestPlan, usize)> {
    let plan = PLAN.as_ref()?;
    Some((plan, plan.request(name)?))
}

impl RequestPlan {
    fn of(pool: &DescriptorPool) -> Self {
        let mut plan = Self { messages: Vec::new(), requests: Vec::new(), repeated: 0 };
        let mut seen = Vec::new();
        for request in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
            let request = request.input();
            if plan.request(request.name()).is_none() {
                let at = plan.add(&request, &mut seen);
                plan.requests.push((request.name().to_owned(), at));
            }
        }
        plan
    }

    fn request(&self, name: &str) -> Option<usize> {
        self.requests.iter().find(|(request, _)| request == name).map(|(_, at)| *at)
    }

    pub(super) fn message(&self, at: usize) -> Option<&MessagePlan> {
        self.messages.get(at)
    }

    /// Adds a message and all messages it contains, unless it was added before.
    fn add(&mut self, message: &MessageDescriptor, seen: &mut Vec<(String, usize)>) -> usize {
        if let Some((_, at)) = seen.iter().find(|(name, _)| name == message.full_name()) {
            return *at;
        }
        let at = self.messages.len();
        self.messages.push(MessagePlan::default());
        seen.push((message.full_name().to_owned(), at));
        let fields: Vec<_> = message.fields().filter_map(|field| self.field(&field, seen)).collect();
        if let Some(added) = self.messages.get_mut(at) {
            added.fields = fields;
        }
        at
    }

    fn field(&mut self, field: &FieldDescriptor, seen: &mut Vec<(String, usize)>) -> Option<FieldPlan> {
        let kind = field.kind();
        let inner = kind.as_message().map(|message| self.add(message, seen));
        let message = inner.filter(|at| self.message(*at).is_some_and(|message| !message.fields.is_empty()));
        let repeated = (field.is_list() || field.is_map()).then(|| {
            let name = format!("{}.{}", field.parent_message().name(), field.name());
            self.repeated += 1;
            Repeated { slot: self.repeated - 1, bound: bound(&name).unwrap_or(UNKNOWN), bytes: element_bytes(&kind) }
        });
        let is_packed = field.is_list() && !matches!(kind, Kind::Message(_) | Kind::String | Kind::Bytes);
        let is_counted = repeated.is_some() || message.is_some();
        is_counted.then(|| FieldPlan {
            number: field.number(),
            name: field.name().to_owned(),
            repeated,
            is_packed,
            message,
        })
    }
}

/// The memory of one element. A vector may have capacity for twice its elements, and each element is allocated
/// separately.
fn element_bytes(kind: &Kind) -> usize {
    const PIECE: usize = 32;
    let own = match kind.as_message().map(MessageDescriptor::name) {
        Some("RecordObservationRequest") => size_of::<pb::RecordObservationRequest>(),
        Some("Block") => size_of::<pb::Block>(),
        // No other message is repeated in a request today. A future one may be as large as these.
        Some(_) => 1 << 10,
        None => size_of::<String>(),
    };
    2 * own + PIECE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated_fields(message: &MessageDescriptor, found: &mut Vec<String>) {
        for field in message.fields() {
            if field.is_list() || field.is_map() {
                found.push(format!("{}.{}", message.name(), field.name()));
            }
            if let Some(inner) = field.kind().as_message() {
                repeated_fields(inner, found);
            }
        }
    }

    #[test]
    fn every_repeated_field_of_every_request_has_a_bound() {
        let pool = DescriptorPool::decode(DESCRIPTOR).unwrap();
        let mut found = Vec::new();
        for service in pool.services() {
            service.methods().for_each(|method| repeated_fields(&method.input(), &mut found));
        }
        found.sort();
        found.dedup();
        assert!(found.contains(&"Content.blocks".to_owned()), "{found:?}");
        let unbound: Vec<_> = found.iter().filter(|field| bound(field).is_none()).collect();
        assert!(unbound.is_empty(), "add a bound for these fields to `bound`: {unbound:?}");
        let plan = PLAN.as_ref().unwrap();
        assert_eq!(plan.repeated, found.len());
        assert!(plan.repeated <= super::super::walk::SLOTS);
    }

    #[test]
    fn the_memory_of_every_repeated_message_is_known() {
        let plan = PLAN.as_ref().unwrap();
        let messages = plan.messages.iter().flat_map(|message| &message.fields);
        let repeated = messages.filter(|field| field.repeated.is_some() && field.message.is_some());
        let mut names: Vec<_> = repeated.map(|field| field.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["blocks", "requests", "requests"]);
    }
}
